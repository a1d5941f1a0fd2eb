//! Whether the traces that a run made arrived whole: each id is looked up in
//! the trace backend and judged by what its answer owes. Called by `cmd::load`;
//! `load::report` sums it up.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tdemo_trace::{Answer, Caller, Owed, Tier, Trace, TraceId};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::load::sample::MadeTrace;
use crate::tempo::Tempo;

/// How long traces may take to arrive after the last answer.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// Look-ups under way at the same time.
const LOOKUPS_AT_ONCE: usize = 16;
/// Pause before the first repetition; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two look-ups of one trace.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How many troubled traces are described.
const PROBLEMS_SHOWN: usize = 10;

/// What was asked for in the run, which decides what an answer owes.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method of every request.
    pub method: String,
    /// Path of every request.
    pub path: String,
    /// The tier that was asked, where it is known to be one of the demo.
    pub tier: Option<Tier>,
}

impl Asked {
    /// What the answer behind `made` owes. Where only a URL is known, a service
    /// shows by its spans whether it is of the demo; while there are none, the
    /// demo's working paths are taken at their word.
    fn owed(&self, made: MadeTrace, found: Option<&Trace>) -> Owed {
        let is_demo = self.tier.is_some()
            || match found {
                Some(trace) => trace.spans.iter().any(|span| {
                    Tier::ALL
                        .iter()
                        .any(|tier| tier.service() == span.service())
                }),
                None => Tier::of_work_path(&self.path).is_some(),
            };
        if !is_demo {
            return Owed::foreign(Caller::Silent);
        }
        Owed::demo(&Answer {
            tier: self.tier,
            method: &self.method,
            path: &self.path,
            status: made.status.as_u16(),
            sampled: true,
            caller: Caller::Silent,
        })
    }
}

/// What became of one trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All that is owed is there.
    Complete,
    /// Something is there, and this is wrong with it.
    Incomplete(Vec<String>),
    /// Nothing is there.
    Missing,
    /// The backend could not be asked, for this reason.
    Unread(String),
}

/// A trace that is not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its id.
    pub trace_id: TraceId,
    /// What became of it.
    pub state: State,
}

/// The audit of a run, added up. `complete + incomplete + missing + unread` is
/// the number of traces looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Traces with all that they owe.
    pub complete: u64,
    /// Traces with something missing, or something too much.
    pub incomplete: u64,
    /// Traces of which nothing was found.
    pub missing: u64,
    /// Traces for which the backend gave no answer.
    pub unread: u64,
    /// Spans owed by all of them; by a service that is not the demo's, one each.
    pub spans_expected: u64,
    /// Spans found in all of them.
    pub spans_stored: u64,
    /// The first few that are not complete.
    pub problems: Vec<Problem>,
}

/// How far an audit is, to be read from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    settled: AtomicU64,
}

impl Progress {
    /// Traces found complete so far.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }
}

/// One look-up.
struct Verdict {
    made: MadeTrace,
    state: State,
    spans_owed: u64,
    spans_found: u64,
}

/// Looks up every trace of `made` until it is complete, `wait` is over or `cut`
/// is cancelled; the last look says what it came to. A backend that goes on
/// failing after `wait` is not asked for the rest.
pub async fn run(
    tempo: &Tempo,
    asked: &Asked,
    made: &[MadeTrace],
    wait: Duration,
    cut: &CancellationToken,
    progress: &Arc<Progress>,
) -> Audit {
    let look = Look {
        tempo: tempo.clone(),
        asked: Arc::new(asked.clone()),
        deadline: Instant::now() + wait,
        cut: cut.clone(),
        progress: Arc::clone(progress),
    };
    let mut audit = Audit::default();
    let mut open: Vec<MadeTrace> = made.to_vec();
    let mut pause = FIRST_PAUSE;
    loop {
        let last = Instant::now() >= look.deadline;
        let verdicts = look.at_all(open).await;
        let (complete, rest): (Vec<_>, Vec<_>) = verdicts
            .into_iter()
            .partition(|verdict| verdict.state == State::Complete);
        for verdict in complete {
            audit.add(verdict);
        }
        if !last && !rest.is_empty() && !cut.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep_until(look.deadline.min(Instant::now() + pause)) => {}
                () = cut.cancelled() => {}
            }
        }
        if last || rest.is_empty() || cut.is_cancelled() {
            for verdict in rest {
                audit.add(verdict);
            }
            return audit;
        }
        open = rest.into_iter().map(|verdict| verdict.made).collect();
        pause = MAX_PAUSE.min(pause * 2);
    }
}

