//! Everything that a smoke run saw, as one JSON file: requests with their
//! answers, the traces as OTLP/JSON, searches, counters, log lines. Made by
//! `gather`, judged by `judge`: from memory, or read back by `--replay`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tdemo_trace::otlp::json;
use tdemo_trace::{SpanId, Trace, TraceId};

use super::errand::{Kind, Service};
use crate::load::traceresponse::TraceResponse;

/// Version of the file's form.
pub const SCHEMA_VERSION: u32 = 1;

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// What it was for.
    pub kind: Kind,
    /// Who was asked.
    pub service: Service,
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The request's headers; values of secret ones are left out.
    pub headers: Vec<(String, String)>,
    /// The request's body; of a long one only its length.
    pub body: Option<Body>,
    /// The parent that was sent, where one was.
    pub parent: Option<Sent>,
    /// When it was sent, in nanoseconds since the Unix epoch.
    pub sent_unix_nanos: u64,
    /// When its answer was there, or why there was none.
    pub done_unix_nanos: u64,
    /// The answer.
    pub outcome: Answered,
}

/// A `traceparent` that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its trace.
    pub trace_id: TraceId,
    /// The caller's span.
    pub span_id: SpanId,
    /// Its flags.
    pub flags: u8,
    /// Whether the caller exported that span.
    pub exported: bool,
}

/// A body, whole or by its length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// The text.
    Text(String),
    /// Bytes of one that is too long to keep, or no text.
    Bytes(usize),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Answered {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its headers.
        headers: Vec<(String, String)>,
        /// Its body, as far as it is text.
        body: String,
    },
    /// None.
    Failure {
        /// Whether no connection could be made.
        connect: bool,
        /// What went wrong.
        error: String,
    },
}

impl Exchange {
    /// `frontend GET /health`.
    pub fn label(&self) -> String {
        let path = url::Url::parse(&self.url)
            .map_or_else(|_| self.url.clone(), |url| url.path().to_owned());
        format!("{} {} {path}", self.service.name(), self.method)
    }

    /// The answer's status.
    pub fn status(&self) -> Option<u16> {
        match &self.outcome {
            Answered::Answer { status, .. } => Some(*status),
            Answered::Failure { .. } => None,
        }
    }

    /// Why there was no answer.
    pub fn failure(&self) -> Option<&str> {
        match &self.outcome {
            Answered::Answer { .. } => None,
            Answered::Failure { error, .. } => Some(error),
        }
    }

    /// The answer's body.
    pub fn answer_body(&self) -> Option<&str> {
        match &self.outcome {
            Answered::Answer { body, .. } => Some(body),
            Answered::Failure { .. } => None,
        }
    }

    /// A header of the answer.
    pub fn answer_header(&self, name: &str) -> Option<&str> {
        match &self.outcome {
            Answered::Answer { headers, .. } => headers
                .iter()
                .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value.as_str())),
            Answered::Failure { .. } => None,
        }
    }

    /// What the answer's `traceresponse` says.
    pub fn response(&self) -> Option<TraceResponse> {
        TraceResponse::parse(self.answer_header("traceresponse")?.as_bytes())
    }

    /// The trace that it made, as far as is known.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.response()
            .map(|response| response.trace_id)
            .or_else(|| self.parent.map(|parent| parent.trace_id))
    }

    /// The sampled flag that the service worked under.
    pub fn sampled(&self) -> bool {
        self.response().map_or_else(
            || self.parent.is_none_or(|parent| parent.flags & 1 == 1),
            |response| response.sampled,
        )
    }
}

/// What was read of the trace of one exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Read {
    /// The exchange, by its place.
    pub exchange: usize,
    /// The trace's id.
    pub id: TraceId,
    /// Milliseconds from the answer until all that is owed was there; null when
    /// it never was.
    pub whole_after_ms: Option<f64>,
    /// What is there.
    #[serde(serialize_with = "write_trace", deserialize_with = "read_trace")]
    pub trace: Option<Trace>,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// What one query found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// Its TraceQL.
    pub query: String,
    /// The run's own traces among those it found.
    pub found: Vec<TraceId>,
    /// Milliseconds from the last answer until it found all that it must; null
    /// when it never did.
    pub all_after_ms: Option<f64>,
    /// Why it could not be asked.
    pub error: Option<String>,
}

/// One service's span counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// Whose.
    pub service: Service,
    /// Where they were read.
    pub url: String,
    /// Before the first request, by state; null when they could not be read.
    pub before: Option<BTreeMap<String, u64>>,
    /// After the last.
    pub after: Option<BTreeMap<String, u64>>,
    /// Why they could not be read.
    pub error: Option<String>,
}

