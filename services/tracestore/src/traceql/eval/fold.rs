//! Replaces what does not depend on the span by its value: `2 * 500ms` is a constant, and so can be
//! looked up like one. Tempo does the same, so labels such as `by(…)` read alike. Pure.

use super::value::Value;
use crate::re2::Pattern;
use crate::traceql::ast::{BinaryOp, Expr, Literal};

/// The expression with all constant parts computed.
pub(super) fn fold(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(_) | Expr::Attribute(_) => expr,
        Expr::Unary { op, operand, at } => {
            let operand = fold(*operand);
            let value = match &operand {
                Expr::Literal(literal) => Value::literal(literal.clone()).unary(op).into_literal(),
                _ => None,
            };
            value.map_or_else(
                || Expr::Unary {
                    op,
                    operand: Box::new(operand),
                    at,
                },
                Expr::Literal,
            )
        }
        Expr::Nil {
            operand,
            exists,
            at,
        } => match fold(*operand) {
            Expr::Literal(_) => Expr::Literal(Literal::Bool(exists)),
            operand => Expr::Nil {
                operand: Box::new(operand),
                exists,
                at,
            },
        },
        Expr::Binary { op, lhs, rhs, at } => {
            let (lhs, rhs) = (fold(*lhs), fold(*rhs));
            let value = match (&lhs, &rhs) {
                (Expr::Literal(a), Expr::Literal(b)) => {
                    let pattern = match (op, b) {
                        (BinaryOp::Regex | BinaryOp::NotRegex, Literal::Str(text)) => {
                            Pattern::new(text).ok()
                        }
                        _ => None,
                    };
                    Value::literal(a.clone())
                        .binary(op, &Value::literal(b.clone()), pattern.as_ref())
                        .into_literal()
                }
                _ => None,
            };
            value.map_or_else(
                || Expr::Binary {
                    op,
                    lhs: Box::new(lhs),
                    rhs: Box::new(rhs),
                    at,
                },
                Expr::Literal,
            )
        }
    }
}
