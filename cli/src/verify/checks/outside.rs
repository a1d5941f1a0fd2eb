//! What others say of the run: the search, the services' counters, the logs.

use std::collections::{BTreeMap, BTreeSet};

use tdemo_trace::TraceId;
use tdemo_trace::facts::Fact;

use super::{skipped, verdict};
use crate::verify::asked;
use crate::verify::errand::{Kind, Service};
use crate::verify::evidence::{Counted, Evidence, Exchange, Logged};
use crate::verify::report::{Finding, Group, Outcome};

/// A search this much behind the look-up by id is lag worth telling of.
const LAG_MS: f64 = 2_000.0;

pub(super) fn search(evidence: &Evidence, at: usize) -> Option<Outcome> {
    if left_out(evidence, Group::Search) || evidence.of(Kind::Foreign).next().is_some() {
        return None;
    }
    if let Some(why) = evidence
        .without
        .search
        .as_ref()
        .or(evidence.without.traces.as_ref())
    {
        return (at == 0).then(|| skipped(why));
    }
    let searched = evidence.searches.get(at)?;
    let fact = *Fact::TAUGHT.get(at)?;
    let subject = searched.query.as_str();
    if let Some(error) = &searched.error {
        let finding = Finding::new(subject, "an answer", error);
        return Some(verdict(vec![finding]));
    }
    let wanted = asked::must_find(evidence, fact);
    let found: BTreeSet<TraceId> = searched.found.iter().copied().collect();
    let of = |ids: Vec<&TraceId>, expected: &str, told: &str| -> Vec<Finding> {
        ids.into_iter()
            .map(|id| Finding {
                trace_id: Some(*id),
                ..Finding::new(subject, expected, told)
            })
            .collect()
    };
    let missing = wanted.difference(&found).collect();
    let extra = found.difference(&wanted).collect();
    let mut findings = of(
        missing,
        "finds this trace, as it is found by id",
        "it is not found",
    );
    findings.extend(of(
        extra,
        "does not find this trace",
        "it is found, though no span of it is such",
    ));
    if !findings.is_empty() {
        return Some(verdict(findings));
    }
    // Told once: all queries wait for the same thing.
    Some(if at == 0 {
        lag(evidence, subject)
    } else {
        Outcome::Passed
    })
}

/// How soon the slowest trace was there by id.
pub(in crate::verify) fn by_id_ms(evidence: &Evidence) -> Option<f64> {
    evidence
        .reads
        .iter()
        .filter_map(|read| read.whole_after_ms)
        .reduce(f64::max)
}

fn lag(evidence: &Evidence, subject: &str) -> Outcome {
    let id_ms = by_id_ms(evidence).unwrap_or(0.0);
    let search_ms = evidence
        .searches
        .iter()
        .filter_map(|searched| searched.all_after_ms)
        .fold(0.0, f64::max);
    if search_ms < id_ms + LAG_MS {
        return Outcome::Passed;
    }
    let after = |ms: f64| format!("after {:.1} s", ms / 1e3);
    Outcome::Noted {
        findings: vec![Finding::new(
            subject,
            format!("found as soon as by id, {}", after(id_ms)),
            format!(
                "{}, by id {}: lag, not loss (query_end_cutoff in Tempo 3)",
                after(search_ms),
                after(id_ms)
            ),
        )],
    }
}

fn left_out(evidence: &Evidence, group: Group) -> bool {
    evidence.left_out.iter().any(|name| name == group.name())
}

/// Judges each service's counters; those that could not be read are why the
/// check is skipped, if there are no others.
fn counters(
    evidence: &Evidence,
    judge: fn(&States, &States) -> Option<(String, String)>,
) -> Option<Outcome> {
    evidence.counters.first()?;
    let mut findings = Vec::new();
    let mut unread = None;
    for counted in &evidence.counters {
        match both(counted) {
            Ok((before, after)) => {
                if let Some((expected, found)) = judge(before, after) {
                    findings.push(Finding {
                        url: Some(counted.url.clone()),
                        ..Finding::new(
                            format!("{} /metrics", counted.service.name()),
                            expected,
                            found,
                        )
                    });
                }
            }
            Err(why) => unread = Some(why),
        }
    }
    match unread {
        Some(why) if findings.is_empty() => Some(skipped(why)),
        _ => Some(verdict(findings)),
    }
}

