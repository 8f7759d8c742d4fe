//! What happened to one message, told from the log: every state with its time.
//!
//! The log is kept for a while beyond its checkpoints, so that this can be told of messages that
//! ended. Records of the log are read in order from the message's acceptance to its end.

use super::batches::Key;
use super::lookup::{Look, Message};
use super::message_json::number;
use super::{
    OUTCOME_CANCELLED, OUTCOME_EXPIRED, OUTCOME_PURGED, OUTCOME_UNDELIVERED, REASON_DEAD_ATTEMPTS,
    REASON_DEAD_IN_DOUBT, REASON_DISCONNECT, REASON_FAILED, REASON_LEASE_END, REASON_NOT_ATTEMPTED,
    REASON_REPLAYED, REASON_RESTART, REASON_RETRY, REASON_THROTTLED, REASON_UNDELIVERED, Shard,
};
use crate::client_frame;
use crate::record::{HandedTo, LogRecord};
use std::fmt::Write;

/// Log records read for one trace; a longer life is told up to there.
const LOGS_MAX: u64 = 8192;

/// The log of one message, as far as it was read.
#[derive(Debug, Default)]
pub struct Trace {
    key: Key,
    /// Log records still to be asked for.
    next: u64,
    end: u64,
    waiting: usize,
    begun: bool,
    truncated: bool,
    attempts: u32,
    /// Names of its queue, JSON.
    queue: String,
    events: Vec<String>,
}

impl Trace {
    /// Asks for up to `left` records that are stored: above `deleted`, and not above `committed`.
    pub fn next(&mut self, deleted: u64, committed: u64, left: usize, looks: &mut Vec<Look>) {
        if self.next <= deleted && self.next < self.end {
            self.truncated = true;
            self.next = self.end.min(deleted + 1);
        }
        let end = self.end.min(self.next + left as u64);
        let end = end.min(committed + 1).max(self.next);
        looks.extend((self.next..end).map(Look::Log));
        self.waiting = (end - self.next) as usize;
        self.next = end;
    }

    pub fn is_done(&self) -> bool {
        self.begun && self.waiting == 0 && self.next >= self.end
    }

    /// A log record was deleted before it was read.
    pub fn miss(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        self.truncated = true;
    }

    /// Takes one log record, in order.
    pub fn take(&mut self, bytes: &[u8]) {
        self.waiting = self.waiting.saturating_sub(1);
        let Ok(record) = LogRecord::parse(bytes) else {
            return;
        };
        let at_ms = record.at_ms();
        let key = self.key;
        for back in record.returns().filter(|back| back.key == key) {
            self.attempts = back.attempts;
            let (state, why) = what_returned(back.reason);
            let due_ms = (state == "queued" && back.due_ms > 0).then_some(back.due_ms);
            self.event(at_ms, state, why, |out| {
                number(out, "dueMs", due_ms);
                let code = matches!(back.reason, REASON_FAILED | REASON_UNDELIVERED);
                number(out, "code", code.then_some(back.due_ms));
            });
        }
        for (outcome, runs) in record.settled() {
            if runs.into_iter().any(|run| run.keys().contains(&self.key)) {
                self.event(at_ms, what_settled(outcome), None, |_| {});
            }
        }
        let mut before = 0;
        for run in record.handed_out() {
            if run.keys().contains(&self.key) {
                let place = before + (self.key - run.key) as usize;
                self.handed_out(&record, place);
                return;
            }
            before += run.length as usize;
        }
    }

