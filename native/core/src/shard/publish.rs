//! Publish: a frame is checked as a whole, then each message is queued or refused on its own.

use super::batches::{self, Batch, RecordSlot, WAITING};
use super::destination::Owner;
use super::{OpenBatch, Shard};
use crate::client_frame::{FrameError, append_body, decode_publish};
use crate::daemon_frame::{Refused, write_publish_ok};
use crate::error::Code;
use crate::limits;
use crate::message_id::{MessageId, batch_hash};
use crate::record::{self, ClosedRecord};

/// Indices of one batch.
const BATCH_INDICES: u32 = record::BATCH_INDEXES_MAX as u32;

/// Told to a publisher that met a full queue; queues drain at the destination's pace, not at ours.
const FULL_RETRY_AFTER_MS: u64 = 1000;

fn refusal(code: Code, id: u32, index: Option<usize>, message: String) -> FrameError {
    FrameError {
        code,
        id,
        index: index.map(|index| index as u32),
        key: None,
        message,
    }
}

impl Shard {
    pub(super) fn publish(&mut self, connection: u32, frame: &[u8]) {
        let mut items = std::mem::take(&mut self.publish_items);
        let result = self.publish_items(connection, frame, &mut items);
        self.publish_items = items;
        if let Err(error) = result {
            let refused = self.refused.entry(error.code.number()).or_default();
            *refused += 1;
            self.counters.refused += 1;
            self.reply_frame_error(connection, &error);
        }
    }

    fn publish_items(
        &mut self,
        connection: u32,
        frame: &[u8],
        items: &mut Vec<crate::client_frame::PublishItem>,
    ) -> Result<(), FrameError> {
        let head = decode_publish(frame, items)?;
        let id = head.id;
        let Some(client) = self.connections.get(&connection) else {
            return Ok(());
        };
        let own: Box<[u8]> = client.tenant.clone();
        for (index, item) in items.iter().enumerate() {
            match item.tenant(frame) {
                None if own.is_empty() => {
                    let message =
                        format!("message {index} names no tenant, which a platform token has to");
                    return Err(refusal(Code::TenantRequired, id, Some(index), message));
                }
                Some(tenant) if !own.is_empty() && *tenant != *own => {
                    let message = format!("message {index} names another tenant than the token's");
                    return Err(refusal(Code::TenantForbidden, id, Some(index), message));
                }
                _ => {}
            }
        }
        let place = self
            .destination_names
            .get(head.destination.as_bytes())
            .copied()
            .filter(|&place| self.destinations[place as usize].exists);
        let Some(place) = place else {
            let message = format!("there is no destination \"{}\"", head.destination);
            return Err(refusal(Code::UnknownDestination, id, None, message));
        };
        if self.disk_full {
            let message = "the disk is nearly full; settlements go on, publishes wait".to_owned();
            return Err(refusal(Code::DiskFull, id, None, message));
        }
        self.accept(connection, frame, place, id, &own, items);
        Ok(())
    }

