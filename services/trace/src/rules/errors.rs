//! Rules about status, `error.type` and exceptions.

use super::subject::Subject;
use super::{Findings, http};
use crate::owed::Tier;
use crate::span::{Span, SpanKind, StatusCode};

/// The first status code that is a failure on this side.
fn first_failing(kind: SpanKind) -> i64 {
    if kind == SpanKind::Client { 400 } else { 500 }
}

pub(super) fn unset(subject: &Subject<'_>, out: &mut Findings) {
    for span in http::both_kinds(subject) {
        let Some(code) = http::status_code(span).filter(|code| *code < first_failing(span.kind))
        else {
            continue;
        };
        // Something else may have gone wrong after a good status code: then
        // `error.type` names it. On the answering side a 4xx is never an error.
        let refused = span.kind == SpanKind::Server && code >= 400;
        let other = span.attributes.get_str("error.type").is_some() && !refused;
        if span.status.code != StatusCode::Unset && !other {
            out.span(
                span,
                format!("status Unset with {code}"),
                format!("status {}", span.status.code),
            );
        }
    }
    // The demo's own work fails if and only if its answer does.
    if subject.demo().is_some() {
        for (server, span) in subject.pairs() {
            let good = http::status_code(server).is_some_and(|code| code < 400);
            if span.kind == SpanKind::Internal && good && span.status.code != StatusCode::Unset {
                out.span(
                    span,
                    "status Unset, for the answer was good",
                    format!("status {}", span.status.code),
                );
            }
        }
    }
}

pub(super) fn error(subject: &Subject<'_>, out: &mut Findings) {
    for span in http::both_kinds(subject) {
        if let Some(code) = http::status_code(span)
            && code >= first_failing(span.kind)
            && span.status.code != StatusCode::Error
        {
            out.span(
                span,
                format!("status Error with {code}"),
                format!("status {}", span.status.code),
            );
        }
    }
}

pub(super) fn error_type(subject: &Subject<'_>, out: &mut Findings) {
    let demo = subject.demo().is_some();
    let of_http = http::both_kinds(subject);
    let others = subject
        .spans
        .iter()
        .copied()
        .filter(|span| demo && !matches!(span.kind, SpanKind::Server | SpanKind::Client));
    for span in of_http.chain(others) {
        let found = span.attributes.get("error.type");
        let text = found.and_then(crate::Value::as_str);
        let code = http::status_code(span).filter(|code| *code >= first_failing(span.kind));
        match (span.status.code, text) {
            (StatusCode::Error, None) => {
                let expected = code.map_or_else(
                    || "error.type (string)".to_owned(),
                    |code| format!("error.type = \"{code}\""),
                );
                let found = found.map_or_else(
                    || "none".to_owned(),
                    |value| format!("{value} ({})", value.type_name()),
                );
                out.span(span, expected, found);
            }
            (StatusCode::Error, Some(text)) => {
                if let Some(code) = code
                    && demo
                    && text != code.to_string()
                {
                    out.span(
                        span,
                        format!("error.type = \"{code}\""),
                        format!("{text:?}"),
                    );
                }
            }
            // An answer that failed without the status is the rule above's.
            (_, Some(text)) if code.is_none() => {
                out.span(
                    span,
                    "no error.type on a span that did not fail",
                    format!("{text:?}"),
                );
            }
            _ => {}
        }
    }
}

/// The attribute in which a tier says why its work failed.
fn words_key(span: &Span) -> Option<&'static str> {
    match span.service() {
        name if name == Tier::Frontend.service() => Some("frontend.error"),
        name if name == Tier::Middleware.service() => Some("middleware.error"),
        _ => None,
    }
}

pub(super) fn work(subject: &Subject<'_>, out: &mut Findings) {
    for (span, call) in subject.pairs() {
        if span.kind == SpanKind::Internal
            && call.kind == SpanKind::Client
            && call.status.code == StatusCode::Error
            && span.status.code != StatusCode::Error
        {
            out.span(
                span,
                format!("status Error, for {} failed", call.label()),
                format!("status {}", span.status.code),
            );
        }
    }
    for span in &subject.spans {
        if span.kind != SpanKind::Internal || span.status.code != StatusCode::Error {
            continue;
        }
        if let Some(key) = words_key(span)
            && span.attributes.get_str(key).is_none_or(str::is_empty)
        {
            out.span(span, format!("{key} (string)"), "none");
        }
    }
}

/// Whether the trace ends in an answer that must have an exception in it.
pub(super) fn has_failed(subject: &Subject<'_>) -> bool {
    subject.demo().is_some_and(|answer| answer.status >= 500)
}

pub(super) fn exception(subject: &Subject<'_>, out: &mut Findings) {
    let told = subject.spans.iter().any(|span| {
        span.status.code == StatusCode::Error
            && span.events.iter().any(|event| {
                let has = |key| event.attributes.get_str(key).is_some();
                event.name == "exception" && (has("exception.type") || has("exception.message"))
            })
    });
    if !told {
        out.trace(
            "an exception event, with exception.type or exception.message, on a failed span",
            "none",
        );
    }
}

pub(super) fn faults(subject: &Subject<'_>, out: &mut Findings) {
    const KEY: &str = "demo.fault.injected";
    for (tier, expected) in subject.asked.faults {
        let Some(span) = subject
            .spans
            .iter()
            .find(|span| span.kind == SpanKind::Server && span.service() == tier.service())
        else {
            out.absent(
                tier.service(),
                format!("{} SERVER with {KEY}", tier.service()),
            );
            continue;
        };
        let found = span.attributes.get(KEY);
        if found.and_then(crate::Value::as_str) != Some(expected) {
            out.span(
                span,
                format!("{KEY} = {expected}"),
                found.map_or_else(|| "none".to_owned(), ToString::to_string),
            );
        }
    }
}
