//! Values while a query runs, and what operators do with them: Tempo's rules, in which an absent
//! value is nil, and nothing but `= nil` and `!= nil` is true of nil. Pure.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::model::{AttrValue, Kind, Status};
use crate::re2::Pattern;
use crate::traceql::ast::{BinaryOp, Literal, UnaryOp};
use crate::traceql::literal;

/// A value of a span, borrowing from its chunk where it can.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Absent, or of a type that TraceQL does not know (maps, bytes, mixed arrays).
    Nil,
    /// 64 bits.
    Int(i64),
    /// Double precision.
    Float(f64),
    /// Text.
    Str(Cow<'a, str>),
    /// Truth value.
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    /// A span's status.
    Status(Status),
    /// A span's kind.
    Kind(Kind),
    /// Two or more scalars of one type; an array of one is that one.
    Array(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// A string that borrows.
    pub(super) fn text(text: &'a str) -> Self {
        Value::Str(Cow::Borrowed(text))
    }

    /// The constant of a query.
    pub(super) fn literal(literal: Literal) -> Value<'static> {
        match literal {
            Literal::Int(value) => Value::Int(value),
            Literal::Float(value) => Value::Float(value),
            Literal::Str(text) => Value::Str(Cow::Owned(text)),
            Literal::Bool(value) => Value::Bool(value),
            Literal::Duration(nanos) => Value::Duration(nanos),
            Literal::Status(status) => Value::Status(status),
            Literal::Kind(kind) => Value::Kind(kind),
        }
    }

    /// The constant that this value is, if a query can say it.
    pub(super) fn into_literal(self) -> Option<Literal> {
        Some(match self {
            Value::Int(value) => Literal::Int(value),
            Value::Float(value) => Literal::Float(value),
            Value::Str(text) => Literal::Str(text.into_owned()),
            Value::Bool(value) => Literal::Bool(value),
            Value::Duration(nanos) => Literal::Duration(nanos),
            Value::Status(status) => Literal::Status(status),
            Value::Kind(kind) => Literal::Kind(kind),
            Value::Nil | Value::Array(_) => return None,
        })
    }

    /// An attribute's value.
    pub(super) fn attr(value: AttrValue<'a>) -> Self {
        match value {
            AttrValue::Array(_) => {
                let elements: Vec<_> = value.elements().map(Value::scalar_attr).collect();
                let kind = elements.first().map(std::mem::discriminant);
                let uniform = elements
                    .iter()
                    .all(|e| *e != Value::Nil && Some(std::mem::discriminant(e)) == kind);
                if uniform {
                    Value::from_elements(elements)
                } else {
                    Value::Nil
                }
            }
            scalar => Value::scalar_attr(scalar),
        }
    }

    fn scalar_attr(value: AttrValue<'a>) -> Self {
        match value {
            AttrValue::Str(text) => Value::text(text),
            AttrValue::Bool(value) => Value::Bool(value),
            AttrValue::Int(value) => Value::Int(value),
            AttrValue::Double(value) => Value::Float(value),
            AttrValue::Empty | AttrValue::Array(_) | AttrValue::Map(_) | AttrValue::Bytes(_) => {
                Value::Nil
            }
        }
    }

    /// None is nil, one is itself, more are an array.
    pub(super) fn from_elements(mut elements: Vec<Self>) -> Self {
        match elements.len() {
            0 => Value::Nil,
            1 => elements.remove(0),
            _ => Value::Array(elements),
        }
    }

    /// The elements of an array, or the value itself.
    pub(crate) fn elements(&self) -> &[Self] {
        match self {
            Value::Array(elements) => elements,
            scalar => std::slice::from_ref(scalar),
        }
    }

    /// The number, if it is one; durations are nanoseconds.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(value) | Value::Duration(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// As it is written in an answer: strings bare, durations as Go prints them.
    pub fn to_text(&self) -> String {
        match self {
            Value::Nil => "nil".into(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => literal::float_text(*value),
            Value::Str(text) => text.clone().into_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Duration(nanos) => literal::duration_text(*nanos),
            Value::Status(status) => status.to_string(),
            Value::Kind(kind) => kind.to_string(),
            Value::Array(elements) => {
                let texts: Vec<_> = elements.iter().map(Value::to_text).collect();
                format!("[{}]", texts.join(", "))
            }
        }
    }

    /// Two values as comparisons other than `=` and `!=` order them; `None` if they are not ordered.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => {
                Some(a.cmp(b))
            }
            (Value::Str(a), Value::Str(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    /// An order of all values, for the largest and the smallest: of two types that do not compare the
    /// one that comes later here is larger (Tempo's rule).
    pub(super) fn total_order(&self, other: &Self) -> Ordering {
        let rank = |value: &Self| match value {
            Value::Nil => 0,
            Value::Int(_) => 1,
            Value::Float(_) => 2,
            Value::Str(_) => 3,
            Value::Bool(_) => 4,
            Value::Array(_) => 5,
            Value::Duration(_) => 6,
            Value::Status(_) => 7,
            Value::Kind(_) => 8,
        };
        self.order(other)
            .unwrap_or_else(|| rank(self).cmp(&rank(other)))
    }

    /// Whether two scalars are equal; `None` if one is nil or their types do not fit.
    fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a == b),
            (Value::Status(a), Value::Status(b)) => Some(a == b),
            (Value::Kind(a), Value::Kind(b)) => Some(a == b),
            (Value::Str(a), Value::Str(b)) => Some(a == b),
            (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => {
                Some(a == b)
            }
            _ => Some(self.number()?.partial_cmp(&other.number()?)?.is_eq()),
        }
    }

    /// Whether a comparison of two scalars holds. `pattern` is the right side of a regex comparison.
    pub(super) fn compares(&self, op: BinaryOp, other: &Self, pattern: Option<&Pattern>) -> bool {
        match op {
            BinaryOp::Eq => self.equals(other) == Some(true),
            BinaryOp::NotEq => self.equals(other) == Some(false),
            BinaryOp::Less => self.order(other).is_some_and(Ordering::is_lt),
            BinaryOp::LessEq => self.order(other).is_some_and(Ordering::is_le),
            BinaryOp::Greater => self.order(other).is_some_and(Ordering::is_gt),
            BinaryOp::GreaterEq => self.order(other).is_some_and(Ordering::is_ge),
            BinaryOp::Regex | BinaryOp::NotRegex => match (self, pattern) {
                (Value::Str(text), Some(pattern)) => {
                    pattern.matches(text) == (op == BinaryOp::Regex)
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// A comparison in which either side may be an array: some element must compare well, and for
    /// `!=` and `!~` every element.
    fn compares_any(&self, op: BinaryOp, other: &Self, pattern: Option<&Pattern>) -> bool {
        let compare = |a: &Self, b: &Self| a.compares(op, b, pattern);
        let (array, test): (&Self, &dyn Fn(&Self) -> bool) = match (self, other) {
            // Tempo does not compare arrays with arrays.
            (Value::Array(_), Value::Array(_)) => return false,
            (Value::Array(_), _) => (self, &|element| compare(element, other)),
            (_, Value::Array(_)) => (other, &|element| compare(self, element)),
            _ => return compare(self, other),
        };
        if matches!(op, BinaryOp::NotEq | BinaryOp::NotRegex) {
            array.elements().iter().all(test)
        } else {
            array.elements().iter().any(test)
        }
    }

    /// What an infix operator makes of two values. Types that do not fit make a comparison false and
    /// a sum nil; so does a division of ints by zero.
    pub(super) fn binary(
        &self,
        op: BinaryOp,
        other: &Self,
        pattern: Option<&Pattern>,
    ) -> Value<'static> {
        match op {
            BinaryOp::And => Value::Bool(*self == Value::Bool(true) && *other == Value::Bool(true)),
            BinaryOp::Or => Value::Bool(*self == Value::Bool(true) || *other == Value::Bool(true)),
            op if op.is_boolean() => Value::Bool(self.compares_any(op, other, pattern)),
            op => self.arithmetic(op, other).unwrap_or(Value::Nil),
        }
    }

    /// Two ints make an int, all other numbers a float.
    fn arithmetic(&self, op: BinaryOp, other: &Self) -> Option<Value<'static>> {
        if let (Value::Int(a), Value::Int(b)) = (self, other) {
            return Some(Value::Int(match op {
                BinaryOp::Add => a.wrapping_add(*b),
                BinaryOp::Sub => a.wrapping_sub(*b),
                BinaryOp::Mul => a.wrapping_mul(*b),
                BinaryOp::Div if *b != 0 => a.wrapping_div(*b),
                BinaryOp::Mod if *b != 0 => a.wrapping_rem(*b),
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "too large a power saturates, as in Tempo"
                )]
                BinaryOp::Pow => (*a as f64).powf(*b as f64) as i64,
                _ => return None,
            }));
        }
        let (a, b) = (self.number()?, other.number()?);
        Some(Value::Float(match op {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div => a / b,
            BinaryOp::Mod => a % b,
            BinaryOp::Pow => a.powf(b),
            _ => return None,
        }))
    }

    /// What a prefix operator makes of a value; nil of what it does not take.
    pub(super) fn unary(&self, op: UnaryOp) -> Value<'static> {
        match (op, self) {
            (UnaryOp::Not, Value::Bool(value)) => Value::Bool(!value),
            (UnaryOp::Neg, Value::Int(value)) => Value::Int(value.wrapping_neg()),
            (UnaryOp::Neg, Value::Float(value)) => Value::Float(-value),
            (UnaryOp::Neg, Value::Duration(nanos)) => Value::Duration(nanos.wrapping_neg()),
            _ => Value::Nil,
        }
    }

    /// Whether two values fall into the same group of `by(…)`.
    pub(super) fn same_group(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Value<'_> {
        Value::text(s)
    }

    #[test]
    fn nil_compares_to_nothing() {
        use BinaryOp::{Eq, Greater, Less, NotEq, NotRegex};
        for op in [Eq, NotEq, Less, Greater, NotRegex] {
            for value in [Value::Nil, Value::Int(1), text("a"), Value::Bool(true)] {
                assert_eq!(
                    Value::Nil.binary(op, &value, None),
                    Value::Bool(false),
                    "nil {op} {value:?}"
                );
                assert_eq!(
                    value.binary(op, &Value::Nil, None),
                    Value::Bool(false),
                    "{value:?} {op} nil"
                );
            }
        }
        assert_eq!(
            Value::Nil.binary(BinaryOp::Add, &Value::Int(1), None),
            Value::Nil
        );
    }

    #[test]
    fn types_that_do_not_fit_make_comparisons_false() {
        for (a, b) in [
            (text("1"), Value::Int(1)),
            (Value::Bool(true), Value::Int(1)),
            (Value::Int(1), text("a")),
        ] {
            for op in [
                BinaryOp::Eq,
                BinaryOp::NotEq,
                BinaryOp::Less,
                BinaryOp::GreaterEq,
            ] {
                assert_eq!(
                    a.binary(op, &b, None),
                    Value::Bool(false),
                    "{a:?} {op} {b:?}"
                );
            }
        }
    }

    #[test]
    fn numbers_of_all_types_compare_and_combine() {
        use BinaryOp::{Add, Div, Eq, Greater, Mod, Pow};
        for (a, op, b, expected) in [
            (Value::Int(2), Eq, Value::Float(2.0), Value::Bool(true)),
            (
                Value::Duration(2_000),
                Greater,
                Value::Int(1_999),
                Value::Bool(true),
            ),
            (
                Value::Duration(1),
                Eq,
                Value::Float(1.5),
                Value::Bool(false),
            ),
            (Value::Int(7), Div, Value::Int(2), Value::Int(3)),
            (Value::Int(7), Div, Value::Float(2.0), Value::Float(3.5)),
            (Value::Int(7), Div, Value::Int(0), Value::Nil),
            (Value::Int(-7), Mod, Value::Int(2), Value::Int(-1)),
            (Value::Int(2), Pow, Value::Int(3), Value::Int(8)),
            (
                Value::Duration(1),
                Add,
                Value::Duration(2),
                Value::Float(3.0),
            ),
        ] {
            assert_eq!(a.binary(op, &b, None), expected, "{a:?} {op} {b:?}");
        }
    }

    #[test]
    fn arrays_compare_by_their_elements() {
        let array = Value::Array(vec![Value::Int(1), Value::Int(5)]);
        for (op, scalar, expected) in [
            (BinaryOp::Eq, 5, true),
            (BinaryOp::Eq, 2, false),
            (BinaryOp::NotEq, 5, false),
            (BinaryOp::NotEq, 2, true),
            (BinaryOp::Greater, 4, true),
            (BinaryOp::Less, 1, false),
        ] {
            assert_eq!(
                array.binary(op, &Value::Int(scalar), None),
                Value::Bool(expected),
                "{op} {scalar}"
            );
            assert_eq!(
                Value::Int(scalar).binary(op.flipped(), &array, None),
                Value::Bool(expected)
            );
        }
        assert_eq!(array.binary(BinaryOp::Eq, &array, None), Value::Bool(false));
    }
}
