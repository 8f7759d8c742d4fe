//! Publish: a frame is checked as a whole, then each message is queued or refused on its own.

use super::admission::Asked;
use super::batches::{
    self, Batch, Cells, IN_FLIGHT, Key, OWN_EXPIRY, RecordSlot, SCHEDULED, WAITING,
};
use super::caps::RestOfFrame;
use super::destination::{Owner, QueueOf};
use super::message_json::status_of_state;
use super::timers::{Kind, Timer};
use super::usage::Counted;
use super::{OpenBatch, Shard};
use crate::client_frame::{
    FrameError, PublishHead, PublishItem, PublishOptions, append_body, decode_publish,
};
use crate::daemon_frame::{Refused, Repeated, write_publish_ok};
use crate::error::Code;
use crate::limits;
use crate::message_id::{MessageId, batch_hash};
use crate::record::{self, ClosedRecord, MessageOptions};
use crate::tree::NodeId;

/// Indices of one batch.
const BATCH_INDICES: u32 = record::BATCH_INDEXES_MAX as u32;

/// Told to a publisher that met a full queue; queues drain at the destination's pace, not at ours.
const FULL_RETRY_AFTER_MS: u64 = 1000;
/// Keys leave with their hour.
const KEYS_RETRY_AFTER_MS: u64 = 60_000;

fn refusal(code: Code, id: u32, index: Option<usize>, message: String) -> FrameError {
    FrameError {
        code,
        id,
        index: index.map(|index| index as u32),
        key: None,
        message,
    }
}

/// Why one message of a frame was not taken.
struct NotTaken {
    code: Code,
    retry_after_ms: Option<u64>,
}

impl NotTaken {
    const fn full(code: Code) -> Self {
        Self {
            code,
            retry_after_ms: Some(FULL_RETRY_AFTER_MS),
        }
    }

    const fn faulty(code: Code) -> Self {
        Self {
            code,
            retry_after_ms: None,
        }
    }
}

enum Taken {
    Queued,
    /// Its key came before, with this message.
    Repeats(Key),
}

/// The frame whose messages are being taken.
#[derive(Clone, Copy)]
struct Publishing<'a> {
    frame: &'a [u8],
    place: u32,
    /// The tenant of the connection; empty: the platform.
    own: &'a [u8],
    /// The destination has admission by time.
    by_time: bool,
    /// Some account has a cap.
    by_caps: bool,
    /// The messages from the one that is being taken on.
    rest: &'a [PublishItem],
}

impl<'a> Publishing<'a> {
    const fn rest(&self) -> RestOfFrame<'a> {
        RestOfFrame {
            frame: self.frame,
            items: self.rest,
            own: self.own,
        }
    }
}

