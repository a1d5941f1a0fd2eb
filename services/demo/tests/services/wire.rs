//! Whatever a caller sends: an answer or a closed connection, soon, and a service that lives on.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tdemo_services::Tier;

use crate::common::{get, idle, lone, raw};

/// Any byte that may stand in a header's value, most often of the kinds that mean something there.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let any = vec(
        prop_oneof![Just(b'\t'), 0x20..0x7f_u8, 0x80..=0xff_u8],
        0..80,
    );
    let telling = prop_oneof![
        "00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3](-.{0,8})?",
        "[0-9a-f-]{0,60}",
        "([a-z]{1,4}=[ -~]{0,12},?){0,40}",
        "demo\\.fault=(frontend|middleware|x)?:?(error|abort)?:?[0-9]{0,4}(/[ -~]{0,20})?",
        "(application/json|text/plain)(; ?charset=.{0,10})?",
    ];
    prop_oneof![any, telling.prop_map(String::into_bytes)]
}

/// Headers that mean something to the service, and some that do not.
const NAMES: &[&str] = &[
    "traceparent",
    "tracestate",
    "baggage",
    "content-type",
    "host",
    "user-agent",
    "accept",
    "expect",
    "cookie",
];

/// A request whose framing is right and whose every other byte is anything.
fn ask() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![
        Just("POST".to_owned()),
        Just("GET".to_owned()),
        "[!#$%&'*+.^_`|~A-Za-z0-9-]{1,12}"
    ];
    let path = prop_oneof![
        Just("/api/transform".to_owned()),
        Just("/".to_owned()),
        "/[!-\"$-~]{0,40}"
    ];
    let body = prop_oneof![
        vec(any::<u8>(), 0..300),
        "[\\[{\"a:,}\\]0-9e.-]{0,60}".prop_map(String::into_bytes)
    ];
    (
        method,
        path,
        vec((select(NAMES), value()), 0..12),
        body,
        any::<bool>(),
    )
        .prop_map(|(method, path, headers, body, chunked)| {
            let mut ask = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n").into_bytes();
            for (name, value) in headers {
                // A caller that says it waits for 100 Continue and does not is another matter.
                let value = if name == "expect" {
                    b"nothing".to_vec()
                } else {
                    value
                };
                ask.extend_from_slice(name.as_bytes());
                ask.extend_from_slice(b": ");
                ask.extend(
                    value
                        .into_iter()
                        .filter(|byte| !matches!(byte, b'\r' | b'\n')),
                );
                ask.extend_from_slice(b"\r\n");
            }
            if chunked {
                ask.extend_from_slice(
                    format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len()).as_bytes(),
                );
                ask.extend_from_slice(&body);
                ask.extend_from_slice(if body.is_empty() {
                    b"\r\n"
                } else {
                    b"\r\n0\r\n\r\n"
                });
            } else {
                ask.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
                ask.extend_from_slice(&body);
            }
            ask
        })
}

#[test]
fn nothing_a_caller_sends_makes_a_service_panic_or_hang() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (middleware, _receiver) = runtime.block_on(lone(idle(Tier::Middleware)));
    let to = middleware.address;
    proptest!(ProptestConfig::with_cases(400), |(ask in ask())| {
        let answer = runtime.block_on(raw(to, &ask));
        let status = answer.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
        // Without an answer only a fault may close the connection, and a 500 only a fault may ask for.
        let fault = String::from_utf8_lossy(&ask).contains("demo.fault");
        prop_assert!(fault || status.is_some_and(|status| status != 500), "{status:?} to {}", String::from_utf8_lossy(&ask));
    });
    let page = String::from_utf8(runtime.block_on(get(to, "/metrics")).body.to_vec()).unwrap();
    assert!(
        page.contains("tdemo_panics_total 0\n") && page.contains("http_server_active_requests 0\n"),
        "{page}"
    );
}
