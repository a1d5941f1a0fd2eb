//! What an exchange was, in the words of the trace rules: what its answer owes,
//! and what is known of the request. Used by `gather` to wait, and by the
//! checks to judge, so that both mean the same.

use std::collections::BTreeSet;

use tdemo_trace::facts::Fact;
use tdemo_trace::rules::{self, Request};
use tdemo_trace::{Answer, Caller, Owed, Trace, TraceId};

use super::errand::{Kind, TRACESTATE};
use super::evidence::{Evidence, Exchange, Without};

/// Whether the exchange leaves a trace, or shows by an id that it must leave
/// none.
pub fn is_traced(exchange: &Exchange) -> bool {
    exchange.kind != Kind::Health && exchange.trace_id().is_some()
}

/// What was asked, for the rules; `None` where there was no answer.
pub fn asked<'e>(exchange: &'e Exchange, without: &Without) -> Option<rules::Asked<'e>> {
    let caller = match exchange.parent {
        None => Caller::Silent,
        Some(parent) if parent.exported => Caller::Exported(parent.span_id),
        Some(parent) => Caller::Unexported(parent.span_id),
    };
    let mut asked = if exchange.kind == Kind::Foreign {
        rules::Asked::foreign(caller)
    } else {
        rules::Asked::demo(Answer {
            tier: Some(exchange.service.tier()),
            method: &exchange.method,
            path: path(&exchange.url),
            status: exchange.status()?,
            sampled: exchange.sampled(),
            caller,
        })
    };
    asked.response = exchange.response().map(|response| rules::TraceResponse {
        trace_id: response.trace_id,
        span_id: response.span_id,
    });
    asked.flags = exchange.parent.map(|parent| parent.flags);
    asked.tracestate = exchange.parent.map(|_| TRACESTATE);
    if without.faults.is_none() {
        asked.faults = exchange.kind.faults();
    }
    Some(asked)
}

/// What its answer owes; nothing where there was none.
pub fn owed(exchange: &Exchange, without: &Without) -> Owed {
    asked(exchange, without).map_or_else(Owed::nothing, |asked| asked.owed())
}

/// The path of a URL below its host. What stands before the demo's own paths
/// belongs to whoever serves the demo below a prefix.
fn path(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    ["/api/process", "/api/transform", "/api/data"]
        .into_iter()
        .find(|known| path.ends_with(known))
        .unwrap_or(path)
}

/// The run's own traces that `fact` holds of: those that a search must find.
/// Only what was found by id can be asked of a search.
pub fn must_find(evidence: &Evidence, fact: Fact) -> BTreeSet<TraceId> {
    traces(evidence)
        .filter(|trace| fact.holds(trace))
        .map(|trace| trace.id)
        .collect()
}

/// The traces that were found by id.
pub fn traces(evidence: &Evidence) -> impl Iterator<Item = &Trace> {
    evidence.reads.iter().filter_map(|read| read.trace.as_ref())
}

/// Whether the exchange asked for this request of the demo.
pub fn is_demo(asked: &rules::Asked<'_>) -> bool {
    matches!(asked.request, Request::Demo(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_before_the_demos_paths_is_not_part_of_them() {
        assert_eq!(path("http://a:1/api/process"), "/api/process");
        assert_eq!(path("http://a/demo/api/process"), "/api/process");
        assert_eq!(path("http://a:1/"), "/");
        assert_eq!(path("http://a:1"), "/");
        assert_eq!(path("http://a/no/such/path"), "/no/such/path");
    }
}
