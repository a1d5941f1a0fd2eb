//! The bounded queue between the application's threads, which it never makes
//! wait, and the worker that exports what comes through it.
//!
//! Filled by `processor` with spans. The worker (`worker.rs`) has a runtime of
//! its own, so that flushing works from any runtime and from none.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use tokio::sync::mpsc::UnboundedSender;

use crate::StartError;
use crate::exporter::{Route, Signal};
use crate::ledger::{Ledger, LedgerSnapshot};
use crate::settings::BatchSettings;
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

/// How a flush or a shutdown ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Every span that had ended is settled.
    Fully,
    /// The deadline came first. After a shutdown so many spans were given up,
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
        route: Route,
        dispatch: tracing::Dispatch,
    ) -> Result<Self, StartError> {
        let ledger = Arc::new(Ledger::new(batch.max_queue_spans, batch.max_queue_bytes));
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
            max_batch: batch.max_batch_spans as u64,
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

    /// Asks for every span that has ended to be settled, by the deadline.
    pub(crate) fn begin_flush(&self, deadline: Duration) -> Draining {
        self.begin(deadline, |until, reply| Command::Flush { until, reply })
    }

    /// Asks the worker to send what it can by the deadline, and then to stop.
    pub(crate) fn begin_stop(&self, deadline: Duration) -> Draining {
        self.begin(deadline, |until, reply| Command::Stop { until, reply })
    }

    fn begin(
        &self,
        deadline: Duration,
        command: impl FnOnce(Instant, mpsc::SyncSender<Drained>) -> Command,
    ) -> Draining {
        let until = Instant::now() + deadline;
        let (reply, answer) = mpsc::sync_channel(1);
        // If the worker has stopped, `reply` is dropped here, and says so.
        let _ = self.commands.send(command(until, reply));
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
            // The worker has stopped, and has settled every span before.
            Err(mpsc::RecvTimeoutError::Disconnected) => Drained::Fully,
            Err(mpsc::RecvTimeoutError::Timeout) => Drained::Late { abandoned: 0 },
        }
    }
}
