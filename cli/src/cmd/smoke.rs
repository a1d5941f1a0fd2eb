//! `tdemo smoke`: one pass of requests, every trace read back and judged, a
//! verdict. Called by `cmd`.

mod scene;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tdemo_trace::Trace;
use tdemo_trace::expect::Expectation;

use super::connections::Connections;
use super::own;
use crate::config::OtelVariables;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::render;
use crate::saved;
use crate::verify::asked;
use crate::verify::evidence::Evidence;
use crate::verify::judge;
use crate::verify::report::{Group, Outcome, Report, Verdict};

const EXAMPLES: &str = "\
Examples:
  tdemo smoke
      a stack of its own: requests, traces, searches, verdict
  tdemo smoke --target http://127.0.0.1:5000 --tempo-url http://127.0.0.1:3200
      a demo that runs elsewhere; --middleware-url, --backend-url,
      --otlp-endpoint and --loki-url let it look at more
  tdemo smoke --format junit -o smoke.xml --strict
      for a pipeline, in which nothing may be skipped
  tdemo smoke --target http://shop.example/cart --tempo-url http://tempo:3200 --expect shop.json
      your own service: its trace must hold what the file says
  tdemo smoke --replay smoke-4bf92f35.json
      judges again what a failed run saw, offline

What is asserted, one line each: cli/docs/smoke.md.

Exit codes: 0 every assertion holds, 1 one does not, 2 wrong usage, 3 the
target or a backend could not be reached, 130 interrupted.";

const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// How the verdict is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// `JUnit` XML
    Junit,
    /// Annotations of a GitHub Actions job
    Github,
}

/// A group of checks, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left(Group);

impl ValueEnum for Left {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Left; Group::ALL.len()] = {
            let mut all = [Left(Group::Services); Group::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = Left(Group::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

/// Arguments of `tdemo smoke`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SmokeArgs {
    /// How to write the verdict
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Write it into this file, and the text to stdout
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// What the traces of your own service must hold (JSON; the form is in
    /// services/trace/schema/expect.schema.json); --target is then requested as
    /// it stands
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Fail when something could not be looked at
    #[arg(long)]
    strict: bool,

    /// Leave these checks out
    #[arg(
        long,
        value_name = "GROUP",
        value_enum,
        value_delimiter = ',',
        hide_possible_values = false
    )]
    skip: Vec<Left>,

    /// How long all traces together may take to arrive, by id
    #[arg(long, value_name = "D", default_value_t = DEFAULT_DEADLINE.into())]
    deadline: humantime::Duration,

    /// Where the evidence goes [default: when it fails, smoke-TRACE.json here]
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,

    /// Judge this evidence again instead of sending anything
    #[arg(long, value_name = "FILE", conflicts_with_all = ["expect", "skip", "evidence"])]
    replay: Option<PathBuf>,

    /// Keep the run's traces in this file too (OTLP/JSON, one object a line)
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    #[command(flatten)]
    connections: Connections,
}

/// Runs it.
pub async fn run(args: SmokeArgs, ctx: &Ctx) -> Result<Exit, Failure> {
    let output = args.output.as_deref().map(create).transpose()?;
    if let Some(file) = &args.replay {
        let evidence = Evidence::read(file).map_err(|error| Failure::Usage(error.to_string()))?;
        let report = judge::judge(&evidence, args.strict);
        return print(&report, &replayed(&report), &args, output, ctx);
    }
    let expect = args.expect.as_deref().map(read_expectation).transpose()?;
    let settings = args.connections.settings(ctx, OtelVariables::WithTarget)?;
    let mut evidence = match &settings.target {
        Some(target) => scene::remote(target, &settings, expect.as_ref(), &args, ctx).await?,
        None => scene::embedded(expect.as_ref(), &args, ctx).await?,
    };
    evidence.expect = expect.map(|expect| expect.text);
    let mut report = judge::judge(&evidence, args.strict);
    keep_traces(&evidence, &args, ctx);
    let failed = report.verdict == Verdict::Fail && !report.partial;
    if failed || args.evidence.is_some() {
        report.evidence = Some(write_evidence(&mut evidence, &report, &args)?);
    }
    let next = next(&report, &args);
    let exit = print(&report, &next, &args, output, ctx)?;
    Ok(if report.partial {
        Exit::Interrupted
    } else {
        exit
    })
}

/// An expectation file, read and as it stands.
struct Expected {
    read: Arc<Expectation>,
    text: serde_json::Value,
}

