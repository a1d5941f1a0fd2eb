//! Runs a plan on one chunk: the first stage on the whole chunk, the others trace by trace. Used by
//! [`super::run`].

use std::ops::ControlFlow;

use super::EvalError;
use super::masks::Masks;
use super::plan::{Calc, Plan, PlanStage, Selector};
use super::value::Value;
use super::view::View;
use crate::model::{Row, Slot};
use crate::traceql::ast::{AggregateFn, Attribute, Intrinsic, SpansetOp};

/// Spans of one trace that belong together, and what was computed of them.
#[derive(Clone, Debug)]
pub(super) struct Spanset<'q> {
    pub(super) rows: Vec<Row>,
    /// Labels (`count()`, `by(name)`) and values.
    pub(super) attributes: Vec<(&'q str, Value<'q>)>,
}

/// One query on one chunk.
pub(super) struct ChunkRun<'q, 'c> {
    plan: &'q Plan,
    view: &'q View<'c>,
    masks: Masks<'q, 'c>,
}

impl<'q, 'c> ChunkRun<'q, 'c> {
    pub(super) fn new(plan: &'q Plan, view: &'q View<'c>) -> Self {
        ChunkRun {
            plan,
            view,
            masks: Masks::new(plan, view),
        }
    }

    /// Calls `found` with the spansets of every trace that matches, newest trace first, as long as
    /// it says so. `wanted` says which traces may be looked at.
    pub(super) fn run(
        &mut self,
        wanted: impl Fn(Slot) -> bool,
        mut found: impl FnMut(Slot, Vec<Spanset<'q>>) -> ControlFlow<()>,
    ) -> Result<(), EvalError> {
        // What can be selected in the whole chunk at once is; the stages left go trace by trace.
        let first = match (self.plan.stages.first(), &self.plan.initial) {
            (Some(PlanStage::Spanset(selector)), _) => self.masks.select(selector).ok_or(selector),
            (_, Some(initial)) => Ok(self.masks.of(initial)),
            _ => return Ok(()),
        };
        let (slots, done) = match &first {
            Ok(rows) => (
                self.masks.slots_of(rows),
                usize::from(self.plan.initial.is_none()),
            ),
            Err(selector) => (self.masks.candidates(selector), 0),
        };
        if slots.is_empty() {
            return Ok(());
        }
        let stages = &self.plan.stages[done..];
        for slot in self.view.chunk.live_slots().rev() {
            if !slots.has(slot) || !wanted(slot) {
                continue;
            }
            let spans = self.view.chunk.traces()[slot as usize].spans;
            let mut rows = Vec::with_capacity(spans as usize);
            rows.extend(self.view.chunk.trace_rows(slot));
            if let Ok(selected) = &first {
                rows.retain(|&row| selected.has(row));
            }
            rows.reverse();
            let whole = Spanset {
                rows,
                attributes: Vec::new(),
            };
            let spansets = self.stages(stages, vec![whole])?;
            if !spansets.is_empty() && found(slot, spansets).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn stages(
        &mut self,
        stages: &'q [PlanStage],
        input: Vec<Spanset<'q>>,
    ) -> Result<Vec<Spanset<'q>>, EvalError> {
        let mut spansets = input;
        for stage in stages {
            spansets = self.stage(stage, spansets)?;
            if spansets.is_empty() {
                break;
            }
        }
        Ok(spansets)
    }

    fn stage(
        &mut self,
        stage: &'q PlanStage,
        input: Vec<Spanset<'q>>,
    ) -> Result<Vec<Spanset<'q>>, EvalError> {
        match stage {
            PlanStage::Spanset(selector) => self.select(selector, input),
            PlanStage::Coalesce => {
                let rows = input.into_iter().flat_map(|spanset| spanset.rows).collect();
                Ok(vec![Spanset {
                    rows,
                    attributes: Vec::new(),
                }])
            }
            PlanStage::By { label, key } => Ok(input
                .into_iter()
                .flat_map(|spanset| self.group(spanset, label, key))
                .collect()),
            PlanStage::Aggregate {
                label,
                function,
                argument,
                op,
                value,
            } => {
                let mut kept = input;
                kept.retain_mut(|spanset| {
                    let scalar = self.aggregate(*function, argument, &spanset.rows);
                    let scalar = scalar.filter(|scalar| scalar.compares(*op, value, None));
                    scalar.is_some_and(|scalar| {
                        spanset.attributes.push((label, scalar));
                        true
                    })
                });
                Ok(kept)
            }
        }
    }

    /// Applies a spanset expression to every spanset on its own.
    fn select(
        &mut self,
        selector: &'q Selector,
        input: Vec<Spanset<'q>>,
    ) -> Result<Vec<Spanset<'q>>, EvalError> {
        let mut output = Vec::with_capacity(input.len());
        match selector {
            Selector::Filter(filter) => {
                let mask = self.masks.filter(*filter);
                for mut spanset in input {
                    spanset.rows.retain(|&row| mask.has(row));
                    output.push(spanset);
                }
            }
            Selector::Pipeline(stages) => {
                for spanset in input {
                    output.extend(self.stages(stages, vec![spanset])?);
                }
            }
            Selector::Join { op, lhs, rhs } => {
                for spanset in input {
                    let right = self.select(rhs, vec![spanset.clone()])?;
                    let left = self.select(lhs, vec![spanset.clone()])?;
                    let rows = self.join(*op, left, right)?;
                    output.push(Spanset {
                        rows,
                        attributes: spanset.attributes,
                    });
                }
            }
        }
        output.retain(|spanset| !spanset.rows.is_empty());
        Ok(output)
    }

