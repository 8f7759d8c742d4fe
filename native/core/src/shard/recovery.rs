//! Rebuilding a shard from its records: states, then the log, then the batches fill the queues.

use super::batches::{self, Batch, GONE, IN_FLIGHT, Key, RecordSlot, TIMED, WAITING};
use super::{DOUBTFUL, Extra, Fatal, REASON_RESTART, Shard};
use crate::exchange::{DestinationFields, InputOp, InputReader, OnDoubt};
use crate::message_id::batch_hash;
use crate::msgpack::Reader;
use crate::record::{
    self, BatchRecord, JournalEntry, JournalReader, LogRecord, Mark, StateRecord, parse_key,
    parse_mark,
};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// What states and log say, before the batches are read.
#[derive(Default)]
pub struct Overlay {
    ceiling: u64,
    through: u64,
    first_log: Option<u64>,
    last_log: u64,
    log_bytes: u64,
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

impl Overlay {
    fn state(&mut self, batch: u64, value: &[u8]) -> Result<(), Fatal> {
        let record = StateRecord::parse(value)?;
        let mut overlay = BatchOverlay {
            as_of: Some(record.as_of()),
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
            entry.due_ms = extra.due_ms;
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
            return Ok(());
        }
        self.log_bytes += value.len() as u64;
        for back in record.returns() {
            if let Some((overlay, index)) = self.touch(back.key, sequence) {
                *overlay.state_mut(index) = if back.due_ms > 0 { TIMED } else { WAITING };
                let extra = overlay.extras.entry(index).or_default();
                extra.attempts = back.attempts;
                extra.due_ms = back.due_ms;
                extra.flags = back.flags;
            }
        }
        for (_, runs) in record.settled() {
            for key in runs.flat_map(record::Run::keys) {
                if let Some((overlay, index)) = self.touch(key, sequence) {
                    *overlay.state_mut(index) = GONE;
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
                    extra.due_ms = 0;
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
            record::Key::Identity | record::Key::Keys { .. } => {}
            record::Key::Mark(Mark::Ceiling) => {
                overlay.ceiling = parse_mark(value, Mark::Ceiling)?;
            }
            record::Key::Mark(Mark::Through) => {
                overlay.through = parse_mark(value, Mark::Through)?;
            }
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
        let mut slot = RecordSlot {
            first: parsed.message(0).index,
            live: 0,
            body_bytes_max: 0,
            cache: batches::NONE,
            touched: 0,
            want: batches::NONE,
        };
        for message in parsed.messages() {
            let state = known
                .as_mut()
                .map_or(WAITING, |known| *known.state_mut(message.index));
            let extra = known
                .as_ref()
                .and_then(|known| known.extras.get(&message.index).copied())
                .unwrap_or_default();
            let key = batches::key(number, message.index);
            let batch = self.batches.get_mut(number).expect("just made");
            batch.states.resize(usize::from(message.index) + 1, GONE);
            slot.body_bytes_max = slot.body_bytes_max.max(message.body.len() as u32);
            if state == GONE {
                continue;
            }
            slot.live += 1;
            batch.live += 1;
            let place = places[usize::from(message.destination)];
            let state = self.recover_message(key, place, message.body, state, extra)?;
            let batch = self.batches.get_mut(number).expect("just made");
            batch.states[usize::from(message.index)] = state;
        }
        let stored = known.as_ref().is_some_and(|known| known.as_of.is_some());
        let changed = known.is_some_and(|known| known.changed);
        let batch = self.batches.get_mut(number).expect("just made");
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

    /// Queues one message as it stood; returns its state.
    fn recover_message(
        &mut self,
        key: Key,
        place: u32,
        body: &[u8],
        state: u8,
        mut extra: Extra,
    ) -> Result<u8, Fatal> {
        let (tenant, sender) = names_of(body)?;
        let (_, queue) = self
            .queue_node(place, tenant, sender)
            .map_err(|code| Fatal::State(format!("a stored message found no queue: {code:?}")))?;
        let now_us = self.now_us;
        self.counters.waiting += 1;
        let destination = &mut self.destinations[place as usize];
        if state == IN_FLIGHT {
            extra.attempts += 1;
            extra.flags |= DOUBTFUL;
            let fields = &destination.fields;
            if fields.on_doubt == OnDoubt::Fail || extra.attempts >= fields.attempts_max {
                self.given_up.push(key);
                return Ok(WAITING);
            }
            self.in_doubt.push(record::Return {
                key,
                reason: REASON_RESTART,
                attempts: extra.attempts,
                due_ms: 0,
                flags: extra.flags,
            });
        }
        extra.destination = place;
        extra.queue = queue;
        let timed = state == TIMED && extra.due_ms * 1000 > now_us;
        if timed {
            destination.tree.hold(queue);
            self.timers.push(Reverse((extra.due_ms * 1000, key)));
            self.keep_order(place, queue);
        } else {
            extra.due_ms = 0;
            destination.queue_mut(queue).push(key);
            destination.tree.enqueue(queue, 1, now_us);
        }
        if extra.attempts > 0 || extra.flags > 0 || extra.due_ms > 0 {
            self.extras.insert(key, extra);
        }
        Ok(if timed { TIMED } else { WAITING })
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
        self.next_batch = overlay.ceiling.max(1);
        self.ceiling = self.next_batch + super::BATCH_RESERVE;
        self.ceiling_changed = true;
        self.next_log = overlay.last_log.max(overlay.through) + 1;
        self.log_bytes = overlay.log_bytes;
        self.checkpoint.through = overlay.through;
        self.checkpoint.deleted = overlay
            .first_log
            .map_or(overlay.through, |first| (first - 1).min(overlay.through));
        self.drop_empty_records();
        for place in 0..self.destinations.len() as u32 {
            self.list(place);
        }
        Ok(())
    }

    /// Records whose last message was settled in the log: deleted by the next step's transaction.
    fn drop_empty_records(&mut self) {
        let mut empty: Vec<u64> = self
            .batches
            .iter()
            .filter(|(_, batch)| batch.records.iter().any(|record| record.live == 0))
            .map(|(number, _)| number)
            .collect();
        empty.sort_unstable();
        for number in empty {
            let batch = self.batches.get_mut(number).expect("just seen");
            for record in batch.records.iter().filter(|record| record.live == 0) {
                self.dropped.push(batches::key(number, record.first));
            }
            if batch.live == 0 {
                self.batches.remove(number);
            }
        }
    }
}
