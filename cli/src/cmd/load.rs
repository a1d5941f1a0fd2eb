//! `tdemo load`: sends load to the demo or any URL and checks that each
//! request's trace arrived whole. Called by `cmd`.

mod places;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tdemo_harness::{Stack, StackConfig};
use tdemo_trace::{Tier, TraceId};
use tokio_util::sync::CancellationToken;

use super::connections::Connections;
use super::own;
use crate::audit::{self, Asked, Audit};
use crate::config::OtelVariables;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::load::engine::{self, Run};
use crate::load::plan::{
    DEFAULT_CONNECTIONS, DEFAULT_COUNT, DEFAULT_TIMEOUT, MAX_CONNECTIONS, Plan,
};
use crate::load::report::{Facts, Report, Verdict};
use crate::load::reservoir::Keep;
use crate::render;
use crate::runtime_dir::RuntimeDir;
use crate::saved;
use crate::tempo::Tempo;
use places::Places;

/// The longest duration that a flag takes.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

const EXAMPLES: &str = "\
Examples:
  tdemo load --count 50
      the whole demo in this process: 50 requests, 50 traces of 8 spans
  tdemo load --duration 30s --connections 64 --json
      the same for 30 seconds, and one JSON object as the result
  tdemo load --target http://127.0.0.1:5000 --tempo-url http://127.0.0.1:3200
      a demo that runs elsewhere, its traces looked up in its Tempo
  tdemo load --target http://127.0.0.1:8080/ --count 1000
      any URL; without --tempo-url no trace is looked up

Exit codes: 0 every request answered 2xx and every trace complete, 1 not so,
2 wrong usage, 3 no request ever got an answer, 130 interrupted.";

/// Arguments of `tdemo load`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct LoadArgs {
    /// Requests to send [default: 50, without limit where --duration is given]
    #[arg(short = 'n', long, value_name = "N", value_parser = positive)]
    count: Option<u64>,

    /// Connections that each send one request after the other
    #[arg(short = 'c', long, value_name = "N", default_value_t = DEFAULT_CONNECTIONS, value_parser = connections)]
    connections: usize,

    /// How long to send, as in 30s or 5m; with --count, whichever ends first
    #[arg(short = 'z', long, value_name = "D", value_parser = duration)]
    duration: Option<Duration>,

    /// Time one request may take, connecting included
    #[arg(long, value_name = "D", default_value_t = DEFAULT_TIMEOUT.into(), value_parser = human_duration)]
    timeout: humantime::Duration,

    /// Time the traces may take to arrive after the last answer
    #[arg(long, value_name = "D", default_value_t = audit::DEFAULT_WAIT.into(), value_parser = human_duration)]
    audit_wait: humantime::Duration,

    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,

    /// Keep traces of a stack of this process in this file too (OTLP/JSON, one
    /// object a line): those that the report names first, 500 at most
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    #[command(flatten)]
    places: Connections,
}

