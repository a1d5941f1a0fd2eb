//! The rule about the attributes of the demo's own work.

use super::Findings;
use super::subject::Subject;
use crate::span::{Span, SpanKind};
use crate::value::Value;

/// What an attribute's value must be.
enum Wanted {
    /// This text.
    Text(&'static str),
    /// The request's method.
    Method,
    /// Any list of texts.
    Texts,
    /// Any double.
    Double,
    /// An HTTP status code, where the next tier answered.
    Status,
}

/// Span name, attribute, value.
const WANTED: [(&str, &str, Wanted); 9] = [
    (
        "frontend-process",
        "frontend.handler",
        Wanted::Text("process"),
    ),
    (
        "frontend-process",
        "frontend.request.method",
        Wanted::Method,
    ),
    (
        "frontend-process",
        "frontend.middleware.status",
        Wanted::Status,
    ),
    (
        "middleware-transform",
        "middleware.handler",
        Wanted::Text("transform"),
    ),
    (
        "middleware-transform",
        "middleware.input.keys",
        Wanted::Texts,
    ),
    (
        "middleware-transform",
        "middleware.backend.status",
        Wanted::Status,
    ),
    (
        "backend-get-data",
        "backend.handler",
        Wanted::Text("get_data"),
    ),
    (
        "backend-get-data",
        "backend.query.duration_ms",
        Wanted::Double,
    ),
    (
        "backend-get-data",
        "backend.query.type",
        Wanted::Text("simulated_database_query"),
    ),
];

fn works<'s>(subject: &Subject<'s>) -> impl Iterator<Item = &'s Span> {
    subject
        .spans
        .iter()
        .copied()
        .filter(|span| WANTED.iter().any(|(name, _, _)| span.name == *name))
}

pub(super) fn has_work(subject: &Subject<'_>) -> bool {
    subject.demo().is_some() && works(subject).next().is_some()
}

pub(super) fn attributes(subject: &Subject<'_>, out: &mut Findings) {
    let Some(answer) = subject.demo() else { return };
    let good = (200..300).contains(&answer.status);
    for span in works(subject) {
        // The status of the next tier's answer, as the CLIENT span has it.
        let next = subject
            .below(span)
            .filter(|below| below.kind == SpanKind::Client)
            .find_map(super::http::status_code);
        for (name, key, wanted) in &WANTED {
            if span.name != *name {
                continue;
            }
            let value = span.attributes.get(key);
            let (fine, expected) = match (wanted, value) {
                (Wanted::Text(text), value) => (
                    value.and_then(Value::as_str) == Some(text),
                    format!("{key} = {text} (string)"),
                ),
                (Wanted::Method, value) => (
                    value.and_then(Value::as_str) == Some(answer.method),
                    format!("{key} = {} (string)", answer.method),
                ),
                (Wanted::Texts, value) => (
                    matches!(value, Some(Value::Array(values)) if values.iter().all(|value| value.as_str().is_some())),
                    format!("{key} (array of strings)"),
                ),
                // Work that was broken off never learnt how long it took.
                (Wanted::Double, value) => (
                    matches!(value, Some(Value::Double(_))) || (value.is_none() && !good),
                    format!("{key} (double)"),
                ),
                (Wanted::Status, None) => (!good && next.is_none(), format!("{key} (int)")),
                (Wanted::Status, Some(value)) => (
                    value.as_int().is_some()
                        && next.is_none_or(|next| value.as_int() == Some(next)),
                    next.map_or_else(
                        || format!("{key} (int)"),
                        |next| format!("{key} = {next} (int)"),
                    ),
                ),
            };
            if !fine {
                let found = value.map_or_else(
                    || "none".to_owned(),
                    |value| format!("{value} ({})", value.type_name()),
                );
                out.span(span, expected, found);
            }
        }
    }
}
