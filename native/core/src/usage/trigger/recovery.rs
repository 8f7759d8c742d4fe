//! A start: what is stored comes back, and every trigger is judged once when its sums are read.

use super::stored::{parse_firing, parse_trigger};
use super::{Sid, Triggers};
use crate::record::RecordError;

impl Triggers {
    /// A trigger's record, of the key `10 sid`.
    pub fn recover_trigger(&mut self, sid: Sid, value: &[u8]) -> Result<(), RecordError> {
        let (spec, state) = parse_trigger(value)?;
        if self.by_sid.contains_key(&sid) || self.order.contains_key(&state.created) {
            return Err(RecordError::Damaged);
        }
        self.insert(sid, spec, state);
        Ok(())
    }

    /// A firing's record, of the key `11 sequence`: it was not known to be told.
    pub fn recover_firing(&mut self, sequence: u64, value: &[u8]) -> Result<(), RecordError> {
        let content = parse_firing(value)?.to_vec();
        self.untold.insert(sequence);
        self.again.push((sequence, content));
        self.next_firing = self.next_firing.max(sequence.saturating_add(1));
        Ok(())
    }

    /// All records are read: the sums of all watched counters are asked for, and firings told again.
    /// Judged are the running periods, and those that were to be judged before.
    pub fn recover_finish(&mut self, now_ms: u64) {
        self.passed_to(now_ms);
        for slots in self.of_account.values_mut() {
            let created = |slot: &u32| {
                let trigger = self.slots[*slot as usize].as_deref();
                trigger.map(|trigger| trigger.state.created)
            };
            slots.sort_unstable_by_key(created);
        }
        let slots: Vec<u32> = self.order.values().copied().collect();
        for slot in slots {
            self.attach(slot);
            self.judge_at_start(slot);
        }
    }

    fn judge_at_start(&mut self, slot: u32) {
        let now_ms = self.now_ms;
        let trigger = self.trigger_mut(slot);
        trigger.ring_stored_ms = now_ms;
        if let (Some(window_ms), Some(ring)) = (trigger.spec.window_ms, &mut trigger.state.ring) {
            ring.drop_future(window_ms, now_ms);
            return;
        }
        let (kind, by) = (trigger.spec.recurring.period(), trigger.spec.by);
        let due = trigger.state.fired.iter().filter(|fired| fired.due);
        let due: Vec<u32> = due.map(|fired| fired.period).collect();
        let watch = trigger.watch;
        let gauge = self.watches[watch as usize]
            .gauge(kind, by)
            .expect("it was attached");
        let today = gauge.newest();
        for period in due.into_iter().chain([today]) {
            gauge.judge(period);
        }
    }
}
