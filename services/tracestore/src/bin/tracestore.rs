//! The `tracestore` binary: listeners, signals and exit codes around the library.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tdemo_tracestore::settings::Settings;
use tdemo_tracestore::{run_api, run_otlp_grpc, run_otlp_http};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// What cannot be run for reasons outside of the command line.
const COULD_NOT_RUN: u8 = 3;

fn main() -> ExitCode {
    let settings = Settings::parse();
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .init();
    let ran = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(run(settings)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when even this fails.
            let _ = writeln!(io::stderr(), "tracestore: {error:#}");
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let grpc = listen(settings.otlp_grpc_addr, "--otlp-grpc-addr").await?;
    let http = listen(settings.otlp_http_addr, "--otlp-http-addr").await?;
    let tempo = listen(settings.tempo_addr, "--tempo-addr").await?;
    tracing::info!(
        otlp_grpc = %grpc.local_addr()?,
        otlp_http = %http.local_addr()?,
        tempo = %tempo.local_addr()?,
        "tracestore is ready"
    );

    let stores = settings.stores();
    let stop_receiving = CancellationToken::new();
    let stop_answering = CancellationToken::new();
    let api = tokio::spawn(run_api(tempo, stores.clone(), stop_answering.clone()));
    let receivers = tokio::spawn({
        let (stores, stop) = (stores.clone(), stop_receiving.clone());
        async move {
            tokio::try_join!(
                run_otlp_grpc(grpc, stores.clone(), stop.clone()),
                run_otlp_http(http, stores, stop),
            )
        }
    });

    asked_to_stop().await?;
    tracing::info!("stopping: first the receivers, then the API");
    stop_receiving.cancel();
    receivers.await.context("a receiver failed")??;
    stop_answering.cancel();
    api.await.context("the API failed")??;
    for store in stores.stores() {
        let stats = store.stats();
        let logs = store.logs().stats();
        tracing::info!(
            traces = stats.traces,
            spans = stats.spans,
            evicted_traces = stats.traces_evicted,
            refused_spans = stats.spans_too_large,
            log_records = logs.held,
            evicted_log_records = logs.evicted,
            refused_log_records = logs.too_large,
            "stopped"
        );
    }
    Ok(())
}

async fn listen(addr: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr}: choose another address with {flag}"))
}

async fn asked_to_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for SIGINT"),
    }
}
