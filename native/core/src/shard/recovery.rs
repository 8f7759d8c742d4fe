//! Rebuilding a shard from its records: states, then the log, then the batches fill the queues.

use super::batches::{
    self, Batch, DEAD, FAILED, GONE, IN_FLIGHT, Key, OWN_EXPIRY, RecordSlot, SCHEDULED, SENT,
    TIMED, UNDELIVERED, WAITING,
};
use super::destination::QueueOf;
use super::end::{Ended, state_of_outcome};
use super::timers::{Kind, Timer};
use super::{
    DOUBTFUL, Extra, Fatal, REASON_DEAD_ATTEMPTS, REASON_DEAD_IN_DOUBT, REASON_FAILED,
    REASON_RESTART, REASON_UNDELIVERED, REPLAYED, Shard,
};
use crate::exchange::{DestinationFields, InputOp, InputReader, OnDoubt};
use crate::message_id::batch_hash;
use crate::msgpack::Reader;
use crate::record::{
    self, BatchMessage, BatchRecord, JournalEntry, JournalReader, LogRecord, Mark, MessageOptions,
    StateRecord, parse_key, parse_mark,
};
use crate::tree::NodeId;
use rustc_hash::FxHashMap;

/// What states and log say, before the batches are read.
#[derive(Default)]
pub struct Overlay {
    ceiling: u64,
    through: u64,
    first_log: Option<u64>,
    last_log: u64,
    /// No sequence of an events or a usage record at or above them was used.
    events_ceiling: u64,
    usage_ceiling: u64,
    /// Bytes of log records that are replayed, and of older ones that are kept for traces.
    log_bytes: u64,
    kept_log_bytes: u64,
    batches: FxHashMap<u64, BatchOverlay>,
    /// Batch records were seen: nothing else may follow.
    filling: bool,
    last_key: Option<Key>,
}

#[derive(Default)]
struct BatchOverlay {
    /// Log sequence contained in the state record; none: no such record.
    as_of: Option<u64>,
    /// States by index; beyond its end `WAITING`.
    states: Vec<u8>,
    extras: FxHashMap<u16, Extra>,
    /// When messages ended, as far as the log says.
    ends: FxHashMap<u16, u64>,
    ended_ms: u64,
    /// Last log record that changed it.
    log_last: u64,
    /// The log changed it after its state record.
    changed: bool,
}

impl BatchOverlay {
    fn state_mut(&mut self, index: u16) -> &mut u8 {
        let place = usize::from(index);
        if place >= self.states.len() {
            self.states.resize(place + 1, WAITING);
        }
        &mut self.states[place]
    }
}

/// How states and log left a message that has not ended.
#[derive(Clone, Copy)]
struct Was {
    state: u8,
    extra: Extra,
    has_callback: bool,
    /// It was to be sent later, and is not known to have been due.
    scheduled: bool,
}

/// In the flags of a stored dead letter: it died in doubt.
pub const DEAD_IN_DOUBT: u8 = 0x80;

impl BatchOverlay {
    /// Whether a message that was to be sent later was never due, as far as is known.
    fn is_as_accepted(&self, index: u16, state: u8) -> bool {
        match self.as_of {
            Some(_) => state == SCHEDULED,
            None => state == WAITING && !self.extras.contains_key(&index),
        }
    }

    fn end(&mut self, index: u16, at_ms: u64) {
        self.ends.insert(index, at_ms);
        self.ended_ms = self.ended_ms.max(at_ms);
    }
}

/// The state that a return leads to.
const fn state_of_return(reason: u8, due_ms: u64) -> u8 {
    match reason {
        REASON_DEAD_ATTEMPTS | REASON_DEAD_IN_DOUBT => DEAD,
        REASON_FAILED => FAILED,
        REASON_UNDELIVERED => UNDELIVERED,
        _ if due_ms > 0 => TIMED,
        _ => WAITING,
    }
}

