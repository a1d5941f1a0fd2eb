//! The settings of one service: flag before environment before default, each default written once, here.
//! The binaries parse them from the command line; whoever embeds a service starts from [`Settings::new`].
//!
//! The `OTEL_*` variables belong to `tdemo_telemetry::TelemetrySettings`.

mod table;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};

use crate::Tier;
use crate::base_url::BaseUrl;
use crate::fault::Faults;
use crate::work::Work;
use table::Setting;

/// How long requests in flight may go on once a service is told to stop.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// What one service does and what it puts up with; see [`Settings::new`] for the defaults.
///
/// ```
/// use tdemo_services::{Settings, Tier, Work};
///
/// let mut settings = Settings::new(Tier::Frontend);
/// settings.next = Some("http://127.0.0.1:41234".parse()?);
/// assert_eq!(settings.upstream_timeout.as_secs(), 12);
/// assert_eq!(Settings::new(Tier::Middleware).work, "50ms".parse::<Work>()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which of the three services this is.
    pub tier: Tier,
    /// The next tier's base URL; `None` means its default address (and nothing to the backend, which calls nobody).
    pub next: Option<BaseUrl>,
    /// Simulated work for each request.
    pub work: Work,
    /// Faults on demand and by rate.
    pub faults: Faults,
    /// How long the next tier may take, from connecting to the last byte of its answer.
    pub upstream_timeout: Duration,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// How long a request's head may take to arrive, and how long a connection may idle.
    pub header_timeout: Duration,
    /// The largest request body in bytes.
    pub max_body_bytes: usize,
    /// Requests handled at once; one more is answered 503.
    pub max_in_flight: usize,
    /// Connections held at once; one more waits to be accepted.
    pub max_connections: usize,
    /// How long requests in flight may go on after the shutdown began.
    pub drain_deadline: Duration,
}

/// A setting that holds something it cannot mean; one line that names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value:?}: {why}")]
pub struct SettingsError {
    name: String,
    value: String,
    why: String,
}

impl Settings {
    /// The defaults of `tier`.
    #[must_use]
    pub fn new(tier: Tier) -> Self {
        Source {
            flags: None,
            env: &|_| None,
        }
        .settings(tier)
        .expect("a test reads every default")
    }

    /// What `env` says, then the defaults; for a service that is embedded. An empty variable counts as unset.
    ///
    /// # Errors
    /// The first variable that holds what it cannot mean.
    pub fn from_env(
        tier: Tier,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        Source { flags: None, env }.settings(tier)
    }

    /// The next tier's base URL, the default one where none was given.
    pub(crate) fn next_url(&self) -> BaseUrl {
        let url = self.next.clone().or_else(|| Self::new(self.tier).next);
        url.expect("every tier that has a next one has its default URL")
    }
}

/// Everything a service's binary needs beside the `OTEL_*` variables.
#[derive(Clone, Debug)]
pub struct Launch {
    /// `host:port` to listen on.
    pub listen: String,
    /// What to serve there.
    pub settings: Settings,
}

/// The command line of `tier`'s binary.
pub fn command(tier: Tier) -> Command {
    let about = format!(
        "The {tier} of the tracing demo. Flags win over the environment; telemetry is set by the OTEL_* variables."
    );
    let mut command = Command::new(tier.name())
        .version(env!("CARGO_PKG_VERSION"))
        .about(about);
    for setting in table::of(tier) {
        let help = format!(
            "{} [env: {}] [default: {}]",
            setting.help, setting.env, setting.default
        );
        command = command.arg(
            Arg::new(setting.flag)
                .long(setting.flag)
                .value_name(setting.value)
                .help(help),
        );
    }
    command
}

impl Launch {
    /// Reads what [`command`] matched, then `env`, then the defaults. An empty variable counts as unset.
    ///
    /// # Errors
    /// The first flag or variable that holds what it cannot mean.
    pub fn resolve(
        tier: Tier,
        flags: &ArgMatches,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let source = Source {
            flags: Some(flags),
            env,
        };
        Ok(Self {
            listen: source.get(table::listen(tier), parse_listen)?,
            settings: source.settings(tier)?,
        })
    }
}

struct Source<'a> {
    flags: Option<&'a ArgMatches>,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    fn settings(&self, tier: Tier) -> Result<Settings, SettingsError> {
        let (next, upstream_timeout) = match table::upstream(tier) {
            Some((url, timeout)) => (
                Some(self.get(url, BaseUrl::from_str)?),
                self.get(timeout, parse_time)?,
            ),
            None => (None, Duration::ZERO),
        };
        Ok(Settings {
            tier,
            next,
            upstream_timeout,
            work: table::work(tier)
                .map_or(Ok(Work::None), |setting| self.get(setting, Work::from_str))?,
            faults: Faults {
                enabled: self.get(&table::FAULTS, parse_switch)?,
                error_rate: self.get(&table::ERROR_RATE, parse_share)?,
                slow_rate: self.get(&table::SLOW_RATE, parse_share)?,
                slow_by: self.get(&table::SLOW_BY, parse_delay)?,
            },
            body_timeout: self.get(&table::BODY_TIMEOUT, parse_time)?,
            header_timeout: self.get(&table::HEADER_TIMEOUT, parse_time)?,
            max_body_bytes: self.get(&table::MAX_BODY, parse_count)?,
            max_in_flight: self.get(&table::MAX_IN_FLIGHT, parse_count)?,
            max_connections: self.get(&table::MAX_CONNECTIONS, parse_connections)?,
            drain_deadline: DRAIN_DEADLINE,
        })
    }

    fn get<T, E: fmt::Display>(
        &self,
        setting: &Setting,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, SettingsError> {
        let flag = self
            .flags
            .and_then(|flags| flags.get_one::<String>(setting.flag));
        let (name, value) = if let Some(value) = flag {
            (format!("--{}", setting.flag), value.clone())
        } else if let Some(value) = (self.env)(setting.env).filter(|value| !value.is_empty()) {
            (setting.env.to_owned(), value)
        } else {
            (setting.env.to_owned(), setting.default.to_owned())
        };
        parse(value.trim()).map_err(|why| SettingsError {
            name,
            why: why.to_string(),
            value,
        })
    }
}

