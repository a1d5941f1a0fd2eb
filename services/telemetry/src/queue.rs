//! The bounded queue between the application's threads, which it never makes
//! wait, and the worker that exports what comes through it.
//!
//! Filled by `processor` with spans and by `logs` with records. The worker
//! (`worker.rs`) has a runtime of its own, so that flushing works from any
//! runtime and from none.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use tokio::sync::mpsc::UnboundedSender;

use crate::StartError;
use crate::exporter::{Route, Signal};
use crate::ledger::{Ledger, LedgerSnapshot};
use crate::settings::{self, BatchSettings, ExporterSettings};
use crate::worker::{self, Alarm, Command, Inlet, Queued};

/// The worker keeps the deadline; this much longer its caller waits for it to
/// say so before it gives up on a starved machine.
const REPLY_GRACE: Duration = Duration::from_secs(1);

/// A cheap handle; its clones share one queue, one ledger and one worker.
#[derive(Debug)]
pub(crate) struct Queue<S: Signal> {
    ledger: Arc<Ledger>,
    alarm: Arc<Alarm>,
    items: mpsc::Sender<Queued<S>>,
    commands: UnboundedSender<Command>,
    max_batch: u64,
}

// Not derived: that would ask it of `S` in vain.
impl<S: Signal> Clone for Queue<S> {
    fn clone(&self) -> Self {
        Self {
            ledger: Arc::clone(&self.ledger),
            alarm: Arc::clone(&self.alarm),
            items: self.items.clone(),
            commands: self.commands.clone(),
            max_batch: self.max_batch,
        }
    }
}

/// What a drain is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Settle everything that was pushed before.
    Flush,
    /// Send what can be sent, and then stop for good.
    Stop,
}

/// How a flush or a shutdown ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Everything pushed before is settled.
    Fully,
    /// The deadline came first. After a shutdown so many items were given up,
    /// and are counted as failed.
    Late { abandoned: u64 },
}

impl<S: Signal> Queue<S> {
    /// Starts the worker thread of the service `name`. Its log lines go to
    /// `dispatch`.
    pub(crate) fn start(
        name: &str,
        batch: &BatchSettings,
        resource: &Resource,
        receiver: &ExporterSettings,
        dispatch: tracing::Dispatch,
    ) -> Result<Self, StartError> {
        let route = Route::new(receiver).map_err(|source| StartError::Exporter {
            what: S::NAME,
            endpoint: settings::origin(&receiver.endpoint),
            source,
        })?;
        let ledger = Arc::new(Ledger::new(batch.max_queue_items, batch.max_queue_bytes));
        let alarm = Arc::new(Alarm::default());
        let (items, incoming) = mpsc::channel();
        let (commands, inbox) = tokio::sync::mpsc::unbounded_channel();
        let inlet = Inlet {
            ledger: Arc::clone(&ledger),
            alarm: Arc::clone(&alarm),
            incoming,
            commands: inbox,
            batch: batch.clone(),
        };
        let resource = resource.clone();
        // The runtime is built and dropped on its own thread: dropping one
        // inside another runtime panics.
        let (ready, started) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name(format!("{} {name}", S::NAME))
            .spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    worker::run_thread::<S>(inlet, route, &resource, &ready);
                });
            })?;
        match started.recv() {
            Ok(result) => result?,
            Err(_) => return Err(std::io::Error::other("the export thread ended at once").into()),
        }
        Ok(Self {
            ledger,
            alarm,
            items,
            commands,
            max_batch: batch.max_batch_items as u64,
        })
    }

    /// Takes an item of about `bytes`, or drops and counts it.
    pub(crate) fn push(&self, item: S, bytes: u64) {
        let Some(waiting) = self.ledger.admit(bytes) else {
            return;
        };
        // An error means that the worker gave up at its deadline between these
        // two steps, and has counted this item as failed.
        let _ = self.items.send(Queued { item, bytes });
        // Less than a batch waits for the timer.
        if waiting >= self.max_batch {
            self.alarm.ring();
        }
    }

    /// Counts an item that has begun and will be pushed when it ends.
    pub(crate) fn count_start(&self) {
        self.ledger.start();
    }

    pub(crate) fn ledger(&self) -> LedgerSnapshot {
        self.ledger.snapshot()
    }

    /// Asks the worker to drain the queue by the deadline.
    pub(crate) fn drain(&self, goal: Goal, deadline: Duration) -> Draining {
        let until = Instant::now() + deadline;
        let (reply, answer) = mpsc::sync_channel(1);
        // If the worker has stopped, the command is dropped here with its
        // `reply`, and that says so.
        let _ = self.commands.send(Command { goal, until, reply });
        Draining { until, answer }
    }
}

/// A flush or a shutdown under way.
#[derive(Debug)]
pub(crate) struct Draining {
    until: Instant,
    answer: mpsc::Receiver<Drained>,
}

impl Draining {
    /// Blocks until the worker answers.
    pub(crate) fn wait(self) -> Drained {
        let patience = self.until.saturating_duration_since(Instant::now()) + REPLY_GRACE;
        match self.answer.recv_timeout(patience) {
            Ok(drained) => drained,
            // The worker has stopped, and has settled every item before.
            Err(mpsc::RecvTimeoutError::Disconnected) => Drained::Fully,
            Err(mpsc::RecvTimeoutError::Timeout) => Drained::Late { abandoned: 0 },
        }
    }
}
