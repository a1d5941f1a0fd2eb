//! One attribute against one constant: the comparisons that a chunk's dictionaries answer, and that
//! decide which attributes an answer shows. Made by `plan`, used by `tables` and `shown`. Pure.

use super::value::Value;
use crate::re2::Pattern;
use crate::traceql::ast::{Attribute, BinaryOp, Expr, Intrinsic, Literal, Scope};

/// What is asked of an attribute.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// That it has any value.
    Exists,
    /// That the key is not there at all.
    Absent,
    /// That it compares well with a constant.
    Compare(Comparison),
}

/// The right side of a comparison.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) op: BinaryOp,
    pub(super) value: Value<'static>,
    pattern: Option<Pattern>,
}

/// A test of one attribute.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) attribute: Attribute,
    pub(super) test: Test,
}

impl Condition {
    /// `attribute op literal`; the checker has seen to it that a regex is a string and compiles.
    pub(super) fn compare(attribute: &Attribute, op: BinaryOp, literal: &Literal) -> Self {
        let pattern = match (op, literal) {
            (BinaryOp::Regex | BinaryOp::NotRegex, Literal::Str(text)) => Pattern::new(text).ok(),
            _ => None,
        };
        let literal = match (attribute, literal) {
            // Trace ids are written without leading zeros.
            (Attribute::Intrinsic(Intrinsic::TraceId), Literal::Str(id)) => {
                Literal::Str(id.trim_start_matches('0').to_owned())
            }
            _ => literal.clone(),
        };
        let value = Value::literal(literal);
        Condition {
            attribute: attribute.clone(),
            test: Test::Compare(Comparison { op, value, pattern }),
        }
    }

    /// That the attribute has a value.
    pub(super) fn exists(attribute: &Attribute) -> Self {
        Condition {
            attribute: attribute.clone(),
            test: Test::Exists,
        }
    }

    /// Whether one value of the attribute (an element, if it is an array) passes.
    ///
    /// Attributes are compared with constants of their own type only, as Tempo's storage does:
    /// `span.n = 2` does not see a float. Intrinsic numbers compare with any number.
    pub(super) fn accepts(&self, element: &Value<'_>) -> bool {
        match &self.test {
            Test::Exists => *element != Value::Nil,
            Test::Absent => false,
            Test::Compare(comparison) => {
                let same_type =
                    std::mem::discriminant(element) == std::mem::discriminant(&comparison.value);
                let intrinsic = matches!(self.attribute, Attribute::Intrinsic(_));
                (intrinsic || same_type)
                    && element.compares(
                        comparison.op,
                        &comparison.value,
                        comparison.pattern.as_ref(),
                    )
            }
        }
    }

    /// Whether some element of the value passes.
    pub(super) fn accepts_any(&self, value: &Value<'_>) -> bool {
        value.elements().iter().any(|element| self.accepts(element))
    }

    /// Whether it asks for the key's absence.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.test, Test::Absent)
    }

    /// Whether it is about the events or the links of a span.
    pub(super) fn group(&self) -> Option<Group> {
        match &self.attribute {
            Attribute::Intrinsic(Intrinsic::EventName | Intrinsic::EventTimeSinceStart)
            | Attribute::Custom {
                scope: Scope::Event,
                ..
            } => Some(Group::Events),
            Attribute::Intrinsic(Intrinsic::LinkTraceId | Intrinsic::LinkSpanId)
            | Attribute::Custom {
                scope: Scope::Link, ..
            } => Some(Group::Links),
            _ => None,
        }
    }

    /// Whether every span of a chunk passes, as far as can be told without looking.
    pub(super) fn always(&self) -> bool {
        matches!(self.test, Test::Exists)
            && self.group().is_none()
            && matches!(self.attribute, Attribute::Intrinsic(_))
    }
}

/// Things a span has several of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Events,
    Links,
}

/// The test that an expression is, if it is a single one.
pub(super) fn single(expr: &Expr) -> Option<Condition> {
    match expr {
        Expr::Attribute(attribute) => Some(Condition::compare(
            attribute,
            BinaryOp::Eq,
            &Literal::Bool(true),
        )),
        Expr::Nil {
            operand, exists, ..
        } => match &**operand {
            Expr::Attribute(attribute) => {
                let test = if *exists { Test::Exists } else { Test::Absent };
                Some(Condition {
                    attribute: attribute.clone(),
                    test,
                })
            }
            _ => None,
        },
        Expr::Binary { op, lhs, rhs, .. }
            if op.is_boolean() && !matches!(op, BinaryOp::And | BinaryOp::Or) =>
        {
            match (&**lhs, &**rhs) {
                (Expr::Attribute(attribute), Expr::Literal(literal)) => {
                    Some(Condition::compare(attribute, *op, literal))
                }
                (Expr::Literal(literal), Expr::Attribute(attribute)) => {
                    Some(Condition::compare(attribute, op.flipped(), literal))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Every attribute that an expression reads, with the test it meets there. Decides what an answer
/// shows: an attribute that took part, with a value that passed.
pub(super) fn collect(expr: &Expr, out: &mut Vec<Condition>) {
    match expr {
        Expr::Literal(_) => {}
        Expr::Attribute(attribute) => out.push(Condition::exists(attribute)),
        Expr::Unary { operand, .. } => collect(operand, out),
        Expr::Nil { operand, .. } => match single(expr) {
            Some(found) => out.push(found),
            None => collect(operand, out),
        },
        Expr::Binary { lhs, rhs, .. } => {
            if let Some(found) = single(expr) {
                out.push(found);
            } else {
                collect(lhs, out);
                collect(rhs, out);
            }
        }
    }
}

/// Whether all conditions of an expression must hold of the same span for it to be true, by Tempo's
/// rule: no `||` between anything but simple tests, and no attribute without a scope.
pub(super) fn all_must_hold(expr: &Expr) -> bool {
    match expr {
        Expr::Attribute(Attribute::Custom {
            scope: Scope::Any, ..
        }) => false,
        Expr::Literal(_) | Expr::Attribute(_) => true,
        Expr::Unary { operand, .. } | Expr::Nil { operand, .. } => all_must_hold(operand),
        Expr::Binary { op, lhs, rhs, .. } => {
            *op != BinaryOp::Or && all_must_hold(lhs) && all_must_hold(rhs)
        }
    }
}
