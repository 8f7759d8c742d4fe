//! What a step hands out: records for the journal, firings, answers.

use super::stored::{write_firing, write_trigger};
use super::{Trigger, Triggers};
use crate::msgpack::{write_array_len, write_bin, write_str, write_uint};
use crate::record::{JournalWriter, usage_firing_key, usage_trigger_key};
use crate::usage::calendar::Period;

const FIRING_FIELDS: usize = 15;

impl Triggers {
    /// A value has been reached.
    pub(super) fn fire(&mut self, slot: u32, index: u64, period: Period, total: i128) {
        let now_ms = self.now_ms;
        let trigger = self.trigger_mut(slot);
        let current = trigger.total(total).unwrap_or(total);
        trigger.state.fire(period.id, index, now_ms, current);
        let content = trigger.firing(index, period, current, now_ms);
        self.change(slot);
        let sequence = self.next_firing;
        self.next_firing += 1;
        self.untold.insert(sequence);
        self.fresh_bytes += content.len();
        self.fresh.push((sequence, content));
    }

    /// The callbacks of a firing are kept elsewhere now: it is not told again after a start.
    pub fn firing_told(&mut self, sequence: u64) {
        if self.untold.remove(&sequence) {
            self.told.push(sequence);
        }
    }

    /// Puts and deletes the records that changed, and hands out firings: sequence, msgpack `[sid,
    /// account, category, tag, by, recurring, index, value str, currentValue str, period str, arming,
    /// firedMs, callbacks, action, friendlyName]`, and whether it is told again after a start. They
    /// may be acted on when the journal is on disk.
    pub fn write(&mut self, journal: &mut JournalWriter, mut fired: impl FnMut(u64, &[u8], bool)) {
        for sid in self.deleted.drain(..) {
            journal.delete(&usage_trigger_key(sid));
        }
        for slot in self.changed.drain(..) {
            let Some(trigger) = self.slots[slot as usize].as_deref_mut() else {
                continue;
            };
            trigger.changed = false;
            let key = usage_trigger_key(trigger.sid);
            journal.put_with(&key, |out| {
                write_trigger(out, &trigger.spec, &trigger.state);
            });
        }
        for sequence in self.told.drain(..) {
            journal.delete(&usage_firing_key(sequence));
        }
        self.fresh_bytes = 0;
        for (sequence, content) in self.fresh.drain(..) {
            journal.put_with(&usage_firing_key(sequence), |out| {
                write_firing(out, &content);
            });
            fired(sequence, &content, false);
        }
        for (sequence, content) in self.again.drain(..) {
            fired(sequence, &content, true);
        }
    }

    /// Hands out the answers that are ready: request and JSON. One that needs sums which are not read
    /// yet comes in a later step.
    pub fn replies(&mut self, mut reply: impl FnMut(u32, &[u8])) {
        for (request, ask) in std::mem::take(&mut self.asks) {
            match self.answer(&ask) {
                Some(json) => self.replies.push((request, json)),
                None => self.asks.push((request, ask)),
            }
        }
        for (request, json) in self.replies.drain(..) {
            reply(request, json.as_bytes());
        }
    }
}

impl Trigger {
    fn firing(&self, index: u64, period: Period, current: i128, now_ms: u64) -> Vec<u8> {
        let spec = &self.spec;
        let value = spec.value_at(index).unwrap_or(i128::MAX);
        let mut out = Vec::with_capacity(256);
        write_array_len(&mut out, FIRING_FIELDS);
        write_bin(&mut out, &self.sid);
        write_str(&mut out, &spec.account);
        write_str(&mut out, &spec.category);
        write_str(&mut out, &spec.tag);
        write_uint(&mut out, spec.by as u64);
        write_uint(&mut out, spec.recurring as u64);
        write_uint(&mut out, index);
        write_str(&mut out, &spec.by.text(value));
        write_str(&mut out, &spec.by.text(current));
        write_str(&mut out, &period.to_string());
        write_uint(&mut out, self.state.arming);
        write_uint(&mut out, now_ms);
        spec.write_callbacks(&mut out);
        spec.write_action(&mut out);
        spec.write_friendly_name(&mut out);
        out
    }
}
