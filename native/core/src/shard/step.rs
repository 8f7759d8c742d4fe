//! One exchange: input in, state changed, journal and wants out.

use super::batches;
use super::connection::Connection;
use super::{Fatal, SETTLED_OUTCOMES, Shard, StepOutput, Want};
use crate::client_frame::{self, frame_kind_and_id};
use crate::error::Code;
use crate::exchange::{
    InputEntry, InputOp, InputReader, decode_call, decode_connect, decode_disk_full, decode_taken,
};
use crate::limits;
use crate::record::{
    BuiltIn, JournalWriter, LogEntries, Mark, Settled, batch_key, events_key, log_key, usage_key,
    write_log_record, write_mark,
};
use crate::replies::{CALL, FrameSender};
use std::cmp::Reverse;

/// One look at every node of a destination takes this long: a sender that pauses for less keeps its
/// queue, instead of paying for a new one with every message.
const SWEEP_PASS_US: u64 = 5_000_000;
/// Nodes looked at in one exchange, at most.
const SWEEP_PER_STEP: u64 = 4096;

/// Leases younger than this are not worth a wake of their own.
const WAKE_US_MIN: u64 = 500;

impl Shard {
    /// Takes one exchange. `committed` is the newest exchange whose transaction can be read back.
    pub fn step(&mut self, now_us: u64, committed: u64, input: &[u8]) -> Result<StepOutput, Fatal> {
        if self.recovering.is_some() {
            return Err(Fatal::State(
                "a step before recovery was finished".to_owned(),
            ));
        }
        let reader = InputReader::new(input)?;
        self.begin(now_us, committed, reader.exchange());
        self.work_on_found();
        for entry in reader {
            self.entry(entry?)?;
        }
        self.fire_timers();
        self.fire_leases();
        self.fire_wakes();
        self.close_batch();
        self.sweep_one();
        self.expire_due();
        self.dispatch();
        // A record that is asked for is not forgotten before it is read.
        self.forget_old();
        self.ask_lookups();
        self.more |= !self.listed.is_empty();
        self.write_log();
        self.write_events();
        self.write_usage();
        self.write_checkpoint();
        self.forget_keys();
        self.write_ceiling();
        self.logged.push_back((self.exchange, self.next_log - 1));
        self.counters.log_bytes = self.log_bytes;
        self.counters.ended_bytes = self.ended_bytes;
        self.counters.oldest_accepted_ms = self.batches.oldest_accepted_ms();
        let room = self.journal.bytes().len();
        let journal = std::mem::replace(&mut self.journal, JournalWriter::with_capacity(room));
        Ok(StepOutput {
            journal: journal.into_bytes(),
            wants: self
                .wants
                .iter()
                .flat_map(|want| match *want {
                    Want::Batch(key) => batch_key(batches::batch_of(key), batches::index_of(key)),
                    Want::Log(sequence) => log_key(sequence),
                    Want::Events(sequence) => events_key(sequence),
                    Want::Usage(sequence) => usage_key(sequence),
                })
                .collect(),
        })
    }

    fn begin(&mut self, now_us: u64, committed: u64, exchange: u64) {
        self.now_us = self.now_us.max(now_us);
        self.exchange = exchange;
        self.committed = committed;
        while let Some(&(exchange, log)) = self.logged.front() {
            if exchange > committed {
                break;
            }
            self.committed_log = log;
            self.logged.pop_front();
        }
        let batches = &mut self.batches;
        self.cache.evict(committed, |owner| {
            if let Some(batch) = batches.get_mut(batches::batch_of(owner)) {
                let place = batch.record_of(batches::index_of(owner));
                batch.records[place].cache = batches::NONE;
            }
        });
        self.frames.clear();
        self.journal.clear();
        self.replies.clear();
        self.handed.clear();
        self.handed_keys.clear();
        self.handed_to.clear();
        self.scores.clear();
        self.rewritten.clear();
        self.settled.iter_mut().for_each(Vec::clear);
        self.returns.clear();
        self.wants.clear();
        self.provided.clear();
        self.effects_ready = false;
        self.events.told.begin(committed);
        self.usage.told.begin(committed);
        self.usage.caps.begin(committed);
        for back in std::mem::take(&mut self.died) {
            // What was decided is in the next state record too.
            self.set_state(back.key, batches::DEAD);
            self.returns.push(back);
            self.note_status_if_asked(back.key);
            self.count(back.key, BuiltIn::MessageAttempts);
            self.count(back.key, BuiltIn::MessagesFailed);
        }
        self.drop_dead();
        self.forget_hours();
        for back in std::mem::take(&mut self.in_doubt) {
            self.set_state(back.key, batches::WAITING);
            self.returns.push(back);
            self.note_status_if_asked(back.key);
            self.count(back.key, BuiltIn::MessageAttempts);
        }
        for key in std::mem::take(&mut self.due_at_restart) {
            self.set_state(key, batches::WAITING);
            self.note_due(key);
        }
    }