fn read_expectation(path: &Path) -> Result<Expected, Failure> {
    let bad = |error: &dyn std::fmt::Display| {
        Failure::Usage(format!("--expect {}: {error}", path.display()))
    };
    let bytes = std::fs::read(path).map_err(|error| bad(&error))?;
    Ok(Expected {
        read: Arc::new(Expectation::from_json(&bytes).map_err(|error| bad(&error))?),
        text: serde_json::from_slice(&bytes).map_err(|error| bad(&error))?,
    })
}

/// Opens the output before the run: that it cannot be written is known at once.
fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|error| Failure::Usage(format!("-o {}: {error}", path.display())))
}

/// Keeps the traces where they would be gone with the stack. That they cannot
/// be kept changes no verdict.
fn keep_traces(evidence: &Evidence, args: &SmokeArgs, ctx: &Ctx) {
    let traces: Vec<Trace> = asked::traces(evidence).cloned().collect();
    if evidence.embedded {
        own::keep("smoke", &traces, ctx);
    }
    if let Some(path) = &args.save
        && let Err(error) = saved::write_file(path, &traces)
    {
        ctx.note(&format!("tdemo: --save {}: {error}", path.display()));
    }
}

/// Writes the evidence with the verdict in it; gives the file's name.
fn write_evidence(
    evidence: &mut Evidence,
    report: &Report,
    args: &SmokeArgs,
) -> Result<String, Failure> {
    evidence.verdict = serde_json::to_value(report).ok();
    let path = args.evidence.clone().unwrap_or_else(|| {
        let id = first_trace(report)
            .map_or_else(|| std::process::id().to_string(), |id| id[..8].to_owned());
        format!("smoke-{id}.json").into()
    });
    let written = File::create(&path).and_then(|file| {
        let mut file = std::io::BufWriter::new(file);
        serde_json::to_writer_pretty(&mut file, &evidence)?;
        file.write_all(b"\n")?;
        file.flush()
    });
    match written {
        Ok(()) => Ok(path.display().to_string()),
        Err(error) => Err(Failure::CouldNotRun(format!(
            "the evidence cannot be written to {}: {error}",
            path.display()
        ))),
    }
}

/// The trace to look at first: the one that failed, or the first one.
fn first_trace(report: &Report) -> Option<String> {
    let failed = report.checks.iter().find_map(|check| match &check.outcome {
        Outcome::Failed { findings } => findings.iter().find_map(|finding| finding.trace_id),
        _ => None,
    });
    let of_process = || {
        report
            .requests
            .iter()
            .filter(|sent| sent.request.ends_with("/api/process"))
            .find_map(|sent| sent.trace_id)
    };
    let any = || report.requests.iter().find_map(|sent| sent.trace_id);
    failed
        .or_else(of_process)
        .or_else(any)
        .map(|id| id.to_string())
}

/// What to type next; every line can be typed as it stands.
fn next(report: &Report, args: &SmokeArgs) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(file) = &report.evidence {
        lines.push(format!(
            "judge the evidence again:  tdemo smoke --replay {file}"
        ));
    }
    if let Some(id) = first_trace(report).filter(|_| report.tempo_url.is_some()) {
        let again = args.connections.again();
        lines.push(format!("look at a trace of it:  tdemo trace {id}{again}"));
    }
    lines
}

/// The backend of a replayed run may be long gone.
fn replayed(report: &Report) -> Vec<String> {
    let traces = first_trace(report).is_some();
    if traces {
        vec!["its traces stand in the file, under reads[].trace, as OTLP/JSON".to_owned()]
    } else {
        Vec::new()
    }
}

fn print(
    report: &Report,
    next: &[String],
    args: &SmokeArgs,
    output: Option<File>,
    ctx: &Ctx,
) -> Result<Exit, Failure> {
    let format = if args.json { Format::Json } else { args.format };
    let mut shown = format;
    if let Some(file) = output {
        let mut file = anstream::StripStream::new(file);
        write(format, report, next, &mut file)?;
        shown = Format::Text;
    }
    ctx.print(|out| write(shown, report, next, out))?;
    Ok(match report.verdict {
        Verdict::Pass => Exit::Good,
        Verdict::Fail => Exit::No,
    })
}

fn write(
    format: Format,
    report: &Report,
    next: &[String],
    out: &mut dyn Write,
) -> std::io::Result<()> {
    match format {
        Format::Text => render::smoke::text(report, next, out),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, report)?;
            writeln!(out)
        }
        Format::Junit => render::junit::write(report, out),
        Format::Github => render::github::write(report, out),
    }
}
