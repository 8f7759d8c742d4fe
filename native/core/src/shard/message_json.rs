//! A stored message as an operator sees it.

use super::batches::{
    self, CANCELLED, DEAD, DELIVERED, EXPIRED, FAILED, GIVEN_UP, IN_FLIGHT, Key, SCHEDULED, SENT,
    TIMED, UNDELIVERED, WAITING,
};
use super::lookup::Message;
use super::{REASON_DEAD_IN_DOUBT, Shard};
use crate::error::Code;
use crate::msgpack::Reader;
use crate::record::{MESSAGE_REDACTED, MessageOptions};
use std::fmt::Write;

pub const STATUS_SCHEDULED: u8 = 2;
pub const STATUS_QUEUED: u8 = 3;
pub const STATUS_SENDING: u8 = 4;
pub const STATUS_SENT: u8 = 5;
pub const STATUS_DELIVERED: u8 = 6;
pub const STATUS_UNDELIVERED: u8 = 7;
pub const STATUS_FAILED: u8 = 8;
pub const STATUS_EXPIRED: u8 = 9;
pub const STATUS_CANCELLED: u8 = 10;

/// Names of the statuses, by number.
const STATUS_NAMES: [&str; 11] = [
    "unknown",
    "unknown",
    "scheduled",
    "queued",
    "sending",
    "sent",
    "delivered",
    "undelivered",
    "failed",
    "expired",
    "cancelled",
];

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Where a message stands, as its clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub status: u8,
    pub attempts: u32,
    pub due_ms: Option<u64>,
    pub ended_ms: Option<u64>,
    pub code: Option<u32>,
    pub doubtful: bool,
}

/// The part of it that an event of the message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub status: u8,
    pub attempts: u32,
    pub code: Option<u32>,
}

/// The status that clients know a state by.
pub const fn status_of_state(state: u8) -> u8 {
    match state {
        WAITING | TIMED => STATUS_QUEUED,
        SCHEDULED => STATUS_SCHEDULED,
        IN_FLIGHT => STATUS_SENDING,
        SENT => STATUS_SENT,
        DELIVERED => STATUS_DELIVERED,
        UNDELIVERED => STATUS_UNDELIVERED,
        FAILED | DEAD | GIVEN_UP => STATUS_FAILED,
        EXPIRED => STATUS_EXPIRED,
        CANCELLED => STATUS_CANCELLED,
        _ => 0,
    }
}

/// Tenant, sender (empty: none), recipient (empty: none) and payload.
pub type Parts<'a> = (&'a [u8], &'a [u8], &'a [u8], &'a [u8]);

impl Message {
    /// What its body says.
    pub fn parts(&self) -> Option<Parts<'_>> {
        let mut reader = Reader::new(&self.body);
        let tenant = reader.str().ok()?;
        let mut name = || -> Option<&[u8]> {
            if reader.nil().ok()? {
                Some(&[][..])
            } else {
                reader.str().ok()
            }
        };
        let (sender, recipient) = (name()?, name()?);
        let payload = reader.bin_or_str().ok()?.bytes;
        Some((tenant, sender, recipient, payload))
    }

    pub fn parsed_options(&self) -> MessageOptions<'_> {
        if self.options.is_empty() {
            return MessageOptions::default();
        }
        MessageOptions::parse(&self.options).unwrap_or_default()
    }

    /// Whether it is the tenant's; an empty name stands for everyone.
    pub fn is_of(&self, tenant: &[u8]) -> bool {
        tenant.is_empty() || self.parts().is_some_and(|(own, ..)| own == tenant)
    }
}

impl Shard {
    /// Status, attempts and code of a message: what its clients and its events say.
    pub(super) fn standing(&self, key: Key) -> Standing {
        let state = self.state_of(key);
        let extra = self.extras.get(&key).copied().unwrap_or_default();
        let detail = u32::try_from(extra.detail).ok().filter(|&code| code > 0);
        let attempts = match state {
            IN_FLIGHT => extra.attempts + 1,
            SENT | DELIVERED | UNDELIVERED | FAILED => extra.attempts.max(1),
            _ => extra.attempts,
        };
        let code = match state {
            FAILED | UNDELIVERED => detail,
            DEAD if self.dead.get(&key).map(|dead| dead.reason) == Some(REASON_DEAD_IN_DOUBT) => {
                Some(Code::InDoubt.number())
            }
            DEAD | GIVEN_UP => Some(Code::AttemptsExhausted.number()),
            EXPIRED => Some(Code::ValidityOver.number()),
            _ => None,
        };
        Standing {
            status: status_of_state(state),
            attempts,
            code,
        }
    }

