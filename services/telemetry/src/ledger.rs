//! The ledger of a queue: what became of every span, or every log record, in
//! counters that always add up, and the one place where the queue's bound is
//! enforced. (Below, "span" stands for either.)
//!
//! Written through the queue (application threads) and by its worker; read by
//! anyone through [`LedgerSnapshot`], for `/metrics` and for reports.

use std::sync::atomic::{AtomicU64, Ordering};

/// Set in `admitted` when the worker stops: from then on nothing is admitted,
/// so the worker knows exactly which spans are still to come.
const CLOSED: u64 = 1 << 63;

/// What became of the sampled spans, or of the log records, on their way to one
/// receiver.
///
/// In every snapshot `ended = exported + dropped + failed + queued`; no number
/// is ever negative, and all but `queued` only grow. Unsampled spans are not
/// counted: nobody promised to export them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerSnapshot {
    /// Spans begun.
    pub started: u64,
    /// Spans ended.
    pub ended: u64,
    /// Spans that the receiver has accepted.
    pub exported: u64,
    /// Spans given up when they ended: the queue was full, or shut down.
    pub dropped: u64,
    /// Spans that were sent in vain: refused, rejected, or not accepted in time.
    pub failed: u64,
    /// Spans waiting, the ones being sent included.
    pub queued: u64,
}

/// Counters of the application's threads, apart from the worker's: each group
/// has a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Producers {
    started: AtomicU64,
    /// Spans that entered the queue, and the `CLOSED` bit.
    admitted: AtomicU64,
    dropped: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Worker {
    exported: AtomicU64,
    failed: AtomicU64,
    /// Spans that left the channel for a batch.
    taken: AtomicU64,
}

/// The counters behind [`LedgerSnapshot`].
#[derive(Debug)]
pub(crate) struct Ledger {
    producers: Producers,
    worker: Worker,
    max_spans: u64,
    max_bytes: u64,
}

impl Ledger {
    pub(crate) fn new(max_spans: u64, max_bytes: u64) -> Self {
        Self {
            producers: Producers::default(),
            worker: Worker::default(),
            max_spans,
            max_bytes,
        }
    }

    /// A span begins.
    pub(crate) fn start(&self) {
        self.producers.started.fetch_add(1, Ordering::Relaxed);
    }

    /// A span of about `bytes` ends. `Some(waiting)` admits it: the caller must
    /// now hand it to the worker; `waiting` spans are not yet in a batch, this
    /// one included. `None`: it is counted as dropped.
    pub(crate) fn admit(&self, bytes: u64) -> Option<u64> {
        let held = self.producers.bytes.fetch_add(bytes, Ordering::Relaxed);
        // A span may exceed the byte bound only where it is alone.
        if held > 0 && held.saturating_add(bytes) > self.max_bytes {
            return self.refuse(bytes);
        }
        let mut admitted = self.producers.admitted.load(Ordering::Relaxed);
        loop {
            // Saturating: a stale count may lie behind what was settled since;
            // then the exchange below fails and reads it anew.
            let queued = admitted.saturating_sub(self.settled());
            if admitted & CLOSED != 0 || queued >= self.max_spans {
                return self.refuse(bytes);
            }
            // Release: whoever reads this count sees what was settled before it.
            // SeqCst pairs with the worker's check before it goes to sleep.
            match self.producers.admitted.compare_exchange_weak(
                admitted,
                admitted + 1,
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => admitted = now,
            }
        }
        let taken = self.worker.taken.load(Ordering::Relaxed);
        Some((admitted + 1).saturating_sub(taken))
    }

    fn refuse(&self, bytes: u64) -> Option<u64> {
        self.producers.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.producers.dropped.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn settled(&self) -> u64 {
        self.worker.exported.load(Ordering::Acquire) + self.worker.failed.load(Ordering::Acquire)
    }

    /// Spans that were ever admitted.
    pub(crate) fn admitted(&self) -> u64 {
        self.producers.admitted.load(Ordering::SeqCst) & !CLOSED
    }

    /// Spans that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.producers.dropped.load(Ordering::Relaxed)
    }

    /// Spans that left the channel; only the worker changes this.
    pub(crate) fn taken(&self) -> u64 {
        self.worker.taken.load(Ordering::Relaxed)
    }

    /// Worker: `spans` left the channel for a batch.
    pub(crate) fn take(&self, spans: u64) {
        self.worker.taken.fetch_add(spans, Ordering::Relaxed);
    }

