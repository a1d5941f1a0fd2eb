//! Rules of the stable HTTP semantic conventions.

use super::Findings;
use super::subject::Subject;
use crate::span::{Span, SpanKind, StatusCode};

/// Keys of the old conventions, and what replaced each (semantic conventions,
/// "Migrating HTTP"). Whatever else starts with `net.` is old too.
const RENAMED: [(&str, &str); 21] = [
    ("http.method", "http.request.method"),
    ("http.status_code", "http.response.status_code"),
    ("http.url", "url.full"),
    ("http.target", "url.path"),
    ("http.scheme", "url.scheme"),
    ("http.host", "server.address"),
    ("http.server_name", "server.address"),
    ("http.flavor", "network.protocol.version"),
    ("http.user_agent", "user_agent.original"),
    ("http.client_ip", "client.address"),
    ("http.resend_count", "http.request.resend_count"),
    ("http.request_content_length", "http.request.body.size"),
    ("http.response_content_length", "http.response.body.size"),
    ("net.host.name", "server.address"),
    ("net.host.port", "server.port"),
    ("net.peer.name", "server.address"),
    ("net.peer.port", "server.port"),
    ("net.peer.ip", "client.address"),
    ("net.protocol.version", "network.protocol.version"),
    ("net.sock.peer.addr", "network.peer.address"),
    ("net.sock.peer.port", "network.peer.port"),
];

/// RFC 9110's methods, PATCH (RFC 5789) and QUERY.
const METHODS: [&str; 10] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
];

const STATUS_CODE: &str = "http.response.status_code";

/// Query keys whose values must not be told.
const SENSITIVE: [&str; 7] = [
    "AWSAccessKeyId",
    "Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Goog-Signature",
    "sig",
];

/// An attribute, its type, and on which spans it must be.
struct Need {
    key: &'static str,
    type_name: &'static str,
    when: When,
}

enum When {
    /// On each: the conventions require it.
    Always,
    /// Where an answer was sent or received: the conventions require it.
    Answered,
    /// The same, of the demo alone: the conventions recommend it.
    DemoAnswered,
    /// On each of the demo's: the conventions recommend it.
    Demo,
    /// On the demo's, where the path is a known one.
    DemoRouted,
    /// On the demo's, where one of its tiers was the client.
    DemoInside,
    /// Wherever it likes, but then of this type.
    Free,
}

const fn need(key: &'static str, type_name: &'static str, when: When) -> Need {
    Need {
        key,
        type_name,
        when,
    }
}

const SERVER: [Need; 13] = [
    need("http.request.method", "string", When::Always),
    need("url.path", "string", When::Always),
    need("url.scheme", "string", When::Always),
    need(STATUS_CODE, "int", When::Answered),
    need("http.route", "string", When::DemoRouted),
    need("server.address", "string", When::Demo),
    need("server.port", "int", When::Demo),
    need("client.address", "string", When::Demo),
    need("network.protocol.version", "string", When::Demo),
    need("user_agent.original", "string", When::DemoInside),
    need("url.query", "string", When::Free),
    need("http.request.method_original", "string", When::Free),
    need("client.port", "int", When::Free),
];

const CLIENT: [Need; 8] = [
    need("http.request.method", "string", When::Always),
    need("url.full", "string", When::Always),
    need("server.address", "string", When::Always),
    need("server.port", "int", When::Always),
    need(STATUS_CODE, "int", When::Answered),
    need("network.protocol.version", "string", When::DemoAnswered),
    need("http.request.resend_count", "int", When::Free),
    need("network.peer.port", "int", When::Free),
];

/// The HTTP spans of a kind: of a trace of the demo all of that kind, of
/// another those that have an HTTP attribute.
pub(super) fn spans<'s>(
    subject: &Subject<'s>,
    kind: SpanKind,
) -> impl Iterator<Item = &'s Span> + use<'s> {
    let demo = subject.demo().is_some();
    subject.spans.clone().into_iter().filter(move |span| {
        span.kind == kind
            && (demo
                || span
                    .attributes
                    .iter()
                    .any(|(key, _)| key.starts_with("http.")))
    })
}

