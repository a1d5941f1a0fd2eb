//! What `wire` makes of one OTLP request and `store` puts into chunks: spans as small fixed records, and whatever
//! they have in common (attributes, names, resources) once a request, hashed before the store's lock is taken.

use std::borrow::Cow;

use super::dict::hash_bytes;

/// "There is none", for indexes into a batch.
pub const NONE: u32 = u32::MAX;

/// One request, decoded and checked. Every index in it points into its own lists.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// The spans, in request order.
    pub spans: Vec<SpanRecord>,
    /// Resource and scope pairs.
    pub groups: Vec<GroupRecord<'a>>,
    /// Distinct attribute lists of spans.
    pub regions: Vec<Region<'a>>,
    /// Distinct span names.
    pub names: Vec<Text<'a>>,
    /// The rare fields of the spans that have any.
    pub extras: Vec<ExtraRecord<'a>>,
    /// The bytes that [`ExtraRecord::raw`] points into.
    pub arena: Vec<u8>,
}

/// One span; 80 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanRecord {
    /// Big-endian; never 0.
    pub trace_id: u128,
    /// Big-endian; never 0.
    pub span_id: u64,
    /// Big-endian; 0 means none.
    pub parent_id: u64,
    /// Unix nanoseconds.
    pub start_ns: u64,
    /// Unix nanoseconds.
    pub end_ns: u64,
    /// Index into [`Batch::names`].
    pub name: u32,
    /// Index into [`Batch::regions`].
    pub attrs: u32,
    /// Index into [`Batch::groups`].
    pub group: u32,
    /// Index into [`Batch::extras`], or [`NONE`].
    pub extras: u32,
    /// OTLP's flags as sent (W3C flags in the low byte).
    pub flags: u32,
    /// Bytes of the span message on the wire.
    pub wire_bytes: u32,
    /// OTLP span kind, 0 to 5.
    pub kind: u8,
    /// OTLP status code, 0 to 2.
    pub status: u8,
}

/// A resource and one scope of it.
#[derive(Debug, Clone)]
pub struct GroupRecord<'a> {
    /// The resource's attributes.
    pub resource_attrs: Region<'a>,
    /// The resource's dropped attributes.
    pub resource_dropped: u32,
    /// Schema URL of the resource.
    pub resource_schema_url: Text<'a>,
    /// The scope's name.
    pub scope_name: Text<'a>,
    /// The scope's version.
    pub scope_version: Text<'a>,
    /// The scope's attributes.
    pub scope_attrs: Region<'a>,
    /// The scope's dropped attributes.
    pub scope_dropped: u32,
    /// Schema URL of the scope's spans.
    pub scope_schema_url: Text<'a>,
}

/// A list of attributes as raw bytes: the `KeyValue` fields, keys (tags) and lengths included, and nothing between.
#[derive(Debug, Clone, Default)]
pub struct Region<'a> {
    /// The fields.
    pub bytes: Cow<'a, [u8]>,
    /// [`hash_bytes`] of them.
    pub hash: u64,
}

/// A checked string with its hash.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text<'a> {
    /// The string.
    pub text: &'a str,
    /// [`hash_bytes`] of it.
    pub hash: u64,
}

impl<'a> Text<'a> {
    /// Hashes a string.
    pub fn new(text: &'a str) -> Self {
        Text {
            text,
            hash: hash_bytes(text.as_bytes()),
        }
    }
}

/// The rare fields of a span.
#[derive(Debug, Clone, Default)]
pub struct ExtraRecord<'a> {
    /// Status message.
    pub status_message: &'a str,
    /// W3C trace state.
    pub trace_state: &'a str,
    /// Range in [`Batch::arena`] of the span's dropped counts, events and links, as the fields they came in.
    pub raw: std::ops::Range<u32>,
}
