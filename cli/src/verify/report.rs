//! What `tdemo smoke` found, as values: checks with their outcomes, and the
//! verdict. Made by `judge`; the renderers print it.

use serde::Serialize;
use tdemo_trace::TraceId;

/// Version of the JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// What a check is about; also the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Health, info and bodies.
    Services,
    /// Answers to bad input.
    BadInput,
    /// One trace across the tiers.
    Propagation,
    /// Names, kinds, resources, attributes.
    Conventions,
    /// Status and what says it.
    Errors,
    /// Starts and ends.
    Times,
    /// What an expectation file says.
    Expect,
    /// The four TraceQL queries.
    Search,
    /// The services' own span counters.
    Counters,
    /// Log lines by trace id.
    Logs,
}

impl Group {
    /// Every group, in order.
    pub const ALL: [Self; 10] = [
        Self::Services,
        Self::BadInput,
        Self::Propagation,
        Self::Conventions,
        Self::Errors,
        Self::Times,
        Self::Expect,
        Self::Search,
        Self::Counters,
        Self::Logs,
    ];

    /// Its name on the command line and in machine formats.
    pub fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::BadInput => "bad-input",
            Self::Propagation => "propagation",
            Self::Conventions => "conventions",
            Self::Errors => "errors",
            Self::Times => "times",
            Self::Expect => "expect",
            Self::Search => "search",
            Self::Counters => "counters",
            Self::Logs => "logs",
        }
    }

    /// What it is about, in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Services => "health, info and bodies of the tiers",
            Self::BadInput => "each a JSON error with its trace id",
            Self::Propagation => "one trace across the tiers, whole",
            Self::Conventions => "names, resources, stable attributes",
            Self::Errors => "status and error.type of what failed",
            Self::Times => "children inside parents",
            Self::Expect => "what the expectation file says",
            Self::Search => "TraceQL finds exactly what it says",
            Self::Counters => "no span dropped, the ledgers balance",
            Self::Logs => "a line of each tier by trace id",
        }
    }
}

/// One check and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// Its name, which does not change: `bad-input.413`.
    pub id: String,
    /// What it is about.
    pub group: Group,
    /// What it demands.
    pub sentence: String,
    /// Who demands it.
    pub source: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It holds, and this should be known.
    Noted {
        /// What.
        findings: Vec<Finding>,
    },
    /// It does not hold, here.
    Failed {
        /// At least one.
        findings: Vec<Finding>,
    },
    /// It could not be looked at.
    Skipped {
        /// Why.
        why: String,
    },
}

/// One place in which something is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What it is about, in one line: `frontend GET /health`.
    pub subject: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// The address that gave it, where there is one.
    pub url: Option<String>,
    /// The trace that shows it, where there is one.
    pub trace_id: Option<TraceId>,
}

impl Finding {
    /// A finding without address or trace.
    pub fn new(
        subject: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            expected: expected.into(),
            found: found.into(),
            url: None,
            trace_id: None,
        }
    }
}

/// The verdict in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every check that could be made holds.
    Pass,
    /// One does not, or with `--strict` one could not be made.
    Fail,
}

/// How many checks came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Hold, those with notes too.
    pub passed: usize,
    /// Do not.
    pub failed: usize,
    /// Could not be made.
    pub skipped: usize,
    /// Hold, and have something to say.
    pub noted: usize,
}

/// How long it took until traces could be read, counted from their answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Visible {
    /// The slowest trace, by id, in milliseconds; null where none was found.
    pub by_id_ms: Option<f64>,
    /// The slowest query, in milliseconds; null where none found all.
    pub by_search_ms: Option<f64>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Version of this form.
    pub schema_version: u32,
    /// The verdict.
    pub verdict: Verdict,
    /// What was asked.
    pub target: String,
    /// Whether that was a stack of our own.
    pub embedded: bool,
    /// Where traces were read, if anywhere.
    pub tempo_url: Option<String>,
    /// How long it took, in seconds.
    pub elapsed_s: f64,
    /// Whether it was interrupted: then this is what was seen by then.
    pub partial: bool,
    /// How soon traces could be read.
    pub visible: Visible,
    /// How many checks came to what.
    pub counts: Counts,
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// The requests that were sent, with the traces they made.
    pub requests: Vec<Sent>,
    /// The file with the evidence, where one was written.
    pub evidence: Option<String>,
}

/// One request, in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sent {
    /// What it was for: `process.get`.
    pub name: String,
    /// `GET http://…`.
    pub request: String,
    /// The answer's status; null without an answer.
    pub status: Option<u16>,
    /// Its trace, where there is one.
    pub trace_id: Option<TraceId>,
}

impl Report {
    /// Counts the checks and says the verdict.
    pub fn conclude(&mut self, strict: bool) {
        let mut counts = Counts::default();
        for check in &self.checks {
            match &check.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Noted { .. } => {
                    counts.passed += 1;
                    counts.noted += 1;
                }
                Outcome::Failed { .. } => counts.failed += 1,
                Outcome::Skipped { .. } => counts.skipped += 1,
            }
        }
        // Where nothing held, nothing was shown.
        let good = counts.failed == 0 && counts.passed > 0 && !(strict && counts.skipped > 0);
        self.verdict = if good { Verdict::Pass } else { Verdict::Fail };
        self.counts = counts;
    }

    /// The checks of one group.
    pub fn of(&self, group: Group) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| check.group == group)
    }
}
