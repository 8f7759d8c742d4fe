//! Effects of a step: answers, then firings.

use crate::exchange::{COUNTERS, EFFECTS_HEADER_BYTES, EffectsHead, write_header};
use crate::replies::Replies;

/// What was counted, in the order of the effects header; since this start unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageCounters {
    /// Events of use frames.
    pub counted: u64,
    pub repeated: u64,
    pub refused: u64,
    /// Of `counted`: less than nothing.
    pub corrections: u64,
    /// Lists of deltas folded, and skipped because they were before.
    pub lists: u64,
    pub lists_repeated: u64,
    /// Cells added to, a step's events of one cell once.
    pub folded: u64,
    /// Tags that were not kept because their account has too many counters.
    pub tags_dropped: u64,
    pub records_read: u64,
    pub checkpoints: u64,
    pub cells_written: u64,
    pub fired: u64,
    /// Now.
    pub dirty_cells: u64,
    pub counters: u64,
    pub accounts: u64,
    pub event_keys: u64,
    pub log_bytes: u64,
    pub log_records: u64,
    pub triggers: u64,
    pub watched: u64,
    pub firings_untold: u64,
    pub reads_waiting: u64,
    /// Caps whose base is not set yet.
    pub caps_loading: u64,
}

impl UsageCounters {
    const fn in_order(&self) -> [u64; COUNTERS] {
        [
            self.counted,
            self.repeated,
            self.refused,
            self.corrections,
            self.lists,
            self.lists_repeated,
            self.folded,
            self.tags_dropped,
            self.records_read,
            self.checkpoints,
            self.cells_written,
            self.fired,
            self.dirty_cells,
            self.counters,
            self.accounts,
            self.event_keys,
            self.log_bytes,
            self.log_records,
            self.triggers,
            self.watched,
            self.firings_untold,
            self.reads_waiting,
            self.caps_loading,
            0,
            0,
            0,
            0,
            0,
        ]
    }
}

#[derive(Default)]
pub(super) struct Effects {
    pub replies: Replies,
    pub out: Vec<u8>,
}

impl Effects {
    /// Encodes everything since the last time into `out`.
    pub fn encode(&mut self, head: &EffectsHead, counters: &UsageCounters) {
        self.out.clear();
        self.out.resize(EFFECTS_HEADER_BYTES, 0);
        let replies = self.replies.encode_all(&mut self.out);
        let head = EffectsHead {
            entries: replies,
            ..*head
        };
        write_header(&mut self.out, &head, &counters.in_order());
        self.replies.clear();
    }
}
