//! Trees of whole, torn, looped and very deep traces.

use proptest::prelude::*;

use super::*;
use crate::fixture::{self, id, span, trace};

fn names(tree: &Tree<'_>) -> Vec<String> {
    tree.nodes()
        .iter()
        .map(|node| format!("{}{}", "  ".repeat(node.depth), node.span.name))
        .collect()
}

#[test]
fn the_demo_is_one_chain_of_eight() {
    let trace = fixture::read(fixture::DEMO);
    let tree = Tree::new(&trace);
    assert_eq!(
        names(&tree),
        [
            "GET /api/process",
            "  frontend-process",
            "    POST",
            "      POST /api/transform",
            "        middleware-transform",
            "          GET",
            "            GET /api/data",
            "              backend-get-data",
        ]
    );
    assert_eq!(tree.roots().count(), 1);
    assert_eq!(tree.orphans().count(), 0);
    assert_eq!(tree.looped().count(), 0);
    assert_eq!(tree.duplicates().count(), 0);
    let own: Vec<u64> = tree.nodes().iter().map(|node| node.self_nanos).collect();
    let own_us: Vec<u64> = own.iter().map(|nanos| nanos / 1_000).collect();
    assert_eq!(
        own_us,
        [700, 700, 1_600, 700, 51_300, 2_000, 1_000, 102_000]
    );
}

#[test]
fn the_python_traces_hang_below_their_absent_caller() {
    for (file, spans) in [(fixture::PYTHON, 8), (fixture::PYTHON_ERROR, 6)] {
        let trace = fixture::read(file);
        assert_eq!(trace.spans.len(), spans);
        assert_eq!(trace.services()[0], "frontend");
        let tree = Tree::new(&trace);
        let orphans: Vec<_> = tree.orphans().collect();
        assert_eq!(orphans.len(), 1);
        assert_eq!(orphans[0].0.name, "GET /api/process");
        assert_eq!(orphans[0].1.to_string(), "00f067aa0ba902b7");
        assert_eq!(tree.roots().count(), 0);
        let last = tree.nodes().last().unwrap();
        assert_eq!(last.depth, spans - 1, "each span is the child of the last");
        assert_eq!(
            last.span.service(),
            ["backend", "middleware"][usize::from(spans == 6)]
        );
    }
}

