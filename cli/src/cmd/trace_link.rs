//! `tdemo trace-link`: where to click to see a trace. Without an id it sends
//! one request and links to that.

use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use tdemo_harness::Stack;
use tdemo_trace::{Answer, Caller, Owed, SpanId, Trace, TraceId};
use tokio::time::Instant;
use url::Url;

use super::connections::Connections;
use super::own;
use crate::backend::{self, Look};
use crate::config::{OtelVariables, Peer, Settings};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::grafana;
use crate::links::{self, Grafana, Range};
use crate::runtime_dir::RuntimeDir;
use crate::saved::{IdPrefix, SavedRuns};
use crate::tempo::Tempo;
use crate::verify::ask::Asker;
use crate::verify::errand::{self, Kind, Service};
use crate::verify::wait;

const EXAMPLES: &str = "\
Examples:
  tdemo trace-link
      sends one request to a running `tdemo up` (or --target, or a stack of its
      own), and links to its trace
  tdemo trace-link 4bf92f3577b34da6a3ce929d0e0e4736 --grafana-url http://grafana:3000 --open
      that trace in Grafana Explore, in the browser
  tdemo trace-link --query '{ status = error }' --profile f3s
      a search, with the Grafana of a profile

The first line is the link alone; without a place to link to it is left out.

Exit codes: 0 printed, 1 there is no such trace, 2 wrong usage, 3 something
could not be reached.";

/// How long the trace of the request sent here may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Arguments of `tdemo trace-link`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TraceLinkArgs {
    /// The trace's id; of a run that tdemo remembers its first digits are
    /// enough [default: send one request, and link to its trace]
    #[arg(value_name = "ID")]
    id: Option<IdPrefix>,

    /// Link to this TraceQL search instead
    #[arg(short = 'q', long, value_name = "TRACEQL", conflicts_with_all = ["id", "span"])]
    query: Option<String>,

    /// Open the trace at this span
    #[arg(long, value_name = "SPAN_ID")]
    span: Option<SpanId>,

    /// Open the link in the browser too
    #[arg(long)]
    open: bool,

    /// Do not look whether the trace is there
    #[arg(long)]
    no_verify: bool,

    #[command(flatten)]
    connections: Connections,
}

/// Prints the link.
pub async fn run(args: TraceLinkArgs, ctx: &Ctx) -> Result<Exit, Failure> {
    let settings = args.connections.settings(ctx, OtelVariables::WithTarget)?;
    if let Some(query) = &args.query {
        let link = place(&settings, ctx).await?.map(|place| match place {
            Place::Grafana(grafana) => grafana.search(query, Range::last_hour(now_ms())),
            Place::Page(page) => links::page_search(&page, query),
        });
        let quoted = query.replace('\'', r"'\''");
        let look = format!("tdemo trace --query '{quoted}'{}", args.connections.again());
        return print(
            &args,
            link.as_ref(),
            &[("TraceQL", query), ("look", &look)],
            ctx,
        );
    }
    match &args.id {
        Some(id) => link_to(id, &args, &settings, ctx).await,
        None => send_and_link(&args, &settings, ctx).await,
    }
}

/// What a link can lead to.
enum Place {
    Grafana(Grafana),
    Page(Url),
}

impl Place {
    fn trace(&self, trace: &Trace, span: Option<SpanId>) -> Url {
        match self {
            Self::Grafana(grafana) => grafana.trace(trace.id, span, Range::of(trace, now_ms())),
            Self::Page(page) => links::page_trace(page, trace.id, span),
        }
    }
}

fn now_ms() -> u64 {
    jiff::Timestamp::now().as_millisecond().unsigned_abs()
}

/// Grafana if it is known, else the page of a running `tdemo up`.
async fn place(settings: &Settings, ctx: &Ctx) -> Result<Option<Place>, Failure> {
    if let Some(base) = &settings.grafana_url {
        let datasource_uid = match &settings.grafana_datasource_uid {
            Some(uid) => uid.clone(),
            None => grafana::tempo_datasource(base, settings.headers_of(Peer::Grafana))
                .await
                .map_err(|error| Failure::CouldNotRun(error.to_string()))?,
        };
        return Ok(Some(Place::Grafana(Grafana {
            base: base.clone(),
            datasource_uid,
        })));
    }
    for running in RuntimeDir::of(ctx).running().iter().rev() {
        if let Some(page) = page(&running.tempo_url).await {
            return Ok(Some(Place::Page(page)));
        }
    }
    Ok(None)
}

