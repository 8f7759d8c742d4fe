//! What is done with stored messages: cancel, status, find, redact, replay, purge.
//!
//! A job says which messages it looks at next, takes what was found, and is answered when it is done.
//! Listings, which find out as they go what to look at, are in `listing`; traces in `trace`.

use super::batches::{self, DEAD, IN_FLIGHT, Key, SCHEDULED, TIMED, WAITING};
use super::listing::Listing;
use super::lookup::{Found, Look, Message};
use super::trace::Trace;
use super::{OUTCOME_CANCELLED, Shard};
use crate::client_frame;
use crate::daemon_frame::{StatusEntry, write_cancel_ok, write_status_ok};
use crate::error::Code;
use crate::message_id::MessageId;
use crate::record::redact_record;

pub use super::lookup::Jobs;

/// Where a job's answer goes.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Frame { connection: u32, id: u32 },
    Json { request: u32 },
}

#[derive(Debug)]
pub enum Task {
    Cancel {
        /// Index in the frame, code.
        refused: Vec<(u32, u32)>,
        cancelled: u32,
    },
    Status(Vec<Option<StatusEntry>>),
    Find {
        text: Option<String>,
        trace: Option<Trace>,
    },
    Redact(Redacting),
    Replay(u32),
    Purge(u32),
    List(Box<Listing>),
}

/// The redaction of one message: its state is checked, then its record written anew. It may be
/// forgotten with that.
#[derive(Debug, Default)]
pub struct Redacting {
    index: u16,
    /// First message of the record that is to be read.
    record: Option<Key>,
    error: Option<&'static str>,
    forgets: bool,
}

impl Redacting {
    /// Redacts the message and forgets it.
    pub fn to_forget() -> Self {
        Self {
            forgets: true,
            ..Self::default()
        }
    }

    fn checked(&mut self, shard: &Shard, message: Option<&Message>) {
        self.record = None;
        let Some(message) = message else {
            self.error = Some("messageNotFound");
            return;
        };
        if batches::is_live(shard.state_of(message.key)) {
            self.error = Some("messageNotEnded");
            return;
        }
        self.index = batches::index_of(message.key);
        self.record = shard.record_of(message.key);
    }

    fn rewrite(&mut self, shard: &mut Shard, first: Key, bytes: &[u8]) {
        let number = batches::batch_of(first);
        let key = batches::key(number, self.index);
        if shard.state_of(key) == batches::GONE {
            return self.checked(shard, None);
        }
        // Changed by another in this exchange: it is read once more.
        let done = match redact_record(bytes, &[self.index]) {
            Ok(value) => shard.rewrite(first, value),
            Err(_) => true,
        };
        if done {
            self.record = None;
            shard.forget_callbacks(number, &[self.index]);
            if self.forgets {
                shard.forget_message(key);
            }
        }
    }

    fn answer(&self) -> String {
        match self.error {
            None => r#"{"ok":true}"#.to_owned(),
            Some(error) => format!(r#"{{"error":"{error}"}}"#),
        }
    }
}

/// Work that takes one exchange or more.
#[derive(Debug)]
pub struct Job {
    pub answer: Answer,
    /// Whose messages it may see; empty: everyone's.
    pub tenant: Box<[u8]>,
    /// The messages it is about; none: an id that is not one of this shard.
    pub keys: Vec<Option<Key>>,
    /// Looked up so far, and taken.
    pub asked: usize,
    pub taken: usize,
    pub task: Task,
}

impl Job {
    pub fn new(answer: Answer, tenant: &[u8], keys: Vec<Option<Key>>, task: Task) -> Self {
        Self {
            answer,
            tenant: tenant.into(),
            keys,
            asked: 0,
            taken: 0,
            task,
        }
    }

    /// Ids it holds; a list, or a frame without ids, waits its turn like one of one id.
    pub fn ids(&self) -> usize {
        self.keys.len().max(1)
    }

