//! The export thread: takes items from the queue in batches, keeps a few of
//! them on their way to the receiver, and settles each in the ledger.
//!
//! Started by `queue::Queue`; delivery of one batch, retries included, is
//! `exporter`'s business.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{Id, JoinError, JoinSet};

use crate::StartError;
use crate::exporter::{Delivery, Exporter, Route, Signal};
use crate::ledger::Ledger;
use crate::queue::{Drained, Goal};
use crate::report::Reporter;
use crate::settings::BatchSettings;

/// Batches on their way at once: hides the receiver's latency, and bounds what
/// a receiver that comes back gets at once.
const MAX_IN_FLIGHT: usize = 4;
/// Estimated bytes in a batch (an upper bound of its encoding): half of what a
/// gRPC receiver takes by default (4 MiB; the Collector's and tonic's default).
const MAX_BATCH_BYTES: u64 = 2 << 20;

/// An item in the queue with its estimated bytes.
#[derive(Debug)]
pub(crate) struct Queued<S> {
    pub(crate) item: S,
    pub(crate) bytes: u64,
}

/// What a handle asks of the worker.
pub(crate) struct Command {
    pub(crate) goal: Goal,
    pub(crate) until: Instant,
    pub(crate) reply: mpsc::SyncSender<Drained>,
}

/// Wakes the worker, at most once for each time it goes to sleep, so that an
/// item costs an application thread no system call.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    armed: AtomicBool,
    notify: Notify,
}

impl Alarm {
    pub(crate) fn ring(&self) {
        // The load keeps the cache line shared while the worker is awake.
        if self.armed.load(Ordering::SeqCst) && self.armed.swap(false, Ordering::SeqCst) {
            self.notify.notify_one();
        }
    }
}

/// A batch on its way. `first` is the number of items taken before it.
struct InFlight {
    first: u64,
    count: u64,
    bytes: u64,
}

/// A caller of `flush`, waiting for the first `items` items to be settled.
struct Waiter {
    items: u64,
    until: Instant,
    reply: mpsc::SyncSender<Drained>,
}

/// The worker's end of the queue.
pub(crate) struct Inlet<S> {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) alarm: Arc<Alarm>,
    pub(crate) incoming: mpsc::Receiver<Queued<S>>,
    pub(crate) commands: UnboundedReceiver<Command>,
    pub(crate) batch: BatchSettings,
}

