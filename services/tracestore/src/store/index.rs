//! Where each stored trace is: trace id -> chunk number and slot. Used by `Store` under its lock.

use hashbrown::HashTable;

use crate::model::{Slot, hash_bytes};

/// A growing hash table moves all of its entries at once; many small tables make that many small pauses.
const SHARDS: usize = 64;

/// A trace's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) chunk: u32,
    pub(super) slot: Slot,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The trace id as bytes: unlike a `u128` they need no alignment, which saves a quarter of the table.
    id: [u8; 16],
    place: Place,
}

/// All stored traces by id.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<HashTable<Entry>>,
    len: usize,
}

fn hash(id: [u8; 16]) -> u64 {
    hash_bytes(&id)
}

/// Which shard a hash belongs to: bits that the shard's own table does not look at.
fn shard(hash: u64) -> usize {
    (hash >> 48) as usize % SHARDS
}

impl Index {
    pub(super) fn new() -> Self {
        Index {
            shards: vec![HashTable::new(); SHARDS],
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, id: u128) -> Option<Place> {
        let id = id.to_be_bytes();
        let hash = hash(id);
        self.shards[shard(hash)]
            .find(hash, |entry| entry.id == id)
            .map(|entry| entry.place)
    }

    /// Adds a trace that is not there.
    pub(super) fn insert(&mut self, id: u128, place: Place) {
        let id = id.to_be_bytes();
        let new_hash = hash(id);
        self.shards[shard(new_hash)]
            .insert_unique(new_hash, Entry { id, place }, |entry| hash(entry.id));
        self.len += 1;
    }

    pub(super) fn remove(&mut self, id: u128) {
        let id = id.to_be_bytes();
        let hash = hash(id);
        if let Ok(entry) = self.shards[shard(hash)].find_entry(hash, |entry| entry.id == id) {
            entry.remove();
            self.len -= 1;
        }
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.shards.iter().map(HashTable::allocation_size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in_and_not_what_was_taken_out() {
        let mut index = Index::new();
        for id in 1..=5_000_u32 {
            index.insert(
                u128::from(id),
                Place {
                    chunk: id / 7,
                    slot: id % 7,
                },
            );
        }
        for id in (2..=5_000_u128).step_by(2) {
            index.remove(id);
            index.remove(id);
        }
        assert_eq!(index.len(), 2_500);
        for id in 1..=5_000_u32 {
            let expected = (id % 2 == 1).then_some(Place {
                chunk: id / 7,
                slot: id % 7,
            });
            assert_eq!(index.get(u128::from(id)), expected, "trace {id}");
        }
    }
}
