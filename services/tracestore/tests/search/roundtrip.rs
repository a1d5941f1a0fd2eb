//! Any syntax tree, printed and parsed again, is the same tree; and any text at all is parsed or refused.

use proptest::prelude::*;
use tdemo_tracestore::traceql::ast::{
    Aggregate, AggregateFilter, AggregateFn, Attribute, BinaryOp, Expr, Hint, Intrinsic, Kind,
    Literal, Pipeline, Query, Relation, Scope, Selection, SpansetExpr, SpansetOp, Stage, Status,
    UnaryOp,
};
use tdemo_tracestore::traceql::{Pos, compile, parse};

const AT: Pos = Pos { line: 1, col: 1 };

const INTRINSICS: [Intrinsic; 21] = [
    Intrinsic::Duration,
    Intrinsic::Name,
    Intrinsic::Status,
    Intrinsic::StatusMessage,
    Intrinsic::Kind,
    Intrinsic::ChildCount,
    Intrinsic::RootName,
    Intrinsic::RootServiceName,
    Intrinsic::TraceDuration,
    Intrinsic::TraceId,
    Intrinsic::SpanId,
    Intrinsic::ParentId,
    Intrinsic::NestedSetLeft,
    Intrinsic::NestedSetRight,
    Intrinsic::NestedSetParent,
    Intrinsic::EventName,
    Intrinsic::EventTimeSinceStart,
    Intrinsic::LinkTraceId,
    Intrinsic::LinkSpanId,
    Intrinsic::InstrumentationName,
    Intrinsic::InstrumentationVersion,
];

const BINARY: [BinaryOp; 16] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::Mod,
    BinaryOp::Pow,
    BinaryOp::Eq,
    BinaryOp::NotEq,
    BinaryOp::Regex,
    BinaryOp::NotRegex,
    BinaryOp::Less,
    BinaryOp::LessEq,
    BinaryOp::Greater,
    BinaryOp::GreaterEq,
    BinaryOp::And,
    BinaryOp::Or,
];

const RELATIONS: [Relation; 5] = [
    Relation::Child,
    Relation::Parent,
    Relation::Descendant,
    Relation::Ancestor,
    Relation::Sibling,
];

const COMPARISONS: std::ops::Range<usize> = 10..14;

/// Numbers as a text can say them: not negative, floats finite.
fn number() -> impl Strategy<Value = Literal> {
    prop_oneof![
        (0..=i64::MAX).prop_map(Literal::Int),
        (0.0..1e18_f64).prop_map(Literal::Float),
        prop_oneof![Just(0.0), Just(1e-7), Just(1e300), Just(0.1)].prop_map(Literal::Float),
        (0..=i64::MAX).prop_map(Literal::Duration),
    ]
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        4 => number(),
        2 => any::<String>().prop_map(Literal::Str),
        1 => "[`\"\\\\\r\n\t ]{0,6}".prop_map(Literal::Str),
        1 => any::<bool>().prop_map(Literal::Bool),
        1 => prop_oneof![Just(Status::Ok), Just(Status::Error), Just(Status::Unset)].prop_map(Literal::Status),
        1 => (0_u8..6).prop_map(|kind| Literal::Kind(Kind::from_number(kind))),
        1 => Just(Literal::Int(i64::MIN)),
    ]
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let scope = prop_oneof![
        Just(Scope::Any),
        Just(Scope::Resource),
        Just(Scope::Span),
        Just(Scope::Event),
        Just(Scope::Link),
        Just(Scope::Instrumentation),
    ];
    let name = prop_oneof![
        3 => "[a-z][a-z0-9._-]{0,12}",
        1 => any::<String>(),
        1 => "[0-9\"\\\\{} =.]{0,6}",
    ];
    prop_oneof![
        (scope, name).prop_map(|(scope, name)| Attribute::Custom { scope, name }),
        (0..INTRINSICS.len()).prop_map(|i| Attribute::Intrinsic(INTRINSICS[i])),
    ]
}

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        literal().prop_map(Expr::Literal),
        attribute().prop_map(Expr::Attribute),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        prop_oneof![
            (any::<bool>(), inner.clone()).prop_map(|(neg, operand)| Expr::Unary {
                op: if neg { UnaryOp::Neg } else { UnaryOp::Not },
                operand: Box::new(operand),
                at: AT,
            }),
            (any::<bool>(), inner.clone()).prop_map(|(exists, operand)| Expr::Nil {
                operand: Box::new(operand),
                exists,
                at: AT,
            }),
            (0..BINARY.len(), inner.clone(), inner).prop_map(|(op, lhs, rhs)| Expr::Binary {
                op: BINARY[op],
                lhs: Box::new(lhs),
                rhs: Box::new(rhs),
                at: AT,
            }),
        ]
    })
}

