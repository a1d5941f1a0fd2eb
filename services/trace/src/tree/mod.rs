//! A trace put in order: parents over children, in the order they started.
//!
//! Whatever arrives becomes a tree in which every span stands exactly once:
//! spans whose parent is absent are tops of their own, loops are cut, spans
//! that share an id stay side by side. The order of arrival changes nothing,
//! and nothing here recurses, so depth is no danger.

mod path;

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::id::SpanId;
use crate::span::Span;
use crate::trace::Trace;

pub use path::Segment;

/// A trace as a tree. Nodes are known by their place in drawing order: a parent
/// directly before its first child, siblings in the order they started.
#[derive(Debug)]
pub struct Tree<'t> {
    nodes: Vec<Node<'t>>,
    by_id: HashMap<SpanId, usize>,
}

/// One span in its place.
#[derive(Debug, Clone)]
pub struct Node<'t> {
    /// The span.
    pub span: &'t Span,
    /// The node above; `None` of a top.
    pub parent: Option<usize>,
    /// Why it stands where it stands.
    pub place: Place,
    /// Nodes between it and its top: 0 of a top.
    pub depth: usize,
    /// Its own time: its duration without the parts of it in which at least one
    /// child ran.
    pub self_nanos: u64,
    /// Whether another span with the same id stands before it in the canonical
    /// order, and so holds the children.
    pub duplicate: bool,
    /// Nodes in its subtree, itself included.
    size: usize,
}

/// Why a node stands where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It has no parent.
    Root,
    /// It stands below its parent.
    Child,
    /// It names a parent that is not in the trace.
    Orphan {
        /// The absent span.
        missing: SpanId,
    },
    /// It is its own ancestor; the loop was cut above it.
    Looped,
}

impl<'t> Tree<'t> {
    /// Puts the spans of `trace` in order, in O(n log n).
    pub fn new(trace: &'t Trace) -> Self {
        let mut spans: Vec<&'t Span> = trace.spans.iter().collect();
        spans.sort_by(|a, b| canonical(a).cmp(&canonical(b)));

        let mut first: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
        for (at, span) in spans.iter().enumerate() {
            first.entry(span.id).or_insert(at);
        }
        let parents: Vec<Option<usize>> = spans
            .iter()
            .map(|span| span.parent.and_then(|id| first.get(&id).copied()))
            .collect();

        let mut builder = Builder {
            children: Children::new(&parents),
            spans: &spans,
            first: &first,
            placed: vec![None; spans.len()],
            nodes: Vec::with_capacity(spans.len()),
        };
        for (at, span) in spans.iter().enumerate() {
            if span.parent.is_none() {
                builder.place(at, Place::Root);
            }
        }
        for (at, span) in spans.iter().enumerate() {
            if let (Some(missing), None) = (span.parent, parents[at]) {
                builder.place(at, Place::Orphan { missing });
            }
        }
        // What is left hangs on a loop, each on exactly one.
        let mut seen_from = vec![usize::MAX; spans.len()];
        for at in 0..spans.len() {
            if builder.placed[at].is_none() {
                builder.place(top_of_loop(at, &parents, &mut seen_from), Place::Looped);
            }
        }

        let placed = builder.placed;
        let mut tree = Self {
            nodes: builder.nodes,
            by_id: first
                .into_iter()
                .map(|(id, at)| (id, placed[at].expect("every span was placed")))
                .collect(),
        };
        tree.measure();
        tree
    }

    /// Every node, in drawing order.
    pub fn nodes(&self) -> &[Node<'t>] {
        &self.nodes
    }

    /// The node of the span with this id; of duplicates, the one that holds the
    /// children.
    pub fn find(&self, id: SpanId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// The nodes directly below `node`, in the order they started.
    ///
    /// # Panics
    /// If `node` is not the number of a node of this tree.
    pub fn children(&self, node: usize) -> impl Iterator<Item = usize> {
        self.siblings(node + 1, node + self.nodes[node].size)
    }

    /// The nodes without a node above: roots, then orphans, then cut loops,
    /// each in the order they started.
    pub fn tops(&self) -> impl Iterator<Item = usize> {
        self.siblings(0, self.nodes.len())
    }

    /// The spans that have no parent.
    pub fn roots(&self) -> impl Iterator<Item = &'t Span> {
        self.tops_that(|place| (place == Place::Root).then_some(()))
            .map(|(span, ())| span)
    }

    /// The spans whose parent is absent, each with that parent's id.
    pub fn orphans(&self) -> impl Iterator<Item = (&'t Span, SpanId)> {
        self.tops_that(|place| match place {
            Place::Orphan { missing } => Some(missing),
            _ => None,
        })
    }

