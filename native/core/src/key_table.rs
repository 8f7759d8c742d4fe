//! Keys that count once within a window: a hash of who gave the key and the key → what it was first
//! given to (a shard: the message; usage: the hour and the account).
//!
//! Open addressing in 64 parts, so that growing one part moves a 64th of all. A key's age follows from
//! its value, which only grows with time: `forget_below` names the first value of the window, and a
//! hand that goes round takes older keys out, a bounded number of slots a step.

/// What a key was given to; never 0.
pub type Given = u64;

/// 128 bits of a keyed hash: a collision would lose a message or an event.
pub type KeyHash = [u8; 16];

const PARTS: usize = 64;
const SLOTS_MIN: usize = 16;
/// A slot that holds no key.
const EMPTY: Slot = Slot {
    hash: [0; 16],
    given: 0,
};

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: KeyHash,
    given: Given,
}

#[derive(Debug, Default)]
struct Part {
    slots: Vec<Slot>,
    used: usize,
}

/// A bounded table; the caller compares `len` with its bound before `insert`.
#[derive(Debug)]
pub struct KeyTable {
    parts: Vec<Part>,
    len: usize,
    /// What was given below it is outside of the window.
    first: Given,
    /// Where the hand stands: part and slot.
    hand: (usize, usize),
    /// Slots the hand still has to look at in this round.
    left: usize,
}

impl Default for KeyTable {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Part::default()).collect(),
            len: 0,
            first: 0,
            hand: (0, 0),
            left: 0,
        }
    }
}

impl KeyTable {
    /// Keys in the table, those included that the hand has not yet taken out.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What this key was given to within the window.
    pub fn find(&self, hash: &KeyHash) -> Option<Given> {
        let part = &self.parts[part_of(hash)];
        let at = part.find(hash)?;
        Some(part.slots[at].given).filter(|&given| given >= self.first)
    }

    /// Adds a key, or gives one that is outside of the window to something new. Whether the table did
    /// not hold it at all.
    pub fn insert(&mut self, hash: KeyHash, given: Given) -> bool {
        debug_assert_ne!(given, EMPTY.given);
        let is_new = self.parts[part_of(&hash)].insert(Slot { hash, given });
        self.len += usize::from(is_new);
        is_new
    }

    /// What was given below `first` leaves the window.
    pub fn forget_below(&mut self, first: Given) {
        if first > self.first {
            self.first = first;
            // Once each slot, once more each that others move to, and the way from part to part.
            let slots: usize = self.parts.iter().map(|part| part.slots.len()).sum();
            self.left = 2 * slots + 2 * PARTS;
        }
    }

    /// Whether the hand has keys to look for.
    pub fn is_sweeping(&self) -> bool {
        self.left > 0
    }

    /// Looks at up to `budget` slots and takes the keys out that left the window; `gone` is told what
    /// each was given to.
    pub fn sweep(&mut self, budget: usize, mut gone: impl FnMut(Given)) {
        for _ in 0..budget.min(self.left) {
            self.left -= 1;
            let (part, at) = self.hand;
            let slots = &self.parts[part].slots;
            if at >= slots.len() {
                self.parts[part].shrink();
                self.hand = ((part + 1) % PARTS, 0);
                continue;
            }
            let given = slots[at].given;
            if given != EMPTY.given && given < self.first {
                // Another key may move to this slot: the hand stays.
                self.parts[part].remove(at);
                self.len -= 1;
                gone(given);
            } else {
                self.hand.1 += 1;
            }
        }
    }

    pub fn memory_bytes(&self) -> usize {
        let slots: usize = self.parts.iter().map(|part| part.slots.capacity()).sum();
        slots * size_of::<Slot>()
    }
}

fn part_of(hash: &KeyHash) -> usize {
    usize::from(hash[15]) % PARTS
}

fn place_of(hash: &KeyHash, mask: usize) -> usize {
    let low = u64::from_le_bytes(*hash.first_chunk().expect("8 of 16 bytes"));
    low as usize & mask
}

impl Part {
    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    fn find(&self, hash: &KeyHash) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.mask();
        let mut at = place_of(hash, mask);
        while self.slots[at].given != EMPTY.given {
            if self.slots[at].hash == *hash {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Whether the key is new.
    fn insert(&mut self, slot: Slot) -> bool {
        if let Some(at) = self.find(&slot.hash) {
            self.slots[at].given = slot.given;
            return false;
        }
        if self.used * 8 >= self.slots.len() * 7 {
            self.resize((self.slots.len() * 2).max(SLOTS_MIN));
        }
        self.place(slot);
        self.used += 1;
        true
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.mask();
        let mut at = place_of(&slot.hash, mask);
        while self.slots[at].given != EMPTY.given {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    /// Takes a slot out and closes the gap: those behind it move up as far as they may.
    fn remove(&mut self, gone: usize) {
        let mask = self.mask();
        let mut gap = gone;
        let mut at = gone;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.given == EMPTY.given {
                break;
            }
            let home = place_of(&slot.hash, mask);
            // Distance from its home, going round, to where it is and to the gap.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = EMPTY;
        self.used -= 1;
    }

    fn resize(&mut self, length: usize) {
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; length]);
        for slot in old {
            if slot.given != EMPTY.given {
                self.place(slot);
            }
        }
    }

    /// Gives memory back when a quarter would do.
    fn shrink(&mut self) {
        if self.slots.len() > SLOTS_MIN && self.used * 4 < self.slots.len() {
            self.resize((self.used * 2).next_power_of_two().max(SLOTS_MIN));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn hash(number: u64) -> KeyHash {
        let mut hash = [0; 16];
        hash[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        hash[8..].copy_from_slice(&number.to_be_bytes());
        hash
    }

    #[test]
    fn finds_what_was_inserted_and_nothing_else() {
        let mut table = KeyTable::default();
        for number in 1..=20_000 {
            assert_eq!(table.find(&hash(number)), None);
            table.insert(hash(number), number);
        }
        assert_eq!(table.len(), 20_000);
        for number in 1..=20_000 {
            assert_eq!(table.find(&hash(number)), Some(number));
        }
    }

    #[test]
    fn keys_outside_of_the_window_are_not_found_and_their_room_comes_back() {
        let mut table = KeyTable::default();
        let mut model = HashMap::new();
        let mut seed = 7_u64;
        for number in 1..=30_000_u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let name = seed >> 50;
            let hash = hash(name);
            let known = model
                .get(&name)
                .copied()
                .filter(|&key| key + 5_000 > number);
            table.forget_below(number.saturating_sub(4_999));
            assert_eq!(table.find(&hash), known, "key {name} at {number}");
            if known.is_none() {
                table.insert(hash, number);
                model.insert(name, number);
            }
            table.sweep(64, |_| ());
        }
        table.forget_below(40_000);
        while table.is_sweeping() {
            table.sweep(1000, |_| ());
        }
        assert_eq!(table.len(), 0);
        assert_eq!(table.memory_bytes(), PARTS * SLOTS_MIN * size_of::<Slot>());
    }

    #[test]
    fn takes_at_most_55_bytes_a_key() {
        let mut table = KeyTable::default();
        for number in 1..=1_000_000 {
            table.insert(hash(number), number);
        }
        assert!(
            table.memory_bytes() <= 55 * 1_000_000,
            "{}",
            table.memory_bytes()
        );
    }
}
