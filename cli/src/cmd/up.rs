//! `tdemo up`: the whole demo in the foreground, on its usual ports. Called by
//! `cmd`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tdemo_harness::{Addresses, Part, Stack, StackConfig, StartError};

use super::load::note_ignored;
use super::own;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::import;
use crate::render;
use crate::runtime_dir::{Announcement, Running, RuntimeDir};
use crate::saved;

const EXAMPLES: &str = "\
Examples:
  tdemo up
      the usual ports: services 5000 to 5002, OTLP 4317 and 4318, Tempo 3200
  tdemo up --frontend-addr 127.0.0.1:8080 --tempo-addr 127.0.0.1:0
      the frontend on 8080, the trace store on any free port
  tdemo up --import traces.json
      with the traces of a saved run, or of a Collector's file
  MIDDLEWARE_WORK=0 BACKEND_WORK=20ms,p99=200ms tdemo up
      no simulated work in the middleware, a slow tail in the backend

Ctrl-C or SIGTERM stops it; every span is exported first. Exit codes: 0 stopped,
2 wrong usage, 3 could not start.";

/// Arguments of `tdemo up`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct UpArgs {
    /// Address of the frontend
    #[arg(long = "frontend-addr", value_name = "IP:PORT", default_value_t = Addresses::USUAL.frontend)]
    frontend: SocketAddr,

    /// Address of the middleware
    #[arg(long = "middleware-addr", value_name = "IP:PORT", default_value_t = Addresses::USUAL.middleware)]
    middleware: SocketAddr,

    /// Address of the backend
    #[arg(long = "backend-addr", value_name = "IP:PORT", default_value_t = Addresses::USUAL.backend)]
    backend: SocketAddr,

    /// Address of the OTLP/gRPC receiver
    #[arg(long = "otlp-grpc-addr", value_name = "IP:PORT", default_value_t = Addresses::USUAL.otlp_grpc)]
    otlp_grpc: SocketAddr,

    /// Address of the OTLP/HTTP receiver
    #[arg(long = "otlp-http-addr", value_name = "IP:PORT", default_value_t = Addresses::USUAL.otlp_http)]
    otlp_http: SocketAddr,

    /// Address of the trace store's Tempo API
    #[arg(long = "tempo-addr", value_name = "IP:PORT", default_value_t = Addresses::USUAL.tempo)]
    tempo: SocketAddr,

    /// Serve the traces of this file too: OTLP/JSON, one object a line, as
    /// --save and the OpenTelemetry Collector's file exporter write it
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
}

/// Runs the stack until it is interrupted.
pub async fn run(args: UpArgs, ctx: &Ctx) -> Result<Exit, Failure> {
    let imported = match &args.import {
        Some(file) => {
            saved::read_file(file).map_err(|error| Failure::Usage(format!("--import: {error}")))?
        }
        None => Vec::new(),
    };
    let mut config = StackConfig::from_env(&|name| ctx.env(name))
        .map_err(|error| Failure::Usage(error.to_string()))?;
    config.addresses = Addresses {
        frontend: args.frontend,
        middleware: args.middleware,
        backend: args.backend,
        otlp_grpc: args.otlp_grpc,
        otlp_http: args.otlp_http,
        tempo: args.tempo,
    };
    note_ignored(&config, ctx);
    let dir = RuntimeDir::of(ctx);
    let stack = Stack::start(config)
        .await
        .map_err(|error| not_started(&error, &dir))?;
    let running = Running::of(&stack);
    import::send(&running.otlp_http_url, &imported)
        .await
        .map_err(|error| Failure::CouldNotRun(format!("--import: {error}")))?;
    let announcement = announce(&dir, &running, ctx);
    ctx.print(|out| render::up::started(out, &running))?;
    ctx.interrupted().cancelled().await;
    drop(announcement);
    // Whatever becomes of this, the stack is stopped in order.
    if let Ok(tempo) = own::open(&running.tempo_url).await {
        own::keep("up", &own::newest(&tempo).await, ctx);
    }
    let summary = stack.shutdown().await;
    ctx.print(|out| render::up::stopped(out, &summary))?;
    Ok(Exit::Good)
}

/// Leaves the addresses where others find them; a stack runs as well without.
fn announce(dir: &RuntimeDir, running: &Running, ctx: &Ctx) -> Option<Announcement> {
    match dir.announce(running) {
        Ok(announcement) => Some(announcement),
        Err(error) => {
            ctx.note(&format!(
                "tdemo: other commands will not find this stack by themselves: its addresses \
                 cannot be written to {}: {error}",
                dir.path().display()
            ));
            None
        }
    }
}

/// One line that names the port, whoever holds it where that is known, and the
/// flag that moves it.
fn not_started(error: &StartError, dir: &RuntimeDir) -> Failure {
    let StartError::Bind { part, address, .. } = error else {
        return Failure::CouldNotRun(error.to_string());
    };
    let holder = dir
        .running()
        .into_iter()
        .find(|running| running.holds(*address))
        .map(|running| format!(" (a `tdemo up` runs there, process {})", running.pid))
        .unwrap_or_default();
    Failure::CouldNotRun(format!(
        "{error}{holder}; choose another with {} IP:PORT, or stop what listens there",
        flag(*part)
    ))
}

fn flag(part: Part) -> &'static str {
    match part {
        Part::Frontend => "--frontend-addr",
        Part::Middleware => "--middleware-addr",
        Part::Backend => "--backend-addr",
        Part::OtlpGrpc => "--otlp-grpc-addr",
        Part::OtlpHttp => "--otlp-http-addr",
        Part::Tempo => "--tempo-addr",
    }
}
