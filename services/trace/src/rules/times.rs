//! Rules about when spans start and end.

use std::time::Duration;

use super::Findings;
use super::subject::Subject;
use crate::span::{Span, SpanKind, StatusCode};

pub(super) fn order(subject: &Subject<'_>, out: &mut Findings) {
    for span in &subject.trace.spans {
        if span.end_unix_nanos < span.start_unix_nanos {
            let by = Duration::from_nanos(span.start_unix_nanos - span.end_unix_nanos);
            out.span(
                span,
                "an end after the start",
                format!("one {by:?} before it"),
            );
        }
    }
}

/// How far a span reaches out of the one above it, at its start and at its end.
fn overhang(above: &Span, below: &Span) -> (u64, u64) {
    (
        above
            .start_unix_nanos
            .saturating_sub(below.start_unix_nanos),
        below.end_unix_nanos.saturating_sub(above.end_unix_nanos),
    )
}

pub(super) fn inside_parent(subject: &Subject<'_>, out: &mut Findings) {
    let tolerance = subject.tolerance_nanos();
    for (above, below) in subject.pairs() {
        // Of another process the clock may be another, see below.
        if above.resource != below.resource {
            continue;
        }
        let (before, after) = overhang(above, below);
        for (nanos, side) in [(before, "before its start"), (after, "after its end")] {
            if nanos > tolerance {
                out.span(
                    below,
                    format!("a time inside {}", above.label()),
                    format!("{:?} {side}", Duration::from_nanos(nanos)),
                );
            }
        }
    }
}

/// Calls from service to service: the two sides of each.
fn calls<'s>(subject: &Subject<'s>) -> impl Iterator<Item = (&'s Span, &'s Span)> {
    subject.pairs().filter(|(client, server)| {
        client.kind == SpanKind::Client && server.kind == SpanKind::Server
    })
}

pub(super) fn has_call(subject: &Subject<'_>) -> bool {
    calls(subject).next().is_some()
}

/// A call whose SERVER span takes longer than its CLIENT span: no clock
/// explains that. A caller that gave up does.
fn takes_too_long(client: &Span, server: &Span, tolerance: u64) -> bool {
    let gave_up = client.attributes.get("http.response.status_code").is_none();
    let longer = server
        .duration_nanos()
        .saturating_sub(client.duration_nanos());
    longer > tolerance && !(gave_up || client.status.code == StatusCode::Error)
}

pub(super) fn server_in_client(subject: &Subject<'_>, out: &mut Findings) {
    let tolerance = subject.tolerance_nanos();
    for (client, server) in calls(subject) {
        if takes_too_long(client, server, tolerance) {
            out.span(
                server,
                format!(
                    "at most the {:?} of {}",
                    Duration::from_nanos(client.duration_nanos()),
                    client.label()
                ),
                format!("{:?}", Duration::from_nanos(server.duration_nanos())),
            );
        }
    }
}

pub(super) fn clock_skew(subject: &Subject<'_>, out: &mut Findings) {
    let tolerance = subject.tolerance_nanos();
    for (client, server) in calls(subject) {
        if takes_too_long(client, server, tolerance) {
            continue;
        }
        let (before, after) = overhang(client, server);
        // A caller that gave up ends before the one it called, by right.
        let after = if client.status.code == StatusCode::Error {
            0
        } else {
            after
        };
        let (nanos, direction) = if before > 0 {
            (before, "behind")
        } else {
            (after, "ahead")
        };
        if nanos > tolerance {
            out.span(
                server,
                format!("a time inside {}", client.label()),
                format!(
                    "the clock of {} {direction} that of {} by {:?} or more",
                    server.service(),
                    client.service(),
                    Duration::from_nanos(nanos)
                ),
            );
        }
    }
}
