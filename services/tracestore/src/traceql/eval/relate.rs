//! Structural operators between two sets of spans of one chunk. Relations never leave a trace, so
//! the sets may be of one trace or of all. Used by `masks` and `pipeline`.

use super::view::View;
use crate::model::{NO_ROW, Row};
use crate::traceql::ast::{Relation, Selection};

/// Working space for one chunk: marks by row, that go stale all at once when `round` moves on.
pub(super) struct Relate<'v, 'c> {
    view: &'v View<'c>,
    round: u32,
    /// Rows of the left side (or above them).
    marked: Vec<u32>,
    /// Rows found to have a marked ancestor, or none: `round` in the high bits, the answer in the lowest.
    seen: Vec<u32>,
    /// How many rows of the left side belong to each group of siblings, with the round they were
    /// counted in.
    counts: Vec<(u32, u32)>,
    path: Vec<Row>,
}

impl<'v, 'c> Relate<'v, 'c> {
    pub(super) fn new(view: &'v View<'c>) -> Self {
        Relate {
            view,
            round: 0,
            marked: Vec::new(),
            seen: Vec::new(),
            counts: Vec::new(),
            path: Vec::new(),
        }
    }

    /// The spans that `lhs operator rhs` selects.
    pub(super) fn select(
        &mut self,
        relation: Relation,
        selection: Selection,
        lhs: impl Iterator<Item = Row> + Clone,
        rhs: impl Iterator<Item = Row> + Clone,
    ) -> Vec<Row> {
        match selection {
            Selection::Matching => self.matching(relation, lhs, rhs, true),
            Selection::NotMatching => self.matching(relation, lhs, rhs, false),
            Selection::Union => {
                let inverse = match relation {
                    Relation::Child => Relation::Parent,
                    Relation::Parent => Relation::Child,
                    Relation::Descendant => Relation::Ancestor,
                    Relation::Ancestor => Relation::Descendant,
                    Relation::Sibling => Relation::Sibling,
                };
                let mut rows = self.matching(relation, lhs.clone(), rhs.clone(), true);
                rows.extend(self.matching(inverse, rhs, lhs, true));
                rows.sort_unstable();
                rows.dedup();
                rows
            }
        }
    }

    /// Spans of `rhs` that do (or do not) stand in the relation to some span of `lhs`.
    fn matching(
        &mut self,
        relation: Relation,
        lhs: impl Iterator<Item = Row>,
        rhs: impl Iterator<Item = Row>,
        wanted: bool,
    ) -> Vec<Row> {
        self.next_round();
        let view = self.view;
        let (round, parents) = (self.round, view.tree.parents());
        match relation {
            Relation::Child | Relation::Descendant => {
                for row in lhs {
                    self.marked[row as usize] = round;
                }
            }
            Relation::Parent => {
                for row in lhs {
                    if let Some(mark) = self.marked.get_mut(parents[row as usize] as usize) {
                        *mark = round;
                    }
                }
            }
            Relation::Ancestor => {
                for row in lhs {
                    let mut up = parents[row as usize];
                    while up != NO_ROW && self.marked[up as usize] != round {
                        self.marked[up as usize] = round;
                        up = parents[up as usize];
                    }
                }
            }
            Relation::Sibling => {
                let groups = self.marked.len() + view.chunk.traces().len();
                self.counts.resize(groups, (0, 0));
                let orphan = |row: Row| {
                    parents[row as usize] == NO_ROW && view.chunk.parent_ids()[row as usize] != 0
                };
                for row in lhs.filter(|&row| !orphan(row)) {
                    self.marked[row as usize] = round;
                    let group = self.group(row);
                    let (counted, count) = self.counts[group];
                    self.counts[group] = (round, if counted == round { count + 1 } else { 1 });
                }
            }
        }
        // Spans that stand in a relation hang on a root together or not at all: it is enough to ask
        // for one of them, and only where they do.
        let found = |this: &mut Self, row: Row| {
            let marked = |row: Row| row != NO_ROW && this.marked[row as usize] == round;
            match relation {
                Relation::Child => marked(parents[row as usize]) && view.tree.is_rooted(row),
                Relation::Parent | Relation::Ancestor => marked(row) && view.tree.is_rooted(row),
                Relation::Sibling => {
                    let (counted, count) = this.counts[this.group(row)];
                    // A span is not its own sibling.
                    counted == round && count > u32::from(marked(row)) && view.tree.is_rooted(row)
                }
                // First of all: ancestors may run in a circle.
                Relation::Descendant => view.tree.is_rooted(row) && this.below_marked(row, parents),
            }
        };
        rhs.filter(|&row| found(self, row) == wanted).collect()
    }

    /// Where siblings are counted: at their parent; all roots of a trace are siblings, and have a
    /// place behind the last row.
    fn group(&self, row: Row) -> usize {
        match self.view.tree.parents()[row as usize] {
            NO_ROW => self.marked.len() + self.view.chunk.slots()[row as usize] as usize,
            parent => parent as usize,
        }
    }

    /// Whether an ancestor of `row` is marked. Every row is walked over once a round.
    fn below_marked(&mut self, row: Row, parents: &[Row]) -> bool {
        let (yes, no) = (self.round << 1 | 1, self.round << 1);
        let mut here = row;
        let answer = loop {
            let known = self.seen[here as usize];
            if known == yes || known == no {
                break known;
            }
            self.path.push(here);
            match parents[here as usize] {
                NO_ROW => break no,
                parent if self.marked[parent as usize] == self.round => break yes,
                parent => here = parent,
            }
        };
        for walked in self.path.drain(..) {
            self.seen[walked as usize] = answer;
        }
        answer == yes
    }

    fn next_round(&mut self) {
        let rows = self.view.chunk.rows() as usize;
        self.round += 1;
        // Fresh marks for a first use, and before the rounds run out of bits.
        if self.marked.len() != rows || self.round >= 1 << 30 {
            self.round = 1;
            self.marked = vec![0; rows];
            self.seen = vec![0; rows];
            self.counts.clear();
        }
    }
}
