//! One turn of the main thread: `step` takes the input and says what it wants of the store, `give`
//! takes that and ends the turn with journal and effects.

use super::frames::Connection;
use super::reading::Budget;
use super::wants::{Answers, Asker};
use super::{Fatal, Given, Usage};
use crate::exchange::{
    EffectOp, EffectsHead, ExchangeError, InputEntry, InputOp, InputReader, decode_connect,
    decode_firing_told,
};
use crate::limits::WAKE_AFTER_MS_MAX;
use std::fmt::Write;

impl Usage {
    /// Takes one input; journals of exchanges up to `committed` can be read. The bytes of `wants` are
    /// what `give` has to be given; it is called in any case.
    pub fn step(&mut self, now_us: u64, committed: u64, input: &[u8]) -> Result<usize, Fatal> {
        if self.recovering.is_some() || self.is_open {
            let text = "a step before recovery was finished, or before the last one was";
            return Err(Fatal::State(text.to_owned()));
        }
        let reader = InputReader::new(input)?;
        self.is_open = true;
        self.exchange = reader.exchange();
        self.committed = committed;
        self.now_us = self.now_us.max(now_us);
        self.journal.clear();
        self.forget_hours();
        for entry in reader {
            self.entry(entry?)?;
        }
        self.write_log();
        self.write_event_keys();
        self.has_acknowledged = self.journal.entries() > 0;
        self.fold_fresh();
        self.open_loads();
        self.wants.clear();
        if self.can_read() {
            let mut budget = Budget::new();
            self.want_caps(&mut budget);
            self.want_loads(&mut budget);
            self.want_question(&mut budget);
            self.want_piece();
        }
        Ok(self.wants.bytes().len())
    }

    /// What the step wants to read. Empty: nothing.
    pub fn wants(&self) -> &[u8] {
        self.wants.bytes()
    }

    /// Takes what was wanted: journal puts in the order of wants, each want ended by an empty put.
    pub fn give(&mut self, given: &[u8]) -> Result<Given, Fatal> {
        if !std::mem::take(&mut self.is_open) {
            return Err(Fatal::State("given without a step".to_owned()));
        }
        let mut answers = Answers::new(given, self.wants.count())?;
        for asker in std::mem::take(&mut self.wants.askers) {
            match asker {
                Asker::Caps => self.give_caps(&mut answers)?,
                Asker::Loading => self.give_loads(&mut answers)?,
                Asker::Question => self.give_question(&mut answers)?,
                Asker::Piece => self.give_piece(&mut answers)?,
            }
        }
        answers.end()?;
        self.finish_triggers();
        self.open_loads();
        self.move_checkpoint();
        self.sweep_event_keys();
        self.count_now();
        let head = EffectsHead {
            entries: 0,
            exchange: self.exchange,
            boot_id: self.options.boot_id,
            wake_after_ms: self.wake_after_ms(),
        };
        self.effects.encode(&head, &self.counters);
        Ok(Given {
            effects_bytes: self.effects.out.len(),
            journal_bytes: self.journal.bytes().len(),
            flush: self.has_acknowledged,
        })
    }

    /// Of the last turn.
    pub fn effects(&self) -> &[u8] {
        &self.effects.out
    }

    /// Of the last turn: one transaction.
    pub fn journal(&self) -> &[u8] {
        self.journal.bytes()
    }

