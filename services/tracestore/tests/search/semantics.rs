//! What queries find: the rules of TraceQL one by one, on a few small traces. A real Tempo was asked the same.

use tdemo_tracestore::Store;
use tdemo_tracestore::traceql::compile;
use tdemo_tracestore::traceql::eval::{Bounds, EvalError, FoundTrace, Plan, search};

use super::traces::{CLIENT, MS, SERVER, START, filled, service, span, store};

fn run(store: &Store, text: &str) -> Result<Vec<FoundTrace>, EvalError> {
    let bounds = Bounds {
        start_ns: 0,
        end_ns: u64::MAX,
        limit: None,
        spans_per_spanset: 100,
    };
    let query = compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut found = search(&Plan::new(&query), &store.snapshot().chunks, &bounds, 2)?;
    found.sort_by_key(|trace| trace.start_ns);
    Ok(found)
}

/// The names of the spans found, in the order of their ids; spansets are separated by `|`.
fn names(store: &Store, text: &str) -> String {
    let found = run(store, &format!("{text} | select(name)")).unwrap();
    let mut spansets = Vec::new();
    for trace in &found {
        let mut sets: Vec<Vec<(u64, String)>> = Vec::new();
        for spanset in &trace.spansets {
            assert_eq!(spanset.matched, spanset.spans.len());
            let mut spans: Vec<_> = spanset
                .spans
                .iter()
                .map(|s| (s.id, s.name.clone().unwrap()))
                .collect();
            spans.sort();
            sets.push(spans);
        }
        sets.sort();
        let words = |set: &Vec<(u64, String)>| {
            set.iter()
                .map(|(_, name)| name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        spansets.extend(sets.iter().map(words));
    }
    spansets.join(" | ")
}

fn assert_all(expected: &[(&str, &str)]) {
    let store = store();
    for (query, spans) in expected {
        assert_eq!(names(&store, query), *spans, "{query}");
    }
}

#[test]
fn attributes_compare_with_their_own_type() {
    assert_all(&[
        ("{ .v = 1 }", "int ints"),
        ("{ .v = 1.0 }", "float"),
        ("{ .v = \"1\" }", "text"),
        ("{ .v = true }", "bool"),
        ("{ .v }", "bool"),
        ("{ .v != 1 }", "ints"),
        ("{ .v != \"1\" }", ""),
        ("{ .v > 0 }", "int ints"),
        ("{ .v > 1s }", ""),
        ("{ .v = 7 }", "ints"),
        ("{ .v =~ \".\" }", "text"),
        ("{ .v + 0 = 1 }", "int float"),
    ]);
}

#[test]
fn what_is_absent_matches_nothing_but_nil() {
    assert_all(&[
        ("{ span.who != \"ann\" }", "serve"),
        ("{ span.who !~ \"ann\" }", "serve"),
        ("{ span.who != nil }", "entry serve"),
        ("{ span.who = nil && span.n != nil }", "call"),
        ("{ span.v != nil }", "int float text bool ints"),
        (
            "{ span.v = nil && resource.service.name = \"types\" }",
            "none",
        ),
        ("{ span.ok = false }", "cache"),
        ("{ !span.ok }", "cache"),
        ("{ span.nope != 1 }", ""),
        ("{ span.n / 0 = 1 }", ""),
        ("{ resource.nope = nil && name = \"lost\" }", "lost"),
    ]);
}

#[test]
fn scopes_say_where_to_look() {
    assert_all(&[
        ("{ .zone = \"moon\" }", "logic"),
        ("{ .zone = \"eu\" }", "entry call cache"),
        ("{ resource.zone = \"eu\" }", "entry logic call cache"),
        ("{ span.zone = \"eu\" }", ""),
        ("{ .n = 9 }", "logic cache"),
        ("{ instrumentation:name = \"db-lib\" }", "serve query"),
        ("{ instrumentation:version != \"1.2\" }", ""),
        ("{ link.why = \"retry\" }", "call"),
        (
            "{ link:traceID = \"20202020202020202020202020202\" }",
            "call",
        ),
        ("{ link:spanID = \"0202020202020202\" }", "call"),
        ("{ span.zone = resource.zone }", ""),
        ("{ span.n < resource.n }", "entry call"),
    ]);
}

#[test]
fn events_are_looked_at_one_by_one() {
    assert_all(&[
        ("{ event:name = \"exception\" }", "serve"),
        (
            "{ event:name = \"exception\" && event.type = \"Io\" }",
            "serve",
        ),
        (
            "{ event:name = \"exception\" && event.type = \"Again\" }",
            "",
        ),
        ("{ event:name != \"exception\" }", "serve"),
        ("{ event.size > 1 }", "serve"),
        ("{ event.size > 2 }", ""),
        ("{ event:timeSinceStart > 4ms }", "serve"),
        ("{ event:timeSinceStart > 5ms }", ""),
    ]);
}

#[test]
fn intrinsics_are_read() {
    assert_all(&[
        ("{ status = error }", "serve"),
        ("{ statusMessage =~ \"b.*\" }", "serve"),
        ("{ kind = client }", "call | found | third"),
        ("{ duration >= 70ms }", "entry logic call"),
        ("{ duration > 69999999.5 && duration < 90ms }", "call"),
        (
            "{ name =~ \"(c|l).*\" && kind != client }",
            "logic cache | lost",
        ),
        ("{ name =~ \"ogi\" }", ""),
        ("{ rootName = \"entry\" && kind = client }", "call"),
        ("{ rootServiceName = \"\" }", "lost found"),
        ("{ traceDuration = 100ms && kind = client }", "call"),
        (
            "{ trace:id = \"1010101010101010101010101010101\" && kind = client }",
            "call",
        ),
        (
            "{ trace:id = \"01010101010101010101010101010101\" && kind = client }",
            "call",
        ),
        ("{ span:id = \"0000000000000104\" }", "serve"),
        ("{ span:parentID = \"0000000000000101\" }", "logic cache"),
        ("{ span:childCount = 2 }", "entry"),
        ("{ nestedSetParent < 0 }", "entry | first second | int"),
        ("{ nestedSetParent = 0 }", "lost found"),
        ("{ nestedSetLeft = 1 }", "entry | first | int"),
        ("{ nestedSetRight = 12 }", "entry"),
        (
            "{ duration > traceDuration / 2 && status = unset && rootName = \"entry\" }",
            "entry logic call",
        ),
    ]);
}

#[test]
fn logic_and_arithmetic_combine() {
    assert_all(&[
        ("{ span.n = 1 || span.n = 4 }", "entry serve"),
        ("{ span.n = 1 || span.n = 4 && status = error }", "serve"),
        (
            "{ span.n = 1 || (span.n = 4 && status = error) }",
            "entry serve",
        ),
        ("{ !(kind = internal) && .n != nil }", "entry call serve"),
        ("{ span.n % 2 = 1 }", "entry call"),
        ("{ span.n ^ 2 = 9 }", "call"),
        ("{ -span.n < -3 }", "serve"),
        ("{ 3 < span.n }", "serve"),
        ("{ 2 * 30ms < duration && duration < 10ms * 8 }", "call"),
        ("{ span.keys = \"b\" }", "logic"),
        ("{ span.keys = \"c\" }", ""),
        ("{ false }", ""),
        ("{ 1 = 1 && status = error }", "serve"),
    ]);
}

#[test]
fn structure_needs_a_root_and_returns_the_right_side() {
    assert_all(&[
        ("{ name = \"entry\" } > { kind = internal }", "logic cache"),
        (
            "{ name = \"entry\" } >> { kind = internal }",
            "logic query cache",
        ),
        ("{ status = error } < { kind = client }", "call"),
        (
            "{ status = error } << { resource.service.name = \"web\" }",
            "entry logic call",
        ),
        ("{ name = \"logic\" } ~ { name = \"cache\" }", "cache"),
        ("{ name = \"logic\" } ~ { name = \"logic\" }", ""),
        ("{ name = \"first\" } ~ { kind = server }", "second"),
        ("{ name = \"lost\" } > { kind = client }", ""),
        ("{ name = \"lost\" } !> { name = \"found\" }", "found"),
        (
            "{ kind = server } !> { name =~ \"logic|float|query\" }",
            "float",
        ),
        (
            "{ name = \"entry\" } &> { kind = internal }",
            "entry logic cache",
        ),
        ("{ status = error } &<< { kind = server }", "entry serve"),
        (
            "{ name = \"logic\" } &~ { name = \"cache\" }",
            "logic cache",
        ),
        (
            "{ name = \"entry\" } > { name = \"logic\" } > { kind = client }",
            "call",
        ),
        ("{ kind = client } && { status = error }", "call serve"),
        ("{ kind = producer } && { status = error }", ""),
        ("{ kind = producer } || { status = error }", "serve"),
        ("{ kind = client } | { status = error }", ""),
    ]);
}

#[test]
fn circles_of_parents_come_to_an_end() {
    let spans = vec![
        span(5, 1, 2, "hen", SERVER, 10, Vec::new()),
        span(5, 2, 1, "egg", CLIENT, 10, Vec::new()),
        span(5, 3, 3, "self", CLIENT, 10, Vec::new()),
        span(5, 4, 0, "root", SERVER, 10, Vec::new()),
    ];
    let store = filled(vec![service("circle", Vec::new(), spans)]);
    for (query, spans) in [
        ("{} >> {}", ""),
        ("{} << {}", ""),
        ("{ kind = server } > { kind = client }", ""),
        ("{} ~ {}", ""),
        ("{} !>> { kind = client }", "egg self"),
        ("{ nestedSetParent = 0 }", "hen egg self"),
        ("{ nestedSetLeft > 0 }", "root"),
    ] {
        assert_eq!(names(&store, query), spans, "{query}");
    }
}

#[test]
fn pipelines_group_count_and_join() {
    assert_all(&[
        (
            "{ kind = server } | count() > 1",
            "entry serve | first second",
        ),
        ("{} | count() = 7 | { name = \"none\" }", "none"),
        (
            "{} | max(duration) = 100ms | { kind = server }",
            "entry serve",
        ),
        ("{} | min(span.n) = 1 | { status = error }", "serve"),
        ("{} | sum(span.n) = 8 | { status = error }", "serve"),
        (
            "{ span.n != nil } | avg(span.n) > 2.6 | { status = error }",
            "serve",
        ),
        ("{} | avg(span.nope) > 0", ""),
        ("{ span.n != nil } | by(kind)", "entry serve | call"),
        (
            "{ rootName = \"entry\" } | by(resource.service.name) | count() < 3",
            "serve query",
        ),
        (
            "{ rootName = \"entry\" } | by(span.who)",
            "entry | logic call query cache | serve",
        ),
        (
            "{ rootName = \"entry\" } | by(kind) | coalesce() | count() = 6",
            "entry logic call serve query cache",
        ),
        ("by(span.who)", "entry | serve"),
    ]);
    let store = store();
    assert_eq!(
        run(&store, "({} | by(kind)) > ({})").unwrap_err(),
        EvalError::SeveralSpansets
    );
}

#[test]
fn an_answer_shows_what_the_query_read() {
    let store = store();
    let shown = |text: &str| {
        let found = run(&store, text).unwrap();
        let spanset = &found[0].spansets[0];
        let pairs = |attributes: &[(String, tdemo_tracestore::traceql::eval::Value<'static>)]| {
            let mut pairs: Vec<_> = attributes
                .iter()
                .map(|(key, value)| format!("{key}={}", value.to_text()))
                .collect();
            pairs.sort();
            pairs.join(" ")
        };
        (
            pairs(&spanset.attributes),
            pairs(&spanset.spans[0].attributes),
            spanset.spans[0].name.clone(),
        )
    };
    let pair = |set: &str, span: &str| (set.to_owned(), span.to_owned(), None);
    assert_eq!(shown("{ status = error }"), pair("", "status=error"));
    assert_eq!(
        shown("{ span.who = \"bob\" || span.n = 2 }"),
        pair("", "who=bob")
    );
    assert_eq!(shown("{ .keys = \"b\" }"), pair("", "keys=b"));
    assert_eq!(
        shown("{ .keys = \"b\" } | select(.keys, resource.zone)"),
        pair("", "keys=[a, b] zone=eu")
    );
    assert_eq!(
        shown("{ status = error } | select(event:name)"),
        pair("", "event:name=retry status=error")
    );
    assert_eq!(
        shown("{ status = error } | by(resource.service.name) | count() > 0 | max(duration) > 1ms"),
        pair(
            "by(resource.service.name)=db count()=1 max(duration)=60ms",
            "service.name=db status=error"
        )
    );
    assert_eq!(shown("{ name = \"serve\" }").2.as_deref(), Some("serve"));
    let trace = &run(&store, "{ status = error }").unwrap()[0];
    assert_eq!(
        (trace.root_name.as_deref(), &*trace.root_service),
        (Some("entry"), "web")
    );
    let stats: Vec<_> = trace
        .services
        .iter()
        .map(|s| (&*s.service, s.spans, s.errors))
        .collect();
    assert_eq!(stats, [("db", 2, 1), ("web", 4, 0)]);
}

#[test]
fn limits_and_ranges_bound_an_answer() {
    let store = store();
    let ids = |text: &str, start_ns: u64, end_ns: u64, limit: Option<usize>| {
        let query = compile(text).unwrap();
        let bounds = Bounds {
            start_ns,
            end_ns,
            limit,
            spans_per_spanset: 1,
        };
        let found = search(&Plan::new(&query), &store.snapshot().chunks, &bounds, 2).unwrap();
        assert!(
            found
                .iter()
                .flat_map(|t| &t.spansets)
                .all(|s| s.spans.len() == 1 && s.matched >= 1)
        );
        let mut ids: Vec<_> = found.iter().map(|trace| trace.id % 256).collect();
        ids.sort_unstable();
        ids
    };
    let at = |ms: u64| START + ms * MS;
    assert_eq!(ids("{}", 0, u64::MAX, None), [1, 2, 3, 4]);
    assert_eq!(ids("{}", 0, u64::MAX, Some(3)).len(), 3);
    assert_eq!(
        ids("{} with(most_recent=true)", 0, u64::MAX, Some(2)),
        [3, 4]
    );
    assert_eq!(ids("{}", at(1_101), at(3_001), None), [1, 2, 3]);
    assert_eq!(ids("{}", at(1_102), at(3_000), None), [2]);
}
