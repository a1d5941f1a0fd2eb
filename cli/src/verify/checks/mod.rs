//! Everything that `tdemo smoke` asserts, in one table: the checks of this
//! folder, and the trace rules of `tdemo-trace`. Read by `judge` and by the
//! docs.

mod answers;
mod arrival;
mod expect;
mod outside;

use tdemo_trace::rules::{self, Level, RULES};

use super::evidence::Evidence;
use super::report::{Finding, Group, Outcome};

/// One check that is not a trace rule.
pub struct OwnCheck {
    /// Its name, which does not change.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// What it demands.
    pub sentence: &'static str,
    /// Who demands it.
    pub source: &'static str,
    /// Judges; `None` where it has nothing to do with such a run.
    pub(super) judge: fn(&Evidence) -> Option<Outcome>,
}

const DEMO: &str = "the demo's contract";

/// The checks that are no trace rules, in the order in which they are told.
pub static OWN: &[OwnCheck] = &[
    OwnCheck {
        id: "services.frontend",
        group: Group::Services,
        sentence: "The frontend's health, info and their bodies are exactly as promised, and health is not traced.",
        source: DEMO,
        judge: answers::frontend,
    },
    OwnCheck {
        id: "services.middleware",
        group: Group::Services,
        sentence: "The same of the middleware, and its work when it is asked directly.",
        source: DEMO,
        judge: answers::middleware,
    },
    OwnCheck {
        id: "services.backend",
        group: Group::Services,
        sentence: "The same of the backend.",
        source: DEMO,
        judge: answers::backend,
    },
    OwnCheck {
        id: "services.process",
        group: Group::Services,
        sentence: "GET and POST /api/process answer 200 with the bodies of all three tiers, and give back what was sent.",
        source: DEMO,
        judge: answers::process,
    },
    OwnCheck {
        id: "services.slow",
        group: Group::Services,
        sentence: "A delay that was asked for is kept, and the answer is good all the same.",
        source: DEMO,
        judge: answers::slow,
    },
    OwnCheck {
        id: "services.traceresponse",
        group: Group::Services,
        sentence: "Every traced answer names its trace in traceresponse.",
        source: "W3C Trace Context Level 3, editor's draft, traceresponse",
        judge: answers::traceresponse,
    },
    OwnCheck {
        id: "services.answer",
        group: Group::Services,
        sentence: "The target answers 2xx.",
        source: "what a request is for",
        judge: answers::foreign,
    },
    OwnCheck {
        id: "bad-input.400",
        group: Group::BadInput,
        sentence: "A body that is no JSON is answered 400, as a JSON error with its trace id.",
        source: DEMO,
        judge: answers::malformed,
    },
    OwnCheck {
        id: "bad-input.404",
        group: Group::BadInput,
        sentence: "A path that nobody serves is answered 404, likewise.",
        source: DEMO,
        judge: answers::unknown_path,
    },
    OwnCheck {
        id: "bad-input.405",
        group: Group::BadInput,
        sentence: "A method that the path does not take is answered 405 with Allow, likewise.",
        source: "the demo's contract; RFC 9110, section 15.5.6",
        judge: answers::wrong_method,
    },
    OwnCheck {
        id: "bad-input.413",
        group: Group::BadInput,
        sentence: "A body over the limit is answered 413, likewise.",
        source: DEMO,
        judge: answers::too_large,
    },
    OwnCheck {
        id: "bad-input.415",
        group: Group::BadInput,
        sentence: "A content type that is no JSON is answered 415, likewise.",
        source: DEMO,
        judge: answers::wrong_type,
    },
    OwnCheck {
        id: "trace.arrived",
        group: Group::Propagation,
        sentence: "The trace of every request is found by id, with every span that the answer owes, within the deadline.",
        source: DEMO,
        judge: arrival::arrived,
    },
    OwnCheck {
        id: "trace.caller",
        group: Group::Propagation,
        sentence: "A request that brings a traceparent is answered in that trace, with its sampled flag.",
        source: "W3C Trace Context Level 2, section 3.2",
        judge: arrival::callers_trace,
    },
    OwnCheck {
        id: "trace.parent",
        group: Group::Propagation,
        sentence: "The caller's own span is exported and becomes the root.",
        source: "OpenTelemetry specification, trace API: a trace is a tree with one root span",
        judge: arrival::callers_span,
    },
    OwnCheck {
        id: "trace.baggage",
        group: Group::Propagation,
        sentence: "Baggage reaches the last tier: what it asks of the backend is done there.",
        source: "W3C Baggage; the demo's contract",
        judge: arrival::baggage,
    },
    OwnCheck {
        id: "errors.answer",
        group: Group::Errors,
        sentence: "When the frontend fails the caller is answered 500, when the backend does, with 5xx or 4xx, 502: as a JSON error with its trace id.",
        source: DEMO,
        judge: answers::failing,
    },
    OwnCheck {
        id: "expect.services",
        group: Group::Expect,
        sentence: "The services that the file names take part, and no others where it says so.",
        source: expect::SOURCE,
        judge: expect::services,
    },
    OwnCheck {
        id: "expect.spans",
        group: Group::Expect,
        sentence: "The spans that the file names are there, as often as it says, with their status.",
        source: expect::SOURCE,
        judge: expect::spans,
    },
    OwnCheck {
        id: "expect.attributes",
        group: Group::Expect,
        sentence: "Spans and resources have the attributes that the file names.",
        source: expect::SOURCE,
        judge: expect::attributes,
    },
    OwnCheck {
        id: "expect.edges",
        group: Group::Expect,
        sentence: "The calls that the file names are there.",
        source: expect::SOURCE,
        judge: expect::edges,
    },
    OwnCheck {
        id: "search.namespace",
        group: Group::Search,
        sentence: "{ resource.service.namespace = \"tracing-demo\" } finds, of the run's traces, exactly those it is true of.",
        source: "TraceQL",
        judge: |evidence| outside::search(evidence, 0),
    },
    OwnCheck {
        id: "search.duration",
        group: Group::Search,
        sentence: "{ duration > 200ms } does so too.",
        source: "TraceQL",
        judge: |evidence| outside::search(evidence, 1),
    },
    OwnCheck {
        id: "search.service",
        group: Group::Search,
        sentence: "{ resource.service.name = \"frontend\" } does so too.",
        source: "TraceQL",
        judge: |evidence| outside::search(evidence, 2),
    },
    OwnCheck {
        id: "search.status",
        group: Group::Search,
        sentence: "{ status = error } does so too.",
        source: "TraceQL",
        judge: |evidence| outside::search(evidence, 3),
    },
    OwnCheck {
        id: "counters.dropped",
        group: Group::Counters,
        sentence: "During the run no service dropped a span or failed to export one.",
        source: DEMO,
        judge: outside::dropped,
    },
    OwnCheck {
        id: "counters.balance",
        group: Group::Counters,
        sentence: "Every service accounts for its spans: ended = exported + dropped + failed + queued.",
        source: DEMO,
        judge: outside::balance,
    },
    OwnCheck {
        id: "logs.lines",
        group: Group::Logs,
        sentence: "Each tier logged at least one line with the trace's id, good answer or bad.",
        source: DEMO,
        judge: outside::log_lines,
    },
    OwnCheck {
        id: "logs.spans",
        group: Group::Logs,
        sentence: "The span id of each such line is that of a span of that tier.",
        source: "OpenTelemetry specification, log data model: trace context fields",
        judge: outside::log_spans,
    },
];