    /// Adds up to `left` lookups.
    pub fn next(&mut self, shard: &mut Shard, left: usize, looks: &mut Vec<Look>) {
        match &mut self.task {
            Task::List(listing) => listing.next(shard, left, looks),
            Task::Find {
                trace: Some(trace), ..
            } if self.taken == self.keys.len() => {
                let (deleted, committed) = (shard.checkpoint.deleted, shard.committed_log);
                trace.next(deleted, committed, left, looks);
            }
            Task::Redact(redacting) if self.taken == self.keys.len() => {
                looks.extend(redacting.record.map(Look::Record));
            }
            _ => {
                let end = self.keys.len().min(self.asked + left);
                for key in &self.keys[self.asked..end] {
                    // Key 0 is nobody's.
                    looks.push(Look::Message(key.unwrap_or(0)));
                }
                self.asked = end;
            }
        }
    }

    pub fn take(&mut self, shard: &mut Shard, found: Found) {
        if let Task::List(listing) = &mut self.task {
            return listing.take(shard, &self.tenant, found);
        }
        if self.taken == self.keys.len() {
            return self.take_more(shard, &found);
        }
        let index = self.taken as u32;
        self.taken += 1;
        let message = match &found {
            Found::Message(message) if message.is_of(&self.tenant) => Some(&**message),
            _ => None,
        };
        match &mut self.task {
            Task::Cancel { refused, cancelled } => match shard.cancel_one(message) {
                Ok(()) => *cancelled += 1,
                Err(code) => refused.push((index, code.number())),
            },
            Task::Status(entries) => entries.push(message.map(|message| shard.status_of(message))),
            Task::Find { text, trace } => {
                *text = message.map(|message| shard.message_json(message));
                match (message, trace) {
                    (Some(message), Some(trace)) => shard.begin_trace(message, trace),
                    (None, trace) => *trace = None,
                    _ => {}
                }
            }
            Task::Redact(redacting) => redacting.checked(shard, message),
            Task::Replay(count) => *count += u32::from(shard.replay_message(message)),
            Task::Purge(count) => {
                let key = message.map(|message| message.key);
                *count += u32::from(key.is_some_and(|key| shard.purge_one(key)));
            }
            Task::List(_) => unreachable!("taken above"),
        }
    }

    /// What was asked for after all messages were seen.
    fn take_more(&mut self, shard: &mut Shard, found: &Found) {
        match (&mut self.task, found) {
            (Task::Redact(redacting), Found::Record(first, bytes)) => {
                redacting.rewrite(shard, *first, bytes);
            }
            // Forgotten meanwhile.
            (Task::Redact(redacting), _) => redacting.checked(shard, None),
            (
                Task::Find {
                    trace: Some(trace), ..
                },
                Found::Log(bytes),
            ) => trace.take(bytes),
            (
                Task::Find {
                    trace: Some(trace), ..
                },
                _,
            ) => trace.miss(),
            _ => {}
        }
    }

    pub fn is_done(&self) -> bool {
        match &self.task {
            Task::List(listing) => listing.is_done(),
            Task::Find {
                trace: Some(trace), ..
            } => self.taken == self.keys.len() && trace.is_done(),
            Task::Redact(redacting) => self.taken == self.keys.len() && redacting.record.is_none(),
            _ => self.taken == self.keys.len(),
        }
    }

