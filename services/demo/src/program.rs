//! What the three binaries share: from the command line and the environment to a running service, and to an exit code.
//! The only module that reads the process's environment, installs globals or writes to its streams.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use tdemo_telemetry::{LogFormat, LogSink, ResourceInfo, Telemetry, TelemetrySettings};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber;

use crate::settings::{self, Launch};
use crate::{Tier, run};

/// How long the last spans may take to reach the collector once all requests are answered.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

/// The exit code of a bad flag or variable.
const USAGE: u8 = 2;

/// Why a service did not run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Start(String),
}

impl Failure {
    fn start(what: &str, why: impl fmt::Display) -> Self {
        Self::Start(format!("{what}: {why}"))
    }
}

/// Runs `tier` until SIGTERM or SIGINT. Exit code 0 after an orderly stop, 1 when it could not start, 2 for a bad
/// setting.
pub fn main_for(tier: Tier) -> ExitCode {
    let flags = match settings::command(tier).try_get_matches() {
        Ok(flags) => flags,
        Err(help_or_error) => {
            // A closed stdout or stderr is no reason to fail in another way.
            let _ = help_or_error.print();
            return ExitCode::from(u8::try_from(help_or_error.exit_code()).unwrap_or(USAGE));
        }
    };
    let env = |name: &str| std::env::var(name).ok();
    let result =
        Launch::resolve(tier, &flags, &env).map_err(|error| Failure::Usage(error.to_string()));
    let result = result.and_then(|launch| {
        let mut telemetry = TelemetrySettings::from_env(&env, TelemetrySettings::default())
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let stdout = io::stdout();
        if stdout.is_terminal() {
            telemetry.logs.format = LogFormat::Text;
        }
        telemetry.logs.sink = LogSink::to_writer(stdout)
            .map_err(|error| Failure::start("cannot start the log's writer", error))?;
        let resource =
            ResourceInfo::new(tier.name(), env!("CARGO_PKG_VERSION")).with_kubernetes(&env);
        start(launch, telemetry, resource)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(tier, &failure);
            ExitCode::from(if matches!(failure, Failure::Usage(_)) {
                USAGE
            } else {
                1
            })
        }
    }
}

fn start(
    launch: Launch,
    telemetry: TelemetrySettings,
    resource: ResourceInfo,
) -> Result<(), Failure> {
    // Whoever else installed a provider in this process installed the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::start("cannot start the runtime", error))?;
    runtime.block_on(async {
        let telemetry = Telemetry::start(telemetry, resource)
            .map_err(|error| Failure::start("cannot start telemetry", error))?;
        let dispatch = telemetry.dispatch().clone();
        serve(launch, telemetry).with_subscriber(dispatch).await
    })
}

async fn serve(launch: Launch, telemetry: Telemetry) -> Result<(), Failure> {
    let tier = launch.settings.tier;
    let cannot_listen = |error| {
        Failure::start(
            &format!("cannot listen on {} (--listen, LISTEN)", launch.listen),
            error,
        )
    };
    let listener = TcpListener::bind(&launch.listen)
        .await
        .map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let no_signals = |error| Failure::start("cannot listen for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    tracing::info!(server.address = %address.ip(), server.port = address.port(), "{tier} is listening on {address}");

    let summary = run(listener, launch.settings, telemetry.clone(), shutdown).await;
    if summary.cut_off > 0 {
        say(
            tier,
            &format_args!(
                "{} connections were cut off at the deadline to stop",
                summary.cut_off
            ),
        );
    }
    tracing::info!(
        requests = summary.requests,
        "{tier} has answered its last request"
    );
    let report = telemetry.shutdown(FLUSH_DEADLINE).await;
    for (what, ledger) in [("spans", report.ledger), ("log records", report.log_ledger)] {
        if ledger.failed > 0 || ledger.dropped > 0 {
            say(
                tier,
                &format_args!(
                    "of {} {what}, {} failed to be exported and {} were dropped",
                    ledger.ended, ledger.failed, ledger.dropped
                ),
            );
        }
    }
    Ok(())
}

fn say(tier: Tier, what: &dyn fmt::Display) {
    // There is nobody left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{tier}: {what}");
}
