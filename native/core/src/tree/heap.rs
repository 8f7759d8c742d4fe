//! A 4-ary min-heap with the keys inside its entries; positions are kept outside, by node.
//!
//! Keys inline: comparing touches one or two cache lines a level and no node. Positions in an array
//! of their own: moving an entry writes four bytes, not a line of a node.

use super::node::NodeId;
use super::prefetch::prefetch;

const ARITY: usize = 4;
/// Position of a node that is not in the heap.
pub(super) const OUT: u32 = u32::MAX;

#[derive(Clone, Copy)]
pub(super) struct Entry<K> {
    pub key: K,
    pub node: NodeId,
    /// Of the node, so that going down the tree reads no nodes.
    pub family: u32,
}

pub(super) struct Heap<K> {
    entries: Vec<Entry<K>>,
}

impl<K: Copy + Ord> Heap<K> {
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn first(&self) -> Option<Entry<K>> {
        self.entries.first().copied()
    }

    /// The entry at a position of the heap.
    pub fn at(&self, position: usize) -> Entry<K> {
        self.entries[position]
    }

    /// Positions below `position`.
    pub fn below(&self, position: usize) -> std::ops::Range<usize> {
        let start = (position * ARITY + 1).min(self.entries.len());
        start..(start + ARITY).min(self.entries.len())
    }

    /// Loads the entries that a change of the first one compares.
    pub fn prefetch(&self) {
        prefetch(self.entries.first());
        prefetch(self.entries.get(2));
        prefetch(self.entries.get(4));
        prefetch(self.entries.get(6));
    }

    /// The second smallest entry.
    pub fn second(&self) -> Option<Entry<K>> {
        self.entries
            .get(self.below(0))?
            .iter()
            .min_by_key(|entry| entry.key)
            .copied()
    }

    pub fn insert(&mut self, entry: Entry<K>, positions: &mut [u32]) {
        debug_assert_eq!(positions[entry.node as usize], OUT);
        self.entries.push(entry);
        self.up(self.entries.len() - 1, positions);
    }

    pub fn remove(&mut self, node: NodeId, positions: &mut [u32]) {
        let position = self.position(node, positions);
        positions[node as usize] = OUT;
        self.entries.swap_remove(position);
        if position < self.entries.len() && !self.up(position, positions) {
            self.down(position, positions);
        }
    }

    /// Gives a node that is in the heap another key.
    pub fn rekey(&mut self, key: K, node: NodeId, positions: &mut [u32]) {
        let position = self.position(node, positions);
        if key == self.entries[position].key {
            return;
        }
        let grew = key > self.entries[position].key;
        self.entries[position].key = key;
        if grew {
            self.down(position, positions);
        } else {
            self.up(position, positions);
        }
    }

    /// Gives every entry the key that `key_of` says and restores the order.
    pub fn rebuild(&mut self, positions: &mut [u32], mut key_of: impl FnMut(NodeId) -> K) {
        for entry in &mut self.entries {
            entry.key = key_of(entry.node);
        }
        for position in (0..self.entries.len()).rev() {
            self.down(position, positions);
        }
    }

    /// Panics unless every entry is after the one above it and knows its position.
    pub fn check(&self, positions: &[u32]) {
        for (at, entry) in self.entries.iter().enumerate() {
            assert_eq!(positions[entry.node as usize], at as u32);
            assert!(at == 0 || self.entries[(at - 1) / ARITY].key <= entry.key);
        }
    }

    pub fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<K>>()
    }

    /// Gives memory back when the heap has shrunk to a quarter of it.
    pub fn shrink(&mut self) {
        if self.entries.capacity() > 64 && self.entries.len() * 4 < self.entries.capacity() {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// A picked node is nearly always the first: no need to look its position up.
    fn position(&self, node: NodeId, positions: &[u32]) -> usize {
        if self.entries[0].node == node {
            return 0;
        }
        let position = positions[node as usize] as usize;
        debug_assert_eq!(self.entries[position].node, node);
        position
    }

    fn up(&mut self, start: usize, positions: &mut [u32]) -> bool {
        let entry = self.entries[start];
        let mut position = start;
        while position > 0 {
            let above = (position - 1) / ARITY;
            if self.entries[above].key <= entry.key {
                break;
            }
            self.place(position, self.entries[above], positions);
            position = above;
        }
        self.place(position, entry, positions);
        position != start
    }

    fn down(&mut self, start: usize, positions: &mut [u32]) {
        let entry = self.entries[start];
        let mut position = start;
        loop {
            let below = self.below(position);
            let mut least = below.start;
            let Some(children) = self.entries.get(below) else {
                break;
            };
            let Some((mut child, others)) = children.split_first() else {
                break;
            };
            let start = least;
            for (at, other) in others.iter().enumerate() {
                if other.key < child.key {
                    (child, least) = (other, start + 1 + at);
                }
            }
            if child.key >= entry.key {
                break;
            }
            let child = *child;
            self.place(position, child, positions);
            position = least;
        }
        self.place(position, entry, positions);
    }

    fn place(&mut self, position: usize, entry: Entry<K>, positions: &mut [u32]) {
        self.entries[position] = entry;
        positions[entry.node as usize] = position as u32;
    }
}
