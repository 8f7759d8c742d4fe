//! Work that needs stored messages: a record asked for in one exchange's `wants`, read in its `emit`,
//! worked on in the next step. So no decision depends on what is at hand, and each exchange reads a
//! bounded number of records.

use super::batches::{self, Key, NONE};
use super::jobs::{Answer, Job};
use super::{Fatal, Shard, Want};
use crate::error::Code;
use crate::limits;
use crate::record::{BatchRecord, LogRecord};
use crate::shard::destination::{Destination, QueueOf};
use crate::tree::NodeId;
use std::collections::VecDeque;

/// Messages, or log records, looked up in one exchange. With those handed out they bound what is read.
pub const LOOKUPS_PER_STEP: usize = 512;

/// A stored message, as a job gets it.
#[derive(Debug)]
pub struct Message {
    pub key: Key,
    pub destination: Box<str>,
    pub accepted_ms: u64,
    pub flags: u8,
    pub options: Box<[u8]>,
    pub body: Box<[u8]>,
}

/// What a lookup brought.
#[derive(Debug)]
pub enum Found {
    /// Unknown, or no longer remembered.
    Nothing,
    Message(Box<Message>),
    /// A whole record, by its first message.
    Record(Key, Box<[u8]>),
    Log(Box<[u8]>),
}

/// What a job wants to see next.
#[derive(Clone, Copy, Debug)]
pub enum Look {
    Message(Key),
    /// The whole record that begins with this message.
    Record(Key),
    Log(u64),
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    look: Look,
    cache: u32,
    want: u32,
}

/// Jobs in the order they came, and what this exchange reads for the first of them.
#[derive(Debug, Default)]
pub struct Jobs {
    pub queue: VecDeque<Job>,
    /// Ids that wait in the jobs.
    pub ids: usize,
    /// Lookups of each of the first jobs.
    counts: Vec<usize>,
    asked: Vec<Option<Asked>>,
    found: Vec<Found>,
}

