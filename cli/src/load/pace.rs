//! When the next request of one thread is due. The engine asks, and knows
//! nothing of loops, counts or durations; another load model is another pacer.

use std::time::Instant;

/// Leave to send one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// When the request is due; its latency counts from here.
    pub intended: Instant,
}

/// Closed loop: a request is due as soon as a connection is free, until the
/// quota is used up, the deadline is past or the run is stopped.
#[derive(Debug)]
pub struct Pacer {
    left: Option<u64>,
    deadline: Option<Instant>,
    stopped: bool,
}

impl Pacer {
    /// At most `quota` requests, none of them due after `deadline`.
    pub fn closed(quota: Option<u64>, deadline: Option<Instant>) -> Self {
        Self {
            left: quota,
            deadline,
            stopped: false,
        }
    }

    /// The next request for a connection that is free at `now`, or `None` when
    /// there is no more to send.
    pub fn next(&mut self, now: Instant) -> Option<Ticket> {
        if self.stopped || self.deadline.is_some_and(|deadline| now >= deadline) {
            return None;
        }
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        Some(Ticket { intended: now })
    }

    /// Gives no ticket from now on.
    pub fn stop(&mut self) {
        self.stopped = true;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn gives_exactly_the_quota() {
        let now = Instant::now();
        let mut pacer = Pacer::closed(Some(2), None);
        assert_eq!(pacer.next(now), Some(Ticket { intended: now }));
        assert!(pacer.next(now).is_some());
        assert_eq!(pacer.next(now), None);
        assert_eq!(pacer.next(now), None);
    }

    #[test]
    fn gives_nothing_after_the_deadline_or_a_stop() {
        let now = Instant::now();
        let end = now + Duration::from_secs(1);
        let mut pacer = Pacer::closed(None, Some(end));
        assert!(pacer.next(now).is_some());
        assert_eq!(pacer.next(end), None);
        pacer.stop();
        assert_eq!(pacer.next(now), None);
    }
}
