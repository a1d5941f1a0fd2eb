//! What LogQL is refused, with its words and its place, and what is bounded.

use tdemo_tracestore::logs::logql::{self, Fields};

use crate::logql::{Given, RECORD, run};

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
        let error = logql::compile(query).expect_err(query).to_string();
        assert!(error.starts_with("parse error "), "{query}: {error}");
        assert!(error.contains(expected), "{query}: {error}");
    }
    assert!(logql::parse_selector("{a=\"x\"} |= \"y\"").is_err());
    assert_eq!(logql::parse_selector("{a=\"x\"}").unwrap().len(), 1);
}

#[test]
fn what_a_line_can_be_made_into_is_bounded() {
    let many: Vec<String> = (0..5_000).map(|n| format!("k{n}=1")).collect();
    let (kept, made) = run(
        "| logfmt",
        &Given {
            line: &many.join(" "),
            ..RECORD
        },
    );
    assert!(kept);
    assert_eq!(made.len(), 1_000 + 2);
    assert!(made.contains(&("__error__".to_owned(), "TooManyFields".to_owned())));

    let line = "x".repeat(200_000);
    let template = "{{__line__}}".repeat(100);
    let stages = format!("| label_format a=`{template}`");
    let (kept, made) = run(
        &stages,
        &Given {
            line: &line,
            ..RECORD
        },
    );
    assert!(kept);
    assert_eq!(
        made[0],
        ("__error__".to_owned(), "TemplateFormatErr".to_owned())
    );

    let doubled = "| label_format a=`{{__line__}}`".to_owned()
        + &"| label_format a=`{{.a}}{{.a}}`".repeat(50);
    let bytes: usize = run(
        &doubled,
        &Given {
            line: &line,
            ..RECORD
        },
    )
    .1
    .iter()
    .map(|(_, value)| value.len())
    .sum();
    assert!(bytes < 2_000_000, "{bytes}");
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
    let pipeline = logql::compile(&chain).unwrap();
    assert!(!pipeline.run(&RECORD, &mut Fields::default()));
}
