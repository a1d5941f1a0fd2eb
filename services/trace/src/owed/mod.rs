//! What an answer owes: completeness, defined once and used everywhere.
//!
//! Whoever sends a request (the load generator, the harness, the smoke test, a
//! reader's own test) says with [`Answer`] what was asked and what came back,
//! gets [`Owed`], and lets it [`judge`](Owed::judge) what is stored under the
//! trace's id.
//!
//! | answer | owes |
//! |---|---|
//! | flag `00`; `/health` and `/metrics` whatever they say | no span |
//! | 2xx of `GET` or `POST` `/api/process` | exactly the 8 spans of the demo |
//! | 2xx of `POST /api/transform` | exactly the last 5 of them |
//! | 2xx of `GET /api/data` | exactly the last 2 of them |
//! | 2xx of `GET /` | exactly its SERVER span |
//! | any other of the demo (400 to 599, unknown paths) | the SERVER span of the tier that was asked, with that status; no absent parent |
//! | any of a service that is not the demo's | one root and no absent parent |
//!
//! The span of the caller is owed too where the caller exported one, and where
//! it did not, that it is absent is no fault. A request that got no answer owes
//! nothing that could be named: nobody knows how far it came.

mod completeness;
mod demo;

use crate::id::SpanId;
use crate::span::{Span, SpanKind};
use crate::trace::Trace;
use crate::tree::{Place, Tree};

pub use completeness::{Completeness, Flaw, Wanted};
pub use demo::Tier;
pub(crate) use demo::{Step, is_of};

/// What a caller did about a span of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Caller {
    /// It sent no `traceparent`: the service's span is the root.
    #[default]
    Silent,
    /// It sent this `parent-id` and exported no span under it, so that the
    /// service's span has a parent that is rightly absent.
    Unexported(SpanId),
    /// It sent this `parent-id` and exported that span to the same backend.
    Exported(SpanId),
}

impl Caller {
    /// The `parent-id` that it sent.
    pub fn span_id(self) -> Option<SpanId> {
        match self {
            Self::Silent => None,
            Self::Unexported(id) | Self::Exported(id) => Some(id),
        }
    }
}

/// A request to the demo and the answer to it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The tier that was asked; `None` where only an address is known. The
    /// working paths tell their tier, `/` and unknown paths do not.
    pub tier: Option<Tier>,
    /// The request's method.
    pub method: &'a str,
    /// The request's path; a query is ignored.
    pub path: &'a str,
    /// The answer's status code.
    pub status: u16,
    /// The sampled flag that the service worked under: the one in
    /// `traceresponse`, or else the one that was sent.
    pub sampled: bool,
    /// What the caller did about a span of its own.
    pub caller: Caller,
}

