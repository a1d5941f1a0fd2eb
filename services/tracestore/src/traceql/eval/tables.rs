//! A predicate made ready for one chunk: each test becomes a table over a dictionary or a scan of a
//! column, so that a span costs a few lookups. Used by `pipeline`.

use super::bits::Bits;
use super::condition::{Condition, Group, Test};
use super::plan::{Calc, Predicate};
use super::value::Value;
use super::view::{View, in_event, in_link, missing_in_resource};
use crate::model::Row;
use crate::traceql::ast::{Attribute, BinaryOp, Intrinsic, Scope};

/// How many rows are looked at together.
const WORD: usize = 64;

/// What one chunk's rows are asked.
pub(super) enum RowTest<'q> {
    Const(bool),
    /// A table over a dictionary, and the column that points into it.
    Table(&'q [u32], Vec<bool>),
    /// A table over kinds and statuses.
    Byte(&'q [u8], Box<[bool; 256]>),
    /// What a span's own attributes decide, if they do; else its resource.
    Either {
        sets: &'q [u32],
        by_set: Vec<Option<bool>>,
        resources: &'q [u32],
        by_resource: Vec<bool>,
    },
    /// Durations within bounds.
    Duration {
        starts: &'q [u64],
        ends: &'q [u64],
        low: i64,
        high: i64,
        inside: bool,
    },
    /// An id (a span's or a parent's) that is, or is not, this one.
    Id(&'q [u64], u64, bool),
    Not(Box<RowTest<'q>>),
    And(Vec<RowTest<'q>>),
    Or(Vec<RowTest<'q>>),
    /// Worked out row by row.
    Row(Box<dyn Fn(Row) -> bool + 'q>),
}

impl<'q> RowTest<'q> {
    /// Makes `predicate` ready for the chunk of `view`.
    pub(super) fn new(predicate: &'q Predicate, view: &'q View<'_>) -> Self {
        match predicate {
            Predicate::Const(value) => RowTest::Const(*value),
            Predicate::Test(condition) => test(condition, view),
            Predicate::Together(group, conditions) => together(*group, conditions, view),
            Predicate::Calc(calc) => calculated(calc, view),
            Predicate::Not(inner) => match RowTest::new(inner, view) {
                RowTest::Const(value) => RowTest::Const(!value),
                other => RowTest::Not(Box::new(other)),
            },
            Predicate::And(parts) => Self::join(parts, view, false),
            Predicate::Or(parts) => Self::join(parts, view, true),
        }
    }

    /// A conjunction, or with `decider` true a disjunction, cheap parts first; a part that is always
    /// `decider` decides it.
    fn join(parts: &'q [Predicate], view: &'q View<'_>, decider: bool) -> Self {
        let mut ready = Vec::with_capacity(parts.len());
        for part in parts {
            match RowTest::new(part, view) {
                RowTest::Const(value) if value == decider => return RowTest::Const(decider),
                RowTest::Const(_) => {}
                other => ready.push(other),
            }
        }
        ready.sort_by_key(RowTest::is_slow);
        match (ready.len(), decider) {
            (0, _) => RowTest::Const(!decider),
            (_, false) => RowTest::And(ready),
            (_, true) => RowTest::Or(ready),
        }
    }

    fn is_slow(&self) -> bool {
        match self {
            RowTest::Row(_) => true,
            RowTest::Not(inner) => inner.is_slow(),
            RowTest::And(parts) | RowTest::Or(parts) => parts.iter().any(RowTest::is_slow),
            _ => false,
        }
    }

    /// Whether no row can pass.
    pub(super) fn is_never(&self) -> bool {
        matches!(self, RowTest::Const(false))
    }

    /// Those of `rows` rows that pass.
    pub(super) fn mask(&self, rows: usize) -> Bits {
        let words = (0..rows).step_by(WORD).map(|base| {
            let len = WORD.min(rows - base);
            self.word(base, len, u64::MAX >> (WORD - len))
        });
        Bits::from_words(words.collect())
    }

    /// The bits of `len` rows from `base`; only those set in `wanted` need be right, others are 0.
    fn word(&self, base: usize, len: usize, wanted: u64) -> u64 {
        let range = base..base + len;
        let word = match self {
            RowTest::Const(value) => {
                if *value {
                    wanted
                } else {
                    0
                }
            }
            RowTest::Table(column, table) => {
                bits(column[range].iter().map(|&code| table[code as usize]))
            }
            RowTest::Byte(column, table) => {
                bits(column[range].iter().map(|&byte| table[byte as usize]))
            }
            RowTest::Either {
                sets,
                by_set,
                resources,
                by_resource,
            } => bits(sets[range.clone()].iter().zip(&resources[range]).map(
                |(&set, &resource)| {
                    by_set[set as usize].unwrap_or_else(|| by_resource[resource as usize])
                },
            )),
            RowTest::Duration {
                starts,
                ends,
                low,
                high,
                inside,
            } => bits(
                starts[range.clone()]
                    .iter()
                    .zip(&ends[range])
                    .map(|(start, end)| {
                        let nanos = end.wrapping_sub(*start).cast_signed();
                        (*low <= nanos && nanos <= *high) == *inside
                    }),
            ),
            RowTest::Id(column, id, equal) => {
                bits(column[range].iter().map(|found| (found == id) == *equal))
            }
            RowTest::Not(inner) => !inner.word(base, len, wanted),
            RowTest::And(parts) => parts.iter().fold(wanted, |left, part| {
                if left == 0 {
                    0
                } else {
                    part.word(base, len, left)
                }
            }),
            RowTest::Or(parts) => parts.iter().fold(0, |found, part| {
                let open = wanted & !found;
                if open == 0 {
                    found
                } else {
                    found | part.word(base, len, open)
                }
            }),
            RowTest::Row(passes) => {
                let mut found = 0;
                let mut open = wanted;
                while open != 0 {
                    let bit = open.trailing_zeros() as usize;
                    open &= open - 1;
                    let row = u32::try_from(base + bit).expect("rows are counted in 32 bits");
                    found |= u64::from(passes(row)) << bit;
                }
                found
            }
        };
        word & wanted
    }
}

fn bits(values: impl Iterator<Item = bool>) -> u64 {
    values
        .enumerate()
        .fold(0, |word, (bit, value)| word | u64::from(value) << bit)
}

/// A single test.
fn test<'q>(condition: &'q Condition, view: &'q View<'_>) -> RowTest<'q> {
    let chunk = view.chunk;
    if condition.group().is_some() {
        return together(
            condition.group().unwrap_or(Group::Events),
            std::slice::from_ref(condition),
            view,
        );
    }
    match &condition.attribute {
        Attribute::Intrinsic(intrinsic) => intrinsic_test(*intrinsic, condition, view),
        Attribute::Custom { scope, name } => {
            // What a missing key says: that it is missing, or that a service has an empty name.
            let missing = condition.is_absent()
                || matches!(scope, Scope::Any | Scope::Resource)
                    && missing_in_resource(name).is_some_and(|value| condition.accepts(&value));
            let Some(by_set) = sets_that_pass(condition, name, missing, view) else {
                return RowTest::Const(missing);
            };
            let over_resources = || chunk.resources().iter().map(|r| by_set[r.attrs as usize]);
            let passes = |verdict: Option<bool>| verdict.unwrap_or(missing);
            match scope {
                Scope::Span => table(chunk.attr_sets(), by_set.into_iter().map(passes).collect()),
                Scope::Resource => table(
                    chunk.resource_codes(),
                    over_resources().map(passes).collect(),
                ),
                Scope::Instrumentation => {
                    let verdicts = chunk
                        .scopes()
                        .iter()
                        .map(|s| passes(by_set[s.attrs as usize]));
                    table(chunk.scope_codes(), verdicts.collect())
                }
                _ => {
                    let by_resource: Vec<_> = over_resources().map(passes).collect();
                    if !by_resource.contains(&true) && !by_set.contains(&Some(true)) {
                        return RowTest::Const(false);
                    }
                    RowTest::Either {
                        sets: chunk.attr_sets(),
                        by_set,
                        resources: chunk.resource_codes(),
                        by_resource,
                    }
                }
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

/// For each attribute set: whether the test holds of the key's value, `None` where the key is not in
/// the set. `None` if no set has the key, or neither a value passes nor a `missing` key.
fn sets_that_pass(
    condition: &Condition,
    name: &str,
    missing: bool,
    view: &View<'_>,
) -> Option<Vec<Option<bool>>> {
    let attributes = view.chunk.attributes();
    let key = attributes.key_code(name)?;
    let mut any = missing;
    let by_attr: Vec<Option<bool>> = attributes
        .attr_keys()
        .iter()
        .zip(0..)
        .map(|(&found, attr)| {
            (found == key).then(|| {
                let passes = condition.accepts_any(&Value::attr(attributes.value(attr)));
                any |= passes;
                passes
            })
        })
        .collect();
    // An attribute without a scope is hidden by one of the same key on the span, even if that does not pass.
    any.then(|| {
        (0..attributes.set_count())
            .map(|set| {
                attributes
                    .set(set)
                    .iter()
                    .find_map(|&attr| by_attr[attr as usize])
            })
            .collect()
    })
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
fn together<'q>(group: Group, conditions: &'q [Condition], view: &'q View<'_>) -> RowTest<'q> {
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
fn calculated<'q>(calc: &'q Calc, view: &'q View<'_>) -> RowTest<'q> {
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
