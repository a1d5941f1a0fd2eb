//! A load report for people: 80 columns, the verdict last with what to type
//! next. Colour repeats what words and marks say; whoever prints it strips the
//! colour where it is not wanted.

use std::fmt::Write as _;
use std::io::{self, Write};

use owo_colors::OwoColorize as _;

use super::number::{count, duration_ms, per_second, plural};
use crate::load::report::{HistogramBar, LatencySummary, Report, Traces, Verdict};

/// Columns of the widest bar.
const BAR_COLUMNS: usize = 40;
/// How many of the slowest traces are listed.
const SLOWEST_LISTED: usize = 3;
/// How many troubled traces are described, and how many lines each takes.
const PROBLEMS_LISTED: usize = 3;
const LINES_A_PROBLEM: usize = 3;

/// Writes the report; `next` is what to type next.
pub fn write(out: &mut dyn Write, report: &Report, next: &[String]) -> io::Result<()> {
    writeln!(out, "{}\n", heading(report))?;
    write_requests(out, report)?;
    if report.latency_ms.p50.is_some() {
        write_latency(out, "latency", &report.latency_ms)?;
    }
    if report.failed_latency_ms.p50.is_some() {
        write_latency(out, "failed", &report.failed_latency_ms)?;
    }
    write_histogram(out, &report.histogram)?;
    write_slowest(out, report)?;
    write_traces(out, report)?;
    write_verdict(out, report, next)
}

/// What ran against what, and how.
fn heading(report: &Report) -> String {
    let run = &report.run;
    let target = if run.embedded {
        format!("embedded stack, GET {}", run.target)
    } else {
        format!("GET {}", run.target)
    };
    let mut how: Vec<String> = Vec::new();
    how.extend(run.count.map(|count| plural(count, "request")));
    how.extend(run.duration_s.map(|seconds| duration_ms(seconds * 1e3)));
    how.push(plural(run.connections as u64, "connection"));
    how.push("closed loop".to_owned());
    format!("load → {target}\n       {}", how.join(", "))
}

fn write_requests(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let requests = &report.requests;
    let failed = format!("{} failed", count(requests.failed));
    writeln!(
        out,
        "requests   {} ok   {}   in {}   {}",
        count(requests.ok),
        if requests.failed == 0 {
            failed
        } else {
            failed.red().to_string()
        },
        duration_ms(report.run.elapsed_s * 1e3),
        per_second(report.rate.achieved_per_s),
    )?;
    if !requests.by_status.is_empty() {
        let by_status: Vec<String> = requests
            .by_status
            .iter()
            .map(|(status, times)| format!("{status} × {}", count(*times)))
            .collect();
        writeln!(out, "status     {}", by_status.join("   "))?;
    }
    for (at, (class, times)) in requests.errors.iter().enumerate() {
        let label = if at == 0 { "errors" } else { "" };
        writeln!(out, "{label:<10} {class} × {}", count(*times))?;
        if let Some(example) = requests.error_examples.get(class) {
            writeln!(out, "{:<10}   {example}", "")?;
        }
    }
    Ok(())
}

fn write_latency(out: &mut dyn Write, label: &str, latency: &LatencySummary) -> io::Result<()> {
    let columns = [
        ("min", latency.min),
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p95", latency.p95),
        ("p99", latency.p99),
        ("p99.9", latency.p99_9),
        ("max", latency.max),
        ("mean", latency.mean),
    ];
    let mut head = format!("{label:<8}");
    let mut values = " ".repeat(8);
    for (name, value) in columns {
        let _ = write!(head, " {name:>8}");
        let _ = write!(values, " {:>8}", value.map(duration_ms).unwrap_or_default());
    }
    writeln!(out, "{head}\n{values}")
}