pub(super) fn both_kinds<'s>(subject: &Subject<'s>) -> impl Iterator<Item = &'s Span> + use<'s> {
    spans(subject, SpanKind::Server).chain(spans(subject, SpanKind::Client))
}

/// The status code, where it is there and an integer.
pub(super) fn status_code(span: &Span) -> Option<i64> {
    span.attributes.get_int(STATUS_CODE)
}

pub(super) fn old_keys(subject: &Subject<'_>, out: &mut Findings) {
    for span in &subject.spans {
        for (key, value) in span.attributes.iter() {
            let new = RENAMED.iter().find(|(old, _)| *old == key);
            if new.is_some() || key.starts_with("net.") {
                let expected = new.map_or("no key of the old conventions", |(_, new)| *new);
                let found = format!("{key} = {value}, which the stable conventions dropped");
                out.span(span, expected, found);
            }
        }
    }
}

fn has_old_key(span: &Span, key: &str) -> bool {
    RENAMED
        .iter()
        .any(|(old, new)| *new == key && span.attributes.get(old).is_some())
}

pub(super) fn server_attributes(subject: &Subject<'_>, out: &mut Findings) {
    attributes(subject, SpanKind::Server, &SERVER, out);
}

pub(super) fn client_attributes(subject: &Subject<'_>, out: &mut Findings) {
    attributes(subject, SpanKind::Client, &CLIENT, out);
}

fn attributes(subject: &Subject<'_>, kind: SpanKind, needs: &[Need], out: &mut Findings) {
    let demo = subject.demo().is_some();
    let entry = subject.entry().map(|span| span.id);
    for span in spans(subject, kind) {
        let answered = !subject.is_cut_short(span);
        for need in needs {
            let wanted = match need.when {
                When::Always => true,
                When::Answered => answered,
                When::DemoAnswered => demo && answered,
                When::Demo => demo,
                When::DemoRouted => demo && status_code(span) != Some(404),
                When::DemoInside => demo && entry != Some(span.id),
                When::Free => false,
            };
            let expected = || format!("{} ({})", need.key, need.type_name);
            match span.attributes.get(need.key) {
                Some(value) if value.type_name() == need.type_name => {}
                Some(value) => out.span(
                    span,
                    expected(),
                    format!("{} = {value} ({})", need.key, value.type_name()),
                ),
                // What stands in its place is told by `old_keys`.
                None if wanted && !has_old_key(span, need.key) => {
                    out.span(span, expected(), "none");
                }
                None => {}
            }
        }
    }
}

pub(super) fn methods(subject: &Subject<'_>, out: &mut Findings) {
    for span in both_kinds(subject) {
        let Some(method) = span.attributes.get_str("http.request.method") else {
            continue;
        };
        if method == "_OTHER" {
            if span
                .attributes
                .get("http.request.method_original")
                .is_none()
            {
                out.span(span, "http.request.method_original beside _OTHER", "none");
            }
        } else if !METHODS.contains(&method) {
            out.span(
                span,
                "http.request.method of the known ones, or _OTHER",
                method,
            );
        }
    }
}

/// What a span's attributes say that its name must be.
fn name_of(span: &Span) -> Option<String> {
    let method = match span.attributes.get_str("http.request.method")? {
        "_OTHER" => "HTTP",
        method => method,
    };
    let target = match span.kind {
        SpanKind::Server => span.attributes.get_str("http.route"),
        SpanKind::Client => span.attributes.get_str("url.template"),
        _ => return None,
    };
    Some(match target {
        Some(target) => format!("{method} {target}"),
        None => method.to_owned(),
    })
}

/// Whether a span's name contradicts its attributes.
pub(super) fn is_misnamed(span: &Span) -> bool {
    name_of(span).is_some_and(|name| name != span.name)
}

