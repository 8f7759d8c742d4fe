//! What a key is charged where somebody waits: its seats × the time they are held, guessed by the
//! mean at the grant and corrected at the end.

use super::line::Rank;
use super::permit::{CHARGED, Permit};
use super::{Gate, RESOURCE, TENANT};

/// Guess before any permit ended: weights have to count from the first grant on.
const HOLD_US: u64 = 100_000;

impl Gate {
    /// Charges a grant to the key's tags where somebody waits, by how long its permits are held.
    pub(super) fn charge(&mut self, key: u32, slot: u32) {
        let hold_us = self
            .hold_us(key)
            .unwrap_or(HOLD_US)
            .min(u64::from(u32::MAX));
        for side in [TENANT, RESOURCE] {
            if self.line(key, side).since_us().is_none() {
                continue;
            }
            let permit = self.permits.get_mut(slot);
            permit.flags |= CHARGED[side];
            permit.charged_us = hold_us as u32;
            let seat_us = hold_us * u64::from(permit.seats);
            let charge = self.keys[key as usize].charge(seat_us);
            let tag = self.keys[key as usize].tags[side];
            let tag = self.line_mut(key, side).charged(tag, charge);
            self.retag(key, side, tag);
        }
    }

    /// Gives a key another tag, and its place in line if it stands there.
    pub(super) fn retag(&mut self, key: u32, side: usize, tag: u128) {
        let entry = &mut self.keys[key as usize];
        entry.tags[side] = tag;
        if entry.blocked.line() != Some(side) {
            return;
        }
        let old = entry.rank.expect("in line");
        let new = Rank { tag, ..old };
        entry.rank = Some(new);
        self.line_mut(key, side).rerank(old, new);
    }

    /// What a permit was charged too little or too much for, now that it ended.
    pub(super) fn correct(&mut self, key: u32, permit: &Permit) {
        for side in [TENANT, RESOURCE] {
            let Some(since_us) = self.line(key, side).since_us() else {
                continue;
            };
            // What was charged before everybody had enough is forgotten, and so is what was held.
            let is_charged = permit.flags & CHARGED[side] != 0 && permit.granted_us >= since_us;
            let charged_us = if is_charged {
                u64::from(permit.charged_us)
            } else {
                0
            };
            let held_us = self.now_us.saturating_sub(permit.granted_us.max(since_us));
            let seats = u64::from(permit.seats);
            let entry = &self.keys[key as usize];
            let more = entry.charge(held_us.saturating_sub(charged_us) * seats);
            let less = entry.charge(charged_us.saturating_sub(held_us) * seats);
            let tag = entry.tags[side];
            let tag = self.line_mut(key, side).corrected(tag, more, less);
            self.retag(key, side, tag);
        }
    }
}
