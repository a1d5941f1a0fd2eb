//! Small traces for unit tests. Compiled for tests alone.

use std::sync::Arc;

use tdemo_trace::span::{Dropped, Resource, Scope, Status};
use tdemo_trace::{Attributes, Span, SpanId, SpanKind, Trace};

/// When the traces of the tests begin: 2023-11-14 22:13:20 UTC.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;

/// A span with a one-byte id, of the service and with the name in `what`, from
/// and to these milliseconds after [`EPOCH_MS`].
pub(crate) fn span(id: u8, parent: Option<u8>, what: (&str, &str), ms: (u64, u64)) -> Span {
    let id_of = |id: u8| SpanId([0, 0, 0, 0, 0, 0, 0, id]);
    let attributes: Attributes = [("service.name", what.0)].into_iter().collect();
    Span {
        id: id_of(id),
        parent: parent.map(id_of),
        name: what.1.to_owned(),
        kind: SpanKind::Internal,
        status: Status::default(),
        start_unix_nanos: (EPOCH_MS + ms.0) * 1_000_000,
        end_unix_nanos: (EPOCH_MS + ms.1) * 1_000_000,
        attributes: Attributes::default(),
        events: Vec::new(),
        links: Vec::new(),
        flags: 1,
        trace_state: String::new(),
        resource: Arc::new(Resource {
            attributes,
            ..Resource::default()
        }),
        scope: Arc::new(Scope::default()),
        dropped: Dropped::default(),
    }
}

/// A trace of these spans.
pub(crate) fn trace(spans: Vec<Span>) -> Trace {
    Trace {
        id: "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap(),
        spans,
    }
}

/// The demo's eight spans, as the sketch of `tdemo trace` shows them.
pub(crate) fn demo() -> Trace {
    trace(vec![
        span(1, None, ("frontend", "GET /api/process"), (0, 182)),
        span(2, Some(1), ("frontend", "frontend-process"), (0, 181)),
        span(3, Some(2), ("frontend", "POST"), (1, 181)),
        span(4, Some(3), ("middleware", "POST /api/transform"), (2, 180)),
        span(5, Some(4), ("middleware", "middleware-transform"), (2, 179)),
        span(6, Some(5), ("middleware", "GET"), (58, 179)),
        span(7, Some(6), ("backend", "GET /api/data"), (59, 178)),
        span(8, Some(7), ("backend", "backend-get-data"), (60, 178)),
    ])
}
