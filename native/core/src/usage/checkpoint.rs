//! Checkpoints: generation A is merged into the stored cells in small pieces, then its log deleted.
//!
//! States: *idle*; *merging* from the mark `begun` on, a piece once the piece before can be read;
//! *stored* with the mark `through`; once that can be read, A is released, and idle again. A piece
//! that was written before a crash is known by `asOf` of its cells, so none is added twice.

use super::generation::{ALL_TIME, Cell};
use super::wants::{Answers, Asker};
use super::{Fatal, Usage};
use crate::limits::{
    USAGE_CHECKPOINT_CELLS, USAGE_CHECKPOINT_MS, USAGE_DELETES, USAGE_LOG_BYTES, USAGE_PIECE_CELLS,
};
use crate::record::{
    USAGE_SOURCES_KEY, UsageCell, UsageMark, usage_all_time_key, usage_day_key, usage_log_key,
    write_usage_cell, write_usage_mark, write_usage_sources,
};

/// Cells of A released in one step.
const RELEASES: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Merging,
    Stored,
}

pub(super) struct Checkpoint {
    state: State,
    /// Log records up to this one are in A, or in cells.
    pub as_of: u64,
    /// Which sequence each source was folded up to, as of then.
    sources: Vec<(u32, u64)>,
    /// Cells of A that were written; then those that were released.
    next: usize,
    begun_us: u64,
    /// The exchange that last wrote cells.
    wrote: u64,
}

impl Checkpoint {
    pub fn new(now_us: u64) -> Self {
        Self {
            state: State::Idle,
            as_of: 0,
            sources: Vec::new(),
            next: 0,
            begun_us: now_us,
            wrote: 0,
        }
    }

    /// One that was begun before the start, or none.
    pub fn recovered(&mut self, through: u64, begun: Option<(u64, Vec<(u32, u64)>)>) {
        self.as_of = through;
        if let Some((as_of, sources)) = begun {
            (self.as_of, self.sources, self.state) = (as_of, sources, State::Merging);
        }
    }

    pub fn is_running(&self) -> bool {
        self.state != State::Idle
    }

    /// Cells of A whose counter was released.
    pub fn released(&self) -> usize {
        if self.state == State::Stored {
            self.next
        } else {
            0
        }
    }

    /// Whether A counts: what a stored cell does not have of it.
    pub fn has_frozen(&self) -> bool {
        self.state == State::Merging
    }
}

impl Usage {
    /// Whether what was last written into cells can be read, so that something can be wanted.
    pub(super) fn can_read(&self) -> bool {
        self.checkpoint.wrote <= self.committed
    }

    /// The cells of A that are merged next.
    fn piece(&self) -> std::ops::Range<usize> {
        let start = self.checkpoint.next;
        match self.checkpoint.state {
            State::Merging => start..(start + USAGE_PIECE_CELLS).min(self.frozen.len()),
            _ => 0..0,
        }
    }

    pub(super) fn want_piece(&mut self) {
        let piece = self.piece();
        for cell in &self.frozen.cells()[piece.clone()] {
            self.key.clear();
            cell_key(&mut self.key, cell, (&self.counters_of, &self.accounts));
            self.wants.key(&self.key);
        }
        if !piece.is_empty() {
            self.wants.ask(Asker::Piece);
        }
    }

    pub(super) fn give_piece(&mut self, answers: &mut Answers<'_>) -> Result<(), Fatal> {
        let piece = self.piece();
        self.checkpoint.next = piece.end;
        for at in piece {
            let cell = self.frozen.cells()[at];
            let base = answers.one()?;
            let as_of = self.checkpoint.as_of;
            if base.is_some_and(|base| base.as_of >= as_of) {
                continue;
            }
            self.key.clear();
            cell_key(&mut self.key, &cell, (&self.counters_of, &self.accounts));
            let merged = merged(base, &cell, as_of);
            self.journal
                .put_with(&self.key, |out| write_usage_cell(out, &merged));
            self.checkpoint.wrote = self.exchange;
            self.counters.cells_written += 1;
        }
        Ok(())
    }

