//! The table of settings: each one's flag, variable, default and help, written once, and which tier has which.
//! Read by `settings` alone, for `--help` and for every value.

use crate::Tier;

/// Where a setting's text comes from, its default, and what `--help` says of it.
pub(super) struct Setting {
    pub(super) flag: &'static str,
    pub(super) env: &'static str,
    pub(super) value: &'static str,
    pub(super) default: &'static str,
    pub(super) help: &'static str,
}

const fn setting(
    flag: &'static str,
    env: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        flag,
        env,
        value,
        default,
        help,
    }
}

const LISTEN_HELP: &str = "Address to serve on";
pub(super) const FRONTEND_LISTEN: Setting = setting(
    "listen",
    "LISTEN",
    "HOST:PORT",
    "127.0.0.1:5000",
    LISTEN_HELP,
);
pub(super) const MIDDLEWARE_LISTEN: Setting = Setting {
    default: "127.0.0.1:5001",
    ..FRONTEND_LISTEN
};
pub(super) const BACKEND_LISTEN: Setting = Setting {
    default: "127.0.0.1:5002",
    ..FRONTEND_LISTEN
};

pub(super) const MIDDLEWARE_URL: Setting = setting(
    "middleware-url",
    "MIDDLEWARE_URL",
    "URL",
    "http://127.0.0.1:5001",
    "Base URL of the middleware",
);
pub(super) const BACKEND_URL: Setting = setting(
    "backend-url",
    "BACKEND_URL",
    "URL",
    "http://127.0.0.1:5002",
    "Base URL of the backend",
);

const WORK_HELP: &str =
    "Simulated work a request: 0, a time, or a median and a 99th percentile (100ms,p99=400ms)";
pub(super) const MIDDLEWARE_WORK: Setting =
    setting("work", "MIDDLEWARE_WORK", "WORK", "50ms", WORK_HELP);
pub(super) const BACKEND_WORK: Setting =
    setting("work", "BACKEND_WORK", "WORK", "100ms", WORK_HELP);

pub(super) const FAULTS: Setting = setting(
    "faults",
    "DEMO_FAULTS",
    "on|off",
    "on",
    "Whether faults are injected at all, by baggage or by rate",
);
pub(super) const ERROR_RATE: Setting = setting(
    "error-rate",
    "ERROR_RATE",
    "SHARE",
    "0",
    "Share of requests that fail, 0 to 1",
);
pub(super) const SLOW_RATE: Setting = setting(
    "slow-rate",
    "SLOW_RATE",
    "SHARE",
    "0",
    "Share of requests that are slowed, 0 to 1",
);
pub(super) const SLOW_BY: Setting = setting(
    "slow-by",
    "SLOW_BY",
    "TIME",
    "500ms",
    "By how much they are slowed, at most 10s",
);

const UPSTREAM_HELP: &str = "How long to wait for the next tier's answer";
// The inner tier waits less, so that it speaks first.
pub(super) const FRONTEND_UPSTREAM: Setting = setting(
    "upstream-timeout",
    "UPSTREAM_TIMEOUT",
    "TIME",
    "12s",
    UPSTREAM_HELP,
);
pub(super) const MIDDLEWARE_UPSTREAM: Setting = Setting {
    default: "10s",
    ..FRONTEND_UPSTREAM
};

pub(super) const BODY_TIMEOUT: Setting = setting(
    "body-timeout",
    "BODY_TIMEOUT",
    "TIME",
    "10s",
    "How long a request's body may take to arrive",
);
pub(super) const HEADER_TIMEOUT: Setting = setting(
    "header-timeout",
    "HEADER_TIMEOUT",
    "TIME",
    "30s",
    "How long a connection may take to send a request's head, and how long it may idle",
);
pub(super) const MAX_BODY: Setting = setting(
    "max-body-bytes",
    "MAX_BODY_BYTES",
    "BYTES",
    "1048576",
    "Largest request body",
);
pub(super) const MAX_IN_FLIGHT: Setting = setting(
    "max-in-flight",
    "MAX_IN_FLIGHT",
    "COUNT",
    "4096",
    "Requests handled at once; more are answered 503",
);
pub(super) const MAX_CONNECTIONS: Setting = setting(
    "max-connections",
    "MAX_CONNECTIONS",
    "COUNT",
    "8192",
    "Connections held at once; more wait to be accepted",
);

pub(super) const fn listen(tier: Tier) -> &'static Setting {
    match tier {
        Tier::Frontend => &FRONTEND_LISTEN,
        Tier::Middleware => &MIDDLEWARE_LISTEN,
        Tier::Backend => &BACKEND_LISTEN,
    }
}

/// The next tier's URL and how long to wait for it.
pub(super) const fn upstream(tier: Tier) -> Option<(&'static Setting, &'static Setting)> {
    match tier {
        Tier::Frontend => Some((&MIDDLEWARE_URL, &FRONTEND_UPSTREAM)),
        Tier::Middleware => Some((&BACKEND_URL, &MIDDLEWARE_UPSTREAM)),
        Tier::Backend => None,
    }
}

pub(super) const fn work(tier: Tier) -> Option<&'static Setting> {
    match tier {
        Tier::Frontend => None,
        Tier::Middleware => Some(&MIDDLEWARE_WORK),
        Tier::Backend => Some(&BACKEND_WORK),
    }
}

/// The settings that `tier` has, in the order of `--help`.
pub(super) fn of(tier: Tier) -> impl Iterator<Item = &'static Setting> {
    let (url, timeout) = upstream(tier).unzip();
    let own = [Some(listen(tier)), url, work(tier), timeout]
        .into_iter()
        .flatten();
    own.chain([
        &FAULTS,
        &ERROR_RATE,
        &SLOW_RATE,
        &SLOW_BY,
        &BODY_TIMEOUT,
        &HEADER_TIMEOUT,
        &MAX_BODY,
        &MAX_IN_FLIGHT,
        &MAX_CONNECTIONS,
    ])
}
