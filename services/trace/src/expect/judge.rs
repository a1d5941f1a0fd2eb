//! A trace held against an expectation.

use std::collections::BTreeSet;

use super::{Expectation, ExpectedAttributes};
use crate::rules::{Finding, Findings};
use crate::span::{Span, StatusCode};
use crate::trace::Trace;
use crate::value::Attributes;

impl Expectation {
    /// What is not as expected; nothing if all is. The findings' rules are
    /// `expect.service`, `expect.span`, `expect.edge`, `expect.status`,
    /// `expect.attribute` and `expect.resource`. Copies of a span that arrived
    /// twice count once.
    pub fn judge(&self, trace: &Trace) -> Vec<Finding> {
        let mut seen = BTreeSet::new();
        let spans: Vec<&Span> = trace
            .spans
            .iter()
            .filter(|span| seen.insert(span.id))
            .collect();
        let mut out = Findings::default();
        self.judge_services(&spans, &mut out);
        self.judge_spans(&spans, &mut out);
        self.judge_edges(&spans, &mut out);
        out.all
    }

    fn judge_services(&self, spans: &[&Span], out: &mut Findings) {
        out.rule = "expect.service";
        for service in &self.services {
            if !spans.iter().any(|span| span.service() == service) {
                out.trace(format!("a span of {service}"), "none");
            }
        }
        if self.only_these_services {
            let others: BTreeSet<&str> = spans
                .iter()
                .map(|span| span.service())
                .filter(|service| !self.services.iter().any(|name| name == service))
                .collect();
            for other in others {
                out.trace(
                    format!("no other service than {}", self.services.join(", ")),
                    if other.is_empty() {
                        "a span without service.name".to_owned()
                    } else {
                        format!("a span of {other}")
                    },
                );
            }
        }
    }

    fn judge_spans(&self, spans: &[&Span], out: &mut Findings) {
        for expected in &self.spans {
            let selected: Vec<&Span> = spans
                .iter()
                .copied()
                .filter(|span| expected.select.selects(span))
                .collect();
            out.rule = "expect.span";
            if !expected.count.holds(selected.len()) {
                out.trace(
                    format!("{} of {}", expected.count, expected.select),
                    selected.len().to_string(),
                );
            }
            for span in selected {
                out.rule = "expect.status";
                if let Some(status) = expected.status.map(StatusCode::from)
                    && status != span.status.code
                {
                    out.span(
                        span,
                        format!("status {status}"),
                        format!("status {}", span.status.code),
                    );
                }
                out.rule = "expect.attribute";
                judge_attributes(&expected.attributes, &span.attributes, span, out);
                out.rule = "expect.resource";
                judge_attributes(&expected.resource, &span.resource.attributes, span, out);
            }
        }
    }

    fn judge_edges(&self, spans: &[&Span], out: &mut Findings) {
        out.rule = "expect.edge";
        for edge in &self.edges {
            let above: BTreeSet<_> = spans
                .iter()
                .filter(|span| edge.from.selects(span))
                .map(|span| span.id)
                .collect();
            let found = spans
                .iter()
                .filter(|span| edge.to.selects(span))
                .filter(|span| span.parent.is_some_and(|parent| above.contains(&parent)))
                .count();
            if !edge.count.holds(found) {
                out.trace(
                    format!("{} of {} below {}", edge.count, edge.to, edge.from),
                    found.to_string(),
                );
            }
        }
    }
}

fn judge_attributes(
    expected: &ExpectedAttributes,
    found: &Attributes,
    span: &Span,
    out: &mut Findings,
) {
    for (key, expected) in expected {
        let value = found.get(key);
        if !expected.holds(value) {
            out.span(
                span,
                format!("{key}: {expected}"),
                value.map_or_else(
                    || "none".to_owned(),
                    |value| format!("{value} ({})", value.type_name()),
                ),
            );
        }
    }
}
