//! LogQL as a library: what is read, what is refused and where, and what a pipeline does to a
//! record. The store's side of queries is tested in `store.rs` and `http.rs`.

use std::borrow::Cow;

use tdemo_tracestore::logs::logql::ast::Stage;
use tdemo_tracestore::logs::logql::{self, Fields, Record, TraceHint};

const ID: &str = "0af7651916cd43dd8448eb211c80319c";

/// A record of given labels, metadata and line.
pub(crate) struct Given<'a> {
    pub(crate) line: &'a str,
    pub(crate) stream: &'a [(&'a str, &'a str)],
    pub(crate) metadata: &'a [(&'a str, &'a str)],
}

fn find<'a>(pairs: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, value)| *value)
}

impl Record for Given<'_> {
    fn line(&self) -> &str {
        self.line
    }
    fn stream_label(&self, name: &str) -> Option<&str> {
        find(self.stream, name)
    }
    fn metadata(&self, name: &str) -> Option<Cow<'_, str>> {
        find(self.metadata, name).map(Cow::Borrowed)
    }
}

pub(crate) const RECORD: Given<'static> = Given {
    line: r#"{"message":"slow answer","status":503,"took":"1.2s","http":{"route":"/api"},"trace_id":"other","size":"big"}"#,
    stream: &[("service_name", "frontend"), ("env", "demo")],
    metadata: &[
        ("trace_id", ID),
        ("detected_level", "warn"),
        ("retries", "2"),
    ],
};

/// Runs a query's stages over a record: whether it is kept, and what the stages made.
pub(crate) fn run(stages: &str, record: &Given<'_>) -> (bool, Vec<(String, String)>) {
    let text = format!("{{service_name=\"frontend\"}} {stages}");
    let pipeline = logql::compile(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut fields = Fields::default();
    let kept = pipeline.run(record, &mut fields);
    let made = fields
        .parsed()
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    (kept, made)
}

fn keeps(stages: &str) -> bool {
    run(stages, &RECORD).0
}

fn made(stages: &str, name: &str) -> Option<String> {
    run(stages, &RECORD)
        .1
        .into_iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value)
}

