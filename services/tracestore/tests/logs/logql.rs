//! LogQL as a library: what is read, what is refused and where, and what a pipeline does to a
//! record. The store's side of queries is tested in `store.rs` and `http.rs`.

use std::borrow::Cow;

use proptest::prelude::*;
use tdemo_tracestore::logs::logql::ast::{
    CompareOp, Dropped, LabelFilter, LabelFormat, LineFilter, LineOp, Literal, LogfmtFlags,
    MatchOp, Matcher, Query, Stage,
};
use tdemo_tracestore::logs::logql::{self, Fields, Pipeline, Record, TraceHint, constant};

const ID: &str = "0af7651916cd43dd8448eb211c80319c";

/// A record of given labels, metadata and line.
struct Given<'a> {
    line: &'a str,
    stream: &'a [(&'a str, &'a str)],
    metadata: &'a [(&'a str, &'a str)],
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

const RECORD: Given<'static> = Given {
    line: r#"{"message":"slow answer","status":503,"took":"1.2s","http":{"route":"/api"},"trace_id":"other","size":"big"}"#,
    stream: &[("service_name", "frontend"), ("env", "demo")],
    metadata: &[
        ("trace_id", ID),
        ("detected_level", "warn"),
        ("retries", "2"),
    ],
};

/// Runs a query's stages over a record: whether it is kept, and what the stages made.
fn run(stages: &str, record: &Given<'_>) -> (bool, Vec<(String, String)>) {
    let text = format!("{{service_name=\"frontend\"}} {stages}");
    let query = logql::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut fields = Fields::default();
    let kept = Pipeline::new(&query).unwrap().run(record, &mut fields);
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

    let query = logql::parse("{a=\"b\"} | drop env | label_format tier=service_name").unwrap();
    let mut fields = Fields::default();
    assert!(Pipeline::new(&query).unwrap().run(&RECORD, &mut fields));
    assert!(fields.hides("env") && fields.hides("service_name") && !fields.hides("trace_id"));
}

