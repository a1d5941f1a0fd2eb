//! The search from before TraceQL: traces by tags (`key=value`) and by the duration of the whole
//! trace. Called by `api`; still sent by old Grafanas and by scripts.

use std::sync::Arc;

use super::slots_within;
use crate::model::{AttrValue, Chunk, NO_ROW, Row, Slot, Status};
use crate::traceql::eval::{Bounds, FoundTrace};

/// What is looked for.
#[derive(Debug, Default)]
pub(crate) struct TagSearch {
    /// Keys and values; a trace must have all of them.
    pub(crate) tags: Vec<(String, String)>,
    /// Shortest trace, in nanoseconds.
    pub(crate) min_duration_ns: u64,
    /// Longest trace, in nanoseconds.
    pub(crate) max_duration_ns: Option<u64>,
}

/// The traces that match, newest first. They carry no spansets.
pub(crate) fn by_tags(
    search: &TagSearch,
    chunks: &[Arc<Chunk>],
    bounds: &Bounds,
) -> Vec<FoundTrace> {
    let mut found = Vec::new();
    for chunk in chunks.iter().rev() {
        for slot in slots_within(chunk, bounds.start_ns, bounds.end_ns) {
            if bounds.limit.is_some_and(|limit| found.len() >= limit) {
                break;
            }
            if matches(search, chunk, slot) {
                found.push(describe(chunk, slot));
            }
        }
    }
    found.sort_by_key(|trace| std::cmp::Reverse(trace.start_ns));
    found
}

fn matches(search: &TagSearch, chunk: &Chunk, slot: Slot) -> bool {
    let trace = &chunk.traces()[slot as usize];
    let duration = trace.end_ns.saturating_sub(trace.start_ns);
    if duration < search.min_duration_ns || search.max_duration_ns.is_some_and(|max| duration > max)
    {
        return false;
    }
    let rows: Vec<Row> = chunk.trace_rows(slot).collect();
    let any = |test: &dyn Fn(Row) -> bool| rows.iter().any(|&row| test(row));
    let mut elsewhere = Vec::new();
    for (key, value) in &search.tags {
        // Fields that Tempo keeps apart are searched for a part of the text, on any span.
        let known = match key.as_str() {
            "service.name" => any(&|row| service(chunk, row).contains(value.as_str())),
            "name" => any(&|row| name(chunk, row).contains(value.as_str())),
            "root.name" => trace.root != NO_ROW && name(chunk, trace.root).contains(value.as_str()),
            "root.service.name" => {
                trace.root != NO_ROW && service(chunk, trace.root).contains(value.as_str())
            }
            "status.code" => any(&|row| {
                let wanted = match value.as_str() {
                    "error" => Status::Error,
                    "ok" => Status::Ok,
                    _ => Status::Unset,
                };
                chunk.status(row) == wanted
            }),
            _ => {
                elsewhere.push((key.as_str(), value.as_str()));
                true
            }
        };
        if !known {
            return false;
        }
    }
    // All other keys must be found with the spans of one resource, or on the resource itself.
    elsewhere.is_empty()
        || rows.iter().any(|&one| {
            let resource = chunk.resource_codes()[one as usize];
            let same = || {
                rows.iter()
                    .filter(|&&row| chunk.resource_codes()[row as usize] == resource)
            };
            elsewhere.iter().all(|&(key, value)| {
                has(
                    chunk,
                    chunk.resources()[resource as usize].attrs,
                    key,
                    value,
                ) || same().any(|&row| has(chunk, chunk.attr_sets()[row as usize], key, value))
            })
        })
}

/// Whether a set holds the key with exactly this text (in an array: among its elements).
fn has(chunk: &Chunk, set: u32, key: &str, text: &str) -> bool {
    let attributes = chunk.attributes();
    let Some(key) = attributes.key_code(key) else {
        return false;
    };
    let is_text = |value: AttrValue<'_>| matches!(value, AttrValue::Str(found) if found == text);
    attributes.find_in_set(set, key).is_some_and(|attr| {
        let value = attributes.value(attr);
        is_text(value) || value.elements().any(is_text)
    })
}

fn name(chunk: &Chunk, row: Row) -> &str {
    chunk.name(chunk.name_codes()[row as usize])
}

fn service(chunk: &Chunk, row: Row) -> &str {
    let attributes = chunk.attributes();
    let set = chunk.resources()[chunk.resource_codes()[row as usize] as usize].attrs;
    let found = attributes
        .key_code("service.name")
        .and_then(|key| attributes.find_in_set(set, key));
    match found.map(|attr| attributes.value(attr)) {
        Some(AttrValue::Str(name)) => name,
        _ => "",
    }
}

fn describe(chunk: &Chunk, slot: Slot) -> FoundTrace {
    let trace = &chunk.traces()[slot as usize];
    let root = (trace.root != NO_ROW).then_some(trace.root);
    FoundTrace {
        id: trace.id,
        root_name: root.map(|row| name(chunk, row).to_owned()),
        root_service: root.map_or_else(String::new, |row| service(chunk, row).to_owned()),
        start_ns: trace.start_ns,
        duration_ns: trace.end_ns.wrapping_sub(trace.start_ns),
        spansets: Vec::new(),
        services: Vec::new(),
    }
}
