mod mistakes;

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fixture::{self, find, id};
use crate::owed::{Answer, Caller, Completeness, Tier};
use crate::span::{Event, SpanKind, StatusCode};
use crate::{Attributes, TraceId, Value};

const OK: Answer<'static> = Answer {
    tier: None,
    method: "GET",
    path: "/api/process",
    status: 200,
    sampled: true,
    caller: Caller::Silent,
};
const FAILED: Answer<'static> = Answer { status: 502, ..OK };
const MS: u64 = 1_000_000;

fn demo() -> Trace {
    fixture::read(fixture::DEMO)
}

fn failed() -> Trace {
    fixture::read(fixture::DEMO_ERROR)
}

fn asked(answer: Answer<'static>) -> Asked<'static> {
    Asked {
        response: Some(TraceResponse {
            trace_id: demo().id,
            span_id: id(0xa0),
        }),
        ..Asked::demo(answer)
    }
}

/// The ids of the rules that `trace` breaks, notes included.
fn broken(trace: &Trace, asked: &Asked<'_>) -> Vec<&'static str> {
    check(trace, asked)
        .iter()
        .filter(|verdict| matches!(verdict.outcome, Outcome::Broken(_)))
        .map(|verdict| verdict.rule.id)
        .collect()
}

fn texts(trace: &Trace, asked: &Asked<'_>) -> Vec<String> {
    failures(trace, asked)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn resource_of(trace: &mut Trace, service: &str, change: impl Fn(&mut Attributes)) {
    for span in &mut trace.spans {
        if span.service() == service {
            change(&mut Arc::make_mut(&mut span.resource).attributes);
        }
    }
}

fn server<'t>(trace: &'t mut Trace, service: &str) -> &'t mut Span {
    find(trace, service, SpanKind::Server)
}

fn client<'t>(trace: &'t mut Trace, service: &str) -> &'t mut Span {
    find(trace, service, SpanKind::Client)
}

fn internal<'t>(trace: &'t mut Trace, service: &str) -> &'t mut Span {
    find(trace, service, SpanKind::Internal)
}

fn rename(span: &mut Span, old: &str, new: &str) {
    let value = span.attributes.remove(old).unwrap();
    span.attributes.set(new, value);
}

#[test]
fn rules_have_distinct_ids_and_say_who_demands_them() {
    let ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), RULES.len());
    assert!(
        RULES.is_sorted_by_key(|rule| rule.group),
        "told group by group"
    );
    for rule in RULES {
        assert!(rule.sentence.ends_with('.'), "{}", rule.id);
        assert!(
            !rule.source.is_empty() && !rule.source.ends_with('.'),
            "{}",
            rule.id
        );
    }
}

#[test]
fn good_traces_break_no_rule() {
    assert_eq!(texts(&demo(), &asked(OK)), Vec::<String>::new());
    assert_eq!(texts(&failed(), &asked(FAILED)), Vec::<String>::new());
    let refused = Answer {
        method: "DELETE",
        status: 405,
        ..OK
    };
    assert_eq!(
        texts(&fixture::read(fixture::DEMO_405), &asked(refused)),
        Vec::<String>::new()
    );
    assert_eq!(broken(&demo(), &asked(OK)), Vec::<&str>::new());
    assert_eq!(
        broken(&demo(), &Asked::foreign(Caller::Silent)),
        Vec::<&str>::new()
    );
    let unsampled = Answer {
        sampled: false,
        ..OK
    };
    assert_eq!(
        broken(&Trace::empty(demo().id), &Asked::demo(unsampled)),
        Vec::<&str>::new()
    );
}

#[test]
fn work_that_was_cut_short_may_have_seen_no_answer() {
    let timeout = fixture::read(fixture::DEMO_TIMEOUT);
    assert_eq!(texts(&timeout, &Asked::demo(FAILED)), Vec::<String>::new());

    let gone = fixture::read(fixture::DEMO_GONE);
    let caller = Caller::Unexported("b7ad6b7169203331".parse().unwrap());
    assert_eq!(texts(&gone, &Asked::foreign(caller)), Vec::<String>::new());
    let answered = Asked::demo(Answer { caller, ..FAILED });
    assert_eq!(
        broken(&gone, &answered),
        ["http.entry"],
        "nobody was answered"
    );
}

/// Every rule holds on one of the good traces, and is not merely out of place
/// on all of them.
#[test]
fn every_rule_has_something_to_look_at() {
    let carried = Asked {
        tracestate: Some("a=1"),
        faults: &[(Tier::Backend, "backend:delay:1s")],
        ..asked(OK)
    };
    let unsampled = Asked::demo(Answer {
        sampled: false,
        ..OK
    });
    let mut applied = BTreeSet::new();
    for (trace, asked) in [
        (demo(), carried),
        (failed(), asked(FAILED)),
        (demo(), unsampled),
        (demo(), Asked::foreign(Caller::Silent)),
    ] {
        for verdict in check(&trace, &asked) {
            if verdict.outcome != Outcome::NotApplicable {
                applied.insert(verdict.rule.id);
            }
        }
    }
    let all: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(applied, all);
}

