//! Reads any attribute or intrinsic of a row of one chunk. Used by `tables`, `pipeline` and `shown`.

use std::fmt::Write as _;

use super::tree::Tree;
use super::value::Value;
use crate::model::{AttrIter, Chunk, Event, Link, NO_ROW, Row, Slot};
use crate::traceql::ast::{Attribute, Intrinsic, Scope};

/// A chunk, and what has been worked out about it for this query.
pub(super) struct View<'c> {
    pub(super) chunk: &'c Chunk,
    pub(super) tree: Tree<'c>,
}

impl<'c> View<'c> {
    pub(super) fn new(chunk: &'c Chunk) -> Self {
        View {
            chunk,
            tree: Tree::new(chunk),
        }
    }

    /// The value of an attribute at a row; of an event's or link's attribute the first there is.
    pub(super) fn value(&self, attribute: &Attribute, row: Row) -> Value<'c> {
        match attribute {
            Attribute::Intrinsic(intrinsic) => self.intrinsic(*intrinsic, row),
            Attribute::Custom { scope, name } => match scope {
                Scope::Span => self.in_set(self.span_set(row), name).unwrap_or(Value::Nil),
                Scope::Resource => self.in_resource(row, name),
                Scope::Instrumentation => {
                    self.in_set(self.scope_set(row), name).unwrap_or(Value::Nil)
                }
                Scope::Any => self
                    .in_set(self.span_set(row), name)
                    .unwrap_or_else(|| self.in_resource(row, name)),
                Scope::Event | Scope::Link => self.first_in_group(attribute, row),
            },
        }
    }

    fn intrinsic(&self, intrinsic: Intrinsic, row: Row) -> Value<'c> {
        let chunk = self.chunk;
        let index = row as usize;
        match intrinsic {
            Intrinsic::Duration => Value::Duration(self.duration(row)),
            Intrinsic::Name => Value::text(chunk.name(chunk.name_codes()[index])),
            Intrinsic::Status => Value::Status(chunk.status(row)),
            Intrinsic::Kind => Value::Kind(chunk.kind(row)),
            Intrinsic::StatusMessage => {
                Value::text(chunk.extras(row).map_or("", |extras| extras.status_message))
            }
            Intrinsic::ChildCount => Value::Int(i64::from(self.tree.nested(row).children)),
            Intrinsic::NestedSetLeft => Value::Int(i64::from(self.tree.nested(row).left)),
            Intrinsic::NestedSetRight => Value::Int(i64::from(self.tree.nested(row).right)),
            Intrinsic::NestedSetParent => Value::Int(i64::from(self.tree.nested(row).parent)),
            Intrinsic::SpanId => Value::Str(hex16(chunk.span_ids()[index]).into()),
            Intrinsic::ParentId => Value::Str(hex16(chunk.parent_ids()[index]).into()),
            Intrinsic::RootName
            | Intrinsic::RootServiceName
            | Intrinsic::TraceDuration
            | Intrinsic::TraceId => self.trace_intrinsic(intrinsic, chunk.slots()[index]),
            Intrinsic::InstrumentationName => {
                Value::text(chunk.text(chunk.scopes()[chunk.scope_codes()[index] as usize].name))
            }
            Intrinsic::InstrumentationVersion => {
                Value::text(chunk.text(chunk.scopes()[chunk.scope_codes()[index] as usize].version))
            }
            Intrinsic::EventName
            | Intrinsic::EventTimeSinceStart
            | Intrinsic::LinkTraceId
            | Intrinsic::LinkSpanId => self.first_in_group(&Attribute::Intrinsic(intrinsic), row),
        }
    }

    /// What holds of a whole trace; nil for any other intrinsic.
    pub(super) fn trace_intrinsic(&self, intrinsic: Intrinsic, slot: Slot) -> Value<'c> {
        let trace = &self.chunk.traces()[slot as usize];
        match intrinsic {
            Intrinsic::TraceDuration => {
                Value::Duration(nanos_between(trace.start_ns, trace.end_ns))
            }
            Intrinsic::TraceId => Value::Str(format!("{:x}", trace.id).into()),
            Intrinsic::RootName | Intrinsic::RootServiceName if trace.root == NO_ROW => {
                Value::text("")
            }
            Intrinsic::RootName => Value::text(
                self.chunk
                    .name(self.chunk.name_codes()[trace.root as usize]),
            ),
            Intrinsic::RootServiceName => Value::text(self.service_name(trace.root)),
            _ => Value::Nil,
        }
    }

    /// The `service.name` of a row's resource; empty if it has none.
    pub(super) fn service_name(&self, row: Row) -> &'c str {
        match self.in_set(self.resource_set(row), "service.name") {
            Some(Value::Str(std::borrow::Cow::Borrowed(name))) => name,
            _ => "",
        }
    }

    pub(super) fn duration(&self, row: Row) -> i64 {
        nanos_between(
            self.chunk.starts_ns()[row as usize],
            self.chunk.ends_ns()[row as usize],
        )
    }

    pub(super) fn span_set(&self, row: Row) -> u32 {
        self.chunk.attr_sets()[row as usize]
    }

    pub(super) fn resource_set(&self, row: Row) -> u32 {
        self.chunk.resources()[self.chunk.resource_codes()[row as usize] as usize].attrs
    }

    pub(super) fn scope_set(&self, row: Row) -> u32 {
        self.chunk.scopes()[self.chunk.scope_codes()[row as usize] as usize].attrs
    }

    /// The value of a key in a set; `None` if the key is not there.
    pub(super) fn in_set(&self, set: u32, name: &str) -> Option<Value<'c>> {
        let attributes = self.chunk.attributes();
        let attr = attributes.find_in_set(set, attributes.key_code(name)?)?;
        Some(Value::attr(attributes.value(attr)))
    }

    fn in_resource(&self, row: Row, name: &str) -> Value<'c> {
        self.in_set(self.resource_set(row), name)
            .or_else(|| missing_in_resource(name))
            .unwrap_or(Value::Nil)
    }

    fn first_in_group(&self, attribute: &Attribute, row: Row) -> Value<'c> {
        if let Some(value) = self.without_group(attribute, row) {
            return value;
        }
        let mut found = Value::Nil;
        self.each_in_group(attribute, row, &mut |value| {
            if found == Value::Nil {
                found = value.unwrap_or(Value::Nil);
            }
        });
        found
    }

    /// What stands for an intrinsic of the events (or links) of a span that has none: an empty one,
    /// in Tempo.
    pub(super) fn without_group(&self, attribute: &Attribute, row: Row) -> Option<Value<'c>> {
        let empty = match attribute {
            Attribute::Intrinsic(Intrinsic::EventName | Intrinsic::LinkTraceId) => Value::text(""),
            Attribute::Intrinsic(Intrinsic::EventTimeSinceStart) => Value::Duration(0),
            Attribute::Intrinsic(Intrinsic::LinkSpanId) => Value::Str(hex16(0).into()),
            _ => return None,
        };
        let mut any = false;
        self.each_in_group(attribute, row, &mut |_| any = true);
        (!any).then_some(empty)
    }

    /// Calls `see` with the attribute's value in every event (or link) of a row, `None` where its key
    /// is not there.
    pub(super) fn each_in_group(
        &self,
        attribute: &Attribute,
        row: Row,
        see: &mut dyn FnMut(Option<Value<'c>>),
    ) {
        let Some(extras) = self.chunk.extras(row) else {
            return;
        };
        let start = self.chunk.starts_ns()[row as usize];
        match attribute {
            Attribute::Custom {
                scope: Scope::Link, ..
            }
            | Attribute::Intrinsic(Intrinsic::LinkTraceId | Intrinsic::LinkSpanId) => {
                extras
                    .links()
                    .for_each(|link| see(in_link(attribute, &link)));
            }
            _ => extras
                .events()
                .for_each(|event| see(in_event(attribute, &event, start))),
        }
    }
}

