//! Carries out a plan: one thread a core, each with its own runtime, pacer and
//! tally, sharing nothing while they send. Called by `cmd::load`.
//!
//! Progress is published by counters of which each has one writer; a stop only
//! ends the sending, so that a stopped run reports through the same tail.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};
use tokio_util::sync::CancellationToken;

use super::http::{Connection, Connector, PrepareError};
use super::pace::Pacer;
use super::plan::{Plan, Share};
use super::sample::{Answer, ErrorClass, Failure, Sample, Tally};

/// Rest of a connection after it could not be opened, so that a target that is
/// down is not flooded and an outage does not eat the whole count at once.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

/// Why a run could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The target could not be prepared for.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The machine gave no thread, or no event queue for it.
    #[error("no sending thread could be started: {0}; ask for fewer connections")]
    Start(io::Error),
    /// A defect: a thread ended without its tally.
    #[error("a sending thread ended early: this is a defect of tdemo, please report it")]
    Lost,
}

/// Counters of one thread; padded so that no two share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counters {
    done: AtomicU64,
    failed: AtomicU64,
}

/// How far a run is, to be read at any time from any thread.
#[derive(Debug)]
pub struct Progress(Vec<Counters>);

impl Progress {
    /// Counters for a run of `plan`, all zero.
    pub fn new(plan: &Plan) -> Self {
        Self(plan.shares().iter().map(|_| Counters::default()).collect())
    }

    /// Requests done, and how many of them failed.
    pub fn read(&self) -> (u64, u64) {
        self.0.iter().fold((0, 0), |(done, failed), counters| {
            (
                done + counters.done.load(Ordering::Relaxed),
                failed + counters.failed.load(Ordering::Relaxed),
            )
        })
    }
}

impl Counters {
    /// Adds one request. Only the thread that owns the counters calls it, so a
    /// load and a store are enough.
    fn add(&self, ok: bool) {
        let bump = |counter: &AtomicU64| {
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        };
        bump(&self.done);
        if !ok {
            bump(&self.failed);
        }
    }
}

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    /// What came of it.
    pub tally: Tally,
    /// From the first request due to the last one done.
    pub elapsed: Duration,
    /// Connections that were kept busy.
    pub connections: usize,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// Carries out `plan`. Cancelling `stop` ends the sending; requests in flight
/// may still take `plan.drain`, then they count as cancelled.
pub async fn run(
    plan: &Plan,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
) -> Result<Run, EngineError> {
    let connector = Arc::new(Connector::new(plan).await?);
    let shares = plan.shares();
    let started = Instant::now();
    let deadline = plan.duration.map(|duration| started + duration);
    let mut tallies = Vec::with_capacity(shares.len());
    for (index, share) in shares.iter().copied().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EngineError::Start)?;
        let worker = Worker {
            connector: Arc::clone(&connector),
            pacer: RefCell::new(Pacer::closed(share.quota, deadline)),
            tally: RefCell::new(Tally::new(plan.keep, shares.len(), index as u64)),
            in_flight: Cell::new(0),
            timeout: plan.timeout,
            drain: plan.drain,
        };
        let (progress, stop) = (Arc::clone(progress), stop.clone());
        let (hand_back, tally) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(move || {
                // Nobody waits any more where the whole program is leaving.
                let _ = hand_back.send(work(worker, share, &runtime, &progress, index, &stop));
            })
            .map_err(EngineError::Start)?;
        tallies.push(tally);
    }
    let mut total: Option<Tally> = None;
    for tally in tallies {
        let tally = tally.await.map_err(|_| EngineError::Lost)?;
        match &mut total {
            None => total = Some(tally),
            Some(total) => total.merge(tally),
        }
    }
    let tally = total.expect("a plan has at least one share");
    let finished_count = plan.count.is_some_and(|count| tally.sent() >= count);
    let finished_time = deadline.is_some_and(|deadline| Instant::now() >= deadline);
    Ok(Run {
        elapsed: tally
            .last_done
            .map_or(Duration::ZERO, |done| done - started),
        connections: shares.iter().map(|share| share.connections).sum(),
        stopped: stop.is_cancelled() && !finished_count && !finished_time,
        tally,
    })
}

