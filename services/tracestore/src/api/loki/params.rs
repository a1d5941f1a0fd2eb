//! The parameters of Loki's routes: from the query string and, with POST, from a form.
//!
//! Names, defaults and forms are those of Loki's HTTP API
//! (<https://grafana.com/docs/loki/latest/reference/loki-http-api/>).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::logs::logql;
use crate::logs::query::Direction;

/// Entries answered unless `limit` says otherwise.
const DEFAULT_LIMIT: usize = 100;
/// Entries answered at most, as Loki is set up by default.
const MAX_LIMIT: usize = 5000;
/// How far back an answer reaches unless `start` or `since` say otherwise.
const DEFAULT_SINCE: i64 = 3_600_000_000_000;
/// The longest `delay_for`, in seconds.
const MAX_DELAY: u64 = 5;

/// Named values, some of them several times.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query string and a form; what the form says of a name comes first.
    pub(super) fn new(query: &str, form: &[u8]) -> Self {
        let form = url::form_urlencoded::parse(form);
        let query = url::form_urlencoded::parse(query.as_bytes());
        let owned = form
            .chain(query)
            .map(|(n, v)| (n.into_owned(), v.into_owned()));
        Self(owned.collect())
    }

    /// All values of a name.
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first value of a name, unless it is empty.
    pub(super) fn get(&self, name: &'static str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// How many entries.
    pub(super) fn limit(&self) -> Result<usize, String> {
        let Some(text) = self.get("limit") else {
            return Ok(DEFAULT_LIMIT);
        };
        let limit: i64 = text.parse().map_err(|_| {
            format!("could not parse 'limit' parameter: {text:?} is not a whole number")
        })?;
        match usize::try_from(limit) {
            Err(_) | Ok(0) => Err("limit must be a positive value".to_owned()),
            Ok(limit) if limit > MAX_LIMIT => Err(format!(
                "max entries limit per query exceeded: {limit} > {MAX_LIMIT}; ask again from where the answer ends"
            )),
            Ok(limit) => Ok(limit),
        }
    }

    /// In which order; backward by default.
    pub(super) fn direction(&self) -> Result<Direction, String> {
        match self.get("direction") {
            None => Ok(Direction::Backward),
            Some(text) if text.eq_ignore_ascii_case("backward") => Ok(Direction::Backward),
            Some(text) if text.eq_ignore_ascii_case("forward") => Ok(Direction::Forward),
            Some(text) => Err(format!(
                "invalid direction '{text}': it must be forward or backward"
            )),
        }
    }

    /// Start and end in nanoseconds since the epoch: `since` (an hour) back from `end`, and
    /// from now if the end is later.
    pub(super) fn bounds(&self, now: i64) -> Result<(i64, i64), String> {
        let since = match self.get("since") {
            None => DEFAULT_SINCE,
            Some("0") => 0,
            Some(text) => logql::duration(text).ok_or_else(|| {
                format!("could not parse 'since' parameter: {text:?} is not a duration such as 5m")
            })?,
        };
        let end = self.time("end")?.unwrap_or(now);
        let start = self
            .time("start")?
            .unwrap_or(end.min(now).saturating_sub(since));
        if end < start {
            return Err("end timestamp must not be before or equal to start time".to_owned());
        }
        Ok((start, end))
    }

    /// A time in nanoseconds since the epoch, from nanoseconds, from seconds (up to ten digits,
    /// or with a fraction) or from an RFC 3339 text.
    pub(super) fn time(&self, name: &'static str) -> Result<Option<i64>, String> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let time = parse_time(text).ok_or_else(|| {
            format!(
                "could not parse '{name}' parameter: {text:?} is neither nanoseconds nor seconds since the epoch nor RFC 3339"
            )
        })?;
        Ok(Some(time))
    }

    /// How long a tail holds records back.
    pub(super) fn delay(&self) -> Result<Duration, String> {
        let Some(text) = self.get("delay_for") else {
            return Ok(Duration::ZERO);
        };
        let seconds: u64 = text.parse().map_err(|_| {
            format!(
                "could not parse 'delay_for' parameter: {text:?} is not a whole number of seconds"
            )
        })?;
        if seconds > MAX_DELAY {
            return Err(format!("delay_for can't be greater than {MAX_DELAY}"));
        }
        Ok(Duration::from_secs(seconds))
    }

    /// The query.
    pub(super) fn query(&self) -> &str {
        self.get("query").unwrap_or_default()
    }

    /// Refuses what would change the answer and is not supported.
    pub(super) fn no_interval(&self) -> Result<(), String> {
        match self.get("interval") {
            None | Some("0") => Ok(()),
            Some(_) => {
                Err("the 'interval' parameter is not supported by this log store".to_owned())
            }
        }
    }
}