type States = BTreeMap<String, u64>;

fn both(counted: &Counted) -> Result<(&States, &States), String> {
    let (Some(before), Some(after)) = (&counted.before, &counted.after) else {
        let why = counted.error.as_deref().unwrap_or("it was not read");
        return Err(why.to_owned());
    };
    // A counter that went back is another process: a replica, or a restart.
    if state(after, "started") < state(before, "started") {
        return Err(format!(
            "{} is answered by several processes, whose counters cannot be compared",
            counted.url
        ));
    }
    Ok((before, after))
}

fn state(states: &States, name: &str) -> u64 {
    states.get(name).copied().unwrap_or(0)
}

pub(super) fn dropped(evidence: &Evidence) -> Option<Outcome> {
    counters(evidence, |before, after| {
        let more = |name| state(after, name).saturating_sub(state(before, name));
        let (dropped, failed) = (more("dropped"), more("failed"));
        (dropped + failed > 0).then(|| {
            (
                "0 dropped, 0 failed".to_owned(),
                format!("{dropped} dropped, {failed} failed"),
            )
        })
    })
}

pub(super) fn balance(evidence: &Evidence) -> Option<Outcome> {
    counters(evidence, |_, after| {
        let ended = state(after, "ended");
        let told: u64 = ["exported", "dropped", "failed", "queued"]
            .into_iter()
            .map(|name| state(after, name))
            .sum();
        (ended != told).then(|| {
            (
                format!("{ended} ended = exported + dropped + failed + queued"),
                told.to_string(),
            )
        })
    })
}

/// The exchange of a trace whose lines were read.
fn exchange_of(evidence: &Evidence, id: TraceId) -> Option<&Exchange> {
    evidence
        .exchanges
        .iter()
        .find(|exchange| exchange.trace_id() == Some(id))
}

fn logs(evidence: &Evidence, judge: impl Fn(&Logged, &mut Vec<Finding>)) -> Option<Outcome> {
    if left_out(evidence, Group::Logs) || evidence.of(Kind::Foreign).next().is_some() {
        return None;
    }
    if let Some(why) = &evidence.without.logs {
        return Some(skipped(why));
    }
    evidence.logs.first()?;
    let mut findings = Vec::new();
    for logged in &evidence.logs {
        match (&logged.error, exchange_of(evidence, logged.trace_id)) {
            (Some(error), _) => {
                findings.push(Finding::new("the log store", "an answer", error));
            }
            (None, Some(_)) => judge(logged, &mut findings),
            (None, None) => {}
        }
    }
    Some(verdict(findings))
}

pub(super) fn log_lines(evidence: &Evidence) -> Option<Outcome> {
    logs(evidence, |logged, findings| {
        for service in Service::ALL {
            let any = logged
                .lines
                .iter()
                .any(|line| line.service() == Some(service.name()));
            if !any {
                findings.push(Finding {
                    trace_id: Some(logged.trace_id),
                    ..Finding::new(
                        format!("the log of the {}", service.name()),
                        "a line with the trace's id",
                        format!("none among {}", logged.lines.len()),
                    )
                });
            }
        }
    })
}

pub(super) fn log_spans(evidence: &Evidence) -> Option<Outcome> {
    if evidence.without.traces.is_some() {
        return None;
    }
    let outcome = logs(evidence, |logged, findings| {
        let trace = asked::traces(evidence).find(|trace| trace.id == logged.trace_id);
        let Some(trace) = trace else {
            return;
        };
        for line in &logged.lines {
            let (Some(service), Some(span)) = (line.service(), line.span_id()) else {
                continue;
            };
            let known = trace
                .spans
                .iter()
                .any(|known| known.service() == service && known.id.to_string() == span);
            if !known && Service::ALL.iter().any(|known| known.name() == service) {
                findings.push(Finding {
                    trace_id: Some(logged.trace_id),
                    ..Finding::new(
                        format!("a log line of the {service}"),
                        format!("the id of a span of the {service}"),
                        span,
                    )
                });
            }
        }
    })?;
    // That logs cannot be had was said once.
    (!matches!(outcome, Outcome::Skipped { .. })).then_some(outcome)
}
