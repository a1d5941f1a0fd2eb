//! `tdemo man`: the manual, one page on stdout or all of them as files.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use crate::args::Cli;
use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  tdemo man | man -l -
      the page of tdemo itself
  tdemo man smoke | man -l -
      the page of one subcommand
  tdemo man --dir ~/.local/share/man/man1
      every page as a file";

/// Arguments of `tdemo man`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ManArgs {
    /// The subcommand whose page is wanted [default: tdemo itself]
    #[arg(conflicts_with = "dir")]
    subcommand: Option<String>,

    /// Write every page into this directory instead, which is made if need be
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints one page, or writes them all.
pub fn run(args: &ManArgs, ctx: &Ctx) -> Result<Exit, Failure> {
    let pages = pages();
    if let Some(dir) = &args.dir {
        write_all(dir, &pages)?;
        return Ok(Exit::Good);
    }
    let wanted = match &args.subcommand {
        None => "tdemo".to_owned(),
        Some(name) => format!("tdemo-{name}"),
    };
    let page = pages
        .iter()
        .find(|page| name(page) == wanted)
        .ok_or_else(|| {
            let names: Vec<_> = pages
                .iter()
                .filter_map(|page| name(page).strip_prefix("tdemo-"))
                .collect();
            Failure::Usage(format!(
                "{:?} is no subcommand of tdemo; there are {}",
                args.subcommand.as_deref().unwrap_or_default(),
                names.join(", ")
            ))
        })?;
    ctx.print(|mut out| Man::new(page.clone()).render(&mut out))?;
    Ok(Exit::Good)
}

/// The name of a page: `tdemo`, `tdemo-smoke`.
fn name(page: &Command) -> &str {
    page.get_display_name().unwrap_or(page.get_name())
}

/// The command and its subcommands.
fn pages() -> Vec<Command> {
    let mut root = Cli::command();
    root.build();
    let subcommands: Vec<Command> = root
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
        .cloned()
        .collect();
    std::iter::once(root).chain(subcommands).collect()
}

fn write_all(dir: &Path, pages: &[Command]) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::CouldNotRun(format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    for page in pages {
        let path = dir.join(format!("{}.1", name(page)));
        let mut text = Vec::new();
        Man::new(page.clone())
            .render(&mut text)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
