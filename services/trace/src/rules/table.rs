//! Every rule, in one table. Read by `rules::check`, and by whoever lists them.

use super::subject::Subject;
use super::{Group, Level, Rule, demo, errors, http, resources, structure, times};
use crate::span::SpanKind;

const DEMO: &str = "the demo's contract";
const HTTP_SPANS: &str = "OpenTelemetry semantic conventions, HTTP spans";
const HTTP_STATUS: &str = "OpenTelemetry semantic conventions, HTTP spans, status";
const HTTP_SERVER: &str = "OpenTelemetry semantic conventions, HTTP server span";
const HTTP_CLIENT: &str = "OpenTelemetry semantic conventions, HTTP client span";
const TRACE_CONTEXT_FLAGS: &str = "W3C Trace Context Level 2, trace-flags";
const OTLP: &str = "OTLP: span_id identifies a span within its trace";
const SPA_002: &str = "instrumentation-score SPA-002";
const SPA_004: &str = "instrumentation-score SPA-004";
const RES_001: &str = "instrumentation-score RES-001";
const RES_005: &str = "instrumentation-score RES-005";

fn any(subject: &Subject<'_>) -> bool {
    !subject.trace.spans.is_empty()
}

fn is_unsampled(subject: &Subject<'_>) -> bool {
    subject.owed.is_nothing()
}

fn is_sampled(subject: &Subject<'_>) -> bool {
    !is_unsampled(subject)
}

/// An answer of the demo, whether or not anything was found.
fn in_demo(subject: &Subject<'_>) -> bool {
    subject.demo().is_some()
}

fn in_demo_any(subject: &Subject<'_>) -> bool {
    in_demo(subject) && any(subject)
}

/// An answer of the demo that owes its spans one by one.
fn has_chain(subject: &Subject<'_>) -> bool {
    any(subject) && !subject.cast.steps.is_empty()
}

fn has_http(subject: &Subject<'_>) -> bool {
    http::both_kinds(subject).next().is_some()
}

