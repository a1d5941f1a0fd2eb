//! `tdemo trace`: one trace as a waterfall, or the list of those that a query
//! finds; from Tempo, a running `tdemo up`, a saved run or a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tdemo_trace::otlp::json;
use tdemo_trace::{Trace, TraceId};

use super::connections::Connections;
use super::own;
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
            writeln!(out, "\nall of it:  {} --attributes", again(trace.id, args))?;
        }
        Ok(())
    })?;
    Ok(Exit::Good)
}

/// The command that shows a trace, read from the same place.
fn again(id: TraceId, args: &TraceArgs) -> String {
    let from = args
        .from
        .as_ref()
        .map_or_else(String::new, |file| format!(" --from {}", file.display()));
    format!("tdemo trace {id}{from}{}", args.connections.again())
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
            Some(first) => writeln!(out, "\nlook at the first:  {}", again(first.trace_id, args)),
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
    let stack = own::start(ctx).await?;
    let searched = async {
        import::send(&stack.urls().otlp_http, traces)
            .await
            .map_err(|error| Failure::CouldNotRun(error.to_string()))?;
        let tempo = own::open(&stack.urls().tempo).await?;
        let mut found = Vec::new();
        for window in windows(traces) {
            found.extend(search(&tempo, query, window, limit).await?);
        }
        found.sort_by_key(|found| std::cmp::Reverse(found.start_unix_nanos));
        found.truncate(limit);
        Ok(found)
    }
    .await;
    stack.shutdown().await;
    searched
}

/// Ranges that together hold all of `traces`, none wider than may be searched.
fn windows(traces: &[Trace]) -> Vec<Window> {
    let mut bounds: Vec<(u64, u64)> = traces
        .iter()
        .filter_map(Trace::bounds_unix_nanos)
        .map(|(start, end)| (start / 1_000_000_000, end / 1_000_000_000 + 1))
        .collect();
    bounds.sort_unstable();
    let mut windows: Vec<Window> = Vec::new();
    for (start_s, end_s) in bounds {
        match windows.last_mut() {
            Some(last) if end_s - last.start_s <= Window::MAX_S => {
                last.end_s = last.end_s.max(end_s);
            }
            // A trace that is longer than that is found by its beginning.
            _ => windows.push(Window {
                start_s,
                end_s: end_s.min(start_s + Window::MAX_S),
            }),
        }
    }
    windows
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{span, trace};

    #[test]
    fn old_and_new_runs_are_searched_in_ranges_that_tempo_takes() {
        let at = |hours: u64| {
            let ms = hours * 3_600_000;
            trace(vec![span(1, None, ("a", "b"), (ms, ms + 1_500))])
        };
        let found = windows(&[at(500), at(0), at(100), at(501)]);
        let hours: Vec<_> = found
            .iter()
            .map(|window| (window.end_s - window.start_s) / 3600)
            .collect();
        assert_eq!(hours, [100, 1]);
        assert_eq!(windows(&[]), []);
        let long = trace(vec![span(1, None, ("a", "b"), (0, 1_000_000_000))]);
        let found = windows(&[long]);
        assert_eq!(found[0].end_s - found[0].start_s, Window::MAX_S);
    }
}
