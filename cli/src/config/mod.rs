//! Where tdemo finds the things it talks to: flag, environment variable,
//! profile of a `tdemo.toml`, or nothing, in that order.
//!
//! `cmd::connections` holds the flags and calls [`resolve`]; every command that
//! reaches out reads the [`Settings`] that come out of it, and `tdemo config`
//! shows [`Settings::chosen`]. Nothing here opens a connection.

mod headers;
mod profile;
mod settings;

use std::fmt;
use std::path::PathBuf;

pub use headers::{Headers, Peer};
pub use profile::{Profile, ProfileFile, find_file};
pub use settings::{OtelVariables, Otlp, OtlpProtocol, Settings, resolve};

/// One setting that says where something is or how to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The frontend's base URL, or any URL to send requests to.
    Target,
    /// The middleware's base URL.
    MiddlewareUrl,
    /// The backend's base URL.
    BackendUrl,
    /// Where OTLP is taken.
    OtlpEndpoint,
    /// The trace backend that speaks Tempo's HTTP API.
    TempoUrl,
    /// Grafana.
    GrafanaUrl,
    /// The uid of Grafana's Tempo data source.
    GrafanaDatasourceUid,
    /// Prometheus.
    PrometheusUrl,
    /// Loki.
    LokiUrl,
    /// Grafana Alloy's own HTTP server.
    AlloyUrl,
    /// The tenant, sent as `X-Scope-OrgID`.
    Tenant,
    /// A file of request headers; the place for secrets.
    HeaderFile,
}

impl Key {
    /// Every setting, in the order in which people are shown them.
    pub const ALL: [Self; 12] = [
        Self::Target,
        Self::MiddlewareUrl,
        Self::BackendUrl,
        Self::OtlpEndpoint,
        Self::TempoUrl,
        Self::GrafanaUrl,
        Self::GrafanaDatasourceUid,
        Self::PrometheusUrl,
        Self::LokiUrl,
        Self::AlloyUrl,
        Self::Tenant,
        Self::HeaderFile,
    ];

    /// Its key in a profile, and its flag without the dashes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::MiddlewareUrl => "middleware-url",
            Self::BackendUrl => "backend-url",
            Self::OtlpEndpoint => "otlp-endpoint",
            Self::TempoUrl => "tempo-url",
            Self::GrafanaUrl => "grafana-url",
            Self::GrafanaDatasourceUid => "grafana-datasource-uid",
            Self::PrometheusUrl => "prometheus-url",
            Self::LokiUrl => "loki-url",
            Self::AlloyUrl => "alloy-url",
            Self::Tenant => "tenant",
            Self::HeaderFile => "header-file",
        }
    }

    /// Its environment variable: `TDEMO_TEMPO_URL`.
    pub fn variable(self) -> String {
        format!("TDEMO_{}", self.name().to_uppercase().replace('-', "_"))
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }
}

/// What a value was taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag of this call.
    Flag,
    /// An environment variable, by name.
    Variable(String),
    /// A profile of a file.
    Profile {
        /// The file.
        file: PathBuf,
        /// The profile's name.
        profile: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => f.write_str(name),
            Self::Profile { file, profile } => {
                write!(f, "{} [profile.{profile}]", file.display())
            }
        }
    }
}

/// A setting that has a value, with what it was taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Which setting.
    pub key: Key,
    /// Its value as it was written. No secret: those have no setting, they
    /// stand in files and in `TDEMO_HEADERS`.
    pub text: String,
    /// What it was taken from.
    pub origin: Origin,
}

impl Chosen {
    /// How a message names the place: `--tempo-url`, `TDEMO_TEMPO_URL`, or the
    /// file, the profile and the key.
    pub fn place(&self) -> String {
        match &self.origin {
            Origin::Flag => format!("--{}", self.key.name()),
            Origin::Variable(name) => name.clone(),
            profile @ Origin::Profile { .. } => format!("{profile} {}", self.key.name()),
        }
    }
}

/// The settings cannot be used as they are. Each message is one line that
/// names the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file that was asked for cannot be read.
    #[error("{place}: cannot read {}: {reason}", .file.display())]
    Unreadable {
        /// The setting or flag that named it.
        place: String,
        /// The file.
        file: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A file is not what it should be.
    #[error("{}, line {line}: {reason}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// There is no such profile.
    #[error("--profile {wanted}: {}", no_profile(.file.as_ref(), .known))]
    NoProfile {
        /// The profile asked for.
        wanted: String,
        /// The file that was looked into, if there is one.
        file: Option<PathBuf>,
        /// The profiles that it has.
        known: Vec<String>,
    },
    /// A value cannot be used.
    #[error("{place} {value:?}: {reason}")]
    BadValue {
        /// The flag, variable or key.
        place: String,
        /// The value.
        value: String,
        /// Why, and what would do.
        reason: String,
    },
    /// A header cannot be used. The value is not repeated: it may be a secret.
    #[error("{place}: {reason}")]
    BadHeader {
        /// The variable, or the file with its line.
        place: String,
        /// Why, and what would do.
        reason: String,
    },
}

fn no_profile(file: Option<&PathBuf>, known: &[String]) -> String {
    match (file, known) {
        (None, _) => {
            "there is no tdemo.toml, neither here nor in the user's configuration directory (name one with --config)"
                .to_owned()
        }
        (Some(file), []) => format!("{} has no profiles", file.display()),
        (Some(file), known) => {
            format!("{} has no such profile, only {}", file.display(), known.join(", "))
        }
    }
}
