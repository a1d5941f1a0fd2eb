//! What holds for any headers whatever, and both propagators beside the functions.

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn sent(cx: &Context) -> HeaderMap {
    let mut headers = HeaderMap::new();
    inject(cx, &mut headers);
    headers
}

#[test]
fn several_traceparent_lines_are_none() {
    let cx = extract(&headers(&[
        ("traceparent", PARENT),
        ("traceparent", PARENT),
    ]));
    assert!(!cx.span().span_context().is_valid());
    assert!(sent(&cx).is_empty());
}

#[test]
fn a_bad_tracestate_leaves_the_traceparent() {
    let cx = extract(&headers(&[
        ("traceparent", PARENT),
        ("tracestate", "a=1,a=2"),
    ]));
    assert_eq!(sent(&cx), headers(&[("traceparent", PARENT)]));
}

#[test]
fn a_tracestate_without_a_traceparent_is_nothing() {
    let cx = extract(&headers(&[("tracestate", "a=1")]));
    assert!(sent(&cx).is_empty());
}

#[test]
fn repeated_lines_are_joined() {
    let cx = extract(&headers(&[
        ("traceparent", PARENT),
        ("tracestate", "a=1"),
        ("tracestate", "b=2"),
        ("baggage", "c=3"),
        ("baggage", "d=4"),
    ]));
    let sent = sent(&cx);
    assert_eq!(sent["tracestate"], "a=1,b=2");
    assert_eq!(sent["baggage"], "c=3,d=4");
}

#[test]
fn stale_headers_are_replaced() {
    let mut outgoing = headers(&[
        ("traceparent", PARENT),
        ("tracestate", "a=1"),
        ("baggage", "b=2"),
        ("other", "stays"),
    ]);
    inject(&Context::new(), &mut outgoing);
    assert_eq!(outgoing, headers(&[("other", "stays")]));
}

/// A child as the SDK makes it where the trace is not sampled: without flags.
fn unsampled_child(cx: &Context) -> Context {
    let parent = cx.span().span_context().clone();
    cx.with_remote_span_context(SpanContext::new(
        parent.trace_id(),
        opentelemetry::SpanId::from(7),
        TraceFlags::default(),
        false,
        parent.trace_state().clone(),
    ))
}

#[test]
fn the_random_flag_outlives_an_unsampled_span() {
    let cx = extract(&headers(&[("traceparent", &PARENT.replace("-01", "-02"))]));
    let sent = sent(&unsampled_child(&cx));
    assert_eq!(
        sent["traceparent"],
        format!("00-{TRACE}-0000000000000007-02")
    );
}

#[test]
fn what_belongs_to_a_trace_does_not_leak_into_another() {
    let legal_but_foreign_to_the_sdk = format!("t@{}=1", "v".repeat(14));
    let cx = extract(&headers(&[
        ("traceparent", &PARENT.replace("-01", "-03")),
        ("tracestate", &legal_but_foreign_to_the_sdk),
    ]));
    assert_eq!(
        sent(&unsampled_child(&cx))["tracestate"],
        legal_but_foreign_to_the_sdk
    );
    let other = cx.with_remote_span_context(SpanContext::new(
        opentelemetry::TraceId::from(9),
        opentelemetry::SpanId::from(7),
        TraceFlags::SAMPLED,
        false,
        opentelemetry::trace::TraceState::NONE,
    ));
    let sent = sent(&other);
    assert_eq!(sent.len(), 1);
    assert!(sent["traceparent"].to_str().unwrap().ends_with("-01"));
}

#[test]
fn traceresponse_names_the_span_of_the_context() {
    let cx = extract(&headers(&[("traceparent", PARENT)]));
    assert_eq!(traceresponse(&cx).unwrap(), PARENT);
    assert_eq!(traceresponse(&Context::new()), None);
}

/// A header's bytes: now anything, now nearly right.
fn line(nearly: &'static str) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..80), nearly.prop_map(String::into_bytes),]
}

proptest! {
    #[test]
    fn nothing_a_caller_sends_does_harm(
        parents in vec(line("[0f][0c]-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3](-x)?"), 0..3),
        states in vec(line("[a-z0-9@]{1,3}=[ -~]{0,9}(,[a-z]=[0-9])*"), 0..3),
        bags in vec(line("[a-z ]{1,3}=[!-~ ]{0,9}(;[a-z]=?[!-~]{0,3})?(,b=1)*"), 0..3),
    ) {
        let mut incoming = HeaderMap::new();
        for (name, lines) in [(TRACEPARENT, parents), (TRACESTATE, states), (BAGGAGE, bags)] {
            for line in lines {
                if let Ok(value) = HeaderValue::from_bytes(&line) {
                    incoming.append(&name, value);
                }
            }
        }
        let first = sent(&extract(&incoming));
        for (name, value) in &first {
            prop_assert!(!value.is_empty(), "{name} is empty");
            prop_assert!(value.to_str().is_ok(), "{name} is not ASCII");
        }
        // What is sent is legal, so it goes on from tier to tier unchanged.
        prop_assert_eq!(&sent(&extract(&first)), &first);
    }

    #[test]
    fn a_legal_traceparent_goes_through_unchanged(
        trace in "[0-9a-f]{31}[1-9a-f]", span in "[1-9a-f][0-9a-f]{15}", flags in 0..4_u8,
    ) {
        let incoming = headers(&[("traceparent", &format!("00-{trace}-{span}-0{flags}"))]);
        prop_assert_eq!(sent(&extract(&incoming)), incoming);
    }

    #[test]
    fn legal_baggage_goes_through_unchanged(
        bag in "[a-z!#$&'*+.^_`|~-]{1,9}=[!#-+\\--:<-\\[\\]-~]{0,30}(;p=[a-z]{0,3}|;q)?(,k[0-9]{1,4}=v){0,40}",
    ) {
        let incoming = headers(&[("baggage", &bag)]);
        prop_assert_eq!(sent(&extract(&incoming)), incoming);
    }

    #[test]
    fn baggage_values_are_readable_decoded(text in "\\PC{0,40}") {
        let encoded = percent_encode(text.as_bytes(), NON_ALPHANUMERIC);
        let cx = extract(&headers(&[("baggage", &format!("key={encoded}"))]));
        let read = cx.baggage().get("key").map(opentelemetry::StringValue::as_str);
        prop_assert_eq!(read, Some(text.as_str()));
    }

    #[test]
    fn the_propagators_agree_with_the_functions(
        parent in line("00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]"),
        state in line("[a-z]=[0-9](,[a-z]=[0-9])*"),
        bag in line("[a-z]=[0-9=]{0,3}(,[a-z]=[0-9])*"),
    ) {
        let mut incoming = HeaderMap::new();
        for (name, line) in [(TRACEPARENT, parent), (TRACESTATE, state), (BAGGAGE, bag)] {
            // Other carriers hold text, so here only text is compared.
            if let Ok(text) = String::from_utf8(line)
                && let Ok(value) = HeaderValue::try_from(text)
                && value.to_str().is_ok()
            {
                incoming.append(name, value);
            }
        }
        let carrier = HeaderExtractor(&incoming);
        let cx = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        let cx = BaggagePropagator::new().extract_with_context(&cx, &carrier);
        let mut outgoing = HeaderMap::new();
        TraceContextPropagator::new().inject_context(&cx, &mut HeaderInjector(&mut outgoing));
        BaggagePropagator::new().inject_context(&cx, &mut HeaderInjector(&mut outgoing));
        prop_assert_eq!(outgoing, sent(&extract(&incoming)));
    }
}