/// A record does not tell the order of what happened in its exchange: a receipt may have come with the
/// outcome before it, and what was delivered stays so.
const fn finality(state: u8) -> u8 {
    match state {
        SENT => 1,
        FAILED | UNDELIVERED => 2,
        state if batches::is_live(state) || state == GONE => 0,
        _ => 3,
    }
}

impl Overlay {
    fn state(&mut self, batch: u64, value: &[u8]) -> Result<(), Fatal> {
        let record = StateRecord::parse(value)?;
        let mut overlay = BatchOverlay {
            as_of: Some(record.as_of()),
            ended_ms: record.ended_ms(),
            log_last: record.as_of(),
            ..BatchOverlay::default()
        };
        for run in record.runs() {
            overlay
                .states
                .extend(std::iter::repeat_n(run.state, usize::from(run.length)));
        }
        for extra in record.extras() {
            let entry = overlay.extras.entry(extra.index).or_default();
            entry.attempts = extra.attempts;
            entry.detail = extra.due_ms;
            entry.flags = extra.flags;
        }
        self.batches.insert(batch, overlay);
        Ok(())
    }

    fn log(&mut self, sequence: u64, value: &[u8]) -> Result<(), Fatal> {
        let record = LogRecord::parse(value)?;
        self.first_log.get_or_insert(sequence);
        self.last_log = self.last_log.max(sequence);
        if sequence <= self.through {
            self.kept_log_bytes += value.len() as u64;
            return Ok(());
        }
        self.log_bytes += value.len() as u64;
        let at_ms = record.at_ms();
        for back in record.returns() {
            if let Some((overlay, index)) = self.touch(back.key, sequence) {
                let state = state_of_return(back.reason, back.due_ms);
                *overlay.state_mut(index) = state;
                if matches!(state, FAILED | UNDELIVERED) {
                    overlay.end(index, at_ms);
                }
                let extra = overlay.extras.entry(index).or_default();
                extra.attempts = back.attempts;
                extra.detail = back.due_ms;
                extra.flags = back.flags;
                if back.reason == REASON_DEAD_IN_DOUBT {
                    extra.flags |= DEAD_IN_DOUBT;
                }
            }
        }
        for (outcome, runs) in record.settled() {
            let state = state_of_outcome(outcome);
            for key in runs.flat_map(record::Run::keys) {
                if let Some((overlay, index)) = self.touch(key, sequence) {
                    let before = *overlay.state_mut(index);
                    if state == GONE {
                        *overlay.state_mut(index) = GONE;
                        overlay.extras.remove(&index);
                        continue;
                    }
                    if finality(state) <= finality(before) {
                        continue;
                    }
                    *overlay.state_mut(index) = state;
                    overlay.end(index, at_ms);
                    if let Some(extra) = overlay.extras.get_mut(&index) {
                        extra.attempts += u32::from(before == IN_FLIGHT);
                        extra.detail = 0;
                    }
                }
            }
        }
        for key in record.handed_out().flat_map(record::Run::keys) {
            if let Some((overlay, index)) = self.touch(key, sequence) {
                let before = std::mem::replace(overlay.state_mut(index), IN_FLIGHT);
                let extra = overlay.extras.get_mut(&index);
                if before == IN_FLIGHT {
                    // A restart lay between the two: the first delivery was in doubt.
                    let extra = overlay.extras.entry(index).or_default();
                    extra.attempts += 1;
                    extra.flags |= DOUBTFUL;
                } else if let Some(extra) = extra {
                    extra.detail = 0;
                }
            }
        }
        Ok(())
    }

    /// The batch a log entry changes, unless its state record already contains the entry.
    fn touch(&mut self, key: Key, sequence: u64) -> Option<(&mut BatchOverlay, u16)> {
        let overlay = self.batches.entry(batches::batch_of(key)).or_default();
        if overlay.as_of.is_some_and(|as_of| as_of >= sequence) {
            return None;
        }
        overlay.changed = true;
        overlay.log_last = sequence;
        Some((overlay, batches::index_of(key)))
    }
}

