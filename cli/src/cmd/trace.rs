//! `tdemo trace`: one trace as a waterfall, or the list of those that a query
//! finds; from Tempo, a running `tdemo up`, a saved run or a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tdemo_harness::{Stack, StackConfig};
use tdemo_trace::Trace;
use tdemo_trace::otlp::json;

use super::connections::Connections;
use crate::backend::{self, Look};
use crate::config::{OtelVariables, Settings};
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::import;
use crate::render::{self, waterfall::Look as Drawing};
use crate::saved::{self, IdPrefix, SavedRuns};
use crate::tempo::{Match, Tempo, Window};

const EXAMPLES: &str = "\
Examples:
  tdemo trace 4bf92f35
      a trace of a run that tdemo remembers, by the beginning of its id
  tdemo trace 4bf92f3577b34da6a3ce929d0e0e4736 --attributes
      from a running `tdemo up` (or --tempo-url, or a saved run), with everything
  tdemo trace --query '{ duration > 200ms }' --tempo-url http://127.0.0.1:3200
      what a TraceQL search finds there in the last hour
  tdemo trace 4bf92f35 --json | jq
      OTLP/JSON
  tdemo trace 4bf92f35 --from traces.json
      out of a file that the OpenTelemetry Collector's file exporter wrote

Exit codes: 0 shown, 1 there is no such trace, 2 wrong usage, 3 a backend or a
file could not be read.";

const DEFAULT_LIMIT: usize = 20;
/// What [`Tempo::search`] is asked for at most.
const MAX_LIMIT: usize = 1_000;
const DEFAULT_SINCE: Duration = Duration::from_secs(3600);

/// Arguments of `tdemo trace`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TraceArgs {
    /// The trace's id; of a run that tdemo remembers its first digits are enough
    #[arg(value_name = "ID", required_unless_present = "query")]
    id: Option<IdPrefix>,

    /// List the traces that this TraceQL query finds
    #[arg(short = 'q', long, value_name = "TRACEQL", conflicts_with = "id")]
    query: Option<String>,

    /// How many traces a query lists at most
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT, value_parser = limit, requires = "query")]
    limit: usize,

    /// How far back a query looks; saved runs are searched whole
    #[arg(long, value_name = "D", default_value_t = DEFAULT_SINCE.into(), requires = "query")]
    since: humantime::Duration,

    /// Show attributes, events, links and resources too
    #[arg(short = 'a', long, conflicts_with = "query")]
    attributes: bool,

    /// Read this file (OTLP/JSON, one object a line) instead of a backend
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Print OTLP/JSON; of a query one object that lists what it found
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connections: Connections,
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=MAX_LIMIT).contains(&number) => Ok(number),
        _ => Err(format!("give a whole number from 1 to {MAX_LIMIT}")),
    }
}

/// Shows a trace, or lists those that a query finds.
pub async fn run(args: TraceArgs, ctx: &Ctx) -> Result<Exit, Failure> {
    let settings = args.connections.settings(ctx, OtelVariables::WithTarget)?;
    match (&args.id, &args.query) {
        (Some(id), _) => show(id, &args, &settings, ctx).await,
        (None, Some(query)) => list(query, &args, &settings, ctx).await,
        (None, None) => unreachable!("clap asks for one of them"),
    }
}

async fn show(
    id: &IdPrefix,
    args: &TraceArgs,
    settings: &Settings,
    ctx: &Ctx,
) -> Result<Exit, Failure> {
    let look = if let Some(file) = &args.from {
        backend::look_into(id, file)?
    } else {
        let backends = backend::open(settings, ctx).await?;
        let saved = SavedRuns::of(&|name| ctx.env(name));
        backend::look(id, &backends, saved.as_ref()).await?
    };
    let trace = match look {
        Look::Here(trace) => trace,
        Look::Nowhere { id, asked } => {
            ctx.note(&format!("tdemo: {}", backend::nowhere(id, &asked)));
            return Ok(Exit::No);
        }
    };
    let drawing = Drawing {
        columns: ctx.columns(),
        attributes: args.attributes,
    };
    ctx.print(|out| {
        if args.json {
            return writeln!(out, "{}", json::encode(&trace.to_otlp()));
        }
        render::waterfall::waterfall(&trace, drawing, out)?;
        if !args.attributes {
            writeln!(out, "\nall of it:  {}", again(&trace, args))?;
        }
        Ok(())
    })?;
    Ok(Exit::Good)
}

