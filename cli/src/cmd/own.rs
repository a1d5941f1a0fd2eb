//! A stack of our own, for the commands that need one for a moment: started
//! alike, and opened for reading.

use tdemo_harness::{Stack, StackConfig};

use super::load::note_ignored;
use crate::ctx::Ctx;
use crate::exit::Failure;
use crate::saved::{self, SavedRuns};
use crate::tempo::{Tempo, Window};
use tdemo_trace::Trace;

/// Starts a stack on free ports, with the services' variables.
pub(super) async fn start(ctx: &Ctx) -> Result<Stack, Failure> {
    let config = StackConfig::from_env(&|name| ctx.env(name))
        .map_err(|error| Failure::Usage(error.to_string()))?;
    note_ignored(&config, ctx);
    Stack::start(config)
        .await
        .map_err(|error| Failure::CouldNotRun(error.to_string()))
}

/// Opens the trace store at `url`, an address that this program made.
pub(super) async fn open(url: &str) -> Result<Tempo, Failure> {
    let base = url
        .parse()
        .map_err(|error| Failure::CouldNotRun(format!("{url} is no URL: {error}")))?;
    Tempo::open(base)
        .await
        .map_err(|error| Failure::CouldNotRun(error.to_string()))
}

/// Keeps traces of a stack that is about to go, for `tdemo trace`, and tells
/// whether there are any to be found. That they cannot be kept is said, and
/// fails nothing.
pub(super) fn keep(command: &str, traces: &[Trace], ctx: &Ctx) -> bool {
    let Some(saved) = SavedRuns::of(&|name| ctx.env(name)) else {
        return false;
    };
    match saved.keep(command, traces) {
        Ok(()) => !traces.is_empty(),
        Err(error) => {
            ctx.note(&format!("tdemo: the traces could not be saved: {error}"));
            false
        }
    }
}

/// The newest traces of a store, as many as a saved run keeps.
pub(super) async fn newest(tempo: &Tempo) -> Vec<Trace> {
    let end_s = jiff::Timestamp::now().as_second().unsigned_abs() + 1;
    let widest = Window {
        start_s: end_s.saturating_sub(Window::MAX_S),
        end_s,
    };
    let mut traces = Vec::new();
    let found = tempo.search("{}", widest, saved::MAX_TRACES).await;
    for found in found.unwrap_or_default() {
        if let Ok(Some(trace)) = tempo.trace(found.trace_id).await {
            traces.push(trace);
        }
    }
    traces
}
