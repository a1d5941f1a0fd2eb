//! The demo as it is meant to be: its tiers, and the spans of one request.

use super::Wanted;
use crate::span::{Span, SpanKind};

/// One of the demo's three services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Answers users; calls the middleware.
    Frontend,
    /// Calls the backend.
    Middleware,
    /// Calls nobody.
    Backend,
}

impl Tier {
    /// All of them, in the order in which a request meets them.
    pub const ALL: [Self; 3] = [Self::Frontend, Self::Middleware, Self::Backend];

    /// Its `service.name`.
    pub fn service(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Middleware => "middleware",
            Self::Backend => "backend",
        }
    }

    /// The path on which it does its work.
    pub fn work_path(self) -> &'static str {
        match self {
            Self::Frontend => "/api/process",
            Self::Middleware => "/api/transform",
            Self::Backend => "/api/data",
        }
    }

    /// The tier that does its work on `path`.
    pub fn of_work_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.work_path() == path)
    }
}

/// One span of a chain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// `None` where the caller could not know which tier it asked.
    pub(crate) tier: Option<Tier>,
    pub(crate) kind: SpanKind,
    pub(crate) name: &'static str,
}

const fn step(tier: Tier, kind: SpanKind, name: &'static str) -> Step {
    Step {
        tier: Some(tier),
        kind,
        name,
    }
}

/// The demo's spans, by the method of the first.
static CHAIN: [[Step; 8]; 2] = [chain("GET /api/process"), chain("POST /api/process")];

const fn chain(first: &'static str) -> [Step; 8] {
    use SpanKind::{Client, Internal, Server};
    use Tier::{Backend, Frontend, Middleware};
    [
        step(Frontend, Server, first),
        step(Frontend, Internal, "frontend-process"),
        step(Frontend, Client, "POST"),
        step(Middleware, Server, "POST /api/transform"),
        step(Middleware, Internal, "middleware-transform"),
        step(Middleware, Client, "GET"),
        step(Backend, Server, "GET /api/data"),
        step(Backend, Internal, "backend-get-data"),
    ]
}

/// `GET /` of each tier, and of one that is not known.
static INDEX: [[Step; 1]; 4] = [
    [step(Tier::Frontend, SpanKind::Server, "GET /")],
    [step(Tier::Middleware, SpanKind::Server, "GET /")],
    [step(Tier::Backend, SpanKind::Server, "GET /")],
    [Step {
        tier: None,
        kind: SpanKind::Server,
        name: "GET /",
    }],
];

/// The spans that a successful request owes; `None` where `asked` has no such
/// route.
pub(crate) fn steps(asked: Option<Tier>, method: &str, path: &str) -> Option<&'static [Step]> {
    match (method, path, asked) {
        ("GET", "/api/process", Some(Tier::Frontend)) => Some(&CHAIN[0]),
        ("POST", "/api/process", Some(Tier::Frontend)) => Some(&CHAIN[1]),
        ("POST", "/api/transform", Some(Tier::Middleware)) => Some(&CHAIN[0][3..]),
        ("GET", "/api/data", Some(Tier::Backend)) => Some(&CHAIN[0][6..]),
        ("GET", "/", Some(Tier::Frontend)) => Some(&INDEX[0]),
        ("GET", "/", Some(Tier::Middleware)) => Some(&INDEX[1]),
        ("GET", "/", Some(Tier::Backend)) => Some(&INDEX[2]),
        ("GET", "/", None) => Some(&INDEX[3]),
        _ => None,
    }
}

impl Step {
    /// Whether `span` is this one, its parent aside.
    pub(crate) fn is(&self, span: &Span) -> bool {
        span.kind == self.kind && span.name == self.name && self.is_of(span)
    }

    /// In how many of service, kind and name `span` is like this one.
    pub(crate) fn likeness(&self, span: &Span) -> u8 {
        u8::from(self.is_of(span))
            + u8::from(span.kind == self.kind)
            + u8::from(span.name == self.name)
    }

    /// Whether `span` is of the right service.
    pub(crate) fn is_of(&self, span: &Span) -> bool {
        is_of(span, self.tier)
    }

    pub(crate) fn wanted(&self) -> Wanted {
        Wanted::Span {
            tier: self.tier,
            kind: self.kind,
            name: self.name.into(),
            status: None,
        }
    }
}

/// Whether `span` was made by `tier`, or by any where none is given.
pub(crate) fn is_of(span: &Span, tier: Option<Tier>) -> bool {
    let service = span.service();
    match tier {
        Some(tier) => service == tier.service(),
        None => Tier::ALL.iter().any(|tier| service == tier.service()),
    }
}