#[test]
fn children_come_in_the_order_they_started_and_tops_by_their_place() {
    let trace = trace(vec![
        span(5, Some(9), 0, 1),
        span(3, Some(1), 30, 40),
        span(2, Some(1), 20, 60),
        span(4, Some(2), 25, 26),
        span(1, None, 10, 90),
    ]);
    let tree = Tree::new(&trace);
    assert_eq!(
        names(&tree),
        ["span 1", "  span 2", "    span 4", "  span 3", "span 5"]
    );
    assert_eq!(tree.tops().collect::<Vec<_>>(), [0, 4]);
    assert_eq!(tree.children(0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(tree.children(2).count(), 0);
    assert_eq!(tree.nodes()[4].place, Place::Orphan { missing: id(9) });
    assert_eq!(tree.find(id(3)), Some(3));
    assert_eq!(tree.find(id(9)), None);
}

#[test]
fn self_time_leaves_out_what_children_cover_once_and_only_inside() {
    let trace = trace(vec![
        span(1, None, 100, 200),
        span(2, Some(1), 110, 130),
        span(3, Some(1), 120, 140), // overlaps the one before
        span(4, Some(1), 125, 128), // inside it
        span(5, Some(1), 190, 300), // goes on after its parent
        span(6, Some(1), 50, 105),  // starts before it
        span(7, Some(1), 400, 500), // is elsewhere altogether
        span(8, Some(7), 450, 5),   // ends before it starts
    ]);
    let tree = Tree::new(&trace);
    let own = |number| tree.nodes()[tree.find(id(number)).unwrap()].self_nanos;
    assert_eq!(own(1), 5 + 50);
    assert_eq!(own(2), 20);
    assert_eq!(own(7), 100);
    assert_eq!(own(8), 0);
}

#[test]
fn spans_with_one_id_stay_side_by_side() {
    let trace = trace(vec![
        span(1, None, 0, 100),
        span(2, Some(1), 20, 30),
        span(2, Some(1), 10, 40),
        span(3, Some(2), 12, 13),
    ]);
    let tree = Tree::new(&trace);
    assert_eq!(
        names(&tree),
        ["span 1", "  span 2", "    span 3", "  span 2"]
    );
    let duplicates: Vec<u64> = tree
        .duplicates()
        .map(|span| span.start_unix_nanos)
        .collect();
    assert_eq!(duplicates, [20], "the earlier one holds the child");
}

#[test]
fn loops_are_cut_at_their_first_span() {
    let trace = trace(vec![
        span(1, Some(1), 5, 6), // its own parent
        span(2, Some(4), 30, 40),
        span(3, Some(2), 20, 50),
        span(4, Some(3), 25, 45),
        span(5, Some(4), 1, 2), // hangs on the loop without being of it
        span(6, None, 0, 9),
    ]);
    let tree = Tree::new(&trace);
    assert_eq!(
        names(&tree),
        [
            "span 6",
            "span 3",
            "  span 4",
            "    span 5",
            "    span 2",
            "span 1"
        ]
    );
    assert_eq!(tree.looped().count(), 2);
}

fn path(tree: &Tree<'_>) -> Vec<(String, u64)> {
    tree.critical_path()
        .into_iter()
        .map(|segment| {
            (
                tree.nodes()[segment.node].span.name.clone(),
                segment.nanos(),
            )
        })
        .collect()
}

#[test]
fn the_critical_path_follows_who_was_waited_for() {
    let trace = trace(vec![
        span(1, None, 0, 100),
        span(2, Some(1), 10, 50),
        span(3, Some(1), 20, 80),  // ended last, so 2 was not waited for
        span(4, Some(1), 5, 15),   // had ended when 3 started
        span(5, Some(3), 30, 200), // goes on: counts until 80
    ]);
    let tree = Tree::new(&trace);
    let told = [
        ("span 1", 5),
        ("span 4", 10),
        ("span 1", 5),
        ("span 3", 10),
        ("span 5", 50),
        ("span 1", 20),
    ];
    assert_eq!(
        path(&tree),
        told.map(|(name, nanos)| (name.to_owned(), nanos))
    );
}

#[test]
fn an_empty_trace_is_an_empty_tree() {
    let empty = Trace::empty(crate::TraceId([1; 16]));
    let tree = Tree::new(&empty);
    assert!(tree.nodes().is_empty());
    assert!(tree.critical_path().is_empty());
    assert_eq!(empty.bounds_unix_nanos(), None);
}

#[test]
fn a_chain_of_100_000_does_not_run_out_of_stack() {
    const DEEP: u64 = 100_000;
    let spans = (1..=DEEP)
        .map(|at| span(at, (at > 1).then(|| at - 1), at, 3 * DEEP - at))
        .collect();
    let trace = trace(spans);
    let tree = Tree::new(&trace);
    assert_eq!(tree.nodes().last().unwrap().depth, 99_999);
    assert_eq!(tree.critical_path().len(), 2 * 100_000 - 1);

    let mut looped = trace.clone();
    looped.spans[0].parent = Some(id(DEEP));
    assert_eq!(Tree::new(&looped).looped().count(), 1);
}

/// Any spans at all: few ids, so that duplicates, loops and absent parents are
/// common.
fn any_spans() -> impl Strategy<Value = Vec<Span>> {
    let one = (0..24u64, prop::option::of(0..28u64), 0..60u64, 0..60u64)
        .prop_map(|(number, parent, start, end)| span(number, parent, start, end));
    prop::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn every_span_stands_once_whatever_its_parents_are(spans in any_spans()) {
        let trace = trace(spans);
        let tree = Tree::new(&trace);
        let mut placed: Vec<*const Span> =
            tree.nodes().iter().map(|node| std::ptr::from_ref(node.span)).collect();
        placed.sort_unstable();
        let mut sent: Vec<*const Span> = trace.spans.iter().map(std::ptr::from_ref).collect();
        sent.sort_unstable();
        prop_assert_eq!(placed, sent);

        let mut reached = 0;
        let mut waiting: Vec<usize> = tree.tops().collect();
        while let Some(at) = waiting.pop() {
            reached += 1;
            for child in tree.children(at) {
                let node = &tree.nodes()[child];
                prop_assert_eq!(node.parent, Some(at));
                prop_assert_eq!(node.depth, tree.nodes()[at].depth + 1);
                prop_assert_eq!(node.span.parent, Some(tree.nodes()[at].span.id));
                waiting.push(child);
            }
        }
        prop_assert_eq!(reached, trace.spans.len());
        for node in tree.nodes() {
            prop_assert!(node.self_nanos <= node.span.duration_nanos());
        }
    }

    #[test]
    fn the_order_of_arrival_changes_nothing(
        (sent, shuffled) in any_spans().prop_flat_map(|spans| {
            (Just(spans.clone()), Just(spans).prop_shuffle())
        })
    ) {
        let (sent, shuffled) = (trace(sent), trace(shuffled));
        let (sent, shuffled) = (Tree::new(&sent), Tree::new(&shuffled));
        let told = |tree: &Tree<'_>| -> Vec<_> {
            tree.nodes()
                .iter()
                .map(|node| (node.span.clone(), node.parent, node.place, node.self_nanos, node.duplicate))
                .collect()
        };
        prop_assert_eq!(told(&sent), told(&shuffled));
        prop_assert_eq!(sent.critical_path(), shuffled.critical_path());
    }

    #[test]
    fn the_critical_path_divides_the_whole_time_without_gap_or_overlap(spans in any_spans()) {
        let trace = trace(spans);
        let tree = Tree::new(&trace);
        for top in tree.tops() {
            let span = tree.nodes()[top].span;
            let path = tree.critical_path_of(top);
            let mut at = span.start_unix_nanos;
            for segment in &path {
                prop_assert_eq!(segment.start_unix_nanos, at);
                prop_assert!(segment.end_unix_nanos > at);
                at = segment.end_unix_nanos;
                let owner = tree.nodes()[segment.node].span;
                prop_assert!(owner.start_unix_nanos <= segment.start_unix_nanos);
                prop_assert!(owner.end_unix_nanos >= segment.end_unix_nanos);
            }
            prop_assert_eq!(at, span.end_unix_nanos.max(span.start_unix_nanos));
        }
    }
}
