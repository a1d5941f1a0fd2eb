//! W3C trace context and baggage, read strictly and passed on whole.
//!
//! Services call [`extract`] and [`inject`] on HTTP headers. The same rules are
//! there as [`TextMapPropagator`](opentelemetry::propagation::TextMapPropagator)s,
//! [`TraceContextPropagator`] and [`BaggagePropagator`], for other carriers.
//! Unlike the stock propagators they take nothing for a `traceparent` that is
//! none, join repeated header lines, never send an empty header, keep the
//! random flag, and pass on every legal baggage value as it came.

mod baggage;
mod traceparent;
mod tracestate;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;

pub use baggage::BaggagePropagator;
pub use traceparent::{TraceContextPropagator, traceresponse};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// The context that a request's headers carry: a remote parent if `traceparent`
/// is valid, and the baggage, readable by
/// [`BaggageExt`](opentelemetry::baggage::BaggageExt) with values decoded.
///
/// Whatever the headers hold, this does not fail: what is not legal is left out.
///
/// ```
/// use opentelemetry::baggage::BaggageExt as _;
/// use opentelemetry::trace::TraceContextExt as _;
/// use tdemo_telemetry::propagation::{extract, inject};
///
/// let mut headers = http::HeaderMap::new();
/// let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// headers.insert("traceparent", parent.parse()?);
/// headers.insert("baggage", "demo.fault=backend:delay:1s;since=now,user=a%20b".parse()?);
///
/// let cx = extract(&headers);
/// assert!(cx.span().span_context().is_remote());
/// assert_eq!(cx.baggage().get("user").map(|value| value.as_str()), Some("a b"));
///
/// let mut outgoing = http::HeaderMap::new();
/// inject(&cx, &mut outgoing);
/// assert_eq!(outgoing, headers);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn extract(headers: &HeaderMap) -> Context {
    let cx = traceparent::extract(
        Context::new(),
        headers
            .get_all(TRACEPARENT)
            .iter()
            .map(HeaderValue::as_bytes),
        || {
            headers
                .get_all(TRACESTATE)
                .iter()
                .map(HeaderValue::as_bytes)
        },
    );
    let lines = headers.get_all(BAGGAGE).iter().map(HeaderValue::as_bytes);
    baggage::extract(cx, lines)
}

/// Writes what `cx` carries into `headers`, in place of what they held. Headers
/// for which there is nothing to say are removed.
pub fn inject(cx: &Context, headers: &mut HeaderMap) {
    set(headers, TRACEPARENT, traceparent::parent_header(cx));
    set(headers, TRACESTATE, traceparent::state_header(cx));
    set(headers, BAGGAGE, baggage::header(cx));
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => {
            headers.insert(name, value);
        }
        None => {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
