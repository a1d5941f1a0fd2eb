//! Traces for this crate's own tests.

use std::sync::Arc;

use crate::otlp;
use crate::span::{Dropped, Resource, Scope, Span, SpanKind, Status};
use crate::{Attributes, SpanId, Trace, TraceId};

/// `GET /api/process`, 200, as the demo answers it.
pub(crate) const DEMO: &[u8] = include_bytes!("../tests/data/demo-trace.json");
/// The same with the backend down: 502.
pub(crate) const DEMO_ERROR: &[u8] = include_bytes!("../tests/data/demo-error-trace.json");
/// `DELETE /api/process`: 405.
pub(crate) const DEMO_405: &[u8] = include_bytes!("../tests/data/demo-405-trace.json");
/// `GET /api/process`, 502, recorded from the services: the backend took longer
/// than the middleware waits.
pub(crate) const DEMO_TIMEOUT: &[u8] = include_bytes!("../tests/data/demo-timeout-trace.json");
/// `GET /api/process`, recorded from the services: its caller sent a parent and
/// went away before the answer.
pub(crate) const DEMO_GONE: &[u8] = include_bytes!("../tests/data/demo-gone-trace.json");
/// The Python original's, through a real Tempo.
pub(crate) const PYTHON: &[u8] = include_bytes!("../tests/data/python-trace.json");
/// The Python original's with its backend down, through a real Tempo.
pub(crate) const PYTHON_ERROR: &[u8] = include_bytes!("../tests/data/python-error-trace.json");

/// The one trace in a file.
pub(crate) fn read(json: &[u8]) -> Trace {
    let groups = otlp::json::decode(json).unwrap();
    let mut traces = Trace::from_otlp(groups).unwrap();
    assert_eq!(traces.len(), 1, "the file holds one trace");
    traces.remove(0)
}

pub(crate) fn id(number: u64) -> SpanId {
    SpanId(number.to_be_bytes())
}

/// A bare span: numbers for its ids, its times in nanoseconds.
pub(crate) fn span(number: u64, parent: Option<u64>, start: u64, end: u64) -> Span {
    Span {
        id: id(number),
        parent: parent.map(id),
        name: format!("span {number}"),
        kind: SpanKind::Internal,
        status: Status::default(),
        start_unix_nanos: start,
        end_unix_nanos: end,
        attributes: Attributes::default(),
        events: Vec::new(),
        links: Vec::new(),
        flags: 0x101,
        trace_state: String::new(),
        resource: Arc::new(Resource::default()),
        scope: Arc::new(Scope::default()),
        dropped: Dropped::default(),
    }
}

pub(crate) fn trace(spans: Vec<Span>) -> Trace {
    Trace {
        id: TraceId([7; 16]),
        spans,
    }
}

/// The span of a service with this kind.
pub(crate) fn find<'t>(trace: &'t mut Trace, service: &str, kind: SpanKind) -> &'t mut Span {
    trace
        .spans
        .iter_mut()
        .find(|span| span.service() == service && span.kind == kind)
        .expect("the trace holds such a span")
}
