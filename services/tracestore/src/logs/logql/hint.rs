//! Which trace a query is about, so that the store can look it up instead of reading every record.
//! Called by `eval` when it compiles a query.

use super::ast::{Dropped, LabelFilter, LabelFormat, MatchOp, Matcher, Stage};
use crate::logs::ids;

/// A trace that every record of the answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceHint {
    /// The trace's id.
    pub id: [u8; 16],
    /// A record may also say so in its line alone, for a parser to find.
    pub or_in_line: bool,
}

/// Finds `trace_id="<32 hex digits>"` where nothing before it can have changed that label.
pub(super) fn trace_hint(stages: &[Stage]) -> Option<TraceHint> {
    let mut or_in_line = false;
    for stage in stages {
        match stage {
            Stage::Line(_) => {}
            Stage::Json | Stage::Logfmt(_) => or_in_line = true,
            Stage::Label(filter) => {
                if let Some(id) = wanted_trace(filter) {
                    return Some(TraceHint { id, or_in_line });
                }
            }
            Stage::LabelFormat(formats) => {
                let touches = |format: &LabelFormat| match format {
                    LabelFormat::Rename { to, from } => to == "trace_id" || from == "trace_id",
                    LabelFormat::Template { to, .. } => to == "trace_id",
                };
                if formats.iter().any(touches) {
                    return None;
                }
            }
            Stage::Drop(items) => {
                let touches = |item: &Dropped| match item {
                    Dropped::Name(name) => name == "trace_id",
                    Dropped::Match(matcher) => matcher.name == "trace_id",
                };
                if items.iter().any(touches) {
                    return None;
                }
            }
        }
    }
    None
}

fn wanted_trace(filter: &LabelFilter) -> Option<[u8; 16]> {
    match filter {
        LabelFilter::Match(Matcher {
            name,
            op: MatchOp::Equal,
            value,
        }) if name == "trace_id" => ids::parse_trace_id(value),
        LabelFilter::And(filters) => filters.iter().find_map(wanted_trace),
        _ => None,
    }
}
