//! The verdict on one trace, and what is wrong with it, one line each.

use std::borrow::Cow;
use std::fmt;

use super::Tier;
use crate::id::SpanId;
use crate::span::{Span, SpanKind};

/// Whether a trace holds what it owes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Completeness {
    /// All of it, and nothing that should not be there.
    Complete,
    /// Not so, for these reasons: at least one.
    Incomplete(Vec<Flaw>),
}

impl Completeness {
    /// Whether nothing is wrong.
    pub fn is_complete(&self) -> bool {
        *self == Self::Complete
    }

    /// What is wrong; empty when complete.
    pub fn flaws(&self) -> &[Flaw] {
        match self {
            Self::Complete => &[],
            Self::Incomplete(flaws) => flaws,
        }
    }

    /// The spans that are missing.
    pub fn missing(&self) -> impl Iterator<Item = &Wanted> {
        self.flaws().iter().filter_map(|flaw| match flaw {
            Flaw::Missing(wanted) => Some(wanted),
            _ => None,
        })
    }
}

/// A span that is owed, as far as it can be described beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A span of the demo.
    Span {
        /// Whose; `None` where the caller could not know which tier it asked.
        tier: Option<Tier>,
        /// Its kind.
        kind: SpanKind,
        /// Its name; with a status, only a help to the reader.
        name: Cow<'static, str>,
        /// The `http.response.status_code` that it must have.
        status: Option<u16>,
    },
    /// The span that the caller says it exported.
    Caller(SpanId),
    /// A root, whichever.
    Root,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span {
                tier,
                kind,
                name,
                status,
            } => {
                let service = tier.map_or("(any tier)", Tier::service);
                write!(f, "{service} {kind} {name}")?;
                match status {
                    Some(status) => write!(f, " {status}"),
                    None => Ok(()),
                }
            }
            Self::Caller(id) => write!(f, "the caller's span {id}"),
            Self::Root => f.write_str("a root span"),
        }
    }
}

/// One thing that is wrong with a trace. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// A span that is owed is not there.
    Missing(Wanted),
    /// A span is there that is not owed, or for the second time.
    Extra {
        /// Its id.
        span: SpanId,
        /// Its service, kind and name.
        label: String,
    },
    /// A span names a parent that is not there.
    AbsentParent {
        /// The span.
        span: SpanId,
        /// Its service, kind and name.
        label: String,
        /// The parent that it names.
        parent: SpanId,
    },
    /// A span hangs below another span than it should.
    Misplaced {
        /// The span.
        span: SpanId,
        /// Its service, kind and name.
        label: String,
        /// The parent that it should have.
        expected: Option<SpanId>,
        /// The parent that it has.
        found: Option<SpanId>,
    },
    /// A span is its own ancestor.
    Looped {
        /// The span at which the loop was cut.
        span: SpanId,
        /// Its service, kind and name.
        label: String,
    },
    /// There are several roots where one is owed.
    Roots {
        /// How many.
        count: usize,
    },
}

impl Flaw {
    pub(super) fn extra(span: &Span) -> Self {
        Self::Extra {
            span: span.id,
            label: span.label(),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parent =
            |id: &Option<SpanId>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        match self {
            Self::Missing(wanted) => write!(f, "missing {wanted}"),
            Self::Extra { span, label } => write!(f, "not owed: {label} (span {span})"),
            Self::AbsentParent {
                span,
                label,
                parent,
            } => write!(f, "parent {parent} of {label} (span {span}) is absent"),
            Self::Misplaced {
                span,
                label,
                expected,
                found,
            } => write!(
                f,
                "parent of {label} (span {span}) is {}, not {}",
                parent(found),
                parent(expected)
            ),
            Self::Looped { span, label } => {
                write!(f, "{label} (span {span}) is its own ancestor")
            }
            Self::Roots { count } => write!(f, "{count} roots instead of one"),
        }
    }
}
