//! When the next attempt may be made: one gate for all batches of an exporter,
//! so that a receiver in trouble meets one back-off and not one a batch.
//!
//! Called by `exporter` before and after each attempt, on one thread.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::report::QUIET;

/// The first pause after a failure; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause of our own accord.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause while a flush or a shutdown waits.
const HURRIED_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Gate {
    /// For log lines.
    endpoint: String,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    last_failure: Option<LastFailure>,
    hurried: bool,
    /// The log was told of a trouble, and not yet of its end.
    trouble_told: bool,
    told_at: Option<Instant>,
}

#[derive(Debug)]
struct LastFailure {
    at: Instant,
    why: String,
    pause: Duration,
    /// Whether the receiver itself asked for the pause.
    asked: bool,
}

impl Gate {
    pub(super) fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hurry(&self, on: bool) {
        self.state().hurried = on;
        self.changed.notify_waiters();
    }

    pub(super) fn succeeded(&self) {
        let (waiting, told) = {
            let mut state = self.state();
            state.failures = 0;
            (
                state.last_failure.take().is_some(),
                mem::take(&mut state.trouble_told),
            )
        };
        if waiting {
            self.changed.notify_waiters();
        }
        if told {
            let endpoint = self.endpoint();
            tracing::info!(endpoint, "spans are exported again");
        }
    }

    /// A batch was refused; the log is told of that by its count of spans.
    pub(super) fn refused(&self) {
        self.state().trouble_told = true;
    }

    /// An attempt begun at `begun` failed. `after`: the receiver's own wish.
    pub(super) fn failed(&self, begun: Instant, why: String, after: Option<Duration>) {
        let mut state = self.state();
        let now = Instant::now();
        // Attempts that were under way together fail together: one failure,
        // and the longest pause that any of them was asked for.
        let together = (state.last_failure.as_ref()).filter(|last| begun <= last.at);
        let asked_before = together
            .filter(|last| last.asked)
            .map(|last| (last.at + last.pause).saturating_duration_since(now));
        if together.is_none() {
            state.failures = state.failures.saturating_add(1);
        }
        let own = pause(state.failures);
        let asked = after.max(asked_before);
        let tell = !state.trouble_told && state.told_at.is_none_or(|at| now - at >= QUIET);
        if tell {
            state.trouble_told = true;
            state.told_at = Some(now);
        }
        let reason = tell.then(|| why.clone());
        state.last_failure = Some(LastFailure {
            at: now,
            why,
            pause: asked.map_or(own, |asked| asked.max(own)),
            asked: asked.is_some(),
        });
        drop(state);
        if let Some(reason) = reason {
            let endpoint = self.endpoint();
            tracing::warn!(
                endpoint,
                reason,
                "spans cannot be exported for now: they wait, and are sent again"
            );
        }
    }

    /// Waits until an attempt may be made. `Err`, with the reason of the last
    /// failure, if that is not before `deadline`.
    pub(super) async fn pass(&self, deadline: Instant) -> Result<(), String> {
        loop {
            let changed = self.changed.notified();
            let opens = {
                let state = self.state();
                let Some(last) = &state.last_failure else {
                    return Ok(());
                };
                let pause = if state.hurried && !last.asked {
                    last.pause.min(HURRIED_PAUSE)
                } else {
                    last.pause
                };
                let opens = last.at + pause;
                if opens >= deadline {
                    return Err(format!(
                        "no time is left for another attempt; the last failed: {}",
                        last.why
                    ));
                }
                opens
            };
            if opens <= Instant::now() {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep_until(opens.into()) => {}
                () = changed => {}
            }
        }
    }
}

/// Doubles with each failure in a row; a quarter of it is random, so that many
/// clients of one receiver do not come back in step.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let full = (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE);
    full.mul_f64(fastrand::f64().mul_add(0.25, 0.75))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        for failures in [1, 2, 3, 10, u32::MAX] {
            let full = (FIRST_PAUSE * (1 << (failures - 1).min(16))).min(LONGEST_PAUSE);
            let pause = pause(failures);
            assert!(pause <= full && pause >= full.mul_f64(0.74), "{pause:?}");
        }
    }

    #[test]
    fn attempts_that_fail_together_count_once() {
        let gate = Gate::new("http://test".to_owned());
        let begun = Instant::now();
        for _ in 0..4 {
            gate.failed(begun, "refused".into(), None);
        }
        assert_eq!(gate.state().failures, 1);
        gate.succeeded();
        assert_eq!(gate.state().failures, 0);
    }

    #[test]
    fn the_longest_pause_asked_for_counts_for_all() {
        let gate = Gate::new("http://test".to_owned());
        let begun = Instant::now();
        gate.failed(begun, "busy".into(), Some(Duration::from_secs(30)));
        gate.failed(begun, "broken".into(), None);
        let state = gate.state();
        let last = state.last_failure.as_ref().unwrap();
        assert!(last.asked && last.pause > Duration::from_secs(29));
    }

    #[tokio::test]
    async fn hurry_shortens_our_own_pause_but_not_the_receivers() {
        let soon = Instant::now() + Duration::from_secs(1);
        let gate = Gate::new("http://test".to_owned());
        gate.hurry(true);
        gate.state().failures = 10;
        gate.failed(Instant::now(), "down".into(), None);
        assert_eq!(gate.pass(soon).await, Ok(()));

        gate.failed(Instant::now(), "busy".into(), Some(Duration::from_secs(30)));
        let refused = gate
            .pass(soon)
            .await
            .expect_err("the receiver asked for 30 s");
        assert!(refused.contains("busy"), "{refused}");
    }
}
