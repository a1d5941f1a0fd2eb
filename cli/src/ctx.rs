//! The process around a command: stdout, stderr, environment and interruption,
//! built once in `main` and passed down. The only module that opens the
//! standard streams, and besides clap the only one that reads the environment.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use indicatif::ProgressDrawTarget;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

/// What a command may use of its process.
#[derive(Debug, Clone, Default)]
pub struct Ctx {
    interrupted: CancellationToken,
    abandoned: CancellationToken,
}

impl Ctx {
    /// The context of this process; call it once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a result to stdout in one piece: coloured on a terminal, plain
    /// elsewhere and under `NO_COLOR`. A reader that has gone away (`| head`)
    /// is no error.
    pub fn print(
        &self,
        render: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut text = Vec::new();
        render(&mut text)?;
        let mut out = anstream::stdout().lock();
        match out.write_all(&text).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => Ok(result?),
        }
    }

    /// Says something beside the result, on stderr, as one or more lines.
    pub fn note(&self, text: &str) {
        // There is no better place to say that stderr is closed.
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// Where a progress bar is drawn: stderr if it is a terminal, else nowhere.
    pub fn progress_target(&self) -> ProgressDrawTarget {
        if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        }
    }

    /// The cells of a line on stdout: the terminal's, or 80 elsewhere.
    pub fn columns(&self) -> usize {
        terminal_size::terminal_size_of(io::stdout()).map_or(80, |(width, _)| width.0.into())
    }

    /// Whether a person reads stdout.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// An environment variable, `None` where it is unset or empty.
    pub fn env(&self, name: &str) -> Option<String> {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(|value| value.to_string_lossy().into_owned())
    }

    /// Where temporary files go (`$TMPDIR`).
    pub fn temp_dir(&self) -> PathBuf {
        std::env::temp_dir()
    }

    /// Cancelled at the first SIGINT or SIGTERM: end what you are doing, and
    /// report.
    pub fn interrupted(&self) -> &CancellationToken {
        &self.interrupted
    }

    /// Cancelled at the second signal: `main` leaves at once.
    pub fn abandoned(&self) -> &CancellationToken {
        &self.abandoned
    }

    /// Turns signals into cancellation from now on. Needs a tokio runtime.
    pub fn listen_for_signals(&self) -> Result<(), Failure> {
        let failed =
            |error| Failure::CouldNotRun(format!("signals cannot be listened for: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let ctx = self.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            };
            next().await;
            ctx.note("tdemo: stopping; a second Ctrl-C leaves at once");
            ctx.interrupted.cancel();
            next().await;
            ctx.abandoned.cancel();
        });
        Ok(())
    }
}