fn parse_listen(text: &str) -> Result<String, &'static str> {
    let port = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .map(|(_, port)| port.parse::<u16>());
    if matches!(port, Some(Ok(_))) {
        Ok(text.to_owned())
    } else {
        Err("give host:port, as in 127.0.0.1:5000 or [::]:5000")
    }
}

fn parse_switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err("give on or off"),
    }
}

fn parse_share(text: &str) -> Result<f64, &'static str> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or("give a share from 0 to 1, as in 0.05")
}

fn parse_time(text: &str) -> Result<Duration, &'static str> {
    let time = humantime::parse_duration(text).ok();
    time.filter(|time| !time.is_zero())
        .ok_or("give a time above 0 with its unit, as in 500ms or 10s")
}

fn parse_delay(text: &str) -> Result<Duration, &'static str> {
    let time = parse_time(text)?;
    if time <= crate::fault::LONGEST_DELAY {
        Ok(time)
    } else {
        Err("give at most 10s")
    }
}

fn parse_count(text: &str) -> Result<usize, &'static str> {
    text.parse()
        .ok()
        .filter(|&count| count > 0)
        .ok_or("give a whole number above 0")
}

fn parse_connections(text: &str) -> Result<usize, &'static str> {
    let count = parse_count(text)?;
    if count <= tokio::sync::Semaphore::MAX_PERMITS {
        Ok(count)
    } else {
        Err("that is more than any machine holds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(tier: Tier, args: &[&str], env: &[(&str, &str)]) -> Result<Launch, SettingsError> {
        let flags = command(tier)
            .get_matches_from(std::iter::once(tier.name()).chain(args.iter().copied()));
        Launch::resolve(tier, &flags, &|name| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn every_default_can_be_read_and_the_ports_agree() {
        for tier in Tier::ALL {
            let launch = resolve(tier, &[], &[]).unwrap();
            assert_eq!(launch.listen, format!("127.0.0.1:{}", tier.default_port()));
            let settings = Settings::new(tier);
            assert_eq!(
                settings.next.map(|url| url.port()),
                tier.next().map(Tier::default_port)
            );
            command(tier).debug_assert();
        }
        assert!(
            Settings::new(Tier::Frontend).upstream_timeout
                > Settings::new(Tier::Middleware).upstream_timeout
        );
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_an_empty_variable_is_unset() {
        let env = [
            ("BACKEND_WORK", "1ms"),
            ("LISTEN", "[::]:80"),
            ("DEMO_FAULTS", "off"),
            ("MAX_IN_FLIGHT", ""),
        ];
        let launch = resolve(Tier::Backend, &["--work", "2ms"], &env).unwrap();
        assert_eq!(launch.listen, "[::]:80");
        assert_eq!(launch.settings.work, Work::Fixed(Duration::from_millis(2)));
        assert!(!launch.settings.faults.enabled);
        assert_eq!(launch.settings.max_in_flight, 4096);
    }

    #[test]
    fn a_bad_value_is_one_line_that_names_the_setting() {
        for (tier, env, value) in [
            (Tier::Frontend, "LISTEN", "5000"),
            (Tier::Frontend, "MIDDLEWARE_URL", "middleware:5001"),
            (Tier::Frontend, "MIDDLEWARE_URL", "https://middleware"),
            (Tier::Frontend, "MIDDLEWARE_URL", "http://middleware/?a=b"),
            (Tier::Middleware, "MIDDLEWARE_WORK", "fast"),
            (Tier::Backend, "BACKEND_WORK", "100ms,p99=1ms"),
            (Tier::Backend, "DEMO_FAULTS", "maybe"),
            (Tier::Backend, "ERROR_RATE", "5%"),
            (Tier::Backend, "SLOW_RATE", "NaN"),
            (Tier::Backend, "SLOW_BY", "11s"),
            (Tier::Middleware, "UPSTREAM_TIMEOUT", "0s"),
            (Tier::Backend, "MAX_BODY_BYTES", "1MiB"),
            (Tier::Backend, "MAX_CONNECTIONS", "18446744073709551615"),
        ] {
            let error = resolve(tier, &[], &[(env, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{env}={value:?}: ")), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let error = resolve(Tier::Backend, &["--error-rate=2"], &[])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("--error-rate=\"2\": "), "{error}");
    }
}
