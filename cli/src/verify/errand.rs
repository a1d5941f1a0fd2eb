//! The requests of a smoke run and what each is for: pure. `gather` sends them,
//! `judge` knows by their kinds what the answers should be.

use std::fmt;

use serde::{Deserialize, Serialize};
use tdemo_trace::Tier;

/// The baggage entry that asks for faults.
pub const FAULT_KEY: &str = "demo.fault";
/// What the caller's own request carries besides its `traceparent`.
pub const TRACESTATE: &str = "tdemo=smoke";
/// How long the slow request is slow: more than the 200 ms of the query.
pub const SLOW_MS: u64 = 300;
/// Over the services' limit of 1 MiB.
const TOO_LARGE_BYTES: usize = (1 << 20) + 1024;

/// One of the demo's tiers, as evidence files write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The frontend.
    Frontend,
    /// The middleware.
    Middleware,
    /// The backend.
    Backend,
}

impl Service {
    /// All of them, in the order in which a request meets them.
    pub const ALL: [Self; 3] = [Self::Frontend, Self::Middleware, Self::Backend];

    /// As the rules know it.
    pub fn tier(self) -> Tier {
        match self {
            Self::Frontend => Tier::Frontend,
            Self::Middleware => Tier::Middleware,
            Self::Backend => Tier::Backend,
        }
    }

    /// Its `service.name`.
    pub fn name(self) -> &'static str {
        self.tier().service()
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `GET /health`.
    Health,
    /// `GET /`.
    Info,
    /// `POST /api/transform` or `GET /api/data`, asked of the tier itself.
    Work,
    /// `GET /api/process`.
    Get,
    /// `POST /api/process` with data.
    Post,
    /// The same with a parent of the caller's, tracestate and baggage.
    Caller,
    /// With a parent whose sampled flag is not set.
    Unsampled,
    /// The frontend itself is asked to fail with 500: whether it does tells
    /// whether faults are made at all.
    Fault,
    /// The backend is asked to fail with 500.
    Failing,
    /// The backend is asked to refuse with 404.
    Refused,
    /// The backend is asked to take its time.
    Slow,
    /// A body that is no JSON: 400.
    Malformed,
    /// A path that nobody serves: 404.
    UnknownPath,
    /// A method that the path does not take: 405.
    WrongMethod,
    /// A body over the limit: 413.
    TooLarge,
    /// A content type that is no JSON: 415.
    WrongType,
    /// Any request to somebody else's service (`--expect`).
    Foreign,
}

impl Kind {
    /// The status that the answer must have.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::UnknownPath => 404,
            Self::WrongMethod => 405,
            Self::TooLarge => 413,
            Self::WrongType => 415,
            Self::Fault => 500,
            Self::Failing | Self::Refused => 502,
            _ => 200,
        }
    }

    /// Whether it is bad input.
    pub fn is_bad_input(self) -> bool {
        matches!(
            self,
            Self::Malformed
                | Self::UnknownPath
                | Self::WrongMethod
                | Self::TooLarge
                | Self::WrongType
        )
    }

    /// The faults that it asks for.
    pub fn faults(self) -> &'static [(Tier, &'static str)] {
        match self {
            Self::Fault => &[(Tier::Frontend, "frontend:error:500")],
            Self::Failing => &[(Tier::Backend, "backend:error:500")],
            Self::Refused => &[(Tier::Backend, "backend:error:404")],
            Self::Slow => &[(Tier::Backend, "backend:delay:300ms")],
            _ => &[],
        }
    }

    /// What the body of the request holds, where it has one that comes back.
    pub fn data(self) -> Option<&'static str> {
        match self {
            Self::Post | Self::Caller => Some(r#"{"smoke":["data",1,null],"für":"Zoë"}"#),
            Self::Work => Some(r#"{"asked":"directly"}"#),
            _ => None,
        }
    }
}

/// What the caller does about a trace of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// Nothing.
    None,
    /// It sends a sampled parent, and exports it where it can.
    Sampled,
    /// It sends a parent without the sampled flag.
    Unsampled,
}

/// One request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// What it is for.
    pub kind: Kind,
    /// Who is asked.
    pub service: Service,
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// Its content type, where it has a body.
    pub content_type: Option<&'static str>,
    /// Its body.
    pub body: Option<Vec<u8>>,
}

impl Errand {
    /// One request to somebody else's service, at the target's own path.
    pub fn foreign() -> Self {
        Self::get(Kind::Foreign, Service::Frontend, "")
    }

    fn get(kind: Kind, service: Service, path: &'static str) -> Self {
        Self {
            kind,
            service,
            method: "GET",
            path,
            content_type: None,
            body: None,
        }
    }

