//! Attribute values as they lie in a request: decoded on demand from the raw `KeyValue` bytes.
//!
//! Called by `traceql` (once for each distinct attribute) and by the JSON answers. The bytes were checked when they
//! came in (`wire`), so reading them cannot fail; what is unreadable all the same reads as absent.

use super::pb::{Field, Reader};

/// A typed attribute value (OTLP `AnyValue`), borrowing from the chunk.
#[derive(Debug, Clone, Copy)]
pub enum AttrValue<'a> {
    /// No value was set.
    Empty,
    /// A string.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// An array; iterate with [`AttrValue::elements`].
    Array(&'a [u8]),
    /// A list of keys and values; iterate with [`AttrValue::entries`].
    Map(&'a [u8]),
    /// Raw bytes.
    Bytes(&'a [u8]),
}

impl<'a> AttrValue<'a> {
    /// Reads an `AnyValue` message; of several members of the oneof the last wins, as in protobuf.
    pub fn read(message: &'a [u8]) -> Self {
        let mut value = AttrValue::Empty;
        let mut reader = Reader::new(message);
        while let Ok(Some((number, field))) = reader.next_field() {
            value = match (number, field) {
                (1, Field::Bytes(v)) => AttrValue::Str(std::str::from_utf8(v).unwrap_or_default()),
                (2, Field::Varint(v)) => AttrValue::Bool(v != 0),
                (3, Field::Varint(v)) => AttrValue::Int(v.cast_signed()),
                (4, Field::Fixed64(v)) => AttrValue::Double(f64::from_bits(v)),
                (5, Field::Bytes(v)) => AttrValue::Array(v),
                (6, Field::Bytes(v)) => AttrValue::Map(v),
                (7, Field::Bytes(v)) => AttrValue::Bytes(v),
                _ => value,
            };
        }
        value
    }

    /// The elements of an array; nothing for any other value.
    pub fn elements(self) -> impl Iterator<Item = AttrValue<'a>> {
        let message = if let AttrValue::Array(message) = self {
            message
        } else {
            &[]
        };
        messages(message, 1).map(AttrValue::read)
    }

    /// The entries of a map; nothing for any other value.
    pub fn entries(self) -> AttrIter<'a> {
        AttrIter::new(
            if let AttrValue::Map(message) = self {
                message
            } else {
                &[]
            },
            1,
        )
    }
}

/// Reads a `KeyValue` message.
pub(super) fn key_value(message: &[u8]) -> (&str, AttrValue<'_>) {
    let mut key = "";
    let mut value = AttrValue::Empty;
    let mut reader = Reader::new(message);
    while let Ok(Some((number, field))) = reader.next_field() {
        match (number, field) {
            (1, Field::Bytes(v)) => key = std::str::from_utf8(v).unwrap_or_default(),
            (2, Field::Bytes(v)) => value = AttrValue::read(v),
            _ => {}
        }
    }
    (key, value)
}

/// The payloads of every field `number` of a message.
pub(super) fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(message);
    std::iter::from_fn(move || {
        while let Ok(Some((found, field))) = reader.next_field() {
            if let (true, Field::Bytes(payload)) = (found == number, field) {
                return Some(payload);
            }
        }
        None
    })
}

/// Keys and values of the attributes in a raw message (an event, a link, a map), in their order.
#[derive(Debug, Clone)]
pub struct AttrIter<'a> {
    reader: Reader<'a>,
    number: u32,
}

impl<'a> AttrIter<'a> {
    pub(super) fn new(message: &'a [u8], number: u32) -> Self {
        AttrIter {
            reader: Reader::new(message),
            number,
        }
    }
}

impl<'a> Iterator for AttrIter<'a> {
    type Item = (&'a str, AttrValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        while let Ok(Some((number, field))) = self.reader.next_field() {
            if let (true, Field::Bytes(payload)) = (number == self.number, field) {
                return Some(key_value(payload));
            }
        }
        None
    }
}
