//! Values that are kept once, in slots with small numbers, and found by what they are.
//!
//! A slot costs its value, an eighth of room to grow, and a few bytes of index: there may be one of several kinds for
//! each subscriber.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;
use slab::Slab;

/// A value that has in it what it is found by.
pub(crate) trait Keyed {
    type Key: Eq + Hash + ?Sized;

    fn key(&self) -> &Self::Key;
}

pub(crate) struct Interned<T> {
    slots: Slab<T>,
    table: HashTable<u32>,
    hashes: RandomState,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { slots: Slab::new(), table: HashTable::new(), hashes: RandomState::new() }
    }
}

impl<T: Keyed> Interned<T> {
    pub(crate) fn find(&self, key: &T::Key) -> Option<u32> {
        let hash = self.hashes.hash_one(key);
        self.table.find(hash, |&slot| self[slot].key() == key).copied()
    }

    /// Takes in a value whose key is not there yet; gives its slot.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let hash = self.hashes.hash_one(value.key());
        let slot = number(insert(&mut self.slots, value));
        let Self { slots, table, hashes } = self;
        table.insert_unique(hash, slot, |&slot| hashes.hash_one(slots[slot as usize].key()));
        slot
    }

    pub(crate) fn remove(&mut self, slot: u32) -> T {
        let hash = self.hashes.hash_one(self[slot].key());
        if let Ok(found) = self.table.find_entry(hash, |&each| each == slot) {
            found.remove();
        }
        self.slots.remove(slot as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|(_, value)| value)
    }
}

impl<T> Index<u32> for Interned<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.slots[slot as usize]
    }
}

impl<T> IndexMut<u32> for Interned<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.slots[slot as usize]
    }
}

/// Takes a value in, with an eighth of room to grow where a slab left alone would double.
pub(crate) fn insert<T>(slots: &mut Slab<T>, value: T) -> usize {
    if slots.len() == slots.capacity() {
        slots.reserve_exact(slots.len() / 8 + 16);
    }
    slots.insert(value)
}

/// A slot's number in four bytes: there is not that much memory.
pub(crate) fn number(slot: usize) -> u32 {
    u32::try_from(slot).expect("fewer than four billion")
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keyed for String {
        type Key = str;

        fn key(&self) -> &str {
            self
        }
    }

    #[test]
    fn values_are_found_by_what_they_are_until_they_are_removed() {
        let mut interned = Interned::default();
        let slots: Vec<u32> = (0..1_000).map(|number| interned.insert(number.to_string())).collect();
        for slot in slots.iter().step_by(2) {
            interned.remove(*slot);
        }
        for (number, slot) in slots.iter().enumerate() {
            let expected = (number % 2 == 1).then_some(*slot);
            assert_eq!(interned.find(&number.to_string()), expected);
        }
        assert_eq!(interned.len(), 500);
    }
}