#[test]
fn a_4xx_is_no_error_of_the_server() {
    let answer = asked(Answer {
        method: "DELETE",
        status: 405,
        ..OK
    });
    let mut trace = fixture::read(fixture::DEMO_405);
    trace.spans[0].status.code = StatusCode::Error;
    trace.spans[0].attributes.set("error.type", "405");
    assert_eq!(broken(&trace, &answer), ["status.unset"]);
    let unknown = asked(Answer {
        path: "/x",
        method: "BREW",
        status: 404,
        ..OK
    });
    let mut trace = fixture::read(fixture::DEMO_405);
    let span = &mut trace.spans[0];
    span.name = "HTTP".to_owned();
    span.attributes.remove("http.route");
    span.attributes.set("http.request.method", "_OTHER");
    span.attributes.set("http.request.method_original", "BREW");
    span.attributes.set("url.path", "/x");
    span.attributes.set("http.response.status_code", 404);
    assert_eq!(texts(&trace, &unknown), Vec::<String>::new());
    trace.spans[0].name = "HTTP /x".to_owned();
    assert_eq!(broken(&trace, &unknown), ["http.span-name"]);
}

#[test]
fn findings_read_as_in_a_report() {
    let mut trace = demo();
    rename(
        client(&mut trace, "middleware"),
        "http.response.status_code",
        "http.status_code",
    );
    server(&mut trace, "backend")
        .attributes
        .set("server.port", "5002");
    trace.spans.retain(|span| span.name != "backend-get-data");
    assert_eq!(
        texts(&trace, &asked(OK)),
        [
            "spans.set: backend INTERNAL backend-get-data: expected one span, found none",
            "http.old-keys: middleware CLIENT GET (span 00000000000000a5): expected \
             http.response.status_code, found http.status_code = 200, which the stable conventions dropped",
            "http.server.attributes: backend SERVER GET /api/data (span 00000000000000a6): expected \
             server.port (int), found server.port = 5002 (string)",
        ]
    );
    let finding = &failures(&trace, &asked(OK))[2];
    let json = serde_json::to_value(finding).unwrap();
    assert_eq!(json["rule"], "http.server.attributes");
    assert_eq!(json["span"], "00000000000000a6");
    assert_eq!(json["service"], "backend");
}

#[test]
fn what_the_caller_sent_must_have_been_carried() {
    let mut trace = demo();
    for span in &mut trace.spans {
        span.trace_state = "a=1, b=2".to_owned();
        span.flags |= 0x02;
    }
    trace
        .spans
        .iter_mut()
        .find(|span| span.parent.is_none())
        .unwrap()
        .parent = Some(id(5));
    let carried = Asked {
        flags: Some(0x03),
        tracestate: Some("a=1,b=2"),
        ..asked(Answer {
            caller: Caller::Unexported(id(5)),
            ..OK
        })
    };
    assert_eq!(texts(&trace, &carried), Vec::<String>::new());
    let mut lost = trace.clone();
    server(&mut lost, "backend").trace_state = "a=1".to_owned();
    assert_eq!(broken(&lost, &carried), ["trace.state"]);
    let mut lost = trace.clone();
    server(&mut lost, "backend").flags &= !0x02;
    assert_eq!(broken(&lost, &carried), ["trace.flags"]);
    let mut ignored = trace.clone();
    server(&mut ignored, "frontend").parent = None;
    assert_eq!(broken(&ignored, &carried), ["trace.parents"]);

    let exported = Asked {
        ..asked(Answer {
            caller: Caller::Exported(id(5)),
            ..OK
        })
    };
    assert_eq!(broken(&trace, &exported), ["spans.set", "trace.orphans"]);
    let mut own = fixture::span(5, None, 0, u64::MAX);
    own.kind = SpanKind::Client;
    trace.spans.push(own);
    assert_eq!(texts(&trace, &exported), Vec::<String>::new());
    server(&mut trace, "frontend").parent = None;
    assert_eq!(broken(&trace, &exported), ["trace.root"]);
}

#[test]
fn traceresponse_must_name_the_span_that_took_the_request() {
    let with = |trace_id, span_id| Asked {
        response: Some(TraceResponse { trace_id, span_id }),
        ..Asked::demo(OK)
    };
    let trace = demo();
    assert_eq!(
        broken(&trace, &with(trace.id, id(0xa3))),
        ["trace.response"]
    );
    assert_eq!(
        texts(&trace, &with(TraceId([1; 16]), id(0xa0))),
        [format!(
            "trace.response: the trace: expected the trace id of traceresponse, {}, found {}",
            TraceId([1; 16]),
            trace.id
        )]
    );
}

#[test]
fn an_unsampled_request_leaves_nothing() {
    let unsampled = Asked::demo(Answer {
        sampled: false,
        ..OK
    });
    assert_eq!(broken(&demo(), &unsampled)[0], "spans.unsampled");
    assert_eq!(failures(&demo(), &unsampled).len(), 8);
}

