//! From the bytes of an OTLP trace request to a checked [`Batch`], before the store's lock is taken.
//!
//! Called by `receiver`. The protobuf path reads the request where it lies: no allocation per span, and what spans
//! share (attributes, names) is checked and hashed once a request. The JSON path is rewritten as protobuf first.
//! Nothing of a request is handed on unless all of it is well-formed and every id is valid.
//!
//! Source: `opentelemetry/proto/trace/v1/trace.proto`; field numbers below are its.

mod attributes;
mod json;
mod span;

use crate::model::pb::{DecodeError, Reader};
use crate::model::record::{Batch, GroupRecord, Region, Text};
use attributes::Pieces;
use span::SpanReader;

pub use json::{JsonError, logs_to_protobuf, to_protobuf};

/// Attribute keys and string values are cut to this many bytes, as Tempo does by default.
pub const MAX_ATTRIBUTE_BYTES: usize = 2048;

/// Why a request is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes are not an `ExportTraceServiceRequest`.
    #[error("cannot read the trace request: {0}")]
    Malformed(#[from] DecodeError),
    /// A trace id is not 16 bytes, or zero.
    #[error("trace ids must be 128 bit and not all zero, received {bits} bits")]
    TraceId {
        /// The length received.
        bits: usize,
        /// How many spans the refused request has.
        spans: u64,
    },
    /// A span id is not 8 bytes, or zero.
    #[error("span ids must be 64 bit and not all zero, received {bits} bits")]
    SpanId {
        /// The length received.
        bits: usize,
        /// How many spans the refused request has.
        spans: u64,
    },
}

/// Reads a whole `ExportTraceServiceRequest` (which is also `TracesData`).
pub fn decode(request: &[u8]) -> Result<Batch<'_>, WireError> {
    if u32::try_from(request.len()).is_err() {
        return Err(DecodeError::TooLarge.into());
    }
    let mut spans = SpanReader::default();
    let mut reader = Reader::new(request);
    while let Some((number, field)) = reader.next_field()? {
        if number == 1 {
            resource_spans(field.bytes(number)?, &mut spans)
                .map_err(|error| error.into_wire(request))?;
        }
    }
    Ok(spans.batch)
}

/// A problem inside a span, before it is known how many spans the request has.
#[derive(Debug, Clone, Copy)]
enum SpanError {
    Decode(DecodeError),
    TraceId { bytes: usize },
    SpanId { bytes: usize },
}

impl From<DecodeError> for SpanError {
    fn from(error: DecodeError) -> Self {
        SpanError::Decode(error)
    }
}

impl SpanError {
    fn into_wire(self, request: &[u8]) -> WireError {
        match self {
            SpanError::Decode(error) => error.into(),
            SpanError::TraceId { bytes } => WireError::TraceId {
                bits: bytes * 8,
                spans: count_spans(request),
            },
            SpanError::SpanId { bytes } => WireError::SpanId {
                bits: bytes * 8,
                spans: count_spans(request),
            },
        }
    }
}

fn resource_spans<'a>(message: &'a [u8], spans: &mut SpanReader<'a>) -> Result<(), SpanError> {
    let mut resource: &[u8] = &[];
    let mut schema_url = "";
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => resource = field.bytes(number)?,
            3 => schema_url = field.str(number)?,
            _ => {}
        }
    }
    let (attrs, dropped) = resource_attributes(resource)?;
    let mut group = GroupRecord {
        resource_attrs: attrs,
        resource_dropped: dropped,
        resource_schema_url: Text::new(schema_url),
        scope_name: Text::new(""),
        scope_version: Text::new(""),
        scope_attrs: Region::default(),
        scope_dropped: 0,
        scope_schema_url: Text::new(""),
    };
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        if number == 2 {
            scope_spans(field.bytes(number)?, &mut group, spans)?;
        }
    }
    Ok(())
}

fn resource_attributes(message: &[u8]) -> Result<(Region<'_>, u32), DecodeError> {
    let mut attrs = Pieces::new(message);
    let mut dropped = 0;
    let mut reader = Reader::new(message);
    while let Some((place, number, field)) = reader.next_place(message)? {
        match number {
            1 => attrs.add(place),
            2 => dropped = field.varint32(number)?,
            _ => {}
        }
    }
    Ok((attrs.checked(1)?, dropped))
}

fn scope_spans<'a>(
    message: &'a [u8],
    group: &mut GroupRecord<'a>,
    spans: &mut SpanReader<'a>,
) -> Result<(), SpanError> {
    let mut scope: &[u8] = &[];
    let mut schema_url = "";
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => scope = field.bytes(number)?,
            3 => schema_url = field.str(number)?,
            _ => {}
        }
    }
    read_scope(scope, group)?;
    group.scope_schema_url = Text::new(schema_url);
    spans.start_group(group);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        if number == 2 {
            spans.read(field.bytes(number)?)?;
        }
    }
    Ok(())
}

fn read_scope<'a>(message: &'a [u8], group: &mut GroupRecord<'a>) -> Result<(), DecodeError> {
    let (mut name, mut version, mut dropped) = ("", "", 0);
    let mut attrs = Pieces::new(message);
    let mut reader = Reader::new(message);
    while let Some((place, number, field)) = reader.next_place(message)? {
        match number {
            1 => name = field.str(number)?,
            2 => version = field.str(number)?,
            3 => attrs.add(place),
            4 => dropped = field.varint32(number)?,
            _ => {}
        }
    }
    group.scope_name = Text::new(name);
    group.scope_version = Text::new(version);
    group.scope_attrs = attrs.checked(3)?;
    group.scope_dropped = dropped;
    Ok(())
}

/// Counts the spans of a request as far as it can be read: for the counters of refused spans.
pub fn count_spans(request: &[u8]) -> u64 {
    fn messages(message: &[u8], number: u32, mut each: impl FnMut(&[u8])) {
        let mut reader = Reader::new(message);
        while let Ok(Some((found, field))) = reader.next_field() {
            if let (true, Ok(payload)) = (found == number, field.bytes(number)) {
                each(payload);
            }
        }
    }
    let mut count = 0;
    messages(request, 1, |resource| {
        messages(resource, 2, |scope| messages(scope, 2, |_| count += 1));
    });
    count
}
