//! Log lines about telemetry that does not arrive: the first at once, then one
//! in a while with what has come together.
//!
//! Called by `worker` and `exporter`, under the service's own log dispatch.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::exporter::Delivery;

/// At most one line of a kind in this time.
const QUIET: Duration = Duration::from_secs(10);

/// A count that is logged at most once in [`QUIET`].
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    said_at: Option<Instant>,
}

impl Tally {
    /// Adds `count`; the sum since the last line if it is time for one.
    fn add(&mut self, count: u64) -> Option<u64> {
        self.count += count;
        let quiet = self.said_at.is_some_and(|at| at.elapsed() < QUIET);
        if self.count == 0 || quiet {
            return None;
        }
        self.said_at = Some(Instant::now());
        Some(mem::take(&mut self.count))
    }
}

/// Tells of the beginning and the end of a time in which nothing arrives.
#[derive(Debug)]
pub(crate) struct Trouble {
    endpoint: String,
    /// What it is that does not arrive.
    what: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The log was told of a trouble, and not yet of its end.
    told: bool,
    told_at: Option<Instant>,
}

impl Trouble {
    pub(crate) fn new(endpoint: String, what: &'static str) -> Self {
        let state = Mutex::default();
        Self {
            endpoint,
            what,
            state,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt has failed, and another will be made.
    pub(crate) fn passing(&self, reason: Option<&str>) {
        {
            let mut state = self.state();
            if state.told || state.told_at.is_some_and(|at| at.elapsed() < QUIET) {
                return;
            }
            state.told = true;
            state.told_at = Some(Instant::now());
        }
        let (endpoint, what) = (self.endpoint.as_str(), self.what);
        tracing::warn!(
            endpoint,
            reason,
            "{what} cannot be exported for now: they wait, and are sent again"
        );
    }

    /// A batch was refused; [`Reporter`] has told of that.
    pub(crate) fn refused(&self) {
        self.state().told = true;
    }

    /// A batch was accepted.
    pub(crate) fn over(&self) {
        if mem::take(&mut self.state().told) {
            let (endpoint, what) = (self.endpoint.as_str(), self.what);
            tracing::info!(endpoint, "{what} are exported again");
        }
    }
}

/// Speaks for one worker.
#[derive(Debug)]
pub(crate) struct Reporter {
    endpoint: String,
    /// What the worker sends.
    what: &'static str,
    failed: Tally,
    dropped: Tally,
    /// Drops that were told of, or are in the tally.
    dropped_before: u64,
}

impl Reporter {
    pub(crate) fn new(endpoint: &str, what: &'static str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            what,
            failed: Tally::default(),
            dropped: Tally::default(),
            dropped_before: 0,
        }
    }

    /// A batch of `count` has come to its end.
    pub(crate) fn delivered(&mut self, count: u64, delivery: &Delivery) {
        let (endpoint, what) = (self.endpoint.as_str(), self.what);
        match delivery {
            Delivery::Accepted => {}
            Delivery::Partial {
                rejected: 0,
                message,
            } => {
                tracing::info!(endpoint, remark = message, "the receiver has a remark");
            }
            Delivery::Partial { rejected, message } => {
                if let Some(count) = self.failed.add(*rejected) {
                    tracing::warn!(endpoint, count, reason = message, "{what} were rejected");
                }
            }
            Delivery::Refused { why } => {
                if let Some(count) = self.failed.add(count) {
                    tracing::warn!(
                        endpoint,
                        count,
                        reason = why,
                        "{what} could not be exported"
                    );
                }
            }
        }
    }

    /// `total` have been dropped by now.
    pub(crate) fn dropped(&mut self, total: u64) {
        let new = total - self.dropped_before;
        self.dropped_before = total;
        if let Some(count) = self.dropped.add(new) {
            let (endpoint, what) = (self.endpoint.as_str(), self.what);
            tracing::warn!(endpoint, count, "the queue was full: {what} were dropped");
        }
    }

    /// The worker stops; `abandoned` were still waiting.
    pub(crate) fn stopped(&self, abandoned: u64) {
        if abandoned > 0 {
            let (endpoint, what) = (self.endpoint.as_str(), self.what);
            tracing::warn!(
                endpoint,
                count = abandoned,
                "shut down before all {what} were exported"
            );
        }
    }
}