    fn join(
        &mut self,
        op: SpansetOp,
        left: Vec<Spanset<'q>>,
        right: Vec<Spanset<'q>>,
    ) -> Result<Vec<Row>, EvalError> {
        if let SpansetOp::Structural(relation, selection) = op {
            if left.len() > 1 || right.len() > 1 {
                return Err(EvalError::SeveralSpansets);
            }
            let first = |spansets: Vec<Spanset<'q>>| {
                spansets
                    .into_iter()
                    .next()
                    .map_or_else(Vec::new, |s| s.rows)
            };
            let right = first(right);
            if right.is_empty() {
                return Ok(right);
            }
            let (left, right) = (first(left).into_iter(), right.into_iter());
            return Ok(self.masks.relate.select(relation, selection, left, right));
        }
        if op == SpansetOp::And && (left.is_empty() || right.is_empty()) {
            return Ok(Vec::new());
        }
        let mut rows: Vec<Row> = left
            .into_iter()
            .chain(right)
            .flat_map(|spanset| spanset.rows)
            .collect();
        rows.sort_unstable();
        rows.dedup();
        Ok(rows)
    }

    fn group(&self, spanset: Spanset<'q>, label: &'q str, key: &'q Calc) -> Vec<Spanset<'q>> {
        let mut groups: Vec<(Value<'q>, Vec<Row>)> = Vec::new();
        for row in spanset.rows {
            let value = key.value(&|attribute| self.view.value(attribute, row));
            match groups
                .iter_mut()
                .find(|(known, _)| known.same_group(&value))
            {
                Some((_, rows)) => rows.push(row),
                None => groups.push((value, vec![row])),
            }
        }
        let with_label = |value| {
            let mut attributes = spanset.attributes.clone();
            attributes.push((label, value));
            attributes
        };
        groups
            .into_iter()
            .map(|(value, rows)| Spanset {
                rows,
                attributes: with_label(value),
            })
            .collect()
    }

    /// An aggregate's value; `None` if no span has one.
    fn aggregate(
        &self,
        function: Option<AggregateFn>,
        argument: &'q Calc,
        rows: &[Row],
    ) -> Option<Value<'q>> {
        let Some(function) = function else {
            return Some(Value::Int(i64::try_from(rows.len()).unwrap_or(i64::MAX)));
        };
        // By far the most common argument: no values need be made for it.
        if matches!(
            argument,
            Calc::Field(Attribute::Intrinsic(Intrinsic::Duration))
        ) {
            return durations(function, rows.iter().map(|&row| self.view.duration(row)));
        }
        let read = |&row: &Row| match argument {
            Calc::Field(attribute) => self.view.value(attribute, row),
            computed => computed.value(&|attribute| self.view.value(attribute, row)),
        };
        let values = rows.iter().map(read).filter(|value| *value != Value::Nil);
        match function {
            AggregateFn::Max => values.max_by(Value::total_order),
            AggregateFn::Min => values.min_by(Value::total_order),
            AggregateFn::Sum => values.reduce(add),
            AggregateFn::Avg => {
                let mut count = 0_i64;
                let sum = values.inspect(|_| count += 1).reduce(add)?;
                Some(match sum {
                    Value::Int(sum) => Value::Float(sum as f64 / count as f64),
                    Value::Float(sum) => Value::Float(sum / count as f64),
                    Value::Duration(sum) => Value::Duration(sum / count),
                    other => other,
                })
            }
        }
    }
}

/// An aggregate of durations; `None` if there are none.
fn durations(
    function: AggregateFn,
    nanos: impl ExactSizeIterator<Item = i64>,
) -> Option<Value<'static>> {
    let count = i64::try_from(nanos.len()).ok().filter(|count| *count > 0)?;
    Some(Value::Duration(match function {
        AggregateFn::Max => nanos.max()?,
        AggregateFn::Min => nanos.min()?,
        AggregateFn::Sum => nanos.fold(0, i64::wrapping_add),
        AggregateFn::Avg => nanos.fold(0, i64::wrapping_add) / count,
    }))
}

/// The type of the first value decides; values of another add nothing (Tempo's rule).
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that `reduce` wants"
)]
fn add<'a>(sum: Value<'a>, value: Value<'a>) -> Value<'a> {
    match (&sum, &value) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_add(*b)),
        (Value::Float(a), Value::Float(b)) => Value::Float(a + b),
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(a.wrapping_add(*b)),
        _ => sum,
    }
}
