//! `tdemo config`: shows which settings there are, their values, and whether
//! flag, variable or profile won. Reaches out to nothing.

use clap::Args;

use super::connections::{Connections, Known};
use crate::config::OtelVariables;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::render;

const EXAMPLES: &str = "\
Examples:
  tdemo config
      what is set here, and by what
  tdemo config --profile f3s
      the same with the profile f3s of tdemo.toml, which reads
        [profile.f3s]
        target = \"http://tracing-demo.example\"
        tempo-url = \"http://tempo.example:3200\"
  TDEMO_TEMPO_URL=http://127.0.0.1:3200 tdemo config --json
      one JSON object

Exit codes: 0 shown, 2 a setting cannot be used.";

/// Arguments of `tdemo config`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ConfigArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connections: Connections,
}

/// Prints the settings.
pub fn run(args: &ConfigArgs, ctx: &Ctx) -> Result<Exit, Failure> {
    let Known { settings, file } = args.connections.known(ctx, OtelVariables::Always)?;
    ctx.print(|out| {
        if args.json {
            render::settings::json(&settings, file.as_ref(), out)
        } else {
            render::settings::text(&settings, file.as_ref(), out)
        }
    })?;
    Ok(Exit::Good)
}