    pub fn answer(self, shard: &mut Shard) {
        let total = self.keys.len() as u32;
        let text = match self.task {
            Task::Cancel { refused, cancelled } => {
                return shard.answer_frame(self.answer, |out, id| {
                    write_cancel_ok(out, id, cancelled, &refused);
                });
            }
            Task::Status(entries) => {
                return shard.answer_frame(self.answer, |out, id| {
                    write_status_ok(out, id, &entries);
                });
            }
            Task::Find { text, trace } => match (text, trace) {
                (None, _) => r#"{"error":"messageNotFound"}"#.to_owned(),
                (Some(text), None) => text,
                (Some(text), Some(trace)) => trace.join(&text),
            },
            Task::Redact(redacting) => redacting.answer(),
            Task::Replay(count) => {
                format!(r#"{{"replayed":{count},"unknown":{}}}"#, total - count)
            }
            Task::Purge(count) => format!(r#"{{"purged":{count},"unknown":{}}}"#, total - count),
            Task::List(listing) => listing.answer(),
        };
        if let Answer::Json { request } = self.answer {
            shard.reply_json(request, &text);
        }
    }
}

impl Shard {
    fn answer_frame(&mut self, answer: Answer, write: impl FnOnce(&mut Vec<u8>, u32)) {
        if let Answer::Frame { connection, id } = answer
            && id > 0
        {
            self.reply(connection, |out| write(out, id));
        }
    }

    /// The keys of ids, as far as they are this shard's.
    pub(super) fn keys_of(&self, ids: &[MessageId]) -> Vec<Option<Key>> {
        ids.iter().map(|id| self.key_of(id)).collect()
    }

    pub(super) fn key_of(&self, id: &MessageId) -> Option<Key> {
        let place = id.place(&self.options.hash_key)?;
        (place.shard == self.options.shard).then(|| batches::key(place.batch, place.index))
    }

    /// Cancels a message that is not in flight and has not ended.
    fn cancel_one(&mut self, message: Option<&Message>) -> Result<(), Code> {
        let message = message.ok_or(Code::MessageNotFound)?;
        match self.state_of(message.key) {
            WAITING | TIMED | SCHEDULED => {}
            IN_FLIGHT => return Err(Code::MessageInFlight),
            batches::GONE => return Err(Code::MessageNotFound),
            _ => return Err(Code::MessageEnded),
        }
        let (place, queue) = self.queue_of(message).ok_or(Code::MessageNotFound)?;
        self.end_waiting(place, queue, message.key, OUTCOME_CANCELLED);
        Ok(())
    }

    /// The first message of the record that holds a message.
    fn record_of(&self, key: Key) -> Option<Key> {
        let number = batches::batch_of(key);
        let batch = self.batches.get(number)?;
        let record = &batch.records[batch.record_of(batches::index_of(key))];
        (record.bytes > 0).then(|| batches::key(number, record.first))
    }

    fn status_of(&self, message: &Message) -> StatusEntry {
        let view = self.view(message);
        StatusEntry {
            status: view.status,
            attempts: view.attempts,
            accepted_ms: message.accepted_ms,
            due_ms: view.due_ms,
            ended_ms: view.ended_ms,
            code: view.code,
        }
    }

    /// Puts a dead letter into its queue again; false: it is none.
    pub(super) fn replay_message(&mut self, message: Option<&Message>) -> bool {
        let Some(message) = message.filter(|message| self.state_of(message.key) == DEAD) else {
            return false;
        };
        let Some((tenant, sender, _, _)) = message.parts() else {
            return false;
        };
        let place = self.destination_names.get(message.destination.as_bytes());
        // One that was deleted serves nobody: the message would wait there until it expires.
        let Some(&place) = place.filter(|&&place| self.destinations[place as usize].exists) else {
            return false;
        };
        let options = message.parsed_options();
        let of = super::destination::QueueOf::of(sender, &options);
        let Ok((_, queue)) = self.queue_node(place, tenant, of) else {
            return false;
        };
        let own_expires_ms = options.expires_ms;
        self.replay_one(message.key, place, queue, own_expires_ms);
        true
    }

    /// Cancel and status frames of a connection, or of a call.
    pub(super) fn ids_frame(&mut self, connection: u32, kind: u32, frame: &[u8]) {
        let mut ids = Vec::new();
        let id = match client_frame::decode_ids(frame, kind, &mut ids) {
            Ok(id) => id,
            Err(error) => return self.replies.frame_error(connection, &error),
        };
        let Some(tenant) = self.tenant_of_connection(connection) else {
            return;
        };
        let task = if kind == client_frame::KIND_CANCEL {
            Task::Cancel {
                refused: Vec::new(),
                cancelled: 0,
            }
        } else {
            Task::Status(Vec::new())
        };
        let keys = self.keys_of(&ids);
        self.add_job(Job::new(
            Answer::Frame { connection, id },
            &tenant,
            keys,
            task,
        ));
    }
}
