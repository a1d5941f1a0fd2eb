//! Rules about which spans there are and how they hang together.

use super::subject::Subject;
use super::{Findings, http};
use crate::id::SpanId;
use crate::owed::{Caller, Tier, Wanted, is_of};
use crate::span::{Span, SpanKind};
use crate::tree::Place;

pub(super) fn exact_set(subject: &Subject<'_>, out: &mut Findings) {
    for (step, part) in subject.cast.steps.iter().zip(&subject.cast.parts) {
        if part.is_none() {
            let service = step.tier.map_or("", Tier::service);
            out.absent(service, step.wanted().to_string());
        }
    }
    for span in &subject.cast.extra {
        out.span(span, "no such span", "one");
    }
    // An answer that owes no chain owes one span, and the caller's own is owed
    // beside either. A status that differs is another rule's.
    if subject.cast.steps.is_empty() {
        for wanted in subject.owed.judge(subject.trace).missing() {
            let tier = match wanted {
                Wanted::Span { tier, .. } => Some(*tier),
                Wanted::Caller(_) | Wanted::Root => None,
            };
            let entry = subject.entry();
            let differs = tier.is_some_and(|tier| entry.is_some_and(|span| is_of(span, tier)));
            if !differs {
                let service = tier.flatten().map_or("", Tier::service);
                out.absent(service, wanted.to_string());
            }
        }
    } else if let Caller::Exported(id) = subject.caller()
        && subject.trace.span(id).is_none()
    {
        out.absent("", format!("the caller's span {id}"));
    }
}

pub(super) fn unsampled(subject: &Subject<'_>, out: &mut Findings) {
    for span in &subject.trace.spans {
        out.span(span, "no span of an unsampled request", "one");
    }
}

pub(super) fn unique(subject: &Subject<'_>, out: &mut Findings) {
    for span in subject.tree.duplicates() {
        out.span(span, format!("one span {}", span.id), "another one");
    }
}

pub(super) fn services(subject: &Subject<'_>, out: &mut Findings) {
    for (step, span) in subject.cast.played() {
        if !step.is_of(span) {
            let expected = step.tier.map_or("a tier of the demo", Tier::service);
            out.span(
                span,
                format!("service.name = {expected}"),
                format!("service.name = {}", span.service()),
            );
        }
    }
}

pub(super) fn kinds(subject: &Subject<'_>, out: &mut Findings) {
    for (step, span) in subject.cast.played() {
        if step.kind != span.kind {
            out.span(
                span,
                format!("kind {}", step.kind),
                format!("kind {}", span.kind),
            );
        }
    }
}

pub(super) fn names(subject: &Subject<'_>, out: &mut Findings) {
    for (step, span) in subject.cast.played() {
        // A name that contradicts the span's own attributes is another rule's.
        if step.name != span.name && !http::is_misnamed(span) {
            out.span(
                span,
                format!("name {:?}", step.name),
                format!("name {:?}", span.name),
            );
        }
    }
}

pub(super) fn parents(subject: &Subject<'_>, out: &mut Findings) {
    let caller = subject.caller();
    let mut above: Option<Option<SpanId>> = Some(caller.span_id());
    for (at, part) in subject.cast.parts.iter().enumerate() {
        let expected = above.take();
        let Some(span) = part else { continue };
        above = Some(Some(span.id));
        let Some(expected) = expected else { continue };
        // Absent parents, second roots and loops are other rules'.
        let told = match span.parent {
            None => at > 0 || matches!(caller, Caller::Exported(_)),
            Some(parent) => subject.tree.find(parent).is_none() && !is_sent(subject, parent),
        };
        let looped = subject.tree.looped().any(|top| std::ptr::eq(top, *span));
        if expected != span.parent && !told && !looped {
            out.span(
                span,
                parent_text(subject, expected),
                parent_text(subject, span.parent),
            );
        }
    }
}