    /// What is to be done beside pieces: begin, end, release, delete.
    pub(super) fn move_checkpoint(&mut self) {
        match self.checkpoint.state {
            State::Idle if self.checkpoint_is_due() => self.begin_checkpoint(),
            State::Merging if self.checkpoint.next == self.frozen.len() => self.end_checkpoint(),
            State::Stored if self.can_read() => self.release_some(),
            _ => {}
        }
        for _ in 0..USAGE_DELETES {
            if self.log.first > self.log.delete_through {
                break;
            }
            self.journal.delete(&usage_log_key(self.log.first));
            self.log.first += 1;
        }
    }

    fn has_new_log(&self) -> bool {
        self.log.next > self.checkpoint.as_of + 1
    }

    fn checkpoint_due_us(&self) -> u64 {
        self.checkpoint.begun_us + USAGE_CHECKPOINT_MS * 1000
    }

    fn checkpoint_is_due(&self) -> bool {
        self.has_new_log()
            && (self.dirty.len() >= USAGE_CHECKPOINT_CELLS
                || self.log.bytes >= USAGE_LOG_BYTES
                || self.checkpoint_due_us() <= self.now_us)
    }

    fn begin_checkpoint(&mut self) {
        std::mem::swap(&mut self.dirty, &mut self.frozen);
        let as_of = self.log.next - 1;
        let sources = self.log.sources.iter();
        self.checkpoint = Checkpoint {
            state: State::Merging,
            as_of,
            sources: sources.map(|(source, last)| (*source, *last)).collect(),
            next: 0,
            begun_us: self.now_us,
            wrote: self.checkpoint.wrote,
        };
        self.log.bytes = 0;
        self.put_mark(UsageMark::Begun, as_of);
    }

    fn end_checkpoint(&mut self) {
        let as_of = self.checkpoint.as_of;
        self.put_mark(UsageMark::Through, as_of);
        let sources = std::mem::take(&mut self.checkpoint.sources);
        self.journal
            .put_with(&USAGE_SOURCES_KEY, |out| write_usage_sources(out, &sources));
        self.log.delete_through = as_of;
        self.counters.checkpoints += 1;
        self.checkpoint.state = State::Stored;
        self.checkpoint.next = 0;
    }

    fn release_some(&mut self) {
        let start = self.checkpoint.next;
        let end = (start + RELEASES).min(self.frozen.len());
        for at in start..end {
            let counter = self.frozen.cells()[at].counter;
            self.counters_of.release(counter);
        }
        self.checkpoint.next = end;
        if end == self.frozen.len() {
            self.frozen.clear();
            self.checkpoint.state = State::Idle;
        }
    }

    fn put_mark(&mut self, mark: UsageMark, value: u64) {
        self.journal
            .put_with(&mark.key(), |out| write_usage_mark(out, mark, value));
    }

    /// When the checkpoint needs a step without new input, µs since 1970; 0: at once.
    pub(super) fn checkpoint_at_us(&self) -> u64 {
        if self.log.first <= self.log.delete_through {
            return 0;
        }
        match self.checkpoint.state {
            State::Idle if self.has_new_log() => self.checkpoint_due_us(),
            State::Idle => u64::MAX,
            _ if self.can_read() => 0,
            _ => self.now_us,
        }
    }
}

fn merged(base: Option<UsageCell>, cell: &Cell, as_of: u64) -> UsageCell {
    let mut sums = base.map(|base| base.sums).unwrap_or_default();
    sums.add(&cell.sums);
    let (first, last) = base
        .and_then(|base| base.days)
        .unwrap_or((cell.first_day, cell.last_day));
    UsageCell {
        as_of,
        sums,
        days: (cell.day == ALL_TIME).then(|| (first.min(cell.first_day), last.max(cell.last_day))),
    }
}

fn cell_key(
    out: &mut Vec<u8>,
    cell: &Cell,
    (counters, accounts): (&super::counters::Counters, &super::accounts::Accounts),
) {
    let counter = counters.get(cell.counter);
    let (account, kind) = (&accounts.get(counter.account).name, counter.kind());
    if cell.day == ALL_TIME {
        usage_all_time_key(out, account, kind.category, kind.tag);
    } else {
        usage_day_key(out, account, kind.category, kind.tag, cell.day);
    }
}
