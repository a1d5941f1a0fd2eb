//! A load report for people: 80 columns, the verdict last with what to type
//! next. Colour repeats what words and marks say; whoever prints it strips the
//! colour where it is not wanted.

use std::fmt::Write as _;
use std::io::{self, Write};

use owo_colors::OwoColorize as _;

use super::number::{count, duration_ms, per_second, plural};
use crate::load::report::{HistogramBar, LatencySummary, Report, Traces, Verdict};
use crate::load::reservoir::Keep;

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
    if let Some(keep) = traces.sample {
        let which = match keep {
            Keep::Uniform => "a random sample of the",
            Keep::Latest => "the latest of the",
        };
        let made = count(traces.expected);
        writeln!(out, "           {which} {made} that were made")?;
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http::StatusCode;
    use tdemo_trace::{SpanId, TraceId};

    use super::*;
    use crate::audit::{Audit, Problem, State};
    use crate::load::engine::Run;
    use crate::load::report::Facts;
    use crate::load::sample::{Answer, ErrorClass, Failure, Sample, Tally};
    use crate::load::traceresponse::TraceResponse;

    fn run(samples: impl IntoIterator<Item = (u64, Result<u16, ErrorClass>)>) -> Run {
        let start = Instant::now();
        let mut tally = Tally::new(Keep::Uniform, 1, 1);
        for (at, (us, outcome)) in (1u8..).zip(samples) {
            tally.record(Sample {
                intended: start,
                done: start + Duration::from_micros(us),
                outcome: outcome
                    .map(|status| Answer {
                        status: StatusCode::from_u16(status).unwrap(),
                        body_bytes: 100,
                        trace: Some(TraceResponse {
                            trace_id: TraceId([at; 16]),
                            span_id: SpanId([1; 8]),
                            sampled: true,
                        }),
                    })
                    .map_err(|class| Failure {
                        class,
                        detail: "connect to 127.0.0.1:5000: Connection refused".to_owned(),
                    }),
            });
        }
        Run {
            tally,
            elapsed: Duration::from_millis(500),
            connections: 2,
            stopped: false,
        }
    }

    fn said(report: &Report, next: &[&str]) -> String {
        let next: Vec<String> = next.iter().map(|line| (*line).to_owned()).collect();
        let mut text = Vec::new();
        write(&mut text, report, &next).unwrap();
        anstream::adapter::strip_str(std::str::from_utf8(&text).unwrap()).to_string()
    }

    #[test]
    fn a_good_run() {
        let report = Report::new(
            run([(1_000, Ok(200)), (1_000, Ok(200)), (2_000, Ok(200))]),
            Facts {
                target: "http://127.0.0.1:5000/api/process".to_owned(),
                embedded: true,
                count: Some(3),
                audit: Some(Audit {
                    complete: 3,
                    spans_expected: 24,
                    spans_stored: 24,
                    ..Audit::default()
                }),
                dropped: Some(0),
                ..Facts::default()
            },
        );
        let expected = "\
load → embedded stack, GET http://127.0.0.1:5000/api/process
       3 requests, 2 connections, closed loop

requests   3 ok   0 failed   in 500 ms   6.00/s
status     200 × 3
latency       min      p50      p90      p95      p99    p99.9      max     mean
          1.00 ms  1.00 ms  2.00 ms  2.00 ms  2.00 ms  2.00 ms  2.00 ms  1.33 ms

   1.00 ms  ████████████████████████████████████████          2
   1.09 ms                                                    0
   1.19 ms                                                    0
   1.30 ms                                                    0
   1.41 ms                                                    0
   1.54 ms                                                    0
   1.68 ms                                                    0
   1.83 ms  ████████████████████                              1

slowest   2.00 ms  03030303030303030303030303030303
          1.00 ms  02020202020202020202020202020202
          1.00 ms  01010101010101010101010101010101
traces     3 of 3 complete, 24 of 24 spans, 0 dropped

PASS   type this
       and that
";
        assert_eq!(said(&report, &["type this", "and that"]), expected);
    }

    #[test]
    fn a_bad_run_says_what_is_wrong_in_eighty_columns() {
        let mut run = run([
            (1_000, Ok(200)),
            (9_000, Ok(503)),
            (10, Err(ErrorClass::Refused)),
        ]);
        run.stopped = true;
        let flaws = (0..5).map(|flaw| format!("missing span {flaw}")).collect();
        let report = Report::new(
            run,
            Facts {
                target: "http://127.0.0.1:5000/api/process".to_owned(),
                tempo_url: Some("http://127.0.0.1:3200".to_owned()),
                duration_s: Some(90.0),
                audit: Some(Audit {
                    complete: 0,
                    incomplete: 1,
                    missing: 1,
                    spans_expected: 9,
                    spans_stored: 3,
                    problems: vec![
                        Problem {
                            trace_id: TraceId([1; 16]),
                            state: State::Incomplete(flaws),
                        },
                        Problem {
                            trace_id: TraceId([2; 16]),
                            state: State::Missing,
                        },
                    ],
                    ..Audit::default()
                }),
                ..Facts::default()
            },
        );
        let said = said(&report, &[]);
        for part in [
            "\n       90.0 s, 2 connections, closed loop\n",
            "\nrequests   1 ok   2 failed   in 500 ms   6.00/s\n",
            "\nstatus     200 × 1   503 × 1\n",
            "\nerrors     refused × 1\n             connect to 127.0.0.1:5000: Connection refused\n",
            "\n           status × 1\n             503 Service Unavailable\n",
            "\nfailed        min ",
            "\ntraces     0 of 2 complete, 1 incomplete, 1 missing, 3 of 9 spans\n",
            "\n   ✗ 01010101010101010101010101010101   incomplete\n       missing span 0\n",
            "\n       and 2 more\n   ✗ 02020202020202020202020202020202   missing\n",
            "\n✗ requests.failed: 2 of 3, and the limit is 0\n",
            "\n✗ traces.complete: 0 of 2, and the limit is all\n",
            "\n! interrupted: this is what was measured by then\nFAIL\n",
        ] {
            assert!(said.contains(part), "{part:?} in:\n{said}");
        }
        assert!(
            said.lines().all(|line| line.chars().count() <= 80),
            "{said}"
        );
    }

    #[test]
    fn whatever_is_not_nothing_has_a_bar() {
        assert_eq!(blocks(0, 1_000_000), "");
        assert_eq!(blocks(1, 1_000_000), "▏");
        assert_eq!(blocks(7, 7).chars().count(), BAR_COLUMNS);
        assert_eq!(blocks(u64::MAX, u64::MAX).chars().count(), BAR_COLUMNS);
    }
}