/// The command that shows the trace with its attributes.
fn again(trace: &Trace, args: &TraceArgs) -> String {
    let from = args
        .from
        .as_ref()
        .map_or_else(String::new, |file| format!(" --from {}", file.display()));
    format!("tdemo trace {} --attributes{from}", trace.id)
}

async fn list(
    query: &str,
    args: &TraceArgs,
    settings: &Settings,
    ctx: &Ctx,
) -> Result<Exit, Failure> {
    let found = match &args.from {
        Some(file) => search_file(query, file, args.limit, ctx).await?,
        None => search_backends(query, args, settings, ctx).await?,
    };
    ctx.print(|out| {
        if args.json {
            return render::matches::json(query, &found, out);
        }
        render::matches::text(&found, ctx.columns(), out)?;
        match found.first() {
            None => writeln!(out, "no trace matches"),
            Some(first) => writeln!(out, "\nlook at the first:  tdemo trace {}", first.trace_id),
        }
    })?;
    Ok(if found.is_empty() {
        Exit::No
    } else {
        Exit::Good
    })
}

async fn search_backends(
    query: &str,
    args: &TraceArgs,
    settings: &Settings,
    ctx: &Ctx,
) -> Result<Vec<Match>, Failure> {
    let backends = backend::open(settings, ctx).await?;
    if let Some(backend) = backends.first() {
        let now_s = jiff::Timestamp::now().as_second().unsigned_abs();
        let window = Window {
            start_s: now_s.saturating_sub(args.since.as_secs()),
            // What was stored within this second is found too.
            end_s: now_s + 1,
        };
        return search(&backend.tempo, query, window, args.limit).await;
    }
    let saved = SavedRuns::of(&|name| ctx.env(name));
    let mut traces = Vec::new();
    for file in saved.iter().flat_map(SavedRuns::files) {
        traces.extend(read(&file)?);
    }
    if traces.is_empty() {
        return Err(Failure::CouldNotRun(
            "there is nothing to search: no --tempo-url, no running `tdemo up`, no saved run"
                .to_owned(),
        ));
    }
    search_traces(query, &traces, args.limit, ctx).await
}

async fn search_file(
    query: &str,
    file: &Path,
    limit: usize,
    ctx: &Ctx,
) -> Result<Vec<Match>, Failure> {
    search_traces(query, &read(file)?, limit, ctx).await
}

fn read(file: &Path) -> Result<Vec<Trace>, Failure> {
    saved::read_file(file).map_err(|error| Failure::CouldNotRun(error.to_string()))
}

/// Searches `traces` in a store of our own, so that a query means the same
/// everywhere.
async fn search_traces(
    query: &str,
    traces: &[Trace],
    limit: usize,
    ctx: &Ctx,
) -> Result<Vec<Match>, Failure> {
    let bounds = traces.iter().filter_map(Trace::bounds_unix_nanos);
    let Some((start, end)) = bounds.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1))) else {
        return Ok(Vec::new());
    };
    let window = Window {
        start_s: start / 1_000_000_000,
        end_s: end / 1_000_000_000 + 1,
    };
    let config = StackConfig::from_env(&|name| ctx.env(name))
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let stack = Stack::start(config)
        .await
        .map_err(|error| Failure::CouldNotRun(error.to_string()))?;
    let searched = async {
        import::send(&stack.urls().otlp_http, traces)
            .await
            .map_err(|error| Failure::CouldNotRun(error.to_string()))?;
        let url = stack.urls().tempo.parse().map_err(|error| {
            Failure::CouldNotRun(format!("the address of our own store is no URL: {error}"))
        })?;
        let tempo = Tempo::open(url)
            .await
            .map_err(|error| Failure::CouldNotRun(error.to_string()))?;
        search(&tempo, query, window, limit).await
    }
    .await;
    stack.shutdown().await;
    searched
}

async fn search(
    tempo: &Tempo,
    query: &str,
    window: Window,
    limit: usize,
) -> Result<Vec<Match>, Failure> {
    tempo.search(query, window, limit).await.map_err(|error| {
        // What is wrong with the query is the caller's to mend.
        if error.is_refusal() {
            Failure::Usage(error.to_string())
        } else {
            Failure::CouldNotRun(error.to_string())
        }
    })
}
