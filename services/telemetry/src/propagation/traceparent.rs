//! `traceparent` (W3C Trace Context, section 3.2), and the propagator for it and
//! `tracestate`.
//!
//! Called by `propagation::{extract, inject}`.

use std::sync::LazyLock;

use bytes::Bytes;
use http::HeaderValue;
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};

use super::tracestate;

const LENGTH: usize = 55;
/// Trace Context Level 2: the trace id is random. The only other flag known.
const RANDOM: TraceFlags = TraceFlags::new(0x02);
const KNOWN_FLAGS: TraceFlags = TraceFlags::new(0x03);

/// What the SDK's span context cannot carry from a caller to the next tier: it
/// forgets the random flag of a trace that is not sampled, and refuses some
/// `tracestate` keys that are legal.
#[derive(Debug)]
struct Passenger {
    trace_id: TraceId,
    random: bool,
    tracestate: Option<HeaderValue>,
}

/// A valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parent {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
}

/// Reads the header's value. A version above 00 is read by its prefix, which
/// may be followed by more if a dash parts it.
fn parse(value: &[u8]) -> Option<Parent> {
    // Only blanks at the ends may be added on the way (RFC 9110, OWS).
    let value = value.trim_ascii();
    let (head, rest) = value.split_at_checked(LENGTH)?;
    let version = hex(head.get(..2)?)?;
    let whole = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    if !whole || [2, 35, 52].iter().any(|&at| head[at] != b'-') {
        return None;
    }
    let trace_id = TraceId::from(hex(&head[3..35])?);
    let span_id = SpanId::from(u64::try_from(hex(&head[36..52])?).ok()?);
    let flags = TraceFlags::new(u8::try_from(hex(&head[53..])?).ok()?) & KNOWN_FLAGS;
    (trace_id != TraceId::INVALID && span_id != SpanId::INVALID).then_some(Parent {
        trace_id,
        span_id,
        flags,
    })
}

/// At most 32 lowercase hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// `cx` with the remote parent that the header lines name, if they are valid.
/// Several `traceparent` lines are not; several `tracestate` lines are one list.
pub(super) fn extract<'a, S>(
    cx: Context,
    mut parent_lines: impl Iterator<Item = &'a [u8]>,
    state_lines: impl FnOnce() -> S,
) -> Context
where
    S: Iterator<Item = &'a [u8]>,
{
    let (Some(line), None) = (parent_lines.next(), parent_lines.next()) else {
        return cx;
    };
    let Some(parent) = parse(line) else {
        return cx;
    };
    let state = tracestate::read(state_lines());
    let random = parent.flags & RANDOM == RANDOM;
    let cx = if random || state.passenger.is_some() {
        cx.with_value(Passenger {
            trace_id: parent.trace_id,
            random,
            tracestate: state.passenger,
        })
    } else {
        cx
    };
    cx.with_remote_span_context(SpanContext::new(
        parent.trace_id,
        parent.span_id,
        parent.flags,
        true,
        state.value,
    ))
}

/// The passenger of the context's trace.
fn passenger(cx: &Context, trace_id: TraceId) -> Option<&Passenger> {
    cx.get::<Passenger>()
        .filter(|passenger| passenger.trace_id == trace_id)
}

/// The `traceparent` to send; `None` without a valid span.
pub(super) fn parent_header(cx: &Context) -> Option<HeaderValue> {
    let span = cx.span();
    let span = span.span_context();
    if !span.is_valid() {
        return None;
    }
    let mut flags = span.trace_flags() & KNOWN_FLAGS;
    if passenger(cx, span.trace_id()).is_some_and(|passenger| passenger.random) {
        flags = flags | RANDOM;
    }
    Some(format(span.trace_id(), span.span_id(), flags))
}

/// `00-<trace id>-<span id>-<flags>`, also the form of `traceresponse`.
fn format(trace_id: TraceId, span_id: SpanId, flags: TraceFlags) -> HeaderValue {
    let mut text = [b'-'; LENGTH];
    write_hex(&mut text[..2], &[0]);
    write_hex(&mut text[3..35], &trace_id.to_bytes());
    write_hex(&mut text[36..52], &span_id.to_bytes());
    write_hex(&mut text[53..], &[flags.to_u8()]);
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text))
        .expect("digits and dashes make a header value")
}

