//! Effects of a step: answers in order, then what those who waited are told, a connection's together.

use super::permit::PermitId;
use crate::daemon_frame::{PermitTold, write_permit_event};
use crate::error::Code;
use crate::exchange::{EFFECTS_HEADER_BYTES, EffectOp, EffectsHead, write_effect, write_header};
use crate::limits::PERMITS_PER_FRAME;
use crate::replies::Replies;

/// What the gate counted, in the order of the effects header; since this start unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateCounters {
    pub granted: u64,
    pub released: u64,
    pub expired: u64,
    pub orphaned: u64,
    pub claimed: u64,
    pub renewed: u64,
    /// Granted after waiting.
    pub admitted: u64,
    /// Began to wait.
    pub queued: u64,
    pub gave_up: u64,
    pub unknown_resource: u64,
    pub concurrency_limit: u64,
    pub would_wait_too_long: u64,
    pub waiters_full: u64,
    pub too_many_keys: u64,
    pub wait_over: u64,
    pub too_many_permits: u64,
    pub recovering: u64,
    /// Now.
    pub waiting: u64,
    pub permits: u64,
    pub seats: u64,
    pub keys: u64,
    pub resources: u64,
    pub tenants: u64,
    pub log_bytes: u64,
    /// Of `granted`: by callers within the process.
    pub entered: u64,
    /// No new permit before it; 0: open.
    pub recovering_until_ms: u64,
    /// Now: permits of callers within the process.
    pub local: u64,
    /// Releases and renewals of permits that had ended.
    pub gone: u64,
    /// Of `expired`: their connection was gone. Not in the header.
    pub orphans_expired: u64,
}

impl GateCounters {
    pub(super) fn impede(&mut self, code: Code) {
        match code {
            Code::UnknownResource => self.unknown_resource += 1,
            Code::ConcurrencyLimit => self.concurrency_limit += 1,
            Code::WouldWaitTooLong => self.would_wait_too_long += 1,
            Code::WaitersFull => self.waiters_full += 1,
            Code::TooManyGateKeys => self.too_many_keys += 1,
            Code::WaitOver => self.wait_over += 1,
            Code::TooManyPermits => self.too_many_permits += 1,
            _ => self.recovering += 1,
        }
    }

    const fn in_order(&self) -> [u64; 28] {
        [
            self.granted,
            self.released,
            self.expired,
            self.orphaned,
            self.claimed,
            self.renewed,
            self.admitted,
            self.queued,
            self.gave_up,
            self.unknown_resource,
            self.concurrency_limit,
            self.would_wait_too_long,
            self.waiters_full,
            self.too_many_keys,
            self.wait_over,
            self.too_many_permits,
            self.recovering,
            self.waiting,
            self.permits,
            self.seats,
            self.keys,
            self.resources,
            self.tenants,
            self.log_bytes,
            self.entered,
            self.recovering_until_ms,
            self.local,
            self.gone,
        ]
    }
}

#[derive(Default)]
pub(super) struct Effects {
    pub replies: Replies,
    /// What those who waited are told, by connection.
    told: Vec<(u32, PermitTold)>,
    entered: Vec<(u32, [u8; 28], usize)>,
    pub out: Vec<u8>,
}

impl Effects {
    pub fn has_some(&self) -> bool {
        !self.replies.is_empty() || !self.told.is_empty() || !self.entered.is_empty()
    }

    pub fn told_granted(&mut self, connection: u32, ticket: u32, id: PermitId, lease_ms: u32) {
        let told = PermitTold::Granted {
            ticket,
            id: id.0,
            lease_ms,
        };
        self.told.push((connection, told));
    }

    pub fn told_refused(
        &mut self,
        connection: u32,
        ticket: u32,
        code: u32,
        retry_after_ms: Option<u64>,
    ) {
        let told = PermitTold::Refused {
            ticket,
            code,
            retry_after_ms,
        };
        self.told.push((connection, told));
    }

    /// `[permit|nil, code, retryAfterMs]`; the permit as a double, which is exact.
    pub fn entered(&mut self, ticket: u32, permit: Option<u64>, code: u32, retry_after_ms: u64) {
        let mut bytes = Vec::with_capacity(28);
        crate::msgpack::write_array_len(&mut bytes, 3);
        match permit {
            #[allow(clippy::cast_precision_loss, reason = "it has at most 52 bits")]
            Some(permit) => {
                bytes.push(0xcb);
                bytes.extend_from_slice(&(permit as f64).to_be_bytes());
            }
            None => crate::msgpack::write_nil(&mut bytes),
        }
        crate::msgpack::write_uint(&mut bytes, code.into());
        crate::msgpack::write_uint(&mut bytes, retry_after_ms);
        let mut room = [0; 28];
        room[..bytes.len()].copy_from_slice(&bytes);
        self.entered.push((ticket, room, bytes.len()));
    }

    /// Encodes everything since the last time into `out`.
    pub fn encode(&mut self, head: &EffectsHead, counters: &GateCounters) {
        self.tell();
        self.out.clear();
        self.out.resize(EFFECTS_HEADER_BYTES, 0);
        let replies = self.replies.encode_all(&mut self.out);
        for (ticket, bytes, length) in &self.entered {
            write_effect(&mut self.out, EffectOp::Entered, *ticket, &bytes[..*length]);
        }
        let entries = replies + self.entered.len() as u32;
        let head = EffectsHead { entries, ..*head };
        write_header(&mut self.out, &head, &counters.in_order());
        self.replies.clear();
        self.entered.clear();
    }

    fn tell(&mut self) {
        let mut told = std::mem::take(&mut self.told);
        told.sort_by_key(|(connection, _)| *connection);
        for of_one in told.chunk_by(|one, other| one.0 == other.0) {
            for some in of_one.chunks(PERMITS_PER_FRAME) {
                self.replies.frame(some[0].0, |out| {
                    write_permit_event(out, some.iter().map(|(_, told)| told));
                });
            }
        }
        told.clear();
        self.told = told;
    }
}
