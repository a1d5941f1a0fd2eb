//! The `tdemo` program: parse, run, map to an exit code.

use std::process::ExitCode;

use clap::Parser;
use tdemo::args::Cli;
use tdemo::cmd;
use tdemo::ctx::Ctx;
use tdemo::exit::{self, Exit, Failure};

fn main() -> ExitCode {
    let ctx = Ctx::new();
    // Already installed is as good: nothing else in this program installs one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::try_parse() {
        Ok(cli) => exit::conclude(&ctx, run(cli, &ctx)),
        Err(error) => exit::conclude_parse(&ctx, &error),
    }
}

fn run(cli: Cli, ctx: &Ctx) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::CouldNotRun(format!("no thread could be started: {error}")))?;
    let result = runtime.block_on(async {
        ctx.listen_for_signals()?;
        let mut work = Box::pin(cmd::run(cli.command, ctx));
        tokio::select! {
            result = &mut work => result,
            () = ctx.abandoned().cancelled() => {
                // Dropped, it would stop in order, and that takes its time.
                std::mem::forget(work);
                Ok(Exit::Interrupted)
            }
        }
    });
    // What is still running belongs to a command that is over or given up.
    runtime.shutdown_background();
    result
}
