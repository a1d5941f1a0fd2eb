//! Simulated work: nothing, a fixed time, or a log-normal distribution given by its median and 99th percentile.
//! Parsed by `settings`, drawn by the middleware and the backend once a request.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The 99th percentile of the standard normal distribution.
const Z_99: f64 = 2.326_347_874_040_841;

/// No single draw takes longer: the tail of a log-normal distribution has no end, and a demo's request must.
pub const LONGEST_WORK: Duration = Duration::from_secs(60);

/// How long a tier pretends to work on one request.
///
/// ```
/// use std::time::Duration;
/// use tdemo_services::Work;
///
/// assert_eq!("0".parse(), Ok(Work::None));
/// assert_eq!("50ms".parse(), Ok(Work::Fixed(Duration::from_millis(50))));
/// let spread: Work = "100ms,p99=400ms".parse()?;
/// assert_eq!(spread.to_string(), "100ms,p99=400ms");
/// # Ok::<(), tdemo_services::WorkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// None at all: no timer, no yield.
    None,
    /// The same time for every request.
    Fixed(Duration),
    /// Log-normal with this median and 99th percentile, cut at [`LONGEST_WORK`].
    Spread {
        /// Half of all requests take less.
        median: Duration,
        /// One request in a hundred takes longer.
        p99: Duration,
    },
}

/// Why a text is no [`Work`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is no amount of work ({why}); give 0, a time (50ms), or a median and a 99th percentile (100ms,p99=400ms)"
)]
pub struct WorkError {
    found: String,
    why: String,
}

impl Work {
    /// One request's share, drawn anew at each call.
    #[must_use]
    pub fn draw(&self) -> Duration {
        match *self {
            Self::None => Duration::ZERO,
            Self::Fixed(time) => time,
            Self::Spread { median, p99 } => {
                let sigma = (p99.as_secs_f64() / median.as_secs_f64()).ln() / Z_99;
                let seconds = median.as_secs_f64() * (sigma * standard_normal()).exp();
                Duration::from_secs_f64(seconds.min(LONGEST_WORK.as_secs_f64()))
            }
        }
    }
}

/// A time in milliseconds, with a fraction where there is one.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

/// One draw from the standard normal distribution (Box and Muller, 1958).
fn standard_normal() -> f64 {
    let radius = (-2.0 * (1.0 - fastrand::f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * fastrand::f64()).cos()
}

impl FromStr for Work {
    type Err = WorkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |why: String| WorkError {
            found: text.to_owned(),
            why,
        };
        let time = |part: &str| match part.trim() {
            "0" => Ok(Duration::ZERO),
            part => humantime::parse_duration(part).map_err(|why| error(why.to_string())),
        };
        let work = match text.split_once(',') {
            None => match time(text)? {
                Duration::ZERO => Self::None,
                fixed => Self::Fixed(fixed),
            },
            Some((median, tail)) => {
                let p99 = tail
                    .trim()
                    .strip_prefix("p99=")
                    .ok_or_else(|| error("p99= is missing after the comma".into()))?;
                Self::Spread {
                    median: time(median)?,
                    p99: time(p99)?,
                }
            }
        };
        match work {
            Self::Spread { median, .. } if median.is_zero() => {
                Err(error("a spread needs a median above 0".into()))
            }
            Self::Spread { median, p99 } if p99 < median => {
                Err(error("p99 is below the median".into()))
            }
            Self::Fixed(longest) | Self::Spread { p99: longest, .. } if longest > LONGEST_WORK => {
                Err(error(format!(
                    "more than {}",
                    humantime::format_duration(LONGEST_WORK)
                )))
            }
            work => Ok(work),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::None => f.write_str("0"),
            Self::Fixed(time) => humantime::format_duration(time).fmt(f),
            Self::Spread { median, p99 } => {
                write!(
                    f,
                    "{},p99={}",
                    humantime::format_duration(median),
                    humantime::format_duration(p99)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        for text in ["0", "50ms", "1s 500ms", "100ms,p99=400ms"] {
            let work: Work = text.parse().unwrap();
            assert_eq!(work.to_string().parse(), Ok(work));
        }
        assert_eq!("0ms".parse(), Ok(Work::None));
    }

    #[test]
    fn nonsense_is_refused_and_quoted() {
        for text in [
            "",
            "50",
            "-1ms",
            "fast",
            "100ms,400ms",
            "0,p99=1s",
            "400ms,p99=100ms",
            "2min",
            "1s,p99=5min",
            "99999999999999999999s",
        ] {
            let error = text.parse::<Work>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_spread_has_the_median_and_the_tail_it_was_given() {
        let work: Work = "100ms,p99=400ms".parse().unwrap();
        let mut draws: Vec<_> = (0..40_000).map(|_| work.draw()).collect();
        draws.sort();
        let median = draws[20_000].as_secs_f64();
        let p99 = draws[39_600].as_secs_f64();
        assert!((0.095..0.105).contains(&median), "median {median}");
        assert!((0.36..0.44).contains(&p99), "p99 {p99}");
        assert!(draws[39_999] <= LONGEST_WORK);
    }
}
