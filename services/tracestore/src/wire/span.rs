//! Reads spans into a batch. What spans share is looked up in two small caches, so that the attributes and the name
//! of most spans cost one hash and one comparison.

use std::borrow::Cow;
use std::ops::Range;

use super::SpanError;
use super::attributes::{Pieces, check_and_cut};
use crate::model::hash_bytes;
use crate::model::pb::{DecodeError, Field, Reader, put_bytes_field};
use crate::model::record::{Batch, ExtraRecord, GroupRecord, NONE, Region, SpanRecord, Text};

/// Field numbers of `Span`.
const ATTRIBUTES: u32 = 9;
const EVENTS: u32 = 11;
const LINKS: u32 = 13;

/// Entries of a cache; a request of one service has a handful of distinct names and attribute lists.
const CACHE: usize = 256;

/// The state of reading one request.
#[derive(Debug)]
pub(super) struct SpanReader<'a> {
    pub(super) batch: Batch<'a>,
    /// By hash: the index of the name, or region, last seen with it.
    names: [u32; CACHE],
    regions: [u32; CACHE],
}

impl Default for SpanReader<'_> {
    fn default() -> Self {
        SpanReader {
            batch: Batch::default(),
            names: [NONE; CACHE],
            regions: [NONE; CACHE],
        }
    }
}

/// The fields of a span that need a second look when all of it is read.
struct Parts<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_id: &'a [u8],
    name: &'a [u8],
    attrs: Pieces<'a>,
    extras: ExtraRecord<'a>,
}

impl<'a> SpanReader<'a> {
    /// The spans read from here on belong to this resource and scope.
    pub(super) fn start_group(&mut self, group: &GroupRecord<'a>) {
        self.batch.groups.push(group.clone());
    }

    /// Reads a `Span` message.
    pub(super) fn read(&mut self, message: &'a [u8]) -> Result<(), SpanError> {
        let arena_start = to_u32(self.batch.arena.len())?;
        let mut span = SpanRecord {
            trace_id: 0,
            span_id: 0,
            parent_id: 0,
            start_ns: 0,
            end_ns: 0,
            name: 0,
            attrs: 0,
            group: to_u32(self.batch.groups.len() - 1)?,
            extras: NONE,
            flags: 0,
            wire_bytes: to_u32(message.len())?,
            kind: 0,
            status: 0,
        };
        let mut parts = Parts {
            trace_id: &[],
            span_id: &[],
            parent_id: &[],
            name: &[],
            attrs: Pieces::new(message),
            extras: ExtraRecord::default(),
        };
        let mut reader = Reader::new(message);
        while let Some((place, number, field)) = reader.next_place(message)? {
            match number {
                1 => parts.trace_id = field.bytes(number)?,
                2 => parts.span_id = field.bytes(number)?,
                3 => parts.extras.trace_state = field.str(number)?,
                4 => parts.parent_id = field.bytes(number)?,
                5 => parts.name = field.bytes(number)?,
                6 => span.kind = small_enum(field.varint(number)?, 5),
                7 => span.start_ns = field.fixed64(number)?,
                8 => span.end_ns = field.fixed64(number)?,
                ATTRIBUTES => {
                    field.bytes(number)?;
                    parts.attrs.add(place);
                }
                10..=14 => self.read_rare(message, place, number, field)?,
                15 => read_status(field.bytes(number)?, &mut span, &mut parts.extras)?,
                16 => span.flags = field.fixed32(number)?,
                _ => {}
            }
        }
        span.trace_id = id(parts.trace_id)
            .map(u128::from_be_bytes)
            .ok_or(SpanError::TraceId {
                bytes: parts.trace_id.len(),
            })?;
        span.span_id = id(parts.span_id)
            .map(u64::from_be_bytes)
            .ok_or(SpanError::SpanId {
                bytes: parts.span_id.len(),
            })?;
        span.parent_id = optional_id(parts.parent_id)?;
        span.name = self.name(parts.name)?;
        span.attrs = self.region(parts.attrs.bytes())?;
        parts.extras.raw = arena_start..to_u32(self.batch.arena.len())?;
        let extras = &parts.extras;
        if !(extras.raw.is_empty()
            && extras.status_message.is_empty()
            && extras.trace_state.is_empty())
        {
            span.extras = to_u32(self.batch.extras.len())?;
            self.batch.extras.push(parts.extras);
        }
        self.batch.spans.push(span);
        Ok(())
    }

