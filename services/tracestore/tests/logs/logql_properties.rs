//! What holds of every LogQL query and every line: what is printed reads back, and nothing panics.

use proptest::prelude::*;
use tdemo_tracestore::logs::logql::ast::{
    CompareOp, Dropped, LabelFilter, LabelFormat, LineFilter, LineOp, Literal, LogfmtFlags,
    MatchOp, Matcher, Query, Stage,
};
use tdemo_tracestore::logs::logql::{self, Fields, Pipeline, constant};

use crate::logql::{Given, RECORD, run};

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
        let any = Matcher {
            name: "a".to_owned(),
            op: MatchOp::Equal,
            value: "b".to_owned(),
        };
        Pipeline::selector(&[any, matcher.clone()]).is_ok()
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
            if let Ok(pipeline) = logql::compile(&text) {
                let record = Given { line: &line, ..RECORD };
                pipeline.run(&record, &mut Fields::default());
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
