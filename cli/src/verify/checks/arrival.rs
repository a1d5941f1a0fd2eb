//! Whether traces arrived, and in which trace an answer was.

use super::answers::{about, told};
use super::{skipped, verdict};
use crate::verify::asked;
use crate::verify::errand::{Kind, Service};
use crate::verify::evidence::Evidence;
use crate::verify::report::{Finding, Outcome};
use tdemo_trace::{Tier, Trace};

/// How many flaws of one trace are named.
const FLAWS_NAMED: usize = 3;

pub(super) fn arrived(evidence: &Evidence) -> Option<Outcome> {
    if let Some(why) = &evidence.without.traces {
        return Some(skipped(why));
    }
    evidence.exchanges.first()?;
    let mut findings = Vec::new();
    for (exchange, read) in evidence.traces() {
        let within = format!("within {} ms", evidence.deadline_ms);
        if let Some(error) = &read.error {
            findings.push(about(
                exchange,
                format!("its trace {within}"),
                error.clone(),
            ));
            continue;
        }
        let owed = asked::owed(exchange, &evidence.without);
        let nothing = Trace::empty(read.id);
        let judged = owed.judge(read.trace.as_ref().unwrap_or(&nothing));
        let missing: Vec<String> = judged.missing().map(ToString::to_string).collect();
        if missing.is_empty() {
            continue;
        }
        let found = if read.trace.is_none() {
            "no span of it".to_owned()
        } else {
            let named = missing
                .iter()
                .take(FLAWS_NAMED)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            match missing.len().saturating_sub(FLAWS_NAMED) {
                0 => format!("without {named}"),
                more => format!("without {named} and {more} more"),
            }
        };
        let spans = owed.spans_owed();
        let plural = if spans == 1 { "" } else { "s" };
        findings.push(about(
            exchange,
            format!("{spans} span{plural} {within}"),
            found,
        ));
    }
    if findings.is_empty() && evidence.reads.is_empty() {
        return Some(verdict(vec![Finding::new(
            "the run",
            "traces to look for",
            "no answer named one",
        )]));
    }
    Some(verdict(findings))
}

pub(super) fn callers_trace(evidence: &Evidence) -> Option<Outcome> {
    let mut findings = Vec::new();
    let mut any = false;
    for kind in [Kind::Caller, Kind::Unsampled] {
        for exchange in evidence.of(kind) {
            let Some(parent) = exchange.parent else {
                continue;
            };
            any = true;
            let expected = format!("trace {}, flags {:02x}", parent.trace_id, parent.flags & 1);
            let found = match exchange.response() {
                None => told(exchange) + " without traceresponse",
                Some(response) => format!(
                    "trace {}, flags {:02x}",
                    response.trace_id,
                    u8::from(response.sampled)
                ),
            };
            if expected != found {
                findings.push(about(exchange, expected, found));
            }
        }
    }
    any.then(|| verdict(findings))
}

pub(super) fn callers_span(evidence: &Evidence) -> Option<Outcome> {
    let sent = evidence.exchanges.iter().find(|exchange| {
        matches!(exchange.kind, Kind::Caller | Kind::Foreign) && exchange.parent.is_some()
    })?;
    if evidence.without.traces.is_some() {
        return None;
    }
    if let Some(why) = &evidence.without.caller {
        return Some(skipped(why));
    }
    let parent = sent.parent?;
    let root = evidence
        .traces()
        .filter(|(exchange, _)| exchange.kind == sent.kind)
        .filter_map(|(_, read)| read.trace.as_ref()?.span(parent.span_id))
        .any(|span| span.parent.is_none());
    let findings = if root {
        Vec::new()
    } else {
        vec![about(
            sent,
            format!("span {} as the root", parent.span_id),
            "it is not there".to_owned(),
        )]
    };
    Some(verdict(findings))
}

pub(super) fn baggage(evidence: &Evidence) -> Option<Outcome> {
    evidence.of(Kind::Get).next()?;
    if let Some(why) = &evidence.without.faults {
        return Some(skipped(why));
    }
    if evidence.without.traces.is_some() {
        return None;
    }
    let mut findings = Vec::new();
    for (exchange, read) in evidence.traces() {
        let Some((Tier::Backend, fault)) = exchange.kind.faults().first() else {
            continue;
        };
        let done = read
            .trace
            .iter()
            .flat_map(|trace| &trace.spans)
            .any(|span| {
                span.service() == Service::Backend.name()
                    && span.attributes.get_str("demo.fault.injected") == Some(fault)
            });
        if !done {
            findings.push(about(
                exchange,
                format!("the backend did {fault}"),
                "no span of the backend says so",
            ));
        }
    }
    Some(verdict(findings))
}