/// Says which record it was: whoever restores a backup wants to know what is lost.
fn named(error: Fatal, key: &record::Key) -> Fatal {
    let Fatal::Record(error) = error else {
        return error;
    };
    let name = match key {
        record::Key::Identity => "the identity record".to_owned(),
        record::Key::Mark(mark) => format!("the meta record {mark:?}"),
        record::Key::State { batch } => format!("the state record of batch {batch}"),
        record::Key::Log { sequence } => format!("the log record {sequence}"),
        record::Key::Events { sequence } => format!("the events record {sequence}"),
        record::Key::Usage { sequence } => format!("the usage record {sequence}"),
        record::Key::Keys { batch, .. } => format!("the keys record of batch {batch}"),
        record::Key::Batch { batch, first_index } => {
            format!("the batch record of batch {batch}, messages from {first_index} on,")
        }
    };
    Fatal::Stored { name, error }
}

/// Tenant and sender (empty: none) of a body.
fn names_of(body: &[u8]) -> Result<(&[u8], &[u8]), Fatal> {
    let mut reader = Reader::new(body);
    let damaged = |_| Fatal::State("a stored message has no tenant".to_owned());
    let tenant = reader.str().map_err(damaged)?;
    if reader.nil().map_err(damaged)? {
        return Ok((tenant, &[]));
    }
    Ok((tenant, reader.str().map_err(damaged)?))
}

/// Whether a stored body is of that tenant.
pub fn is_tenant(body: &[u8], tenant: &[u8]) -> bool {
    names_of(body).is_ok_and(|(own, _)| own == tenant)
}

/// A stored record before its messages are looked at.
fn recovered_slot(first: u16, value: &[u8]) -> RecordSlot {
    RecordSlot {
        first,
        live: 0,
        bytes: batches::remembered_bytes(value),
        body_bytes_max: 0,
        cache: batches::NONE,
        touched: 0,
        want: batches::NONE,
    }
}

/// Where work is stored for a destination that is not configured: it waits, paused.
fn orphaned() -> DestinationFields {
    DestinationFields {
        paused: true,
        ..DestinationFields::default()
    }
}

impl Shard {
    /// The initial entities, before recovery: an exchange input of `configure` entries.
    pub fn configure(&mut self, now_us: u64, input: &[u8]) -> Result<(), Fatal> {
        self.now_us = self.now_us.max(now_us);
        for entry in InputReader::new(input)? {
            let entry = entry?;
            if entry.op != InputOp::Configure {
                return Err(Fatal::State(
                    "only configure entries come before recovery".to_owned(),
                ));
            }
            self.configure_entry(0, entry.bytes)?;
        }
        Ok(())
    }

    /// Takes stored records as a journal of puts: meta, then states, log and batches in key order.
    pub fn recover(&mut self, now_us: u64, chunk: &[u8]) -> Result<(), Fatal> {
        self.now_us = self.now_us.max(now_us);
        let mut overlay = self
            .recovering
            .take()
            .ok_or_else(|| Fatal::State("recovery is over".to_owned()))?;
        for entry in JournalReader::new(chunk)? {
            let JournalEntry::Put { key, value } = entry? else {
                return Err(Fatal::State("recovery takes puts only".to_owned()));
            };
            let kind = parse_key(key)
                .ok_or_else(|| Fatal::State(format!("an unknown key: {key:02x?}")))?;
            self.recover_record(&mut overlay, &kind, value)
                .map_err(|error| named(error, &kind))?;
        }
        self.recovering = Some(overlay);
        Ok(())
    }

