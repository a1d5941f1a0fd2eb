//! The slowest few answers of a run in constant memory, each with its trace.
//! Used by `sample`; the report lists them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tdemo_trace::TraceId;

/// How many are kept.
pub const SLOWEST_KEPT: usize = 10;

/// One slow answer; orders by latency, then by id so that a tie is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slow {
    /// From due to done.
    pub latency_ns: u64,
    /// The trace that tells why.
    pub trace_id: TraceId,
}

/// A heap with the least slow on top, which is the one to go.
#[derive(Debug, Default)]
pub struct Slowest(BinaryHeap<Reverse<Slow>>);

impl Slowest {
    /// Offers one answer. Nearly every answer of a long run ends at the first
    /// comparison.
    pub fn offer(&mut self, slow: Slow) {
        if self.0.len() < SLOWEST_KEPT {
            self.0.push(Reverse(slow));
        } else if let Some(mut least) = self.0.peek_mut()
            && least.0 < slow
        {
            *least = Reverse(slow);
        }
    }

    /// Takes in what another thread kept.
    pub fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|slow| self.offer(slow.0));
    }

    /// The traces of what is kept, in no order.
    pub fn trace_ids(&self) -> impl Iterator<Item = TraceId> {
        self.0.iter().map(|slow| slow.0.trace_id)
    }

    /// What is kept, slowest first.
    pub fn into_sorted(self) -> Vec<Slow> {
        self.0
            .into_sorted_vec()
            .into_iter()
            .map(|Reverse(slow)| slow)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_slowest_of_all_threads_in_order() {
        let slow = |latency_ns| Slow {
            latency_ns,
            trace_id: TraceId([1; 16]),
        };
        let (mut one, mut two) = (Slowest::default(), Slowest::default());
        for latency in 0..1_000 {
            if latency % 3 == 0 { &mut one } else { &mut two }.offer(slow(latency * 7 % 1_000));
        }
        one.merge(two);
        let kept: Vec<u64> = one
            .into_sorted()
            .iter()
            .map(|slow| slow.latency_ns)
            .collect();
        assert_eq!(kept, (990..1_000).rev().collect::<Vec<_>>());
    }
}