impl Jobs {
    pub fn is_working(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl Shard {
    /// Adds a job, unless too many ids wait already.
    pub(super) fn add_job(&mut self, job: Job) {
        let ids = job.ids();
        if self.jobs.ids + ids > limits::LOOKUPS_PER_SHARD {
            let message = "too many lookups wait; ask again".to_owned();
            return self.answer_error(job.answer, Code::Overloaded, &message);
        }
        self.jobs.ids += ids;
        self.jobs.queue.push_back(job);
    }

    pub(super) fn answer_error(&mut self, answer: Answer, code: Code, message: &str) {
        match answer {
            Answer::Frame { connection, id } => {
                self.replies
                    .error(connection, id, code.number(), message, None, Some(1000));
            }
            Answer::Json { request } => {
                let text = format!(r#"{{"error":"overloaded","message":"{message}"}}"#);
                self.reply_json(request, &text);
            }
        }
    }

    /// Gives the jobs what the exchange before read for them; those that are done are answered.
    pub(super) fn work_on_found(&mut self) {
        let counts = std::mem::take(&mut self.jobs.counts);
        let mut found = std::mem::take(&mut self.jobs.found).into_iter();
        self.jobs.asked.clear();
        let mut again = VecDeque::new();
        for count in counts {
            let Some(mut job) = self.jobs.queue.pop_front() else {
                break;
            };
            for _ in 0..count {
                let what = found.next().unwrap_or(Found::Nothing);
                job.take(self, what);
            }
            if job.is_done() {
                self.jobs.ids -= job.ids();
                job.answer(self);
            } else {
                again.push_back(job);
            }
        }
        while let Some(job) = again.pop_back() {
            self.jobs.queue.push_front(job);
        }
    }

    /// Asks for what the first jobs need next. After the open batch was closed.
    pub(super) fn ask_lookups(&mut self) {
        if self.jobs.queue.is_empty() {
            return;
        }
        let mut jobs = std::mem::take(&mut self.jobs.queue);
        let mut looks = Vec::new();
        for job in &mut jobs {
            let left = LOOKUPS_PER_STEP - looks.len();
            if left == 0 {
                break;
            }
            let before = looks.len();
            job.next(self, left, &mut looks);
            self.jobs.counts.push(looks.len() - before);
        }
        self.jobs.queue = jobs;
        for look in looks {
            let asked = self.locate(look);
            self.jobs.asked.push(asked);
        }
    }

    fn locate(&mut self, look: Look) -> Option<Asked> {
        let key = match look {
            Look::Log(sequence) => {
                let want = self.wants.len() as u32;
                self.wants.push(Want::Log(sequence));
                return Some(Asked {
                    look,
                    cache: NONE,
                    want,
                });
            }
            Look::Message(key) | Look::Record(key) => key,
        };
        let (number, index) = (batches::batch_of(key), batches::index_of(key));
        let batch = self.batches.get_mut(number)?;
        // The first message of a record may be gone and the record be kept.
        if matches!(look, Look::Message(_)) && batch.state(index) == batches::GONE {
            return None;
        }
        let place = batch.record_of(index);
        let record = &mut batch.records[place];
        if record.bytes == 0 {
            return None;
        }
        if record.touched != self.exchange {
            record.touched = self.exchange;
            record.want = NONE;
        }
        if record.cache == NONE && record.want == NONE {
            record.want = self.wants.len() as u32;
            self.wants
                .push(Want::Batch(batches::key(number, record.first)));
        }
        Some(Asked {
            look,
            cache: record.cache,
            want: record.want,
        })
    }

    /// Reads what was asked for; within `emit`, when all wants are provided.
    pub(super) fn read_lookups(&mut self) -> Result<(), Fatal> {
        if self.jobs.asked.is_empty() || !self.jobs.found.is_empty() {
            return Ok(());
        }
        let asked = std::mem::take(&mut self.jobs.asked);
        for entry in &asked {
            let found = match entry {
                None => Found::Nothing,
                Some(asked) => self.read(asked)?,
            };
            self.jobs.found.push(found);
        }
        Ok(())
    }

    fn read(&self, asked: &Asked) -> Result<Found, Fatal> {
        let bytes = if asked.cache == NONE {
            self.provided
                .get(asked.want as usize)
                .and_then(Option::as_deref)
        } else {
            Some(self.cache.get(asked.cache))
        };
        let bytes = match (bytes, asked.look) {
            (Some(bytes), _) => bytes,
            // Deleted between the step and the read: it is older than what is kept.
            (None, Look::Log(_)) => return Ok(Found::Nothing),
            (None, look) => return Err(Fatal::State(format!("{look:?} was not provided"))),
        };
        let key = match asked.look {
            Look::Log(_) => {
                LogRecord::parse(bytes)?;
                return Ok(Found::Log(bytes.into()));
            }
            Look::Record(key) => return Ok(Found::Record(key, bytes.into())),
            Look::Message(key) => key,
        };
        let record = BatchRecord::trusted(bytes);
        let place = record
            .find(batches::index_of(key))
            .ok_or_else(|| Fatal::State(format!("{key:x} is not in its record")))?;
        let message = record.message(place);
        Ok(Found::Message(Box::new(Message {
            key,
            destination: record
                .destination(message.destination)
                .unwrap_or_default()
                .into(),
            accepted_ms: record.accepted_ms(),
            flags: message.flags,
            options: message.options.into(),
            body: message.body.into(),
        })))
    }

    /// Destination and queue of a stored message.
    pub(super) fn queue_of(&mut self, message: &Message) -> Option<(u32, NodeId)> {
        let place = *self.destination_names.get(message.destination.as_bytes())?;
        let (tenant, sender, _, _) = message.parts()?;
        let options = message.parsed_options();
        let of = QueueOf::of(sender, &options);
        let destination = &self.destinations[place as usize];
        Destination::queue_name(tenant, of, &mut self.name);
        let queue = *destination.queues.get(self.name.as_slice())?;
        Some((place, queue))
    }
}
