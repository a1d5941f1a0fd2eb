//! Log lines about spans that will not arrive: the first at once, then one in a
//! while with what has come together. (Of a passing trouble `exporter::gate` tells.)
//!
//! Called by `worker`, under the service's own log dispatch.

use std::time::{Duration, Instant};

use crate::exporter::Delivery;

/// At most one line of a kind in this time.
pub(crate) const QUIET: Duration = Duration::from_secs(10);

/// A count that is logged at most once in [`QUIET`].
#[derive(Debug, Default)]
struct Tally {
    spans: u64,
    said_at: Option<Instant>,
}

impl Tally {
    /// Adds `spans`; the sum since the last line if it is time for one.
    fn add(&mut self, spans: u64) -> Option<u64> {
        self.spans += spans;
        let quiet = self.said_at.is_some_and(|at| at.elapsed() < QUIET);
        if self.spans == 0 || quiet {
            return None;
        }
        self.said_at = Some(Instant::now());
        Some(std::mem::take(&mut self.spans))
    }
}

/// Speaks for one worker.
#[derive(Debug)]
pub(crate) struct Reporter {
    endpoint: String,
    failed: Tally,
    dropped: Tally,
    /// Drops that were told of, or are in the tally.
    dropped_before: u64,
}

impl Reporter {
    pub(crate) fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            failed: Tally::default(),
            dropped: Tally::default(),
            dropped_before: 0,
        }
    }

    /// A batch of `spans` has come to its end.
    pub(crate) fn delivered(&mut self, spans: u64, delivery: &Delivery) {
        let endpoint = self.endpoint.as_str();
        match delivery {
            Delivery::Accepted => {}
            Delivery::Partial {
                rejected: 0,
                message,
            } => {
                tracing::info!(endpoint, remark = message, "the receiver has a remark");
            }
            Delivery::Partial { rejected, message } => {
                if let Some(spans) = self.failed.add(*rejected) {
                    tracing::warn!(endpoint, spans, reason = message, "spans were rejected");
                }
            }
            Delivery::Refused { why } => {
                if let Some(spans) = self.failed.add(spans) {
                    tracing::warn!(endpoint, spans, reason = why, "spans could not be exported");
                }
            }
        }
    }

    /// `total` spans have been dropped by now.
    pub(crate) fn dropped(&mut self, total: u64) {
        let new = total - self.dropped_before;
        self.dropped_before = total;
        if let Some(spans) = self.dropped.add(new) {
            let endpoint = self.endpoint.as_str();
            tracing::warn!(
                endpoint,
                spans,
                "the span queue was full: spans were dropped"
            );
        }
    }

    /// The worker stops; `abandoned` spans were still waiting.
    pub(crate) fn stopped(&self, abandoned: u64) {
        if abandoned > 0 {
            let endpoint = self.endpoint.as_str();
            tracing::warn!(
                endpoint,
                spans = abandoned,
                "shut down before all spans were exported"
            );
        }
    }
}
