//! Counters: an account's category, or one tag of it.
//!
//! Of a counter that is idle only a hash is in memory: that it exists. Its names are there as long as
//! a cell of it is.

use super::NONE;
use super::trigger::WatchId;
use crate::name_map::NameHash;
use crate::record::Category;
use rustc_hash::{FxHashMap, FxHashSet};
use std::hash::{BuildHasher, Hasher};

/// What is counted, beside the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind<'a> {
    pub category: &'a [u8],
    /// Empty: none.
    pub tag: &'a [u8],
}

pub(super) struct Counter {
    /// `NONE`: a free slot.
    pub account: u32,
    hash: u64,
    /// Category and tag, one after the other.
    names: Box<[u8]>,
    category_bytes: u8,
    /// Cells that name it.
    cells: u32,
    /// Its place among those of its account.
    place: u32,
    /// Who watches it, as of an epoch of the watches.
    pub watches: Vec<WatchId>,
    pub watches_epoch: u32,
}

impl Counter {
    pub fn kind(&self) -> Kind<'_> {
        let (category, tag) = self.names.split_at(usize::from(self.category_bytes));
        Kind { category, tag }
    }

    pub fn category(&self) -> Category<'_> {
        Category::of_name(self.kind().category).expect("it was checked when the counter was made")
    }
}

pub(super) struct Counters {
    hash: NameHash,
    slots: Vec<Counter>,
    free: Vec<u32>,
    /// Of those in slots.
    by_hash: FxHashMap<u64, u32>,
    by_account: FxHashMap<u32, Vec<u32>>,
    /// Of all that exist.
    known: FxHashSet<u64>,
}

impl Counters {
    pub fn new(hash: NameHash) -> Self {
        Self {
            hash,
            slots: Vec::new(),
            free: Vec::new(),
            by_hash: FxHashMap::default(),
            by_account: FxHashMap::default(),
            known: FxHashSet::default(),
        }
    }

    /// Those that exist.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    #[inline]
    pub fn get(&self, slot: u32) -> &Counter {
        &self.slots[slot as usize]
    }

    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> &mut Counter {
        &mut self.slots[slot as usize]
    }

    /// Keyed, for names come from outside; 64 bits, for what two counters with one hash would get wrong
    /// is only their bound: names are compared wherever sums are looked up.
    fn hash_of(&self, account: u32, kind: Kind<'_>) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write_u32(account);
        hasher.write_u8(kind.category.len() as u8);
        hasher.write(kind.category);
        hasher.write(kind.tag);
        hasher.finish()
    }

    /// Whether the counter exists.
    pub fn is_known(&self, account: u32, kind: Kind<'_>) -> bool {
        self.known.contains(&self.hash_of(account, kind))
    }

    /// Marks it as existing; whether it did not before.
    pub fn note(&mut self, account: u32, kind: Kind<'_>) -> bool {
        self.known.insert(self.hash_of(account, kind))
    }

    /// Its slot, if a cell of it is in memory.
    pub fn find(&self, account: u32, kind: Kind<'_>) -> Option<u32> {
        self.find_from(self.hash_of(account, kind), account, kind).0
    }

    /// The slot, and the first free hash from `hash` on.
    fn find_from(&self, mut hash: u64, account: u32, kind: Kind<'_>) -> (Option<u32>, u64) {
        while let Some(&slot) = self.by_hash.get(&hash) {
            let counter = self.get(slot);
            if counter.account == account && counter.kind() == kind {
                return (Some(slot), hash);
            }
            hash = hash.wrapping_add(1);
        }
        (None, hash)
    }

    /// Its slot, made when there is none. The caller adds a cell of it.
    pub fn open(&mut self, account: u32, kind: Kind<'_>) -> u32 {
        let first = self.hash_of(account, kind);
        let (found, hash) = self.find_from(first, account, kind);
        if let Some(slot) = found {
            return slot;
        }
        let counter = Counter {
            account,
            hash,
            names: [kind.category, kind.tag].concat().into(),
            category_bytes: kind.category.len() as u8,
            cells: 0,
            place: 0,
            watches: Vec::new(),
            watches_epoch: NONE,
        };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = counter;
            slot
        } else {
            self.slots.push(counter);
            (self.slots.len() - 1) as u32
        };
        self.by_hash.insert(hash, slot);
        let siblings = self.by_account.entry(account).or_default();
        siblings.push(slot);
        let place = siblings.len() as u32 - 1;
        self.get_mut(slot).place = place;
        slot
    }

    /// A cell more names it.
    #[inline]
    pub fn hold(&mut self, slot: u32) {
        self.get_mut(slot).cells += 1;
    }

    /// A cell less; the last one frees the slot.
    pub fn release(&mut self, slot: u32) {
        let counter = self.get_mut(slot);
        counter.cells -= 1;
        if counter.cells > 0 {
            return;
        }
        let account = std::mem::replace(&mut counter.account, NONE);
        counter.names = Box::default();
        counter.watches = Vec::new();
        let (hash, place) = (counter.hash, counter.place);
        self.free.push(slot);
        self.leave_account(account, place);
        self.leave_hash(hash);
    }

    fn leave_account(&mut self, account: u32, place: u32) {
        let siblings = self.by_account.get_mut(&account);
        let siblings = siblings.expect("each counter is among those of its account");
        siblings.swap_remove(place as usize);
        if let Some(&moved) = siblings.get(place as usize) {
            self.get_mut(moved).place = place;
        } else if siblings.is_empty() {
            self.by_account.remove(&account);
        }
    }

    /// Those that found their hash taken move up.
    fn leave_hash(&mut self, mut gap: u64) {
        self.by_hash.remove(&gap);
        let mut next = gap.wrapping_add(1);
        while let Some(&moved) = self.by_hash.get(&next) {
            let counter = self.get(moved);
            let home = self.hash_of(counter.account, counter.kind());
            if next.wrapping_sub(home) >= next.wrapping_sub(gap) {
                self.by_hash.remove(&next);
                self.by_hash.insert(gap, moved);
                self.get_mut(moved).hash = gap;
                gap = next;
            }
            next = next.wrapping_add(1);
        }
    }

    /// All slots in use, with the cells that name each.
    pub fn slots(&self) -> Vec<(u32, u32)> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, counter)| counter.account != NONE)
            .map(|(slot, counter)| (slot as u32, counter.cells))
            .collect()
    }

    /// Those of an account that have a slot, in no order.
    pub fn of_account(&self, account: u32) -> impl Iterator<Item = Kind<'_>> {
        let slots = self.by_account.get(&account).into_iter().flatten();
        slots.map(|slot| self.get(*slot).kind())
    }
}