    fn entry(&mut self, entry: InputEntry<'_>) -> Result<(), Fatal> {
        let (connection, bytes) = (entry.connection, entry.bytes);
        match entry.op {
            InputOp::Frame => self.frame(connection, bytes),
            InputOp::Connect => {
                let connect = decode_connect(bytes)?;
                let client = Connection {
                    scopes: connect.scopes,
                    tenant: connect.tenant.unwrap_or_default().as_bytes().into(),
                };
                self.connections.insert(connection, client);
            }
            InputOp::Disconnect => {
                self.connections.remove(&connection);
            }
            InputOp::Park | InputOp::Unpark => {}
            InputOp::Configure => self.configure_entry(connection, bytes)?,
            InputOp::InUse => self.in_use_entry(connection, bytes)?,
            InputOp::Drain => self.reply_json(connection, r#"{"ok":true}"#),
            InputOp::Call => self.call(connection, bytes)?,
            InputOp::UsageDeltas => self.deltas_entry(connection, bytes)?,
            InputOp::FiringTold => self.triggers.firing_told(decode_firing_told(bytes)?),
            InputOp::UsageStats => self.stats_entry(connection),
            op => return self.asked(op, connection, bytes),
        }
        Ok(())
    }

    /// What operators ask. What cannot be read is that request's error: its texts come from outside.
    fn asked(&mut self, op: InputOp, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let now_ms = self.now_ms();
        let read = match op {
            InputOp::TriggerPut => self.triggers.put(now_ms, request, bytes),
            InputOp::TriggerDelete => self.triggers.delete(now_ms, request, bytes),
            InputOp::TriggerList => self.triggers.list(now_ms, request, bytes),
            InputOp::TriggerShow => self.triggers.show(now_ms, request, bytes),
            InputOp::TriggerRearm => self.triggers.rearm(now_ms, request, bytes),
            InputOp::UsageRecords => self.records_entry(request, bytes),
            other => {
                let text = format!("{other:?} is no operation of the usage counters");
                return Err(Fatal::State(text));
            }
        };
        if let Err(ExchangeError { what, at }) = read {
            let answer = format!(
                r#"{{"error":"invalidValue","details":{{"field":"request","reason":"{what} (at byte {at})"}}}}"#
            );
            self.reply_json(request, &answer);
        }
        Ok(())
    }

    fn finish_triggers(&mut self) {
        let now_ms = self.now_ms();
        self.triggers.finish_step(now_ms);
        let before = self.journal.entries();
        let (replies, counters) = (&mut self.effects.replies, &mut self.counters);
        self.triggers
            .write(&mut self.journal, |sequence, content, again| {
                replies.write(EffectOp::Fired, u32::from(again), |out| {
                    out.extend_from_slice(&sequence.to_le_bytes());
                    out.extend_from_slice(content);
                });
                counters.fired += u64::from(!again);
            });
        self.has_acknowledged |= self.journal.entries() > before;
        self.triggers
            .replies(|request, json| replies.json(request, json));
    }

    pub(super) fn reply_json(&mut self, request: u32, text: &str) {
        self.effects.replies.json(request, text.as_bytes());
    }

    fn stats_entry(&mut self, request: u32) {
        self.count_now();
        let counters = self.counters;
        let mut out = String::new();
        let _ = write!(
            out,
            r#"{{"dirtyCells":{},"counters":{},"accounts":{},"triggers":{},"watched":{},"firingsUntold":{},"eventKeys":{},"logBytes":{},"logRecords":{},"checkpoints":{},"cellsWritten":{},"checkpointing":{},"counted":{},"repeated":{},"refused":{},"corrections":{},"tagsDropped":{},"lists":{},"listsRepeated":{},"folded":{},"recordsRead":{},"fired":{},"readsWaiting":{},"caps":{},"capsLoading":{}}}"#,
            counters.dirty_cells,
            counters.counters,
            counters.accounts,
            counters.triggers,
            counters.watched,
            counters.firings_untold,
            counters.event_keys,
            counters.log_bytes,
            counters.log_records,
            counters.checkpoints,
            counters.cells_written,
            self.checkpoint.is_running(),
            counters.counted,
            counters.repeated,
            counters.refused,
            counters.corrections,
            counters.tags_dropped,
            counters.lists,
            counters.lists_repeated,
            counters.folded,
            counters.records_read,
            counters.fired,
            counters.reads_waiting,
            self.caps.len(),
            counters.caps_loading,
        );
        self.reply_json(request, &out);
    }

    fn count_now(&mut self) {
        let dirty_cells = self.dirty_cells() as u64;
        let counters = &mut self.counters;
        counters.dirty_cells = dirty_cells;
        counters.counters = self.counters_of.len() as u64;
        counters.accounts = self.accounts.len() as u64;
        counters.event_keys = self.event_keys.len() as u64;
        counters.log_bytes = self.log.bytes;
        counters.log_records = self.log.next - self.log.first;
        counters.triggers = self.triggers.len() as u64;
        counters.watched = self.triggers.watched() as u64;
        counters.firings_untold = self.triggers.firings_untold() as u64;
        counters.reads_waiting = self.questions.len() as u64;
        counters.caps_loading = self.caps_unset.len() as u64;
    }

    /// Milliseconds until something is to be done without new input.
    fn wake_after_ms(&self) -> u32 {
        let reads =
            !self.questions.is_empty() || !self.loading.is_empty() || !self.caps_unset.is_empty();
        if (reads && self.can_read()) || self.event_keys.has_work() {
            return 0;
        }
        let mut at_us = self.checkpoint_at_us();
        if reads {
            at_us = self.now_us;
        }
        if let Some(at_ms) = self.event_keys.next_ms() {
            at_us = at_us.min(at_ms * 1000);
        }
        if let Some(after_ms) = self.triggers.wake_after_ms() {
            at_us = at_us.min(self.now_us + after_ms * 1000);
            if after_ms == 0 {
                return 0;
            }
        }
        if at_us == 0 {
            return 0;
        }
        at_us
            .saturating_sub(self.now_us)
            .div_ceil(1000)
            .clamp(1, u64::from(WAKE_AFTER_MS_MAX)) as u32
    }
}