fn spanset_op() -> impl Strategy<Value = SpansetOp> {
    let selection = prop_oneof![
        Just(Selection::Matching),
        Just(Selection::NotMatching),
        Just(Selection::Union),
    ];
    prop_oneof![
        Just(SpansetOp::And),
        Just(SpansetOp::Or),
        (0..RELATIONS.len(), selection).prop_map(|(relation, selection)| SpansetOp::Structural(
            RELATIONS[relation],
            selection
        )),
    ]
}

/// Filters joined by operators, without pipelines.
fn spanset() -> impl Strategy<Value = SpansetExpr> {
    let filter = expr().prop_map(|expr| SpansetExpr::Filter(expr, AT));
    filter.prop_recursive(3, 6, 2, |inner| {
        (spanset_op(), inner.clone(), inner).prop_map(|(op, lhs, rhs)| SpansetExpr::Join {
            op,
            lhs: Box::new(lhs),
            rhs: Box::new(rhs),
        })
    })
}

fn aggregate() -> impl Strategy<Value = Stage> {
    let function = prop_oneof![
        Just(AggregateFn::Avg),
        Just(AggregateFn::Max),
        Just(AggregateFn::Min),
        Just(AggregateFn::Sum),
    ];
    let aggregate = prop_oneof![
        Just(Aggregate::Count),
        (function, expr()).prop_map(|(function, expr)| Aggregate::Of(function, expr, AT)),
    ];
    (aggregate, COMPARISONS, number()).prop_map(|(aggregate, op, value)| {
        Stage::Aggregate(AggregateFilter {
            aggregate,
            op: BINARY[op],
            value,
            at: AT,
        })
    })
}

fn later_stage() -> impl Strategy<Value = Stage> {
    prop_oneof![
        spanset().prop_map(Stage::Spanset),
        aggregate(),
        expr().prop_map(|expr| Stage::By(expr, AT)),
        Just(Stage::Coalesce),
        prop::collection::vec(attribute(), 1..4).prop_map(Stage::Select),
    ]
}

fn pipeline() -> impl Strategy<Value = Pipeline> {
    let first = prop_oneof![
        spanset().prop_map(Stage::Spanset),
        aggregate(),
        expr().prop_map(|expr| Stage::By(expr, AT)),
    ];
    (first, prop::collection::vec(later_stage(), 0..3)).prop_map(|(first, later)| {
        let mut stages = vec![first];
        stages.extend(later);
        Pipeline { stages }
    })
}

/// Pipelines in parentheses joined by operators: the left one has stages, or it would be no pipeline.
fn joined_pipelines() -> impl Strategy<Value = Pipeline> {
    (pipeline(), aggregate(), spanset_op(), pipeline()).prop_map(|(mut left, stage, op, right)| {
        left.stages.push(stage);
        let lhs = Box::new(SpansetExpr::Pipeline(left));
        let rhs = Box::new(SpansetExpr::Pipeline(right));
        Pipeline {
            stages: vec![Stage::Spanset(SpansetExpr::Join { op, lhs, rhs })],
        }
    })
}

fn query() -> impl Strategy<Value = Query> {
    let hint = (
        "[a-z_]{1,8}",
        literal().prop_filter("a sign is no literal", |l| *l != Literal::Int(i64::MIN)),
    )
        .prop_map(|(name, value)| Hint { name, value });
    let pipeline = prop_oneof![3 => pipeline(), 1 => joined_pipelines()];
    (pipeline, prop::collection::vec(hint, 0..3))
        .prop_map(|(pipeline, hints)| Query { pipeline, hints })
}

proptest! {
    #[test]
    fn a_printed_tree_parses_to_itself(query in query()) {
        let text = query.to_string();
        let parsed = parse(&text);
        prop_assert!(parsed.is_ok(), "{text}: {}", parsed.unwrap_err());
        prop_assert_eq!(parsed.unwrap(), query, "{}", text);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        _ = compile(&text);
    }

    #[test]
    fn any_row_of_words_is_parsed_or_refused(words in prop::collection::vec(
        prop::sample::select(vec![
            "{", "}", "(", ")", "|", "&&", "||", "!", "-", "=", "!=", "=~", ">", ">>", "&>>", "!~", "^", "+", ",",
            "span.a", ".b", "resource.\"c d\"", "name", "duration", "kind", "status", "nil", "true", "error", "server",
            "1", "2.5", "3ms", "\"x\"", "`y`", "count()", "avg(", "by(", "select(", "coalesce()", "with(", "rate()",
            "trace:", "id", "parent.x", "minInt",
        ]),
        0..24,
    )) {
        if let Ok(query) = compile(&words.join(" ")) {
            let text = query.to_string();
            prop_assert_eq!(compile(&text).map_err(|error| error.to_string()), Ok(query), "{}", text);
        }
    }
}
