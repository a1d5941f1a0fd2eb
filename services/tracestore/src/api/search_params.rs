//! The parameters of the search and tag routes: the same defaults, bounds and refusals as Tempo's.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::search::TagSearch;
use crate::traceql::eval::Bounds;
use crate::traceql::literal::{self, Duration};
use crate::traceql::{MAX_QUERY_BYTES, Query};

/// Traces answered when no limit is given, and the highest limit there is.
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: u32 = 262_144;
/// Spans of a spanset answered when nothing is said, and at most.
const DEFAULT_SPANS_PER_SPANSET: u32 = 3;
const MAX_SPANS_PER_SPANSET: u32 = 100;
/// How far back a search looks when nothing is said, and how wide a range it takes.
const DEFAULT_RANGE_S: u64 = 15 * 60;
const MAX_RANGE_S: u64 = 168 * 60 * 60;
const NANOS: u64 = 1_000_000_000;

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The pairs of a query string.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn new(query: &str) -> Self {
        Params(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The first value of a parameter; empty means absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A whole number of 32 bits.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, String> {
        let read = |text: &str| {
            // Rust would take a sign, Tempo does not.
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            text.parse()
                .ok()
                .filter(|_| digits)
                .ok_or_else(|| format!("invalid {name}: {text:?} is not a number of 32 bits"))
        };
        self.get(name).map(read).transpose()
    }

    /// The time range in nanoseconds: `since`, or `start` and `end` in seconds, or the last quarter of an hour.
    pub(super) fn range(&self, now_s: u64) -> Result<(u64, u64), String> {
        let (start, end) = (self.number("start")?, self.number("end")?);
        let (given, start, end) = ((start, end), start.unwrap_or(0), end.unwrap_or(0));
        if (start, end) != (0, 0) && end <= start {
            return Err(format!(
                "http parameter start must be before end. received start={start} end={end}"
            ));
        }
        if let (None, Some(_)) | (Some(_), None) = given {
            return Err("error parsing date range: only one of start and end provided: must provide both or neither".into());
        }
        let since = self.get("since").map(|text| {
            literal::duration(text)
                .filter(|duration| duration.prometheus)
                .map(|duration| duration.nanos.unsigned_abs() / NANOS)
                .ok_or_else(|| format!("error parsing date range: could not parse 'since' parameter: {text:?} is no duration such as 1h30m"))
        });
        // What is stored just now is found: the end is only bounded if the client says so.
        let (start, end) = match since.transpose()? {
            Some(since) => (now_s.saturating_sub(since), None),
            None if end == 0 => (now_s.saturating_sub(DEFAULT_RANGE_S), None),
            None => (u64::from(start), Some(u64::from(end))),
        };
        let last = end.unwrap_or(now_s);
        if last.saturating_sub(start) > MAX_RANGE_S {
            return Err(format!(
                "range specified by start and end exceeds 168h0m0s. received start={start} end={last}"
            ));
        }
        Ok((start * NANOS, end.map_or(u64::MAX, |end| end * NANOS)))
    }

    fn go_duration_ms(&self, name: &str) -> Result<u64, String> {
        let read = |text: &str| {
            let found = literal::duration(text).filter(|duration: &Duration| duration.go);
            found
                .map(|duration| duration.nanos.unsigned_abs() / 1_000_000)
                .ok_or_else(|| {
                    format!("invalid {name}: {text:?} is no duration such as 100ms or 1.5s")
                })
        };
        self.get(name).map_or(Ok(0), read)
    }
}

/// What is searched for.
pub(super) enum SearchFor {
    Query(Query),
    Tags(TagSearch),
}

/// A search request that makes sense.
pub(super) struct SearchRequest {
    pub(super) search: SearchFor,
    pub(super) bounds: Bounds,
}

impl SearchRequest {
    /// Reads the parameters of `/api/search`; the error is the text to answer with 400.
    pub(super) fn read(params: &Params, now_s: u64) -> Result<Self, String> {
        let text = params.get("q");
        if text.is_some_and(|text| text.len() > MAX_QUERY_BYTES) {
            return Err(format!(
                "TraceQL expression exceeds the maximum size of {MAX_QUERY_BYTES} bytes, reduce the query expression size"
            ));
        }
        if text.is_some() && params.get("tags").is_some() {
            return Err("invalid request: can't specify tags and q in the same query".into());
        }
        let tags = params.get("tags").map_or(Ok(Vec::new()), logfmt)?;
        let (min_ms, max_ms) = (
            params.go_duration_ms("minDuration")?,
            params.go_duration_ms("maxDuration")?,
        );
        if params.get("maxDuration").is_some() && min_ms > max_ms {
            return Err("invalid maxDuration: must be greater than minDuration".into());
        }
        let limit = match params.number("limit")? {
            None => DEFAULT_LIMIT,
            Some(0) => return Err("invalid limit: must be a positive number".into()),
            Some(limit) if limit > MAX_LIMIT => {
                return Err(format!("limit {limit} exceeds max limit {MAX_LIMIT}"));
            }
            Some(limit) => limit as usize,
        };
        let spans_per_spanset = params.number("spss")?.unwrap_or(DEFAULT_SPANS_PER_SPANSET);
        let query = text
            .map(crate::traceql::compile)
            .transpose()
            .map_err(|e| format!("invalid TraceQL query: {e}"))?;
        let (start_ns, end_ns) = params.range(now_s)?;
        if spans_per_spanset > MAX_SPANS_PER_SPANSET {
            return Err(format!(
                "spans per span set exceeds {MAX_SPANS_PER_SPANSET}. received {spans_per_spanset}"
            ));
        }
        // Zero means as many as nothing said, in Tempo's engine.
        let spans_per_spanset = if spans_per_spanset == 0 {
            DEFAULT_SPANS_PER_SPANSET
        } else {
            spans_per_spanset
        };
        Ok(SearchRequest {
            search: query.map_or_else(
                || {
                    SearchFor::Tags(TagSearch {
                        tags,
                        min_duration_ns: min_ms * 1_000_000,
                        max_duration_ns: (max_ms > 0).then_some(max_ms * 1_000_000),
                    })
                },
                SearchFor::Query,
            ),
            bounds: Bounds {
                start_ns,
                end_ns,
                limit: Some(limit),
                spans_per_spanset: spans_per_spanset as usize,
            },
        })
    }
}

/// Reads `key=value key2="another value"`. A key may stand alone: its value is empty.
fn logfmt(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut tags: Vec<(String, String)> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        let key_len = rest
            .find(|c: char| c == '=' || c == '"' || c.is_whitespace())
            .unwrap_or(rest.len());
        let key = &rest[..key_len];
        if key.is_empty() {
            return Err(format!("invalid tags: expected a key at pos {at}"));
        }
        if tags.iter().any(|(known, _)| known == key) {
            return Err(format!("invalid tags: tag {key} has been set twice"));
        }
        rest = &rest[key_len..];
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            let len;
            (value, len) = logfmt_value(after)
                .ok_or_else(|| format!("invalid tags: unreadable value of {key} at pos {at}"))?;
            rest = &after[len..];
        }
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Err(format!(
                "invalid tags: expected a space at pos {}",
                text.len() - rest.len()
            ));
        }
        tags.push((key.to_owned(), value));
        rest = rest.trim_start();
    }
    Ok(tags)
}