pub(super) use outside::by_id_ms;

/// Every assertion as a table in Markdown, which the docs carry.
pub fn table() -> String {
    let rules = RULES.iter().map(|rule| {
        let note = match rule.level {
            Level::Failure => "",
            Level::Note => " (A note, no failure.)",
        };
        let sentence = format!("{}{note}", rule.sentence);
        (group_of(rule), rule.id, sentence, rule.source)
    });
    let own = OWN
        .iter()
        .map(|own| (own.group, own.id, own.sentence.to_owned(), own.source));
    let mut rows: Vec<_> = own.chain(rules).collect();
    rows.sort_by_key(|(group, ..)| *group);
    let mut text = "| group | id | asserts | source |\n|---|---|---|---|\n".to_owned();
    for (group, id, sentence, source) in rows {
        let cells = [group.name(), id, &sentence, source].map(|cell| cell.replace('|', "\\|"));
        let [group, id, sentence, source] = cells;
        text.extend([
            "| ", &group, " | `", &id, "` | ", &sentence, " | ", &source, " |\n",
        ]);
    }
    text
}

/// Where a trace rule is told.
pub fn group_of(rule: &rules::Rule) -> Group {
    match rule.group {
        rules::Group::Propagation => Group::Propagation,
        rules::Group::Conventions => Group::Conventions,
        rules::Group::Errors => Group::Errors,
        rules::Group::Times => Group::Times,
    }
}

/// Passed, or failed with what was found.
fn verdict(findings: Vec<Finding>) -> Outcome {
    if findings.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Failed { findings }
    }
}

fn skipped(why: impl Into<String>) -> Outcome {
    Outcome::Skipped { why: why.into() }
}
