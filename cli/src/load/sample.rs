//! What one request came to, and the tally each thread keeps of its own:
//! constant memory however long the run, no lock, merged once at the end.
//! Filled by `engine`, read by `report`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::{Deserialize, Serialize};
use tdemo_trace::TraceId;

use super::latency::Latencies;
use super::reservoir::{Keep, Reservoir};
use super::slowest::{Slow, Slowest};
use super::traceresponse::TraceResponse;

/// How many trace ids a run keeps for its audit; beyond it, a sample.
pub const TRACES_KEPT: usize = 100_000;

/// Why a request failed: a closed set, so that reports can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorClass {
    /// No connection came about: unreachable, no such host, no port left.
    Connect,
    /// The target's machine refused the connection.
    Refused,
    /// The connection ended before an answer began.
    Reset,
    /// The request took longer than its bound, connecting included.
    Timeout,
    /// The TLS handshake failed, or a TLS record was bad.
    Tls,
    /// What came is not HTTP/1.
    Protocol,
    /// An answer whose status is not 2xx.
    Status,
    /// The answer's body broke off.
    Body,
    /// Given up by us, when a stopped run had waited long enough.
    Cancelled,
}

impl ErrorClass {
    /// Every class, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Connect,
        Self::Refused,
        Self::Reset,
        Self::Timeout,
        Self::Tls,
        Self::Protocol,
        Self::Status,
        Self::Body,
        Self::Cancelled,
    ];

    /// The name that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Body => "body",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Bytes of its body, as they came over the wire, decoded from chunks.
    pub body_bytes: u64,
    /// The trace it names.
    pub trace: Option<TraceResponse>,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its class.
    pub class: ErrorClass,
    /// What happened, in one line.
    pub detail: String,
}

/// One request, done.
#[derive(Debug)]
pub struct Sample {
    /// When it was due.
    pub intended: Instant,
    /// When its last byte had come, or it had failed.
    pub done: Instant,
    /// What it came to.
    pub outcome: Result<Answer, Failure>,
}

impl Sample {
    /// From due to done.
    pub fn latency(&self) -> Duration {
        self.done.saturating_duration_since(self.intended)
    }
}

/// A trace that the run made and that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeTrace {
    /// Its id.
    pub id: TraceId,
    /// The status of the answer that named it.
    pub status: StatusCode,
}

/// How often a class of failure happened, and an example.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ErrorCount {
    /// How often.
    pub count: u64,
    /// The first one's detail.
    pub first: String,
}

/// Everything a report needs, added up.
#[derive(Debug)]
pub struct Tally {
    /// Latencies of answers with a 2xx status.
    pub ok: Latencies,
    /// Latencies of answers with any other status.
    pub not_ok: Latencies,
    /// Whole answers by status.
    pub by_status: BTreeMap<StatusCode, u64>,
    /// Failures by class.
    pub errors: BTreeMap<ErrorClass, ErrorCount>,
    /// Bytes of all bodies.
    pub body_bytes: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Answers that named no trace.
    pub untraced: u64,
    /// Answers that named a trace and said that it is not recorded.
    pub unsampled: u64,
    /// Recorded traces, or a sample of them.
    pub traces: Reservoir<MadeTrace>,
    /// The slowest answers that named a recorded trace.
    pub slowest: Slowest,
    /// When the last request was done.
    pub last_done: Option<Instant>,
}

impl Tally {
    /// An empty tally for one of `threads` threads; `keep` and `seed` decide
    /// which traces a large run samples.
    pub fn new(keep: Keep, threads: usize, seed: u64) -> Self {
        let room = match keep {
            Keep::Uniform => TRACES_KEPT,
            Keep::Latest => TRACES_KEPT / threads.max(1),
        };
        Self {
            ok: Latencies::default(),
            not_ok: Latencies::default(),
            by_status: BTreeMap::new(),
            errors: BTreeMap::new(),
            body_bytes: 0,
            connections_opened: 0,
            untraced: 0,
            unsampled: 0,
            traces: Reservoir::new(keep, room, seed),
            slowest: Slowest::default(),
            last_done: None,
        }
    }

    /// Whole answers of any status.
    pub fn answered(&self) -> u64 {
        self.by_status.values().sum()
    }

    /// Requests that failed, answered or not.
    pub fn failed(&self) -> u64 {
        self.errors.values().map(|error| error.count).sum()
    }