/// What a resource says of a key it does not have: a service always has a name, if an empty one.
pub(super) fn missing_in_resource(name: &str) -> Option<Value<'static>> {
    (name == "service.name").then(|| Value::text(""))
}

/// An attribute of one event of a span that starts at `start`.
pub(super) fn in_event<'c>(
    attribute: &Attribute,
    event: &Event<'c>,
    start: u64,
) -> Option<Value<'c>> {
    match attribute {
        Attribute::Intrinsic(Intrinsic::EventName) => Some(Value::text(event.name)),
        Attribute::Intrinsic(_) => Some(Value::Duration(nanos_between(start, event.time_ns))),
        Attribute::Custom { name, .. } => in_list(event.attributes(), name),
    }
}

/// An attribute of one link.
pub(super) fn in_link<'c>(attribute: &Attribute, link: &Link<'c>) -> Option<Value<'c>> {
    match attribute {
        // Trace ids are written without leading zeros, span ids with them.
        Attribute::Intrinsic(Intrinsic::LinkTraceId) => Some(Value::Str(
            hex(link.trace_id).trim_start_matches('0').to_owned().into(),
        )),
        Attribute::Intrinsic(_) => Some(Value::Str(hex(link.span_id).into())),
        Attribute::Custom { name, .. } => in_list(link.attributes(), name),
    }
}

fn in_list<'c>(mut attributes: AttrIter<'c>, name: &str) -> Option<Value<'c>> {
    attributes
        .find(|(key, _)| *key == name)
        .map(|(_, value)| Value::attr(value))
}

/// `end - start`, negative if the clock jumped back.
pub(super) fn nanos_between(start: u64, end: u64) -> i64 {
    end.wrapping_sub(start).cast_signed()
}

/// An id in lower hex, 16 digits.
pub(crate) fn hex16(id: u64) -> String {
    format!("{id:016x}")
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            _ = write!(out, "{byte:02x}");
            out
        })
}
