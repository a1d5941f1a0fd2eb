//! Lists of attributes inside a message: found, checked, and cut where a key or value is too long.
//!
//! Used by the readers of resources, scopes, spans, events and links.

use std::borrow::Cow;
use std::ops::Range;

use super::MAX_ATTRIBUTE_BYTES;
use crate::model::pb::{DecodeError, Reader, put_bytes_field};
use crate::model::record::Region;
use crate::model::{AttrValue, hash_bytes};

/// Fields that only profiles use, of `KeyValue` and `AnyValue`. Attributes are given out as they came, so even these must
/// be readable.
const KEY_STRINDEX: u32 = 3;
const VALUE_STRINDEX: u32 = 8;

/// Arrays and maps in a value may nest this deep.
const MAX_VALUE_DEPTH: u32 = 32;

/// Gathers the attribute fields of a message. Senders write them in one run, which is then used as it lies.
pub(super) struct Pieces<'a> {
    message: &'a [u8],
    run: Range<usize>,
    /// Filled when the fields are not one run.
    copied: Vec<u8>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Pieces {
            message,
            run: 0..0,
            copied: Vec::new(),
        }
    }

    /// Adds a field, given as its place in the message.
    #[inline]
    pub(super) fn add(&mut self, field: Range<usize>) {
        if self.run.is_empty() {
            self.run = field;
        } else if self.copied.is_empty() && self.run.end == field.start {
            self.run.end = field.end;
        } else {
            if self.copied.is_empty() {
                self.copied
                    .extend_from_slice(&self.message[self.run.clone()]);
            }
            self.copied.extend_from_slice(&self.message[field]);
        }
    }

    /// The fields one after the other, unchecked.
    #[inline]
    pub(super) fn bytes(self) -> Cow<'a, [u8]> {
        if self.copied.is_empty() {
            Cow::Borrowed(&self.message[self.run])
        } else {
            Cow::Owned(self.copied)
        }
    }

    /// The fields, which have this number, checked, cut and hashed.
    pub(super) fn checked(self, number: u32) -> Result<Region<'a>, DecodeError> {
        let bytes = self.bytes();
        let bytes = match check_and_cut(&bytes, number)? {
            Some(cut) => Cow::Owned(cut),
            None => bytes,
        };
        Ok(Region {
            hash: hash_bytes(&bytes),
            bytes,
        })
    }
}

/// Checks the attributes of a message, which are its fields of this number; the message with too long keys and
/// strings cut, if there are any.
pub(super) fn check_and_cut(message: &[u8], number: u32) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut too_long = false;
    let mut reader = Reader::new(message);
    while let Some((found, field)) = reader.next_field()? {
        if found == number {
            too_long |= check_key_value(field.bytes(number)?)?;
        }
    }
    if !too_long {
        return Ok(None);
    }
    let mut cut = Vec::with_capacity(message.len());
    let mut reader = Reader::new(message);
    while let Some((place, found, field)) = reader.next_place(message)? {
        if found == number {
            put_bytes_field(&mut cut, number, &cut_key_value(field.bytes(number)?)?);
        } else {
            cut.extend_from_slice(&message[place]);
        }
    }
    Ok(Some(cut))
}

/// Checks a `KeyValue`; true if its key or its string is too long.
fn check_key_value(message: &[u8]) -> Result<bool, DecodeError> {
    let mut too_long = false;
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => too_long |= field.str(number)?.len() > MAX_ATTRIBUTE_BYTES,
            2 => {
                let value = field.bytes(number)?;
                check_value(value, 0)?;
                too_long |= value.len() > MAX_ATTRIBUTE_BYTES && long_string(value).is_some();
            }
            KEY_STRINDEX => drop(field.varint(number)?),
            _ => {}
        }
    }
    Ok(too_long)
}

/// Checks an `AnyValue`.
fn check_value(message: &[u8], depth: u32) -> Result<(), DecodeError> {
    if depth > MAX_VALUE_DEPTH {
        return Err(DecodeError::Depth);
    }
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => drop(field.str(number)?),
            2 | 3 | VALUE_STRINDEX => drop(field.varint(number)?),
            4 => drop(field.fixed64(number)?),
            5 | 6 => check_list(field.bytes(number)?, number == 6, depth)?,
            7 => drop(field.bytes(number)?),
            _ => {}
        }
    }
    Ok(())
}

/// Checks an `ArrayValue` (of values) or a `KeyValueList` (of keys and values).
fn check_list(message: &[u8], is_map: bool, depth: u32) -> Result<(), DecodeError> {
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        if number != 1 {
            continue;
        }
        let element = field.bytes(number)?;
        if !is_map {
            check_value(element, depth + 1)?;
            continue;
        }
        let mut entry = Reader::new(element);
        while let Some((number, field)) = entry.next_field()? {
            match number {
                1 => drop(field.str(number)?),
                2 => check_value(field.bytes(number)?, depth + 1)?,
                KEY_STRINDEX => drop(field.varint(number)?),
                _ => {}
            }
        }
    }
    Ok(())
}

fn cut_key_value(message: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::with_capacity(message.len());
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => put_bytes_field(&mut out, 1, cut(field.str(number)?)),
            2 => {
                let value = field.bytes(number)?;
                if let Some(string) = long_string(value) {
                    let mut value = Vec::with_capacity(MAX_ATTRIBUTE_BYTES + 4);
                    put_bytes_field(&mut value, 1, cut(string));
                    put_bytes_field(&mut out, 2, &value);
                } else {
                    put_bytes_field(&mut out, 2, value);
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

/// The string that a checked `AnyValue` is, if it is one and too long. Those in arrays and maps stay whole.
fn long_string(value: &[u8]) -> Option<&str> {
    match AttrValue::read(value) {
        AttrValue::Str(string) if string.len() > MAX_ATTRIBUTE_BYTES => Some(string),
        _ => None,
    }
}

/// As many whole characters from the beginning as fit.
fn cut(text: &str) -> &[u8] {
    let mut end = text.len().min(MAX_ATTRIBUTE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text.as_bytes()[..end]
}
