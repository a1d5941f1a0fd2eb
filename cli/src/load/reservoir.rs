//! A sample of a stream in constant memory, and the exact merge of several.
//! Used by `sample` to keep trace ids for the audit.

use serde::Serialize;

/// What is kept of a stream that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Each item with the same chance (algorithm R, Vitter 1985, "Random
    /// Sampling with a Reservoir").
    Uniform,
    /// The last ones: for a backend that itself forgets the oldest.
    Latest,
}

/// Keeps everything up to its capacity, then what [`Keep`] says.
#[derive(Debug)]
pub struct Reservoir<T> {
    keep: Keep,
    kept: Vec<T>,
    seen: u64,
    capacity: usize,
    random: fastrand::Rng,
}

impl<T> Reservoir<T> {
    /// An empty reservoir for at most `capacity` items, drawn with `seed`.
    pub fn new(keep: Keep, capacity: usize, seed: u64) -> Self {
        Self {
            keep,
            kept: Vec::new(),
            seen: 0,
            capacity,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Offers one item.
    pub fn offer(&mut self, item: T) {
        if self.kept.len() < self.capacity {
            self.kept.push(item);
        } else {
            let at = match self.keep {
                Keep::Uniform => self.random.u64(..=self.seen),
                Keep::Latest => self.seen % self.capacity as u64,
            };
            if let Some(place) = usize::try_from(at)
                .ok()
                .and_then(|at| self.kept.get_mut(at))
            {
                *place = item;
            }
        }
        self.seen += 1;
    }

    /// What is kept of a stream that did not fit; `None` where all of it is.
    pub fn sampled(&self) -> Option<Keep> {
        (self.kept.len() as u64 != self.seen).then_some(self.keep)
    }

    /// How many items were offered, kept or not.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// What is kept.
    pub fn items(&self) -> &[T] {
        &self.kept
    }

    /// Joins two reservoirs over different streams. Of the latest, all stay. A
    /// uniform sample stays uniform over both: how many come from each is drawn
    /// without replacement, weighted by what each has seen, and then so many are
    /// drawn from what it kept.
    pub fn merge(&mut self, mut other: Self) {
        let total = self.seen + other.seen;
        let fits = self.kept.len() + other.kept.len() <= self.capacity
            && self.sampled().is_none()
            && other.sampled().is_none();
        if fits || self.keep == Keep::Latest {
            self.kept.append(&mut other.kept);
        } else {
            let (mut mine, mut theirs) = (self.seen, other.seen);
            let (mut from_mine, mut from_theirs) = (0, 0);
            let room = self
                .capacity
                .min(usize::try_from(total).unwrap_or(usize::MAX));
            for _ in 0..room {
                if self.random.u64(..mine + theirs) < mine {
                    mine -= 1;
                    from_mine += 1;
                } else {
                    theirs -= 1;
                    from_theirs += 1;
                }
            }
            self.random.shuffle(&mut self.kept);
            self.random.shuffle(&mut other.kept);
            self.kept.truncate(from_mine);
            other.kept.truncate(from_theirs);
            self.kept.append(&mut other.kept);
        }
        self.seen = total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(range: std::ops::Range<u64>, capacity: usize, seed: u64) -> Reservoir<u64> {
        let mut reservoir = Reservoir::new(Keep::Uniform, capacity, seed);
        range.for_each(|item| reservoir.offer(item));
        reservoir
    }

    #[test]
    fn keeps_everything_while_it_fits() {
        let mut all = filled(0..60, 100, 1);
        all.merge(filled(60..100, 100, 2));
        assert_eq!(all.items(), (0..100).collect::<Vec<_>>());
        assert_eq!((all.seen(), all.sampled()), (100, None));
    }

    #[test]
    fn keeps_the_latest_where_that_is_asked_for() {
        let latest = |range: std::ops::Range<u64>| {
            let mut reservoir = Reservoir::new(Keep::Latest, 10, 1);
            range.for_each(|item| reservoir.offer(item));
            reservoir
        };
        let mut both = latest(0..1_007);
        both.merge(latest(2_000..2_025));
        let mut items = both.items().to_vec();
        items.sort_unstable();
        let expected: Vec<u64> = (997..1_007).chain(2_015..2_025).collect();
        assert_eq!((items, both.seen()), (expected, 1_032));
        assert_eq!(both.sampled(), Some(Keep::Latest));
    }

    #[test]
    fn never_keeps_more_than_its_capacity_nor_an_item_twice() {
        let mut both = filled(0..1_000, 100, 3);
        both.merge(filled(1_000..1_010, 100, 4));
        let mut items = both.items().to_vec();
        items.sort_unstable();
        items.dedup();
        assert_eq!((items.len(), both.seen()), (100, 1_010));
    }

    /// Streams of very different length must weigh by their length: over many
    /// seeds each of 4,000 items has the same chance, so the kept items' mean
    /// is the stream's mean.
    #[test]
    fn a_merge_is_uniform_over_both_streams() {
        let (mut sum, mut count, mut from_short) = (0, 0, 0);
        for seed in 0..200 {
            let mut both = filled(0..3_600, 100, seed);
            both.merge(filled(3_600..4_000, 100, seed + 1_000));
            sum += both.items().iter().sum::<u64>();
            count += both.items().len() as u64;
            from_short += both.items().iter().filter(|item| **item >= 3_600).count();
        }
        assert_eq!(count, 20_000);
        // Standard errors: the mean 1155/√20000 ≈ 8.2, the share 0.21 %.
        let mean = sum as f64 / count as f64;
        assert!((mean - 1_999.5).abs() < 50.0, "mean {mean}");
        let share = from_short as f64 / count as f64;
        assert!((share - 0.1).abs() < 0.013, "share {share}");
    }
}
