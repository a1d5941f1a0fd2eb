//! Which streams, labels and values there are in a time. Called by the API's `labels`,
//! `label/{name}/values` and `series`.

use std::collections::{BTreeMap, BTreeSet};

use super::chunk::Chunk;
use super::logql::Pipeline;
use super::otlp::Origin;
use super::store::Snapshot;

/// The streams with a record from `start` until before `end` (nanoseconds since the epoch) that
/// one of the selectors selects; without selectors, all.
pub fn streams(
    snapshot: &Snapshot,
    start: i64,
    end: i64,
    selectors: &[Pipeline],
) -> BTreeSet<BTreeMap<String, String>> {
    let mut found = BTreeSet::new();
    for chunk in &snapshot.chunks {
        for origin in seen(chunk, start, end) {
            let selected = selectors.is_empty()
                || selectors
                    .iter()
                    .any(|s| s.selects(|name| origin.label(name)));
            if selected {
                found.insert(origin.labels.iter().cloned().collect());
            }
        }
    }
    found
}

/// The origins of the chunk's records of a time.
fn seen(chunk: &Chunk, start: i64, end: i64) -> Vec<&Origin> {
    let (min, max) = chunk.times();
    if max < start || min >= end {
        return Vec::new();
    }
    let mut seen = vec![start <= min && max < end; chunk.origins().len()];
    let mut missing = seen.iter().filter(|seen| !**seen).count();
    for row in 0..u32::try_from(chunk.len()).unwrap_or(u32::MAX) {
        if missing == 0 {
            break;
        }
        let seen = &mut seen[chunk.origin_index(row)];
        if !*seen && (start..end).contains(&chunk.time(row)) {
            *seen = true;
            missing -= 1;
        }
    }
    let origins = chunk.origins().iter().zip(seen);
    origins
        .filter(|(_, seen)| *seen)
        .map(|(origin, _)| origin.as_ref())
        .collect()
}
