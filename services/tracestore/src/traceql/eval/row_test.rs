//! Single tests made ready for one chunk: which dictionary or column answers each. Used by `tables`.

use super::condition::{Condition, Group, Test};
use super::plan::Calc;
use super::tables::RowTest;
use super::value::Value;
use super::view::{View, in_event, in_link, missing_in_resource};
use crate::traceql::ast::{Attribute, BinaryOp, Intrinsic, Scope};

/// A single test.
pub(super) fn test<'q>(condition: &'q Condition, view: &'q View<'_>) -> RowTest<'q> {
    let chunk = view.chunk;
    if let Some(group) = condition.group() {
        return together(group, std::slice::from_ref(condition), view);
    }
    match &condition.attribute {
        Attribute::Intrinsic(intrinsic) => intrinsic_test(*intrinsic, condition, view),
        Attribute::Custom { scope, name } => {
            // What a missing key says: that it is missing, or that a service has an empty name.
            let missing = condition.is_absent()
                || matches!(scope, Scope::Any | Scope::Resource)
                    && missing_in_resource(name).is_some_and(|value| condition.accepts(&value));
            let Some(by_attr) = attrs_that_pass(condition, name, missing, view) else {
                return RowTest::Const(missing);
            };
            // `None` where the key is not in the set.
            let verdict = |set: u32| {
                let attrs = chunk.attributes().set(set).iter();
                attrs.copied().find_map(|attr| by_attr[attr as usize])
            };
            let passes = |set: u32| verdict(set).unwrap_or(missing);
            let sets = 0..chunk.attributes().set_count();
            let by_resource = || chunk.resources().iter().map(|r| passes(r.attrs)).collect();
            match scope {
                Scope::Span => table(chunk.attr_sets(), sets.map(passes).collect()),
                Scope::Resource => table(chunk.resource_codes(), by_resource()),
                Scope::Instrumentation => {
                    let by_scope = chunk.scopes().iter().map(|s| passes(s.attrs));
                    table(chunk.scope_codes(), by_scope.collect())
                }
                // An attribute without a scope is hidden by one of the same key on the span, even
                // if that does not pass.
                _ => RowTest::Either {
                    sets: chunk.attr_sets(),
                    by_set: sets.map(verdict).collect(),
                    resources: chunk.resource_codes(),
                    by_resource: by_resource(),
                },
            }
        }
    }
}

/// A table, or a constant if it says the same of everything.
fn table(column: &[u32], table: Vec<bool>) -> RowTest<'_> {
    if table.contains(&true) {
        RowTest::Table(column, table)
    } else {
        RowTest::Const(false)
    }
}

/// For each attr: whether the test holds of its value, `None` if it has another key. `None` if no
/// attr has the key, or neither a value passes nor a `missing` key.
fn attrs_that_pass(
    condition: &Condition,
    name: &str,
    missing: bool,
    view: &View<'_>,
) -> Option<Vec<Option<bool>>> {
    let attributes = view.chunk.attributes();
    let key = attributes.key_code(name)?;
    let mut any = missing;
    let attrs = attributes.attr_keys().iter().zip(0..);
    let by_attr = attrs
        .map(|(&found, attr)| {
            (found == key).then(|| {
                let passes = condition.accepts_any(&Value::attr(attributes.value(attr)));
                any |= passes;
                passes
            })
        })
        .collect();
    any.then_some(by_attr)
}

fn intrinsic_test<'q>(
    intrinsic: Intrinsic,
    condition: &'q Condition,
    view: &'q View<'_>,
) -> RowTest<'q> {
    let chunk = view.chunk;
    match intrinsic {
        Intrinsic::Name => {
            let passes = |code| condition.accepts(&Value::text(chunk.name(code)));
            table(
                chunk.name_codes(),
                (0..chunk.name_count()).map(passes).collect(),
            )
        }
        Intrinsic::Kind | Intrinsic::Status => {
            let passes: [bool; 256] = std::array::from_fn(|byte| {
                let byte = u8::try_from(byte).unwrap_or(0);
                condition.accepts(&if intrinsic == Intrinsic::Kind {
                    Value::Kind(crate::model::Kind::from_number(byte & 0x0f))
                } else {
                    Value::Status(crate::model::Status::from_number(byte >> 4))
                })
            });
            RowTest::Byte(chunk.kind_status(), Box::new(passes))
        }
        Intrinsic::InstrumentationName | Intrinsic::InstrumentationVersion => {
            let passes = chunk.scopes().iter().map(|scope| {
                let text = if intrinsic == Intrinsic::InstrumentationName {
                    scope.name
                } else {
                    scope.version
                };
                condition.accepts(&Value::text(chunk.text(text)))
            });
            table(chunk.scope_codes(), passes.collect())
        }
        Intrinsic::RootName
        | Intrinsic::RootServiceName
        | Intrinsic::TraceDuration
        | Intrinsic::TraceId => {
            let slots =
                0..u32::try_from(chunk.traces().len()).expect("slots are counted in 32 bits");
            let passes =
                slots.map(|slot| condition.accepts(&view.trace_intrinsic(intrinsic, slot)));
            table(chunk.slots(), passes.collect())
        }
        Intrinsic::Duration => duration_test(condition, view),
        Intrinsic::SpanId | Intrinsic::ParentId => {
            let column = if intrinsic == Intrinsic::SpanId {
                chunk.span_ids()
            } else {
                chunk.parent_ids()
            };
            match id_of(condition) {
                Some((id, equal)) => RowTest::Id(column, id, equal),
                None => RowTest::Row(Box::new(move |row| {
                    condition.accepts(&view.value(&condition.attribute, row))
                })),
            }
        }
        Intrinsic::StatusMessage if !chunk.has_extras() => {
            RowTest::Const(condition.accepts(&Value::text("")))
        }
        Intrinsic::NestedSetParent if is_about_roots(condition) => {
            // Zero, and everything that is not a root, is on the same side of the comparison.
            let (root, other) = (
                condition.accepts(&Value::Int(-1)),
                condition.accepts(&Value::Int(0)),
            );
            if root == other {
                RowTest::Const(root)
            } else {
                RowTest::Id(chunk.parent_ids(), 0, root)
            }
        }
        _ => RowTest::Row(Box::new(move |row| {
            condition.accepts(&view.value(&condition.attribute, row))
        })),
    }
}

