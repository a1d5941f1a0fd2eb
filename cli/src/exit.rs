//! What a command can come to, the one error type of the program, and their
//! only mapping to exit codes. Used by every command and by `main`.

use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::ctx::Ctx;

/// How a command that did its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, and the verdict, if there is one, is good: 0.
    Good,
    /// Done, and the verdict is no: 1.
    No,
    /// Interrupted, after printing what was known by then: 130.
    Interrupted,
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for makes no sense: 2.
    #[error("{0}")]
    Usage(String),
    /// What was asked for could not be run: 3.
    #[error("{0}")]
    CouldNotRun(String),
    /// Its result could not be written: 3.
    #[error("writing the result failed: {0}")]
    Output(#[from] io::Error),
}

/// Exit code of a usage error, which clap's own errors share.
const USAGE: u8 = 2;

/// Says on stderr what failed, in one line, and gives the exit code.
pub fn conclude(ctx: &Ctx, result: Result<Exit, Failure>) -> ExitCode {
    let code = match &result {
        Ok(Exit::Good) => 0,
        Ok(Exit::No) => 1,
        Err(Failure::Usage(_)) => USAGE,
        Err(Failure::CouldNotRun(_) | Failure::Output(_)) => 3,
        Ok(Exit::Interrupted) => 130,
    };
    if let Err(failure) = result {
        ctx.note(&format!("tdemo: {failure}"));
    }
    ExitCode::from(code)
}

/// Prints help where it was asked for, on stdout; says in one line what is
/// wrong with the arguments where they are wrong.
pub fn conclude_parse(ctx: &Ctx, error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let help = error.render().ansi().to_string();
            match ctx.print(|out| out.write_all(help.as_bytes())) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => conclude(ctx, Err(failure)),
            }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            ctx.note(error.render().ansi().to_string().trim_end());
            ExitCode::from(USAGE)
        }
        _ => {
            ctx.note(&format!("tdemo: {}", one_line(&error.render().to_string())));
            ExitCode::from(USAGE)
        }
    }
}

/// clap explains an error in paragraphs; this keeps what is wrong and the tip,
/// and leaves out the usage, which `--help` gives.
fn one_line(rendered: &str) -> String {
    let said: Vec<String> = rendered
        .split("\n\n")
        .map(|paragraph| {
            let words: Vec<&str> = paragraph.split_whitespace().collect();
            words.join(" ")
        })
        .map(|paragraph| paragraph.trim_start_matches("error: ").to_owned())
        .filter(|paragraph| {
            !paragraph.is_empty()
                && !paragraph.starts_with("Usage:")
                && !paragraph.starts_with("For more information")
        })
        .collect();
    format!("{}; see --help", said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parse_error_becomes_one_line() {
        let rendered = "error: unexpected argument '--cont' found\n\n  tip: a similar argument \
                        exists: '--count'\n\nUsage: tdemo load [OPTIONS]\n\nFor more information, \
                        try '--help'.\n";
        assert_eq!(
            one_line(rendered),
            "unexpected argument '--cont' found; tip: a similar argument exists: '--count'; \
             see --help"
        );
    }
}