/// The whole life of one thread.
fn work(
    worker: Worker,
    share: Share,
    runtime: &tokio::runtime::Runtime,
    progress: &Arc<Progress>,
    index: usize,
    stop: &CancellationToken,
) -> Tally {
    let worker = Rc::new(worker);
    let local = LocalSet::new();
    let mut connections = JoinSet::new();
    for _ in 0..share.connections {
        let (worker, progress) = (Rc::clone(&worker), Arc::clone(progress));
        connections.spawn_local_on(
            async move { worker.keep_busy(&progress.0[index]).await },
            &local,
        );
    }
    local.block_on(runtime, async {
        let out_of_time = async {
            stop.cancelled().await;
            worker.pacer.borrow_mut().stop();
            tokio::time::sleep(worker.drain).await;
        };
        tokio::select! {
            () = all_done(&mut connections) => {}
            () = out_of_time => connections.shutdown().await,
        }
    });
    drop(local);
    let (abandoned, drain) = (worker.in_flight.get(), worker.drain);
    // The connections are gone, so this is the last holder.
    let mut tally = Rc::into_inner(worker)
        .expect("the tasks that shared the worker have been dropped")
        .tally
        .into_inner();
    if abandoned > 0 {
        tally.count_error(ErrorClass::Cancelled, abandoned, || {
            format!("no answer within {drain:?} of the interrupt")
        });
    }
    tally
}

async fn all_done(connections: &mut JoinSet<()>) {
    while let Some(ended) = connections.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// What the connections of one thread share; none of it leaves the thread.
struct Worker {
    connector: Arc<Connector>,
    pacer: RefCell<Pacer>,
    tally: RefCell<Tally>,
    in_flight: Cell<u64>,
    timeout: Duration,
    drain: Duration,
}

impl Worker {
    /// Sends one request after another on one connection, which is opened anew
    /// when it has gone, until the pacer has no more.
    async fn keep_busy(&self, counters: &Counters) {
        let mut connection = None;
        let mut now = Instant::now();
        loop {
            let Some(ticket) = self.pacer.borrow_mut().next(now) else {
                return;
            };
            self.in_flight.set(self.in_flight.get() + 1);
            let until = tokio::time::Instant::from_std(ticket.intended + self.timeout);
            // The connection is moved out, so that a time-out drops it.
            let exchange = self.exchange(connection.take());
            let outcome = match tokio::time::timeout_at(until, exchange).await {
                Ok(Ok((answer, kept))) => {
                    connection = kept;
                    Ok(answer)
                }
                Ok(Err(failure)) => Err(failure),
                Err(_) => Err(Failure {
                    class: ErrorClass::Timeout,
                    detail: format!("no whole answer within {:?}", self.timeout),
                }),
            };
            let done = Instant::now();
            self.in_flight.set(self.in_flight.get() - 1);
            let no_connection = matches!(
                &outcome,
                Err(Failure {
                    class: ErrorClass::Connect | ErrorClass::Refused,
                    ..
                })
            );
            let ok = self.tally.borrow_mut().record(Sample {
                intended: ticket.intended,
                done,
                outcome,
            });
            counters.add(ok);
            now = done;
            if no_connection {
                tokio::time::sleep(RECONNECT_PAUSE).await;
                now = Instant::now();
            }
        }
    }

    /// One request on `kept` or a new connection; hands back the connection
    /// where it can be used again.
    async fn exchange(
        &self,
        kept: Option<Connection>,
    ) -> Result<(Answer, Option<Connection>), Failure> {
        if let Some(mut connection) = kept.filter(Connection::is_open) {
            match connection.exchange(&self.connector).await {
                Ok(answer) => return Ok((answer, Some(connection))),
                // The other side may close a kept connection at any time; that
                // is no failure unless a new one fares no better.
                Err(failure)
                    if failure.class == ErrorClass::Reset && self.connector.is_idempotent() => {}
                Err(failure) => return Err(failure),
            }
        }
        let mut connection = self.connector.connect().await?;
        self.tally.borrow_mut().connections_opened += 1;
        let answer = connection.exchange(&self.connector).await?;
        Ok((answer, Some(connection)))
    }
}
