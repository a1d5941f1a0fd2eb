//! The three tiers and their routes: who serves what, by which methods, under which names.
//! Everything else in the crate asks here; there is no other table of paths.

use std::fmt;

use http::{HeaderValue, Method};

/// One of the three services of the chain `frontend -> middleware -> backend`.
///
/// ```
/// use tdemo_services::Tier;
///
/// assert_eq!(Tier::Frontend.next(), Some(Tier::Middleware));
/// assert_eq!(Tier::Backend.next(), None);
/// assert_eq!(Tier::Middleware.to_string(), "middleware");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Takes the user's request and calls the middleware.
    Frontend,
    /// Transforms the frontend's data and calls the backend.
    Middleware,
    /// Simulates a database query.
    Backend,
}

impl Tier {
    /// All tiers, in the order a request meets them.
    pub const ALL: [Self; 3] = [Self::Frontend, Self::Middleware, Self::Backend];

    /// The service's name: `frontend`, `middleware` or `backend`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Middleware => "middleware",
            Self::Backend => "backend",
        }
    }

    /// The tier with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// The tier that this one calls.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Frontend => Some(Self::Middleware),
            Self::Middleware => Some(Self::Backend),
            Self::Backend => None,
        }
    }

    /// The key under which an INTERNAL span of this tier says what went wrong.
    pub(crate) const fn error_key(self) -> &'static str {
        match self {
            Self::Frontend => "frontend.error",
            Self::Middleware => "middleware.error",
            Self::Backend => "backend.error",
        }
    }

    /// The port this tier listens on when nothing else is said.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Frontend => 5000,
            Self::Middleware => 5001,
            Self::Backend => 5002,
        }
    }

    /// The route that serves `path` in this tier; `None` is a 404.
    pub(crate) fn route(self, path: &str) -> Option<Route> {
        match path {
            "/" => Some(Route::Info),
            "/health" => Some(Route::Health),
            "/metrics" => Some(Route::Metrics),
            _ => Some(self.work_route()).filter(|route| route.path() == path),
        }
    }

    /// The one route of this tier that does its work.
    pub(crate) const fn work_route(self) -> Route {
        match self {
            Self::Frontend => Route::Process,
            Self::Middleware => Route::Transform,
            Self::Backend => Route::Data,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a service answers at one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Info,
    Health,
    Metrics,
    Process,
    Transform,
    Data,
}

impl Route {
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Info => "/",
            Self::Health => "/health",
            Self::Metrics => "/metrics",
            Self::Process => "/api/process",
            Self::Transform => "/api/transform",
            Self::Data => "/api/data",
        }
    }

    pub(crate) fn allows(self, method: &Method) -> bool {
        self.methods().contains(method)
    }

    pub(crate) const fn methods(self) -> &'static [Method] {
        match self {
            Self::Process => &[Method::GET, Method::POST],
            Self::Transform => &[Method::POST],
            Self::Info | Self::Health | Self::Metrics | Self::Data => &[Method::GET],
        }
    }

    /// The value of `Allow` on a 405 (RFC 9110, section 10.2.1).
    pub(crate) const fn allow(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Process => "GET, POST",
            Self::Transform => "POST",
            Self::Info | Self::Health | Self::Metrics | Self::Data => "GET",
        })
    }

    /// Probes and scrapes are neither traced nor logged nor limited.
    pub(crate) const fn is_traced(self) -> bool {
        !matches!(self, Self::Health | Self::Metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tier_serves_its_own_work_and_nobody_elses() {
        for tier in Tier::ALL {
            let served: Vec<_> = [
                "/",
                "/health",
                "/metrics",
                "/api/process",
                "/api/transform",
                "/api/data",
            ]
            .into_iter()
            .filter(|path| tier.route(path).is_some())
            .collect();
            assert_eq!(
                served,
                ["/", "/health", "/metrics", tier.work_route().path()]
            );
        }
        assert_eq!(Tier::Frontend.route("/api/process/"), None);
    }

    #[test]
    fn allow_names_exactly_the_methods_that_are_served() {
        for route in [
            Route::Info,
            Route::Health,
            Route::Metrics,
            Route::Process,
            Route::Transform,
            Route::Data,
        ] {
            let names: Vec<_> = route.methods().iter().map(Method::as_str).collect();
            assert_eq!(route.allow().to_str().unwrap(), names.join(", "));
        }
    }
}
