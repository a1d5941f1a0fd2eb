//! Runs a plan over a store's chunks, newest first and on several threads, until enough traces are
//! found. Called by `search`.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::EvalError;
use super::pipeline::{ChunkRun, Spanset};
use super::plan::Plan;
use super::shown::shown;
use super::value::Value;
use super::view::View;
use crate::model::{Chunk, NO_ROW, Slot, Status};

/// What to look at, and how much to answer.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Traces that end before this moment (Unix nanoseconds) are left out.
    pub start_ns: u64,
    /// Traces that start after this moment (Unix nanoseconds) are left out.
    pub end_ns: u64,
    /// How many traces to answer; none means all.
    pub limit: Option<usize>,
    /// How many spans of a spanset to answer.
    pub spans_per_spanset: usize,
}

/// A trace that matches.
#[derive(Clone, Debug)]
pub struct FoundTrace {
    /// Big-endian trace id.
    pub id: u128,
    /// Name of the root span; `None` if there is no root.
    pub root_name: Option<String>,
    /// Service of the root span; empty if its resource names none.
    pub root_service: String,
    /// Earliest start of a span, Unix nanoseconds.
    pub start_ns: u64,
    /// From there to the latest end, nanoseconds.
    pub duration_ns: u64,
    /// At least one.
    pub spansets: Vec<FoundSpanset>,
    /// Spans and failed spans of each service, in order of names.
    pub services: Vec<ServiceStats>,
}

/// The spans of a trace by service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceStats {
    /// `service.name`; empty if the resource has none.
    pub service: String,
    /// Its spans in the trace.
    pub spans: u32,
    /// Those with status error.
    pub errors: u32,
}