/// How traces are looked at; cheap to clone.
#[derive(Clone)]
struct Look {
    tempo: Tempo,
    asked: Arc<Asked>,
    deadline: Instant,
    cut: CancellationToken,
    progress: Arc<Progress>,
}

impl Look {
    /// Every trace once, a bounded number at the same time.
    async fn at_all(&self, made: Vec<MadeTrace>) -> Vec<Verdict> {
        let made = Arc::new(made);
        let next = Arc::new(AtomicUsize::new(0));
        let gave_up = Arc::new(OnceLock::new());
        let mut lookups = JoinSet::new();
        for _ in 0..LOOKUPS_AT_ONCE.min(made.len()) {
            let (look, made) = (self.clone(), Arc::clone(&made));
            let (next, gave_up) = (Arc::clone(&next), Arc::clone(&gave_up));
            lookups.spawn(async move {
                let mut verdicts = Vec::new();
                while let Some(made) = made.get(next.fetch_add(1, Ordering::Relaxed)) {
                    verdicts.push(look.at_one(*made, &gave_up).await);
                }
                verdicts
            });
        }
        lookups.join_all().await.into_iter().flatten().collect()
    }

    /// Looks, unless somebody has set in `gave_up` why there is no more use.
    async fn at_one(&self, made: MadeTrace, gave_up: &OnceLock<String>) -> Verdict {
        if self.cut.is_cancelled() {
            gave_up.get_or_init(|| "interrupted before it was looked up".to_owned());
        }
        if let Some(why) = gave_up.get() {
            return Verdict {
                made,
                state: State::Unread(why.clone()),
                spans_owed: self.asked.owed(made, None).spans_owed() as u64,
                spans_found: 0,
            };
        }
        let verdict = look_up(&self.tempo, &self.asked, made).await;
        match &verdict.state {
            State::Complete => {
                self.progress.settled.fetch_add(1, Ordering::Relaxed);
            }
            State::Unread(why) if Instant::now() >= self.deadline => {
                gave_up.get_or_init(|| why.clone());
            }
            State::Unread(_) | State::Incomplete(_) | State::Missing => {}
        }
        verdict
    }
}

async fn look_up(tempo: &Tempo, asked: &Asked, made: MadeTrace) -> Verdict {
    let found = tempo.trace(made.id).await;
    let trace = found.as_ref().ok().and_then(Option::as_ref);
    let owed = asked.owed(made, trace);
    let state = match &found {
        Ok(Some(trace)) => {
            let judged = owed.judge(trace);
            if judged.is_complete() {
                State::Complete
            } else {
                State::Incomplete(judged.flaws().iter().map(ToString::to_string).collect())
            }
        }
        Ok(None) => State::Missing,
        Err(error) => State::Unread(error.to_string()),
    };
    Verdict {
        made,
        state,
        spans_owed: owed.spans_owed() as u64,
        spans_found: trace.map_or(0, |trace| trace.spans.len() as u64),
    }
}

impl Audit {
    fn add(&mut self, verdict: Verdict) {
        self.spans_expected += verdict.spans_owed;
        self.spans_stored += verdict.spans_found;
        *match &verdict.state {
            State::Complete => &mut self.complete,
            State::Incomplete(_) => &mut self.incomplete,
            State::Missing => &mut self.missing,
            State::Unread(_) => &mut self.unread,
        } += 1;
        if verdict.state != State::Complete && self.problems.len() < PROBLEMS_SHOWN {
            self.problems.push(Problem {
                trace_id: verdict.made.id,
                state: verdict.state,
            });
        }
    }

    /// Traces that were looked up.
    pub fn looked_up(&self) -> u64 {
        self.complete + self.incomplete + self.missing + self.unread
    }
}
