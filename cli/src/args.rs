//! The command line: global options and the list of subcommands, each of which
//! declares its own arguments in `cmd`. Called by `main`.

use clap::{Parser, Subcommand};

use crate::cmd::{completions, config, load, man, smoke, trace, trace_link, up};

/// Load, proof and diagnosis for tracing pipelines.
#[derive(Debug, Parser)]
#[command(
    name = "tdemo",
    version,
    about,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole demo in the foreground: services, OTLP receiver, trace store
    Up(up::UpArgs),
    /// Send load, and check that each request's trace arrived whole
    Load(load::LoadArgs),
    /// Prove the whole pipeline: requests, traces, searches, one verdict
    Smoke(smoke::SmokeArgs),
    /// Show one trace as a waterfall, or list those that a query finds
    Trace(trace::TraceArgs),
    /// Print where to click: Grafana Explore, or the page of a running stack
    TraceLink(trace_link::TraceLinkArgs),
    /// Show the settings of this machine and what they come from
    Config(config::ConfigArgs),
    /// Print a shell's completion script
    Completions(completions::CompletionsArgs),
    /// Print the manual, or write its pages
    Man(man::ManArgs),
}