/// The page at the root of a trace store, if it serves one.
async fn page(store: &str) -> Option<Url> {
    let url: Url = store.parse().ok()?;
    let body = Asker::new().ok()?.text(url.clone()).await.ok()?;
    body.trim_start()
        .to_ascii_lowercase()
        .starts_with("<!doctype html")
        .then_some(url)
}

async fn link_to(
    id: &IdPrefix,
    args: &TraceLinkArgs,
    settings: &Settings,
    ctx: &Ctx,
) -> Result<Exit, Failure> {
    let place = place(settings, ctx).await?;
    if args.no_verify {
        let trace = Trace::empty(id.padded());
        return print_trace(args, place.as_ref(), &trace, ctx);
    }
    let settings = with_datasource(settings, place.as_ref());
    let backends = backend::open(&settings, ctx).await?;
    // A saved run has no page: it counts only where there is no link to give.
    let saved = SavedRuns::of(&|name| ctx.env(name));
    let whole = whole_id(id, saved.as_ref())?;
    let saved = saved.filter(|_| place.is_none());
    match backend::look(&whole, &backends, saved.as_ref()).await? {
        Look::Here(trace) => print_trace(args, place.as_ref(), &trace, ctx),
        Look::Nowhere { id, asked } => {
            ctx.note(&format!(
                "tdemo: {}; it may not have arrived yet (--no-verify links all the same)",
                backend::nowhere(id, &asked)
            ));
            Ok(Exit::No)
        }
    }
}

/// The settings with the data source that Grafana named, so that a backend
/// behind Grafana can be asked.
fn with_datasource(settings: &Settings, place: Option<&Place>) -> Settings {
    let mut settings = settings.clone();
    if let Some(Place::Grafana(grafana)) = place {
        settings.grafana_datasource_uid = Some(grafana.datasource_uid.clone());
    }
    settings
}

/// The whole id behind the beginning of one that is saved.
fn whole_id(id: &IdPrefix, saved: Option<&SavedRuns>) -> Result<IdPrefix, Failure> {
    let found = match (id.whole(), saved) {
        (None, Some(saved)) => backend::remembered(id, saved)?,
        _ => None,
    };
    Ok(found.map_or_else(|| id.clone(), |trace| trace.id.into()))
}

async fn send_and_link(
    args: &TraceLinkArgs,
    settings: &Settings,
    ctx: &Ctx,
) -> Result<Exit, Failure> {
    let running = RuntimeDir::of(ctx).running().pop();
    let target = match (&settings.target, &running) {
        (Some(target), _) => target.clone(),
        (None, Some(running)) => parse(&running.frontend_url)?,
        (None, None) => return send_to_own(args, ctx).await,
    };
    let (id, owed) = ask(&target).await?;
    let place = place(settings, ctx).await?;
    let backends = backend::open(&with_datasource(settings, place.as_ref()), ctx).await?;
    let trace = match backends.first() {
        Some(backend) if !args.no_verify => arrived(&backend.tempo, id, &owed, ctx).await?,
        _ => Trace::empty(id),
    };
    print_trace(args, place.as_ref(), &trace, ctx)
}

/// Starts a stack of our own for the one request. On a terminal it keeps
/// serving, so that the link leads somewhere; else there is no link to give.
async fn send_to_own(args: &TraceLinkArgs, ctx: &Ctx) -> Result<Exit, Failure> {
    let stack = own::start(ctx).await?;
    let linked = link_to_own(args, &stack, ctx).await;
    stack.shutdown().await;
    linked
}

