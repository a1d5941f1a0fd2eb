//! Proves that the types of a parsed query fit, and refuses what Tempo refuses. Called by
//! [`super::compile`]; pure. An attribute's type is only known when it is read, so it fits anywhere.

use super::ast::{
    Aggregate, AggregateFilter, Attribute, BinaryOp, Expr, Intrinsic, Literal, Pipeline, Query,
    Scope, SpansetExpr, Stage, UnaryOp,
};
use super::error::{Pos, QueryError};
use crate::re2;

type Result<T> = std::result::Result<T, QueryError>;

/// The type of an expression, as far as the text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Any,
    Int,
    Float,
    Str,
    Bool,
    Duration,
    Status,
    Kind,
}

impl Type {
    fn is_numeric(self) -> bool {
        matches!(self, Type::Int | Type::Float | Type::Duration)
    }

    fn name(self) -> &'static str {
        match self {
            Type::Any => "an attribute",
            Type::Int => "an int",
            Type::Float => "a float",
            Type::Str => "a string",
            Type::Bool => "a bool",
            Type::Duration => "a duration",
            Type::Status => "a status",
            Type::Kind => "a kind",
        }
    }

    fn fits(self, other: Type) -> bool {
        self == other
            || self == Type::Any
            || other == Type::Any
            || (self.is_numeric() && other.is_numeric())
    }

    fn takes(self, op: BinaryOp) -> bool {
        use BinaryOp::{And, Eq, Greater, GreaterEq, Less, LessEq, NotEq, NotRegex, Or, Regex};
        let equality = matches!(op, Eq | NotEq);
        let order = matches!(op, Less | LessEq | Greater | GreaterEq);
        match self {
            Type::Any => true,
            Type::Bool => equality || matches!(op, And | Or),
            Type::Int | Type::Float | Type::Duration => equality || order || op.is_arithmetic(),
            Type::Str => equality || order || matches!(op, Regex | NotRegex),
            Type::Status | Type::Kind => equality,
        }
    }
}

/// Checks a whole query.
pub(super) fn check(query: &Query) -> Result<()> {
    pipeline(&query.pipeline)
}

fn pipeline(pipeline: &Pipeline) -> Result<()> {
    pipeline.stages.iter().try_for_each(stage)
}

fn stage(stage: &Stage) -> Result<()> {
    match stage {
        Stage::Spanset(expr) => spanset(expr),
        Stage::Aggregate(filter) => aggregate(filter),
        Stage::By(by, at) => {
            expr(by)?;
            if reads_span(by) {
                Ok(())
            } else {
                Err(QueryError::invalid(
                    *at,
                    format!("by({by}) is the same for every span, expected an attribute in it"),
                ))
            }
        }
        Stage::Coalesce | Stage::Select(_) => Ok(()),
    }
}

fn spanset(spanset_expr: &SpansetExpr) -> Result<()> {
    match spanset_expr {
        SpansetExpr::Filter(filter, at) => match expr(filter)? {
            Type::Any | Type::Bool => Ok(()),
            other => Err(QueryError::invalid(
                *at,
                format!(
                    "`{{ {filter} }}` is {}, expected something true or false",
                    other.name()
                ),
            )),
        },
        SpansetExpr::Join { lhs, rhs, .. } => {
            spanset(lhs)?;
            spanset(rhs)
        }
        SpansetExpr::Pipeline(inner) => pipeline(inner),
    }
}

fn aggregate(filter: &AggregateFilter) -> Result<()> {
    let Aggregate::Of(function, argument, at) = &filter.aggregate else {
        return Ok(());
    };
    let found = expr(argument)?;
    if found != Type::Any && !found.is_numeric() {
        let message = format!(
            "{function}({argument}) is over {}, expected a number",
            found.name()
        );
        return Err(QueryError::invalid(*at, message));
    }
    if !reads_span(argument) {
        let message = format!(
            "{function}({argument}) is the same for every span, expected an attribute in it"
        );
        return Err(QueryError::invalid(*at, message));
    }
    Ok(())
}

