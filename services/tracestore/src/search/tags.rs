//! Which tags there are, and which values they have: what a query editor offers. Called by `api`.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::slots_within;
use crate::model::{AttrIter, Chunk, Row};
use crate::traceql::Query;
use crate::traceql::ast::{Attribute, Intrinsic, Scope};
use crate::traceql::eval::{Bounds, FilterPlan, Value, each_value};

/// The scopes that have tags, in the order they are answered.
pub(crate) const SCOPES: [(Scope, &str); 5] = [
    (Scope::Span, "span"),
    (Scope::Event, "event"),
    (Scope::Link, "link"),
    (Scope::Resource, "resource"),
    (Scope::Instrumentation, "instrumentation"),
];

/// Which spans count.
pub(crate) struct TagFilter<'a> {
    /// The traces that count; limit and spans a spanset do not matter.
    pub(crate) bounds: Bounds,
    /// Only spans that the first `{ … }` of this query selects.
    pub(crate) query: Option<&'a Query>,
}

/// A value with its type, as the API spells both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TagValue {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

impl TagFilter<'_> {
    /// Calls `see` with the rows that count, chunk by chunk, until it breaks off.
    fn each_chunk(
        &self,
        chunks: &[Arc<Chunk>],
        mut see: impl FnMut(&Chunk, &[Row]) -> ControlFlow<()>,
    ) {
        let plan = self.query.and_then(FilterPlan::new);
        for chunk in chunks.iter().rev() {
            let slots = slots_within(chunk, self.bounds.start_ns, self.bounds.end_ns);
            let mut rows: Vec<Row> = slots.flat_map(|slot| chunk.trace_rows(slot)).collect();
            if let Some(plan) = &plan {
                plan.retain(chunk, &mut rows);
            }
            if !rows.is_empty() && see(chunk, &rows).is_break() {
                return;
            }
        }
    }
}

/// The keys of the spans that count, by scope, in the order of [`SCOPES`]; at most `limit` a scope.
pub(crate) fn tag_names(
    filter: &TagFilter<'_>,
    chunks: &[Arc<Chunk>],
    scope: Option<Scope>,
    limit: usize,
) -> Vec<(&'static str, BTreeSet<String>)> {
    let wanted: Vec<_> = SCOPES
        .into_iter()
        .filter(|(s, _)| scope.is_none_or(|scope| scope == *s))
        .collect();
    let mut names: Vec<BTreeSet<String>> = vec![BTreeSet::new(); wanted.len()];
    filter.each_chunk(chunks, |chunk, rows| {
        for ((scope, _), names) in wanted.iter().zip(&mut names) {
            let mut add = |key: &str| {
                if names.len() < limit && !names.contains(key) {
                    names.insert(key.to_owned());
                }
            };
            match scope {
                Scope::Event | Scope::Link => keys_in_extras(chunk, rows, *scope, &mut add),
                _ => keys_in_sets(chunk, rows, *scope, &mut add),
            }
        }
        if names.iter().all(|names| names.len() >= limit) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    wanted
        .into_iter()
        .map(|(_, name)| name)
        .zip(names)
        .filter(|(_, names)| !names.is_empty())
        .collect()
}

fn keys_in_sets(chunk: &Chunk, rows: &[Row], scope: Scope, add: &mut impl FnMut(&str)) {
    let attributes = chunk.attributes();
    let set_of = |row: Row| match scope {
        Scope::Resource => chunk.resources()[chunk.resource_codes()[row as usize] as usize].attrs,
        Scope::Instrumentation => chunk.scopes()[chunk.scope_codes()[row as usize] as usize].attrs,
        _ => chunk.attr_sets()[row as usize],
    };
    let mut sets = vec![false; attributes.set_count() as usize];
    let mut keys = vec![false; attributes.key_count() as usize];
    for &row in rows {
        let set = set_of(row);
        if !std::mem::replace(&mut sets[set as usize], true) {
            for &attr in attributes.set(set) {
                let key = attributes.key_of(attr);
                if !std::mem::replace(&mut keys[key as usize], true) {
                    add(attributes.key(key));
                }
            }
        }
    }
}

fn keys_in_extras(chunk: &Chunk, rows: &[Row], scope: Scope, add: &mut impl FnMut(&str)) {
    if !chunk.has_extras() {
        return;
    }
    let mut add_all = |list: AttrIter<'_>| list.for_each(|(key, _)| add(key));
    for extras in rows.iter().filter_map(|&row| chunk.extras(row)) {
        if scope == Scope::Event {
            extras
                .events()
                .for_each(|event| add_all(event.attributes()));
        } else {
            extras.links().for_each(|link| add_all(link.attributes()));
        }
    }
}

/// The values of a tag on the spans that count; at most `limit`.
pub(crate) fn tag_values(
    filter: &TagFilter<'_>,
    chunks: &[Arc<Chunk>],
    attribute: &Attribute,
    limit: usize,
) -> BTreeSet<TagValue> {
    let mut values = BTreeSet::new();
    // These have as many values as there are spans; Tempo offers none either.
    if matches!(
        attribute,
        Attribute::Intrinsic(
            Intrinsic::TraceId
                | Intrinsic::SpanId
                | Intrinsic::ParentId
                | Intrinsic::LinkTraceId
                | Intrinsic::LinkSpanId
        )
    ) {
        return values;
    }
    filter.each_chunk(chunks, |chunk, rows| {
        each_value(chunk, attribute, rows, &mut |value| {
            for element in value.elements() {
                if let Some(value) = tag_value(element).filter(|_| values.len() < limit) {
                    values.insert(value);
                }
            }
        });
        if values.len() >= limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    values
}

fn tag_value(value: &Value<'_>) -> Option<TagValue> {
    let kind = match value {
        Value::Str(_) => "string",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Bool(_) => "bool",
        // Tempo offers these as numbers of nanoseconds.
        Value::Duration(nanos) => {
            return Some(TagValue {
                kind: "int",
                text: nanos.to_string(),
            });
        }
        Value::Status(_) | Value::Kind(_) => "keyword",
        Value::Nil | Value::Array(_) => return None,
    };
    Some(TagValue {
        kind,
        text: value.to_text(),
    })
}