/// What must be stored for one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    debt: Debt,
    caller: Caller,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Debt {
    Nothing,
    /// These and no others, each the child of the one before.
    Chain(&'static [Step]),
    /// This SERVER span, whatever else there is.
    Server {
        tier: Option<Tier>,
        name: String,
        status: u16,
    },
    /// One top and no orphans.
    Whole,
}

impl Owed {
    /// What an answer of the demo owes: the table at the top of this module.
    pub fn demo(answer: &Answer<'_>) -> Self {
        let path = answer.path.split('?').next().unwrap_or_default();
        if !answer.sampled || matches!(path, "/health" | "/metrics") {
            return Self::nothing();
        }
        let asked = answer.tier.or_else(|| Tier::of_work_path(path));
        let debt = match demo::steps(asked, answer.method, path) {
            Some(steps) if (200..300).contains(&answer.status) => Debt::Chain(steps),
            _ => Debt::Server {
                tier: asked,
                name: format!("{} {path}", answer.method),
                status: answer.status,
            },
        };
        Self {
            debt,
            caller: answer.caller,
        }
    }

    /// What an answer of a service that is not the demo's owes: one root (or
    /// one child of the caller's span) and no absent parent.
    pub fn foreign(caller: Caller) -> Self {
        Self {
            debt: Debt::Whole,
            caller,
        }
    }

    /// What an unsampled or untraced request owes: no span at all.
    pub fn nothing() -> Self {
        Self {
            debt: Debt::Nothing,
            caller: Caller::Silent,
        }
    }

    /// What the caller did about a span of its own.
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// Whether no span is owed and none may be there.
    pub fn is_nothing(&self) -> bool {
        self.debt == Debt::Nothing
    }

    /// The spans owed one by one, each the child of the one before.
    pub(crate) fn chain(&self) -> Option<&'static [Step]> {
        match self.debt {
            Debt::Chain(steps) => Some(steps),
            _ => None,
        }
    }

    /// How many spans it owes; of a debt that is not exact, at the least.
    pub fn spans_owed(&self) -> usize {
        let spans = match &self.debt {
            Debt::Nothing => 0,
            Debt::Chain(steps) => steps.len(),
            Debt::Server { .. } | Debt::Whole => 1,
        };
        spans + usize::from(matches!(self.caller, Caller::Exported(_)))
    }

    /// The spans that it owes, the first one asked for first.
    pub fn wanted(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        if let Caller::Exported(id) = self.caller {
            wanted.push(Wanted::Caller(id));
        }
        match &self.debt {
            Debt::Nothing => {}
            Debt::Chain(steps) => wanted.extend(steps.iter().map(Step::wanted)),
            Debt::Server { tier, name, status } => wanted.push(Wanted::Span {
                tier: *tier,
                kind: SpanKind::Server,
                name: name.clone().into(),
                status: Some(*status),
            }),
            Debt::Whole => wanted.push(Wanted::Root),
        }
        wanted
    }

    /// Compares what is owed with what is there. Cheap: a few microseconds for
    /// a trace of the demo.
    pub fn judge(&self, trace: &Trace) -> Completeness {
        let mut flaws = Vec::new();
        if let Caller::Exported(id) = self.caller
            && trace.span(id).is_none()
        {
            flaws.push(Flaw::Missing(Wanted::Caller(id)));
        }
        match &self.debt {
            Debt::Nothing => flaws.extend(trace.spans.iter().map(Flaw::extra)),
            Debt::Chain(steps) => self.judge_chain(steps, trace, &mut flaws),
            Debt::Server { tier, status, .. } => {
                if !trace
                    .spans
                    .iter()
                    .any(|span| is_server_of(span, *tier, *status))
                {
                    flaws.extend(self.wanted().pop().map(Flaw::Missing));
                }
            }
            Debt::Whole => {}
        }
        let tree = Tree::new(trace);
        if self.debt == Debt::Whole {
            self.judge_tops(&tree, &mut flaws);
        }
        self.judge_parents(&tree, &mut flaws);
        if flaws.is_empty() {
            Completeness::Complete
        } else {
            Completeness::Incomplete(flaws)
        }
    }

    fn judge_chain(&self, steps: &[Step], trace: &Trace, flaws: &mut Vec<Flaw>) {
        let mut taken: Vec<Option<&Span>> = vec![None; steps.len()];
        for span in &trace.spans {
            let step = steps.iter().position(|step| step.is(span));
            match step {
                Some(step) if taken[step].is_none() => taken[step] = Some(span),
                None if self.caller == Caller::Exported(span.id) => {}
                _ => flaws.push(Flaw::extra(span)),
            }
        }
        let mut above = Some(self.caller.span_id());
        for (step, span) in steps.iter().zip(taken) {
            let Some(span) = span else {
                flaws.push(Flaw::Missing(step.wanted()));
                above = None;
                continue;
            };
            // Below a missing span the parent cannot be known, and that it is
            // absent is said once, by `judge_parents`.
            if let Some(expected) = above
                && expected != span.parent
                && span.parent.is_none_or(|id| trace.span(id).is_some())
            {
                flaws.push(Flaw::Misplaced {
                    span: span.id,
                    label: span.label(),
                    expected,
                    found: span.parent,
                });
            }
            above = Some(Some(span.id));
        }
    }

    fn judge_tops(&self, tree: &Tree<'_>, flaws: &mut Vec<Flaw>) {
        let tops = tree
            .tops()
            .filter(|top| match tree.nodes()[*top].place {
                Place::Root => true,
                Place::Orphan { missing } => self.forgives(missing),
                Place::Child | Place::Looped => false,
            })
            .count();
        match tops {
            0 => flaws.push(Flaw::Missing(Wanted::Root)),
            1 => {}
            count => flaws.push(Flaw::Roots { count }),
        }
    }

    fn judge_parents(&self, tree: &Tree<'_>, flaws: &mut Vec<Flaw>) {
        for (span, missing) in tree.orphans() {
            if !self.forgives(missing) {
                flaws.push(Flaw::AbsentParent {
                    span: span.id,
                    label: span.label(),
                    parent: missing,
                });
            }
        }
        flaws.extend(tree.looped().map(|span| Flaw::Looped {
            span: span.id,
            label: span.label(),
        }));
    }

    /// Whether that this parent is absent is as it should be.
    fn forgives(&self, missing: SpanId) -> bool {
        self.caller == Caller::Unexported(missing)
    }
}

fn is_server_of(span: &Span, tier: Option<Tier>, status: u16) -> bool {
    span.kind == SpanKind::Server
        && is_of(span, tier)
        && span.attributes.get_int("http.response.status_code") == Some(status.into())
}

#[cfg(test)]
mod tests;
