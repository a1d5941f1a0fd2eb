//! Any query runs on any spans, without panic: the input is a query, a NUL, and an OTLP request in
//! protobuf. A few spans are always there.
//!
//! `cargo +nightly fuzz run traceql_eval` in `services/tracestore`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tdemo_tracestore::traceql::compile;
use tdemo_tracestore::traceql::eval::{Bounds, Plan, search};
use tdemo_tracestore::{Limits, Store, wire};

const BOUNDS: Bounds = Bounds {
    start_ns: 0,
    end_ns: u64::MAX,
    limit: None,
    spans_per_spanset: 3,
};
/// Eight traces of a demo.
const SPANS: &[u8] = include_bytes!("../../tests/data/tempo/input.otlp.json");

fuzz_target!(|input: &[u8]| {
    let split = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let Ok(text) = std::str::from_utf8(&input[..split]) else { return };
    let Ok(query) = compile(text) else { return };
    let store = Store::new(Limits::default());
    let known = wire::to_protobuf(SPANS).expect("the recorded request can be read");
    store.insert(&wire::decode(&known).expect("the recorded request is sound"));
    if let Ok(batch) = wire::decode(input.get(split + 1..).unwrap_or_default()) {
        store.insert(&batch);
    }
    _ = search(&Plan::new(&query), &store.snapshot().chunks, &BOUNDS, 1);
});
