//! A dictionary of byte strings: each distinct one is kept once and named by a dense `u32` code.
//!
//! Used by `attrs` and `chunk`. Memory is three allocations whatever the number of entries, so cloning a chunk is
//! a few copies.

use std::hash::{BuildHasher, Hash};
use std::sync::LazyLock;

use hashbrown::HashTable;

/// Seeded once a process, so that nobody outside can prepare colliding names.
static HASHER: LazyLock<foldhash::fast::RandomState> =
    LazyLock::new(foldhash::fast::RandomState::default);

/// The hash that every dictionary of the process uses; computed before the store's lock is taken.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    HASHER.hash_one(bytes)
}

/// The same for a small value.
pub(super) fn hash_value(value: &impl Hash) -> u64 {
    HASHER.hash_one(value)
}

/// The same for a table keyed by two integers.
pub(super) fn hash_pair(a: u64, b: u64) -> u64 {
    HASHER.hash_one((a, b))
}

/// An entry of a hash table: half of its hash (so that growing never reads the entry) and its code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag {
    half: u32,
    pub(super) code: u32,
}

impl Tag {
    #[expect(clippy::cast_possible_truncation, reason = "half of the hash is meant")]
    pub(super) fn new(hash: u64, code: u32) -> Self {
        Tag {
            half: hash as u32,
            code,
        }
    }

    /// The hash as the table sees it; both its ends, which hashbrown uses, come from the kept half.
    pub(super) fn hash(self) -> u64 {
        u64::from(self.half) << 32 | u64::from(self.half)
    }

    pub(super) fn same_hash(self, other: Tag) -> bool {
        self.half == other.half
    }
}

/// Distinct byte strings, in order of first sight.
#[derive(Debug, Clone, Default)]
pub(super) struct Dict {
    arena: Vec<u8>,
    ends: Vec<u32>,
    table: HashTable<Tag>,
}

impl Dict {
    pub(super) fn len(&self) -> u32 {
        to_u32(self.ends.len())
    }

    pub(super) fn get(&self, code: u32) -> &[u8] {
        let code = code as usize;
        let start = if code == 0 {
            0
        } else {
            self.ends[code - 1] as usize
        };
        &self.arena[start..self.ends[code] as usize]
    }

    /// The entry as text; entries are checked before they come in, so the empty string is never the answer for a bad one.
    pub(super) fn text(&self, code: u32) -> &str {
        std::str::from_utf8(self.get(code)).unwrap_or_default()
    }

    pub(super) fn find(&self, hash: u64, bytes: &[u8]) -> Option<u32> {
        let tag = Tag::new(hash, 0);
        self.table
            .find(tag.hash(), |found| {
                found.same_hash(tag) && self.get(found.code) == bytes
            })
            .map(|found| found.code)
    }

    pub(super) fn intern(&mut self, hash: u64, bytes: &[u8]) -> u32 {
        if let Some(code) = self.find(hash, bytes) {
            return code;
        }
        let code = self.len();
        self.arena.extend_from_slice(bytes);
        self.ends.push(to_u32(self.arena.len()));
        let tag = Tag::new(hash, code);
        self.table.insert_unique(tag.hash(), tag, |tag| tag.hash());
        code
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.arena.capacity()
            + self.ends.capacity() * size_of::<u32>()
            + self.table.allocation_size()
    }

    pub(super) fn shrink(&mut self) {
        self.arena.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.table.shrink_to_fit(|tag| tag.hash());
    }
}

/// A length inside a chunk; `insert` refuses spans long before a chunk's arenas reach 4 GiB.
pub(super) fn to_u32(len: usize) -> u32 {
    u32::try_from(len).expect("a chunk is refused more spans long before 4 GiB")
}
