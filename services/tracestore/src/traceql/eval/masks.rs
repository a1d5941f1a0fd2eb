//! What a query's filters select in one chunk, as sets of rows; and, where a query joins filters
//! only, what the joins select: the whole chunk at a time. Used by `pipeline`.

use std::cell::OnceCell;

use super::bits::Bits;
use super::plan::{Plan, PlanStage, Predicate, Selector};
use super::relate::Relate;
use super::tables::RowTest;
use super::view::View;
use crate::traceql::ast::{Selection, SpansetOp};

/// The filters of a plan on one chunk, each worked out when it is first needed.
pub(super) struct Masks<'q, 'c> {
    plan: &'q Plan,
    view: &'q View<'c>,
    filters: Vec<OnceCell<Bits>>,
    pub(super) relate: Relate<'q, 'c>,
}

impl<'q, 'c> Masks<'q, 'c> {
    pub(super) fn new(plan: &'q Plan, view: &'q View<'c>) -> Self {
        let filters = plan.filters.iter().map(|_| OnceCell::new()).collect();
        Masks {
            plan,
            view,
            filters,
            relate: Relate::new(view),
        }
    }

    /// The rows that a predicate selects.
    pub(super) fn of(&self, predicate: &Predicate) -> Bits {
        let rows = self.view.chunk.rows() as usize;
        let test = RowTest::new(predicate, self.view);
        if test.is_never() {
            Bits::none(rows)
        } else {
            test.mask(rows)
        }
    }

    /// The rows that a filter of the plan selects.
    pub(super) fn filter(&self, filter: usize) -> &Bits {
        self.filters[filter].get_or_init(|| self.of(&self.plan.filters[filter]))
    }

    /// The traces of a set of rows.
    pub(super) fn slots_of(&self, rows: &Bits) -> Bits {
        let mut slots = Bits::none(self.view.chunk.traces().len());
        let column = self.view.chunk.slots();
        rows.iter()
            .for_each(|row| slots.insert(column[row as usize]));
        slots
    }

    /// The rows that a spanset expression selects when it is applied to whole traces; `None` if it
    /// holds a pipeline, which must be run trace by trace.
    pub(super) fn select(&mut self, selector: &Selector) -> Option<Bits> {
        let (op, lhs, rhs) = match selector {
            Selector::Filter(filter) => return Some(self.filter(*filter).clone()),
            Selector::Pipeline(_) => return None,
            Selector::Join { op, lhs, rhs } => (*op, lhs, rhs),
        };
        let right = self.select(rhs)?;
        if right.is_empty() && op != SpansetOp::Or {
            return lhs.is_plain().then_some(right);
        }
        let left = self.select(lhs)?;
        Some(match op {
            SpansetOp::Or => left.or(&right),
            SpansetOp::And => {
                let slots = self.slots_of(&left).and(&self.slots_of(&right));
                let mut both = Bits::none(self.view.chunk.rows() as usize);
                let column = self.view.chunk.slots();
                left.or(&right)
                    .iter()
                    .filter(|&row| slots.has(column[row as usize]))
                    .for_each(|row| both.insert(row));
                both
            }
            SpansetOp::Structural(relation, selection) => {
                let mut rows = Bits::none(self.view.chunk.rows() as usize);
                let found = self
                    .relate
                    .select(relation, selection, left.iter(), right.iter());
                for row in found {
                    rows.insert(row);
                }
                rows
            }
        })
    }

    /// The traces that can match a spanset expression.
    pub(super) fn candidates(&self, selector: &Selector) -> Bits {
        match selector {
            Selector::Filter(filter) => self.slots_of(self.filter(*filter)),
            Selector::Pipeline(stages) => match stages.first() {
                Some(PlanStage::Spanset(first)) => self.candidates(first),
                _ => Bits::all(self.view.chunk.traces().len()),
            },
            Selector::Join { op, lhs, rhs } => {
                let right = self.candidates(rhs);
                match op {
                    SpansetOp::Or => right.or(&self.candidates(lhs)),
                    SpansetOp::Structural(_, Selection::NotMatching) => right,
                    _ => right.and(&self.candidates(lhs)),
                }
            }
        }
    }
}
