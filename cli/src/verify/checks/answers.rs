//! What the services answer: status, headers, bodies.

use serde_json::{Value, json};

use super::{skipped, verdict};
use crate::verify::body::{self, MOMENT, NUMBER, TEXT};
use crate::verify::errand::{Kind, SLOW_MS, Service};
use crate::verify::evidence::{Evidence, Exchange};
use crate::verify::report::{Finding, Outcome};

/// A finding about an exchange.
pub(super) fn about(
    exchange: &Exchange,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Finding {
    Finding {
        url: Some(exchange.url.clone()),
        trace_id: exchange.trace_id(),
        ..Finding::new(exchange.label(), expected, found)
    }
}

/// What was answered, in a few words.
pub(super) fn told(exchange: &Exchange) -> String {
    match (exchange.status(), exchange.failure()) {
        (Some(status), _) => format!("status {status}"),
        (None, Some(error)) => format!("no answer: {error}"),
        (None, None) => "no answer".to_owned(),
    }
}

/// Whether the status is right; if not, that is all there is to say.
fn status(exchange: &Exchange, findings: &mut Vec<Finding>) -> bool {
    let wanted = exchange.kind.status();
    let right = exchange.status() == Some(wanted);
    if !right {
        let mut found = told(exchange);
        if let Some(error) = error_of(exchange) {
            found.push_str(": ");
            found.push_str(&error);
        }
        findings.push(about(exchange, format!("status {wanted}"), found));
    }
    right
}

/// The words of a JSON error.
fn error_of(exchange: &Exchange) -> Option<String> {
    let body: Value = serde_json::from_str(exchange.answer_body()?).ok()?;
    Some(body.get("error")?.as_str()?.to_owned())
}

fn body(exchange: &Exchange, promised: &Value, findings: &mut Vec<Finding>) {
    let text = exchange.answer_body().unwrap_or_default();
    match serde_json::from_str(text) {
        Ok(found) => {
            for (path, expected, found) in body::differences(promised, &found) {
                findings.push(about(exchange, format!("{path} = {expected}"), found));
            }
        }
        Err(error) => findings.push(about(exchange, "a JSON body", error.to_string())),
    }
}

/// Judges every exchange of one service and kind.
fn each(
    evidence: &Evidence,
    service: Service,
    kind: Kind,
    findings: &mut Vec<Finding>,
    promised: &Value,
) {
    let exchanges = evidence
        .of(kind)
        .filter(|exchange| exchange.service == service);
    for exchange in exchanges {
        if status(exchange, findings) {
            body(exchange, promised, findings);
        }
    }
}

fn service(evidence: &Evidence, service: Service, info: &Value, work: &Value) -> Option<Outcome> {
    if evidence.of(Kind::Foreign).next().is_some() {
        return None;
    }
    let unreachable = evidence
        .without
        .services
        .iter()
        .find(|(which, _)| *which == service);
    if let Some((_, why)) = unreachable {
        return Some(skipped(why));
    }
    let mut findings = Vec::new();
    each(
        evidence,
        service,
        Kind::Health,
        &mut findings,
        &json!({"status": "healthy"}),
    );
    for exchange in evidence
        .of(Kind::Health)
        .filter(|exchange| exchange.service == service)
    {
        if let Some(header) = exchange.answer_header("traceresponse") {
            findings.push(about(
                exchange,
                "no traceresponse: health is not traced",
                header,
            ));
        }
    }
    each(evidence, service, Kind::Info, &mut findings, info);
    each(evidence, service, Kind::Work, &mut findings, work);
    Some(verdict(findings))
}

pub(super) fn frontend(evidence: &Evidence) -> Option<Outcome> {
    let info = json!({
        "service": "frontend", "version": TEXT, "message": "Tracing demo frontend service",
        "trace_enabled": true, "middleware_url": TEXT,
    });
    service(evidence, Service::Frontend, &info, &Value::Null)
}

pub(super) fn middleware(evidence: &Evidence) -> Option<Outcome> {
    let info = json!({
        "service": "middleware", "version": TEXT, "message": "Tracing demo middleware service",
        "backend_url": TEXT,
    });
    let sent: Value =
        serde_json::from_str(Kind::Work.data().unwrap_or_default()).unwrap_or_default();
    service(evidence, Service::Middleware, &info, &transformed(&sent))
}

pub(super) fn backend(evidence: &Evidence) -> Option<Outcome> {
    let info = json!({
        "service": "backend", "version": TEXT, "message": "Tracing demo backend service",
    });
    service(evidence, Service::Backend, &info, &data())
}

fn data() -> Value {
    json!({
        "service": "backend",
        "data": {
            "id": 12345, "value": "Sample data from backend service",
            "timestamp": MOMENT, "query_time_ms": NUMBER,
        },
    })
}

fn transformed(sent: &Value) -> Value {
    json!({
        "middleware_processed": true, "original_data": sent, "backend_data": data(),
        "transformation_time_ms": NUMBER,
    })
}

fn processed(sent: &Value) -> Value {
    json!({
        "service": "frontend", "status": "success", "request_data": sent,
        "middleware_response": transformed(sent),
    })
}

pub(super) fn process(evidence: &Evidence) -> Option<Outcome> {
    let get = json!({"source": "GET request"});
    let mut findings = Vec::new();
    let mut any = false;
    for kind in [Kind::Get, Kind::Post, Kind::Caller, Kind::Unsampled] {
        let sent = kind.data().map_or_else(
            || get.clone(),
            |data| serde_json::from_str(data).unwrap_or_default(),
        );
        any |= evidence.of(kind).next().is_some();
        each(
            evidence,
            Service::Frontend,
            kind,
            &mut findings,
            &processed(&sent),
        );
    }
    any.then(|| verdict(findings))
}

pub(super) fn slow(evidence: &Evidence) -> Option<Outcome> {
    let exchange = evidence.of(Kind::Slow).next()?;
    let mut findings = Vec::new();
    if status(exchange, &mut findings) {
        let took_ms = exchange
            .done_unix_nanos
            .saturating_sub(exchange.sent_unix_nanos)
            / 1_000_000;
        if took_ms < SLOW_MS {
            findings.push(about(
                exchange,
                format!("an answer after at least {SLOW_MS} ms"),
                format!("one after {took_ms} ms"),
            ));
        }
    }
    Some(verdict(findings))
}

pub(super) fn traceresponse(evidence: &Evidence) -> Option<Outcome> {
    let mut traced = evidence
        .exchanges
        .iter()
        .filter(|exchange| !matches!(exchange.kind, Kind::Health | Kind::Foreign))
        .filter(|exchange| exchange.status().is_some())
        .peekable();
    traced.peek()?;
    let findings = traced
        .filter(|exchange| exchange.response().is_none())
        .map(|exchange| {
            let found = exchange
                .answer_header("traceresponse")
                .unwrap_or("no such header");
            about(
                exchange,
                "traceresponse: 00-<32 hex>-<16 hex>-<2 hex>",
                found,
            )
        })
        .collect();
    Some(verdict(findings))
}

pub(super) fn foreign(evidence: &Evidence) -> Option<Outcome> {
    let exchange = evidence.of(Kind::Foreign).next()?;
    let good = exchange
        .status()
        .is_some_and(|status| (200..300).contains(&status));
    let findings = if good {
        Vec::new()
    } else {
        vec![about(exchange, "status 2xx", told(exchange))]
    };
    Some(verdict(findings))
}

/// A JSON error with the trace's id in it.
fn refusal(exchange: &Exchange, findings: &mut Vec<Finding>) {
    if !status(exchange, findings) {
        return;
    }
    let id = exchange
        .response()
        .map_or_else(|| TEXT.to_owned(), |response| response.trace_id.to_string());
    let promised = json!({
        "service": exchange.service.name(), "status": "error", "error": TEXT, "trace_id": id,
    });
    body(exchange, &promised, findings);
}

fn refused(evidence: &Evidence, kinds: &[Kind]) -> Option<Outcome> {
    let mut findings = Vec::new();
    let mut any = false;
    for exchange in kinds.iter().flat_map(|kind| evidence.of(*kind)) {
        any = true;
        refusal(exchange, &mut findings);
    }
    any.then(|| verdict(findings))
}

pub(super) fn malformed(evidence: &Evidence) -> Option<Outcome> {
    refused(evidence, &[Kind::Malformed])
}

pub(super) fn unknown_path(evidence: &Evidence) -> Option<Outcome> {
    refused(evidence, &[Kind::UnknownPath])
}

pub(super) fn wrong_method(evidence: &Evidence) -> Option<Outcome> {
    let exchange = evidence.of(Kind::WrongMethod).next()?;
    let mut findings = Vec::new();
    refusal(exchange, &mut findings);
    let allow = exchange.answer_header("allow").unwrap_or_default();
    let mut methods: Vec<&str> = allow.split(',').map(str::trim).collect();
    methods.sort_unstable();
    if exchange.status().is_some() && methods != ["GET", "POST"] {
        findings.push(about(
            exchange,
            "Allow: GET, POST",
            format!("Allow: {allow}"),
        ));
    }
    Some(verdict(findings))
}

pub(super) fn too_large(evidence: &Evidence) -> Option<Outcome> {
    refused(evidence, &[Kind::TooLarge])
}

pub(super) fn wrong_type(evidence: &Evidence) -> Option<Outcome> {
    refused(evidence, &[Kind::WrongType])
}

pub(super) fn failing(evidence: &Evidence) -> Option<Outcome> {
    if let Some(why) = &evidence.without.faults {
        return Some(skipped(why));
    }
    refused(evidence, &[Kind::Fault, Kind::Failing, Kind::Refused])
}