#[test]
fn a_pipeline_knows_which_trace_it_is_about() {
    let hint = |stages: &str| {
        Pipeline::new(&logql::parse(&format!("{{a=\"b\"}} {stages}")).unwrap())
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

#[test]
fn what_is_wrong_or_not_supported_is_named_with_its_place() {
    let cases = [
        (
            "",
            "line 1, col 1: syntax error: unexpected the end of the query, expecting `{`",
        ),
        (
            "{app=}",
            "line 1, col 6: syntax error: unexpected `}`, expecting a string",
        ),
        (
            "{app}",
            "line 1, col 5: syntax error: unexpected `}`, expecting `=`, `!=`, `=~` or `!~`",
        ),
        (
            "{app=\"x\"",
            "line 1, col 9: syntax error: unexpected the end of the query, expecting `,` or `}`",
        ),
        (
            "{json=\"x\"}",
            "line 1, col 2: syntax error: unexpected `json`, expecting a label's name",
        ),
        (
            "{a=\"x\"}\n  | level > \"x\"",
            "line 2, col 13: syntax error: unexpected a string, expecting a string, a number or a duration",
        ),
        (
            "{a=\"x\"} trailing",
            "line 1, col 9: syntax error: unexpected `trailing`, expecting a line filter, `|` or the end of the query",
        ),
        (
            "{a=\"x\"} |= \"open",
            "line 1, col 12: syntax error: the string is not closed",
        ),
        (
            "{a=\"\\q\"}",
            "line 1, col 4: syntax error: the string has an invalid escape",
        ),
        (
            "{a=\"x\"} | b > 10KB",
            "line 1, col 15: syntax error: `10KB` is neither a number nor a duration",
        ),
        (
            "{a=\"x\"} ;",
            "line 1, col 9: syntax error: unexpected character ';'",
        ),
        ("{}", "parse error : a query needs at least one matcher"),
        (
            "{a=~\".*\", b!=\"x\"}",
            "parse error : a query needs at least one matcher",
        ),
        ("{a=~\"x(\"}", "the regular expression \"x(\" is not valid"),
        (
            "{a=\"x\"} |~ \"[\"",
            "the regular expression \"[\" is not valid",
        ),
        (
            "{a=~\"x)(y\"}",
            "the regular expression \"x)(y\" is not valid",
        ),
        (
            "sum(rate({a=\"x\"}[5m]))",
            "line 1, col 1: the metric query `sum` is not supported",
        ),
        (
            "count_over_time({a=\"x\"}[5m])",
            "line 1, col 1: the metric query `count_over_time` is not supported",
        ),
        ("{a=\"x\"} [5m]", "line 1, col 9: a range (`[5m]`)"),
        (
            "{a=\"x\"} + 1",
            "line 1, col 9: arithmetic between queries is not supported",
        ),
        (
            "{a=\"x\"} | line_format \"{{.b}}\"",
            "line 1, col 11: `| line_format` is not supported",
        ),
        (
            "{a=\"x\"} | regexp \"(?P<b>.)\"",
            "line 1, col 11: `| regexp` is not supported",
        ),
        (
            "{a=\"x\"} | pattern \"<b>\"",
            "line 1, col 11: `| pattern` is not supported",
        ),
        (
            "{a=\"x\"} | unpack",
            "line 1, col 11: `| unpack` is not supported",
        ),
        (
            "{a=\"x\"} | unwrap b",
            "line 1, col 11: `| unwrap` is not supported",
        ),
        (
            "{a=\"x\"} | keep b",
            "line 1, col 11: `| keep` is not supported",
        ),
        (
            "{a=\"x\"} | decolorize",
            "line 1, col 11: `| decolorize` is not supported",
        ),
        (
            "{a=\"x\"} | json b=\"c\"",
            "line 1, col 16: `json` with a list of fields is not supported",
        ),
        (
            "{a=\"x\"} | logfmt b",
            "line 1, col 18: `logfmt` with a list of fields is not supported",
        ),
        (
            "{a=\"x\"} |> \"<_>\"",
            "line 1, col 9: a pattern line filter",
        ),
        (
            "{a=\"x\"} |= ip(\"10.0.0.0/8\")",
            "line 1, col 12: matching addresses with `ip(...)` is not supported",
        ),
        (
            "{a=\"x\"} | addr = ip(\"10.0.0.0/8\")",
            "line 1, col 18: matching addresses with `ip(...)` is not supported",
        ),
        (
            "{a=\"x\"} | label_format b=`{{ .c | upper }}`",
            "line 1, col 26: the template action",
        ),
        (
            "{a=\"x\"} | label_format b=c, b=d",
            "sets the label b more than once",
        ),
        (
            "{a=\"x\"} | label_format __error__=`x`",
            "cannot set __error__",
        ),
    ];
    for (query, expected) in cases {
        let error = logql::parse(query).expect_err(query).to_string();
        assert!(error.starts_with("parse error "), "{query}: {error}");
        assert!(error.contains(expected), "{query}: {error}");
    }
    assert!(logql::parse_selector("{a=\"x\"} |= \"y\"").is_err());
    assert_eq!(logql::parse_selector("{a=\"x\"}").unwrap().len(), 1);
}

#[test]
fn nesting_and_length_are_bounded() {
    let nested = format!(
        "{{a=\"x\"}} | {}b=1{}",
        "(".repeat(5_000),
        ")".repeat(5_000)
    );
    assert!(
        logql::parse(&nested)
            .unwrap_err()
            .to_string()
            .contains("nested more than")
    );
    let wrapped = format!("{}{{a=\"x\"}}{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(logql::parse(&wrapped).is_err());
    let long = format!("{{a=\"{}\"}}", "x".repeat(logql::MAX_QUERY_BYTES));
    assert!(
        logql::parse(&long)
            .unwrap_err()
            .to_string()
            .contains("bytes long")
    );
    // A long chain is no nesting.
    let chain = format!("{{a=\"x\"}} | {}c=1", "b=1 or ".repeat(10_000));
    let query = logql::parse(&chain).unwrap();
    assert!(
        !Pipeline::new(&query)
            .unwrap()
            .run(&RECORD, &mut Fields::default())
    );
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_]{0,6}".prop_filter("a keyword", |name| {
        logql::parse(&format!("{{{name}=\"x\"}}")).is_ok()
    })
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let literal = (
        name(),
        prop_oneof![Just(MatchOp::Equal), Just(MatchOp::NotEqual)],
        any::<String>(),
    )
        .prop_map(|(name, op, value)| Matcher { name, op, value });
    let regex = (
        name(),
        prop_oneof![Just(MatchOp::Regex), Just(MatchOp::NotRegex)],
        "[a-z.|+?\"]{0,5}",
    )
        .prop_map(|(name, op, value)| Matcher { name, op, value });
    prop_oneof![literal, regex].prop_filter("an invalid expression", |matcher| {
        Pipeline::selector(std::slice::from_ref(matcher)).is_ok()
    })
}

fn compare_op() -> impl Strategy<Value = CompareOp> {
    prop_oneof![
        Just(CompareOp::Equal),
        Just(CompareOp::NotEqual),
        Just(CompareOp::Greater),
        Just(CompareOp::GreaterOrEqual),
        Just(CompareOp::Less),
        Just(CompareOp::LessOrEqual),
    ]
}