    fn post(
        kind: Kind,
        service: Service,
        content_type: &'static str,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            kind,
            service,
            method: "POST",
            path: service.tier().work_path(),
            content_type: Some(content_type),
            body: Some(body.into()),
        }
    }

    /// What the caller does about a trace of its own.
    pub fn parent(&self) -> Parent {
        match self.kind {
            // Few services name their trace: the caller makes it.
            Kind::Caller | Kind::Foreign => Parent::Sampled,
            Kind::Unsampled => Parent::Unsampled,
            _ => Parent::None,
        }
    }

    /// The baggage that goes with it.
    pub fn baggage(&self) -> Option<String> {
        let faults: Vec<&str> = self.kind.faults().iter().map(|(_, fault)| *fault).collect();
        match (faults.as_slice(), self.kind) {
            ([], Kind::Caller) => Some("tdemo.run=smoke;kept=1".to_owned()),
            ([], _) => None,
            (faults, _) => Some(format!("{FAULT_KEY}={}", faults.join("/"))),
        }
    }
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.service.name(), self.method, self.path)
    }
}

/// The requests to send to the demo, as far as its tiers can be reached.
pub fn errands(reachable: &[Service], bad_input: bool, faults: bool) -> Vec<Errand> {
    use Service::Frontend;
    const JSON: &str = "application/json";
    const PROCESS: &str = "/api/process";
    let mut all = Vec::new();
    for service in reachable {
        all.push(Errand::get(Kind::Health, *service, "/health"));
        all.push(Errand::get(Kind::Info, *service, "/"));
    }
    for service in reachable {
        match service {
            Frontend => {}
            Service::Middleware => {
                let data = Kind::Work.data().unwrap_or_default();
                all.push(Errand::post(Kind::Work, *service, JSON, data));
            }
            Service::Backend => {
                all.push(Errand::get(
                    Kind::Work,
                    *service,
                    service.tier().work_path(),
                ));
            }
        }
    }
    all.push(Errand::get(Kind::Get, Frontend, PROCESS));
    for kind in [Kind::Post, Kind::Caller] {
        let data = kind.data().unwrap_or_default();
        all.push(Errand::post(kind, Frontend, JSON, data));
    }
    all.push(Errand::get(Kind::Unsampled, Frontend, PROCESS));
    if faults {
        for kind in [Kind::Fault, Kind::Failing, Kind::Refused, Kind::Slow] {
            all.push(Errand::get(kind, Frontend, PROCESS));
        }
    }
    if bad_input {
        let large = format!("\"{}\"", "x".repeat(TOO_LARGE_BYTES));
        all.extend([
            Errand::post(Kind::Malformed, Frontend, JSON, "{\"broken\":"),
            Errand::get(Kind::UnknownPath, Frontend, "/no/such/path"),
            Errand {
                method: "DELETE",
                ..Errand::get(Kind::WrongMethod, Frontend, PROCESS)
            },
            Errand::post(Kind::TooLarge, Frontend, JSON, large),
            Errand::post(Kind::WrongType, Frontend, "text/plain", "plain"),
        ]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_sent_where_everything_is_reachable() {
        let all = errands(&Service::ALL, true, true);
        for kind in [
            Kind::Health,
            Kind::Info,
            Kind::Work,
            Kind::Get,
            Kind::Post,
            Kind::Caller,
            Kind::Unsampled,
            Kind::Fault,
            Kind::Failing,
            Kind::Refused,
            Kind::Slow,
            Kind::Malformed,
            Kind::UnknownPath,
            Kind::WrongMethod,
            Kind::TooLarge,
            Kind::WrongType,
        ] {
            assert!(all.iter().any(|errand| errand.kind == kind), "{kind:?}");
        }
        let alone = errands(&[Service::Frontend], false, false);
        assert!(
            alone
                .iter()
                .all(|errand| errand.service == Service::Frontend)
        );
        assert!(!alone.iter().any(|errand| errand.kind.is_bad_input()));
        assert!(alone.iter().all(|errand| errand.kind.faults().is_empty()));
    }

    #[test]
    fn faults_travel_in_one_baggage_entry() {
        let all = errands(&[Service::Frontend], false, true);
        let slow = all.iter().find(|errand| errand.kind == Kind::Slow).unwrap();
        assert_eq!(
            slow.baggage().as_deref(),
            Some("demo.fault=backend:delay:300ms")
        );
        assert!(slow.kind.faults()[0].1.contains(&SLOW_MS.to_string()));
        let caller = all
            .iter()
            .find(|errand| errand.kind == Kind::Caller)
            .unwrap();
        assert_eq!(caller.parent(), Parent::Sampled);
        assert!(caller.baggage().is_some());
    }
}
