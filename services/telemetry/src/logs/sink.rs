//! Where log lines go: a buffer that a thread of its own writes out, so that a
//! slow terminal, disk or pipe never holds up a request.
//!
//! Filled by `layer`; made by whoever opens the output (a binary's `main`).

use std::fmt;
use std::io::Write;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that may wait to be written; a line beyond is dropped and counted.
const MAX_WAITING_BYTES: usize = 8 << 20;
/// How long the writer lets lines gather: one wake-up and one write for many.
const GATHER: Duration = Duration::from_millis(5);

/// A place for log lines. Clones share it; [`none`](Self::none) is no place,
/// and costs nothing.
#[derive(Clone, Default)]
pub struct LogSink(Option<Arc<Handle>>);

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_none() {
            "LogSink(none)"
        } else {
            "LogSink(writer)"
        })
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The writer waits here for lines.
    filled: Condvar,
    /// Flushes wait here for the writer.
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes ever accepted, and bytes written (or lost with a broken output).
    accepted: u64,
    written: u64,
    dropped_lines: u64,
    /// Somebody waits in `flush`: do not gather.
    flushes: u32,
    closed: bool,
}

impl LogSink {
    /// No sink: events are not even formatted.
    pub fn none() -> Self {
        Self(None)
    }

    /// Lines go to `output`, written by a thread that ends with the last clone.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn to_writer(output: impl Write + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            shared: Arc::clone(&shared),
            output,
        };
        thread::Builder::new()
            .name("log writer".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self(Some(Arc::new(Handle(shared)))))
    }

    /// Whether this is no sink.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Lines that were dropped because the output was too slow or is broken.
    pub fn dropped_lines(&self) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |handle| handle.0.lock().dropped_lines)
    }

    /// Takes one line, its end included; never waits for the output.
    pub(super) fn write(&self, line: &[u8]) {
        if let Some(handle) = &self.0 {
            handle.0.push(line);
        }
    }

    /// Blocks until every line taken before is written, or the deadline;
    /// `false` then.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.0
            .as_ref()
            .is_none_or(|handle| handle.0.flush(deadline))
    }
}

/// The last clone of a sink closes it.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.filled.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + line.len() > MAX_WAITING_BYTES {
            state.dropped_lines += 1;
            return;
        }
        let first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        state.accepted += line.len() as u64;
        drop(state);
        if first {
            self.filled.notify_one();
        }
    }

    fn flush(&self, deadline: Duration) -> bool {
        let mut state = self.lock();
        let target = state.accepted;
        state.flushes += 1;
        self.filled.notify_one();
        let (mut state, waited) = self
            .written
            .wait_timeout_while(state, deadline, |state| state.written < target)
            .unwrap_or_else(PoisonError::into_inner);
        state.flushes -= 1;
        !waited.timed_out()
    }

    /// Waits for lines and swaps them into `lines`, which is empty. `false`
    /// once the sink is closed and nothing is left.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let state = self.lock();
        let state = self
            .filled
            .wait_while(state, |state| state.waiting.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, GATHER, |state| state.flushes == 0 && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut state.waiting, lines);
        !lines.is_empty()
    }
}

/// The thread that owns the output.
struct Writer<W> {
    shared: Arc<Shared>,
    output: W,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        /// What a buffer keeps after a burst.
        const KEPT_BYTES: usize = 64 << 10;
        let mut lines = Vec::new();
        while self.shared.take(&mut lines) {
            let result = self
                .output
                .write_all(&lines)
                .and_then(|()| self.output.flush());
            let mut state = self.shared.lock();
            state.written += lines.len() as u64;
            if result.is_err() {
                // A closed pipe, a full disk: there is no place left to say so,
                // but the counter tells.
                let lost = lines.split_inclusive(|&b| b == b'\n').count();
                state.dropped_lines += lost as u64;
            }
            drop(state);
            self.shared.written.notify_all();
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    /// Every write waits for a permit, and is then handed out.
    struct Gated {
        permits: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.permits.recv().map_err(std::io::Error::other)?;
            self.written
                .send(bytes.to_vec())
                .map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (LogSink, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let (permit, permits) = mpsc::channel();
        let (written, lines) = mpsc::channel();
        let sink = LogSink::to_writer(Gated { permits, written }).unwrap();
        (sink, permit, lines)
    }

    #[test]
    fn a_stuck_output_neither_blocks_nor_grows_and_loses_by_count() {
        let (sink, permit, lines) = gated();
        let line = vec![b'x'; 1 << 20];
        let begun = Instant::now();
        for _ in 0..32 {
            sink.write(&line);
        }
        assert!(!sink.flush(Duration::from_millis(20)), "nothing is written");
        assert!(begun.elapsed() < DEADLINE);
        let dropped = sink.dropped_lines();
        // What waits, and what the writer may have taken before.
        assert!((16..=24).contains(&dropped), "{dropped}");

        drop((permit, lines));
        assert!(
            sink.flush(DEADLINE),
            "a broken output does not hold a flush"
        );
    }

    #[test]
    fn flush_writes_what_was_logged_before_in_order() {
        let (sink, permit, lines) = gated();
        for _ in 0..100 {
            permit.send(()).unwrap();
        }
        let mut expected = Vec::new();
        for n in 0..100 {
            let line = format!("{n}\n");
            sink.write(line.as_bytes());
            expected.extend(line.into_bytes());
        }
        assert!(sink.flush(DEADLINE));
        let written: Vec<u8> = lines.try_iter().flatten().collect();
        assert_eq!(written, expected);
        assert_eq!(sink.dropped_lines(), 0);
    }

    #[test]
    fn the_last_clone_ends_the_writer_and_loses_nothing() {
        let (sink, permit, lines) = gated();
        permit.send(()).unwrap();
        sink.clone().write(b"last\n");
        drop(sink);
        assert_eq!(lines.recv_timeout(DEADLINE).unwrap(), b"last\n");
        assert!(lines.recv_timeout(DEADLINE).is_err(), "the writer is gone");
    }

    #[test]
    fn a_broken_output_is_counted() {
        let (sink, permit, lines) = gated();
        drop((permit, lines));
        sink.write(b"one\ntwo\n");
        assert!(sink.flush(DEADLINE));
        assert_eq!(sink.dropped_lines(), 2);
    }

    #[test]
    fn no_sink_takes_everything_and_is_flushed() {
        let sink = LogSink::none();
        sink.write(b"gone\n");
        assert!(sink.flush(Duration::ZERO));
        assert_eq!(sink.dropped_lines(), 0);
    }
}
