//! A query made ready to run: constants folded, patterns compiled, labels written. Independent of
//! any data; made once per search and then run on every chunk.

use super::condition::{self, Condition, Group};
use super::fold::fold;
use super::value::Value;
use crate::re2::Pattern;
use crate::traceql::ast::{
    Aggregate, AggregateFn, Attribute, BinaryOp, Expr, Literal, Pipeline, Query, SpansetExpr,
    SpansetOp, Stage, UnaryOp,
};

/// A search query, ready to run.
#[derive(Debug)]
pub struct Plan {
    pub(super) stages: Vec<PlanStage>,
    /// Every `{ … }` of the query; stages refer to them by index.
    pub(super) filters: Vec<Predicate>,
    /// The spans that take part before the first stage, when that does not select any itself.
    pub(super) initial: Option<Predicate>,
    /// What decides which attributes the answer shows.
    pub(super) conditions: Vec<Condition>,
    /// What `select(…)` adds to them.
    pub(super) selected: Vec<Attribute>,
    /// Whether the newest traces are asked for rather than any.
    pub most_recent: bool,
}

/// One stage of a pipeline.
#[derive(Debug)]
pub(super) enum PlanStage {
    Spanset(Selector),
    Aggregate {
        label: String,
        function: Option<AggregateFn>,
        argument: Calc,
        op: BinaryOp,
        value: Value<'static>,
    },
    By {
        label: String,
        key: Calc,
    },
    Coalesce,
}

/// A spanset expression.
#[derive(Debug)]
pub(super) enum Selector {
    Filter(usize),
    Join {
        op: SpansetOp,
        lhs: Box<Selector>,
        rhs: Box<Selector>,
    },
    Pipeline(Vec<PlanStage>),
}

impl Selector {
    /// Whether it joins filters only.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Selector::Filter(_) => true,
            Selector::Pipeline(_) => false,
            Selector::Join { lhs, rhs, .. } => lhs.is_plain() && rhs.is_plain(),
        }
    }
}

/// What a `{ … }` asks of a span.
#[derive(Debug)]
pub(super) enum Predicate {
    Const(bool),
    Test(Condition),
    /// One event (or link) that passes all tests.
    Together(Group, Vec<Condition>),
    Not(Box<Predicate>),
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    /// Anything else: computed, and true or not.
    Calc(Calc),
}

/// An expression with its patterns compiled.
#[derive(Debug)]
pub(super) enum Calc {
    Const(Value<'static>),
    Field(Attribute),
    Unary(UnaryOp, Box<Calc>),
    Exists(Box<Calc>, bool),
    Binary {
        op: BinaryOp,
        lhs: Box<Calc>,
        rhs: Box<Calc>,
        pattern: Option<Pattern>,
    },
}

impl Plan {
    /// Makes a checked query ready.
    pub fn new(query: &Query) -> Self {
        let mut plan = Plan {
            stages: Vec::new(),
            filters: Vec::new(),
            initial: None,
            conditions: Vec::new(),
            selected: Vec::new(),
            most_recent: query.most_recent(),
        };
        let together = tests_one_event_together(&query.pipeline);
        plan.stages = plan.pipeline(&query.pipeline, together);
        if !matches!(query.pipeline.stages[0], Stage::Spanset(_)) {
            plan.initial = Some(plan.any_condition());
        }
        plan
    }

    /// Whether nothing can ever match (`{ false }`).
    pub fn is_never(&self) -> bool {
        matches!(self.stages.first(), Some(PlanStage::Spanset(Selector::Filter(filter)))
            if matches!(self.filters[*filter], Predicate::Const(false)))
    }

    fn pipeline(&mut self, pipeline: &Pipeline, together: bool) -> Vec<PlanStage> {
        pipeline
            .stages
            .iter()
            .filter_map(|stage| self.stage(stage, together))
            .collect()
    }

    /// `None` for `select(…)`, which changes no spanset.
    fn stage(&mut self, stage: &Stage, together: bool) -> Option<PlanStage> {
        Some(match stage {
            Stage::Spanset(expr) => PlanStage::Spanset(self.selector(expr, together)),
            Stage::Aggregate(filter) => {
                let (function, argument, label) = match &filter.aggregate {
                    Aggregate::Count => (None, Calc::Const(Value::Nil), "count()".to_owned()),
                    Aggregate::Of(function, argument, _) => {
                        let argument = self.folded(argument);
                        (
                            Some(*function),
                            Calc::new(&argument),
                            format!("{function}({argument})"),
                        )
                    }
                };
                let value = Value::literal(filter.value.clone());
                PlanStage::Aggregate {
                    label,
                    function,
                    argument,
                    op: filter.op,
                    value,
                }
            }
            Stage::By(key, _) => {
                let key = self.folded(key);
                PlanStage::By {
                    label: format!("by({key})"),
                    key: Calc::new(&key),
                }
            }
            Stage::Coalesce => PlanStage::Coalesce,
            Stage::Select(attributes) => {
                self.selected.extend(attributes.iter().cloned());
                return None;
            }
        })
    }

    fn selector(&mut self, expr: &SpansetExpr, together: bool) -> Selector {
        match expr {
            SpansetExpr::Filter(filter, _) => {
                let filter = self.folded(filter);
                let together = together && condition::all_must_hold(&filter);
                self.filters.push(Predicate::new(&filter).group(together));
                Selector::Filter(self.filters.len() - 1)
            }
            SpansetExpr::Join { op, lhs, rhs } => {
                let lhs = Box::new(self.selector(lhs, false));
                Selector::Join {
                    op: *op,
                    lhs,
                    rhs: Box::new(self.selector(rhs, false)),
                }
            }
            SpansetExpr::Pipeline(pipeline) => Selector::Pipeline(self.pipeline(pipeline, false)),
        }
    }