    /// Worker: a batch of `spans` and `bytes` is done, `failed` of them in vain.
    pub(crate) fn settle(&self, spans: u64, failed: u64, bytes: u64) {
        let failed = failed.min(spans);
        self.producers.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.worker.failed.fetch_add(failed, Ordering::Release);
        self.worker
            .exported
            .fetch_add(spans - failed, Ordering::Release);
    }

    /// Worker: nothing is admitted from now on.
    pub(crate) fn close(&self) {
        self.producers.admitted.fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Worker, after [`close`](Self::close) and with no batch on its way: what
    /// still waits has failed. Returns how many spans that is.
    pub(crate) fn abandon_rest(&self) -> u64 {
        let rest = self.admitted() - self.settled();
        self.worker.failed.fetch_add(rest, Ordering::Release);
        rest
    }

    /// A consistent reading. Settled before admitted before started, the order
    /// in which a span can only fall behind: so the sum holds in any case.
    pub(crate) fn snapshot(&self) -> LedgerSnapshot {
        /// The worker settles a batch at a time, so the second one mostly does.
        const ATTEMPTS: usize = 100;
        let mut snapshot = self.read();
        for _ in 0..ATTEMPTS {
            // Settled meanwhile: what was admitted in its place is counted and
            // it is not, and the queue would look longer than it ever was.
            if self.settled() == snapshot.exported + snapshot.failed {
                break;
            }
            snapshot = self.read();
        }
        snapshot
    }

    fn read(&self) -> LedgerSnapshot {
        let exported = self.worker.exported.load(Ordering::Acquire);
        let failed = self.worker.failed.load(Ordering::Acquire);
        let dropped = self.producers.dropped.load(Ordering::Acquire);
        let admitted = self.admitted();
        let started = self.producers.started.load(Ordering::Acquire);
        LedgerSnapshot {
            started,
            ended: admitted + dropped,
            exported,
            dropped,
            failed,
            queued: admitted - exported - failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    fn adds_up(ledger: &LedgerSnapshot) -> bool {
        ledger.ended == ledger.exported + ledger.dropped + ledger.failed + ledger.queued
    }

    #[test]
    fn the_bound_in_spans_is_exact() {
        let ledger = Ledger::new(2, u64::MAX);
        assert_eq!(ledger.admit(1), Some(1));
        assert_eq!(ledger.admit(1), Some(2));
        assert_eq!(ledger.admit(1), None);
        ledger.take(2);
        assert_eq!(ledger.admit(1), None, "in flight is still queued");
        ledger.settle(2, 0, 2);
        assert_eq!(ledger.admit(1), Some(1));
        let snapshot = ledger.snapshot();
        assert_eq!(
            (snapshot.ended, snapshot.exported, snapshot.dropped),
            (5, 2, 2)
        );
        assert_eq!(snapshot.queued, 1);
    }

    #[test]
    fn the_bound_in_bytes_lets_one_huge_span_pass() {
        let ledger = Ledger::new(10, 100);
        assert!(ledger.admit(1_000).is_some());
        assert!(ledger.admit(1).is_none());
        ledger.settle(1, 0, 1_000);
        assert!(ledger.admit(60).is_some());
        assert!(ledger.admit(40).is_some());
        assert!(ledger.admit(1).is_none());
    }

    #[test]
    fn a_closed_ledger_drops_and_the_rest_fails() {
        let ledger = Ledger::new(10, 100);
        ledger.admit(1);
        ledger.admit(1);
        ledger.close();
        assert_eq!(ledger.admit(1), None);
        assert_eq!(ledger.abandon_rest(), 2);
        let snapshot = ledger.snapshot();
        assert!(adds_up(&snapshot));
        assert_eq!(
            (snapshot.failed, snapshot.dropped, snapshot.queued),
            (2, 1, 0)
        );
    }

    #[test]
    fn every_snapshot_adds_up_while_threads_write() {
        let ledger = Ledger::new(64, u64::MAX);
        let running = AtomicBool::new(true);
        thread::scope(|scope| {
            let producers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..50_000 {
                            ledger.start();
                            ledger.admit(10);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while running.load(Ordering::Relaxed) {
                    let waiting = ledger.admitted() - ledger.taken();
                    ledger.take(waiting);
                    ledger.settle(waiting, waiting / 3, waiting * 10);
                }
            });
            while producers.iter().any(|producer| !producer.is_finished()) {
                let snapshot = ledger.snapshot();
                assert!(adds_up(&snapshot), "{snapshot:?}");
                assert!(snapshot.queued <= 64, "{snapshot:?}");
                assert!(snapshot.started >= snapshot.ended, "{snapshot:?}");
            }
            running.store(false, Ordering::Relaxed);
        });
        assert_eq!(ledger.snapshot().ended, 150_000);
    }
}
