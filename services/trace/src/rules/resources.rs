//! Rules about who made a span.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Findings;
use super::subject::Subject;
use crate::span::{Resource, Span};

/// The resource attributes that every service of the demo has.
const DEMO: [&str; 7] = [
    "service.namespace",
    "service.version",
    "service.instance.id",
    "deployment.environment.name",
    "telemetry.sdk.language",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
];

/// The value of `service.namespace` in the demo.
pub(crate) const NAMESPACE: &str = "tracing-demo";

/// Each resource once, with the first of its spans. Spans read from OTLP share
/// equal resources.
fn resources<'s>(subject: &Subject<'s>) -> impl Iterator<Item = (&'s Resource, &'s Span)> {
    let mut seen = HashSet::new();
    subject.spans.clone().into_iter().filter_map(move |span| {
        seen.insert(Arc::as_ptr(&span.resource))
            .then_some((&*span.resource, span))
    })
}

pub(super) fn service_name(subject: &Subject<'_>, out: &mut Findings) {
    for (_, span) in resources(subject) {
        let name = span.service();
        if name.is_empty() || name.starts_with("unknown_service") {
            out.span(
                span,
                "a service.name",
                if name.is_empty() { "none" } else { name },
            );
        }
    }
}

pub(super) fn instance_id(subject: &Subject<'_>, out: &mut Findings) {
    for (resource, span) in resources(subject) {
        if resource.attributes.get("service.instance.id").is_none() {
            out.span(span, "a service.instance.id", "none");
        }
    }
}

pub(super) fn demo(subject: &Subject<'_>, out: &mut Findings) {
    for (resource, span) in resources(subject) {
        for key in DEMO {
            let value = resource.attributes.get(key);
            let found = || match value {
                Some(value) => format!("{value} ({})", value.type_name()),
                // What stands in its place is told by `old_keys`.
                None => "none".to_owned(),
            };
            let text = value.and_then(crate::Value::as_str).unwrap_or_default();
            if key == "service.namespace" {
                if text != NAMESPACE {
                    out.span(span, format!("{key} = {NAMESPACE}"), found());
                }
            } else if text.is_empty() && !has_old_key(resource, key) {
                out.span(span, format!("{key} (string)"), found());
            }
        }
    }
}

pub(super) fn distinct(subject: &Subject<'_>, out: &mut Findings) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (resource, span) in resources(subject) {
        let Some(id) = resource.attributes.get_str("service.instance.id") else {
            continue;
        };
        let owner = *owners.entry(id).or_insert(span.service());
        if owner != span.service() {
            out.span(
                span,
                "a service.instance.id of its own",
                format!("{id}, which is {owner}'s too"),
            );
        }
    }
}

/// Resource attributes that the conventions renamed.
const RENAMED: [(&str, &str); 1] = [("deployment.environment", "deployment.environment.name")];

fn has_old_key(resource: &Resource, key: &str) -> bool {
    RENAMED
        .iter()
        .any(|(old, new)| *new == key && resource.attributes.get(old).is_some())
}

pub(super) fn old_keys(subject: &Subject<'_>, out: &mut Findings) {
    for (resource, span) in resources(subject) {
        for (old, new) in RENAMED {
            if let Some(value) = resource.attributes.get(old) {
                out.span(span, new, format!("{old} = {value}, which it replaced"));
            }
        }
    }
}