    pub(super) fn view(&self, message: &Message) -> View {
        let key = message.key;
        let state = self.state_of(key);
        let extra = self.extras.get(&key).copied().unwrap_or_default();
        let has_ended = !matches!(state, WAITING | TIMED | SCHEDULED | IN_FLIGHT);
        let Standing {
            status,
            attempts,
            code,
        } = self.standing(key);
        let ended_ms = if state == DEAD {
            Some(extra.detail)
        } else {
            let batch = self.batches.get(batches::batch_of(key));
            batch.map(|batch| batch.ended_at_ms(batches::index_of(key)))
        };
        View {
            status,
            attempts,
            due_ms: match state {
                TIMED => Some(extra.detail),
                SCHEDULED => Some(message.parsed_options().at_ms),
                _ => None,
            },
            ended_ms: ended_ms.filter(|_| has_ended),
            code,
            doubtful: extra.flags & super::DOUBTFUL != 0,
        }
    }

    /// The message as a JSON object.
    pub(super) fn message_json(&self, message: &Message) -> String {
        let mut out = String::with_capacity(512 + message.body.len() * 4 / 3);
        let view = self.view(message);
        let options = message.parsed_options();
        let state = self.state_of(message.key);
        let (tenant, sender, recipient, payload) = message.parts().unwrap_or_default();
        let place = self.destination_names.get(message.destination.as_bytes());
        let validity_ms = place.map_or(0, |&place| {
            self.destinations[place as usize].fields.validity_ms
        });
        let expires_ms = if let Some(timer) = self.replayed.get(&message.key) {
            timer.at_ms()
        } else if options.expires_ms > 0 {
            options.expires_ms
        } else {
            message.accepted_ms.saturating_add(validity_ms)
        };
        out.push_str(r#"{"id":""#);
        for byte in self.message_id(message.key).0 {
            let _ = write!(out, "{byte:02x}");
        }
        let _ = write!(out, r#"","destination":"{}""#, message.destination);
        name(&mut out, "tenant", tenant);
        name(&mut out, "sender", sender);
        name(&mut out, "recipient", recipient);
        out.push_str(r#","payload":""#);
        base64(&mut out, payload);
        let status = STATUS_NAMES[usize::from(view.status)];
        let _ = write!(out, r#"","status":"{status}","attempts":{}"#, view.attempts);
        number(&mut out, "code", view.code.map(u64::from));
        number(&mut out, "acceptedMs", Some(message.accepted_ms));
        number(&mut out, "dueMs", view.due_ms);
        number(&mut out, "expiresMs", Some(expires_ms));
        number(&mut out, "endedMs", view.ended_ms);
        let _ = write!(out, r#","cost":{},"level":{}"#, options.cost, options.level);
        name(&mut out, "orderKey", options.order_key);
        name(&mut out, "tag", options.tag);
        text(&mut out, "callback", options.callback);
        let _ = write!(
            out,
            r#","inDoubt":{},"redacted":{},"deadLetter":{}"#,
            view.doubtful,
            message.flags & MESSAGE_REDACTED != 0,
            state == DEAD
        );
        let reason = match view.code {
            Some(code) if state == DEAD && code == Code::InDoubt.number() => r#""inDoubt""#,
            _ if state == DEAD => r#""attemptsExhausted""#,
            _ => "null",
        };
        let _ = write!(out, r#","reason":{reason}}}"#);
        out
    }
}

/// A name or null; names hold only characters that JSON leaves as they are.
fn name(out: &mut String, field: &str, value: &[u8]) {
    text(out, field, &String::from_utf8_lossy(value));
}

fn text(out: &mut String, field: &str, value: &str) {
    let _ = write!(out, r#","{field}":"#);
    if value.is_empty() {
        out.push_str("null");
        return;
    }
    out.push('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter < ' ' => {
                let _ = write!(out, "\\u{:04x}", letter as u32);
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

pub(super) fn number(out: &mut String, field: &str, value: Option<u64>) {
    match value {
        Some(value) => {
            let _ = write!(out, r#","{field}":{value}"#);
        }
        None => {
            let _ = write!(out, r#","{field}":null"#);
        }
    }
}

/// RFC 4648 §4, with padding.
fn base64(out: &mut String, bytes: &[u8]) {
    for group in bytes.chunks(3) {
        let mut word = [0; 3];
        word[..group.len()].copy_from_slice(group);
        let bits = u32::from(word[0]) << 16 | u32::from(word[1]) << 8 | u32::from(word[2]);
        for place in 0..4 {
            if place > group.len() {
                out.push('=');
            } else {
                out.push(char::from(BASE64[(bits >> (18 - 6 * place) & 63) as usize]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_the_rfc_has_it() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = String::new();
            base64(&mut out, plain.as_bytes());
            assert_eq!(out, coded);
        }
    }

    #[test]
    fn text_is_escaped() {
        let mut out = String::new();
        text(&mut out, "a", "x\"\\\n");
        assert_eq!(out, r#","a":"x\"\\\u000a""#);
    }
}
