//! Sends the requests of a smoke run and reads back all that they left. What
//! it saw becomes [`Evidence`]; nothing is judged here. Called by `cmd::smoke`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tdemo_telemetry::settings::ExporterSettings;
use tdemo_trace::expect::Expectation;
use tdemo_trace::{SpanId, Trace, TraceId};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::ask::{Asker, now_unix_nanos, url_of};
use super::asked;
use super::caller::OwnSpan;
use super::counters;
use super::errand::{self, Errand, Kind, Parent, Service};
use super::evidence::{self, Counted, Evidence, Exchange, Read, Sent, Without};
use super::logs::{self, Loki};
use super::report::Group;
use super::search;
use super::wait;
use crate::tempo::Tempo;

/// How long is listened for spans that should not come.
const QUIET: Duration = Duration::from_millis(300);
/// How long the caller's own span may take to be exported.
const OWN_SPAN_DEADLINE: Duration = Duration::from_secs(3);

/// What a run is made of.
#[derive(Debug)]
pub struct Scene {
    /// The frontend.
    pub target: Url,
    /// Whether it is of a stack of our own.
    pub embedded: bool,
    /// The other tiers, where they can be reached.
    pub middleware: Option<Url>,
    /// The last one.
    pub backend: Option<Url>,
    /// Where traces are read.
    pub tempo: Option<Tempo>,
    /// Where the caller's own span goes.
    pub exporter: Option<ExporterSettings>,
    /// Where logs are read.
    pub loki: Option<Loki>,
    /// How long traces are waited for by id, all together.
    pub deadline: Duration,
    /// Groups to leave out.
    pub left_out: BTreeSet<Group>,
    /// What is expected of the traces of somebody else's services: then the
    /// target is asked once, as it stands.
    pub expect: Option<Arc<Expectation>>,
    /// What could not be had from the start.
    pub without: Without,
}

/// Why there is nothing to judge.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The target does not answer at all.
    #[error("{url} cannot be reached: {error}")]
    Unreachable {
        /// What was asked first.
        url: String,
        /// What happened.
        error: String,
    },
    /// This machine's TLS set-up.
    #[error("no HTTP client could be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// Runs the whole scene. `say` is told what is waited for.
pub async fn gather(
    scene: &Scene,
    say: &(dyn Fn(&str) + Sync),
    cut: &CancellationToken,
) -> Result<Evidence, GatherError> {
    let began = Instant::now();
    let mut run = Run {
        scene,
        asker: Asker::new()?,
        cut,
        lookups: JoinSet::new(),
        evidence: Evidence {
            schema_version: evidence::SCHEMA_VERSION,
            tdemo_version: env!("CARGO_PKG_VERSION").to_owned(),
            target: scene.target.to_string(),
            embedded: scene.embedded,
            tempo_url: scene.tempo.as_ref().map(|tempo| tempo.base().to_string()),
            started_unix_nanos: now_unix_nanos(),
            elapsed_s: 0.0,
            partial: false,
            deadline_ms: u64::try_from(scene.deadline.as_millis()).unwrap_or(u64::MAX),
            left_out: scene
                .left_out
                .iter()
                .map(|group| group.name().to_owned())
                .collect(),
            expect: None,
            without: scene.without.clone(),
            exchanges: Vec::new(),
            reads: Vec::new(),
            searches: Vec::new(),
            counters: Vec::new(),
            logs: Vec::new(),
            verdict: None,
        },
    };
    say("sending requests");
    tokio::select! {
        () = run.count() => {}
        () = cut.cancelled() => {}
    }
    run.send_all().await?;
    if let Some(tempo) = &scene.tempo {
        say("waiting for the traces by id");
        run.read_all(tempo).await;
        if run.wants(Group::Search) {
            say("waiting for the traces by search");
            run.search_all(tempo).await;
        }
    }
    if let Some(loki) = scene.loki.as_ref().filter(|_| run.wants(Group::Logs)) {
        say("waiting for the log lines");
        run.read_logs(loki).await;
    }
    run.count().await;
    run.evidence.elapsed_s = began.elapsed().as_secs_f64();
    run.evidence.partial = cut.is_cancelled();
    Ok(run.evidence)
}

