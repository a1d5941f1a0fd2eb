//! Faults on demand: the grammar of the baggage entry `demo.fault`, and the rates that settings give.
//! The tiers ask [`Faults::plan`] once a request for what they shall do wrong.
//!
//! The value lists `tier:effect[:argument]`, several joined by `/`:
//! `backend:error` (500), `backend:error:503` (400 to 599), `middleware:delay:300ms`, `backend:abort`.

use std::time::Duration;

use http::StatusCode;

use crate::Tier;

/// The baggage key that carries faults from tier to tier.
pub const BAGGAGE_KEY: &str = "demo.fault";

/// The longest delay one request can ask of one tier.
pub const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// One request's log names at most so many entries that were not understood.
const MOST_REPORTED: usize = 8;

/// Whether and how often a tier misbehaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// Whether anything at all is injected (`DEMO_FAULTS`).
    pub enabled: bool,
    /// The share of requests that answer 500, 0 to 1.
    pub error_rate: f64,
    /// The share of requests that are slowed, 0 to 1.
    pub slow_rate: f64,
    /// By how much a slowed request is slowed.
    pub slow_by: Duration,
}

/// What one request shall suffer in one tier: the delay first, then the abort or the error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) end: Option<End>,
    /// The pairs as they were asked for, joined by `/`: the value of `demo.fault.injected`.
    pub(crate) injected: String,
    /// Entries that nobody understands, for the log.
    pub(crate) ignored: Vec<String>,
}

/// How a fault ends a request early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Answer this status, 400 to 599.
    Error(StatusCode),
    /// Close the connection without an answer.
    Abort,
}

impl Faults {
    /// The plan for one request to `tier`; `asked` is the decoded value of the baggage entry.
    pub(crate) fn plan(&self, tier: Tier, asked: Option<&str>) -> Plan {
        let mut plan = Plan::default();
        if !self.enabled {
            return plan;
        }
        for entry in asked.into_iter().flat_map(|value| value.split('/')) {
            match parse(entry) {
                Some((to, effect)) if to == tier => plan.add(entry.trim(), effect),
                Some(_) => {}
                None => plan.ignore(entry),
            }
        }
        if happens(self.slow_rate) {
            let pair = format!("{tier}:delay:{}", humantime::format_duration(self.slow_by));
            plan.add(&pair.replace(' ', ""), Effect::Delay(self.slow_by));
        }
        if happens(self.error_rate) {
            plan.add(
                &format!("{tier}:error"),
                Effect::End(End::Error(StatusCode::INTERNAL_SERVER_ERROR)),
            );
        }
        plan
    }
}

fn happens(rate: f64) -> bool {
    rate > 0.0 && fastrand::f64() < rate
}

impl Plan {
    fn ignore(&mut self, entry: &str) {
        if self.ignored.len() < MOST_REPORTED {
            self.ignored.push(entry.chars().take(100).collect());
        }
    }

    fn add(&mut self, pair: &str, effect: Effect) {
        match effect {
            Effect::Delay(by) => self.delay = self.delay.saturating_add(by).min(LONGEST_DELAY),
            // The first end wins: a request ends once.
            Effect::End(_) if self.end.is_some() => return,
            Effect::End(end) => self.end = Some(end),
        }
        if !self.injected.is_empty() {
            self.injected.push('/');
        }
        self.injected.push_str(pair);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Effect {
    Delay(Duration),
    End(End),
}

/// One `tier:effect[:argument]`.
fn parse(entry: &str) -> Option<(Tier, Effect)> {
    let mut parts = entry.trim().splitn(3, ':');
    let tier = Tier::from_name(parts.next()?)?;
    let effect = match (parts.next()?, parts.next()) {
        ("error", None) => Effect::End(End::Error(StatusCode::INTERNAL_SERVER_ERROR)),
        ("error", Some(code)) => {
            let status = StatusCode::from_bytes(code.as_bytes()).ok()?;
            (status.is_client_error() || status.is_server_error())
                .then_some(Effect::End(End::Error(status)))?
        }
        ("delay", Some(time)) => Effect::Delay(humantime::parse_duration(time).ok()?),
        ("abort", None) => Effect::End(End::Abort),
        _ => return None,
    };
    Some((tier, effect))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: Faults = Faults {
        enabled: true,
        error_rate: 0.0,
        slow_rate: 0.0,
        slow_by: Duration::ZERO,
    };

    #[test]
    fn each_tier_takes_its_own_entries() {
        let asked = "backend:error:503/middleware:delay:300ms/frontend:abort";
        let backend = ON.plan(Tier::Backend, Some(asked));
        assert_eq!(
            backend.end,
            Some(End::Error(StatusCode::SERVICE_UNAVAILABLE))
        );
        assert_eq!(
            (backend.delay, backend.injected.as_str()),
            (Duration::ZERO, "backend:error:503")
        );
        let middleware = ON.plan(Tier::Middleware, Some(asked));
        assert_eq!(
            (middleware.delay, middleware.end),
            (Duration::from_millis(300), None)
        );
        assert_eq!(ON.plan(Tier::Frontend, Some(asked)).end, Some(End::Abort));
    }

    #[test]
    fn a_delay_and_an_error_both_happen_and_the_first_end_wins() {
        let plan = ON.plan(
            Tier::Backend,
            Some("backend:delay:7s/backend:delay:7s/backend:error/backend:abort"),
        );
        assert_eq!(plan.delay, LONGEST_DELAY);
        assert_eq!(
            plan.end,
            Some(End::Error(StatusCode::INTERNAL_SERVER_ERROR))
        );
        assert_eq!(
            plan.injected,
            "backend:delay:7s/backend:delay:7s/backend:error"
        );
    }

    #[test]
    fn what_is_not_understood_is_ignored_and_reported() {
        for bad in [
            "",
            "backend",
            "backend:",
            "database:error",
            "backend:error:200",
            "backend:error:600",
            "backend:error:abc",
            "backend:delay",
            "backend:delay:soon",
            "backend:abort:now",
            "BACKEND:error",
            "backend:error:50",
            "\u{0}",
        ] {
            let plan = ON.plan(Tier::Backend, Some(bad));
            assert_eq!(
                plan,
                Plan {
                    ignored: vec![bad.to_owned()],
                    ..Plan::default()
                },
                "{bad:?}"
            );
        }
    }

    #[test]
    fn rates_follow_the_settings_and_the_switch_turns_all_off() {
        let always = Faults {
            enabled: true,
            error_rate: 1.0,
            slow_rate: 1.0,
            slow_by: Duration::from_millis(1500),
        };
        let plan = always.plan(Tier::Backend, None);
        assert_eq!(plan.injected, "backend:delay:1s500ms/backend:error");
        let off = Faults {
            enabled: false,
            ..always
        };
        assert_eq!(
            off.plan(Tier::Backend, Some("backend:error/nonsense")),
            Plan::default()
        );
        let half = Faults {
            error_rate: 0.5,
            ..ON
        };
        let failed = (0..10_000)
            .filter(|_| half.plan(Tier::Backend, None).end.is_some())
            .count();
        assert!((4_700..5_300).contains(&failed), "{failed} of 10,000");
    }

    proptest::proptest! {
        #[test]
        fn no_value_makes_it_panic_or_wait_too_long(value in ".{0,200}") {
            for tier in Tier::ALL {
                proptest::prop_assert!(ON.plan(tier, Some(&value)).delay <= LONGEST_DELAY);
            }
        }
    }
}
