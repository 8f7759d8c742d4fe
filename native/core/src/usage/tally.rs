//! The events of one frame, those of one cell together: a cell is looked up once a frame.

use super::NONE;
use super::price::PriceList;
use crate::client_frame::UseItem;
use crate::error::Code;
use crate::limits::EVENTS_PER_FRAME;
use crate::name_map::NameHash;
use crate::record::Sums;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// Twice the events of a frame, so that places are found soon.
const PLACES: usize = (2 * EVENTS_PER_FRAME).next_power_of_two();

/// The events of one account, category, tag and day.
pub(super) struct Line {
    hash: u64,
    /// The first event, which has the names.
    pub item: u32,
    pub day: u32,
    /// `NONE`: not known yet, nothing was counted.
    pub account: u32,
    /// Why all of them are refused.
    pub refused: Option<Code>,
    pub price: Option<Arc<PriceList>>,
    pub sums: Sums,
    /// Those counted, corrections left out.
    pub events: u64,
    pub has_some: bool,
}

/// An event that was refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub index: u32,
    pub code: Code,
    pub retry_after_ms: Option<u64>,
}

#[derive(Default)]
pub(super) struct Tally {
    pub lines: Vec<Line>,
    /// Line + 1, with the frame it is of.
    places: Vec<(u32, u32)>,
    frame: u32,
    pub counted: u32,
    pub repeated: u32,
    pub refused: Vec<Refusal>,
}

impl Tally {
    /// Begins a frame.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.refused.clear();
        (self.counted, self.repeated) = (0, 0);
        self.frame = self.frame.wrapping_add(1);
        if self.frame == 0 || self.places.is_empty() {
            self.places.clear();
            self.places.resize(PLACES, (0, 0));
            self.frame = 1;
        }
    }

    /// The line of an event: the last one, mostly; otherwise by hash. The second: it was made now.
    #[inline]
    pub fn line_of(
        &mut self,
        hash: NameHash,
        frame: &[u8],
        (items, index): (&[UseItem], usize),
        (day, last): (u32, usize),
    ) -> (usize, bool) {
        let item = &items[index];
        if let Some(line) = self.lines.get(last)
            && line.day == day
            && is_same(&items[line.item as usize], item, frame)
        {
            return (last, false);
        }
        let hash = hash_of(hash, item, frame, day);
        let mut place = hash as usize % PLACES;
        while self.places[place].0 == self.frame {
            let at = self.places[place].1 as usize;
            let line = &self.lines[at];
            if line.hash == hash
                && line.day == day
                && is_same(&items[line.item as usize], item, frame)
            {
                return (at, false);
            }
            place = (place + 1) % PLACES;
        }
        let at = self.lines.len();
        self.places[place] = (self.frame, at as u32);
        self.lines.push(Line {
            hash,
            item: index as u32,
            day,
            account: NONE,
            refused: None,
            price: None,
            sums: Sums::default(),
            events: 0,
            has_some: false,
        });
        (at, true)
    }
}

#[inline]
fn is_same(one: &UseItem, other: &UseItem, frame: &[u8]) -> bool {
    one.category(frame) == other.category(frame)
        && one.tenant(frame) == other.tenant(frame)
        && one.tag(frame) == other.tag(frame)
}

#[inline]
fn hash_of(hash: NameHash, item: &UseItem, frame: &[u8], day: u32) -> u64 {
    let mut hasher = hash.build_hasher();
    // No name holds a byte 0.
    hasher.write(item.tenant(frame).unwrap_or_default());
    hasher.write_u8(0);
    hasher.write(item.category(frame));
    hasher.write_u8(0);
    hasher.write(item.tag(frame));
    hasher.write_u32(day);
    hasher.finish()
}