/// The log lines of one trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// The trace.
    pub trace_id: TraceId,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Why they could not be read.
    pub error: Option<String>,
}

/// One log line, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Labels, structured metadata and the fields of a JSON line, by name.
    pub fields: BTreeMap<String, String>,
}

/// A part of the run that could not be had, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Without {
    /// Why no trace was read.
    pub traces: Option<String>,
    /// Why nothing was searched.
    pub search: Option<String>,
    /// Why no fault was asked for, or that none was made.
    pub faults: Option<String>,
    /// Why no span of the caller's was exported.
    pub caller: Option<String>,
    /// Why no log was read.
    pub logs: Option<String>,
    /// The tiers that could not be asked directly, with the reason.
    pub services: Vec<(Service, String)>,
}

/// All that a run saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Version of this form.
    pub schema_version: u32,
    /// The tdemo that wrote it.
    pub tdemo_version: String,
    /// What was asked.
    pub target: String,
    /// Whether that was a stack of our own.
    pub embedded: bool,
    /// Where traces were read, if anywhere.
    pub tempo_url: Option<String>,
    /// When it began, in nanoseconds since the Unix epoch.
    pub started_unix_nanos: u64,
    /// How long it took, in seconds.
    pub elapsed_s: f64,
    /// Whether it was interrupted.
    pub partial: bool,
    /// How long traces were waited for by id, in milliseconds.
    pub deadline_ms: u64,
    /// The groups that were to be left out, by name.
    pub left_out: Vec<String>,
    /// The expectation file, where there was one.
    pub expect: Option<serde_json::Value>,
    /// What could not be had.
    pub without: Without,
    /// Requests and answers, in order.
    pub exchanges: Vec<Exchange>,
    /// Their traces.
    pub reads: Vec<Read>,
    /// The queries.
    pub searches: Vec<Searched>,
    /// The services' counters.
    pub counters: Vec<Counted>,
    /// The log lines.
    pub logs: Vec<Logged>,
    /// The verdict's words, for whoever opens the file; not read back.
    #[serde(default, skip_deserializing)]
    pub verdict: Option<serde_json::Value>,
}

/// An evidence file cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// It cannot be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// It is no evidence.
    #[error("{file} is no evidence of a smoke run: {source}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another version of tdemo wrote it.
    #[error("{file} has form {found}, and this tdemo reads form {SCHEMA_VERSION}")]
    Version {
        /// The file.
        file: String,
        /// Its form.
        found: u32,
    },
}

impl Evidence {
    /// Reads a file that a failed run left.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, EvidenceError> {
        let file = path.display().to_string();
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(source) => return Err(EvidenceError::Unreadable { file, source }),
        };
        let evidence: Self = match serde_json::from_slice(&text) {
            Ok(evidence) => evidence,
            Err(source) => return Err(EvidenceError::Malformed { file, source }),
        };
        if evidence.schema_version != SCHEMA_VERSION {
            let found = evidence.schema_version;
            return Err(EvidenceError::Version { file, found });
        }
        Ok(evidence)
    }

    /// The exchanges of one kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Exchange> {
        self.exchanges
            .iter()
            .filter(move |exchange| exchange.kind == kind)
    }

    /// The traces that were read, with their exchanges.
    pub fn traces(&self) -> impl Iterator<Item = (&Exchange, &Read)> {
        self.reads
            .iter()
            .filter_map(|read| Some((self.exchanges.get(read.exchange)?, read)))
    }
}

#[expect(
    clippy::ref_option,
    reason = "serde calls it with a reference to the field"
)]
fn write_trace<S: Serializer>(trace: &Option<Trace>, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::Error;
    match trace {
        None => serializer.serialize_none(),
        Some(trace) => {
            let text = json::encode(&trace.to_otlp());
            serde_json::from_str::<serde_json::Value>(&text)
                .map_err(S::Error::custom)?
                .serialize(serializer)
        }
    }
}

fn read_trace<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Trace>, D::Error> {
    use serde::de::Error;
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    let Some(value) = value else {
        return Ok(None);
    };
    let groups = json::decode(value.to_string().as_bytes()).map_err(D::Error::custom)?;
    let mut traces = Trace::from_otlp(groups).map_err(D::Error::custom)?;
    if traces.len() > 1 {
        return Err(D::Error::custom("it holds spans of several traces"));
    }
    Ok(traces.pop())
}