    fn folded(&mut self, expr: &Expr) -> Expr {
        let folded = fold(expr.clone());
        condition::collect(&folded, &mut self.conditions);
        folded
    }

    /// Tempo lets a span take part if any of the query's conditions holds of it.
    fn any_condition(&self) -> Predicate {
        if self.conditions.is_empty() || self.conditions.iter().any(Condition::always) {
            return Predicate::Const(true);
        }
        Predicate::Or(
            self.conditions
                .iter()
                .cloned()
                .map(Predicate::Test)
                .collect(),
        )
    }
}

/// Whether conditions on events mean one and the same event: only where the query is a single
/// filter, as far as conditions go (Tempo's rule).
fn tests_one_event_together(pipeline: &Pipeline) -> bool {
    pipeline.stages.iter().all(|stage| match stage {
        Stage::Spanset(SpansetExpr::Filter(..)) | Stage::Select(_) | Stage::Coalesce => true,
        Stage::Spanset(_) | Stage::Aggregate(_) | Stage::By(..) => false,
    })
}

impl Predicate {
    /// The predicate that a folded boolean expression is.
    fn new(expr: &Expr) -> Self {
        if let Some(condition) = condition::single(expr) {
            return Predicate::Test(condition);
        }
        match expr {
            Expr::Literal(literal) => Predicate::Const(*literal == Literal::Bool(true)),
            Expr::Unary {
                op: UnaryOp::Not,
                operand,
                ..
            } => match &**operand {
                Expr::Attribute(attribute) => Predicate::Test(Condition::compare(
                    attribute,
                    BinaryOp::Eq,
                    &Literal::Bool(false),
                )),
                Expr::Nil { .. }
                | Expr::Binary { .. }
                | Expr::Unary {
                    op: UnaryOp::Not, ..
                } => Predicate::Not(Box::new(Predicate::new(operand))),
                _ => Predicate::Calc(Calc::new(expr)),
            },
            Expr::Binary {
                op: op @ (BinaryOp::And | BinaryOp::Or),
                lhs,
                rhs,
                ..
            } => {
                let mut parts = Vec::new();
                for side in [lhs, rhs] {
                    match (Predicate::new(side), op) {
                        (Predicate::And(inner), BinaryOp::And)
                        | (Predicate::Or(inner), BinaryOp::Or) => {
                            parts.extend(inner);
                        }
                        (other, _) => parts.push(other),
                    }
                }
                if *op == BinaryOp::And {
                    Predicate::And(parts)
                } else {
                    Predicate::Or(parts)
                }
            }
            _ => Predicate::Calc(Calc::new(expr)),
        }
    }

    /// Joins the event tests, and the link tests, of a conjunction if they must hold `together`.
    fn group(self, together: bool) -> Self {
        let Predicate::And(parts) = self else {
            return self;
        };
        if !together {
            return Predicate::And(parts);
        }
        let (mut events, mut links, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            match part {
                Predicate::Test(condition) => match condition.group() {
                    Some(Group::Events) => events.push(condition),
                    Some(Group::Links) => links.push(condition),
                    None => rest.push(Predicate::Test(condition)),
                },
                other => rest.push(other),
            }
        }
        for (group, conditions) in [(Group::Events, events), (Group::Links, links)] {
            if !conditions.is_empty() {
                rest.push(Predicate::Together(group, conditions));
            }
        }
        Predicate::And(rest)
    }
}

impl Calc {
    fn new(expr: &Expr) -> Self {
        match expr {
            Expr::Literal(literal) => Calc::Const(Value::literal(literal.clone())),
            Expr::Attribute(attribute) => Calc::Field(attribute.clone()),
            Expr::Unary { op, operand, .. } => Calc::Unary(*op, Box::new(Calc::new(operand))),
            Expr::Nil {
                operand, exists, ..
            } => Calc::Exists(Box::new(Calc::new(operand)), *exists),
            Expr::Binary { op, lhs, rhs, .. } => {
                let pattern = match (op, &**rhs) {
                    (BinaryOp::Regex | BinaryOp::NotRegex, Expr::Literal(Literal::Str(text))) => {
                        Pattern::new(text).ok()
                    }
                    _ => None,
                };
                Calc::Binary {
                    op: *op,
                    lhs: Box::new(Calc::new(lhs)),
                    rhs: Box::new(Calc::new(rhs)),
                    pattern,
                }
            }
        }
    }

    /// The expression's value, given each attribute's.
    pub(super) fn value<'c>(&self, read: &dyn Fn(&Attribute) -> Value<'c>) -> Value<'c> {
        match self {
            Calc::Const(value) => value.clone(),
            Calc::Field(attribute) => read(attribute),
            Calc::Unary(op, operand) => operand.value(read).unary(*op),
            Calc::Exists(operand, exists) => {
                Value::Bool((operand.value(read) != Value::Nil) == *exists)
            }
            Calc::Binary {
                op,
                lhs,
                rhs,
                pattern,
            } => lhs
                .value(read)
                .binary(*op, &rhs.value(read), pattern.as_ref()),
        }
    }

    /// Calls `see` with every attribute that is read.
    pub(super) fn attributes(&self, see: &mut dyn FnMut(&Attribute)) {
        match self {
            Calc::Const(_) => {}
            Calc::Field(attribute) => see(attribute),
            Calc::Unary(_, operand) | Calc::Exists(operand, _) => operand.attributes(see),
            Calc::Binary { lhs, rhs, .. } => {
                lhs.attributes(see);
                rhs.attributes(see);
            }
        }
    }
}
