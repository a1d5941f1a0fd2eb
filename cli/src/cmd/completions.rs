//! `tdemo completions`: a shell's completion script on stdout.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  tdemo completions bash > ~/.local/share/bash-completion/completions/tdemo
  tdemo completions zsh > ~/.zfunc/_tdemo
  tdemo completions fish > ~/.config/fish/completions/tdemo.fish";

/// Arguments of `tdemo completions`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs, ctx: &Ctx) -> Result<Exit, Failure> {
    ctx.print(|mut out| {
        clap_complete::generate(args.shell, &mut Cli::command(), "tdemo", &mut out);
        Ok(())
    })?;
    Ok(Exit::Good)
}
