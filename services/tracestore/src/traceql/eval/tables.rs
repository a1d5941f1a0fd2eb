//! A predicate made ready for one chunk: each test becomes a table over a dictionary or a scan of a
//! column, so that a span costs a few lookups. Used by `pipeline`.

use super::bits::Bits;
use super::plan::Predicate;
use super::row_test::{calculated, test, together};
use super::view::View;
use crate::model::Row;

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
