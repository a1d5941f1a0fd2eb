//! What `tdemo up` prints: where everything is, and what it came to.

use std::io::{self, Write};

use owo_colors::OwoColorize as _;
use tdemo_harness::Summary;

use super::number::{count, plural};
use crate::runtime_dir::Running;

/// Where everything is, and what to type next.
pub fn started(out: &mut dyn Write, running: &Running) -> io::Result<()> {
    writeln!(out, "up → the tracing demo, until Ctrl-C\n")?;
    for (part, url, about) in [
        ("frontend", &running.frontend_url, "GET /api/process"),
        ("middleware", &running.middleware_url, "POST /api/transform"),
        ("backend", &running.backend_url, "GET /api/data"),
        ("OTLP/gRPC", &running.otlp_grpc_url, "spans in"),
        (
            "OTLP/HTTP",
            &running.otlp_http_url,
            "spans in, POST /v1/traces",
        ),
        (
            "traces",
            &running.tempo_url,
            "Tempo's API, GET /api/traces/{id}",
        ),
    ] {
        writeln!(out, "{part:<10}  {url:<22}  {about}")?;
    }
    writeln!(
        out,
        "\none request   curl -i {}/api/process",
        running.frontend_url
    )?;
    writeln!(
        out,
        "load          tdemo load --target {} --tempo-url {}",
        running.frontend_url, running.tempo_url
    )
}

/// What it came to.
pub fn stopped(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    writeln!(
        out,
        "stopped   {}, {}, {}, {} dropped",
        plural(summary.requests, "request"),
        plural(summary.traces, "trace"),
        plural(summary.spans, "span"),
        count(summary.own.lost()),
    )?;
    if summary.cut_off > 0 {
        let cut_off = plural(summary.cut_off, "request");
        writeln!(
            out,
            "{} {cut_off} cut off at the deadline to stop",
            "!".yellow()
        )?;
    }
    Ok(())
}
