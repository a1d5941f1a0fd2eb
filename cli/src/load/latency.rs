//! Latencies of one kind of answer: an HDR histogram with three significant
//! digits beside the exact extremes. Used by `sample`, summarised by `report`.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Largest latency told apart: an hour, far above any time-out, so that the
/// histogram's memory (about 270 kB) is bounded from the start.
const HIGHEST_NS: u64 = 3_600_000_000_000;

/// A distribution of latencies in nanoseconds.
#[derive(Debug, Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
    min_ns: u64,
    max_ns: u64,
    sum_ns: u128,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            histogram: Histogram::new_with_bounds(1, HIGHEST_NS, 3)
                .expect("the bounds and digits are constants that hdrhistogram takes"),
            min_ns: u64::MAX,
            max_ns: 0,
            sum_ns: 0,
        }
    }
}

/// One bar of a histogram: answers with `from_ns <= latency < to_ns`, the last
/// one with its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Lower edge.
    pub from_ns: u64,
    /// Upper edge.
    pub to_ns: u64,
    /// Answers in between.
    pub count: u64,
}

impl Latencies {
    /// Records one latency.
    pub fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos())
            .unwrap_or(HIGHEST_NS)
            .clamp(1, HIGHEST_NS);
        self.histogram.saturating_record(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
        self.sum_ns += u128::from(ns);
    }

    /// Adds what another thread recorded; exact.
    pub fn merge(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("both histograms have the same bounds");
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.sum_ns += other.sum_ns;
    }

    /// How many latencies were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The smallest latency, exact; `None` where there are none.
    pub fn min_ns(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.min_ns)
    }

    /// The largest latency, exact; `None` where there are none.
    pub fn max_ns(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.max_ns)
    }

    /// The arithmetic mean, exact; `None` where there are none.
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum_ns as f64 / self.count() as f64)
    }

    /// The latency that a share `quantile` (0 to 1) of all stays within, to
    /// three digits; `None` where there are none.
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        // A bucket's upper end can lie beyond every value in it.
        (self.count() > 0).then(|| {
            self.histogram
                .value_at_quantile(quantile)
                .clamp(self.min_ns, self.max_ns)
        })
    }

    /// At most `bars` bars of equal width on a logarithmic scale, from the
    /// smallest to the largest latency; fewer where a bar would be narrower
    /// than the three digits can tell apart.
    pub fn bars(&self, bars: usize) -> Vec<Bar> {
        let (Some(min), Some(max)) = (self.min_ns(), self.max_ns()) else {
            return Vec::new();
        };
        let spread = (max as f64 / min as f64).ln();
        // 0.2 % a bar: twice the resolution of three digits.
        let fit = (spread / 0.002).ceil();
        let bars = if fit < bars as f64 {
            fit.max(1.0)
        } else {
            bars.max(1) as f64
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between the smallest and the largest latency, or the number of bars"
        )]
        let (count, edge) = (bars as usize, |bar: usize| {
            (min as f64 * (spread * bar as f64 / bars).exp()) as u64
        });
        let mut result: Vec<Bar> = (0..count)
            .map(|bar| Bar {
                from_ns: if bar == 0 { min } else { edge(bar) },
                to_ns: if bar + 1 == count { max } else { edge(bar + 1) },
                count: 0,
            })
            .collect();
        for step in self.histogram.iter_recorded() {
            let value = step.value_iterated_to().clamp(min, max);
            let at = result
                .partition_point(|bar| bar.to_ns <= value)
                .min(count - 1);
            result[at].count += step.count_since_last_iteration();
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(values_us: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        values_us
            .into_iter()
            .for_each(|us| latencies.record(Duration::from_micros(us)));
        latencies
    }

    #[test]
    fn quantiles_keep_three_digits_and_extremes_are_exact() {
        let one_to_ten_thousand = latencies(1..=10_000);
        assert_eq!(one_to_ten_thousand.min_ns(), Some(1_000));
        assert_eq!(one_to_ten_thousand.max_ns(), Some(10_000_000));
        assert_eq!(one_to_ten_thousand.quantile_ns(1.0), Some(10_000_000));
        assert_eq!(one_to_ten_thousand.mean_ns(), Some(5_000_500.0));
        for quantile in [0.5, 0.9, 0.99, 0.999] {
            let got = one_to_ten_thousand.quantile_ns(quantile).unwrap() as f64;
            let want = quantile * 10_000_000.0;
            assert!((got / want - 1.0).abs() < 0.001, "{quantile}: {got}");
        }
    }

    #[test]
    fn a_merge_is_the_same_as_recording_all_in_one() {
        let mut merged = latencies(1..500);
        merged.merge(&latencies(500..=10_000));
        assert_eq!(merged.histogram, latencies(1..=10_000).histogram);
        assert_eq!(merged.mean_ns(), Some(5_000_500.0));
    }

    #[test]
    fn bars_hold_every_answer_once() {
        let bars = latencies(1..=10_000).bars(8);
        assert_eq!(bars.len(), 8);
        assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), 10_000);
        assert!(bars.windows(2).all(|pair| pair[0].to_ns == pair[1].from_ns));
        assert_eq!((bars[0].from_ns, bars[7].to_ns), (1_000, 10_000_000));
    }

    #[test]
    fn without_answers_there_is_nothing_to_say() {
        let none = Latencies::default();
        assert_eq!(none.quantile_ns(0.5), None);
        assert_eq!(none.mean_ns(), None);
        assert!(none.bars(8).is_empty());
        assert_eq!(latencies([5, 5, 5]).bars(8).len(), 1);
    }
}