    fn entry(&mut self, entry: InputEntry<'_>) -> Result<(), Fatal> {
        let connection = entry.connection;
        match entry.op {
            InputOp::Frame => self.frame(connection, entry.bytes),
            InputOp::Connect => {
                let connect = decode_connect(entry.bytes)?;
                let tenant = connect.tenant.unwrap_or_default().as_bytes();
                // A number that is used again: what it held is not forgotten.
                self.disconnect(connection);
                self.connections
                    .insert(connection, Connection::new(tenant, connect.scopes));
            }
            InputOp::Disconnect => self.disconnect(connection),
            InputOp::Park => self.set_parked(connection, true),
            InputOp::Unpark => self.set_parked(connection, false),
            InputOp::Configure => self.configure_entry(connection, entry.bytes)?,
            InputOp::Explain => self.explain_entry(connection, entry.bytes)?,
            InputOp::Stats => self.stats_entry(connection, entry.bytes)?,
            InputOp::Checkpoint => self.request_checkpoint(connection),
            InputOp::Drain => {
                self.draining = true;
                self.reply_json(connection, r#"{"ok":true}"#);
            }
            InputOp::InUse => self.in_use_entry(connection, entry.bytes)?,
            InputOp::GatewayUp => self.gateway_up_entry(connection, entry.bytes)?,
            InputOp::DiskFull => self.disk_full = decode_disk_full(entry.bytes)?,
            InputOp::EventsTaken => self.events.told.take(decode_taken(entry.bytes)?),
            InputOp::UsageTaken => self.usage.told.take(decode_taken(entry.bytes)?),
            InputOp::Call => self.call(connection, entry.bytes)?,
            InputOp::Find
            | InputOp::List
            | InputOp::CancelAll
            | InputOp::DeadLetters
            | InputOp::Replay
            | InputOp::Purge
            | InputOp::Redact
            | InputOp::Erase
            | InputOp::Forget => self.message_entry(entry.op, connection, entry.bytes)?,
            InputOp::GateList | InputOp::GateExplain | InputOp::GateTop => {
                return Err(Fatal::State("an operation of the gate".to_owned()));
            }
            InputOp::UsageDeltas
            | InputOp::TriggerPut
            | InputOp::TriggerDelete
            | InputOp::TriggerList
            | InputOp::TriggerShow
            | InputOp::TriggerRearm
            | InputOp::UsageRecords
            | InputOp::FiringTold
            | InputOp::UsageStats => {
                return Err(Fatal::State(
                    "an operation of the usage counters".to_owned(),
                ));
            }
        }
        Ok(())
    }

    fn frame(&mut self, connection: u32, frame: &[u8]) {
        let Some(client) = self.connections.get(&connection) else {
            return;
        };
        let scopes = client.scopes;
        self.frame_of(connection, scopes, frame);
    }

    /// A client frame that the REST interface sends, with the rights it says.
    fn call(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let call = decode_call(bytes)?;
        let sender = FrameSender::of_call(request, &call)?;
        self.caller = sender.tenant.into();
        self.frame_of(sender.connection, sender.scopes, call.frame);
        Ok(())
    }

    fn frame_of(&mut self, connection: u32, scopes: u8, frame: &[u8]) {
        let (kind, id) = match frame_kind_and_id(frame) {
            Ok(head) => head,
            Err(error) => return self.replies.frame_error(connection, &error),
        };
        let needed = match kind {
            client_frame::KIND_PUBLISH | client_frame::KIND_CANCEL | client_frame::KIND_STATUS => {
                super::connection::SCOPE_PUBLISH
            }
            _ => super::connection::SCOPE_CONSUME,
        };
        if scopes & needed == 0 {
            let message = format!("frames of kind {kind} need the scope the token lacks");
            let code = Code::ScopeMissing.number();
            return self
                .replies
                .error(connection, id, code, &message, None, None);
        }
        let is_call = connection & CALL != 0;
        match kind {
            client_frame::KIND_PUBLISH => self.publish(connection, frame),
            client_frame::KIND_CANCEL | client_frame::KIND_STATUS => {
                self.ids_frame(connection, kind, frame);
            }
            client_frame::KIND_RECEIPT => self.receipt(connection, frame),
            client_frame::KIND_SUBSCRIBE if !is_call => self.subscribe(connection, frame),
            client_frame::KIND_CREDIT if !is_call => self.credit(connection, frame),
            client_frame::KIND_SETTLE if !is_call => self.settle(connection, frame),
            _ => {
                let message = format!("frame kind {kind} is not known");
                let code = Code::UnknownKind.number();
                self.replies
                    .error(connection, id, code, &message, None, None);
            }
        }
    }

    /// Looks for idle nodes of the next destination, as many as its pace asks for.
    fn sweep_one(&mut self) {
        if self.destinations.is_empty() {
            return;
        }
        self.sweep_next = (self.sweep_next + 1) % self.destinations.len();
        let destination = &mut self.destinations[self.sweep_next];
        let nodes = destination.owners.len() as u64;
        let elapsed_us = (self.now_us - destination.swept_us).min(SWEEP_PASS_US);
        let budget = nodes * elapsed_us / SWEEP_PASS_US;
        if budget > 0 {
            destination.swept_us = self.now_us;
            let budget = budget.min(SWEEP_PER_STEP) as usize;
            self.sweep(self.sweep_next, budget);
        }
    }

    /// What happened to messages, as one log record.
    fn write_log(&mut self) {
        let groups: Vec<Settled<'_>> = SETTLED_OUTCOMES
            .iter()
            .zip(&self.settled)
            .filter(|(_, keys)| !keys.is_empty())
            .map(|(&outcome, keys)| Settled { outcome, keys })
            .collect();
        if groups.is_empty() && self.returns.is_empty() && self.handed_keys.is_empty() {
            return;
        }
        let entries = LogEntries {
            at_ms: self.now_us / 1000,
            returns: &self.returns,
            settled: &groups,
            handed_out: &self.handed_keys,
            handed_to: &self.handed_to,
            scores: &self.scores,
        };
        let before = self.journal.bytes().len();
        let scratch = &mut self.log_scratch;
        self.journal.put_with(&log_key(self.next_log), |out| {
            write_log_record(out, scratch, &entries);
        });
        self.log_bytes += (self.journal.bytes().len() - before) as u64;
        self.next_log += 1;
    }

    fn write_ceiling(&mut self) {
        if self.next_batch + super::BATCH_RESERVE / 2 > self.ceiling {
            self.ceiling = self.next_batch + super::BATCH_RESERVE;
            self.ceiling_changed = true;
        }
        if std::mem::take(&mut self.ceiling_changed) {
            let ceiling = self.ceiling;
            self.journal.put_with(&Mark::Ceiling.key(), |out| {
                write_mark(out, Mark::Ceiling, ceiling);
            });
        }
    }

    /// Milliseconds until something is to be done without new input.
    pub(super) fn wake_after_ms(&self) -> u32 {
        let has_work = self.more
            || self.checkpoint.has_work()
            || self.jobs.is_working()
            || self.idempotency.is_working()
            || self.events.told.has_work()
            || self.usage.told.has_work()
            || self.usage.caps.has_work();
        if has_work {
            return 0;
        }
        let next = |heap: &std::collections::BinaryHeap<Reverse<(u64, u32)>>| {
            heap.peek().map_or(u64::MAX, |Reverse((at_us, _))| *at_us)
        };
        let at_us = self
            .timers
            .next_us()
            .min(self.next_forget_us())
            .min(next(&self.expiries))
            .min(next(&self.wakes))
            .min(next(&self.leases));
        let after_us = at_us.saturating_sub(self.now_us);
        if after_us < WAKE_US_MIN {
            return u32::from(after_us > 0);
        }
        after_us
            .div_ceil(1000)
            .min(u64::from(limits::WAKE_AFTER_MS_MAX)) as u32
    }
}
