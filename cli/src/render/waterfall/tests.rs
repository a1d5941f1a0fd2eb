//! Waterfalls as people see them: layout, widths, what is said of trouble.

use tdemo_trace::span::{Event, Link};
use tdemo_trace::{Attributes, SpanId};

use super::*;
use crate::render::cells::width;
use crate::testing::{demo, span, trace};

fn draw(trace: &Trace, columns: usize, attributes: bool) -> String {
    let mut out = Vec::new();
    let look = Look {
        columns,
        attributes,
    };
    waterfall(trace, look, &mut out).unwrap();
    let plain: Vec<u8> = anstream::adapter::strip_bytes(&out)
        .flatten()
        .copied()
        .collect();
    String::from_utf8(plain).unwrap()
}

#[test]
fn the_demo_is_drawn_in_eighty_columns() {
    let text = draw(&demo(), 80, false);
    let expected = "\
4bf92f3577b34da6a3ce929d0e0e4736   2023-11-14 22:13:20.000 UTC
182 ms   8 spans, 3 services   ok

frontend   GET /api/process               ██████████████████   182 ms  1.00 ms
frontend   └ frontend-process             █████████████████▉   181 ms  1.00 ms
frontend     └ POST                       █████████████████▉   180 ms  2.00 ms
middleware     └ POST /api/transform      █████████████████▊   178 ms  1.00 ms
middleware       └ middleware-transform   █████████████████▊   177 ms  56.0 ms
middleware         └ GET                       ▐███████████▊   121 ms  2.00 ms
backend              └ GET /api/data           ▐███████████▋   119 ms  1.00 ms
backend                └ backend-get-data      ▐███████████▋   118 ms   118 ms ◂

◂ critical  backend-get-data 118 ms (65 %), middleware-transform 56.0 ms (31 %)
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn a_wider_terminal_gives_its_cells_to_the_bars() {
    for columns in [72, 80, 100, 200] {
        let text = draw(&demo(), columns, false);
        let widest = text.lines().skip(3).take(8).map(width).max().unwrap();
        assert_eq!(widest, columns, "\n{text}");
    }
    let narrow = draw(&demo(), 10, false);
    assert_eq!(narrow, draw(&demo(), NARROWEST, false), "it stays readable");
}

#[test]
fn errors_are_marked_and_told_below() {
    let mut broken = demo();
    broken.spans.truncate(6);
    broken.spans[5].status.code = StatusCode::Error;
    broken.spans[5].status.message = "connect\nrefused".to_owned();
    broken.spans[5]
        .attributes
        .set("error.type", "connection_refused");
    let text = draw(&broken, 80, false);
    assert!(text.contains("6 spans, 2 services   1 error\n"), "{text}");
    assert!(text.contains("└ ✗ GET "), "{text}");
    assert!(
        text.ends_with("✗ error middleware INTERNAL GET: connection_refused, connect\\nrefused\n"),
        "{text}"
    );
}

#[test]
fn a_missing_parent_stands_above_its_orphans() {
    let mut holed = demo();
    holed.spans.remove(3);
    let text = draw(&holed, 80, false);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[6], "?          (missing parent 0000000000000004)",
        "{text}"
    );
    assert!(
        lines[7].starts_with("middleware └ middleware-transform "),
        "{text}"
    );
    assert!(lines[8].starts_with("middleware   └ GET "), "{text}");
    assert!(
        text.contains("? missing 1 span names a parent that is not here"),
        "{text}"
    );
}

#[test]
fn duplicates_and_loops_are_named() {
    let mut again = demo();
    again.spans.push(again.spans[7].clone());
    let text = draw(&again, 80, false);
    assert!(text.contains("(again)"), "{text}");
    assert!(
        text.contains("? twice 1 span with an id that another span has"),
        "{text}"
    );

    let text = draw(
        &trace(vec![
            span(1, Some(2), ("a", "one"), (0, 10)),
            span(2, Some(1), ("a", "two"), (1, 9)),
        ]),
        80,
        false,
    );
    assert!(
        text.contains("? loop a INTERNAL one is its own ancestor"),
        "{text}"
    );
}

