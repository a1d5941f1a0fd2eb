//! Asks the trace backend the four queries, until each finds all that it must.
//! Called by `gather`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tdemo_trace::TraceId;
use tdemo_trace::facts::Fact;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ask::now_unix_nanos;
use super::asked;
use super::evidence::{Evidence, Searched};
use super::wait::Pauses;
use crate::tempo::{Tempo, TempoError, Window};

/// How long a search is waited for: Tempo 3 ends its searches 30 s before now.
const SEARCH_WAIT: Duration = Duration::from_secs(60);
/// As many traces and an answer was cut: then each id is searched for itself.
const SEARCH_LIMIT: usize = 500;
/// How far before the run the searched range starts: clocks differ.
const SEARCH_MARGIN_S: u64 = 60;

/// What each query of [`Fact::TAUGHT`] finds of the run's own traces.
pub(super) async fn all(
    tempo: &Tempo,
    evidence: &Evidence,
    cut: &CancellationToken,
) -> Vec<Searched> {
    let own: Arc<BTreeSet<TraceId>> = Arc::new(evidence.reads.iter().map(|read| read.id).collect());
    let answers = evidence.exchanges.iter();
    let last_answer = answers.map(|exchange| exchange.done_unix_nanos).max();
    let last_answer = last_answer.unwrap_or(evidence.started_unix_nanos);
    let started_s = evidence.started_unix_nanos / 1_000_000_000;
    let until = Instant::now() + SEARCH_WAIT;
    let mut searches = JoinSet::new();
    for (at, fact) in Fact::TAUGHT.into_iter().enumerate() {
        let wanted = asked::must_find(evidence, fact);
        let cut = cut.clone();
        let search = Search {
            tempo: tempo.clone(),
            own: Arc::clone(&own),
            start_s: started_s.saturating_sub(SEARCH_MARGIN_S),
        };
        searches.spawn(async move {
            let (found, all) = search.until_all(fact, &wanted, until, &cut).await;
            let after = now_unix_nanos().saturating_sub(last_answer) as f64 / 1e6;
            let (found, error) = match found {
                Ok(found) => (found.into_iter().collect(), None),
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
            let result = Searched {
                query: fact.to_string(),
                found,
                all_after_ms: all.then_some(after),
                error,
            };
            (at, result)
        });
    }
    let mut searches = searches.join_all().await;
    searches.sort_by_key(|(at, _)| *at);
    searches.into_iter().map(|(_, searched)| searched).collect()
}

struct Search {
    tempo: Tempo,
    own: Arc<BTreeSet<TraceId>>,
    start_s: u64,
}

impl Search {
    /// Asks until all of `wanted` are found; gives the run's own traces of the
    /// last answer, and whether all were among them.
    async fn until_all(
        &self,
        fact: Fact,
        wanted: &BTreeSet<TraceId>,
        until: Instant,
        cut: &CancellationToken,
    ) -> (Result<BTreeSet<TraceId>, TempoError>, bool) {
        let mut pauses = Pauses::until(until);
        loop {
            let found = self.once(fact).await;
            let all = found.as_ref().is_ok_and(|found| found.is_superset(wanted));
            // A refusal stays one, however often it is asked for.
            let refused = matches!(found, Err(TempoError::Status { .. }));
            if all || refused || !pauses.next(cut).await {
                return (found, all);
            }
        }
    }

    async fn once(&self, fact: Fact) -> Result<BTreeSet<TraceId>, TempoError> {
        let query = fact.to_string();
        let found = self.ask(&query).await?;
        if found.len() < SEARCH_LIMIT {
            return Ok(found.intersection(&self.own).copied().collect());
        }
        // Others make traces here too, more than one answer holds.
        let condition = query.trim_start_matches('{').trim_end_matches('}').trim();
        let mut own = BTreeSet::new();
        for id in self.own.iter() {
            let query = format!("{{ {condition} && trace:id = \"{id}\" }}");
            own.extend(self.ask(&query).await?.intersection(&self.own));
        }
        Ok(own)
    }

    async fn ask(&self, query: &str) -> Result<BTreeSet<TraceId>, TempoError> {
        let window = Window {
            start_s: self.start_s,
            end_s: now_unix_nanos() / 1_000_000_000 + 1,
        };
        let found = self.tempo.search(query, window, SEARCH_LIMIT).await?;
        Ok(found.into_iter().map(|found| found.trace_id).collect())
    }
}
