//! The services' own span counters, out of their `/metrics`. Called by `gather`.

use std::collections::BTreeMap;

use url::Url;

use super::ask::Asker;

const TOTAL: &str = "tdemo_spans_total";
const QUEUED: &str = "tdemo_spans_queued";

/// Reads the counters of the service at `base`: states with their numbers,
/// `queued` among them.
///
/// # Errors
/// They cannot be read, in one line.
pub(super) async fn read(asker: &Asker, base: &Url) -> Result<BTreeMap<String, u64>, String> {
    let mut url = base.clone();
    url.set_path(&format!("{}/metrics", base.path().trim_end_matches('/')));
    let shown = url.to_string();
    let states = parse(&asker.text(url).await?);
    if states.is_empty() {
        return Err(format!("{shown} has no {TOTAL}"));
    }
    Ok(states)
}

/// `tdemo_spans_total{state="ended"} 12` (`OpenMetrics` text format).
fn parse(text: &str) -> BTreeMap<String, u64> {
    let mut states = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(' ') else {
            continue;
        };
        let Ok(value) = value.split(' ').next().unwrap_or_default().parse() else {
            continue;
        };
        let state = name
            .strip_prefix(TOTAL)
            .and_then(|labels| labels.split_once("state=\""))
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(state, _)| state);
        if let Some(state) = state {
            states.insert(state.to_owned(), value);
        } else if name == QUEUED {
            states.insert("queued".to_owned(), value);
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_is_found_among_other_metrics() {
        let text = "# TYPE tdemo_spans counter\n\
            tdemo_spans_total{state=\"ended\"} 12\n\
            tdemo_spans_total{state=\"dropped\"} 0 # {trace_id=\"a\"} 1\n\
            tdemo_spans_queued 3\n\
            http_server_active_requests 1\n# EOF\n";
        let states = parse(text);
        assert_eq!(states.len(), 3);
        assert_eq!(
            (states["ended"], states["dropped"], states["queued"]),
            (12, 0, 3)
        );
        assert!(parse("up 1\n").is_empty());
    }
}