#[test]
fn attributes_events_links_and_the_resource_follow_their_span() {
    let mut rich = trace(vec![
        span(1, None, ("shop", "GET /"), (0, 10)),
        span(2, Some(1), ("shop", "work"), (1, 9)),
    ]);
    rich.spans[1].resource = Arc::clone(&rich.spans[0].resource);
    rich.spans[0].attributes = [("http.response.status_code", 200)].into_iter().collect();
    rich.spans[1].trace_state = "a=1".to_owned();
    let event_unix_nanos = rich.spans[1].start_unix_nanos + 2_000_000;
    rich.spans[1].events.push(Event {
        unix_nanos: event_unix_nanos,
        name: "exception".to_owned(),
        attributes: [("exception.message", "no\nluck")].into_iter().collect(),
        dropped_attributes: 0,
    });
    rich.spans[1].links.push(Link {
        trace_id: "abc".parse().unwrap(),
        span_id: SpanId([1; 8]),
        trace_state: String::new(),
        attributes: Attributes::default(),
        dropped_attributes: 0,
        flags: 0,
    });
    let text = draw(&rich, 80, true);
    for line in [
        "       span 0000000000000001 INTERNAL",
        "       http.response.status_code = 200 (int)",
        "       resource",
        "         service.name = shop (string)",
        "       tracestate: a=1",
        "       +2.00 ms exception",
        "         exception.message = no\\nluck (string)",
        "       link to trace 00000000000000000000000000000abc span 0101010101010101",
    ] {
        assert_eq!(
            text.lines().filter(|found| *found == line).count(),
            1,
            "{line:?}\n{text}"
        );
    }
    assert!(!draw(&rich, 80, false).contains("status_code"));
}

#[test]
fn hostile_names_stay_on_their_line_and_in_their_column() {
    let hostile = "\u{1b}[2J\u{1b}]0;gotcha\u{7}\n\u{202e}日本語";
    let text = draw(
        &trace(vec![
            span(1, None, (hostile, hostile), (0, 10)),
            span(2, Some(1), ("日本語日本語日本語", "ラストスパン"), (1, 9)),
        ]),
        80,
        true,
    );
    assert!(
        !text.chars().any(|c| c.is_control() && c != '\n'),
        "{text:?}"
    );
    assert!(!text.contains('\u{202e}'));
    let rows: Vec<usize> = text
        .lines()
        .filter(|line| line.contains('█'))
        .map(|line| width(line.split_once(" ms").unwrap().0))
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0], rows[1], "the columns line up\n{text}");
}

#[test]
fn depth_and_size_are_no_danger() {
    fn id_of(at: u16) -> SpanId {
        SpanId(u64::from(at + 1).to_be_bytes())
    }
    let deep = trace(
        (0..5_000u16)
            .map(|at| {
                let mut one = span(1, None, ("a", "step"), (0, 10));
                one.id = id_of(at);
                one.parent = at.checked_sub(1).map(id_of);
                one
            })
            .collect(),
    );
    let text = draw(&deep, 80, false);
    assert_eq!(
        text.lines().count(),
        5_000 + 5,
        "header, spans, critical path"
    );
    assert!(text.lines().all(|line| width(line) <= 80));
    assert!(
        text.contains("4999            └ step"),
        "{}",
        text.lines().nth(5_000).unwrap()
    );
}

#[test]
fn spans_without_time_or_before_their_time_still_get_a_bar() {
    let mut odd = trace(vec![
        span(1, None, ("a", "zero"), (5, 5)),
        span(2, Some(1), ("a", "back"), (9, 3)),
    ]);
    let text = draw(&odd, 80, false);
    assert_eq!(
        text.lines()
            .filter(|line| line.contains(['▏', '▐']))
            .count(),
        2,
        "{text}"
    );
    odd.spans.clear();
    assert_eq!(
        draw(&odd, 80, false),
        "4bf92f3577b34da6a3ce929d0e0e4736   no spans\n"
    );
}

#[test]
fn bars_are_exact_to_an_eighth_at_their_end() {
    assert_eq!(bar(0..32, 4), "████");
    assert_eq!(bar(0..17, 4), "██▏ ");
    assert_eq!(bar(8..20, 4), " █▌ ");
    assert_eq!(bar(13..32, 4), " ▐██");
    assert_eq!(bar(10..13, 4), " ▍  ");
    assert_eq!(bar(32..32, 4), "   ▐");
    assert_eq!(bar(0..0, 4), "▏   ");
}