    /// Checks and keeps a dropped count, an event or a link.
    fn read_rare(
        &mut self,
        message: &[u8],
        place: Range<usize>,
        number: u32,
        field: Field<'_>,
    ) -> Result<(), DecodeError> {
        let cut = match number {
            EVENTS => check_event(field.bytes(number)?)?,
            LINKS => check_link(field.bytes(number)?)?,
            _ if field.varint(number)? == 0 => return Ok(()),
            _ => None,
        };
        match cut {
            Some(cut) => put_bytes_field(&mut self.batch.arena, number, &cut),
            None => self.batch.arena.extend_from_slice(&message[place]),
        }
        Ok(())
    }

    fn name(&mut self, name: &'a [u8]) -> Result<u32, DecodeError> {
        let hash = hash_bytes(name);
        let names = &mut self.batch.names;
        let cached = &mut self.names[cache_slot(hash)];
        if names
            .get(*cached as usize)
            .is_none_or(|known| known.text.as_bytes() != name)
        {
            let text = std::str::from_utf8(name).map_err(|_| DecodeError::Utf8)?;
            *cached = to_u32(names.len())?;
            names.push(Text { text, hash });
        }
        Ok(*cached)
    }

    fn region(&mut self, bytes: Cow<'a, [u8]>) -> Result<u32, DecodeError> {
        let hash = hash_bytes(&bytes);
        let regions = &mut self.batch.regions;
        let cached = &mut self.regions[cache_slot(hash)];
        if regions
            .get(*cached as usize)
            .is_none_or(|known| known.bytes != bytes)
        {
            let region = match check_and_cut(&bytes, ATTRIBUTES)? {
                Some(cut) => Region {
                    hash: hash_bytes(&cut),
                    bytes: Cow::Owned(cut),
                },
                None => Region { bytes, hash },
            };
            *cached = to_u32(regions.len())?;
            regions.push(region);
        }
        Ok(*cached)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
fn cache_slot(hash: u64) -> usize {
    hash as usize % CACHE
}

/// An index into a list that is never longer than the request has bytes, of which `decode` allows 4 GiB.
fn to_u32(index: usize) -> Result<u32, DecodeError> {
    u32::try_from(index).map_err(|_| DecodeError::TooLarge)
}

/// An id of the right length that is not all zero.
fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok().filter(|id| *id != [0; N])
}

/// A span id that may be absent; zero, too, means that.
fn optional_id(bytes: &[u8]) -> Result<u64, DecodeError> {
    if bytes.is_empty() {
        return Ok(0);
    }
    bytes
        .try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| DecodeError::IdLength)
}

/// An enum value, or 0 for one that is not defined.
fn small_enum(value: u64, max: u8) -> u8 {
    u8::try_from(value)
        .ok()
        .filter(|value| *value <= max)
        .unwrap_or(0)
}

fn read_status<'a>(
    message: &'a [u8],
    span: &mut SpanRecord,
    extras: &mut ExtraRecord<'a>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            2 => extras.status_message = field.str(number)?,
            3 => span.status = small_enum(field.varint(number)?, 2),
            _ => {}
        }
    }
    Ok(())
}

/// Checks an `Event`; the event with its attributes cut, if need be.
fn check_event(message: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => drop(field.fixed64(number)?),
            2 => drop(field.str(number)?),
            4 => drop(field.varint(number)?),
            _ => {}
        }
    }
    check_and_cut(message, 3)
}

/// Checks a `Link`; the link with its attributes cut, if need be.
fn check_link(message: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => check_id_length(field.bytes(number)?, 16)?,
            2 => check_id_length(field.bytes(number)?, 8)?,
            3 => drop(field.str(number)?),
            5 => drop(field.varint(number)?),
            6 => drop(field.fixed32(number)?),
            _ => {}
        }
    }
    check_and_cut(message, 4)
}

fn check_id_length(id: &[u8], length: usize) -> Result<(), DecodeError> {
    if id.is_empty() || id.len() == length {
        Ok(())
    } else {
        Err(DecodeError::IdLength)
    }
}
