//! What a trace says about itself in TraceQL: a query, and the same question
//! asked of a trace in hand.
//!
//! Whoever made some traces and kept their ids can say beforehand which of them
//! each query must find; the smoke test compares that with what a backend
//! finds.

use std::fmt;
use std::time::Duration;

use crate::owed::Tier;
use crate::rules::NAMESPACE;
use crate::span::{Span, StatusCode};
use crate::trace::Trace;

/// A TraceQL query of one spanset, `{ … }`, whose truth can be worked out here.
/// Its text is the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// Some span is of the demo, by its namespace.
    Demo,
    /// Some span took longer than this, which is at least a millisecond; the
    /// query is written in whole milliseconds.
    SlowerThan(Duration),
    /// Some span is of this tier.
    Touches(Tier),
    /// Some span failed.
    Failed,
}

impl Fact {
    /// The four that the demo's documentation teaches.
    pub const TAUGHT: [Self; 4] = [
        Self::Demo,
        Self::SlowerThan(Duration::from_millis(200)),
        Self::Touches(Tier::Frontend),
        Self::Failed,
    ];

    /// Whether the query must find `trace`.
    pub fn holds(self, trace: &Trace) -> bool {
        trace.spans.iter().any(|span| self.holds_of(span))
    }

    fn holds_of(self, span: &Span) -> bool {
        match self {
            Self::Demo => span.resource.attributes.get_str("service.namespace") == Some(NAMESPACE),
            Self::SlowerThan(limit) => {
                let whole = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                span.duration_nanos() > whole.saturating_mul(1_000_000)
            }
            Self::Touches(tier) => span.service() == tier.service(),
            Self::Failed => span.status.code == StatusCode::Error,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demo => write!(f, "{{ resource.service.namespace = {NAMESPACE:?} }}"),
            Self::SlowerThan(limit) => write!(f, "{{ duration > {}ms }}", limit.as_millis()),
            Self::Touches(tier) => {
                write!(f, "{{ resource.service.name = {:?} }}", tier.service())
            }
            Self::Failed => f.write_str("{ status = error }"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_taught_queries_read_as_they_are_taught() {
        assert_eq!(
            Fact::TAUGHT.map(|fact| fact.to_string()),
            [
                "{ resource.service.namespace = \"tracing-demo\" }",
                "{ duration > 200ms }",
                "{ resource.service.name = \"frontend\" }",
                "{ status = error }",
            ]
        );
    }

    #[test]
    fn each_fact_holds_of_the_traces_that_it_describes() {
        let facts = |json| Fact::TAUGHT.map(|fact| fact.holds(&fixture::read(json)));
        assert_eq!(facts(fixture::DEMO), [true, false, true, false]);
        assert_eq!(facts(fixture::DEMO_ERROR), [true, false, true, true]);
        let foreign = fixture::trace(vec![fixture::span(1, None, 0, 200_000_001)]);
        assert_eq!(
            Fact::TAUGHT.map(|fact| fact.holds(&foreign)),
            [false, true, false, false]
        );
    }

    #[test]
    fn a_span_of_just_the_limit_is_not_slower() {
        let exact = fixture::trace(vec![fixture::span(1, None, 0, 200_000_000)]);
        assert!(!Fact::SlowerThan(Duration::from_millis(200)).holds(&exact));
        assert!(Fact::SlowerThan(Duration::from_millis(199)).holds(&exact));
        let empty = Trace::empty(exact.id);
        assert!(Fact::TAUGHT.iter().all(|fact| !fact.holds(&empty)));
    }
}