fn is_sent(subject: &Subject<'_>, parent: SpanId) -> bool {
    subject.caller().span_id() == Some(parent)
}

fn parent_text(subject: &Subject<'_>, parent: Option<SpanId>) -> String {
    let Some(id) = parent else {
        return "no parent".to_owned();
    };
    let label = match subject.trace.span(id) {
        Some(span) => span.label(),
        None => "the caller's".to_owned(),
    };
    format!("parent {id} ({label})")
}

pub(super) fn orphans(subject: &Subject<'_>, out: &mut Findings) {
    for (span, missing) in subject.tree.orphans() {
        if subject.caller() != Caller::Unexported(missing) {
            out.span(span, format!("its parent {missing} in the trace"), "none");
        }
    }
}

pub(super) fn one_root(subject: &Subject<'_>, out: &mut Findings) {
    let tops: Vec<&Span> = subject
        .tree
        .tops()
        .map(|top| &subject.tree.nodes()[top])
        .filter(|node| match node.place {
            Place::Root => true,
            Place::Orphan { missing } => subject.caller() == Caller::Unexported(missing),
            Place::Child | Place::Looped => false,
        })
        .map(|node| node.span)
        .collect();
    // Where the root is absent, its children are orphans, and told as such.
    if tops.len() > 1 {
        let labels: Vec<String> = tops.iter().map(|span| span.label()).collect();
        out.trace("one root", format!("{}: {}", tops.len(), labels.join("; ")));
    } else if subject.trace.spans.is_empty() && subject.demo().is_none() {
        out.trace("one root", "no span at all");
    }
}

pub(super) fn root_kind(subject: &Subject<'_>, out: &mut Findings) {
    for span in subject.tree.roots() {
        let callers = matches!(subject.caller(), Caller::Exported(id) if id == span.id);
        if span.kind == SpanKind::Client && !callers {
            out.span(span, "a root of another kind than CLIENT", "kind CLIENT");
        }
    }
}

pub(super) fn loops(subject: &Subject<'_>, out: &mut Findings) {
    for span in subject.tree.looped() {
        out.span(span, "a way up to a root", "itself among its ancestors");
    }
}

pub(super) fn flags(subject: &Subject<'_>, out: &mut Findings) {
    // W3C Trace Context Level 2 knows two flags: sampled and random.
    let known = |flags: u8| flags & 0x03;
    for span in &subject.spans {
        let found = span.trace_flags();
        match subject.asked.flags {
            Some(sent) if known(found) != known(sent) => out.span(
                span,
                format!("trace flags {sent:02x}, as they were sent"),
                format!("{found:02x}"),
            ),
            None if found & 0x01 == 0 => out.span(
                span,
                "the sampled flag, for it was exported",
                format!("trace flags {found:02x}"),
            ),
            _ => {}
        }
    }
}

pub(super) fn tracestate(subject: &Subject<'_>, out: &mut Findings) {
    let sent = subject.asked.tracestate.unwrap_or_default();
    for span in &subject.spans {
        if !members(sent).eq(members(&span.trace_state)) {
            out.span(
                span,
                format!("tracestate {sent:?}"),
                format!("{:?}", span.trace_state),
            );
        }
    }
}

/// The members of a `tracestate`, around which spaces mean nothing.
fn members(tracestate: &str) -> impl Iterator<Item = &str> {
    tracestate
        .split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

pub(super) fn response(subject: &Subject<'_>, out: &mut Findings) {
    let Some(response) = subject.asked.response else {
        return;
    };
    if response.trace_id != subject.trace.id {
        out.trace(
            format!("the trace id of traceresponse, {}", response.trace_id),
            subject.trace.id.to_string(),
        );
    }
    // A SERVER span that is missing altogether is told by the rule for that.
    let Some(entry) = subject.entry() else {
        return;
    };
    if entry.id != response.span_id {
        out.span(
            entry,
            format!("the span id of traceresponse, {}", response.span_id),
            entry.id.to_string(),
        );
    }
}