/// The type of an expression whose parts fit together.
fn expr(e: &Expr) -> Result<Type> {
    match e {
        Expr::Literal(literal) => Ok(literal_type(literal)),
        Expr::Attribute(attribute) => Ok(attribute_type(attribute)),
        Expr::Unary { op, operand, at } => {
            let found = expr(operand)?;
            let (fits, expected) = match op {
                UnaryOp::Neg => (found.is_numeric(), "a number"),
                UnaryOp::Not => (found == Type::Bool, "something true or false"),
            };
            if fits || found == Type::Any {
                Ok(found)
            } else {
                Err(QueryError::invalid(
                    *at,
                    format!("`{e}` is applied to {}, expected {expected}", found.name()),
                ))
            }
        }
        Expr::Nil {
            operand,
            exists,
            at,
        } => {
            expr(operand)?;
            let never_nil = match &**operand {
                Expr::Attribute(Attribute::Intrinsic(_)) => true,
                Expr::Attribute(Attribute::Custom {
                    scope: Scope::Resource,
                    name,
                }) => name == "service.name",
                _ => false,
            };
            if never_nil && !exists {
                return Err(QueryError::invalid(
                    *at,
                    format!("`{operand}` is never nil, expected `!= nil` or another attribute"),
                ));
            }
            Ok(Type::Bool)
        }
        Expr::Binary { op, lhs, rhs, at } => binary(*op, lhs, rhs, *at, e),
    }
}

fn binary(op: BinaryOp, lhs: &Expr, rhs: &Expr, at: Pos, whole: &Expr) -> Result<Type> {
    let (left, right) = (expr(lhs)?, expr(rhs)?);
    if !left.fits(right) {
        let message = format!(
            "`{whole}` joins {} and {}, expected the same type on both sides",
            left.name(),
            right.name()
        );
        return Err(QueryError::invalid(at, message));
    }
    for side in [left, right] {
        if !side.takes(op) {
            return Err(QueryError::invalid(
                at,
                format!("`{whole}`: `{op}` does not take {}", side.name()),
            ));
        }
    }
    if matches!(op, BinaryOp::Regex | BinaryOp::NotRegex) {
        let Expr::Literal(Literal::Str(pattern)) = rhs else {
            return Err(QueryError::invalid(
                at,
                format!("`{whole}`: expected a string on the right of `{op}`"),
            ));
        };
        re2::Pattern::new(pattern).map_err(|error| {
            QueryError::invalid(
                at,
                format!("{rhs} is not a regular expression (RE2): {error}"),
            )
        })?;
    }
    Ok(match (op.is_boolean(), left) {
        (true, _) => Type::Bool,
        (false, Type::Any) => right,
        (false, left) => left,
    })
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Int(_) => Type::Int,
        Literal::Float(_) => Type::Float,
        Literal::Str(_) => Type::Str,
        Literal::Bool(_) => Type::Bool,
        Literal::Duration(_) => Type::Duration,
        Literal::Status(_) => Type::Status,
        Literal::Kind(_) => Type::Kind,
    }
}

fn attribute_type(attribute: &Attribute) -> Type {
    let Attribute::Intrinsic(intrinsic) = attribute else {
        return Type::Any;
    };
    match intrinsic {
        Intrinsic::Duration | Intrinsic::TraceDuration | Intrinsic::EventTimeSinceStart => {
            Type::Duration
        }
        Intrinsic::Status => Type::Status,
        Intrinsic::Kind => Type::Kind,
        Intrinsic::ChildCount
        | Intrinsic::NestedSetLeft
        | Intrinsic::NestedSetRight
        | Intrinsic::NestedSetParent => Type::Int,
        Intrinsic::Name
        | Intrinsic::StatusMessage
        | Intrinsic::RootName
        | Intrinsic::RootServiceName
        | Intrinsic::TraceId
        | Intrinsic::SpanId
        | Intrinsic::ParentId
        | Intrinsic::EventName
        | Intrinsic::LinkTraceId
        | Intrinsic::LinkSpanId => Type::Str,
        // Tempo leaves these two unchecked.
        Intrinsic::InstrumentationName | Intrinsic::InstrumentationVersion => Type::Any,
    }
}

/// Whether the expression can differ from span to span.
fn reads_span(e: &Expr) -> bool {
    match e {
        Expr::Literal(_) => false,
        Expr::Attribute(_) => true,
        Expr::Unary { operand, .. } | Expr::Nil { operand, .. } => reads_span(operand),
        Expr::Binary { lhs, rhs, .. } => reads_span(lhs) || reads_span(rhs),
    }
}