fn label_filter() -> impl Strategy<Value = LabelFilter> {
    let value = prop_oneof![
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(Literal::Number),
        any::<i64>()
            .prop_filter("negatable", |n| *n != i64::MIN)
            .prop_map(Literal::Duration),
    ];
    let leaf = prop_oneof![
        matcher().prop_map(LabelFilter::Match),
        (name(), compare_op(), value).prop_map(|(name, op, value)| LabelFilter::Compare {
            name,
            op,
            value
        }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let several = prop::collection::vec(inner, 2..4);
        prop_oneof![
            several.clone().prop_map(LabelFilter::And),
            several.prop_map(LabelFilter::Or),
        ]
    })
}

fn stage() -> impl Strategy<Value = Stage> {
    let line = prop_oneof![
        (
            prop_oneof![Just(LineOp::Contains), Just(LineOp::Lacks)],
            prop::collection::vec(any::<String>(), 1..4)
        ),
        (
            prop_oneof![Just(LineOp::Matches), Just(LineOp::MatchesNot)],
            prop::collection::vec("[a-z. ]{0,5}", 1..4)
        ),
    ]
    .prop_map(|(op, texts)| Stage::Line(LineFilter { op, texts }));
    let format = prop_oneof![
        (name(), name()).prop_map(|(to, from)| LabelFormat::Rename { to, from }),
        (name(), "[a-z\"` ]{0,8}|\\{\\{ \\.a \\}\\}")
            .prop_map(|(to, template)| LabelFormat::Template { to, template }),
    ];
    let dropped = prop_oneof![
        name().prop_map(Dropped::Name),
        matcher().prop_map(Dropped::Match)
    ];
    prop_oneof![
        line,
        Just(Stage::Json),
        any::<(bool, bool)>()
            .prop_map(|(strict, keep_empty)| Stage::Logfmt(LogfmtFlags { strict, keep_empty })),
        label_filter().prop_map(Stage::Label),
        format.prop_map(|format| Stage::LabelFormat(vec![format])),
        prop::collection::vec(dropped, 1..4).prop_map(Stage::Drop),
    ]
}

/// `| drop a` before `!= "x"` cannot be written: it reads as `| drop a != "x"`, in Loki too.
fn can_be_written(stages: &[Stage]) -> bool {
    stages.windows(2).all(|pair| match pair {
        [Stage::Drop(items), Stage::Line(filter)] => {
            matches!(items.last(), Some(Dropped::Match(_)))
                || matches!(filter.op, LineOp::Contains | LineOp::Matches)
        }
        _ => true,
    })
}

fn query() -> impl Strategy<Value = Query> {
    let must = (name(), "[a-z\"\\\\\n ]{1,8}").prop_map(|(name, value)| Matcher {
        name,
        op: MatchOp::Equal,
        value,
    });
    (
        must,
        prop::collection::vec(matcher(), 0..3),
        prop::collection::vec(stage(), 0..5)
            .prop_filter("ambiguous", |stages| can_be_written(stages)),
    )
        .prop_map(|(must, mut selector, stages)| {
            selector.push(must);
            Query { selector, stages }
        })
}

proptest! {
    #[test]
    fn a_printed_query_reads_back_as_itself(query in query()) {
        let text = query.to_string();
        let again = logql::parse(&text);
        prop_assert_eq!(again.as_ref(), Ok(&query), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = logql::parse(&text);
        let _ = constant::evaluate(&text);
    }

    #[test]
    fn any_mix_of_words_is_read_or_refused_and_runs(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "{a=\"x\"}", "a", "=", "!=", "=~", "!~", "|=", "|~", "|", "\"x\"", "`y`", "json",
                "logfmt", "--strict", "drop", "label_format", "or", "and", ",", "(", ")", "5ms", "1.5", ">", "==", "[", "ip", "#",
            ]),
            0..16,
        ),
        line in any::<String>(),
    ) {
        let text = words.join(" ");
        for text in [text.clone(), format!("{{a=\"x\"}} | {text}"), format!("{{a=\"x\"}} |= {text}")] {
            if let Ok(query) = logql::parse(&text) {
                let record = Given { line: &line, ..RECORD };
                Pipeline::new(&query).unwrap().run(&record, &mut Fields::default());
            }
        }
    }

    #[test]
    fn any_line_is_parsed_without_a_panic(line in any::<String>()) {
        for stages in ["| json", "| logfmt", "| logfmt --strict --keep-empty"] {
            run(stages, &Given { line: &line, ..RECORD });
        }
    }
}
