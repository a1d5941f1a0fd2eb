//! The critical path: which span the answer was waiting for, at each moment.

use super::Tree;

/// A stretch of time in which the trace waited for this very span, and for
/// none of its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The node of the span.
    pub node: usize,
    /// Start, in nanoseconds since the Unix epoch.
    pub start_unix_nanos: u64,
    /// End, in nanoseconds since the Unix epoch.
    pub end_unix_nanos: u64,
}

impl Segment {
    /// How long it is.
    pub fn nanos(&self) -> u64 {
        self.end_unix_nanos - self.start_unix_nanos
    }
}

/// A span whose time is being divided up, from its end backwards.
struct Frame {
    node: usize,
    /// Where the time to divide starts.
    low: u64,
    /// Where it ended at first.
    high: u64,
    /// What is not divided up yet ends here.
    cursor: u64,
    /// Its children, the one that ended last on top.
    children: Vec<usize>,
}

impl Tree<'_> {
    /// The critical path of the first top: its time without gap or overlap, in
    /// order, each stretch with the span that was waited for. Found backwards:
    /// at its end a span waited for the child that ended last, before that
    /// child's start for the one that had ended last by then, and so on; what
    /// is left is its own. Children that ran beside a chosen one are not on it,
    /// and what a child did after its parent's end does not count.
    pub fn critical_path(&self) -> Vec<Segment> {
        self.tops()
            .next()
            .map_or_else(Vec::new, |top| self.critical_path_of(top))
    }

    /// The critical path of the subtree at `top`, in O(n log n).
    ///
    /// # Panics
    /// If `top` is not the number of a node of this tree.
    pub fn critical_path_of(&self, top: usize) -> Vec<Segment> {
        let span = self.nodes[top].span;
        let mut backwards = Vec::new();
        let mut stack = vec![self.frame(top, span.start_unix_nanos, span.end_unix_nanos)];
        while let Some(frame) = stack.last_mut() {
            let mut own = |from: u64, to: u64| {
                if from < to {
                    backwards.push(Segment {
                        node: frame.node,
                        start_unix_nanos: from,
                        end_unix_nanos: to,
                    });
                }
            };
            let Some(child) = frame.children.pop() else {
                own(frame.low, frame.cursor);
                stack.pop();
                continue;
            };
            let span = self.nodes[child].span;
            let start = span.start_unix_nanos.max(frame.low);
            let end = span.end_unix_nanos.min(frame.high);
            // It ran beside the one chosen before it, or took no time in here.
            if end > frame.cursor || start >= end {
                continue;
            }
            own(end, frame.cursor);
            frame.cursor = start;
            let below = self.frame(child, start, end);
            stack.push(below);
        }
        backwards.reverse();
        backwards
    }

    fn frame(&self, node: usize, low: u64, high: u64) -> Frame {
        let mut children: Vec<usize> = self.children(node).collect();
        // Of several that end together the one that started first is on top: it
        // explains the most. Children come in the order they started.
        children.reverse();
        children.sort_by_key(|child| self.nodes[*child].span.end_unix_nanos.min(high));
        Frame {
            node,
            low,
            high,
            cursor: high,
            children,
        }
    }
}
