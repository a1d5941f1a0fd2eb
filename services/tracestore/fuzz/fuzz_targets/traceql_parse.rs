//! Any text is parsed or refused, and what is parsed prints to a text that parses to the same.
//!
//! `cargo +nightly fuzz run traceql_parse` in `services/tracestore`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tdemo_tracestore::traceql::{ErrorKind, compile, parse};

fuzz_target!(|text: &str| {
    let Ok(query) = parse(text) else { return };
    _ = compile(text);
    match parse(&query.to_string()) {
        Ok(again) => assert_eq!(again, query),
        // The printer writes more parentheses than there were.
        Err(error) => assert_eq!(error.kind, ErrorKind::TooLarge, "{query}"),
    }
});