fn positive(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("give a whole number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=MAX_CONNECTIONS).contains(&number) => Ok(number),
        _ => Err(format!("give a whole number from 1 to {MAX_CONNECTIONS}")),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("give more than zero".to_owned()),
        Ok(duration) if duration > LONGEST => Err("give at most 30 days".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("give a number and a unit, as in 500ms, 30s or 5m".to_owned()),
    }
}

fn human_duration(text: &str) -> Result<humantime::Duration, String> {
    duration(text).map(Into::into)
}

/// Sends the load, audits its traces, prints the report.
pub async fn run(args: LoadArgs, ctx: &Ctx) -> Result<Exit, Failure> {
    let settings = args.places.settings(ctx, OtelVariables::WithTarget)?;
    let places = Places::new(&settings)?;
    let stack = match places.target {
        Some(_) => None,
        None => Some(start_stack(&places, ctx).await?),
    };
    let scene = Scene::new(&args, &places, stack.as_ref()).await?;
    let run = send(&scene.plan, ctx).await?;
    let audit = match &scene.tempo {
        Some(tempo) => Some(look_up(tempo, &scene.asked, &run, &args, ctx).await),
        None => None,
    };
    let kept = match (&stack, &scene.tempo, &audit) {
        (Some(_), Some(tempo), Some(audit)) => keep_named(tempo, &run, audit, &args, ctx).await,
        _ => false,
    };
    let dropped = match stack {
        Some(stack) => {
            let summary = stack.shutdown().await;
            // What matters is what the audited backend did not get.
            Some(match places.mirror {
                Some(_) if places.tempo.is_some() => summary.mirrors.lost(),
                _ => summary.own.lost(),
            })
        }
        None => None,
    };
    let report = Report::new(
        run,
        Facts {
            target: scene.plan.target.to_string(),
            embedded: places.target.is_none(),
            tempo_url: scene.tempo.as_ref().map(|tempo| tempo.base().to_string()),
            count: scene.plan.count,
            duration_s: args.duration.map(|duration| duration.as_secs_f64()),
            audit,
            dropped,
            interrupted: ctx.interrupted().is_cancelled(),
        },
    );
    let next = next_steps(&report, kept, ctx);
    ctx.print(|out| {
        if args.json {
            render::json::write(out, &report)
        } else {
            render::text::write(out, &report, &next)
        }
    })?;
    conclude(&report)
}

fn conclude(report: &Report) -> Result<Exit, Failure> {
    if report.partial {
        return Ok(Exit::Interrupted);
    }
    if !report.answered() {
        let why = report.requests.error_examples.values().next();
        return Err(Failure::CouldNotRun(format!(
            "no request to {} got an answer: {}; check that it runs (`tdemo up` starts a demo)",
            report.run.target,
            why.map_or("none was sent", String::as_str),
        )));
    }
    Ok(match report.verdict {
        Verdict::Pass => Exit::Good,
        Verdict::Fail => Exit::No,
    })
}

/// Everything a run needs, checked before anything is sent.
struct Scene {
    plan: Plan,
    asked: Asked,
    tempo: Option<Tempo>,
}

impl Scene {
    async fn new(args: &LoadArgs, places: &Places, stack: Option<&Stack>) -> Result<Self, Failure> {
        let unusable = |what: &str, url: &str, error: &dyn std::fmt::Display| {
            Failure::CouldNotRun(format!("{what} {url} cannot be used: {error}"))
        };
        let target = match (&places.target, stack) {
            (Some(target), _) => target.clone(),
            (None, Some(stack)) => {
                let url = &stack.urls().frontend;
                url.parse()
                    .map_err(|error| unusable("the frontend", url, &error))?
            }
            (None, None) => unreachable!("without a target there is a stack"),
        };
        let tempo_url = match (&places.tempo, stack) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(stack)) => {
                let url = &stack.urls().tempo;
                Some(
                    url.parse()
                        .map_err(|error| unusable("the trace store", url, &error))?,
                )
            }
            (None, None) => None,
        };
        let tempo = match tempo_url {
            Some(url) => Some(
                Tempo::open_with(url.clone(), places.headers.clone())
                    .await
                    .map_err(|error| unusable("the trace backend", &url.to_string(), &error))?,
            ),
            None => None,
        };
        let count = match (args.count, args.duration) {
            (None, None) => Some(DEFAULT_COUNT),
            (count, _) => count,
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let plan = Plan {
            count,
            duration: args.duration,
            connections: args.connections,
            threads: cores,
            timeout: args.timeout.into(),
            // The store of this process forgets the oldest traces of a run that
            // makes more than it holds.
            keep: if stack.is_some() {
                Keep::Latest
            } else {
                Keep::Uniform
            },
            ..Plan::new(target)
        };
        Ok(Self {
            asked: Asked {
                method: plan.method.to_string(),
                path: plan.target.path().to_owned(),
                tier: stack.map(|_| Tier::Frontend),
            },
            plan,
            tempo,
        })
    }
}

async fn start_stack(places: &Places, ctx: &Ctx) -> Result<Stack, Failure> {
    let mut config = StackConfig::from_env(&|name| ctx.env(name))
        .map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some((place, url)) = &places.mirror {
        config
            .export_also_to(place, url.as_str())
            .map_err(|error| Failure::Usage(error.to_string()))?;
    }
    config.log_trouble_only();
    note_ignored(&config, ctx);
    Stack::start(config)
        .await
        .map_err(|error| Failure::CouldNotRun(error.to_string()))
}

/// Says once which variables have no say in a stack of this process.
pub(super) fn note_ignored(config: &StackConfig, ctx: &Ctx) {
    if !config.ignored.is_empty() {
        ctx.note(&format!(
            "tdemo: the embedded stack keeps its own names and receiver; ignored: {}",
            config.ignored.join(", ")
        ));
    }
}

