//! The rules that judge a trace: each a sentence with its source, and a pure
//! function that finds where a trace breaks it.
//!
//! The smoke test runs them on traces of the demo; [`Asked::foreign`] runs the
//! ones that hold for any service on any trace:
//!
//! ```
//! use tdemo_trace::rules::{self, Asked};
//! use tdemo_trace::{Caller, Trace, otlp};
//!
//! // However your test gets them: an in-memory exporter, a file, Tempo's API.
//! let exported = include_bytes!("../../tests/data/demo-trace.json");
//! let traces = Trace::from_otlp(otlp::json::decode(exported)?)?;
//! assert_eq!(traces.len(), 1, "one request makes one trace");
//!
//! let failures = rules::failures(&traces[0], &Asked::foreign(Caller::Silent));
//! assert!(failures.is_empty(), "{failures:#?}");
//! # Ok::<(), tdemo_trace::otlp::OtlpError>(())
//! ```

mod demo;
mod errors;
mod http;
mod resources;
mod structure;
mod subject;
mod table;
mod times;

use std::fmt;

use serde::Serialize;

use crate::id::SpanId;
use crate::span::Span;
use crate::trace::Trace;

pub(crate) use resources::NAMESPACE;
use subject::Subject;
pub use subject::{Asked, Request, TOLERANCE, TraceResponse};
pub use table::RULES;

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name, which does not change: `http.client.attributes`.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// What it means that it is broken.
    pub level: Level,
    /// What it demands.
    pub sentence: &'static str,
    /// Who demands it.
    pub source: &'static str,
    applies: fn(&Subject<'_>) -> bool,
    check: fn(&Subject<'_>, &mut Findings),
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Which spans there are, and how they hang together.
    Propagation,
    /// Names, kinds, resources, attributes.
    Conventions,
    /// Status, `error.type`, exceptions.
    Errors,
    /// Starts and ends.
    Times,
}

impl Group {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 4] = [
        Self::Propagation,
        Self::Conventions,
        Self::Errors,
        Self::Times,
    ];

    /// Its name, in one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Propagation => "propagation",
            Self::Conventions => "conventions",
            Self::Errors => "errors",
            Self::Times => "times",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What it means that a rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The trace is wrong.
    Failure,
    /// The reader should know, and the trace may be right all the same.
    Note,
}

/// One place in which a trace breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub rule: &'static str,
    /// The span, where it is about one.
    pub span: Option<SpanId>,
    /// That span's service; empty where unknown.
    pub service: String,
    /// What it is about, in one line: `middleware CLIENT GET`, or `the trace`.
    pub subject: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Finding {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.subject)?;
        if let Some(span) = self.span {
            write!(f, " (span {span})")?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}

/// Where a rule writes down what it finds.
#[derive(Default)]
pub(crate) struct Findings {
    /// The rule that is being checked.
    pub(crate) rule: &'static str,
    /// What was found so far.
    pub(crate) all: Vec<Finding>,
}

impl Findings {
    /// A finding about one span.
    pub(crate) fn span(
        &mut self,
        span: &Span,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.all.push(Finding {
            rule: self.rule,
            span: Some(span.id),
            service: span.service().to_owned(),
            subject: span.label(),
            expected: expected.into(),
            found: found.into(),
        });
    }

    /// A finding about a span that is not there.
    fn absent(&mut self, service: &str, subject: String) {
        self.all.push(Finding {
            rule: self.rule,
            span: None,
            service: service.to_owned(),
            subject,
            expected: "one span".to_owned(),
            found: "none".to_owned(),
        });
    }

    /// A finding about the whole trace.
    pub(crate) fn trace(&mut self, expected: impl Into<String>, found: impl Into<String>) {
        self.all.push(Finding {
            rule: self.rule,
            span: None,
            service: String::new(),
            subject: "the trace".to_owned(),
            expected: expected.into(),
            found: found.into(),
        });
    }
}

/// What one rule says of one trace.
#[derive(Debug)]
pub struct Verdict {
    /// The rule.
    pub rule: &'static Rule,
    /// What it says.
    pub outcome: Outcome,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing in the trace, or nothing is known of the request, that
    /// the rule could look at.
    NotApplicable,
    /// It holds.
    Passed,
    /// It is broken, here: at least one place. What that means, says
    /// [`Rule::level`].
    Broken(Vec<Finding>),
}

/// Judges `trace` by every rule, in the order of [`RULES`].
pub fn check(trace: &Trace, asked: &Asked<'_>) -> Vec<Verdict> {
    let subject = Subject::new(trace, asked);
    RULES
        .iter()
        .map(|rule| Verdict {
            rule,
            outcome: rule.judge(&subject),
        })
        .collect()
}

/// What is wrong with `trace`: the findings of [`check`] whose rules are
/// failures.
pub fn failures(trace: &Trace, asked: &Asked<'_>) -> Vec<Finding> {
    check(trace, asked)
        .into_iter()
        .filter(|verdict| verdict.rule.level == Level::Failure)
        .flat_map(|verdict| match verdict.outcome {
            Outcome::Broken(findings) => findings,
            Outcome::NotApplicable | Outcome::Passed => Vec::new(),
        })
        .collect()
}

impl Rule {
    fn judge(&self, subject: &Subject<'_>) -> Outcome {
        if !(self.applies)(subject) {
            return Outcome::NotApplicable;
        }
        let mut findings = Findings {
            rule: self.id,
            ..Findings::default()
        };
        (self.check)(subject, &mut findings);
        if findings.all.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Broken(findings.all)
        }
    }
}

#[cfg(test)]
mod tests;
