//! What each answer owes, and what is said when it is not there.

use super::*;
use crate::fixture::{self, find, id};
use crate::otlp;

const PROCESS: Answer<'static> = Answer {
    tier: None,
    method: "GET",
    path: "/api/process",
    status: 200,
    sampled: true,
    caller: Caller::Silent,
};

fn demo() -> Trace {
    fixture::read(fixture::DEMO)
}

fn flaws(owed: &Owed, trace: &Trace) -> Vec<String> {
    owed.judge(trace)
        .flaws()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The demo's trace from its `from`-th span on, whose parent is then `above`.
fn entered_at(from: usize, above: Option<SpanId>) -> Trace {
    let mut trace = demo();
    trace.spans.sort_by_key(|span| span.start_unix_nanos);
    trace.spans.drain(..from);
    trace.spans[0].parent = above;
    trace
}

#[test]
fn what_is_owed_follows_from_the_answer() {
    let spans = |answer: Answer<'_>| Owed::demo(&answer).spans_owed();
    assert_eq!(spans(PROCESS), 8);
    assert_eq!(
        spans(Answer {
            method: "POST",
            path: "/api/process?x=1",
            ..PROCESS
        }),
        8
    );
    assert_eq!(
        spans(Answer {
            method: "POST",
            path: "/api/transform",
            ..PROCESS
        }),
        5
    );
    assert_eq!(
        spans(Answer {
            path: "/api/data",
            ..PROCESS
        }),
        2
    );
    assert_eq!(
        spans(Answer {
            path: "/",
            ..PROCESS
        }),
        1
    );
    assert_eq!(
        spans(Answer {
            path: "/",
            tier: Some(Tier::Backend),
            ..PROCESS
        }),
        1
    );
    assert_eq!(
        spans(Answer {
            status: 502,
            ..PROCESS
        }),
        1
    );
    assert_eq!(
        spans(Answer {
            path: "/nowhere",
            status: 404,
            ..PROCESS
        }),
        1
    );
    assert_eq!(
        spans(Answer {
            method: "DELETE",
            status: 405,
            ..PROCESS
        }),
        1
    );
    assert_eq!(
        spans(Answer {
            sampled: false,
            ..PROCESS
        }),
        0
    );
    assert_eq!(
        spans(Answer {
            path: "/health",
            ..PROCESS
        }),
        0
    );
    assert_eq!(
        spans(Answer {
            path: "/metrics",
            status: 405,
            method: "POST",
            ..PROCESS
        }),
        0
    );
    let caller = Caller::Exported(id(1));
    assert_eq!(spans(Answer { caller, ..PROCESS }), 9);
    assert_eq!(
        spans(Answer {
            caller: Caller::Unexported(id(1)),
            ..PROCESS
        }),
        8
    );
    assert_eq!(Owed::foreign(Caller::Silent).spans_owed(), 1);
    assert_eq!(Owed::foreign(caller).spans_owed(), 2);
}

#[test]
fn the_wanted_spans_print_in_one_line_each() {
    let wanted = |answer: Answer<'_>| -> Vec<String> {
        Owed::demo(&answer)
            .wanted()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let eight = wanted(Answer {
        method: "POST",
        ..PROCESS
    });
    assert_eq!(eight[0], "frontend SERVER POST /api/process");
    assert_eq!(eight[6], "backend SERVER GET /api/data");
    assert_eq!(
        wanted(Answer {
            status: 502,
            caller: Caller::Exported(id(1)),
            ..PROCESS
        }),
        [
            "the caller's span 0000000000000001",
            "frontend SERVER GET /api/process 502"
        ]
    );
    assert_eq!(
        wanted(Answer {
            path: "/x",
            status: 404,
            ..PROCESS
        }),
        ["(any tier) SERVER GET /x 404"]
    );
}

#[test]
fn the_demo_is_complete_at_every_way_in() {
    let owed = Owed::demo(&PROCESS);
    assert_eq!(owed.judge(&demo()), Completeness::Complete);
    let middleware = Owed::demo(&Answer {
        method: "POST",
        path: "/api/transform",
        ..PROCESS
    });
    assert_eq!(
        middleware.judge(&entered_at(3, None)),
        Completeness::Complete
    );
    let backend = Owed::demo(&Answer {
        path: "/api/data",
        ..PROCESS
    });
    assert_eq!(backend.judge(&entered_at(6, None)), Completeness::Complete);
}

#[test]
fn each_span_that_is_dropped_is_named_and_so_is_the_hole() {
    let owed = Owed::demo(&PROCESS);
    let wanted: Vec<String> = owed.wanted().iter().map(ToString::to_string).collect();
    for (dropped, wanted) in wanted.iter().enumerate() {
        let mut trace = demo();
        trace.spans.sort_by_key(|span| span.start_unix_nanos);
        let gone = trace.spans.remove(dropped);
        let verdict = owed.judge(&trace);
        let missing: Vec<String> = verdict.missing().map(ToString::to_string).collect();
        assert_eq!(missing, [wanted.as_str()]);
        let mut expected = vec![format!("missing {wanted}")];
        if dropped < 7 {
            let below = &trace.spans[dropped];
            expected.push(format!(
                "parent {} of {} (span {}) is absent",
                gone.id,
                below.label(),
                below.id
            ));
        }
        assert_eq!(flaws(&owed, &trace), expected);
    }
}

#[test]
fn nothing_found_is_everything_missing() {
    let owed = Owed::demo(&PROCESS);
    let verdict = owed.judge(&Trace::empty(demo().id));
    assert_eq!(verdict.missing().count(), 8);
    assert_eq!(verdict.flaws().len(), 8);
    assert_eq!(
        Owed::nothing().judge(&Trace::empty(demo().id)),
        Completeness::Complete
    );
}

#[test]
fn what_is_not_owed_is_told_too() {
    let owed = Owed::demo(&PROCESS);
    let mut twice = demo();
    twice.spans.push(twice.spans[0].clone());
    assert_eq!(
        flaws(&owed, &twice),
        ["not owed: backend SERVER GET /api/data (span 00000000000000a6)"]
    );
    let mut more = demo();
    let mut other = more.spans[0].clone();
    other.id = id(99);
    other.name = "cache".to_owned();
    more.spans.push(other);
    assert_eq!(
        flaws(&owed, &more),
        ["not owed: backend SERVER cache (span 0000000000000063)"]
    );
    let unsampled = Owed::demo(&Answer {
        sampled: false,
        ..PROCESS
    });
    assert_eq!(flaws(&unsampled, &demo()).len(), 8);
}

#[test]
fn a_span_of_another_kind_service_or_name_is_another_span() {
    let owed = Owed::demo(&PROCESS);
    let mut trace = demo();
    find(&mut trace, "backend", SpanKind::Internal).kind = SpanKind::Client;
    assert_eq!(
        flaws(&owed, &trace),
        [
            "not owed: backend CLIENT backend-get-data (span 00000000000000a7)",
            "missing backend INTERNAL backend-get-data"
        ]
    );
    let mut trace = demo();
    find(&mut trace, "frontend", SpanKind::Client).name = "HTTP POST".to_owned();
    assert_eq!(flaws(&owed, &trace).len(), 2);
    let post = Owed::demo(&Answer {
        method: "POST",
        ..PROCESS
    });
    assert_eq!(flaws(&post, &demo()).len(), 2, "GET is not POST");
}

#[test]
fn a_span_under_the_wrong_parent_is_told() {
    let owed = Owed::demo(&PROCESS);
    let mut trace = demo();
    find(&mut trace, "middleware", SpanKind::Server).parent = Some(id(0xa0));
    assert_eq!(
        flaws(&owed, &trace),
        [
            "parent of middleware SERVER POST /api/transform (span 00000000000000a3) is \
             00000000000000a0, not 00000000000000a2"
        ]
    );
    find(&mut trace, "middleware", SpanKind::Server).parent = None;
    assert_eq!(
        flaws(&owed, &trace),
        [
            "parent of middleware SERVER POST /api/transform (span 00000000000000a3) is \
             none, not 00000000000000a2"
        ]
    );
    let mut looped = demo();
    find(&mut looped, "frontend", SpanKind::Server).parent = Some(id(0xa7));
    let told = flaws(&owed, &looped);
    assert!(
        told[0].contains("is 00000000000000a7, not none"),
        "{told:?}"
    );
    assert!(told[1].ends_with("is its own ancestor"), "{told:?}");
    assert_eq!(told.len(), 2);
}

#[test]
fn an_absent_parent_is_forgiven_only_where_the_caller_sent_it() {
    let sent: SpanId = "00f067aa0ba902b7".parse().unwrap();
    let with = |caller| Owed::demo(&Answer { caller, ..PROCESS });
    let python = fixture::read(fixture::PYTHON);
    assert_eq!(
        with(Caller::Unexported(sent)).judge(&python),
        Completeness::Complete
    );
    assert_eq!(
        flaws(&with(Caller::Silent), &python),
        [
            "parent 00f067aa0ba902b7 of frontend SERVER GET /api/process \
             (span dab8a1698b498d27) is absent"
        ]
    );
    assert_eq!(flaws(&with(Caller::Unexported(id(1))), &python).len(), 1);
    assert_eq!(
        flaws(&with(Caller::Unexported(sent)), &demo()),
        [
            "parent of frontend SERVER GET /api/process (span 00000000000000a0) is none, \
             not 00f067aa0ba902b7"
        ]
    );
}

#[test]
fn the_callers_own_span_is_owed_where_it_was_exported() {
    let owed = Owed::demo(&Answer {
        caller: Caller::Exported(id(5)),
        ..PROCESS
    });
    let mut trace = entered_at(0, Some(id(5)));
    assert_eq!(
        flaws(&owed, &trace),
        [
            "missing the caller's span 0000000000000005",
            "parent 0000000000000005 of frontend SERVER GET /api/process \
             (span 00000000000000a0) is absent"
        ]
    );
    let mut caller = fixture::span(5, None, 0, u64::MAX);
    caller.kind = SpanKind::Client;
    trace.spans.push(caller);
    assert_eq!(owed.judge(&trace), Completeness::Complete);
    trace.spans[8].parent = Some(id(4));
    assert_eq!(
        flaws(&owed, &trace).len(),
        1,
        "its own parent must not be absent"
    );
}

#[test]
fn another_answer_owes_the_span_of_the_tier_that_was_asked() {
    let failed = Owed::demo(&Answer {
        status: 502,
        ..PROCESS
    });
    let mut trace = fixture::read(fixture::DEMO_ERROR);
    assert_eq!(failed.judge(&trace), Completeness::Complete);
    assert_eq!(
        flaws(
            &Owed::demo(&Answer {
                status: 504,
                ..PROCESS
            }),
            &trace
        ),
        ["missing frontend SERVER GET /api/process 504"]
    );
    find(&mut trace, "middleware", SpanKind::Server).parent = Some(id(1));
    assert_eq!(flaws(&failed, &trace).len(), 1, "an absent parent");
    trace.spans.retain(|span| span.service() != "frontend");
    assert_eq!(
        flaws(&failed, &trace)[0],
        "missing frontend SERVER GET /api/process 502",
        "the middleware's 502 is not the frontend's"
    );

    let refused = fixture::read(fixture::DEMO_405);
    let answer = Answer {
        method: "DELETE",
        status: 405,
        ..PROCESS
    };
    assert!(Owed::demo(&answer).judge(&refused).is_complete());
    let unknown_tier = Answer {
        path: "/x",
        ..answer
    };
    assert!(Owed::demo(&unknown_tier).judge(&refused).is_complete());
    let other_tier = Answer {
        tier: Some(Tier::Backend),
        ..answer
    };
    assert!(!Owed::demo(&other_tier).judge(&refused).is_complete());
}

#[test]
fn the_index_is_owed_by_whichever_tier_was_asked() {
    let mut trace = fixture::read(fixture::DEMO_405);
    trace.spans[0].name = "GET /".to_owned();
    let index = Answer {
        path: "/",
        ..PROCESS
    };
    assert!(Owed::demo(&index).judge(&trace).is_complete());
    let frontend = Answer {
        tier: Some(Tier::Frontend),
        ..index
    };
    assert!(Owed::demo(&frontend).judge(&trace).is_complete());
    let backend = Answer {
        tier: Some(Tier::Backend),
        ..index
    };
    assert!(!Owed::demo(&backend).judge(&trace).is_complete());
}

#[test]
fn a_foreign_trace_owes_one_root_and_no_orphan() {
    let owed = Owed::foreign(Caller::Silent);
    let mut trace = fixture::trace(vec![
        fixture::span(1, None, 0, 9),
        fixture::span(2, Some(1), 1, 8),
    ]);
    assert!(owed.judge(&trace).is_complete());
    trace.spans.push(fixture::span(3, None, 1, 8));
    assert_eq!(flaws(&owed, &trace), ["2 roots instead of one"]);
    trace.spans[2].parent = Some(id(77));
    assert_eq!(flaws(&owed, &trace).len(), 1);
    assert!(
        Owed::foreign(Caller::Unexported(id(1)))
            .judge(&entered_at(0, Some(id(1))))
            .is_complete()
    );
    assert_eq!(
        flaws(&Owed::foreign(Caller::Unexported(id(77))), &trace),
        ["2 roots instead of one"],
        "a child of the caller and a root"
    );
    assert_eq!(
        flaws(&owed, &Trace::empty(trace.id)),
        ["missing a root span"]
    );
}

#[test]
fn what_went_through_otlp_is_judged_the_same() {
    let trace = demo();
    let there_and_back = Trace::one_from_otlp(
        trace.id,
        otlp::json::decode(otlp::json::encode(&trace.to_otlp()).as_bytes()).unwrap(),
    )
    .unwrap();
    assert!(Owed::demo(&PROCESS).judge(&there_and_back).is_complete());
}
