//! When the next attempt may be made: one gate for all batches of an exporter,
//! so that a receiver in trouble meets one back-off and not one a batch.
//!
//! Called by `exporter` before and after each attempt, on one thread.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The first pause after a failure; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause of our own accord.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause while a flush or a shutdown waits.
const HURRIED_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    last_failure: Option<LastFailure>,
    hurried: bool,
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
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hurry(&self, on: bool) {
        self.state().hurried = on;
        self.changed.notify_waiters();
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        state.failures = 0;
        if state.last_failure.take().is_some() {
            self.changed.notify_waiters();
        }
    }

    /// An attempt begun at `begun` failed. `after`: the receiver's own wish.
    pub(super) fn failed(&self, begun: Instant, why: String, after: Option<Duration>) {
        let mut state = self.state();
        let now = Instant::now();
        // Attempts that were under way together fail together: one failure.
        let together = (state.last_failure.as_ref()).is_some_and(|last| begun <= last.at);
        if !together {
            state.failures = state.failures.saturating_add(1);
        }
        let own = pause(state.failures);
        state.last_failure = Some(LastFailure {
            at: now,
            why,
            pause: after.map_or(own, |after| after.max(own)),
            asked: after.is_some(),
        });
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
        let gate = Gate::default();
        let begun = Instant::now();
        for _ in 0..4 {
            gate.failed(begun, "refused".into(), None);
        }
        assert_eq!(gate.state().failures, 1);
        gate.succeeded();
        assert_eq!(gate.state().failures, 0);
    }

    #[tokio::test]
    async fn hurry_shortens_our_own_pause_but_not_the_receivers() {
        let soon = Instant::now() + Duration::from_secs(1);
        let gate = Gate::default();
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