fn write_histogram(out: &mut dyn Write, bars: &[HistogramBar]) -> io::Result<()> {
    let Some(most) = bars
        .iter()
        .map(|bar| bar.count)
        .max()
        .filter(|most| *most > 0)
    else {
        return Ok(());
    };
    writeln!(out)?;
    for bar in bars {
        writeln!(
            out,
            "{:>10}  {:<BAR_COLUMNS$}  {:>9}",
            duration_ms(bar.from_ms),
            blocks(bar.count, most),
            count(bar.count)
        )?;
    }
    writeln!(out)
}

/// A bar in eighths of a column; whatever is not nothing shows.
fn blocks(count: u64, most: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(count) * BAR_COLUMNS as u128 * 8 / u128::from(most.max(1));
    let eighths = usize::try_from(eighths)
        .expect("at most eight times the columns")
        .max(usize::from(count > 0));
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

fn write_slowest(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    for (at, slow) in report.exemplars.iter().take(SLOWEST_LISTED).enumerate() {
        let label = if at == 0 { "slowest" } else { "" };
        let latency = duration_ms(slow.latency_ms);
        writeln!(out, "{label:<8} {latency:>8}  {}", slow.trace_id)?;
    }
    Ok(())
}

fn write_traces(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Some(traces) = &report.traces else {
        return writeln!(
            out,
            "traces     not audited: no trace backend was given (--tempo-url)"
        );
    };
    let mut line = format!(
        "traces     {} of {} complete",
        count(traces.complete),
        count(traces.looked_up)
    );
    for (number, what) in [
        (traces.incomplete, "incomplete"),
        (traces.missing, "missing"),
        (traces.unread, "not readable"),
    ] {
        if number > 0 {
            let _ = write!(line, ", {}", format!("{} {what}", count(number)).red());
        }
    }
    if let (Some(stored), Some(expected)) = (report.spans.stored, report.spans.expected) {
        let _ = write!(line, ", {} of {} spans", count(stored), count(expected));
    }
    if let Some(dropped) = report.spans.dropped {
        let _ = write!(line, ", {} dropped", count(dropped));
    }
    writeln!(out, "{line}")?;
    write_asides(out, traces)?;
    for problem in traces.problems.iter().take(PROBLEMS_LISTED) {
        writeln!(
            out,
            "   {} {}   {}",
            "✗".red(),
            problem.trace_id,
            problem.state
        )?;
        for what in problem.what.iter().take(LINES_A_PROBLEM) {
            writeln!(out, "       {what}")?;
        }
        if problem.what.len() > LINES_A_PROBLEM {
            writeln!(
                out,
                "       and {} more",
                problem.what.len() - LINES_A_PROBLEM
            )?;
        }
    }
    Ok(())
}

/// What the line of the traces leaves out, where there is any.
fn write_asides(out: &mut dyn Write, traces: &Traces) -> io::Result<()> {
    if traces.looked_up < traces.expected {
        writeln!(
            out,
            "           a random sample of the {} that were made",
            count(traces.expected)
        )?;
    }
    if traces.unsampled > 0 {
        writeln!(
            out,
            "           {} not recorded, by the target's sampler",
            plural(traces.unsampled, "trace")
        )?;
    }
    if traces.untraced > 0 {
        writeln!(
            out,
            "           {} named no trace (no traceresponse header)",
            plural(traces.untraced, "answer")
        )?;
    }
    Ok(())
}

fn write_verdict(out: &mut dyn Write, report: &Report, next: &[String]) -> io::Result<()> {
    let (first, rest) = next
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    writeln!(out)?;
    for check in report.checks.iter().filter(|check| !check.ok) {
        writeln!(
            out,
            "{} {}: {}, and the limit is {}",
            "✗".red(),
            check.metric,
            check.value,
            check.limit
        )?;
    }
    if report.partial {
        writeln!(out, "! interrupted: this is what was measured by then")?;
    }
    let verdict = match report.verdict {
        Verdict::Pass => "PASS".green().bold().to_string(),
        Verdict::Fail => "FAIL".red().bold().to_string(),
    };
    writeln!(out, "{}", format!("{verdict}   {first}").trim_end())?;
    for line in rest {
        writeln!(out, "       {line}")?;
    }
    Ok(())
}