/// What a message's options mean now.
struct Plan<'a> {
    stored: MessageOptions<'a>,
    ordered: bool,
    queue_name: &'a [u8],
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
            self.replies.frame_error(connection, &error);
        }
    }

    fn publish_items(
        &mut self,
        connection: u32,
        frame: &[u8],
        items: &mut Vec<PublishItem>,
    ) -> Result<(), FrameError> {
        let head = decode_publish(frame, items)?;
        let Some(own) = self.tenant_of_connection(connection) else {
            return Ok(());
        };
        let place = match self.place_of_frame(frame, &head, &own, items) {
            Ok(place) => place,
            Err(error) => {
                for item in items {
                    let named = item.tenant(frame).filter(|_| own.is_empty());
                    self.count_refused(named.unwrap_or(&own));
                }
                return Err(error);
            }
        };
        let publishing = Publishing {
            frame,
            place,
            own: &own,
            by_time: self.destinations[place as usize].admission.is_some(),
            by_caps: !self.usage.caps.is_empty(),
            rest: items,
        };
        self.accept(connection, head.id, publishing, items);
        Ok(())
    }

    /// The destination of a frame, unless it is refused as a whole.
    fn place_of_frame(
        &self,
        frame: &[u8],
        head: &PublishHead<'_>,
        own: &[u8],
        items: &[PublishItem],
    ) -> Result<u32, FrameError> {
        let id = head.id;
        for (index, item) in items.iter().enumerate() {
            match item.tenant(frame) {
                None if own.is_empty() => {
                    let message =
                        format!("message {index} names no tenant, which a platform token has to");
                    return Err(refusal(Code::TenantRequired, id, Some(index), message));
                }
                Some(tenant) if !own.is_empty() && tenant != own => {
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
        if self.destinations[place as usize].fields.refuse_new {
            let message = format!("{} takes no new work for now", head.destination);
            return Err(refusal(Code::RefusingNew, id, None, message));
        }
        if self.disk_full {
            let message = "the disk is nearly full; settlements go on, publishes wait".to_owned();
            return Err(refusal(Code::DiskFull, id, None, message));
        }
        Ok(place)
    }

    /// Queues what there is room for and answers the frame.
    fn accept(
        &mut self,
        connection: u32,
        id: u32,
        publishing: Publishing<'_>,
        items: &[PublishItem],
    ) {
        if publishing.by_caps {
            self.begin_frame_of_caps();
        }
        let base = self.open_batch(items.len() as u32);
        let mut open = self.open.take().expect("a batch was opened");
        let mut refused: Vec<Refused> = Vec::new();
        let mut repeats: Vec<(u32, Key)> = Vec::new();
        let mut accepted = 0_u32;
        for (position, item) in items.iter().enumerate() {
            let index = (base + position as u32) as u16;
            let publishing = Publishing {
                rest: &items[position..],
                ..publishing
            };
            match self.take_message(publishing, item, &mut open, index) {
                Ok(Taken::Queued) => accepted += 1,
                Ok(Taken::Repeats(key)) => repeats.push((position as u32, key)),
                Err(NotTaken {
                    code,
                    retry_after_ms,
                }) => {
                    *self.refused.entry(code.number()).or_default() += 1;
                    let own = publishing.own;
                    self.count_refused(item.tenant(publishing.frame).unwrap_or(own));
                    refused.push(Refused {
                        index: position as u32,
                        code: code.number(),
                        retry_after_ms,
                    });
                }
            }
        }
        if publishing.by_caps {
            self.end_frame_of_caps();
        }
        open.accepted += accepted;
        let (number, hash) = (open.number, open.hash);
        self.open = Some(open);
        self.counters.accepted += u64::from(accepted);
        self.counters.waiting += u64::from(accepted);
        self.counters.refused += refused.len() as u64;
        self.counters.repeated += repeats.len() as u64;
        if accepted > 0 {
            self.list(publishing.place);
            self.note_accepted(publishing.place);
        }
        let first =
            (accepted > 0).then(|| MessageId::new(hash, self.options.shard, number, base as u16));
        self.answer_publish(
            connection,
            id,
            first,
            items.len() as u32,
            &refused,
            &repeats,
        );
    }

    fn answer_publish(
        &mut self,
        connection: u32,
        id: u32,
        first: Option<MessageId>,
        count: u32,
        refused: &[Refused],
        repeats: &[(u32, Key)],
    ) {
        if id > 0 {
            let repeated: Vec<Repeated> = repeats
                .iter()
                .map(|&(index, key)| Repeated {
                    index,
                    id: self.message_id(key),
                })
                .collect();
            self.reply(connection, |out| {
                write_publish_ok(out, id, first.as_ref(), count, refused, &repeated);
            });
        } else if let Some(first) = refused.first() {
            let message = format!("{} of {count} messages were refused", refused.len());
            self.replies.error(
                connection,
                0,
                first.code,
                &message,
                Some(first.index),
                first.retry_after_ms,
            );
        }
    }

    /// The id of any message of this shard, remembered or not.
    pub(super) fn message_id(&self, key: Key) -> MessageId {
        let number = batches::batch_of(key);
        let hash = self.batches.get(number).map_or_else(
            || batch_hash(&self.options.hash_key, self.options.shard, number),
            |batch| batch.hash,
        );
        MessageId::new(hash, self.options.shard, number, batches::index_of(key))
    }

    /// Takes one message of a frame: into its queue, or into a timer until it is to be sent.
    #[inline]
    fn take_message(
        &mut self,
        publishing: Publishing<'_>,
        item: &PublishItem,
        open: &mut OpenBatch,
        index: u16,
    ) -> Result<Taken, NotTaken> {
        let Publishing {
            frame, place, own, ..
        } = publishing;
        let tenant = item.tenant(frame).unwrap_or(own);
        let body_bytes = item.body_bytes_max(own);
        if !item.has_options() {
            let of = QueueOf {
                level: 0,
                ordered: false,
                sender: item.sender(frame).unwrap_or_default(),
            };
            let (tenant_node, queue) = self.room_for(place, tenant, of, body_bytes)?;
            let key = batches::key(open.number, index);
            let judged = self.last_checks(publishing, (tenant_node, queue), key, None)?;
            self.store(publishing, item, open, index, None);
            open.cells.put(index, WAITING | judged, 1, body_bytes);
            let payload_bytes = item.payload(frame).len();
            self.count_in(
                place,
                tenant_node,
                queue,
                (open, index),
                (payload_bytes, &[]),
            );
            let destination = &mut self.destinations[place as usize];
            let entry = destination.queue_mut(queue);
            entry.push(batches::key(open.number, index));
            destination.tree.enqueue(queue, 1, self.now_us);
            return Ok(Taken::Queued);
        }
        let options = item.options(frame);
        let hash = options
            .key
            .map(|key| self.key_hash(&self.destinations[place as usize].name, tenant, key));
        if let Some(hash) = &hash {
            if let Some(key) = self.idempotency.table.find(hash) {
                return Ok(Taken::Repeats(key));
            }
            if self.idempotency.table.len() >= self.options.memory.idempotency_keys {
                return Err(NotTaken {
                    code: Code::TooManyKeys,
                    retry_after_ms: Some(KEYS_RETRY_AFTER_MS),
                });
            }
        }
        if options.callback.is_some() && !self.events.has_room() {
            return Err(NotTaken::full(Code::Overloaded));
        }
        let sender = item.sender(frame).unwrap_or_default();
        let mut plan = self.plan(place, tenant, sender, &options)?;
        plan.stored.key_hash = hash;
        let of = QueueOf {
            level: plan.stored.level,
            ordered: plan.ordered,
            sender: plan.queue_name,
        };
        let (tenant_node, queue) = self.room_for(place, tenant, of, body_bytes)?;
        let key = batches::key(open.number, index);
        let stored = Some(&plan.stored);
        let judged = self.last_checks(publishing, (tenant_node, queue), key, stored)?;
        self.store(publishing, item, open, index, Some(&plan.stored));
        if let Some(hash) = hash {
            self.idempotency.table.insert(hash, key);
            open.keys.push((hash, index));
        }
        let scheduled = plan.stored.at_ms > 0;
        open.has_scheduled |= scheduled;
        let state = if scheduled { SCHEDULED } else { WAITING };
        let flags = if plan.stored.expires_ms > 0 {
            OWN_EXPIRY
        } else {
            0
        };
        let cost = plan.stored.cost;
        open.cells
            .put(index, state | flags | judged, cost, body_bytes);
        let counted = (item.payload(frame).len(), plan.stored.tag);
        self.count_in(place, tenant_node, queue, (open, index), counted);
        self.queue_with_options(place, queue, key, &plan.stored);
        if options.callback.is_some() {
            open.cells.set_callback(index);
            let id = MessageId::new(open.hash, self.options.shard, open.number, index);
            let status = status_of_state(state);
            self.note_accepted_status(id, place, (frame, item, own), &options, status);
        }
        Ok(Taken::Queued)
    }

    /// Takes of its account's caps what a message needs for which there is room, and refuses what would
    /// expire before its turn; the flags of what is accepted.
    #[inline]
    fn last_checks(
        &mut self,
        publishing: Publishing<'_>,
        (tenant, queue): (NodeId, NodeId),
        key: Key,
        options: Option<&MessageOptions<'_>>,
    ) -> Result<u8, NotTaken> {
        let place = publishing.place;
        if !publishing.by_caps {
            return if publishing.by_time {
                self.by_time(place, queue, key, options)
            } else {
                Ok(0)
            };
        }
        let account = self.destinations[place as usize].tenant(tenant).account;
        self.take_caps(account, publishing.rest())
            .map_err(|until_ms| self.cap_reached(until_ms))?;
        if !publishing.by_time {
            return Ok(0);
        }
        let judged = self.by_time(place, queue, key, options);
        if judged.is_err() {
            self.put_back_caps(account, publishing.rest());
        }
        judged
    }

    fn cap_reached(&self, until_ms: u64) -> NotTaken {
        let after_ms = until_ms.saturating_sub(self.now_us / 1000);
        NotTaken {
            code: Code::CapReached,
            // A cap of all time has no end.
            retry_after_ms: (until_ms < u64::MAX).then_some(after_ms),
        }
    }

    /// Refuses what would expire before its turn; the flags of what is accepted.
    fn by_time(
        &mut self,
        place: u32,
        queue: NodeId,
        key: Key,
        options: Option<&MessageOptions<'_>>,
    ) -> Result<u8, NotTaken> {
        let (at_ms, expires_ms, cost) = options.map_or((0, 0, 1), |options| {
            (options.at_ms, options.expires_ms, options.cost)
        });
        if at_ms > 0 {
            return Ok(0);
        }
        let validity_ms = match expires_ms {
            0 => self.destinations[place as usize].fields.validity_ms,
            at_ms => at_ms.saturating_sub(self.now_us / 1000),
        };
        let asked = Asked {
            key,
            cost,
            validity_ms,
        };
        self.admit(place, queue, asked)
            .map_err(|retry_after_ms| NotTaken {
                code: Code::WouldExpire,
                retry_after_ms: Some(retry_after_ms),
            })
    }

    /// What the options come to: times made absolute, the level only where the tenant has levels.
    fn plan<'a>(
        &self,
        place: u32,
        tenant: &[u8],
        sender: &'a [u8],
        options: &PublishOptions<'a>,
    ) -> Result<Plan<'a>, NotTaken> {
        let now_ms = self.now_us / 1000;
        let at_ms = options.at_ms.filter(|&at_ms| at_ms > now_ms).unwrap_or(0);
        if at_ms > now_ms + limits::SCHEDULE_MS_MAX {
            return Err(NotTaken::faulty(Code::InvalidOption));
        }
        let validity_ms = self.destinations[place as usize].fields.validity_ms;
        let expires_ms = match options.ttl_ms {
            Some(ttl_ms) => at_ms.max(now_ms).saturating_add(ttl_ms),
            None if at_ms > 0 => at_ms.saturating_add(validity_ms),
            None => 0,
        };
        let has_levels = self
            .tenants
            .get(tenant)
            .is_some_and(|tenant| tenant.level_floors.is_some());
        Ok(Plan {
            stored: MessageOptions {
                cost: options.cost,
                level: if has_levels { options.level } else { 0 },
                at_ms,
                expires_ms,
                callback: options.callback.unwrap_or_default(),
                order_key: options.order_key.unwrap_or_default(),
                tag: options.tag.unwrap_or_default(),
                key_hash: None,
            },
            ordered: options.order_key.is_some(),
            queue_name: options.order_key.unwrap_or(sender),
        })
    }

    /// Puts a message with options into its queue or timer. Recovery does the same.
    pub(super) fn queue_with_options(
        &mut self,
        place: u32,
        queue: NodeId,
        key: Key,
        options: &MessageOptions<'_>,
    ) {
        let now_us = self.now_us;
        let destination = &mut self.destinations[place as usize];
        if options.cost != 1 {
            destination.queue_mut(queue).costed = true;
        }
        if options.at_ms * 1000 > now_us {
            self.counters.scheduled += 1;
            destination.tree.hold(queue);
            let due = Timer::new(options.at_ms, Kind::Due, key, place, queue);
            self.timers.push_later(due, options.expires_ms);
            return;
        }
        if options.expires_ms > 0 {
            self.push_expiry(options.expires_ms, key, place, queue);
        }
        let destination = &mut self.destinations[place as usize];
        destination.surcharge(queue, options.cost);
        let entry = destination.queue_mut(queue);
        let was_empty = entry.is_empty();
        entry.push(key);
        if was_empty && entry.costed {
            destination.tree.set_head_cost(queue, options.cost, now_us);
        }
        destination.tree.enqueue(queue, 1, now_us);
    }

    pub(super) fn push_expiry(&mut self, at_ms: u64, key: Key, place: u32, queue: NodeId) {
        let timer = Timer::new(at_ms, Kind::Expiry, key, place, queue);
        self.timers.push(timer);
    }

    /// Writes the message into the open record.
    #[inline]
    fn store(
        &mut self,
        publishing: Publishing<'_>,
        item: &PublishItem,
        open: &mut OpenBatch,
        index: u16,
        options: Option<&MessageOptions<'_>>,
    ) {
        let Publishing {
            frame, place, own, ..
        } = publishing;
        let name = &self.destinations[place as usize].name;
        let options = options.filter(|options| !options.is_default());
        let closed = self.builder.push(index, place, name, options, |out| {
            append_body(frame, item, own, out);
        });
        if let Some(closed) = closed {
            open.closed.push((closed, open.body_bytes_max));
            open.body_bytes_max = 0;
        }
        let body_bytes = item.body_bytes_max(own) as u32;
        open.body_bytes_max = open.body_bytes_max.max(body_bytes);
    }

    /// Counts an accepted message for its queue, its tenant and their usage: bytes of its payload, and
    /// its tag.
    #[inline]
    fn count_in(
        &mut self,
        place: u32,
        tenant: NodeId,
        queue: NodeId,
        (open, index): (&mut OpenBatch, u16),
        (payload_bytes, tag): (usize, &[u8]),
    ) {
        let bytes = open.cells.body_bytes(index);
        let destination = &mut self.destinations[place as usize];
        destination.queue_mut(queue).bytes += bytes;
        let tenant = destination.tenant_mut(tenant);
        tenant.accepted += 1;
        tenant.live += 1;
        tenant.bytes += bytes;
        self.live_bytes += bytes;
        let account = tenant.account;
        let accounts = &mut self.usage.accounts;
        open.cells.own(accounts, open.number, index, account);
        let counted = Counted {
            account,
            accepted_ms: self.now_us / 1000,
            cost: open.cells.cost(index),
        };
        self.count_accepted(counted, payload_bytes, tag);
    }

    /// Makes sure of a batch with room for `count` indices and gives the first of them.
    fn open_batch(&mut self, count: u32) -> u32 {
        if let Some(open) = &mut self.open
            && open.next_index + count <= BATCH_INDICES
        {
            let base = open.next_index;
            open.next_index += count;
            open.cells.grow(open.next_index as usize);
            return base;
        }
        self.close_batch();
        let number = self.next_batch;
        self.next_batch += 1;
        let hash = batch_hash(&self.options.hash_key, self.options.shard, number);
        self.builder
            .begin(number, self.now_us / 1000, self.next_log);
        let mut cells = Cells::default();
        cells.grow(count as usize);
        self.open = Some(OpenBatch {
            number,
            hash,
            next_index: count,
            cells,
            keys: Vec::new(),
            has_scheduled: false,
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
        self.write_keys(&open);
        let mut batch = Batch::with_cells(self.now_us / 1000, open.hash, open.cells);
        batch.live = open.accepted;
        batch.kept = open.closed.len() as u32;
        (batch.log_first, batch.log_last) = (self.next_log, self.next_log);
        batch.records.reserve_exact(open.closed.len());
        for (closed, body_bytes_max) in open.closed {
            self.journal.put(&closed.key(), &closed.value);
            let indexes = closed.first_index..=closed.last_index;
            let slot = self.record_slot(closed, body_bytes_max);
            // A record that is wanted in a week has no place in the cache.
            let is_later = |index| !matches!(batch.state(index), WAITING | IN_FLIGHT);
            if open.has_scheduled && indexes.clone().all(is_later) {
                self.cache.leave_when_committed(slot.cache);
            }
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
            bytes: batches::remembered_bytes(&value),
            body_bytes_max,
            cache: self.cache.insert(owner, self.exchange, value),
            touched: 0,
            want: batches::NONE,
        }
    }

    /// The nodes for one more message, or why there is no room.
    fn room_for(
        &mut self,
        place: u32,
        tenant: &[u8],
        of: QueueOf<'_>,
        body_bytes: usize,
    ) -> Result<(NodeId, NodeId), NotTaken> {
        let held = self.counters.waiting + self.counters.in_flight;
        if held >= limits::MESSAGES_PER_SHARD as u64 || self.live_bytes >= limits::BYTES_PER_SHARD {
            return Err(NotTaken::full(Code::ShardFull));
        }
        let (tenant_node, queue) = self.queue_node(place, tenant, of).map_err(NotTaken::full)?;
        if self.any_shuffle {
            self.reseat(place as usize, tenant_node);
        }
        let destination = &self.destinations[place as usize];
        let (Owner::Tenant(tenant), Owner::Queue { queue: entry, .. }) = (
            &destination.owners[tenant_node as usize],
            &destination.owners[queue as usize],
        ) else {
            unreachable!("a tenant and its queue");
        };
        let of_entry = entry.refuse_new.then_some(Code::RefusingNew);
        if let Some(code) = tenant.refuse_new.or(of_entry) {
            return Err(NotTaken::full(code));
        }
        let waiting = destination.tree.waiting(queue) as usize;
        let bytes = body_bytes as u64;
        if waiting >= limits::MESSAGES_PER_QUEUE || entry.bytes + bytes > limits::BYTES_PER_QUEUE {
            return Err(NotTaken::full(Code::QueueFull));
        }
        if tenant.live >= tenant.waiting_max || tenant.bytes + bytes > tenant.waiting_bytes_max {
            return Err(NotTaken::full(Code::TenantFull));
        }
        Ok((tenant_node, queue))
    }
}