    fn recover_record(
        &mut self,
        overlay: &mut Overlay,
        key: &record::Key,
        value: &[u8],
    ) -> Result<(), Fatal> {
        match *key {
            record::Key::Identity => {}
            record::Key::Keys { hour, batch } => self.idempotency.recover(hour, batch, value)?,
            record::Key::Mark(Mark::Ceiling) => {
                overlay.ceiling = parse_mark(value, Mark::Ceiling)?;
            }
            record::Key::Mark(Mark::Through) => {
                overlay.through = parse_mark(value, Mark::Through)?;
            }
            record::Key::Mark(Mark::Events) => {
                overlay.events_ceiling = parse_mark(value, Mark::Events)?;
            }
            record::Key::Mark(Mark::Usage) => {
                overlay.usage_ceiling = parse_mark(value, Mark::Usage)?;
            }
            record::Key::Events { sequence } => self.events.told.recover(sequence, value)?,
            record::Key::Usage { sequence } => self.usage.told.recover(sequence, value)?,
            record::Key::State { batch } => overlay.state(batch, value)?,
            record::Key::Log { sequence } => overlay.log(sequence, value)?,
            record::Key::Batch { batch, first_index } => {
                overlay.filling = true;
                self.recover_batch(overlay, batches::key(batch, first_index), value)?;
            }
        }
        Ok(())
    }

    fn recover_batch(
        &mut self,
        overlay: &mut Overlay,
        first: Key,
        value: &[u8],
    ) -> Result<(), Fatal> {
        let parsed = BatchRecord::parse(value)?;
        let number = parsed.batch();
        if batches::key(number, parsed.message(0).index) != first {
            return Err(Fatal::State(format!(
                "the record under {first:x} is another's"
            )));
        }
        if overlay.last_key.is_some_and(|last| last >= first) {
            return Err(Fatal::State(format!(
                "the record under {first:x} is out of order"
            )));
        }
        overlay.last_key = Some(first);
        let places: Vec<u32> = parsed
            .destinations()
            .map(|name| self.recover_destination(name))
            .collect();
        let hash = batch_hash(&self.options.hash_key, self.options.shard, number);
        if self.batches.get(number).is_none() {
            self.batches
                .insert(number, Batch::new(parsed.accepted_ms(), hash));
        }
        let mut known = overlay.batches.get_mut(&number);
        let mut slot = recovered_slot(parsed.message(0).index, value);
        for message in parsed.messages() {
            let index = message.index;
            let state = known
                .as_mut()
                .map_or(WAITING, |known| *known.state_mut(index));
            let extra = known
                .as_ref()
                .and_then(|known| known.extras.get(&index).copied())
                .unwrap_or_default();
            let key = batches::key(number, index);
            slot.body_bytes_max = slot.body_bytes_max.max(message.body.len() as u32);
            let batch = self.batches.get_mut(number).expect("just made");
            let options = message.options();
            let has_callback = state != GONE && !options.callback.is_empty();
            if has_callback {
                batch.set_callback(index);
            }
            if state == GONE {
                batch.put_cell(index, GONE, 1, 0);
                continue;
            }
            let (tenant, _) = names_of(message.body)?;
            if !batches::is_live(state) {
                batch.put_cell(index, GONE, options.cost, 0);
                batch.own(&mut self.usage.accounts, number, index, tenant);
                let ended_ms = known
                    .as_ref()
                    .and_then(|known| known.ends.get(&index).copied());
                batch.recover_end(index, state, ended_ms);
                if !extra.is_empty() {
                    self.keep_extra(key, extra);
                }
                continue;
            }
            slot.live += 1;
            batch.live += 1;
            batch.put_cell(index, state, options.cost, message.body.len());
            batch.own(&mut self.usage.accounts, number, index, tenant);
            let place = places[usize::from(message.destination)];
            let known = known.as_deref();
            let was = Was {
                state,
                extra,
                has_callback,
                scheduled: options.at_ms > 0
                    && known.is_none_or(|known| known.is_as_accepted(index, state)),
            };
            self.recover_message(key, place, &message, was)?;
        }
        let stored = known.as_ref().is_some_and(|known| known.as_of.is_some());
        let changed = known.as_ref().is_some_and(|known| known.changed);
        let (log_last, ended_ms) = known.map_or((0, 0), |known| (known.log_last, known.ended_ms));
        let batch = self.batches.get_mut(number).expect("just made");
        batch.ended_ms = ended_ms;
        (batch.log_first, batch.log_last) = (parsed.log(), log_last.max(parsed.log()));
        batch.kept += 1;
        if slot.live == 0 {
            self.ended_bytes += u64::from(slot.bytes);
            self.ended.push_back(Ended {
                at_ms: ended_ms.max(parsed.accepted_ms()),
                key: first,
            });
        }
        batch.records.push(slot);
        batch.stored = stored;
        if changed && !batch.dirty {
            batch.dirty = true;
            self.checkpoint.dirty.push(number);
        }
        Ok(())
    }

