//! The report of a run: facts and verdict, ready to be serialised. Built by
//! `cmd::load`, printed by `render`. The JSON form is published in
//! `cli/schema/load.schema.json`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::engine::Run;
use super::latency::Latencies;
use super::reservoir::Keep;
use super::slowest::Slow;
use crate::audit::{Audit, State};

/// Version of the JSON form: raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;
/// Bars of the histogram, at most.
const BARS: usize = 8;

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The outcome of all checks.
    pub verdict: Verdict,
    /// Whether the run or its audit was interrupted.
    pub partial: bool,
    /// What ran against what.
    pub run: RunFacts,
    /// Requests and what became of them.
    pub requests: Requests,
    /// Rates.
    pub rate: Rate,
    /// Latencies of requests that were ok.
    pub latency_ms: LatencySummary,
    /// Latencies of whole answers whose status was not 2xx.
    pub failed_latency_ms: LatencySummary,
    /// The distribution of the latencies of requests that were ok.
    pub histogram: Vec<HistogramBar>,
    /// What was found in the trace backend; `None` where none was asked.
    pub traces: Option<Traces>,
    /// Spans, as far as they are known.
    pub spans: Spans,
    /// The slowest answers that named a recorded trace, slowest first.
    pub exemplars: Vec<Exemplar>,
    /// What the verdict rests on.
    pub checks: Vec<Check>,
}

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every check passed.
    Pass,
    /// At least one did not.
    Fail,
}

/// What ran against what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunFacts {
    /// The URL that was requested.
    pub target: String,
    /// Whether that was a stack of this very process.
    pub embedded: bool,
    /// The trace backend that was asked.
    pub tempo_url: Option<String>,
    /// Requests that were to be sent, where the run was bound by them.
    pub count: Option<u64>,
    /// How long the run was to send, where it was bound by that.
    pub duration_s: Option<f64>,
    /// From the first request due to the last one done.
    pub elapsed_s: f64,
    /// Connections that were kept busy.
    pub connections: usize,
    /// Connections that were opened for it.
    pub connections_opened: u64,
}

/// Requests and what became of them: `sent = ok + failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Requests done, whatever came of them.
    pub sent: u64,
    /// Whole answers with a 2xx status.
    pub ok: u64,
    /// All others.
    pub failed: u64,
    /// Whole answers by status code.
    pub by_status: BTreeMap<u16, u64>,
    /// Failures by class; they add up to `failed`.
    pub errors: BTreeMap<&'static str, u64>,
    /// The first failure of each class, in words.
    pub error_examples: BTreeMap<&'static str, String>,
    /// Bytes of all answers' bodies.
    pub body_bytes: u64,
}

/// Rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// Requests done a second.
    pub achieved_per_s: f64,
}

/// A distribution in milliseconds; all `None` where there was nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LatencySummary {
    /// Smallest.
    pub min: Option<f64>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Half of all are within.
    pub p50: Option<f64>,
    /// 90 % of all are within.
    pub p90: Option<f64>,
    /// 95 % of all are within.
    pub p95: Option<f64>,
    /// 99 % of all are within.
    pub p99: Option<f64>,
    /// 99.9 % of all are within.
    pub p99_9: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
}

/// One bar: `from_ms <= latency < to_ms`, the last one with its end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HistogramBar {
    /// Lower edge.
    pub from_ms: f64,
    /// Upper edge.
    pub to_ms: f64,
    /// Answers in between.
    pub count: u64,
}

/// The audit: `looked_up = complete + incomplete + missing + unread`, and less
/// than `expected` only where a large run was sampled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Traces {
    /// Recorded traces that answers named.
    pub expected: u64,
    /// How many of them were looked up.
    pub looked_up: u64,
    /// Which ones, where not all: each with the same chance, or the latest.
    pub sample: Option<Keep>,
    /// All that is owed was there.
    pub complete: u64,
    /// Something was there, but not all, or too much.
    pub incomplete: u64,
    /// Nothing was there.
    pub missing: u64,
    /// The backend gave no answer.
    pub unread: u64,
    /// Traces that answers named as not recorded, which owe nothing.
    pub unsampled: u64,
    /// Answers that named no trace.
    pub untraced: u64,
    /// The first few that are not complete.
    pub problems: Vec<Problem>,
}

/// One trace that is not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its id, 32 hex digits.
    pub trace_id: String,
    /// `incomplete`, `missing` or `unread`.
    pub state: &'static str,
    /// What is wrong, one line each.
    pub what: Vec<String>,
}

/// Spans of the traces that were looked up, and the ledger of the services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spans {
    /// Owed; `None` where nothing was audited.
    pub expected: Option<u64>,
    /// Found; `None` where nothing was audited.
    pub stored: Option<u64>,
    /// Ended but never exported, for want of room or because the export
    /// failed; `None` where the services' ledger cannot be read.
    pub dropped: Option<u64>,
}

/// A slow answer and its trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exemplar {
    /// 32 hex digits.
    pub trace_id: String,
    /// From due to done.
    pub latency_ms: f64,
}

/// One threshold, and whether it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is measured.
    pub metric: &'static str,
    /// What it has to be.
    pub limit: String,
    /// What it is.
    pub value: String,
    /// Whether it is within the limit.
    pub ok: bool,
}

