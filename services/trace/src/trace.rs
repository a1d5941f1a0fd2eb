//! A trace: an id and the spans that were received under it.

use std::collections::HashMap;

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use crate::id::{SpanId, TraceId};
use crate::otlp::{self, OtlpError};
use crate::span::Span;

/// The spans of one trace, as they came: in any order, duplicates kept.
/// [`Tree`](crate::Tree) puts them in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The id that all the spans share.
    pub id: TraceId,
    /// The spans; empty when nothing was found under the id.
    pub spans: Vec<Span>,
}

impl Trace {
    /// A trace of which nothing was found: what a look-up that ends in
    /// "not there" is judged as.
    pub fn empty(id: TraceId) -> Self {
        Self {
            id,
            spans: Vec::new(),
        }
    }

    /// Every trace in `groups`, in the order in which each first appears.
    ///
    /// # Errors
    /// The first span whose ids OTLP forbids (wrong length, all zeros).
    pub fn from_otlp(
        groups: impl IntoIterator<Item = ResourceSpans>,
    ) -> Result<Vec<Self>, OtlpError> {
        let mut traces: Vec<Self> = Vec::new();
        let mut places: HashMap<TraceId, usize> = HashMap::new();
        otlp::read_spans(groups, |id, span| {
            let place = *places.entry(id).or_insert_with(|| {
                traces.push(Self::empty(id));
                traces.len() - 1
            });
            traces[place].spans.push(span);
            Ok(())
        })?;
        Ok(traces)
    }

    /// The one trace `id`, empty where `groups` holds no span.
    ///
    /// # Errors
    /// As [`Trace::from_otlp`], and [`OtlpError::OtherTrace`] when a span
    /// belongs to another trace: whoever answered, answered another question.
    pub fn one_from_otlp(
        id: TraceId,
        groups: impl IntoIterator<Item = ResourceSpans>,
    ) -> Result<Self, OtlpError> {
        let mut trace = Self::empty(id);
        otlp::read_spans(groups, |found, span| {
            if found != id {
                return Err(OtlpError::OtherTrace { asked: id, found });
            }
            trace.spans.push(span);
            Ok(())
        })?;
        Ok(trace)
    }

    /// The same spans as OTLP, grouped by resource and scope in the order in
    /// which these first appear.
    pub fn to_otlp(&self) -> Vec<ResourceSpans> {
        otlp::write_spans(self)
    }

    /// The first span with this id.
    pub fn span(&self, id: SpanId) -> Option<&Span> {
        self.spans.iter().find(|span| span.id == id)
    }

    /// The earliest start and the latest end, in nanoseconds since the Unix
    /// epoch; `None` of an empty trace.
    pub fn bounds_unix_nanos(&self) -> Option<(u64, u64)> {
        let start = self.spans.iter().map(|span| span.start_unix_nanos).min()?;
        let end = self.spans.iter().map(|span| span.end_unix_nanos).max()?;
        Some((start, end.max(start)))
    }

    /// From the earliest start to the latest end.
    pub fn duration_nanos(&self) -> u64 {
        self.bounds_unix_nanos()
            .map_or(0, |(start, end)| end - start)
    }

    /// The names of the services that took part, each once, in the order in
    /// which their first spans started.
    pub fn services(&self) -> Vec<&str> {
        let mut spans: Vec<&Span> = self.spans.iter().collect();
        spans.sort_by_key(|span| (span.start_unix_nanos, span.id));
        let mut seen = std::collections::HashSet::new();
        spans
            .into_iter()
            .map(Span::service)
            .filter(|service| seen.insert(*service))
            .collect()
    }
}
