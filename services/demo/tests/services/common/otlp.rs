//! A real OTLP/HTTP receiver that keeps every span, and waits for them by event.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::DEADLINE;

/// A span as it arrived, with its service's name.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) resource: BTreeMap<String, Value>,
    pub(crate) attributes: BTreeMap<String, Value>,
    pub(crate) span: Span,
}

impl Seen {
    pub(crate) fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    pub(crate) fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    /// `service KIND name`
    pub(crate) fn label(&self) -> String {
        let kind = SpanKind::try_from(self.span.kind).unwrap().as_str_name();
        format!(
            "{} {} {}",
            self.service,
            kind.trim_start_matches("SPAN_KIND_"),
            self.span.name
        )
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.span.status.as_ref().map_or(
            StatusCode::Unset,
            opentelemetry_proto::tonic::trace::v1::Status::code,
        )
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.attributes.get(key) {
            Some(Value::StringValue(text)) => Some(text),
            Some(other) => panic!("{key} of {} is no string but {other:?}", self.label()),
            None => None,
        }
    }

    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        match self.attributes.get(key) {
            Some(Value::IntValue(number)) => Some(*number),
            Some(other) => panic!("{key} of {} is no integer but {other:?}", self.label()),
            None => None,
        }
    }

    /// The attributes of the span's `exception` events.
    pub(crate) fn exceptions(&self) -> Vec<BTreeMap<String, Value>> {
        let events = self
            .span
            .events
            .iter()
            .filter(|event| event.name == "exception");
        events.map(|event| map(&event.attributes)).collect()
    }
}

/// The receiver. It has a thread of its own and lives as long as the process, so that no service under test, however it
/// ends, finds it gone or its runtime busy.
pub(crate) struct Receiver {
    address: SocketAddr,
    seen: watch::Sender<Vec<Seen>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = watch::Sender::new(Vec::new());
        let store = seen.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(listener, store));
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span so far.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until `enough` holds for the spans of one trace, and gives those.
    pub(crate) async fn trace_when(
        &self,
        trace_id: &str,
        enough: impl Fn(&[Seen]) -> bool,
    ) -> Vec<Seen> {
        let mut watch = self.seen.subscribe();
        let mut last = Vec::new();
        let waiting = async {
            loop {
                last = watch
                    .borrow_and_update()
                    .iter()
                    .filter(|seen| hex(&seen.span.trace_id) == trace_id)
                    .cloned()
                    .collect();
                if enough(&last) {
                    return;
                }
                watch.changed().await.unwrap();
            }
        };
        let arrived = tokio::time::timeout(DEADLINE, waiting).await;
        let labels: Vec<_> = last.iter().map(Seen::label).collect();
        assert!(
            arrived.is_ok(),
            "trace {trace_id} stays at {} spans: {labels:?}",
            last.len()
        );
        last
    }

    /// Waits until `count` spans of a trace are there.
    pub(crate) async fn trace(&self, trace_id: &str, count: usize) -> Vec<Seen> {
        let spans = self
            .trace_when(trace_id, |spans| spans.len() >= count)
            .await;
        assert_eq!(
            spans.len(),
            count,
            "{:?}",
            spans.iter().map(Seen::label).collect::<Vec<_>>()
        );
        spans
    }

    /// Waits until the span with this label is there, and gives it.
    pub(crate) async fn span(&self, trace_id: &str, label: &str) -> Seen {
        let is_it = |seen: &Seen| seen.label() == label;
        let spans = self
            .trace_when(trace_id, |spans| spans.iter().any(is_it))
            .await;
        spans.into_iter().find(is_it).unwrap()
    }
}

async fn serve(listener: std::net::TcpListener, store: watch::Sender<Vec<Seen>>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let store = store.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let store = store.clone();
            async move {
                assert_eq!(request.uri().path(), "/v1/traces");
                let body = request.into_body().collect().await?.to_bytes();
                let export = ExportTraceServiceRequest::decode(body).unwrap();
                store.send_modify(|seen| seen.extend(spans(export)));
                let mut answer = Response::new(Full::new(Bytes::new()));
                let protobuf = HeaderValue::from_static("application/x-protobuf");
                answer.headers_mut().insert("content-type", protobuf);
                Ok::<_, hyper::Error>(answer)
            }
        });
        // A service that stops closes its connection, which is no error here.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn spans(export: ExportTraceServiceRequest) -> Vec<Seen> {
    let mut seen = Vec::new();
    for group in export.resource_spans {
        let resource = map(&group.resource.unwrap_or_default().attributes);
        let Some(Value::StringValue(service)) = resource.get("service.name").cloned() else {
            panic!("a resource without service.name: {resource:?}");
        };
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let attributes = map(&span.attributes);
            seen.push(Seen {
                service: service.clone(),
                resource: resource.clone(),
                attributes,
                span,
            });
        }
    }
    seen
}

fn map(attributes: &[KeyValue]) -> BTreeMap<String, Value> {
    let pairs = attributes.iter().map(|pair| {
        (
            pair.key.clone(),
            pair.value
                .clone()
                .and_then(|value| value.value)
                .expect("an attribute has a value"),
        )
    });
    let map: BTreeMap<_, _> = pairs.collect();
    assert_eq!(
        map.len(),
        attributes.len(),
        "an attribute is there twice: {attributes:?}"
    );
    map
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
