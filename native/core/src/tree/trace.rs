//! The last picks and what they were picked before.

use super::explain::difference;
use super::heap::Entry;
use super::level::{is_level_tie, level_order};
use super::node::{Key, NONE, NodeId};
use super::{PickTrace, Tree};

/// Picks remembered.
const PICKS: usize = 16;

/// A level of a pick that had a choice.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    pub family: u32,
    pub best: Entry<Key>,
    pub v: u128,
}

/// Kept raw, so that a pick pays for copies only.
#[derive(Clone, Copy)]
struct Raw {
    queue: NodeId,
    runner_up: NodeId,
    v: u128,
    key: Key,
    runner_up_key: Key,
}

#[derive(Default)]
pub(super) struct Ring {
    picks: Vec<Raw>,
    next: usize,
}

impl Tree {
    /// The last 16 picks, the newest first.
    pub fn last_picks(&self) -> impl Iterator<Item = PickTrace> + '_ {
        let Ring { picks, next } = &self.ring;
        let (newer, older) = (&picks[..*next], &picks[*next..]);
        newer.iter().rev().chain(older.iter().rev()).map(|raw| {
            let score = |(tag, tie): Key| {
                if is_level_tie(tie) {
                    (0.0, level_order(tie))
                } else {
                    (difference(tag, raw.v), tie)
                }
            };
            let runner_up = (raw.runner_up != NONE).then(|| {
                let (debt, tie) = score(raw.runner_up_key);
                (raw.runner_up, debt, tie)
            });
            PickTrace {
                queue: raw.queue,
                score: score(raw.key),
                runner_up,
            }
        })
    }

    /// S − V of the last pick at the level that decided, in cost units; 0 where there was no choice.
    pub fn last_score(&self) -> i64 {
        let Ring { picks, next } = &self.ring;
        let last = if *next == 0 {
            picks.last()
        } else {
            picks.get(next - 1)
        };
        last.filter(|raw| !is_level_tie(raw.key.1))
            .map_or(0, |raw| {
                (raw.key.0.wrapping_sub(raw.v).cast_signed() >> 32) as i64
            })
    }

    pub(super) fn trace(&mut self, queue: NodeId, choice: Option<Choice>) {
        let mut raw = Raw {
            queue,
            runner_up: NONE,
            v: 0,
            key: (0, 0),
            runner_up_key: (0, 0),
        };
        if let Some(Choice { family, best, v }) = choice {
            let heap = &self.families[family as usize].heap;
            let first = heap.at(0);
            let other = if first.node == best.node {
                heap.second()
            } else {
                Some(first)
            };
            (raw.v, raw.key) = (v, best.key);
            if let Some(other) = other {
                raw.runner_up_key = other.key;
                raw.runner_up = self.best_queue(other);
            }
        }
        if self.ring.picks.len() < PICKS {
            self.ring.picks.push(raw);
        } else {
            self.ring.picks[self.ring.next] = raw;
        }
        self.ring.next = (self.ring.next + 1) % PICKS;
    }

    /// The queue that would be served if the entry's node were.
    fn best_queue(&self, entry: Entry<Key>) -> NodeId {
        let mut entry = entry;
        while entry.family != NONE {
            entry = self.families[entry.family as usize].heap.at(0);
        }
        entry.node
    }
}
