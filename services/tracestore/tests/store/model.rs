//! Reading chunks: dictionaries, rows, and whose child is whose.

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tdemo_tracestore::model::{AttrValue, Attributes, Kind, NO_ROW, Status};
use tdemo_tracestore::wire::decode;
use tdemo_tracestore::{Limits, Store};

use crate::demo;

fn stored(spans: Vec<Span>) -> Store {
    let store = Store::new(Limits::default());
    for span in spans {
        store.insert(&decode(&demo::request("frontend", vec![span]).encode_to_vec()).unwrap());
    }
    store
}

#[test]
fn what_spans_share_is_kept_once() {
    let store = Store::new(Limits::default());
    for request in demo::requests(1..41, 10) {
        store.insert(&decode(&request).unwrap());
    }
    let snapshot = store.snapshot();
    let [chunk] = snapshot.chunks.as_slice() else {
        panic!("40 traces fit into one chunk")
    };
    assert_eq!((chunk.rows(), chunk.traces().len()), (320, 40));
    assert_eq!(
        (
            chunk.resources().len(),
            chunk.scopes().len(),
            chunk.name_count()
        ),
        (3, 1, 8)
    );
    let attributes = chunk.attributes();
    // The empty one, 3 resources, 7 kinds of spans, and 40 of the backend's that tell a time of their own.
    assert_eq!(attributes.set_count(), 1 + 3 + 7 + 40);
    assert!(attributes.set(Attributes::EMPTY_SET).is_empty());
    assert_eq!(attributes.key_code("no.such.key"), None);

    let route = attributes.key_code("http.route").unwrap();
    let routes: Vec<&str> = (0..attributes.attr_count())
        .filter(|&attr| attributes.key_of(attr) == route)
        .filter_map(|attr| match attributes.value(attr) {
            AttrValue::Str(text) => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(routes, ["/api/data", "/api/transform", "/api/process"]);
    let with_route = |set: &u32| attributes.find_in_set(*set, route).is_some();
    assert_eq!(
        chunk
            .attr_sets()
            .iter()
            .filter(|set| with_route(set))
            .count(),
        3 * 40
    );

    let (_, slot) = store.find(demo::trace_id(7)).unwrap();
    let rows: Vec<_> = chunk.trace_rows(slot).collect();
    assert_eq!(rows.len(), 8);
    let entry = chunk.traces()[slot as usize];
    assert_eq!(
        chunk.name(chunk.name_codes()[entry.root as usize]),
        "GET /api/process"
    );
    assert_eq!(
        (chunk.kind(entry.root), chunk.status(entry.root)),
        (Kind::Server, Status::Unset)
    );
    assert_eq!(
        Some(entry.start_ns),
        rows.iter()
            .map(|&row| chunk.starts_ns()[row as usize])
            .min()
    );
    assert_eq!(
        Some(entry.end_ns),
        rows.iter().map(|&row| chunk.ends_ns()[row as usize]).max()
    );
    let parents = chunk.parents();
    assert_eq!(
        rows.iter()
            .filter(|&&row| parents[row as usize] == NO_ROW)
            .count(),
        1
    );
}

/// A span of trace 1 with these ids.
fn span(id: u8, parent: u8, kind: i32) -> Span {
    Span {
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            vec![parent; 8]
        },
        kind,
        ..demo::spans(1, "frontend").remove(0)
    }
}

/// The parent of each span, in order of arrival, as an index into them.
fn parents(spans: Vec<Span>) -> Vec<Option<u32>> {
    let store = stored(spans);
    let snapshot = store.snapshot();
    snapshot.chunks[0]
        .parents()
        .iter()
        .map(|&row| (row != NO_ROW).then_some(row))
        .collect()
}

#[test]
fn parents_are_found_whenever_they_come() {
    const INTERNAL: i32 = 1;
    const SERVER: i32 = 2;
    const CLIENT: i32 = 3;
    let child_first = vec![
        span(2, 1, INTERNAL),
        span(3, 9, INTERNAL),
        span(1, 0, SERVER),
    ];
    assert_eq!(parents(child_first), [Some(2), None, None]);
    let itself = vec![span(1, 1, INTERNAL)];
    assert_eq!(parents(itself), [None]);
    let in_a_circle = vec![span(1, 2, INTERNAL), span(2, 1, INTERNAL)];
    assert_eq!(parents(in_a_circle), [Some(1), Some(0)]);
    // Zipkin: a client and its server share an id; children are the server's, servers the client's.
    let shared = vec![
        span(1, 0, CLIENT),
        span(1, 0, SERVER),
        span(2, 1, INTERNAL),
        span(3, 1, SERVER),
    ];
    assert_eq!(parents(shared), [None, None, Some(1), Some(0)]);
}

#[test]
fn the_root_is_the_earliest_whatever_the_order() {
    let early = Span {
        start_time_unix_nano: 5,
        name: "early".to_owned(),
        ..span(1, 0, 2)
    };
    let late = Span {
        start_time_unix_nano: 9,
        name: "late".to_owned(),
        ..span(2, 0, 2)
    };
    for spans in [vec![early.clone(), late.clone()], vec![late, early]] {
        let store = stored(spans);
        let (chunk, slot) = store.find(demo::trace_id(1)).unwrap();
        let root = chunk.traces()[slot as usize].root;
        assert_eq!(chunk.name(chunk.name_codes()[root as usize]), "early");
    }
}