/// Whether a comparison with `nestedSetParent` says the same of all spans that are no roots.
fn is_about_roots(condition: &Condition) -> bool {
    let Test::Compare(comparison) = &condition.test else {
        return false;
    };
    let Value::Int(limit) = comparison.value else {
        return false;
    };
    match comparison.op {
        BinaryOp::Less | BinaryOp::GreaterEq => limit <= 0,
        _ => limit < 0,
    }
}

/// The id a comparison for equality is with; `None` for other comparisons, and for texts that are no
/// id as they are written in answers.
fn id_of(condition: &Condition) -> Option<(u64, bool)> {
    let Test::Compare(comparison) = &condition.test else {
        return None;
    };
    let Value::Str(text) = &comparison.value else {
        return None;
    };
    let equal = match comparison.op {
        BinaryOp::Eq => true,
        // A root's parent is as equal to the empty text as to sixteen zeros (Tempo's rule).
        BinaryOp::NotEq if text.is_empty() => return Some((0, false)),
        BinaryOp::NotEq => false,
        _ => return None,
    };
    let id = u64::from_str_radix(text, 16)
        .ok()
        .filter(|id| super::view::hex16(*id) == **text)?;
    Some((id, equal))
}

fn duration_test<'q>(condition: &'q Condition, view: &'q View<'_>) -> RowTest<'q> {
    let (starts, ends) = (view.chunk.starts_ns(), view.chunk.ends_ns());
    if let Test::Compare(comparison) = &condition.test
        && let Value::Duration(value) | Value::Int(value) = comparison.value
    {
        let (low, high, inside) = match comparison.op {
            BinaryOp::Eq => (value, value, true),
            BinaryOp::NotEq => (value, value, false),
            BinaryOp::Less => (value, i64::MAX, false),
            BinaryOp::LessEq => (i64::MIN, value, true),
            BinaryOp::Greater => (i64::MIN, value, false),
            _ => (value, i64::MAX, true),
        };
        return RowTest::Duration {
            starts,
            ends,
            low,
            high,
            inside,
        };
    }
    RowTest::Row(Box::new(move |row| {
        condition.accepts(&Value::Duration(view.duration(row)))
    }))
}

/// One event (or link) of the span that passes all tests.
pub(super) fn together<'q>(
    group: Group,
    conditions: &'q [Condition],
    view: &'q View<'_>,
) -> RowTest<'q> {
    if !view.chunk.has_extras() {
        return RowTest::Const(false);
    }
    let passes = |condition: &Condition, value: Option<Value<'_>>| match value {
        None => condition.is_absent(),
        Some(value) => condition.accepts_any(&value),
    };
    RowTest::Row(Box::new(move |row| {
        let Some(extras) = view.chunk.extras(row) else {
            return false;
        };
        let start = view.chunk.starts_ns()[row as usize];
        match group {
            Group::Events => extras.events().any(|event| {
                conditions
                    .iter()
                    .all(|c| passes(c, in_event(&c.attribute, &event, start)))
            }),
            Group::Links => extras.links().any(|link| {
                conditions
                    .iter()
                    .all(|c| passes(c, in_link(&c.attribute, &link)))
            }),
        }
    }))
}

/// A computed expression: over a dictionary if it reads only one, else row by row.
pub(super) fn calculated<'q>(calc: &'q Calc, view: &'q View<'_>) -> RowTest<'q> {
    let (mut spans, mut resources) = (true, true);
    calc.attributes(&mut |attribute| {
        let scope = match attribute {
            Attribute::Custom { scope, .. } => Some(*scope),
            Attribute::Intrinsic(_) => None,
        };
        spans &= scope == Some(Scope::Span);
        resources &= scope == Some(Scope::Resource);
    });
    let in_set = |set: u32| {
        calc.value(&|attribute| match attribute {
            Attribute::Custom { name, .. } => view.in_set(set, name).unwrap_or(Value::Nil),
            Attribute::Intrinsic(_) => Value::Nil,
        }) == Value::Bool(true)
    };
    let chunk = view.chunk;
    if spans {
        table(
            chunk.attr_sets(),
            (0..chunk.attributes().set_count()).map(in_set).collect(),
        )
    } else if resources {
        table(
            chunk.resource_codes(),
            chunk.resources().iter().map(|r| in_set(r.attrs)).collect(),
        )
    } else {
        RowTest::Row(Box::new(move |row| {
            calc.value(&|attribute| view.value(attribute, row)) == Value::Bool(true)
        }))
    }
}
