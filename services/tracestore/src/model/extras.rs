//! The rare fields of a span: kept as the raw fields they came in, and decoded when somebody looks.
//!
//! Called by `traceql` (event and link scopes, status messages) and by the by-id answers.

use super::pb::{Field, Reader};
use super::value::{AttrIter, messages};

/// Field numbers of `opentelemetry.proto.trace.v1.Span` that are kept raw.
pub(crate) mod field {
    /// `dropped_attributes_count`.
    pub(crate) const DROPPED_ATTRIBUTES: u32 = 10;
    /// `events`.
    pub(crate) const EVENTS: u32 = 11;
    /// `dropped_events_count`.
    pub(crate) const DROPPED_EVENTS: u32 = 12;
    /// `links`.
    pub(crate) const LINKS: u32 = 13;
    /// `dropped_links_count`.
    pub(crate) const DROPPED_LINKS: u32 = 14;
}

/// The rare fields of one span.
#[derive(Debug, Clone, Copy)]
pub struct Extras<'a> {
    /// Status message; empty when there is none.
    pub status_message: &'a str,
    /// W3C trace state; empty when there is none.
    pub trace_state: &'a str,
    /// Events, links and dropped counts as fields of a `Span` message: appended to one, they are part of it.
    pub raw: &'a [u8],
}

impl<'a> Extras<'a> {
    /// The span's events, as sent.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        messages(self.raw, field::EVENTS).map(Event::read)
    }

    /// The span's links, as sent.
    pub fn links(&self) -> impl Iterator<Item = Link<'a>> + use<'a> {
        messages(self.raw, field::LINKS).map(Link::read)
    }

    /// How many attributes the sender dropped.
    pub fn dropped_attributes(&self) -> u32 {
        self.count(field::DROPPED_ATTRIBUTES)
    }

    /// How many events the sender dropped.
    pub fn dropped_events(&self) -> u32 {
        self.count(field::DROPPED_EVENTS)
    }

    /// How many links the sender dropped.
    pub fn dropped_links(&self) -> u32 {
        self.count(field::DROPPED_LINKS)
    }

    fn count(&self, number: u32) -> u32 {
        let mut count = 0;
        let mut reader = Reader::new(self.raw);
        while let Ok(Some((found, field))) = reader.next_field() {
            if found == number {
                count = field.varint32(number).unwrap_or(count);
            }
        }
        count
    }
}

/// A span event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Event<'a> {
    /// Unix nanoseconds.
    pub time_ns: u64,
    /// The event's name.
    pub name: &'a str,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
    raw: &'a [u8],
}

impl<'a> Event<'a> {
    fn read(raw: &'a [u8]) -> Self {
        let mut event = Event {
            raw,
            ..Event::default()
        };
        let mut reader = Reader::new(raw);
        while let Ok(Some((number, field))) = reader.next_field() {
            match (number, field) {
                (1, Field::Fixed64(v)) => event.time_ns = v,
                (2, Field::Bytes(v)) => event.name = std::str::from_utf8(v).unwrap_or_default(),
                (4, Field::Varint(_)) => {
                    event.dropped_attributes = field.varint32(4).unwrap_or_default();
                }
                _ => {}
            }
        }
        event
    }

    /// The event's attributes.
    pub fn attributes(&self) -> AttrIter<'a> {
        AttrIter::new(self.raw, 3)
    }
}

/// A span link.
#[derive(Debug, Clone, Copy, Default)]
pub struct Link<'a> {
    /// Trace id as sent; 16 bytes from a sane sender.
    pub trace_id: &'a [u8],
    /// Span id as sent; 8 bytes from a sane sender.
    pub span_id: &'a [u8],
    /// W3C trace state.
    pub trace_state: &'a str,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
    /// OTLP's flags as sent.
    pub flags: u32,
    raw: &'a [u8],
}

impl<'a> Link<'a> {
    fn read(raw: &'a [u8]) -> Self {
        let mut link = Link {
            raw,
            ..Link::default()
        };
        let mut reader = Reader::new(raw);
        while let Ok(Some((number, field))) = reader.next_field() {
            match (number, field) {
                (1, Field::Bytes(v)) => link.trace_id = v,
                (2, Field::Bytes(v)) => link.span_id = v,
                (3, Field::Bytes(v)) => {
                    link.trace_state = std::str::from_utf8(v).unwrap_or_default();
                }
                (5, Field::Varint(_)) => {
                    link.dropped_attributes = field.varint32(5).unwrap_or_default();
                }
                (6, Field::Fixed32(v)) => link.flags = v,
                _ => {}
            }
        }
        link
    }

    /// The link's attributes.
    pub fn attributes(&self) -> AttrIter<'a> {
        AttrIter::new(self.raw, 4)
    }
}
