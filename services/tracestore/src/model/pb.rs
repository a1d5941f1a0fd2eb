//! The protobuf wire format: a reader that borrows, and the few writers that answers need.
//!
//! Called by `wire` (requests), by the views of this module (values, events, links kept as raw bytes) and by the
//! by-id answers. Source: <https://protobuf.dev/programming-guides/encoding/>.

use std::ops::Range;

/// Groups may nest this deep before the input is refused; nobody sends groups, so it only bounds the stack.
const MAX_GROUP_DEPTH: u32 = 16;

/// Why bytes are not a protobuf message of the expected shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends inside a field.
    #[error("message ends inside a field")]
    Truncated,
    /// A varint longer than 10 bytes, or a field key outside 32 bits.
    #[error("invalid varint")]
    Varint,
    /// Field number 0, a wire type nobody defines, or groups that do not match.
    #[error("invalid field key")]
    Key,
    /// A known field with a wire type that is not its own.
    #[error("field {0} has the wrong wire type")]
    WireType(u32),
    /// A string that is not UTF-8.
    #[error("a string is not valid UTF-8")]
    Utf8,
    /// Attribute values, or groups, nested too deep.
    #[error("values are nested too deep")]
    Depth,
    /// A parent's or a link's id of another length than 0 and its own.
    #[error("an id has the wrong length")]
    IdLength,
    /// 4 GiB and more are not handled.
    #[error("the message is larger than 4 GiB")]
    TooLarge,
}

/// One field's payload, as its wire type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1: fixed64, sfixed64 and double.
    Fixed64(u64),
    /// Wire type 2: strings, bytes and messages.
    Bytes(&'a [u8]),
    /// Wire type 5: fixed32, sfixed32 and float.
    Fixed32(u32),
}

impl<'a> Field<'a> {
    /// The payload of field `number` as a varint.
    pub fn varint(self, number: u32) -> Result<u64, DecodeError> {
        match self {
            Field::Varint(v) => Ok(v),
            _ => Err(DecodeError::WireType(number)),
        }
    }

    /// The payload of field `number` as a varint cut to 32 bits, as protobuf's int32 and uint32 are.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "protobuf cuts an oversized 32-bit varint the same way"
    )]
    pub fn varint32(self, number: u32) -> Result<u32, DecodeError> {
        self.varint(number).map(|v| v as u32)
    }

    /// The payload of field `number` as a fixed64.
    pub fn fixed64(self, number: u32) -> Result<u64, DecodeError> {
        match self {
            Field::Fixed64(v) => Ok(v),
            _ => Err(DecodeError::WireType(number)),
        }
    }

    /// The payload of field `number` as a fixed32.
    pub fn fixed32(self, number: u32) -> Result<u32, DecodeError> {
        match self {
            Field::Fixed32(v) => Ok(v),
            _ => Err(DecodeError::WireType(number)),
        }
    }

    /// The payload of field `number` as bytes.
    pub fn bytes(self, number: u32) -> Result<&'a [u8], DecodeError> {
        match self {
            Field::Bytes(v) => Ok(v),
            _ => Err(DecodeError::WireType(number)),
        }
    }

    /// The payload of field `number` as a string.
    pub fn str(self, number: u32) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(number)?).map_err(|_| DecodeError::Utf8)
    }
}

/// Reads the fields of one message, in order, without copying.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over a whole message.
    pub fn new(message: &'a [u8]) -> Self {
        Reader { rest: message }
    }

    /// How many bytes are left: lets a caller find where a field began.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next field and its number, or `None` at the end. Groups are skipped.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<(u32, Field<'a>)>, DecodeError> {
        while !self.rest.is_empty() {
            if let Some(found) = self.field_or_group()? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The same, with the field's place in `message`, which is what this reader was made from.
    #[inline]
    pub fn next_place(
        &mut self,
        message: &[u8],
    ) -> Result<Option<(Range<usize>, u32, Field<'a>)>, DecodeError> {
        while !self.rest.is_empty() {
            let start = message.len() - self.rest.len();
            if let Some((number, field)) = self.field_or_group()? {
                let end = message.len() - self.rest.len();
                return Ok(Some((start..end, number, field)));
            }
        }
        Ok(None)
    }

    /// `None` for a group, which nobody defines and which has been skipped.
    #[inline]
    fn field_or_group(&mut self) -> Result<Option<(u32, Field<'a>)>, DecodeError> {
        let (number, wire_type) = self.key()?;
        let field = match wire_type {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => Field::Bytes(self.bytes()?),
            5 => Field::Fixed32(u32::from_le_bytes(self.fixed()?)),
            3 => {
                self.skip_group(number, 0)?;
                return Ok(None);
            }
            _ => return Err(DecodeError::Key),
        };
        Ok(Some((number, field)))
    }

    #[inline]
    fn key(&mut self) -> Result<(u32, u8), DecodeError> {
        let key = u32::try_from(self.varint()?).map_err(|_| DecodeError::Varint)?;
        if key >> 3 == 0 {
            return Err(DecodeError::Key);
        }
        Ok((key >> 3, (key & 7) as u8))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, DecodeError> {
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for (i, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                if i == 9 && byte > 1 {
                    return Err(DecodeError::Varint);
                }
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            DecodeError::Truncated
        } else {
            DecodeError::Varint
        })
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), DecodeError> {
        if depth > MAX_GROUP_DEPTH {
            return Err(DecodeError::Depth);
        }
        loop {
            if self.rest.is_empty() {
                return Err(DecodeError::Truncated);
            }
            match self.key()? {
                (end, 4) if end == number => return Ok(()),
                (_, 0) => drop(self.varint()?),
                (_, 1) => drop(self.fixed::<8>()?),
                (_, 2) => drop(self.bytes()?),
                (_, 5) => drop(self.fixed::<4>()?),
                (inner, 3) => self.skip_group(inner, depth + 1)?,
                _ => return Err(DecodeError::Key),
            }
        }
    }
}

/// Appends a varint.
#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a varint field; `value` is written even when it is zero.
pub fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number << 3));
    put_varint(out, value);
}

/// Appends a fixed64 field.
pub fn put_fixed64_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number << 3 | 1));
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a fixed32 field.
pub fn put_fixed32_field(out: &mut Vec<u8>, number: u32, value: u32) {
    put_varint(out, u64::from(number << 3 | 5));
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a string, bytes or message field.
pub fn put_bytes_field(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_varint(out, u64::from(number << 3 | 2));
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a message field whose content `write` appends; the length is put in front afterwards.
pub fn put_message_field(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_varint(out, u64::from((number << 3) | 2));
    let start = out.len();
    write(out);
    let end = out.len();
    put_varint(out, (end - start) as u64);
    let length_bytes = out.len() - end;
    out[start..].rotate_right(length_bytes);
}