    fn recover_destination(&mut self, name: &str) -> u32 {
        if let Some(&place) = self.destination_names.get(name.as_bytes()) {
            return place;
        }
        let place = self.put_destination(name, orphaned());
        self.destinations[place as usize].exists = false;
        place
    }

    /// Queues one message as it stood.
    fn recover_message(
        &mut self,
        key: Key,
        place: u32,
        message: &BatchMessage<'_>,
        was: Was,
    ) -> Result<(), Fatal> {
        let (tenant, sender) = names_of(message.body)?;
        let fields = &self.destinations[place as usize].fields;
        let Was {
            state, mut extra, ..
        } = was;
        if state == DEAD {
            let in_doubt = extra.flags & DEAD_IN_DOUBT != 0;
            extra.flags &= !DEAD_IN_DOUBT;
            self.extras.insert(key, extra);
            let reason = if in_doubt {
                REASON_DEAD_IN_DOUBT
            } else {
                REASON_DEAD_ATTEMPTS
            };
            self.note_dead(place, key, reason);
            return Ok(());
        }
        if state == IN_FLIGHT {
            extra.attempts += 1;
            extra.flags |= DOUBTFUL;
            let in_doubt = fields.on_doubt == OnDoubt::Fail;
            if in_doubt || extra.attempts >= fields.attempts_max {
                let reason = if in_doubt {
                    REASON_DEAD_IN_DOUBT
                } else {
                    REASON_DEAD_ATTEMPTS
                };
                self.die_at_recovery(place, key, extra, reason);
                return Ok(());
            }
            self.in_doubt.push(record::Return {
                key,
                reason: REASON_RESTART,
                attempts: extra.attempts,
                due_ms: 0,
                flags: extra.flags,
            });
        }
        let mut options = message.options();
        let of = QueueOf::of(sender, &options);
        let (_, queue) = self
            .queue_node(place, tenant, of)
            .map_err(|code| Fatal::State(format!("a stored message found no queue: {code:?}")))?;
        if extra.flags & REPLAYED != 0 {
            self.begin_validity(key, place, queue, options.expires_ms);
            let batch = self.batches.get_mut(batches::batch_of(key));
            let batch = batch.expect("it is being recovered");
            batch.set_flag(batches::index_of(key), OWN_EXPIRY);
            options.expires_ms = 0;
        }
        self.recover_queued(key, place, queue, Was { extra, ..was }, &options);
        if was.has_callback && was.scheduled && self.state_of(key) == WAITING {
            self.due_at_restart.push(key);
        }
        Ok(())
    }

