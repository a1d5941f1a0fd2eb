//! The progress bar of a run, on stderr while it lasts. Fed by `cmd::load` with
//! counters that the engine keeps anyway; drawing takes nothing from a run.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::number;

/// How often the bar is brought up to date.
pub const TICK: Duration = Duration::from_millis(100);

/// A bar that is removed when it is dropped.
pub struct Progress {
    bar: ProgressBar,
    length: Option<u64>,
}

impl Progress {
    /// A bar of `length` steps, or one without an end.
    pub fn new(target: ProgressDrawTarget, length: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(length, target);
        let template = if length.is_some() {
            "{bar:30} {percent:>3} %  {msg}"
        } else {
            "{spinner} {elapsed}  {msg}"
        };
        bar.set_style(
            ProgressStyle::with_template(template)
                .expect("both templates are constants that indicatif takes")
                .progress_chars("█▌ "),
        );
        Self { bar, length }
    }

    /// Whether anybody sees it.
    pub fn is_hidden(&self) -> bool {
        self.bar.is_hidden()
    }

    /// Shows `done` steps out of the length, and `message` beside it.
    pub fn show(&self, done: u64, message: String) {
        if self.length.is_some() {
            self.bar.set_position(done);
        } else {
            self.bar.tick();
        }
        self.bar.set_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The words beside the bar while requests are sent.
pub fn sending(done: u64, failed: u64, elapsed: Duration) -> String {
    let rate = number::per_second(done as f64 / elapsed.as_secs_f64().max(f64::EPSILON));
    let done = number::plural(done, "request");
    if failed == 0 {
        format!("{done}  {rate}")
    } else {
        format!("{done}  {rate}  {} failed", number::count(failed))
    }
}

/// The words beside the bar while traces are looked up.
pub fn auditing(complete: u64, wanted: u64) -> String {
    format!(
        "{} of {} complete",
        number::count(complete),
        number::plural(wanted, "trace")
    )
}
