//! The attributes of a chunk: keys, distinct key + value pairs ("attrs"), and distinct lists of them ("sets").
//!
//! Spans, resources and scopes all point at a set. Two spans whose attributes were sent as the same bytes share one
//! set, so finding the set of a span is one hash of its attribute bytes and one comparison.

use hashbrown::HashTable;

use super::dict::{Dict, Tag, hash_bytes, to_u32};
use super::pb::{Field, Reader};
use super::record::Region;
use super::value::{AttrValue, key_value};

/// The three dictionaries of attributes. Codes are dense: `0..key_count()`, `0..attr_count()`, `0..set_count()`.
#[derive(Debug, Clone)]
pub struct Attributes {
    keys: Dict,
    /// Raw `KeyValue` messages.
    attrs: Dict,
    attr_keys: Vec<u32>,
    set_attrs: Vec<u32>,
    set_ends: Vec<u32>,
    set_table: HashTable<Tag>,
}

impl Default for Attributes {
    fn default() -> Self {
        Attributes {
            keys: Dict::default(),
            attrs: Dict::default(),
            attr_keys: Vec::new(),
            set_attrs: Vec::new(),
            // Set 0 is the empty one.
            set_ends: vec![0],
            set_table: HashTable::new(),
        }
    }
}

impl Attributes {
    /// The set without attributes.
    pub const EMPTY_SET: u32 = 0;

    /// The code of a key, if any attribute of the chunk (of a span, resource or scope) has it.
    pub fn key_code(&self, key: &str) -> Option<u32> {
        self.keys.find(hash_bytes(key.as_bytes()), key.as_bytes())
    }

    /// How many distinct keys there are.
    pub fn key_count(&self) -> u32 {
        self.keys.len()
    }

    /// A key's text.
    pub fn key(&self, key: u32) -> &str {
        self.keys.text(key)
    }

    /// How many distinct key + value pairs there are.
    pub fn attr_count(&self) -> u32 {
        self.attrs.len()
    }

    /// The key code of an attr.
    pub fn key_of(&self, attr: u32) -> u32 {
        self.attr_keys[attr as usize]
    }

    /// The key codes of all attrs, indexed by attr.
    pub fn attr_keys(&self) -> &[u32] {
        &self.attr_keys
    }

    /// The value of an attr.
    pub fn value(&self, attr: u32) -> AttrValue<'_> {
        key_value(self.attrs.get(attr)).1
    }

    /// The raw `KeyValue` message of an attr.
    pub fn raw(&self, attr: u32) -> &[u8] {
        self.attrs.get(attr)
    }

    /// How many distinct sets there are, the empty one included.
    pub fn set_count(&self) -> u32 {
        to_u32(self.set_ends.len())
    }

    /// The attrs of a set, in the order they were sent.
    pub fn set(&self, set: u32) -> &[u32] {
        let set = set as usize;
        let start = if set == 0 {
            0
        } else {
            self.set_ends[set - 1] as usize
        };
        &self.set_attrs[start..self.set_ends[set] as usize]
    }

    /// The first attr of a set that has the key.
    pub fn find_in_set(&self, set: u32, key: u32) -> Option<u32> {
        self.set(set)
            .iter()
            .copied()
            .find(|&attr| self.key_of(attr) == key)
    }

    /// The set that holds a region's attributes, made if need be. The region was checked by `wire`.
    pub(super) fn intern_set(&mut self, region: &Region<'_>) -> u32 {
        if region.bytes.is_empty() {
            return Self::EMPTY_SET;
        }
        let tag = Tag::new(region.hash, 0);
        let known = self.set_table.find(tag.hash(), |found| {
            found.same_hash(tag) && self.set_equals(found.code, region)
        });
        if let Some(found) = known {
            return found.code;
        }
        let mut reader = Reader::new(&region.bytes);
        while let Ok(Some((_, field))) = reader.next_field() {
            if let Field::Bytes(message) = field {
                let attr = self.intern_attr(message);
                self.set_attrs.push(attr);
            }
        }
        let set = self.set_count();
        self.set_ends.push(to_u32(self.set_attrs.len()));
        let tag = Tag::new(region.hash, set);
        self.set_table
            .insert_unique(tag.hash(), tag, |tag| tag.hash());
        set
    }

    fn set_equals(&self, set: u32, region: &Region<'_>) -> bool {
        let mut reader = Reader::new(&region.bytes);
        for &attr in self.set(set) {
            match reader.next_field() {
                Ok(Some((_, Field::Bytes(message)))) if message == self.attrs.get(attr) => {}
                _ => return false,
            }
        }
        reader.remaining() == 0
    }

    fn intern_attr(&mut self, message: &[u8]) -> u32 {
        let attr = self.attrs.intern(hash_bytes(message), message);
        if attr as usize == self.attr_keys.len() {
            let key = key_value(message).0.as_bytes();
            self.attr_keys.push(self.keys.intern(hash_bytes(key), key));
        }
        attr
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.keys.allocated_bytes()
            + self.attrs.allocated_bytes()
            + (self.attr_keys.capacity() + self.set_attrs.capacity() + self.set_ends.capacity())
                * size_of::<u32>()
            + self.set_table.allocation_size()
    }

    pub(super) fn shrink(&mut self) {
        self.keys.shrink();
        self.attrs.shrink();
        self.attr_keys.shrink_to_fit();
        self.set_attrs.shrink_to_fit();
        self.set_ends.shrink_to_fit();
        self.set_table.shrink_to_fit(|tag| tag.hash());
    }
}