    fn handed_out(&mut self, record: &LogRecord<'_>, place: usize) {
        self.attempts += 1;
        let attempt = self.attempts;
        let mut left = place;
        let gateway = record.handed_to().find(|to: &HandedTo| {
            let is_it = left < to.count as usize;
            left = left.saturating_sub(to.count as usize);
            is_it
        });
        let score = record.scores().nth(place);
        self.event(record.at_ms(), "sending", None, |out| {
            number(out, "attempt", Some(attempt.into()));
            if let Some(score) = score {
                let _ = write!(out, r#","score":{score}"#);
            }
            if let Some(to) = gateway {
                let _ = write!(
                    out,
                    r#","gateway":{{"connection":{},"subscription":{}}}"#,
                    to.connection, to.subscription
                );
            }
        });
    }

    fn event(
        &mut self,
        at_ms: u64,
        state: &str,
        why: Option<&str>,
        more: impl FnOnce(&mut String),
    ) {
        let mut out = format!(r#"{{"atMs":{at_ms},"state":"{state}""#);
        if let Some(why) = why {
            let _ = write!(out, r#","reason":"{why}""#);
        }
        out.push_str(&self.queue);
        more(&mut out);
        out.push('}');
        self.events.push(out);
    }

    /// The message's text with the trace as its last field.
    pub fn join(self, message: &str) -> String {
        let body = message.strip_suffix('}').unwrap_or(message);
        format!(
            r#"{body},"trace":[{}],"traceTruncated":{}}}"#,
            self.events.join(","),
            self.truncated
        )
    }
}

/// State and reason that a return stands for.
const fn what_returned(reason: u8) -> (&'static str, Option<&'static str>) {
    match reason {
        REASON_RETRY => ("queued", Some("retry")),
        REASON_THROTTLED => ("queued", Some("throttled")),
        REASON_NOT_ATTEMPTED => ("queued", Some("notAttempted")),
        REASON_DISCONNECT => ("queued", Some("disconnect")),
        REASON_LEASE_END => ("queued", Some("leaseEnd")),
        REASON_RESTART => ("queued", Some("restart")),
        REASON_REPLAYED => ("queued", Some("replayed")),
        REASON_DEAD_ATTEMPTS => ("failed", Some("attemptsExhausted")),
        REASON_DEAD_IN_DOUBT => ("failed", Some("inDoubt")),
        REASON_FAILED => ("failed", None),
        REASON_UNDELIVERED => ("undelivered", None),
        _ => ("queued", None),
    }
}

const fn what_settled(outcome: u8) -> &'static str {
    match outcome {
        client_frame::OUTCOME_SENT => "sent",
        client_frame::OUTCOME_DELIVERED => "delivered",
        OUTCOME_EXPIRED => "expired",
        OUTCOME_CANCELLED => "cancelled",
        OUTCOME_UNDELIVERED => "undelivered",
        OUTCOME_PURGED => "purged",
        _ => "failed",
    }
}

impl Shard {
    /// Finds out which log records can speak of the message, and tells its acceptance.
    pub(super) fn begin_trace(&self, message: &Message, trace: &mut Trace) {
        trace.begun = true;
        trace.key = message.key;
        let Some(batch) = self.batches.get(super::batches::batch_of(message.key)) else {
            return;
        };
        // What is not yet committed is waited for: the message is told as it stands now. A change that
        // the log does not tell may have named a record that is not written yet.
        let first = batch.log_first;
        let end = (batch.log_last + 1).min(self.next_log).max(first);
        let from = first.max(self.checkpoint.deleted + 1);
        (trace.next, trace.end) = (first, end.min(from + LOGS_MAX));
        trace.truncated = trace.end < end;
        trace.queue = queue_text(message);
        let scheduled = message.parsed_options().at_ms > 0;
        let state = if scheduled { "scheduled" } else { "queued" };
        trace.event(message.accepted_ms, "accepted", None, |_| {});
        trace.event(message.accepted_ms, state, None, |out| {
            number(
                out,
                "dueMs",
                scheduled.then_some(message.parsed_options().at_ms),
            );
        });
    }

    /// The tenant of a connection or call; empty: the platform. None: it is gone.
    pub(super) fn tenant_of_connection(&self, connection: u32) -> Option<Box<[u8]>> {
        if connection & crate::replies::CALL != 0 {
            return Some(self.caller.clone());
        }
        let client = self.connections.get(&connection)?;
        Some(client.tenant.clone())
    }
}

fn queue_text(message: &Message) -> String {
    let mut out = String::from(r#","queue":{"destination":""#);
    let _ = write!(out, "{}\"", message.destination);
    let options = message.parsed_options();
    let (tenant, sender, _, _) = message.parts().unwrap_or_default();
    for (field, value) in [
        ("tenant", tenant),
        ("sender", sender),
        ("orderKey", options.order_key),
    ] {
        if value.is_empty() {
            let _ = write!(out, r#","{field}":null"#);
        } else {
            let _ = write!(out, r#","{field}":"{}""#, String::from_utf8_lossy(value));
        }
    }
    let _ = write!(out, r#","level":{}}}"#, options.level);
    out
}