/// Runs a worker to its end on a runtime of its own; tells `ready` once it
/// stands.
pub(crate) fn run_thread<S: Signal>(
    inlet: Inlet<S>,
    route: Route,
    resource: &Resource,
    ready: &mpsc::SyncSender<Result<(), StartError>>,
) {
    let built = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let started = built.map_err(StartError::Thread).and_then(|runtime| {
        let worker = {
            let _inside = runtime.enter();
            Worker::new(inlet, route, resource)?
        };
        Ok((runtime, worker))
    });
    // `ready`'s receiver waits for exactly this.
    let (runtime, worker) = match started {
        Ok(started) => started,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    runtime.block_on(worker.run());
    // Not a plain drop: that would wait for a name look-up that hangs.
    runtime.shutdown_background();
}

struct Worker<S: Signal> {
    inlet: Inlet<S>,
    exporter: Arc<Exporter<S>>,
    reporter: Reporter,
    /// An item that did not fit into the batch before.
    held_back: Option<Queued<S>>,
    in_flight: HashMap<Id, InFlight>,
    deliveries: JoinSet<Delivery>,
    waiters: Vec<Waiter>,
}

impl<S: Signal> Worker<S> {
    /// Must be called inside the worker's runtime.
    fn new(inlet: Inlet<S>, route: Route, resource: &Resource) -> Result<Self, StartError> {
        let endpoint = route.name().to_owned();
        let reporter = Reporter::new(&endpoint, S::NAME);
        let exporter = route
            .open(resource, inlet.batch.export_deadline)
            .map_err(|source| StartError::Exporter {
                what: S::NAME,
                endpoint,
                source,
            })?;
        Ok(Self {
            inlet,
            exporter: Arc::new(exporter),
            reporter,
            held_back: None,
            in_flight: HashMap::new(),
            deliveries: JoinSet::new(),
            waiters: Vec::new(),
        })
    }

    async fn run(mut self) {
        let mut tick = Instant::now() + self.inlet.batch.schedule_delay;
        loop {
            let now = Instant::now();
            let due = now >= tick || !self.waiters.is_empty();
            if due {
                tick = now + self.inlet.batch.schedule_delay;
                self.reporter.dropped(self.inlet.ledger.dropped());
            }
            self.send_batches(due);
            self.answer_waiters(now);
            let wake_at = self.next_waiter().map_or(tick, |until| tick.min(until));
            let room = self.in_flight.len() < MAX_IN_FLIGHT;
            if room && self.arm() {
                // A batch is full, or a thread is about to hand its item over.
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                command = self.inlet.commands.recv() => match command {
                    Some(Command { goal: Goal::Flush, until, reply }) => self.flush(until, reply),
                    Some(Command { goal: Goal::Stop, until, reply }) => {
                        let drained = self.stop(until).await;
                        // The caller may have stopped waiting.
                        let _ = reply.send(drained);
                        return;
                    }
                    // Every handle is gone, and the last has stopped the worker
                    // before; nothing can be waiting but what a panic left.
                    None => {
                        self.stop(Instant::now() + self.inlet.batch.schedule_delay).await;
                        return;
                    }
                },
                Some(done) = self.deliveries.join_next_with_id() => self.settle(done),
                () = self.inlet.alarm.notify.notified(), if room => {}
                () = tokio::time::sleep_until(wake_at.into()) => {}
            }
        }
    }

    /// Prepares to sleep. `true` if a batch has become full meanwhile.
    fn arm(&self) -> bool {
        self.inlet.alarm.armed.store(true, Ordering::SeqCst);
        let full = self.waiting() >= self.inlet.batch.max_batch_items as u64;
        if full {
            self.inlet.alarm.armed.store(false, Ordering::SeqCst);
        }
        full
    }

    /// Items that are admitted and not yet in a batch.
    fn waiting(&self) -> u64 {
        self.inlet
            .ledger
            .admitted()
            .saturating_sub(self.inlet.ledger.taken())
    }

    /// Sends full batches, and if `all` also what does not fill one.
    fn send_batches(&mut self, all: bool) {
        while self.in_flight.len() < MAX_IN_FLIGHT {
            let full = self.waiting() >= self.inlet.batch.max_batch_items as u64;
            if !(full || all) {
                return;
            }
            let (items, bytes) = self.take_batch();
            if items.is_empty() {
                // Admitted, but the thread has yet to hand it over.
                return;
            }
            self.send(items, bytes);
        }
    }

    fn take_batch(&mut self) -> (Vec<S>, u64) {
        let waiting = usize::try_from(self.waiting()).unwrap_or(usize::MAX);
        let mut items = Vec::with_capacity(waiting.min(self.inlet.batch.max_batch_items));
        let mut bytes = 0;
        while items.len() < self.inlet.batch.max_batch_items {
            let next = self
                .held_back
                .take()
                .or_else(|| self.inlet.incoming.try_recv().ok());
            let Some(queued) = next else { break };
            if !items.is_empty() && bytes + queued.bytes > MAX_BATCH_BYTES {
                self.held_back = Some(queued);
                break;
            }
            bytes += queued.bytes;
            items.push(queued.item);
        }
        (items, bytes)
    }

    fn send(&mut self, items: Vec<S>, bytes: u64) {
        let first = self.inlet.ledger.taken();
        let count = items.len() as u64;
        self.inlet.ledger.take(count);
        let exporter = Arc::clone(&self.exporter);
        let task = self
            .deliveries
            .spawn(async move { exporter.deliver(items, bytes).await });
        self.in_flight.insert(
            task.id(),
            InFlight {
                first,
                count,
                bytes,
            },
        );
    }

    fn settle(&mut self, done: Result<(Id, Delivery), JoinError>) {
        let (id, delivery) = match done {
            Ok(done) => done,
            Err(error) => (error.id(), Delivery::broken(&error)),
        };
        let Some(batch) = self.in_flight.remove(&id) else {
            return;
        };
        let failed = match &delivery {
            Delivery::Accepted => 0,
            Delivery::Partial { rejected, .. } => *rejected,
            Delivery::Refused { .. } => batch.count,
        };
        self.inlet.ledger.settle(batch.count, failed, batch.bytes);
        self.reporter.delivered(batch.count, &delivery);
    }

    fn flush(&mut self, until: Instant, reply: mpsc::SyncSender<Drained>) {
        self.waiters.push(Waiter {
            items: self.inlet.ledger.admitted(),
            until,
            reply,
        });
    }

    /// Answers the waiters whose items are settled or whose time is up.
    fn answer_waiters(&mut self, now: Instant) {
        if self.waiters.is_empty() {
            return;
        }
        // Everything before this one is settled.
        let oldest = self
            .in_flight
            .values()
            .map(|batch| batch.first)
            .min()
            .unwrap_or_else(|| self.inlet.ledger.taken());
        self.waiters.retain(|waiter| {
            let drained = if oldest >= waiter.items {
                Drained::Fully
            } else if now >= waiter.until {
                Drained::Late { abandoned: 0 }
            } else {
                return true;
            };
            // The caller may have stopped waiting.
            let _ = waiter.reply.send(drained);
            false
        });
    }

    fn next_waiter(&self) -> Option<Instant> {
        self.waiters.iter().map(|waiter| waiter.until).min()
    }

    /// Sends what is left until the deadline; the rest has failed.
    async fn stop(&mut self, until: Instant) -> Drained {
        self.inlet.ledger.close();
        let mut on_time = true;
        loop {
            self.send_batches(true);
            if self.in_flight.is_empty() && self.waiting() == 0 {
                break;
            }
            // A thread between being admitted and handing its span over needs
            // a moment; there is no other way to hear of it.
            let moment = if self.in_flight.is_empty() {
                Instant::now() + Duration::from_millis(1)
            } else {
                until
            };
            tokio::select! {
                Some(done) = self.deliveries.join_next_with_id() => self.settle(done),
                () = tokio::time::sleep_until(moment.min(until).into()) => {
                    if Instant::now() >= until {
                        on_time = false;
                        break;
                    }
                }
            }
        }
        self.answer_waiters(Instant::now());
        if on_time {
            self.reporter.stopped(0);
            return Drained::Fully;
        }
        self.deliveries.shutdown().await;
        let abandoned = self.inlet.ledger.abandon_rest();
        self.reporter.stopped(abandoned);
        Drained::Late { abandoned }
    }
}

impl<S: Signal> Drop for Worker<S> {
    /// A worker that panics must not leave items that nobody will ever send
    /// looking as if they waited.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let what = S::NAME;
            tracing::error!("the export has broken down: from now on {what} are dropped");
        }
        self.inlet.ledger.close();
        self.inlet.ledger.abandon_rest();
    }
}