pub(super) fn names(subject: &Subject<'_>, out: &mut Findings) {
    let demo = subject.demo().is_some();
    for span in both_kinds(subject) {
        let Some(name) = name_of(span) else { continue };
        // Elsewhere a hook may have chosen a name of its own; the raw path it
        // may not be.
        let path = span.attributes.get_str("url.path").unwrap_or("/");
        let raw = path != "/" && span.name.ends_with(path) && !name.ends_with(path);
        if name != span.name && (demo || raw) {
            out.span(
                span,
                format!("name {name:?}"),
                format!("name {:?}", span.name),
            );
        }
    }
}

pub(super) fn redaction(subject: &Subject<'_>, out: &mut Findings) {
    for span in &subject.spans {
        let full = span.attributes.get_str("url.full").unwrap_or_default();
        let authority = full.split_once("://").map_or("", |(_, rest)| {
            rest.split(['/', '?', '#']).next().unwrap_or_default()
        });
        if let Some((user, _)) = authority.rsplit_once('@')
            && user.split(':').any(|part| part != "REDACTED")
        {
            out.span(span, "REDACTED credentials in url.full", "credentials");
        }
        let queries = [
            full.split_once('?').map_or("", |(_, query)| query),
            span.attributes.get_str("url.query").unwrap_or_default(),
        ];
        for query in queries {
            let query = query.split('#').next().unwrap_or_default();
            for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
                if SENSITIVE.contains(&key) && value != "REDACTED" {
                    out.span(span, format!("{key}=REDACTED in the query"), "its value");
                }
            }
        }
    }
}

pub(super) fn entry(subject: &Subject<'_>, out: &mut Findings) {
    let (Some(answer), Some(span)) = (subject.demo(), subject.entry()) else {
        return;
    };
    let method = if METHODS.contains(&answer.method) {
        answer.method
    } else {
        "_OTHER"
    };
    let path = answer.path.split('?').next().unwrap_or_default();
    for (key, expected) in [("http.request.method", method), ("url.path", path)] {
        if let Some(found) = span.attributes.get_str(key)
            && found != expected
        {
            out.span(
                span,
                format!("{key} = {expected}"),
                format!("{key} = {found}"),
            );
        }
    }
    // That it is not there at all, other rules tell of spans that went well.
    let told = span.status.code != StatusCode::Error || has_old_key(span, STATUS_CODE);
    match span.attributes.get(STATUS_CODE) {
        None if told => {}
        Some(code)
            if code
                .as_int()
                .is_none_or(|code| code == i64::from(answer.status)) => {}
        found => out.span(
            span,
            format!(
                "{STATUS_CODE} = {} (int), as it was answered",
                answer.status
            ),
            found.map_or_else(|| "none".to_owned(), ToString::to_string),
        ),
    }
}

pub(super) fn both_sides(subject: &Subject<'_>, out: &mut Findings) {
    for (client, server) in subject.pairs() {
        if (client.kind, server.kind) != (SpanKind::Client, SpanKind::Server) {
            continue;
        }
        let method = |span: &Span| {
            span.attributes
                .get_str("http.request.method")
                .map(str::to_owned)
        };
        let code = |span: &Span| status_code(span).map(|code| code.to_string());
        let full = client.attributes.get_str("url.full").and_then(path_of);
        let path = server.attributes.get_str("url.path").map(str::to_owned);
        for (what, sent, taken) in [
            ("http.request.method", method(client), method(server)),
            (STATUS_CODE, code(client), code(server)),
            ("path", full, path),
        ] {
            if let (Some(sent), Some(taken)) = (sent, taken)
                && sent != taken
            {
                out.span(
                    client,
                    format!("{what} {taken}, as {} has it", server.label()),
                    sent,
                );
            }
        }
    }
}

fn path_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    Some(path.split(['?', '#']).next().unwrap_or_default().to_owned())
}