fn write_hex(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0xf)];
    }
}

/// The `tracestate` to send; `None` if it would be empty.
pub(super) fn state_header(cx: &Context) -> Option<HeaderValue> {
    let span = cx.span();
    let span = span.span_context();
    if !span.is_valid() {
        return None;
    }
    if span.trace_state() == &TraceState::NONE {
        // Nobody has put anything in the place of what could not be read.
        return passenger(cx, span.trace_id())?.tracestate.clone();
    }
    let text = span.trace_state().header();
    if text.is_empty() {
        return None;
    }
    HeaderValue::try_from(text).ok()
}

/// The `traceresponse` header of an answer (Trace Context Level 3, editor's
/// draft): the trace and the span of `cx`. `None` without a valid span.
pub fn traceresponse(cx: &Context) -> Option<HeaderValue> {
    parent_header(cx)
}

/// `traceparent` and `tracestate` for carriers that are not HTTP headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceContextPropagator {
    _private: (),
}

impl TraceContextPropagator {
    /// A propagator.
    pub fn new() -> Self {
        Self::default()
    }
}

static FIELDS: LazyLock<[String; 2]> =
    LazyLock::new(|| ["traceparent", "tracestate"].map(str::to_owned));

impl TextMapPropagator for TraceContextPropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let values = [parent_header(cx), state_header(cx)];
        for (name, value) in FIELDS.iter().zip(values) {
            if let Some(text) = value.as_ref().and_then(|value| value.to_str().ok()) {
                injector.set(name, text.to_owned());
            }
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let lines = |name: &str| extractor.get_all(name).unwrap_or_default();
        let (parents, states) = (lines(&FIELDS[0]), lines(&FIELDS[1]));
        extract(
            cx.clone(),
            parents.iter().map(|line| line.as_bytes()),
            || states.iter().map(|line| line.as_bytes()),
        )
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&*FIELDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn flags(value: &str) -> Option<u8> {
        parse(value.as_bytes()).map(|parent| parent.flags.to_u8())
    }

    #[test]
    fn the_valid_forms() {
        for (value, expected) in [
            (format!("00-{TRACE}-{SPAN}-01"), 1),
            (format!("00-{TRACE}-{SPAN}-00"), 0),
            (format!("00-{TRACE}-{SPAN}-03"), 3),
            (format!("  00-{TRACE}-{SPAN}-02\t"), 2),
            // Unknown flags are not passed on.
            (format!("00-{TRACE}-{SPAN}-ff"), 3),
            (format!("cc-{TRACE}-{SPAN}-01"), 1),
            (format!("cc-{TRACE}-{SPAN}-01-what-comes-later"), 1),
        ] {
            assert_eq!(flags(&value), Some(expected), "{value}");
        }
        let parent = parse(format!("00-{TRACE}-{SPAN}-01").as_bytes()).unwrap();
        assert_eq!(parent.trace_id.to_string(), TRACE);
        assert_eq!(parent.span_id.to_string(), SPAN);
    }

    #[test]
    fn what_is_no_traceparent() {
        let zero_trace = "0".repeat(32);
        let zero_span = "0".repeat(16);
        for value in [
            String::new(),
            "00-1-1-01".into(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01x"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("+0-{TRACE}-{SPAN}-01"),
            format!("00_{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}_01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{zero_trace}-{SPAN}-01"),
            format!("00-{TRACE}-{zero_span}-01"),
            format!("00-{}ü-{SPAN}-01", &TRACE[2..]),
        ] {
            assert_eq!(flags(&value), None, "{value}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let parent = parse(format!("00-{TRACE}-{SPAN}-03").as_bytes()).unwrap();
        let written = format(parent.trace_id, parent.span_id, parent.flags);
        assert_eq!(parse(written.as_bytes()), Some(parent));
    }
}
