//! The traces of a chunk as trees: who hangs on a root, and the nested sets that TraceQL can ask for.
//! Used by `view` and `relate`.
//!
//! A span takes part in structural relations only if its ancestors lead to a span without parent id:
//! a trace whose root is missing has no structure (Tempo's rule).

use std::cell::{OnceCell, RefCell};

use crate::model::{Chunk, NO_ROW, Row, Slot};

/// A span's place in the tree of its trace; zeros if it does not hang on a root.
///
/// `left` and `right` number the way into and out of every span of a trace, children in order of
/// their start; `parent` is the parent's `left`, and -1 for a root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Nested {
    pub(super) left: i32,
    pub(super) right: i32,
    pub(super) parent: i32,
    /// How many spans name this one as their parent.
    pub(super) children: u32,
}

pub(super) struct Tree<'c> {
    chunk: &'c Chunk,
    /// What is known of each row; empty before anybody asks.
    rooted: RefCell<Vec<State>>,
    nested: OnceCell<Vec<Nested>>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Unknown,
    /// On the way up from the row at hand: met again, it is a circle.
    Walked,
    Known(bool),
}

impl<'c> Tree<'c> {
    pub(super) fn new(chunk: &'c Chunk) -> Self {
        Tree {
            chunk,
            rooted: RefCell::default(),
            nested: OnceCell::new(),
        }
    }

    /// Each row's parent, or [`NO_ROW`].
    pub(super) fn parents(&self) -> &'c [Row] {
        self.chunk.parents()
    }

    /// Whether a row hangs on a root. No row is walked over twice.
    pub(super) fn is_rooted(&self, row: Row) -> bool {
        let mut states = self.rooted.borrow_mut();
        states.resize(self.chunk.rows() as usize, State::Unknown);
        let (parents, parent_ids) = (self.chunk.parents(), self.chunk.parent_ids());
        let mut here = row as usize;
        let rooted = loop {
            match states[here] {
                State::Known(rooted) => break rooted,
                State::Walked => break false,
                State::Unknown => states[here] = State::Walked,
            }
            match parents[here] {
                NO_ROW => break parent_ids[here] == 0,
                parent => here = parent as usize,
            }
        };
        // The same way again: all of it shares the answer.
        let mut here = row as usize;
        while states[here] == State::Walked {
            states[here] = State::Known(rooted);
            match parents[here] {
                NO_ROW => break,
                parent => here = parent as usize,
            }
        }
        rooted
    }

    /// A row's place in its tree.
    pub(super) fn nested(&self, row: Row) -> Nested {
        self.nested.get_or_init(|| number(self.chunk))[row as usize]
    }
}

/// Numbers every live trace of the chunk.
fn number(chunk: &Chunk) -> Vec<Nested> {
    let mut nested = vec![Nested::default(); chunk.rows() as usize];
    for slot in chunk.live_slots() {
        number_trace(chunk, slot, &mut nested);
    }
    nested
}

fn number_trace(chunk: &Chunk, slot: Slot, nested: &mut [Nested]) {
    let parents = chunk.parents();
    let mut rows: Vec<Row> = chunk.trace_rows(slot).collect();
    rows.sort_by_key(|&row| {
        (
            chunk.starts_ns()[row as usize],
            chunk.span_ids()[row as usize],
        )
    });
    if !rows
        .iter()
        .any(|&row| chunk.parent_ids()[row as usize] == 0)
    {
        return;
    }
    // Children by parent, in order of their start.
    let mut edges: Vec<(Row, Row)> = Vec::with_capacity(rows.len());
    let mut roots = Vec::new();
    for &row in &rows {
        match parents[row as usize] {
            NO_ROW if chunk.parent_ids()[row as usize] == 0 => roots.push(row),
            NO_ROW => {}
            parent => {
                edges.push((parent, row));
                nested[parent as usize].children += 1;
            }
        }
    }
    edges.sort_by_key(|&(parent, _)| parent);
    let first_child = |row: Row| edges.partition_point(|&(parent, _)| parent < row);

    let mut bound = 1;
    // The way down: each row, and where its next child stands among the edges.
    let mut path: Vec<(Row, usize)> = Vec::new();
    for root in roots {
        nested[root as usize].parent = -1;
        path.push((root, first_child(root)));
        nested[root as usize].left = bound;
        bound += 1;
        while let Some((row, next)) = path.last_mut() {
            if let Some(&(parent, child)) = edges.get(*next).filter(|(parent, _)| parent == row) {
                *next += 1;
                nested[child as usize].parent = nested[parent as usize].left;
                nested[child as usize].left = bound;
                path.push((child, first_child(child)));
            } else {
                nested[*row as usize].right = bound;
                path.pop();
            }
            bound += 1;
        }
    }
}