    /// Requests done: each is either ok or failed.
    pub fn sent(&self) -> u64 {
        self.ok.count() + self.failed()
    }

    /// Adds one request. Tells whether it was a success.
    pub fn record(&mut self, sample: Sample) -> bool {
        let latency = sample.latency();
        self.last_done = self.last_done.max(Some(sample.done));
        let answer = match sample.outcome {
            Ok(answer) => answer,
            Err(failure) => {
                self.count_error(failure.class, 1, || failure.detail);
                return false;
            }
        };
        *self.by_status.entry(answer.status).or_default() += 1;
        self.body_bytes += answer.body_bytes;
        match answer.trace {
            None => self.untraced += 1,
            Some(trace) if !trace.sampled => self.unsampled += 1,
            Some(trace) => {
                self.traces.offer(MadeTrace {
                    id: trace.trace_id,
                    status: answer.status,
                });
                self.slowest.offer(Slow {
                    latency_ns: u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX),
                    trace_id: trace.trace_id,
                });
            }
        }
        let ok = answer.status.is_success();
        if ok {
            self.ok.record(latency);
        } else {
            self.not_ok.record(latency);
            self.count_error(ErrorClass::Status, 1, || answer.status.to_string());
        }
        ok
    }

    /// Adds `count` failures of one class; `detail` is asked for at the first.
    pub fn count_error(&mut self, class: ErrorClass, count: u64, detail: impl FnOnce() -> String) {
        let error = self.errors.entry(class).or_default();
        if error.count == 0 {
            error.first = detail();
        }
        error.count += count;
    }

    /// Adds what another thread tallied.
    pub fn merge(&mut self, other: Self) {
        self.ok.merge(&other.ok);
        self.not_ok.merge(&other.not_ok);
        for (status, count) in other.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        for (class, error) in other.errors {
            self.count_error(class, error.count, || error.first);
        }
        self.body_bytes += other.body_bytes;
        self.connections_opened += other.connections_opened;
        self.untraced += other.untraced;
        self.unsampled += other.unsampled;
        self.traces.merge(other.traces);
        self.slowest.merge(other.slowest);
        self.last_done = self.last_done.max(other.last_done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tdemo_trace::SpanId;

    fn answer(start: Instant, ms: u64, status: u16, trace: Option<(u8, bool)>) -> Sample {
        Sample {
            intended: start,
            done: start + Duration::from_millis(ms),
            outcome: Ok(Answer {
                status: StatusCode::from_u16(status).unwrap(),
                body_bytes: 10,
                trace: trace.map(|(id, sampled)| TraceResponse {
                    trace_id: TraceId([id; 16]),
                    span_id: SpanId([1; 8]),
                    sampled,
                }),
            }),
        }
    }

    #[test]
    fn every_request_is_either_ok_or_failed() {
        let start = Instant::now();
        let empty = |seed| Tally::new(Keep::Uniform, 2, seed);
        let (mut one, mut two) = (empty(1), empty(2));
        assert!(one.record(answer(start, 5, 200, Some((1, true)))));
        assert!(!one.record(answer(start, 9, 503, Some((2, true)))));
        assert!(two.record(answer(start, 7, 204, None)));
        assert!(two.record(answer(start, 6, 200, Some((3, false)))));
        assert!(!two.record(Sample {
            intended: start,
            done: start,
            outcome: Err(Failure {
                class: ErrorClass::Refused,
                detail: "nobody there".to_owned(),
            }),
        }));
        one.merge(two);
        assert_eq!((one.sent(), one.answered(), one.failed()), (5, 4, 2));
        assert_eq!((one.ok.count(), one.not_ok.count()), (3, 1));
        assert_eq!(one.by_status[&StatusCode::OK], 2);
        assert_eq!(
            one.errors[&ErrorClass::Status].first,
            "503 Service Unavailable"
        );
        assert_eq!(one.errors[&ErrorClass::Refused].first, "nobody there");
        assert_eq!((one.untraced, one.unsampled, one.traces.seen()), (1, 1, 2));
        assert_eq!(one.body_bytes, 40);
        assert_eq!(one.last_done, Some(start + Duration::from_millis(9)));
        let slowest: Vec<u64> = one
            .slowest
            .into_sorted()
            .iter()
            .map(|s| s.latency_ns)
            .collect();
        assert_eq!(slowest, [9_000_000, 5_000_000]);
    }

    #[test]
    fn class_names_are_the_serialised_ones() {
        for class in ErrorClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
