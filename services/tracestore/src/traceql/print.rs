//! `Display` for the syntax tree: text that parses back to the same tree, spelt as Tempo spells it,
//! because `by(…)` and aggregates become the names of attributes in an answer.

use std::fmt::{self, Display, Formatter};

use super::ast::{
    Aggregate, AggregateFilter, AggregateFn, Attribute, BinaryOp, Expr, Hint, Kind, Literal,
    Pipeline, Query, Relation, Scope, Selection, SpansetExpr, SpansetOp, Stage, Status, UnaryOp,
};
use super::lexer::is_attribute_char;
use super::literal;

/// Writes `items` with `separator` between them.
fn join<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.pipeline.fmt(f)?;
        if self.hints.is_empty() {
            return Ok(());
        }
        f.write_str(" with(")?;
        join(f, &self.hints, ", ")?;
        f.write_str(")")
    }
}

impl Display for Hint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        join(f, &self.stages, " | ")
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Spanset(expr) => expr.fmt(f),
            Stage::Aggregate(filter) => filter.fmt(f),
            Stage::By(expr, _) => write!(f, "by({expr})"),
            Stage::Coalesce => f.write_str("coalesce()"),
            Stage::Select(attributes) => {
                f.write_str("select(")?;
                join(f, attributes, ", ")?;
                f.write_str(")")
            }
        }
    }
}

impl Display for SpansetExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SpansetExpr::Filter(expr, _) => write!(f, "{{ {expr} }}"),
            SpansetExpr::Join { op, lhs, rhs } => {
                operand(f, lhs)?;
                write!(f, " {op} ")?;
                operand(f, rhs)
            }
            SpansetExpr::Pipeline(pipeline) => write!(f, "({pipeline})"),
        }
    }
}

/// A spanset operand: in parentheses when it is a join itself.
fn operand(f: &mut Formatter<'_>, expr: &SpansetExpr) -> fmt::Result {
    match expr {
        SpansetExpr::Join { .. } => write!(f, "({expr})"),
        _ => expr.fmt(f),
    }
}

impl Display for SpansetOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (relation, selection) = match self {
            SpansetOp::And => return f.write_str("&&"),
            SpansetOp::Or => return f.write_str("||"),
            SpansetOp::Structural(relation, selection) => (relation, selection),
        };
        f.write_str(match selection {
            Selection::Matching => "",
            Selection::NotMatching => "!",
            Selection::Union => "&",
        })?;
        f.write_str(match relation {
            Relation::Child => ">",
            Relation::Parent => "<",
            Relation::Descendant => ">>",
            Relation::Ancestor => "<<",
            Relation::Sibling => "~",
        })
    }
}

impl Display for AggregateFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.aggregate, self.op, self.value)
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Aggregate::Count => f.write_str("count()"),
            Aggregate::Of(function, expr, _) => write!(f, "{function}({expr})"),
        }
    }
}

impl Display for AggregateFn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AggregateFn::Avg => "avg",
            AggregateFn::Max => "max",
            AggregateFn::Min => "min",
            AggregateFn::Sum => "sum",
        })
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Literal(literal) => literal.fmt(f),
            Expr::Attribute(attribute) => attribute.fmt(f),
            Expr::Unary { op, operand, .. } => {
                f.write_str(if *op == UnaryOp::Neg { "-" } else { "!" })?;
                inner(f, operand)
            }
            Expr::Nil {
                operand, exists, ..
            } => {
                inner(f, operand)?;
                f.write_str(if *exists { " != nil" } else { " = nil" })
            }
            Expr::Binary { op, lhs, rhs, .. } => {
                inner(f, lhs)?;
                write!(f, " {op} ")?;
                inner(f, rhs)
            }
        }
    }
}

/// An operand: in parentheses unless it is a single word.
fn inner(f: &mut Formatter<'_>, expr: &Expr) -> fmt::Result {
    match expr {
        Expr::Literal(_) | Expr::Attribute(_) => expr.fmt(f),
        _ => write!(f, "({expr})"),
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Eq => "=",
            BinaryOp::NotEq => "!=",
            BinaryOp::Regex => "=~",
            BinaryOp::NotRegex => "!~",
            BinaryOp::Less => "<",
            BinaryOp::LessEq => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEq => ">=",
            BinaryOp::And => "&&",
            BinaryOp::Or => "||",
        })
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            // The number alone would not read back: its sign is an operator.
            Literal::Int(i64::MIN) => f.write_str("minInt"),
            Literal::Int(value) => value.fmt(f),
            Literal::Float(value) => f.write_str(&literal::float_text(*value)),
            Literal::Str(text) => f.write_str(&literal::string_text(text)),
            Literal::Bool(value) => value.fmt(f),
            Literal::Duration(nanos) => f.write_str(&literal::duration_text(*nanos)),
            Literal::Status(status) => status.fmt(f),
            Literal::Kind(kind) => kind.fmt(f),
        }
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Unset => "unset",
            Status::Ok => "ok",
            Status::Error => "error",
        })
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Unspecified => "unspecified",
            Kind::Internal => "internal",
            Kind::Server => "server",
            Kind::Client => "client",
            Kind::Producer => "producer",
            Kind::Consumer => "consumer",
        })
    }
}

impl Display for Attribute {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (scope, name) = match self {
            Attribute::Intrinsic(intrinsic) => return f.write_str(intrinsic.name()),
            Attribute::Custom { scope, name } => (*scope, name),
        };
        f.write_str(match scope {
            Scope::Any => ".",
            Scope::Resource => "resource.",
            Scope::Span => "span.",
            Scope::Event => "event.",
            Scope::Link => "link.",
            Scope::Instrumentation => "instrumentation.",
        })?;
        // A digit after a bare dot would read as a number.
        let number = scope == Scope::Any && name.starts_with(|c: char| c.is_ascii_digit());
        let plain =
            !name.is_empty() && !number && name.chars().all(|c| is_attribute_char(c) && c != '"');
        if plain {
            f.write_str(name)
        } else {
            write!(f, "\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
    }
}