    fn recover_queued(
        &mut self,
        key: Key,
        place: u32,
        queue: NodeId,
        was: Was,
        options: &MessageOptions<'_>,
    ) {
        let Was {
            state, mut extra, ..
        } = was;
        let (number, index) = (batches::batch_of(key), batches::index_of(key));
        let now_ms = self.now_us / 1000;
        self.counters.waiting += 1;
        let batch = self.batches.get_mut(number).expect("it is being recovered");
        let bytes = batch.body_bytes(index);
        if options.expires_ms > 0 {
            batch.set_flag(index, OWN_EXPIRY);
        }
        let timed = state == TIMED && extra.detail > now_ms;
        // Only a message that was never due is scheduled.
        let scheduled =
            matches!(state, WAITING | SCHEDULED) && options.at_ms > now_ms && extra.is_empty();
        // That it was due was told.
        let scheduled = scheduled && (was.scheduled || !was.has_callback);
        batch.set_state(
            index,
            match (timed, scheduled) {
                (true, _) => TIMED,
                (_, true) => SCHEDULED,
                _ => WAITING,
            },
        );
        self.enter(place, queue, bytes);
        if timed {
            if options.expires_ms > 0 {
                self.push_expiry(options.expires_ms, key, place, queue);
            }
            let destination = &mut self.destinations[place as usize];
            destination.tree.hold(queue);
            let entry = destination.queue_mut(queue);
            entry.timed += 1;
            entry.costed |= options.cost != 1;
            destination.surcharge(queue, options.cost);
            self.timers
                .push(Timer::new(extra.detail, Kind::Due, key, place, queue));
            self.keep_order(place, queue);
        } else {
            extra.detail = 0;
            let at_ms = if scheduled { options.at_ms } else { 0 };
            let options = MessageOptions { at_ms, ..*options };
            self.queue_with_options(place, queue, key, &options);
        }
        if !extra.is_empty() {
            self.extras.insert(key, extra);
        }
    }

    /// A message in doubt that is not sent again: the first step writes that down.
    fn die_at_recovery(&mut self, place: u32, key: Key, extra: Extra, reason: u8) {
        let now_ms = self.now_us / 1000;
        self.counters.failed_final += 1;
        self.died.push(record::Return {
            key,
            reason,
            attempts: extra.attempts,
            due_ms: now_ms,
            flags: extra.flags,
        });
        self.extras.insert(
            key,
            Extra {
                detail: now_ms,
                ..extra
            },
        );
        let batch = self.batches.get_mut(batches::batch_of(key));
        let batch = batch.expect("it is being recovered");
        batch.set_state(batches::index_of(key), DEAD);
        self.note_dead(place, key, reason);
    }

    /// Ends recovery: numbers go on where they cannot have been used before.
    pub fn recover_finish(&mut self, now_us: u64) -> Result<(), Fatal> {
        self.now_us = self.now_us.max(now_us);
        let overlay = self
            .recovering
            .take()
            .ok_or_else(|| Fatal::State("recovery is over".to_owned()))?;
        let newest = overlay.last_key.map_or(0, batches::batch_of);
        if overlay.last_key.is_some() && newest >= overlay.ceiling {
            return Err(Fatal::State(format!(
                "batch {newest} is at or above the ceiling {}",
                overlay.ceiling
            )));
        }
        self.events.told.recover_finish(overlay.events_ceiling)?;
        self.usage.told.recover_finish(overlay.usage_ceiling)?;
        self.recover_caps();
        self.next_batch = overlay.ceiling.max(1);
        self.ceiling = self.next_batch + super::BATCH_RESERVE;
        self.ceiling_changed = true;
        self.next_log = overlay.last_log.max(overlay.through) + 1;
        self.log_bytes = overlay.log_bytes;
        self.checkpoint.through = overlay.through;
        self.checkpoint.deleted = overlay
            .first_log
            .map_or(overlay.through, |first| (first - 1).min(overlay.through));
        self.checkpoint
            .keep(overlay.through, overlay.kept_log_bytes, now_us / 1000);
        self.committed_log = self.next_log - 1;
        self.counters.dead_letters = self.dead.len() as u64;
        let mut ended: Vec<Ended> = self.ended.drain(..).collect();
        ended.sort_by_key(|ended| ended.at_ms);
        self.ended = ended.into();
        for place in 0..self.destinations.len() as u32 {
            self.note_expiry(place, self.now_us);
            self.list(place);
        }
        Ok(())
    }
}