/// A bare or quoted value, and the bytes it takes.
fn logfmt_value(text: &str) -> Option<(String, usize)> {
    if !text.starts_with('"') {
        let len = text.find(char::is_whitespace).unwrap_or(text.len());
        let bare = &text[..len];
        return (!bare.contains(['"', '='])).then(|| (bare.to_owned(), len));
    }
    // Quoted values are JSON strings.
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = values.next()?.ok()?;
    Some((value, values.byte_offset()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn read(query: &str) -> Result<SearchRequest, String> {
        SearchRequest::read(&Params::new(query), NOW)
    }

    fn refused(query: &str) -> String {
        match read(query) {
            Ok(_) => panic!("{query} was taken"),
            Err(message) => message,
        }
    }

    #[test]
    fn ranges_have_tempos_defaults() {
        let bounds = |query: &str| {
            read(query)
                .map(|r| (r.bounds.start_ns / NANOS, r.bounds.end_ns / NANOS))
                .unwrap()
        };
        assert_eq!(bounds("q={}"), (NOW - 900, u64::MAX / NANOS));
        assert_eq!(bounds("q={}&start=5&end=9"), (5, 9));
        assert_eq!(bounds("q={}&since=1h30m"), (NOW - 5_400, u64::MAX / NANOS));
        assert_eq!(
            bounds("q={}&since=1h&start=5&end=9"),
            (NOW - 3_600, u64::MAX / NANOS)
        );
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for (query, words) in [
            (
                "q={}&start=5",
                "start must be before end. received start=5 end=0",
            ),
            ("q={}&start=9&end=5", "start must be before end"),
            ("q={}&end=5", "only one of start and end"),
            ("q={}&start=x&end=5", "invalid start"),
            ("q={}&start=1&end=%2B5", "invalid end"),
            ("q={}&end=99999999999", "invalid end"),
            ("q={}&since=1.5h", "since"),
            ("q={}&start=1&end=700000", "exceeds 168h"),
            ("q={}&limit=0", "invalid limit: must be a positive number"),
            ("q={}&limit=-1", "invalid limit"),
            ("q={}&limit=262145", "exceeds max limit"),
            (
                "q={}&spss=101",
                "spans per span set exceeds 100. received 101",
            ),
            ("q={}&tags=a=b", "can't specify tags and q"),
            ("q={", "invalid TraceQL query: parse error at line 1, col 2"),
            ("q={} | rate()", "rate()"),
            ("minDuration=5", "invalid minDuration"),
            ("minDuration=1d", "invalid minDuration"),
            (
                "minDuration=2s&maxDuration=1s",
                "invalid maxDuration: must be greater",
            ),
            ("tags=a=b a=c", "tag a has been set twice"),
            ("tags==b", "expected a key"),
            ("tags=a=\"b", "unreadable value of a"),
        ] {
            assert!(
                refused(query).contains(words),
                "{query}: {}",
                refused(query)
            );
        }
        let long = format!("q={{.a=\"{}\"}}", "x".repeat(MAX_QUERY_BYTES));
        assert!(refused(&long).contains("maximum size"));
    }

    #[test]
    fn tags_are_logfmt() {
        let request =
            read("tags=service.name%3Dbackend%20b%3D%22c%20%5C%22d%22%20e&minDuration=1.5ms")
                .unwrap();
        let SearchFor::Tags(search) = request.search else {
            panic!("a tag search")
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            search.tags,
            [
                pair("service.name", "backend"),
                pair("b", "c \"d"),
                pair("e", "")
            ]
        );
        assert_eq!(
            (search.min_duration_ns, search.max_duration_ns),
            (1_000_000, None)
        );
    }
}