    /// The spans at which a loop of parents was cut, one a loop.
    pub fn looped(&self) -> impl Iterator<Item = &'t Span> {
        self.tops_that(|place| (place == Place::Looped).then_some(()))
            .map(|(span, ())| span)
    }

    /// The spans whose id another span had already.
    pub fn duplicates(&self) -> impl Iterator<Item = &'t Span> {
        self.nodes
            .iter()
            .filter(|node| node.duplicate)
            .map(|node| node.span)
    }

    fn tops_that<T>(
        &self,
        which: impl Fn(Place) -> Option<T>,
    ) -> impl Iterator<Item = (&'t Span, T)> {
        self.tops().filter_map(move |top| {
            let node = &self.nodes[top];
            which(node.place).map(|found| (node.span, found))
        })
    }

    fn siblings(&self, from: usize, to: usize) -> impl Iterator<Item = usize> {
        let inside = move |at: &usize| *at < to;
        std::iter::successors(Some(from).filter(inside), move |at| {
            Some(at + self.nodes[*at].size).filter(inside)
        })
    }

    /// Fills in what a node knows of the nodes below it.
    fn measure(&mut self) {
        // Backwards, so that a subtree is whole before it is counted above.
        for at in (0..self.nodes.len()).rev() {
            if let Some(parent) = self.nodes[at].parent {
                self.nodes[parent].size += self.nodes[at].size;
            }
        }
        for at in 0..self.nodes.len() {
            self.nodes[at].self_nanos = self.self_nanos(at);
        }
    }

    fn self_nanos(&self, node: usize) -> u64 {
        let span = self.nodes[node].span;
        // Children come in the order they started, so one sweep is enough.
        let mut covered_to = span.start_unix_nanos;
        let mut own = 0;
        for child in self.children(node) {
            let child = self.nodes[child].span;
            let start = child.start_unix_nanos.min(span.end_unix_nanos);
            let end = child.end_unix_nanos.min(span.end_unix_nanos);
            own += start.saturating_sub(covered_to);
            covered_to = covered_to.max(start).max(end);
        }
        own + span.end_unix_nanos.saturating_sub(covered_to)
    }
}

/// The order that does not depend on the order of arrival.
fn canonical(span: &Span) -> impl Ord + '_ {
    (
        span.start_unix_nanos,
        Reverse(span.end_unix_nanos),
        span.id,
        span.kind,
        span.name.as_str(),
        span.service(),
        span.parent,
    )
}

/// The first node in canonical order of the loop that the parents of `from`
/// run into. `seen_from` is scratch: what was seen by which walk.
fn top_of_loop(from: usize, parents: &[Option<usize>], seen_from: &mut [usize]) -> usize {
    let up = |at: usize| parents[at].expect("what is below no top has parents without end");
    let mut at = from;
    while seen_from[at] != from {
        seen_from[at] = from;
        at = up(at);
    }
    let entry = at;
    let mut least = entry;
    at = up(entry);
    while at != entry {
        least = least.min(at);
        at = up(at);
    }
    least
}

/// The children of each span, in one allocation: those of `at` stand at
/// `starts[at]..starts[at + 1]`.
struct Children {
    starts: Vec<usize>,
    all: Vec<usize>,
}

impl Children {
    fn new(parents: &[Option<usize>]) -> Self {
        let mut starts = vec![0; parents.len() + 1];
        for parent in parents.iter().flatten() {
            starts[parent + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut all = vec![0; *starts.last().expect("it has at least one entry")];
        for (child, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                all[next[*parent]] = child;
                next[*parent] += 1;
            }
        }
        Self { starts, all }
    }

    fn of(&self, at: usize) -> &[usize] {
        &self.all[self.starts[at]..self.starts[at + 1]]
    }
}

struct Builder<'b, 't> {
    spans: &'b [&'t Span],
    first: &'b HashMap<SpanId, usize>,
    children: Children,
    placed: Vec<Option<usize>>,
    nodes: Vec<Node<'t>>,
}

impl Builder<'_, '_> {
    /// Places a top and all that is below it.
    fn place(&mut self, top: usize, place: Place) {
        let mut waiting = vec![(top, None, place)];
        while let Some((at, parent, place)) = waiting.pop() {
            // Only the top of a loop is met again, from below.
            if self.placed[at].is_some() {
                continue;
            }
            let node = self.nodes.len();
            self.placed[at] = Some(node);
            self.nodes.push(Node {
                span: self.spans[at],
                parent,
                place,
                depth: parent.map_or(0, |parent: usize| self.nodes[parent].depth + 1),
                self_nanos: 0,
                duplicate: self.first[&self.spans[at].id] != at,
                size: 1,
            });
            for child in self.children.of(at).iter().rev() {
                waiting.push((*child, Some(node), Place::Child));
            }
        }
    }
}

#[cfg(test)]
mod tests;