fn parse_time(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        let is_seconds = text.len() <= 10;
        return if is_seconds {
            number.checked_mul(1_000_000_000)
        } else {
            Some(number)
        };
    }
    if text.contains('.')
        && let Ok(seconds) = text.parse::<f64>()
    {
        return from_seconds(seconds);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Seconds with a fraction, of which a double of today holds no more than microseconds: like
/// Loki, this keeps milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range was just checked"
)]
fn from_seconds(seconds: f64) -> Option<i64> {
    let millis = (seconds * 1e3).round();
    (millis.abs() < 9e12).then(|| millis as i64 * 1_000_000)
}

/// The present, in nanoseconds since the epoch.
pub(super) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000_000_000;

    fn params(query: &str) -> Params {
        Params::new(query, b"")
    }

    #[test]
    fn times_are_read_in_each_form() {
        let read = |text: &str| params(&format!("time={text}")).time("time");
        assert_eq!(read("1700000000"), Ok(Some(NOW)));
        assert_eq!(read("1700000000000000000"), Ok(Some(NOW)));
        assert_eq!(read("1700000000.5"), Ok(Some(NOW + 500_000_000)));
        assert_eq!(read("2023-11-14T22:13:20Z"), Ok(Some(NOW)));
        assert_eq!(
            read("2023-11-14T23:13:20.25%2B01:00"),
            Ok(Some(NOW + 250_000_000))
        );
        assert_eq!(read(""), Ok(None));
        for wrong in ["now", "1e400.0", "2023-11-14", "99999999999999999999"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bounds_have_lokis_defaults() {
        let bounds = |query: &str| params(query).bounds(NOW);
        assert_eq!(bounds(""), Ok((NOW - DEFAULT_SINCE, NOW)));
        assert_eq!(bounds("since=5m"), Ok((NOW - 300_000_000_000, NOW)));
        assert_eq!(
            bounds("end=1700000100"),
            Ok((NOW - DEFAULT_SINCE, NOW + 100_000_000_000))
        );
        assert_eq!(
            bounds("end=1699999999&since=1s"),
            Ok((NOW - 2_000_000_000, NOW - 1_000_000_000))
        );
        assert_eq!(
            bounds("start=1&end=2&since=5m"),
            Ok((1_000_000_000, 2_000_000_000))
        );
        assert!(bounds("start=2&end=1").is_err());
        assert!(bounds("since=1x").is_err());
    }

    #[test]
    fn numbers_and_words_are_checked() {
        assert_eq!(params("").limit(), Ok(100));
        assert_eq!(params("limit=5000").limit(), Ok(5000));
        for wrong in ["0", "-1", "x", "5001", "1.5"] {
            assert!(
                params(&format!("limit={wrong}")).limit().is_err(),
                "{wrong}"
            );
        }
        assert_eq!(
            params("direction=FORWARD").direction(),
            Ok(Direction::Forward)
        );
        assert_eq!(params("").direction(), Ok(Direction::Backward));
        assert!(params("direction=up").direction().is_err());
        assert_eq!(params("delay_for=5").delay(), Ok(Duration::from_secs(5)));
        assert!(params("delay_for=6").delay().is_err());
        assert!(params("delay_for=-1").delay().is_err());
        assert!(params("interval=5s").no_interval().is_err());
    }

    #[test]
    fn a_form_comes_before_the_query_string() {
        let params = Params::new("limit=5&match=a", b"limit=7&match=b+c");
        assert_eq!(params.limit(), Ok(7));
        assert_eq!(params.all("match").collect::<Vec<_>>(), ["b c", "a"]);
    }
}