/// All of them, in the order in which they are told.
pub static RULES: &[Rule] = &[
    Rule {
        id: "spans.set",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "The spans are exactly those that the answer owes: none is missing, none is extra.",
        source: DEMO,
        applies: in_demo,
        check: structure::exact_set,
    },
    Rule {
        id: "spans.unsampled",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "A request whose sampled flag is not set leaves no span.",
        source: TRACE_CONTEXT_FLAGS,
        applies: is_unsampled,
        check: structure::unsampled,
    },
    Rule {
        id: "spans.unique",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "No two spans of the trace have the same id.",
        source: OTLP,
        applies: any,
        check: structure::unique,
    },
    Rule {
        id: "trace.parents",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "Each span hangs below the one that caused it, across the services too.",
        source: DEMO,
        applies: has_chain,
        check: structure::parents,
    },
    Rule {
        id: "trace.orphans",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "No span names a parent that is not in the trace, except the one that the caller kept to itself.",
        source: SPA_002,
        applies: any,
        check: structure::orphans,
    },
    Rule {
        id: "trace.root",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "The trace has one root.",
        source: "OpenTelemetry specification, trace API: a trace is a tree with one root span",
        applies: is_sampled,
        check: structure::one_root,
    },
    Rule {
        id: "trace.root-kind",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "The root is no CLIENT span, unless it is the caller's own.",
        source: SPA_004,
        applies: any,
        check: structure::root_kind,
    },
    Rule {
        id: "trace.loops",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "No span is its own ancestor.",
        source: "OpenTelemetry specification, trace API: the spans of a trace are a directed acyclic graph",
        applies: any,
        check: structure::loops,
    },
    Rule {
        id: "trace.flags",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "Every span carries the sampled flag, and the random flag as it was sent.",
        source: TRACE_CONTEXT_FLAGS,
        applies: in_demo_any,
        check: structure::flags,
    },
    Rule {
        id: "trace.state",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "Every span carries the tracestate that was sent, down to the last service.",
        source: "W3C Trace Context Level 2, section 3.3",
        applies: |subject| any(subject) && subject.asked.tracestate.is_some(),
        check: structure::tracestate,
    },
    Rule {
        id: "trace.response",
        group: Group::Propagation,
        level: Level::Failure,
        sentence: "The answer's traceresponse names this trace, and in it the SERVER span that took the request.",
        source: "W3C Trace Context Level 3, editor's draft, traceresponse",
        applies: |subject| any(subject) && subject.asked.response.is_some(),
        check: structure::response,
    },
    Rule {
        id: "spans.service",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "Each span is of the service that does its work.",
        source: DEMO,
        applies: has_chain,
        check: structure::services,
    },
    Rule {
        id: "spans.kind",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "Each span is of the kind that its part in the call asks for.",
        source: "OpenTelemetry specification, trace API: SpanKind",
        applies: has_chain,
        check: structure::kinds,
    },
    Rule {
        id: "spans.name",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "Each span has its name.",
        source: DEMO,
        applies: has_chain,
        check: structure::names,
    },
    Rule {
        id: "resource.service-name",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "Every resource has a service.name.",
        source: RES_005,
        applies: any,
        check: resources::service_name,
    },
    Rule {
        id: "resource.instance-id",
        group: Group::Conventions,
        level: Level::Note,
        sentence: "Every resource has a service.instance.id.",
        source: RES_001,
        applies: |subject| any(subject) && subject.demo().is_none(),
        check: resources::instance_id,
    },
    Rule {
        id: "resource.demo",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "Every resource has the namespace tracing-demo, and the version, instance, environment and SDK of its service.",
        source: "the demo's contract; OpenTelemetry semantic conventions, service, deployment and telemetry; instrumentation-score RES-001",
        applies: in_demo_any,
        check: resources::demo,
    },
    Rule {
        id: "resource.distinct",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "No two services share a service.instance.id, not even in one process.",
        source: "the demo's contract; instrumentation-score RES-002",
        applies: in_demo_any,
        check: resources::distinct,
    },
    Rule {
        id: "resource.old-keys",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "No resource has a key that the conventions renamed.",
        source: "OpenTelemetry semantic conventions, deployment: deprecated attributes",
        applies: any,
        check: resources::old_keys,
    },
    Rule {
        id: "http.old-keys",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "No span has a key of the old HTTP and network conventions.",
        source: "OpenTelemetry semantic conventions, migrating HTTP to the stable conventions",
        applies: any,
        check: http::old_keys,
    },
    Rule {
        id: "http.server.attributes",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "SERVER spans have the attributes of the stable conventions, with their types.",
        source: HTTP_SERVER,
        applies: |subject| http::spans(subject, SpanKind::Server).next().is_some(),
        check: http::server_attributes,
    },
    Rule {
        id: "http.client.attributes",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "CLIENT spans have the attributes of the stable conventions, with their types.",
        source: HTTP_CLIENT,
        applies: |subject| http::spans(subject, SpanKind::Client).next().is_some(),
        check: http::client_attributes,
    },
    Rule {
        id: "http.method",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "http.request.method is a known method, or _OTHER with the original beside it.",
        source: HTTP_SPANS,
        applies: has_http,
        check: http::methods,
    },
    Rule {
        id: "http.span-name",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "HTTP spans are named by method and route (or template), never by the raw path.",
        source: "OpenTelemetry semantic conventions, HTTP spans, name; instrumentation-score SPA-003",
        applies: has_http,
        check: http::names,
    },
    Rule {
        id: "http.redaction",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "No credentials and no signature of a signed URL are told.",
        source: "OpenTelemetry semantic conventions, HTTP spans, url.full and url.query",
        applies: has_http,
        check: http::redaction,
    },
    Rule {
        id: "http.entry",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "The span that took the request says the method, the path and the status that the caller saw.",
        source: HTTP_SERVER,
        applies: in_demo_any,
        check: http::entry,
    },
    Rule {
        id: "http.both-sides",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "The two spans of a call agree on method, path and status.",
        source: HTTP_SPANS,
        applies: |subject| subject.demo().is_some() && times::has_call(subject),
        check: http::both_sides,
    },
    Rule {
        id: "demo.attributes",
        group: Group::Conventions,
        level: Level::Failure,
        sentence: "The demo's own spans have the attributes of their work, with their types.",
        source: DEMO,
        applies: demo::has_work,
        check: demo::attributes,
    },
    Rule {
        id: "status.unset",
        group: Group::Errors,
        level: Level::Failure,
        sentence: "What went well is left Unset; so is the SERVER span of a 4xx.",
        source: HTTP_STATUS,
        applies: has_http,
        check: errors::unset,
    },
    Rule {
        id: "status.error",
        group: Group::Errors,
        level: Level::Failure,
        sentence: "A 5xx makes both spans of the call Error, a 4xx the CLIENT span.",
        source: HTTP_STATUS,
        applies: has_http,
        check: errors::error,
    },
    Rule {
        id: "error.type",
        group: Group::Errors,
        level: Level::Failure,
        sentence: "A span that failed says why in error.type (the status code, if there was one), and no other has it.",
        source: "OpenTelemetry semantic conventions, HTTP spans, error.type",
        applies: has_http,
        check: errors::error_type,
    },
    Rule {
        id: "status.work",
        group: Group::Errors,
        level: Level::Failure,
        sentence: "Work whose call failed is Error too, and says why in words.",
        source: DEMO,
        applies: demo::has_work,
        check: errors::work,
    },
    Rule {
        id: "exception.event",
        group: Group::Errors,
        level: Level::Failure,
        sentence: "A failure leaves an exception event on a span that failed.",
        source: "OpenTelemetry semantic conventions, exceptions on spans",
        applies: errors::has_failed,
        check: errors::exception,
    },
    Rule {
        id: "fault.injected",
        group: Group::Errors,
        level: Level::Failure,
        sentence: "The SERVER span of a tier that was asked to fail says so in demo.fault.injected.",
        source: DEMO,
        applies: |subject| subject.demo().is_some() && !subject.asked.faults.is_empty(),
        check: errors::faults,
    },
    Rule {
        id: "time.order",
        group: Group::Times,
        level: Level::Failure,
        sentence: "No span ends before it starts.",
        source: "OTLP: end_time_unix_nano is not before start_time_unix_nano",
        applies: any,
        check: times::order,
    },
    Rule {
        id: "time.parent",
        group: Group::Times,
        level: Level::Failure,
        sentence: "Inside one service a span starts and ends inside the one above it, within the tolerance.",
        source: DEMO,
        applies: in_demo_any,
        check: times::inside_parent,
    },
    Rule {
        id: "time.call",
        group: Group::Times,
        level: Level::Failure,
        sentence: "The SERVER span of a call takes no longer than its CLIENT span, within the tolerance.",
        source: DEMO,
        applies: |subject| subject.demo().is_some() && times::has_call(subject),
        check: times::server_in_client,
    },
    Rule {
        id: "time.clock-skew",
        group: Group::Times,
        level: Level::Note,
        sentence: "The clocks of two services that call each other agree, within the tolerance.",
        source: "OpenTelemetry specification, trace API: timestamps are those of the local machine",
        applies: times::has_call,
        check: times::clock_skew,
    },
];
