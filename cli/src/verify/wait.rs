//! Waiting for traces by completeness: a trace is looked up until all that it
//! owes is there, never for a fixed time. Called by `gather` and
//! `cmd::trace_link`.

use std::time::Duration;

use tdemo_trace::{Flaw, Owed, Trace, TraceId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::tempo::{Tempo, TempoError};

/// The first pause between two look-ups; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_millis(200);

/// Where a wait ended.
#[derive(Debug)]
pub struct Waited {
    /// When all that is owed was seen; `None` where it never was.
    pub whole_at: Option<Instant>,
    /// The last look.
    pub last: Result<Option<Trace>, TempoError>,
}

/// Whether nothing that is owed is missing. What should not be there is no
/// reason to go on waiting.
pub fn is_whole(owed: &Owed, trace: &Trace) -> bool {
    owed.judge(trace)
        .flaws()
        .iter()
        .all(|flaw| !matches!(flaw, Flaw::Missing(_) | Flaw::AbsentParent { .. }))
}

/// Looks trace `id` up until what is there is `enough`, `until` has come or
/// `cut` is cancelled.
pub async fn for_trace(
    tempo: &Tempo,
    id: TraceId,
    enough: impl Fn(&Trace) -> bool,
    until: Instant,
    cut: &CancellationToken,
) -> Waited {
    let nothing = Trace::empty(id);
    let mut pauses = Pauses::until(until);
    loop {
        let last = tempo.trace(id).await;
        let found = last
            .as_ref()
            .map(|found| found.as_ref().unwrap_or(&nothing));
        if found.is_ok_and(&enough) {
            return Waited {
                whole_at: Some(Instant::now()),
                last,
            };
        }
        if !pauses.next(cut).await {
            return Waited {
                whole_at: None,
                last,
            };
        }
    }
}

/// Pauses that grow until a moment has come.
#[derive(Debug)]
pub struct Pauses {
    until: Instant,
    pause: Duration,
    over: bool,
}

impl Pauses {
    /// Pauses up to `until`.
    pub fn until(until: Instant) -> Self {
        Self {
            until,
            pause: FIRST_PAUSE,
            over: false,
        }
    }

    /// Pauses; false where there is no time for another look. The last pause
    /// ends at the moment itself, so that a last look is taken then.
    pub async fn next(&mut self, cut: &CancellationToken) -> bool {
        if self.over || cut.is_cancelled() {
            return false;
        }
        let next = Instant::now() + self.pause;
        self.over = next >= self.until;
        self.pause = MAX_PAUSE.min(self.pause * 2);
        tokio::select! {
            () = tokio::time::sleep_until(next.min(self.until)) => true,
            () = cut.cancelled() => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_look_is_at_the_deadline() {
        let start = Instant::now();
        let mut pauses = Pauses::until(start + Duration::from_secs(2));
        let cut = CancellationToken::new();
        let mut looks = 1;
        while pauses.next(&cut).await {
            looks += 1;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        assert_eq!(
            looks, 14,
            "after 20, 40, 80, 160 ms, eight of 200 and what is left"
        );
        let mut cut_short = Pauses::until(start + Duration::from_secs(9));
        cut.cancel();
        assert!(!cut_short.next(&cut).await);
    }
}
