//! What holds of every content of the log store: answers are what a plain search would find.

use proptest::prelude::*;
use tdemo_tracestore::logs::query::Direction;
use tdemo_tracestore::logs::{LogLimits, LogStore};

use crate::store::ask;
use crate::support::{request, traced};

fn any_direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Forward), Just(Direction::Backward)]
}

proptest! {
    /// Whatever the order and the cut into requests and chunks: the answer is what sorting and
    /// cutting all records gives.
    #[test]
    fn an_answer_is_what_a_plain_search_finds(
        records in prop::collection::vec((1..30_u64, 0..3_usize, 0..4_u128), 0..200),
        max_records in prop_oneof![Just(1_000_000_usize), Just(64)],
        per_request in 1..20_usize,
        start in 0..30_i64,
        length in 0..30_i64,
        limit in 0..50_usize,
        direction in any_direction(),
        trace in 0..4_u128,
    ) {
        let store = LogStore::new(LogLimits { max_records, ..LogLimits::default() });
        let services = ["a", "b", "c"];
        let mut all = Vec::new();
        for (request_at, part) in records.chunks(per_request).enumerate() {
            for (at, (time, service, trace)) in part.iter().enumerate() {
                let line = format!("{request_at}/{at}");
                store.export(&request(services[*service], vec![traced(*time, &line, *trace)])).unwrap();
                all.push((*time, services[*service], *trace, line));
            }
        }
        let held = usize::try_from(store.stats().held).unwrap();
        all.drain(..all.len() - held);
        let end = start + length;
        all.retain(|(time, service, of, _)| {
            (start..end).contains(&i64::try_from(*time).unwrap()) && *service != "b" && (trace == 0 || *of == trace)
        });
        all.sort_by_key(|(time, ..)| *time);
        if direction == Direction::Backward {
            all.reverse();
        }
        all.truncate(limit);
        let expected: Vec<String> = all.into_iter().map(|(.., line)| line).collect();

        let filter = if trace == 0 { String::new() } else { format!("| trace_id=\"{trace:032x}\"") };
        let query = format!("{{service_name=~\"a|c\"}} {filter}");
        let found = ask(&store, &query, start, end, limit, direction);
        let found: Vec<String> = found.into_iter().map(|entry| entry.line).collect();
        prop_assert_eq!(found, expected);
    }
}