    /// Queues what there is room for and answers the frame.
    fn accept(
        &mut self,
        connection: u32,
        frame: &[u8],
        place: u32,
        id: u32,
        own: &[u8],
        items: &[crate::client_frame::PublishItem],
    ) {
        let base = self.open_batch(items.len() as u32);
        let mut open = self.open.take().expect("a batch was opened");
        let mut refused: Vec<Refused> = Vec::new();
        let mut accepted = 0u32;
        for (position, item) in items.iter().enumerate() {
            let tenant = item.tenant(frame).unwrap_or(own);
            let sender = item.sender(frame).unwrap_or_default();
            let room = self.room_for(place, tenant, sender);
            let (tenant_node, queue_node) = match room {
                Ok(nodes) => nodes,
                Err(code) => {
                    *self.refused.entry(code.number()).or_default() += 1;
                    refused.push(Refused {
                        index: position as u32,
                        code: code.number(),
                        retry_after_ms: Some(FULL_RETRY_AFTER_MS),
                    });
                    continue;
                }
            };
            let index = (base + position as u32) as u16;
            let name = &self.destinations[place as usize].name;
            let closed = self.builder.push(index, place, name, None, |out| {
                append_body(frame, item, own, out);
            });
            if let Some(closed) = closed {
                open.closed.push((closed, open.body_bytes_max));
                open.body_bytes_max = 0;
            }
            let body_bytes = item.body_bytes_max(own) as u32;
            open.body_bytes_max = open.body_bytes_max.max(body_bytes);
            open.states[usize::from(index)] = WAITING;
            let destination = &mut self.destinations[place as usize];
            destination
                .queue_mut(queue_node)
                .push(batches::key(open.number, index));
            destination.tree.enqueue(queue_node, 1, self.now_us);
            if let Owner::Tenant { accepted, .. } = destination.owner_mut(tenant_node) {
                *accepted += 1;
            }
            accepted += 1;
        }
        open.accepted += accepted;
        let (number, hash) = (open.number, open.hash);
        self.open = Some(open);
        self.counters.accepted += u64::from(accepted);
        self.counters.waiting += u64::from(accepted);
        self.counters.refused += refused.len() as u64;
        if accepted > 0 {
            self.list(place);
        }
        if id > 0 {
            let first = (accepted > 0)
                .then(|| MessageId::new(hash, self.options.shard, number, base as u16));
            self.reply(connection, |out| {
                write_publish_ok(out, id, first.as_ref(), items.len() as u32, &refused, &[]);
            });
        } else if let Some(first) = refused.first() {
            let code = first.code;
            let message = format!("{} of {} messages were refused", refused.len(), items.len());
            let index = first.index;
            self.reply_error(
                connection,
                0,
                code,
                &message,
                Some(index),
                first.retry_after_ms,
            );
        }
    }

    /// Makes sure of a batch with room for `count` indices and gives the first of them.
    fn open_batch(&mut self, count: u32) -> u32 {
        if let Some(open) = &mut self.open
            && open.next_index + count <= BATCH_INDICES
        {
            let base = open.next_index;
            open.next_index += count;
            open.states.resize(open.next_index as usize, batches::GONE);
            return base;
        }
        self.close_batch();
        let number = self.next_batch;
        self.next_batch += 1;
        let hash = batch_hash(&self.options.hash_key, self.options.shard, number);
        self.builder
            .begin(number, self.now_us / 1000, self.next_log);
        self.open = Some(OpenBatch {
            number,
            hash,
            next_index: count,
            states: vec![batches::GONE; count as usize],
            closed: Vec::new(),
            body_bytes_max: 0,
            accepted: 0,
        });
        0
    }

    /// Turns the open batch into records of the journal and an entry of the table.
    pub(super) fn close_batch(&mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        if let Some(last) = self.builder.finish() {
            open.closed.push((last, open.body_bytes_max));
        }
        if open.accepted == 0 {
            return;
        }
        let mut batch = Batch::new(self.now_us / 1000, open.hash);
        batch.states = open.states;
        batch.live = open.accepted;
        batch.records.reserve_exact(open.closed.len());
        for (closed, body_bytes_max) in open.closed {
            self.journal.put(&closed.key(), &closed.value);
            let slot = self.record_slot(closed, body_bytes_max);
            batch.records.push(slot);
        }
        self.batches.insert(open.number, batch);
    }

    fn record_slot(&mut self, closed: ClosedRecord, body_bytes_max: u32) -> RecordSlot {
        let owner = batches::key(closed.batch, closed.first_index);
        let value = closed.value.into_boxed_slice();
        RecordSlot {
            first: closed.first_index,
            live: closed.count,
            body_bytes_max,
            cache: self.cache.insert(owner, self.exchange, value),
            touched: 0,
            want: batches::NONE,
        }
    }

    /// The nodes for one more message, or why there is no room.
    fn room_for(&mut self, place: u32, tenant: &[u8], sender: &[u8]) -> Result<(u32, u32), Code> {
        let held = self.counters.waiting + self.counters.in_flight;
        if held >= limits::MESSAGES_PER_SHARD as u64 {
            return Err(Code::ShardFull);
        }
        let (tenant_node, queue_node) = self.queue_node(place, tenant, sender)?;
        let tree = &self.destinations[place as usize].tree;
        if tree.waiting(queue_node) as usize >= limits::MESSAGES_PER_QUEUE {
            return Err(Code::QueueFull);
        }
        Ok((tenant_node, queue_node))
    }
}
