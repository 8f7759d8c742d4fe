//! Effects: replies, closes and deliveries of one exchange, those of a connection together.

use super::batches::{self, NONE};
use super::{DeliverFrame, Fatal, Handed, Shard, Want};
use crate::daemon_frame::{Delivery, write_deliver_header, write_delivery};
use crate::exchange::{
    EFFECTS_HEADER_BYTES, EffectOp, EffectsHeader, begin_effect, end_effect, write_effects_header,
};
use crate::message_id::MessageId;
use crate::record::{BatchMessage, BatchRecord, MESSAGE_OPTIONS};

impl Shard {
    pub(super) fn reply(&mut self, connection: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.replies.frame(connection, write);
    }

    pub(super) fn reply_json(&mut self, request: u32, text: &str) {
        self.replies.json(request, text.as_bytes());
    }

    /// The record for `wants[index]`, as it was read back.
    pub fn provide(&mut self, index: usize, record: &[u8]) -> Result<(), Fatal> {
        let Some(&want) = self.wants.get(index) else {
            return Err(Fatal::State(format!("no record {index} was wanted")));
        };
        self.provided.resize_with(self.wants.len(), || None);
        let Want::Batch(owner) = want else {
            self.provided[index] = Some(record.into());
            return Ok(());
        };
        let parsed = BatchRecord::parse(record)?;
        if batches::key(parsed.batch(), parsed.message(0).index) != owner {
            return Err(Fatal::State(format!(
                "another record was provided for {owner:x}"
            )));
        }
        self.provided[index] = Some(record.into());
        Ok(())
    }

    /// Writes the effects into `output`: the bytes written, or `Err(needed)` when it is too small.
    pub fn emit(&mut self, output: &mut [u8]) -> Result<Result<usize, usize>, Fatal> {
        if !self.effects_ready {
            self.read_lookups()?;
            self.encode()?;
            self.effects_ready = true;
        }
        let bytes = self.effects.len();
        if output.len() < bytes {
            return Ok(Err(bytes));
        }
        output[..bytes].copy_from_slice(&self.effects);
        self.keep_provided();
        Ok(Ok(bytes))
    }

    fn encode(&mut self) -> Result<(), Fatal> {
        let mut effects = std::mem::take(&mut self.effects);
        effects.clear();
        effects.resize(EFFECTS_HEADER_BYTES, 0);
        let told = self.encode_events(&mut effects)? + self.encode_usage(&mut effects)?;
        // Entries of a connection stand together: answers in order, then deliveries.
        let mut order: Vec<(u32, u32)> =
            Vec::with_capacity(self.replies.list().len() + self.frames.len());
        let replies = self.replies.list().len() as u32;
        order.extend(
            self.replies
                .list()
                .iter()
                .zip(0..)
                .map(|(reply, at)| (reply.connection, at)),
        );
        order.extend(
            self.frames
                .iter()
                .zip(replies..)
                .map(|(frame, at)| (frame.connection, at)),
        );
        order.sort_by_key(|&(connection, _)| connection);
        for (connection, at) in order {
            if at < replies {
                let reply = self.replies.list()[at as usize];
                self.replies.encode(reply, &mut effects);
            } else {
                let frame = self.frames[(at - replies) as usize];
                let start = begin_effect(&mut effects, EffectOp::Send, connection);
                self.encode_frame(&frame, &mut effects)?;
                end_effect(&mut effects, start);
            }
        }
        let header = EffectsHeader {
            entries: told + replies + self.frames.len() as u32,
            exchange: self.exchange,
            boot_id: self.options.boot_id,
            wake_after_ms: self.wake_after_ms(),
            counters: self.counters,
        };
        write_effects_header(&mut effects, &header);
        self.effects = effects;
        Ok(())
    }

    fn encode_frame(&self, frame: &DeliverFrame, effects: &mut Vec<u8>) -> Result<(), Fatal> {
        write_deliver_header(effects, frame.subscription, frame.count as usize);
        let mut at = frame.first;
        // Neighbours mostly lie in one record, which is then parsed once.
        let mut parsed: Option<((u32, u32), BatchRecord<'_>)> = None;
        while at != NONE {
            let handed = &self.handed[at as usize];
            let source = (handed.cache, handed.want);
            if parsed.as_ref().is_none_or(|(known, _)| *known != source) {
                parsed = Some((source, BatchRecord::trusted(self.record_bytes(handed)?)));
            }
            let record = &parsed.as_ref().expect("just parsed").1;
            let index = batches::index_of(handed.key);
            let message = record
                .find(index)
                .map(|place| record.message(place))
                .ok_or_else(|| Fatal::State(format!("{:x} is not in its record", handed.key)))?;
            let batch = batches::batch_of(handed.key);
            let delivery = Delivery {
                delivery: handed.delivery,
                id: MessageId::new(handed.hash, self.options.shard, batch, index),
                attempt: handed.attempt,
                accepted_ms: handed.accepted_ms,
                flags: handed.flags,
                expires_ms: Some(self.expires_ms(handed, &message)),
            };
            write_delivery(effects, &delivery, message.body);
            at = handed.next;
        }
        Ok(())
    }

    fn expires_ms(&self, handed: &Handed, message: &BatchMessage<'_>) -> u64 {
        if let Some(timer) = self.replayed.get(&handed.key) {
            return timer.at_ms();
        }
        if message.flags & MESSAGE_OPTIONS != 0 {
            let own_ms = message.options().expires_ms;
            if own_ms > 0 {
                return own_ms;
            }
        }
        let fields = &self.destinations[handed.destination as usize].fields;
        handed.accepted_ms.saturating_add(fields.validity_ms)
    }

    fn record_bytes(&self, handed: &Handed) -> Result<&[u8], Fatal> {
        if handed.cache != NONE {
            return Ok(self.cache.get(handed.cache));
        }
        self.provided
            .get(handed.want as usize)
            .and_then(Option::as_deref)
            .ok_or_else(|| Fatal::State(format!("record of {:x} was not provided", handed.key)))
    }

    /// Records read back stay at hand for the messages beside the ones just delivered.
    fn keep_provided(&mut self) {
        let mut provided = std::mem::take(&mut self.provided);
        for (value, want) in provided.iter_mut().zip(&self.wants) {
            let (Some(value), &Want::Batch(owner)) = (value.take(), want) else {
                continue;
            };
            let Some(batch) = self.batches.get_mut(batches::batch_of(owner)) else {
                continue;
            };
            let place = batch.record_of(batches::index_of(owner));
            let record = &mut batch.records[place];
            if record.cache == NONE && record.live > 0 {
                record.cache = self.cache.insert(owner, 0, value);
            }
        }
        provided.clear();
        self.provided = provided;
    }
}