#[test]
fn line_filters_look_for_text_and_expressions() {
    assert!(keeps(r#"|= "slow answer""#));
    assert!(!keeps(r#"|= "Slow""#));
    assert!(keeps(r#"!= "quick""#));
    assert!(keeps(r#"|~ "(?i)SLOW\\s+\\w+""#));
    assert!(!keeps("!~ `status\":5..`"));
    assert!(keeps(r#"|= "quick" or "slow""#));
    assert!(!keeps(r#"|= "quick" or "fast""#));
    // Negated, none of them may be there.
    assert!(!keeps(r#"!= "quick" or "slow""#));
    assert!(keeps(r#"!~ "qu.ck" or "f.st""#));
    assert!(!keeps(r#"|= "slow" |= "quick""#));
}

#[test]
fn label_filters_see_stream_labels_metadata_and_parsed_fields() {
    assert!(keeps(&format!(r#"| trace_id="{ID}""#)));
    assert!(keeps(r#"| detected_level=~"warn|error" | env!="prod""#));
    // Anchored.
    assert!(!keeps(r#"| detected_level=~"war""#));
    assert!(keeps(r#"| detected_level!~"war""#));
    // Absent is empty.
    assert!(keeps(r#"| nothing="" | nothing!="x" | nothing=~".*""#));
    assert!(!keeps(r#"| status="503""#), "nothing parsed the line yet");
    assert!(keeps(r#"| json | status="503" | http_route="/api""#));
}

#[test]
fn numbers_and_durations_are_compared_as_such() {
    assert!(keeps(
        "| retries > 1.5 | retries <= 2 | retries == 2 | retries = 2 | retries != 3"
    ));
    assert!(!keeps("| retries < 2"));
    assert!(keeps("| json | status >= 500 and status < 600"));
    assert!(keeps("| json | took > 1s | took < 1m30s | took != 5ms"));
    assert!(!keeps("| json | took <= 1200ms | took > 1200ms"));
    assert!(keeps("| retries > -1"));
    // Absent: left out, even for !=.
    assert!(!keeps("| nothing != 1"));
    // Not a number: kept, and marked, so that nothing disappears unseen.
    assert!(keeps("| json | size > 10"));
    assert_eq!(
        made("| json | size > 10", "__error__").as_deref(),
        Some("LabelFilterErr")
    );
    assert!(!keeps(r#"| json | size > 10 | __error__="""#));
}

#[test]
fn and_or_and_commas_bind_as_in_loki() {
    let filter = |text: &str| match logql::parse(&format!("{{a=\"b\"}} | {text}"))
        .unwrap()
        .stages
        .remove(0)
    {
        Stage::Label(filter) => filter.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        filter("a=1 or b=2 and c=3"),
        "(a == 1 or (b == 2 and c == 3))"
    );
    assert_eq!(
        filter("a=1 and b=2 or c=3"),
        "((a == 1 and b == 2) or c == 3)"
    );
    assert_eq!(filter("a=1, b=2 or c=3"), "(a == 1 and (b == 2 or c == 3))");
    assert_eq!(filter("a=1 or b=2, c=3"), "(a == 1 or (b == 2 and c == 3))");
    assert_eq!(filter("a=1 b=2"), "(a == 1 and b == 2)");
    assert_eq!(
        filter("(a=1 OR b=2) AND c=3"),
        "((a == 1 or b == 2) and c == 3)"
    );
}

#[test]
fn json_fields_do_not_replace_what_is_known() {
    let (kept, made) = run("| json", &RECORD);
    assert!(kept);
    let names: Vec<_> = made.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "message",
            "status",
            "took",
            "http_route",
            "trace_id_extracted",
            "size"
        ]
    );
    assert_eq!(
        run(
            "| json",
            &Given {
                line: "not json",
                ..RECORD
            }
        )
        .1[0],
        ("__error__".to_owned(), "JSONParserErr".to_owned())
    );
}

#[test]
fn logfmt_fields_are_parsed() {
    let record = Given {
        line: r#"level=warn msg="it is" empty= 2x=1 bad"x"#,
        ..RECORD
    };
    assert_eq!(
        run("| logfmt", &record).1,
        [("level", "warn"), ("msg", "it is"), ("_2x", "1")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    let (kept, made) = run("| logfmt --strict --keep-empty", &record);
    assert!(kept);
    assert!(made.contains(&("empty".to_owned(), String::new())));
    assert!(made.contains(&("__error__".to_owned(), "LogfmtParserErr".to_owned())));
}

/// What Grafana 11 to 13 write for "logs for this span", and what later ones write in addition.
#[test]
fn the_queries_of_grafanas_traces_to_logs_find_their_lines() {
    let contains = format!(
        "| label_format log_line_contains_trace_id=`{{{{ contains \"{ID}\" __line__  }}}}` \
         | log_line_contains_trace_id=\"true\" OR trace_id=\"{ID}\""
    );
    let other_trace = [("trace_id", "ffffffffffffffffffffffffffffffff")];
    let in_line = format!("text with {ID} in it");
    assert!(run(&contains, &RECORD).0, "by metadata");
    assert!(
        run(
            &contains,
            &Given {
                line: &in_line,
                metadata: &other_trace,
                ..RECORD
            }
        )
        .0,
        "by line"
    );
    assert!(
        !run(
            &contains,
            &Given {
                line: "neither",
                metadata: &other_trace,
                ..RECORD
            }
        )
        .0
    );

    let parsed = format!("| logfmt | json | drop __error__ | trace_id=\"{ID}\"");
    assert!(run(&parsed, &RECORD).0);
    let line = format!("{{\"trace_id\":\"{ID}\"}}");
    assert!(
        run(
            &parsed,
            &Given {
                line: &line,
                metadata: &[],
                ..RECORD
            }
        )
        .0
    );
    assert!(
        !run(
            &parsed,
            &Given {
                line: &line,
                metadata: &other_trace,
                ..RECORD
            }
        )
        .0
    );
}

#[test]
fn labels_are_renamed_dropped_and_reported_hidden() {
    assert_eq!(
        made("| label_format tier=service_name", "tier").as_deref(),
        Some("frontend")
    );
    assert!(!keeps(
        "| label_format tier=service_name | service_name=\"frontend\""
    ));
    assert!(keeps(
        "| label_format both=`{{.env}}/{{.service_name}}` | both=\"demo/frontend\""
    ));
    assert!(!keeps("| drop env | env=\"demo\""));
    assert!(keeps("| drop env=\"prod\" | env=\"demo\""));
    assert_eq!(
        made("| logfmt --strict | drop __error__", "__error__"),
        None
    );

    let query = "{a=\"b\"} | drop env | label_format tier=service_name";
    let pipeline = logql::compile(query).unwrap();
    let mut fields = Fields::default();
    assert!(pipeline.run(&RECORD, &mut fields));
    assert!(fields.hides("env") && fields.hides("service_name") && !fields.hides("trace_id"));
}

#[test]
fn a_pipeline_knows_which_trace_it_is_about() {
    let hint = |stages: &str| {
        logql::compile(&format!("{{a=\"b\"}} {stages}"))
            .unwrap()
            .trace()
            .map(|TraceHint { id, or_in_line }| (id[0], or_in_line))
    };
    assert_eq!(hint(&format!("| trace_id=\"{ID}\"")), Some((0x0a, false)));
    assert_eq!(
        hint(&format!("|= \"x\" | x > 1 and trace_id=\"{ID}\" | json")),
        Some((0x0a, false))
    );
    assert_eq!(
        hint(&format!("| json | drop __error__ | trace_id=\"{ID}\"")),
        Some((0x0a, true))
    );
    assert_eq!(hint(&format!("| x=\"y\" or trace_id=\"{ID}\"")), None);
    assert_eq!(
        hint(&format!("| label_format trace_id=x | trace_id=\"{ID}\"")),
        None
    );
    assert_eq!(hint(&format!("| drop trace_id | trace_id=\"{ID}\"")), None);
    assert_eq!(hint("| trace_id=\"short\""), None);
    assert_eq!(hint(&format!("| trace_id!=\"{ID}\"")), None);
}
