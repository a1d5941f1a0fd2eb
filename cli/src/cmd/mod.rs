//! One file a subcommand: its arguments and its `run`. Called by `main`.

pub mod completions;
pub mod config;
pub mod connections;
pub mod load;
pub mod man;
mod own;
pub mod smoke;
pub mod trace;
pub mod trace_link;
pub mod up;

use crate::args::Command;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

/// Runs a subcommand.
pub async fn run(command: Command, ctx: &Ctx) -> Result<Exit, Failure> {
    match command {
        Command::Up(args) => up::run(args, ctx).await,
        Command::Load(args) => load::run(args, ctx).await,
        Command::Smoke(args) => smoke::run(args, ctx).await,
        Command::Trace(args) => trace::run(args, ctx).await,
        Command::TraceLink(args) => trace_link::run(args, ctx).await,
        Command::Config(args) => config::run(&args, ctx),
        Command::Completions(args) => completions::run(&args, ctx),
        Command::Man(args) => man::run(&args, ctx),
    }
}