#[test]
fn a_fault_is_marked_where_it_was_done() {
    let asked = Asked {
        faults: &[(Tier::Backend, "backend:delay:300ms")],
        ..asked(OK)
    };
    let mut trace = demo();
    assert_eq!(broken(&trace, &asked), ["fault.injected"]);
    let span = server(&mut trace, "backend");
    span.attributes
        .set("demo.fault.injected", "backend:delay:300ms");
    assert_eq!(broken(&trace, &asked), Vec::<&str>::new());
}

#[test]
fn the_python_original_breaks_what_it_is_known_to_break() {
    let caller = Caller::Unexported("00f067aa0ba902b7".parse().unwrap());
    let trace = fixture::read(fixture::PYTHON);
    assert_eq!(
        broken(&trace, &Asked::demo(Answer { caller, ..OK })),
        [
            "trace.flags",
            "resource.demo",
            "resource.old-keys",
            "http.old-keys",
            "http.client.attributes",
            "demo.attributes",
        ]
    );
    let error = fixture::read(fixture::PYTHON_ERROR);
    let broken = broken(&error, &Asked::foreign(caller));
    assert!(
        broken.contains(&"http.old-keys") && broken.contains(&"error.type"),
        "{broken:?}"
    );
    assert!(
        broken.contains(&"resource.instance-id"),
        "a note: {broken:?}"
    );
}

#[test]
fn a_foreign_trace_is_held_to_what_holds_everywhere() {
    let asked = Asked::foreign(Caller::Silent);
    let mut bare = fixture::trace(vec![
        fixture::span(1, None, 0, 9),
        fixture::span(2, Some(1), 1, 80),
    ]);
    bare.spans[1].resource = Arc::clone(&bare.spans[0].resource);
    assert_eq!(
        broken(&bare, &asked),
        ["resource.service-name", "resource.instance-id"]
    );
    assert_eq!(failures(&bare, &asked).len(), 1, "a note is no failure");

    let mut rootless = bare.clone();
    rootless.spans[0].kind = SpanKind::Client;
    assert!(broken(&rootless, &asked).contains(&"trace.root-kind"));
    assert_eq!(broken(&Trace::empty(bare.id), &asked), ["trace.root"]);

    let mut raw = demo();
    let span = server(&mut raw, "backend");
    span.attributes.remove("http.route");
    span.name = "GET /api/data".to_owned();
    assert_eq!(broken(&raw, &asked), ["http.span-name"]);
}

#[test]
fn a_deep_chain_of_calls_is_judged_too() {
    let backend = demo().spans;
    let mut spans = Vec::new();
    for number in 1..=20_000 {
        let mut span = backend[number % 2].clone();
        span.id = id(number as u64);
        span.parent = (number > 1).then(|| id(number as u64 - 1));
        span.kind = [SpanKind::Server, SpanKind::Client][number % 2];
        span.name = "backend-get-data".to_owned();
        spans.push(span);
    }
    let trace = fixture::trace(spans);
    let set = |asked: &Asked<'_>| {
        let findings = failures(&trace, asked);
        findings
            .iter()
            .filter(|finding| finding.rule == "spans.set")
            .count()
    };
    // Two have a part, with a wrong kind and a wrong name; six parts have none.
    assert_eq!(set(&asked(OK)), 6 + 19_998);
    assert_eq!(set(&Asked::foreign(Caller::Silent)), 0);
}

/// One random change to a trace.
fn change(trace: &mut Trace, (what, at, value): (u8, usize, u64)) {
    if trace.spans.is_empty() {
        return;
    }
    let at = at % trace.spans.len();
    let span = &mut trace.spans[at];
    match what {
        0 => drop(trace.spans.remove(at)),
        1 => span.parent = None,
        2 => span.parent = Some(id(0xa0 + value % 10)),
        3 => span.kind = SpanKind::ALL[usize::try_from(value % 6).unwrap()],
        4 => {
            span.name = ["GET", "POST", "backend-get-data", "x"]
                [usize::try_from(value % 4).unwrap()]
            .to_owned();
        }
        5 => {
            let mut more = span.clone();
            more.id = id(value % 200);
            trace.spans.push(more);
        }
        6 => span.attributes.set(
            "http.response.status_code",
            Value::Int(i64::try_from(value % 600).unwrap()),
        ),
        7 => drop(span.attributes.remove("http.response.status_code")),
        _ => {
            Arc::make_mut(&mut span.resource).attributes.set(
                "service.name",
                ["frontend", "backend", ""][usize::try_from(value % 3).unwrap()],
            );
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_incomplete_breaks_a_rule_too(
        changes in prop::collection::vec((0..9u8, 0..8usize, any::<u64>()), 0..4),
        good: bool,
    ) {
        let (mut trace, answer) = if good { (demo(), OK) } else { (failed(), FAILED) };
        for one in changes {
            change(&mut trace, one);
        }
        let asked = asked(answer);
        let broken = failures(&trace, &asked);
        if asked.owed().judge(&trace) != Completeness::Complete {
            prop_assert!(!broken.is_empty(), "{:?}", asked.owed().judge(&trace));
        }
        // And on any trace the rules for all come to an end.
        let _ = check(&trace, &Asked::foreign(Caller::Silent));
    }
}