struct Run<'s> {
    scene: &'s Scene,
    asker: Asker,
    cut: &'s CancellationToken,
    /// The traces of the answers so far, under way.
    lookups: JoinSet<Read>,
    evidence: Evidence,
}

impl Run<'_> {
    fn wants(&self, group: Group) -> bool {
        !self.scene.left_out.contains(&group) && !self.cut.is_cancelled()
    }

    fn base(&self, service: Service) -> Option<&Url> {
        match service {
            Service::Frontend => Some(&self.scene.target),
            Service::Middleware => self.scene.middleware.as_ref(),
            Service::Backend => self.scene.backend.as_ref(),
        }
    }

    fn reachable(&self) -> Vec<Service> {
        Service::ALL
            .into_iter()
            .filter(|service| self.base(*service).is_some())
            .collect()
    }

    /// Reads the counters: the first time as before, the second as after.
    async fn count(&mut self) {
        if !self.wants(Group::Counters) || self.scene.expect.is_some() {
            return;
        }
        for service in self.reachable() {
            let base = self.base(service).expect("it can be reached").clone();
            let read = counters::read(&self.asker, &base).await;
            let (states, error) = match read {
                Ok(states) => (Some(states), None),
                Err(error) => (None, Some(error)),
            };
            let known = self
                .evidence
                .counters
                .iter_mut()
                .find(|counted| counted.service == service);
            match known {
                Some(counted) => {
                    counted.after = states;
                    counted.error = counted.error.take().or(error);
                }
                None => self.evidence.counters.push(Counted {
                    service,
                    url: base.to_string(),
                    before: states,
                    after: None,
                    error,
                }),
            }
        }
    }

    async fn send_all(&mut self) -> Result<(), GatherError> {
        let faults = self.evidence.without.faults.is_none();
        let bad_input = self.wants(Group::BadInput);
        let errands = if self.scene.expect.is_some() {
            vec![Errand::foreign()]
        } else {
            errand::errands(&self.reachable(), bad_input, faults)
        };
        for errand in errands {
            if self.cut.is_cancelled() {
                return Ok(());
            }
            // Whoever makes no error makes no delay either.
            if !errand.kind.faults().is_empty() && self.evidence.without.faults.is_some() {
                continue;
            }
            let base = self
                .base(errand.service)
                .expect("it can be reached")
                .clone();
            let cut = self.cut;
            let exchange = tokio::select! {
                exchange = self.send(&base, &errand) => exchange,
                () = cut.cancelled() => return Ok(()),
            };
            if let evidence::Answered::Failure { error, .. } = &exchange.outcome
                && self.evidence.exchanges.is_empty()
            {
                return Err(GatherError::Unreachable {
                    url: exchange.url,
                    error: error.clone(),
                });
            }
            if errand.kind == Kind::Fault && exchange.status() == Some(200) {
                self.evidence.without.faults =
                    Some("the target makes no faults on demand (DEMO_FAULTS=off)".to_owned());
                continue;
            }
            self.evidence.exchanges.push(exchange);
            self.look_up_last();
        }
        Ok(())
    }

    async fn send(&mut self, base: &Url, errand: &Errand) -> Exchange {
        let flags = match errand.parent() {
            Parent::None => return self.asker.send(base, errand, None).await,
            Parent::Sampled => 1,
            Parent::Unsampled => 0,
        };
        let own = match (&self.scene.exporter, errand.parent()) {
            (Some(exporter), Parent::Sampled) => {
                match OwnSpan::start(exporter.clone(), errand.method, &url_of(base, errand)) {
                    Ok(own) => Some(own),
                    Err(error) => {
                        self.evidence.without.caller = Some(error.to_string());
                        None
                    }
                }
            }
            _ => None,
        };
        let sent = own.as_ref().map_or_else(|| made_up(flags), OwnSpan::sent);
        let mut exchange = self.asker.send(base, errand, Some(sent)).await;
        if let Some(own) = own {
            let exported = own.finish(exchange.status(), OWN_SPAN_DEADLINE).await;
            if !exported {
                self.evidence.without.caller =
                    Some("the OTLP endpoint did not take the caller's span".to_owned());
            }
            exchange.parent = Some(Sent { exported, ..sent });
        }
        exchange
    }

    /// Looks for the trace of the last exchange from now on, so that the time
    /// until it is there can be told.
    fn look_up_last(&mut self) {
        let (Some(tempo), Some(exchange)) = (&self.scene.tempo, self.evidence.exchanges.last())
        else {
            return;
        };
        let Some(id) = exchange.trace_id().filter(|_| asked::is_traced(exchange)) else {
            return;
        };
        let at = self.evidence.exchanges.len() - 1;
        let until = Instant::now() + self.scene.deadline;
        let owed = asked::owed(exchange, &self.evidence.without);
        let expect = self.scene.expect.clone();
        let (tempo, cut) = (tempo.clone(), self.cut.clone());
        let done = exchange.done_unix_nanos;
        self.lookups.spawn(async move {
            let enough = |trace: &Trace| {
                wait::is_whole(&owed, trace)
                    && expect
                        .as_ref()
                        .is_none_or(|expect| expect.judge(trace).is_empty())
            };
            let waited = wait::for_trace(&tempo, id, enough, until, &cut).await;
            let after = now_unix_nanos().saturating_sub(done) as f64 / 1e6;
            Read {
                exchange: at,
                id,
                whole_after_ms: waited.whole_at.map(|_| after),
                trace: None,
                error: waited.last.err().map(|error| error.to_string()),
            }
        });
    }

    /// Waits until every trace is whole or its deadline has come, then a quiet
    /// moment, and reads them all once more: what should not be there shows.
    async fn read_all(&mut self, tempo: &Tempo) {
        let lookups = std::mem::take(&mut self.lookups);
        let mut reads = lookups.join_all().await;
        reads.sort_by_key(|read| read.exchange);
        tokio::select! {
            () = tokio::time::sleep(QUIET) => {}
            () = self.cut.cancelled() => {}
        }
        for read in &mut reads {
            match tempo.trace(read.id).await {
                Ok(trace) => {
                    read.trace = trace;
                    read.error = None;
                }
                Err(error) => read.error = Some(error.to_string()),
            }
        }
        self.evidence.reads = reads;
    }

    async fn search_all(&mut self, tempo: &Tempo) {
        self.evidence.searches = search::all(tempo, &self.evidence, self.cut).await;
    }

    async fn read_logs(&mut self, loki: &Loki) {
        if let Err(why) = loki.probe().await {
            self.evidence.without.logs = Some(why);
            return;
        }
        let until = Instant::now() + self.scene.deadline;
        let services = Service::ALL.map(Service::name);
        let started = self.evidence.started_unix_nanos;
        let ids: Vec<TraceId> = [Kind::Get, Kind::Failing]
            .into_iter()
            .flat_map(|kind| self.evidence.of(kind))
            .filter_map(Exchange::trace_id)
            .collect();
        for id in ids {
            let logged = logs::wait_for(loki, id, &services, started, until, self.cut).await;
            self.evidence.logs.push(logged);
        }
    }
}

/// A parent that nobody exports.
fn made_up(flags: u8) -> Sent {
    Sent {
        trace_id: TraceId(fastrand::u128(1..).to_be_bytes()),
        span_id: SpanId(fastrand::u64(1..).to_be_bytes()),
        flags,
        exported: false,
    }
}