/// What a report is made of beside the run itself.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The URL that was requested.
    pub target: String,
    /// Whether that was a stack of this very process.
    pub embedded: bool,
    /// The trace backend that was asked.
    pub tempo_url: Option<String>,
    /// Requests that were to be sent.
    pub count: Option<u64>,
    /// How long the run was to send.
    pub duration_s: Option<f64>,
    /// The audit, where a backend was asked.
    pub audit: Option<Audit>,
    /// Spans lost by the services, where their ledger can be read.
    pub dropped: Option<u64>,
    /// Whether the audit was interrupted.
    pub interrupted: bool,
}

impl Report {
    /// Puts a run, its audit and its verdict together.
    pub fn new(run: Run, facts: Facts) -> Self {
        let tally = run.tally;
        let elapsed_s = run.elapsed.as_secs_f64();
        let requests = Requests {
            sent: tally.sent(),
            ok: tally.ok.count(),
            failed: tally.failed(),
            by_status: tally
                .by_status
                .iter()
                .map(|(status, count)| (status.as_u16(), *count))
                .collect(),
            errors: tally
                .errors
                .iter()
                .map(|(class, error)| (class.name(), error.count))
                .collect(),
            error_examples: tally
                .errors
                .into_iter()
                .map(|(class, error)| (class.name(), error.first))
                .collect(),
            body_bytes: tally.body_bytes,
        };
        let spans = Spans {
            expected: facts.audit.as_ref().map(|audit| audit.spans_expected),
            stored: facts.audit.as_ref().map(|audit| audit.spans_stored),
            dropped: facts.dropped,
        };
        let traces = facts.audit.map(|audit| Traces {
            expected: tally.traces.seen(),
            looked_up: audit.looked_up(),
            sample: tally.traces.sampled(),
            complete: audit.complete,
            incomplete: audit.incomplete,
            missing: audit.missing,
            unread: audit.unread,
            unsampled: tally.unsampled,
            untraced: tally.untraced,
            problems: audit.problems.into_iter().map(Problem::from).collect(),
        });
        let checks = checks(&requests, traces.as_ref());
        Self {
            schema_version: SCHEMA_VERSION,
            verdict: if checks.iter().all(|check| check.ok) {
                Verdict::Pass
            } else {
                Verdict::Fail
            },
            partial: run.stopped || facts.interrupted,
            run: RunFacts {
                target: facts.target,
                embedded: facts.embedded,
                tempo_url: facts.tempo_url,
                count: facts.count,
                duration_s: facts.duration_s,
                elapsed_s,
                connections: run.connections,
                connections_opened: tally.connections_opened,
            },
            rate: Rate {
                achieved_per_s: if elapsed_s > 0.0 {
                    requests.sent as f64 / elapsed_s
                } else {
                    0.0
                },
            },
            latency_ms: LatencySummary::of(&tally.ok),
            failed_latency_ms: LatencySummary::of(&tally.not_ok),
            histogram: tally
                .ok
                .bars(BARS)
                .into_iter()
                .map(|bar| HistogramBar {
                    from_ms: ms(bar.from_ns),
                    to_ms: ms(bar.to_ns),
                    count: bar.count,
                })
                .collect(),
            exemplars: tally
                .slowest
                .into_sorted()
                .iter()
                .map(Exemplar::of)
                .collect(),
            requests,
            traces,
            spans,
            checks,
        }
    }

    /// Whether any request got a whole answer.
    pub fn answered(&self) -> bool {
        !self.requests.by_status.is_empty()
    }
}

/// The default thresholds: no failed request, every trace complete. Nothing
/// measured is not kept.
fn checks(requests: &Requests, traces: Option<&Traces>) -> Vec<Check> {
    let mut checks = vec![Check {
        metric: "requests.failed",
        limit: "0".to_owned(),
        value: format!("{} of {}", requests.failed, requests.sent),
        ok: requests.failed == 0 && requests.sent > 0,
    }];
    if let Some(traces) = traces {
        let nothing_named = traces.expected == 0 && traces.unsampled == 0;
        checks.push(Check {
            metric: "traces.complete",
            limit: "all".to_owned(),
            value: if nothing_named {
                "no answer named its trace (traceresponse header)".to_owned()
            } else {
                format!("{} of {}", traces.complete, traces.looked_up)
            },
            ok: traces.complete == traces.looked_up && !nothing_named,
        });
    }
    checks
}

impl From<crate::audit::Problem> for Problem {
    fn from(problem: crate::audit::Problem) -> Self {
        let (state, what) = match problem.state {
            State::Complete => ("complete", Vec::new()),
            State::Incomplete(what) => ("incomplete", what),
            State::Missing => ("missing", Vec::new()),
            State::Unread(why) => ("unread", vec![why]),
        };
        Self {
            trace_id: problem.trace_id.to_string(),
            state,
            what,
        }
    }
}

impl Exemplar {
    fn of(slow: &Slow) -> Self {
        Self {
            trace_id: slow.trace_id.to_string(),
            latency_ms: ms(slow.latency_ns),
        }
    }
}

impl LatencySummary {
    fn of(latencies: &Latencies) -> Self {
        let quantile = |quantile| latencies.quantile_ns(quantile).map(ms);
        Self {
            min: latencies.min_ns().map(ms),
            mean: latencies.mean_ns().map(|ns| ns / 1e6),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            max: latencies.max_ns().map(ms),
        }
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}