async fn link_to_own(args: &TraceLinkArgs, stack: &Stack, ctx: &Ctx) -> Result<Exit, Failure> {
    let (id, owed) = ask(&parse(&stack.urls().frontend)?).await?;
    let tempo = own::open(&stack.urls().tempo).await?;
    let trace = arrived(&tempo, id, &owed, ctx).await?;
    own::keep("trace-link", std::slice::from_ref(&trace), ctx);
    let page = if ctx.is_terminal() {
        page(&stack.urls().tempo).await
    } else {
        None
    };
    let place = page.map(Place::Page);
    let exit = print_trace(args, place.as_ref(), &trace, ctx)?;
    if place.is_some() {
        ctx.note("serving until Ctrl-C");
        ctx.interrupted().cancelled().await;
    }
    Ok(exit)
}

fn parse(url: &str) -> Result<Url, Failure> {
    url.parse()
        .map_err(|error| Failure::CouldNotRun(format!("{url} is no URL: {error}")))
}

/// Sends one request; gives the id of its trace and what it owes.
async fn ask(target: &Url) -> Result<(TraceId, Owed), Failure> {
    let asker =
        Asker::new().map_err(|error| Failure::CouldNotRun(format!("no HTTP client: {error}")))?;
    let errand = errand::errands(&[Service::Frontend], false, false)
        .into_iter()
        .find(|errand| errand.kind == Kind::Get)
        .expect("the frontend is always asked");
    let exchange = asker.send(target, &errand, None).await;
    let (Some(response), Some(status)) = (exchange.response(), exchange.status()) else {
        return Err(Failure::CouldNotRun(match exchange.failure() {
            Some(error) => format!("{} {}: {error}", exchange.method, exchange.url),
            None => format!(
                "the answer to {} {} names no trace (it has no traceresponse header)",
                exchange.method, exchange.url
            ),
        }));
    };
    let owed = Owed::demo(&Answer {
        tier: Some(Service::Frontend.tier()),
        method: &exchange.method,
        path: errand.path,
        status,
        sampled: response.sampled,
        caller: Caller::Silent,
    });
    Ok((response.trace_id, owed))
}

/// Waits until the trace has arrived.
async fn arrived(tempo: &Tempo, id: TraceId, owed: &Owed, ctx: &Ctx) -> Result<Trace, Failure> {
    let until = Instant::now() + ARRIVAL;
    let waited = wait::for_trace(
        tempo,
        id,
        |trace| wait::is_whole(owed, trace),
        until,
        ctx.interrupted(),
    )
    .await;
    match waited.last {
        Ok(Some(trace)) => Ok(trace),
        Ok(None) => Err(Failure::CouldNotRun(format!(
            "trace {id} did not arrive in {} within {} s; --no-verify links all the same",
            tempo.base(),
            ARRIVAL.as_secs()
        ))),
        Err(error) => Err(Failure::CouldNotRun(error.to_string())),
    }
}

fn print_trace(
    args: &TraceLinkArgs,
    place: Option<&Place>,
    trace: &Trace,
    ctx: &Ctx,
) -> Result<Exit, Failure> {
    let link = place.map(|place| place.trace(trace, args.span));
    let id = trace.id.to_string();
    let traceql = links::traceql(trace.id);
    let look = format!("tdemo trace {id}{}", args.connections.again());
    let lines = [("id", id.as_str()), ("TraceQL", &traceql), ("look", &look)];
    print(args, link.as_ref(), &lines, ctx)
}

fn print(
    args: &TraceLinkArgs,
    link: Option<&Url>,
    lines: &[(&str, &str)],
    ctx: &Ctx,
) -> Result<Exit, Failure> {
    ctx.print(|out| {
        if let Some(link) = link {
            writeln!(out, "{link}")?;
        }
        for (name, value) in lines {
            writeln!(out, "{name:<8} {value}")?;
        }
        Ok(())
    })?;
    if link.is_none() {
        ctx.note("no link: give --grafana-url, or keep a stack running with `tdemo up`");
    }
    if args.open {
        match link {
            Some(link) => open(link)?,
            None => {
                return Err(Failure::Usage(
                    "--open: there is no link to open".to_owned(),
                ));
            }
        }
    }
    Ok(Exit::Good)
}

/// Hands the link to the desktop.
fn open(link: &Url) -> Result<(), Failure> {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let status = Command::new(program)
        .arg(link.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::CouldNotRun(format!(
            "{program} could not open the link: {status}"
        ))),
        Err(error) => Err(Failure::CouldNotRun(format!(
            "{program} cannot be run: {error}"
        ))),
    }
}
