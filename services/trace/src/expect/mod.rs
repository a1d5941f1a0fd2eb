//! What someone expects of the traces of their own services, as a JSON file:
//! which services, which spans with which attributes, which calls.
//!
//! Its form is published as [`SCHEMA`]. `tdemo smoke --expect FILE` judges by
//! it; so can a test:
//!
//! ```
//! use tdemo_trace::{Trace, expect::Expectation, otlp};
//!
//! let expected = Expectation::from_json(br#"{
//!     "schema_version": 1,
//!     "services": ["frontend", "backend"],
//!     "edges": [{
//!         "from": {"service": "middleware", "kind": "CLIENT"},
//!         "to": {"service": "backend", "kind": "SERVER"}
//!     }],
//!     "spans": [{
//!         "select": {"service": "backend", "kind": "SERVER"},
//!         "count": 1,
//!         "status": "unset",
//!         "attributes": {
//!             "http.response.status_code": 200,
//!             "server.port": {"type": "int"},
//!             "http.status_code": {"absent": true}
//!         }
//!     }]
//! }"#)?;
//!
//! let exported = include_bytes!("../../tests/data/demo-trace.json");
//! let trace = Trace::from_otlp(otlp::json::decode(exported)?)?.remove(0);
//! let findings = expected.judge(&trace);
//! assert!(findings.is_empty(), "{findings:#?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod judge;
mod value;

use serde::Deserialize;
use thiserror::Error;

use crate::span::{Span, SpanKind, StatusCode};

pub use value::{Count, ExpectedValue};

/// The JSON Schema of the file.
pub const SCHEMA: &str = include_str!("../../schema/expect.schema.json");

/// The only version there is of the file's form.
const VERSION: u64 = 1;

/// A file is no expectation.
#[derive(Debug, Error)]
pub enum ExpectError {
    /// It has not the form of [`SCHEMA`].
    #[error("not an expectation: {0}")]
    Form(#[from] serde_json::Error),
    /// It is written for another version of the form.
    #[error("schema_version is {found}, and this version knows {VERSION} only")]
    Version {
        /// What the file says.
        found: u64,
    },
    /// It would hold of every trace.
    #[error("it expects nothing: name services, spans or edges")]
    Nothing,
}

/// What a trace must hold.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    schema_version: u64,
    /// Where an editor finds the schema; of no meaning here.
    #[serde(rename = "$schema", default)]
    _schema: Option<String>,
    /// The services that must take part.
    #[serde(default)]
    pub services: Vec<String>,
    /// Whether no other may.
    #[serde(default)]
    pub only_these_services: bool,
    /// Spans that must be there.
    #[serde(default)]
    pub spans: Vec<ExpectedSpan>,
    /// Calls that must be there.
    #[serde(default)]
    pub edges: Vec<ExpectedEdge>,
}

/// Spans that must be there, and what each of them must say.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedSpan {
    /// Which are meant.
    pub select: Selector,
    /// How many there must be.
    #[serde(default)]
    pub count: Count,
    /// The status that each must have.
    #[serde(default)]
    pub status: Option<ExpectedStatus>,
    /// What each must have under these keys.
    #[serde(default)]
    pub attributes: ExpectedAttributes,
    /// What the resource of each must have under these keys.
    #[serde(default)]
    pub resource: ExpectedAttributes,
}

/// Expected values by key, in the order of the keys.
pub type ExpectedAttributes = std::collections::BTreeMap<String, ExpectedValue>;

/// A call that must be there: a span whose parent is a certain other.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedEdge {
    /// The span above.
    pub from: Selector,
    /// The span below.
    pub to: Selector,
    /// How many such pairs there must be.
    #[serde(default)]
    pub count: Count,
}

/// Which spans are meant: those that have all that is given, at least one
/// thing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SelectorForm")]
pub struct Selector {
    /// Their service.
    pub service: Option<String>,
    /// Their kind.
    pub kind: Option<SpanKind>,
    /// Their name.
    pub name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SelectorForm {
    service: Option<String>,
    kind: Option<SpanKind>,
    name: Option<String>,
}

impl TryFrom<SelectorForm> for Selector {
    type Error = &'static str;

    fn try_from(form: SelectorForm) -> Result<Self, Self::Error> {
        let SelectorForm {
            service,
            kind,
            name,
        } = form;
        if service.is_none() && kind.is_none() && name.is_none() {
            return Err("a selector names a service, a kind or a name");
        }
        Ok(Self {
            service,
            kind,
            name,
        })
    }
}

impl Selector {
    /// Whether `span` is meant.
    pub fn selects(&self, span: &Span) -> bool {
        self.service
            .as_deref()
            .is_none_or(|name| name == span.service())
            && self.kind.is_none_or(|kind| kind == span.kind)
            && self.name.as_deref().is_none_or(|name| name == span.name)
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let service = self.service.as_deref().unwrap_or("(any service)");
        let kind = self.kind.map_or("(any kind)", SpanKind::as_str);
        let name = self.name.as_deref().unwrap_or("(any name)");
        write!(f, "{service} {kind} {name}")
    }
}

/// A status that a span must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpectedStatus {
    /// [`StatusCode::Unset`].
    Unset,
    /// [`StatusCode::Ok`].
    Ok,
    /// [`StatusCode::Error`].
    Error,
}

impl From<ExpectedStatus> for StatusCode {
    fn from(expected: ExpectedStatus) -> Self {
        match expected {
            ExpectedStatus::Unset => Self::Unset,
            ExpectedStatus::Ok => Self::Ok,
            ExpectedStatus::Error => Self::Error,
        }
    }
}

impl Expectation {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ExpectError`], with line and column where the form is wrong.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ExpectError> {
        let read: Self = serde_json::from_slice(bytes)?;
        if read.schema_version != VERSION {
            return Err(ExpectError::Version {
                found: read.schema_version,
            });
        }
        if read.services.is_empty() && read.spans.is_empty() && read.edges.is_empty() {
            return Err(ExpectError::Nothing);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
