//! A trace as protobuf: OTLP's `TracesData`, and Tempo's `TraceByIDResponse` around it.
//!
//! Grafana's decoder takes some absent messages badly, so what it needs is always written: `trace`, each resource with at
//! least one attribute, each scope and each status.

use super::Found;
use crate::model::pb::{
    put_bytes_field, put_fixed32_field, put_fixed64_field, put_message_field, put_varint_field,
};
use crate::model::{Attributes, Chunk, Row, Scope};

/// A resource without attributes gets OpenTelemetry's name for a service that has none, as a `KeyValue` message.
const UNKNOWN_SERVICE: &[u8] = b"\x0a\x0cservice.name\x12\x11\x0a\x0funknown_service";

/// `TraceByIDResponse`; without a trace, the answer for an unknown id.
pub fn write_v2(found: Option<&Found<'_>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    put_message_field(&mut out, 1, |out| {
        if let Some(found) = found {
            write_resource_spans(found, out);
        }
    });
    put_message_field(&mut out, 2, |out| {
        if let Some(found) = found {
            put_varint_field(out, 1, found.wire_bytes());
        }
    });
    if let Some(message) = found.and_then(Found::partial_message) {
        put_varint_field(&mut out, 3, 1);
        put_bytes_field(&mut out, 4, message.as_bytes());
    }
    out
}

/// `TracesData`, which is also Tempo's `Trace`.
pub fn write_v1(found: &Found<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    write_resource_spans(found, &mut out);
    out
}

fn write_resource_spans(found: &Found<'_>, out: &mut Vec<u8>) {
    let chunk = found.chunk;
    let trace_id = chunk.traces()[found.slot as usize].id.to_be_bytes();
    for group in &found.groups {
        let resource = chunk.resources()[group.resource as usize];
        put_message_field(out, 1, |out| {
            put_message_field(out, 1, |out| {
                write_attributes(chunk, resource.attrs, 1, out);
                if resource.attrs == Attributes::EMPTY_SET {
                    put_bytes_field(out, 1, UNKNOWN_SERVICE);
                }
                put_count(out, 2, resource.dropped);
            });
            for scope_group in &group.scopes {
                let scope = chunk.scopes()[scope_group.scope as usize];
                put_message_field(out, 2, |out| {
                    put_message_field(out, 1, |out| write_scope(chunk, &scope, out));
                    for &row in &scope_group.rows {
                        put_message_field(out, 2, |out| write_span(chunk, trace_id, row, out));
                    }
                    put_text(out, 3, chunk.text(scope.schema_url));
                });
            }
            put_text(out, 3, chunk.text(resource.schema_url));
        });
    }
}

fn write_scope(chunk: &Chunk, scope: &Scope, out: &mut Vec<u8>) {
    put_text(out, 1, chunk.text(scope.name));
    put_text(out, 2, chunk.text(scope.version));
    write_attributes(chunk, scope.attrs, 3, out);
    put_count(out, 4, scope.dropped);
}

fn write_span(chunk: &Chunk, trace_id: [u8; 16], row: Row, out: &mut Vec<u8>) {
    let extras = chunk.extras(row);
    let at = row as usize;
    put_bytes_field(out, 1, &trace_id);
    put_bytes_field(out, 2, &chunk.span_ids()[at].to_be_bytes());
    if let Some(extras) = &extras {
        put_text(out, 3, extras.trace_state);
    }
    if chunk.parent_ids()[at] != 0 {
        put_bytes_field(out, 4, &chunk.parent_ids()[at].to_be_bytes());
    }
    put_text(out, 5, chunk.name(chunk.name_codes()[at]));
    let kind_status = chunk.kind_status()[at];
    put_count(out, 6, u32::from(kind_status & 0x0f));
    put_fixed64_field(out, 7, chunk.starts_ns()[at]);
    put_fixed64_field(out, 8, chunk.ends_ns()[at]);
    write_attributes(chunk, chunk.attr_sets()[at], 9, out);
    if let Some(extras) = &extras {
        out.extend_from_slice(extras.raw);
    }
    put_message_field(out, 15, |out| {
        if let Some(extras) = &extras {
            put_text(out, 2, extras.status_message);
        }
        put_count(out, 3, u32::from(kind_status >> 4));
    });
    if chunk.flags()[at] != 0 {
        put_fixed32_field(out, 16, chunk.flags()[at]);
    }
}

fn write_attributes(chunk: &Chunk, set: u32, number: u32, out: &mut Vec<u8>) {
    let attributes = chunk.attributes();
    for &attr in attributes.set(set) {
        put_bytes_field(out, number, attributes.raw(attr));
    }
}

fn put_count(out: &mut Vec<u8>, number: u32, count: u32) {
    if count != 0 {
        put_varint_field(out, number, u64::from(count));
    }
}

fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    if !text.is_empty() {
        put_bytes_field(out, number, text.as_bytes());
    }
}
