//! What a rule looks at: the trace, what was asked, and what follows from both.

use std::time::Duration;

use crate::id::{SpanId, TraceId};
use crate::owed::{Answer, Caller, Owed, Step, Tier};
use crate::span::{Span, SpanKind, StatusCode};
use crate::trace::Trace;
use crate::tree::Tree;

/// How far times may contradict each other before a rule speaks: clocks of one
/// machine are adjusted now and then, clocks of two are never equal.
pub const TOLERANCE: Duration = Duration::from_millis(5);

/// What is known of the request that a trace came from.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// Whose service was asked, and what is known of its answer.
    pub request: Request<'a>,
    /// The ids in the answer's `traceresponse`, where it had one.
    pub response: Option<TraceResponse>,
    /// The flags of the `traceparent` that was sent, where one was.
    pub flags: Option<u8>,
    /// The `tracestate` that was sent, where one was.
    pub tracestate: Option<&'a str>,
    /// The faults that were asked for: a tier, and the value that
    /// `demo.fault.injected` must have on its SERVER span.
    pub faults: &'a [(Tier, &'a str)],
    /// See [`TOLERANCE`], which is the default.
    pub tolerance: Duration,
}

/// Whose service was asked.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// The demo's: its traces are known in every detail.
    Demo(Answer<'a>),
    /// Any other's.
    Foreign(Caller),
}

/// The ids that a service gave for its own work in `traceresponse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceResponse {
    /// The trace.
    pub trace_id: TraceId,
    /// The service's SERVER span.
    pub span_id: SpanId,
}

impl<'a> Asked<'a> {
    /// A request to the demo, of which nothing more is known than the answer.
    pub fn demo(answer: Answer<'a>) -> Self {
        Self::new(Request::Demo(answer))
    }

    /// A request to any other service.
    pub fn foreign(caller: Caller) -> Self {
        Self::new(Request::Foreign(caller))
    }

    fn new(request: Request<'a>) -> Self {
        Self {
            request,
            response: None,
            flags: None,
            tracestate: None,
            faults: &[],
            tolerance: TOLERANCE,
        }
    }

    /// What must be stored for it.
    pub fn owed(&self) -> Owed {
        match &self.request {
            Request::Demo(answer) => Owed::demo(answer),
            Request::Foreign(caller) => Owed::foreign(*caller),
        }
    }
}

/// A trace with all that the rules need to know of it, worked out once.
pub(super) struct Subject<'s> {
    pub(super) trace: &'s Trace,
    pub(super) tree: Tree<'s>,
    pub(super) asked: &'s Asked<'s>,
    pub(super) owed: Owed,
    /// The spans of the services: all but the caller's own.
    pub(super) spans: Vec<&'s Span>,
    /// Which span stands for which of the owed steps.
    pub(super) cast: Cast<'s>,
    /// By node: whether it or a node above it failed.
    failed: Vec<bool>,
}

/// The spans of a trace in the parts that the demo's request has for them.
#[derive(Default)]
pub(super) struct Cast<'s> {
    /// The steps that are owed one by one; empty where only the whole is owed.
    pub(super) steps: &'static [Step],
    /// The span in each part. One that is right in two of service, kind and
    /// name has the part too, and the third is then what is wrong with it.
    pub(super) parts: Vec<Option<&'s Span>>,
    /// Spans without a part, duplicates by id left out.
    pub(super) extra: Vec<&'s Span>,
}

impl<'s> Subject<'s> {
    pub(super) fn new(trace: &'s Trace, asked: &'s Asked<'s>) -> Self {
        let owed = asked.owed();
        let tree = Tree::new(trace);
        let own = match owed.caller() {
            Caller::Exported(id) => Some(id),
            Caller::Silent | Caller::Unexported(_) => None,
        };
        // A node stands behind the one above it.
        let mut failed: Vec<bool> = Vec::with_capacity(trace.spans.len());
        for node in tree.nodes() {
            let above = node.parent.is_some_and(|parent| failed[parent]);
            failed.push(above || node.span.status.code == StatusCode::Error);
        }
        let mut spans = Vec::with_capacity(trace.spans.len());
        let mut once = Vec::with_capacity(trace.spans.len());
        for node in tree.nodes() {
            if own != Some(node.span.id) {
                spans.push(node.span);
                if !node.duplicate {
                    once.push(node.span);
                }
            }
        }
        let cast = owed
            .chain()
            .map_or_else(Cast::default, |steps| Cast::new(steps, once));
        Self {
            trace,
            tree,
            asked,
            owed,
            spans,
            cast,
            failed,
        }
    }

    /// The answer, where it is the demo's and sampled: its traces are known in
    /// every detail.
    pub(super) fn demo(&self) -> Option<&Answer<'s>> {
        match &self.asked.request {
            Request::Demo(answer) if !self.owed.is_nothing() => Some(answer),
            _ => None,
        }
    }

    pub(super) fn caller(&self) -> Caller {
        self.owed.caller()
    }

    pub(super) fn tolerance_nanos(&self) -> u64 {
        u64::try_from(self.asked.tolerance.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The SERVER span that took the caller's request: of the tier that was
    /// asked, and below no other span of a service.
    pub(super) fn entry(&self) -> Option<&'s Span> {
        if let Some(entry) = self.cast.parts.first() {
            return *entry;
        }
        self.spans.iter().copied().find(|span| {
            span.kind == SpanKind::Server
                && span.parent.is_none_or(|parent| {
                    self.caller().span_id() == Some(parent) || self.tree.find(parent).is_none()
                })
        })
    }

    /// Whether a span may have seen no answer: it failed, or a span above it
    /// did, as when a caller goes away and the work below is dropped.
    pub(super) fn is_cut_short(&self, span: &Span) -> bool {
        self.tree
            .find(span.id)
            .is_some_and(|node| self.failed[node])
    }

    /// The spans directly below `span`.
    pub(super) fn below(&self, span: &Span) -> impl Iterator<Item = &'s Span> {
        let children = self.tree.find(span.id).map(|node| self.tree.children(node));
        children
            .into_iter()
            .flatten()
            .map(|node| self.tree.nodes()[node].span)
    }

    /// Every span with the span above it, where that is in the trace.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'s Span, &'s Span)> {
        let nodes = self.tree.nodes();
        nodes
            .iter()
            .filter_map(move |node| Some((nodes[node.parent?].span, node.span)))
    }
}

impl<'s> Cast<'s> {
    fn new(steps: &'static [Step], spans: Vec<&'s Span>) -> Self {
        let mut parts: Vec<Option<&Span>> = vec![None; steps.len()];
        let mut left = spans;
        left.retain(|span| {
            let part = steps.iter().position(|step| step.is(span));
            match part {
                Some(part) if parts[part].is_none() => {
                    parts[part] = Some(span);
                    false
                }
                _ => true,
            }
        });
        for (part, step) in parts.iter_mut().zip(steps) {
            if part.is_none()
                && let Some(at) = left.iter().position(|span| step.likeness(span) == 2)
            {
                *part = Some(left.remove(at));
            }
        }
        Self {
            steps,
            parts,
            extra: left,
        }
    }

    /// Every step with the span in its part.
    pub(super) fn played(&self) -> impl Iterator<Item = (&'static Step, &'s Span)> {
        let steps: &'static [Step] = self.steps;
        steps
            .iter()
            .zip(&self.parts)
            .filter_map(|(step, part)| Some((step, (*part)?)))
    }
}