/// Carries out the plan behind a progress bar.
async fn send(plan: &Plan, ctx: &Ctx) -> Result<Run, Failure> {
    let progress = Arc::new(engine::Progress::new(plan));
    let bar = render::progress::Progress::new(ctx.progress_target(), plan.count);
    let started = Instant::now();
    let sending = engine::run(plan, &progress, ctx.interrupted());
    watch(sending, &bar, || {
        let (done, failed) = progress.read();
        (
            done,
            render::progress::sending(done, failed, started.elapsed()),
        )
    })
    .await
    .map_err(|error| Failure::CouldNotRun(error.to_string()))
}

/// Looks up the run's traces behind a progress bar.
async fn look_up(tempo: &Tempo, asked: &Asked, run: &Run, args: &LoadArgs, ctx: &Ctx) -> Audit {
    let made = run.tally.traces.items();
    let wanted = made.len() as u64;
    let progress = Arc::new(audit::Progress::default());
    let bar = render::progress::Progress::new(ctx.progress_target(), Some(wanted));
    // The interrupt that ended the sending does not also cut its audit short.
    let cut = if run.stopped {
        CancellationToken::new()
    } else {
        ctx.interrupted().clone()
    };
    let auditing = audit::run(tempo, asked, made, args.audit_wait.into(), &cut, &progress);
    watch(auditing, &bar, || {
        let settled = progress.settled();
        (settled, render::progress::auditing(settled, wanted))
    })
    .await
}

/// Drives `work` while `bar` shows what `read` gives.
async fn watch<T>(
    work: impl Future<Output = T>,
    bar: &render::progress::Progress,
    read: impl Fn() -> (u64, String),
) -> T {
    let mut work = std::pin::pin!(work);
    if bar.is_hidden() {
        return work.await;
    }
    let mut ticks = tokio::time::interval(render::progress::TICK);
    loop {
        tokio::select! {
            result = &mut work => return result,
            _ = ticks.tick() => {
                let (done, message) = read();
                bar.show(done, message);
            }
        }
    }
}

/// Keeps the traces that the report will name, and as many others as there is
/// room for, so that `tdemo trace` finds them when the store of this process has
/// gone. Tells whether it did.
async fn keep_named(tempo: &Tempo, run: &Run, audit: &Audit, args: &LoadArgs, ctx: &Ctx) -> bool {
    let troubled = audit.problems.iter().map(|problem| problem.trace_id);
    let named: BTreeSet<TraceId> = run.tally.slowest.trace_ids().chain(troubled).collect();
    let others = run.tally.traces.items().iter().map(|made| made.id);
    let others = others.filter(|id| !named.contains(id));
    let mut traces = Vec::new();
    for id in named.iter().copied().chain(others).take(saved::MAX_TRACES) {
        // What cannot be read has been counted by the audit.
        traces.extend(tempo.trace(id).await.ok().flatten());
    }
    if let Some(path) = &args.save
        && let Err(error) = saved::write_file(path, &traces)
    {
        ctx.note(&format!("tdemo: --save {}: {error}", path.display()));
    }
    own::keep("load", &traces, ctx)
}

/// What to type next; every line can be typed as it stands.
fn next_steps(report: &Report, kept: bool, ctx: &Ctx) -> Vec<String> {
    if report.run.embedded {
        return vec![match report.exemplars.first() {
            Some(slowest) if kept => {
                format!(
                    "look at the slowest:  tdemo trace {}",
                    &slowest.trace_id[..8]
                )
            }
            _ => "keep the stack running to look around:  tdemo up".to_owned(),
        }];
    }
    match (&report.run.tempo_url, report.exemplars.first()) {
        (Some(tempo), Some(slowest)) => vec![
            "look at the slowest:".to_owned(),
            format!("tdemo trace {} --tempo-url {tempo}", slowest.trace_id),
        ],
        (Some(_), None) => Vec::new(),
        (None, _) => {
            let running = RuntimeDir::of(ctx).running();
            running
                .iter()
                .find(|running| running.serves(&report.run.target))
                .map(|running| {
                    vec![
                        "audit the traces of this running `tdemo up` too:".to_owned(),
                        format!(
                            "tdemo load --target {} --tempo-url {}",
                            report.run.target, running.tempo_url
                        ),
                    ]
                })
                .unwrap_or_default()
        }
    }
}