/// Spans that belong together.
#[derive(Clone, Debug)]
pub struct FoundSpanset {
    /// How many spans there are.
    pub matched: usize,
    /// The first of them.
    pub spans: Vec<FoundSpan>,
    /// What was computed of all of them: `count()`, `by(name)`, ….
    pub attributes: Vec<(String, Value<'static>)>,
}

/// A span that matches.
#[derive(Clone, Debug)]
pub struct FoundSpan {
    /// Big-endian span id.
    pub id: u64,
    /// Its name, if the query reads names.
    pub name: Option<String>,
    /// Unix nanoseconds.
    pub start_ns: u64,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// The attributes that the query read or selected.
    pub attributes: Vec<(String, Value<'static>)>,
}

/// Finds traces, in no order. Blocks; uses up to `threads` threads, this one included.
///
/// # Errors
/// The query fails on the data at hand; see [`EvalError`].
pub fn search(
    plan: &Plan,
    chunks: &[Arc<Chunk>],
    bounds: &Bounds,
    threads: usize,
) -> Result<Vec<FoundTrace>, EvalError> {
    let shared = Shared {
        next: AtomicUsize::new(0),
        done: AtomicBool::new(plan.is_never()),
        failed: OnceLock::new(),
        kept: Mutex::default(),
    };
    let work = || {
        while !shared.done.load(Ordering::Relaxed) {
            let index = shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = chunks.iter().rev().nth(index) else {
                break;
            };
            if let Err(error) = search_chunk(plan, chunk, bounds, &shared) {
                shared.done.store(true, Ordering::Relaxed);
                _ = shared.failed.set(error);
            }
        }
    };
    // The newest chunk often has all that is asked for: it is not worth a thread.
    if let (Some(newest), false) = (chunks.last(), plan.is_never()) {
        shared.next.store(1, Ordering::Relaxed);
        search_chunk(plan, newest, bounds, &shared)?;
    }
    let helpers = threads.min(chunks.len()).saturating_sub(1);
    if helpers == 0 || shared.done.load(Ordering::Relaxed) {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..helpers {
                // Where the system gives no more threads, those there are do the work.
                _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    }
    match shared.failed.into_inner() {
        Some(error) => Err(error),
        None => Ok(shared.kept.into_inner().traces),
    }
}

/// What the threads of a search share.
struct Shared {
    /// Chunks taken so far.
    next: AtomicUsize,
    done: AtomicBool,
    failed: OnceLock<EvalError>,
    kept: Mutex<Kept>,
}

/// The traces of the answer, so far.
#[derive(Default)]
struct Kept {
    traces: Vec<FoundTrace>,
    /// Starts and places of all of them, the oldest on top; only where the newest are wanted.
    oldest: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Kept {
    /// Whether there is room for a trace that starts then: any, or in place of an older one.
    fn takes(&self, plan: &Plan, bounds: &Bounds, start_ns: u64) -> bool {
        bounds.limit.is_none_or(|limit| self.traces.len() < limit)
            || (plan.most_recent
                && self
                    .oldest
                    .peek()
                    .is_some_and(|Reverse((oldest, _))| *oldest < start_ns))
    }

    /// Adds a trace for which there is room.
    fn add(&mut self, plan: &Plan, bounds: &Bounds, trace: FoundTrace) {
        let start_ns = trace.start_ns;
        let full = bounds.limit.is_some_and(|limit| self.traces.len() >= limit);
        let replaced = if full { self.oldest.pop() } else { None };
        let place = if let Some(Reverse((_, place))) = replaced {
            self.traces[place] = trace;
            place
        } else {
            self.traces.push(trace);
            self.traces.len() - 1
        };
        if plan.most_recent {
            self.oldest.push(Reverse((start_ns, place)));
        }
    }
}

impl Shared {
    fn takes(&self, plan: &Plan, bounds: &Bounds, start_ns: u64) -> bool {
        self.kept.lock().takes(plan, bounds, start_ns)
    }

    fn add(&self, plan: &Plan, bounds: &Bounds, trace: FoundTrace) -> ControlFlow<()> {
        let mut kept = self.kept.lock();
        if kept.takes(plan, bounds, trace.start_ns) {
            kept.add(plan, bounds, trace);
        }
        if !plan.most_recent && !kept.takes(plan, bounds, 0) {
            self.done.store(true, Ordering::Relaxed);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

fn search_chunk(
    plan: &Plan,
    chunk: &Chunk,
    bounds: &Bounds,
    shared: &Shared,
) -> Result<(), EvalError> {
    let inside = |slot: Slot| {
        let trace = &chunk.traces()[slot as usize];
        trace.start_ns <= bounds.end_ns && trace.end_ns >= bounds.start_ns
    };
    // A chunk is often wholly outside, or too old to be among the most recent.
    let newest = chunk
        .live_slots()
        .filter(|&slot| inside(slot))
        .map(|slot| chunk.traces()[slot as usize].start_ns)
        .max();
    if !newest.is_some_and(|start| shared.takes(plan, bounds, start)) {
        return Ok(());
    }
    let view = View::new(chunk);
    ChunkRun::new(plan, &view).run(
        |slot| {
            inside(slot)
                && (!plan.most_recent
                    || shared.takes(plan, bounds, chunk.traces()[slot as usize].start_ns))
        },
        |slot, spansets| shared.add(plan, bounds, describe(plan, &view, bounds, slot, spansets)),
    )
}

fn describe(
    plan: &Plan,
    view: &View<'_>,
    bounds: &Bounds,
    slot: Slot,
    spansets: Vec<Spanset<'_>>,
) -> FoundTrace {
    let chunk = view.chunk;
    let trace = &chunk.traces()[slot as usize];
    let root = (trace.root != NO_ROW).then_some(trace.root);
    let spansets = spansets.into_iter().map(|spanset| FoundSpanset {
        matched: spanset.rows.len(),
        attributes: keep(spanset.attributes),
        spans: spanset
            .rows
            .iter()
            .take(bounds.spans_per_spanset)
            .map(|&row| {
                let shown = shown(plan, view, row);
                FoundSpan {
                    id: chunk.span_ids()[row as usize],
                    name: shown.name,
                    start_ns: chunk.starts_ns()[row as usize],
                    duration_ns: view.duration(row).cast_unsigned(),
                    attributes: keep(shown.attributes),
                }
            })
            .collect(),
    });
    FoundTrace {
        id: trace.id,
        root_name: root.map(|row| chunk.name(chunk.name_codes()[row as usize]).to_owned()),
        root_service: root.map_or_else(String::new, |row| view.service_name(row).to_owned()),
        start_ns: trace.start_ns,
        duration_ns: trace.end_ns.wrapping_sub(trace.start_ns),
        spansets: spansets.collect(),
        services: services(view, slot),
    }
}

fn services(view: &View<'_>, slot: Slot) -> Vec<ServiceStats> {
    let mut services: Vec<ServiceStats> = Vec::new();
    for row in view.chunk.trace_rows(slot) {
        let service = view.service_name(row);
        let failed = u32::from(view.chunk.status(row) == Status::Error);
        match services.iter_mut().find(|known| known.service == service) {
            Some(known) => {
                known.spans += 1;
                known.errors += failed;
            }
            None => services.push(ServiceStats {
                service: service.to_owned(),
                spans: 1,
                errors: failed,
            }),
        }
    }
    services.sort_by(|a, b| a.service.cmp(&b.service));
    services
}

/// Values that outlive the chunk.
fn keep(attributes: Vec<(impl Into<String>, Value<'_>)>) -> Vec<(String, Value<'static>)> {
    attributes
        .into_iter()
        .map(|(key, value)| (key.into(), own(value)))
        .collect()
}

fn own(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Nil => Value::Nil,
        Value::Int(value) => Value::Int(value),
        Value::Float(value) => Value::Float(value),
        Value::Str(text) => Value::Str(Cow::Owned(text.into_owned())),
        Value::Bool(value) => Value::Bool(value),
        Value::Duration(nanos) => Value::Duration(nanos),
        Value::Status(status) => Value::Status(status),
        Value::Kind(kind) => Value::Kind(kind),
        Value::Array(elements) => Value::Array(elements.into_iter().map(own).collect()),
    }
}
