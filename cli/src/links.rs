//! Where to click: links to a trace or to a search in Grafana Explore, and in
//! the page of a running `tdemo up`. Pure; `cmd::trace_link` and the renderers
//! call it.

use std::fmt::Write as _;

use serde_json::json;
use tdemo_trace::{SpanId, Trace, TraceId};
use url::Url;

/// What is added to both ends of a trace's own times: Grafana hands the range
/// on to Tempo, and clocks differ.
const MARGIN_MS: u64 = 60_000;

/// The range where a trace's times are not known.
const LAST_HOUR_MS: u64 = 3_600_000;

/// A range of time, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Its start.
    pub from_ms: u64,
    /// Its end.
    pub to_ms: u64,
}

impl Range {
    /// The times of `trace` with a margin, or the hour before `now_ms` when it
    /// has no spans.
    pub fn of(trace: &Trace, now_ms: u64) -> Self {
        match trace.bounds_unix_nanos() {
            None => Self::last_hour(now_ms),
            Some((start, end)) => Self {
                from_ms: (start / 1_000_000).saturating_sub(MARGIN_MS),
                to_ms: (end / 1_000_000).saturating_add(MARGIN_MS),
            },
        }
    }

    /// The hour before `now_ms`.
    pub fn last_hour(now_ms: u64) -> Self {
        Self {
            from_ms: now_ms.saturating_sub(LAST_HOUR_MS),
            to_ms: now_ms,
        }
    }
}

/// Grafana and its Tempo data source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grafana {
    /// The base URL, a path below the host included.
    pub base: Url,
    /// The data source's uid.
    pub datasource_uid: String,
}

impl Grafana {
    /// Explore with the trace `id` open, at `span` if one is given.
    pub fn trace(&self, id: TraceId, span: Option<SpanId>, range: Range) -> Url {
        // `queryType` is `traceql` for an id too: hex alone is read as an id.
        let query = json!({"query": id.to_string()});
        let state = span.map(|span| json!({"trace": {"spanId": span.to_string()}}));
        self.explore(query, state, range)
    }

    /// Explore with a TraceQL search.
    pub fn search(&self, query: &str, range: Range) -> Url {
        let query = json!({"query": query, "limit": 20, "spss": 3, "tableType": "traces"});
        self.explore(query, None, range)
    }

    /// The `panes` form of Explore's address (`schemaVersion=1`). The times are
    /// strings there: as numbers they are ignored.
    fn explore(
        &self,
        mut query: serde_json::Value,
        panels_state: Option<serde_json::Value>,
        range: Range,
    ) -> Url {
        query["refId"] = json!("A");
        query["queryType"] = json!("traceql");
        query["datasource"] = json!({"type": "tempo", "uid": self.datasource_uid});
        let mut pane = json!({
            "datasource": self.datasource_uid,
            "queries": [query],
            "range": {"from": range.from_ms.to_string(), "to": range.to_ms.to_string()},
        });
        if let Some(state) = panels_state {
            pane["panelsState"] = state;
        }
        let panes = json!({"a": pane}).to_string();
        let mut url = below(&self.base, "explore");
        url.query_pairs_mut()
            .append_pair("schemaVersion", "1")
            .append_pair("orgId", "1")
            .append_pair("panes", &panes);
        url
    }
}

/// The page that the trace store serves at its root, with a trace open.
pub fn page_trace(store: &Url, id: TraceId, span: Option<SpanId>) -> Url {
    let mut fragment = format!("trace={id}");
    if let Some(span) = span {
        write!(fragment, "&span={span}").expect("a String takes all that is written to it");
    }
    let mut url = below(store, "");
    url.set_fragment(Some(&fragment));
    url
}

/// The page that the trace store serves at its root, with a search.
pub fn page_search(store: &Url, query: &str) -> Url {
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("q", query)
        .finish();
    let mut url = below(store, "");
    url.set_fragment(Some(&query));
    url
}

/// The TraceQL that finds a trace by its id, to paste where a link cannot go.
pub fn traceql(id: TraceId) -> String {
    format!("{{ trace:id = \"{id}\" }}")
}

/// `base` with `path` below its own path. `Url::join` would take the last
/// segment of a base that has no slash at its end away.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EPOCH_MS, span};

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn grafana(base: &str) -> Grafana {
        Grafana {
            base: base.parse().unwrap(),
            datasource_uid: "tempo".to_owned(),
        }
    }

    fn panes(url: &Url) -> serde_json::Value {
        let (_, panes) = url.query_pairs().find(|(key, _)| key == "panes").unwrap();
        serde_json::from_str(&panes).unwrap()
    }

    const RANGE: Range = Range {
        from_ms: 1_700_000_000_000,
        to_ms: 1_700_003_600_000,
    };

    #[test]
    fn a_trace_opens_in_the_current_panes_form() {
        let span = "00f067aa0ba902b7".parse().unwrap();
        let url = grafana("http://g:3000").trace(ID.parse().unwrap(), Some(span), RANGE);
        assert_eq!((url.path(), url.host_str()), ("/explore", Some("g")));
        assert!(
            url.query()
                .unwrap()
                .starts_with("schemaVersion=1&orgId=1&panes=")
        );
        assert_eq!(
            panes(&url),
            json!({"a": {
                "datasource": "tempo",
                "queries": [{
                    "refId": "A",
                    "datasource": {"type": "tempo", "uid": "tempo"},
                    "queryType": "traceql",
                    "query": ID,
                }],
                "range": {"from": "1700000000000", "to": "1700003600000"},
                "panelsState": {"trace": {"spanId": "00f067aa0ba902b7"}},
            }})
        );
    }

    #[test]
    fn a_search_keeps_any_query_whole() {
        let query = r#"{ name = "a&b#c+d %" && .x =~ `é.*` }"#;
        let url = grafana("https://host/grafana/").search(query, RANGE);
        assert_eq!(url.path(), "/grafana/explore");
        let pane = &panes(&url)["a"];
        assert_eq!(pane["queries"][0]["query"], query);
        assert_eq!(pane["queries"][0]["tableType"], "traces");
        assert_eq!(pane.get("panelsState"), None);
        let on_page = page_search(&"http://127.0.0.1:3200".parse().unwrap(), query);
        let fragment = on_page.fragment().unwrap().to_owned();
        let read: Vec<_> = url::form_urlencoded::parse(fragment.as_bytes()).collect();
        assert_eq!(read, [("q".into(), query.into())]);
    }

    #[test]
    fn the_range_is_the_traces_own_with_a_margin_or_the_last_hour() {
        let mut trace = Trace::empty(ID.parse().unwrap());
        let now = 1_700_000_000_000;
        assert_eq!(
            Range::of(&trace, now),
            Range {
                from_ms: now - 3_600_000,
                to_ms: now
            }
        );
        trace
            .spans
            .push(span(1, None, ("frontend", "GET /"), (0, 1_500)));
        assert_eq!(
            Range::of(&trace, now),
            Range {
                from_ms: EPOCH_MS - 60_000,
                to_ms: EPOCH_MS + 61_500
            }
        );
    }

    #[test]
    fn the_page_links_name_the_trace_and_the_span() {
        let store = "http://127.0.0.1:3200/".parse().unwrap();
        let id: TraceId = "abc".parse().unwrap();
        assert_eq!(
            page_trace(&store, id, Some("00f067aa0ba902b7".parse().unwrap())).as_str(),
            "http://127.0.0.1:3200/#trace=00000000000000000000000000000abc&span=00f067aa0ba902b7"
        );
        assert_eq!(
            traceql(id),
            "{ trace:id = \"00000000000000000000000000000abc\" }"
        );
    }
}
