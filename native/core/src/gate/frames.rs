//! Client frames: acquire, release, renew; from a connection, or from a call without one.

use super::ask::{Answer, Ask};
use super::{Fatal, Gate, KEY, NONE};
use crate::client_frame::{
    self, AcquireItem, FrameError, ReleaseItem, decode_acquire, decode_release, decode_renew,
    frame_kind_and_id,
};
use crate::daemon_frame::{
    PermitAnswer, write_acquire_ok_header, write_permit_answer, write_release_ok, write_renew_ok,
};
use crate::error::Code;
use crate::exchange::{SCOPE_GATE, decode_call};
use crate::replies::FrameSender;

/// The daemon's own REST interface. Only callers within the process are counted there: a client that held
/// its seats would shut all others out of it, the operator too.
const OWN_RESOURCE: &[u8] = b"fairlead.api";

impl Gate {
    pub(super) fn frame(&mut self, connection: u32, frame: &[u8]) {
        let Some(client) = self.connections.get(connection) else {
            return;
        };
        // Copied to the stack: the gate changes while the frame is served.
        let mut room = [0; 255];
        let length = client.tenant.len();
        room[..length].copy_from_slice(&client.tenant);
        let sender = FrameSender {
            connection,
            scopes: client.scopes,
            tenant: &room[..length],
        };
        self.frame_of(sender, frame);
    }

    /// A client frame that the REST interface sends, with the rights it says.
    pub(super) fn call(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let call = decode_call(bytes)?;
        self.frame_of(FrameSender::of_call(request, &call)?, call.frame);
        Ok(())
    }

    fn frame_of(&mut self, sender: FrameSender<'_>, frame: &[u8]) {
        let (kind, id) = match frame_kind_and_id(frame) {
            Ok(head) => head,
            Err(error) => return self.effects.replies.frame_error(sender.connection, &error),
        };
        if sender.scopes & SCOPE_GATE == 0 {
            let message = format!("frames of kind {kind} need the scope the token lacks");
            return self.reply_error(sender, id, Code::ScopeMissing, &message, None);
        }
        let served = match kind {
            client_frame::KIND_ACQUIRE => self.acquire(sender, frame),
            client_frame::KIND_RELEASE => self.release(sender, frame),
            client_frame::KIND_RENEW => self.renew_frame(sender, frame),
            _ => {
                let message = format!("frame kind {kind} is not known");
                return self.reply_error(sender, id, Code::UnknownKind, &message, None);
            }
        };
        if let Err(error) = served {
            self.effects.replies.frame_error(sender.connection, &error);
        }
    }

    fn acquire(&mut self, sender: FrameSender<'_>, frame: &[u8]) -> Result<(), FrameError> {
        let mut items = std::mem::take(&mut self.items);
        let id = decode_acquire(frame, &mut items);
        if let Ok(id) = id {
            if let Some(index) = foreign(&items, sender, frame) {
                let message = format!("entry {index}: the token is of another tenant");
                self.reply_error(sender, id, Code::TenantForbidden, &message, Some(index));
            } else {
                self.acquire_all(sender, frame, id, &items);
            }
        }
        self.items = items;
        id.map(|_| ())
    }

    fn acquire_all(
        &mut self,
        sender: FrameSender<'_>,
        frame: &[u8],
        id: u32,
        items: &[AcquireItem],
    ) {
        // Answers are written while asks are judged, which may tell others who waited.
        let mut out = std::mem::take(self.effects.replies.bytes());
        let start = out.len();
        write_acquire_ok_header(&mut out, id, items.len());
        let connection = if sender.is_call() {
            NONE
        } else {
            sender.connection
        };
        // Entries mostly are of one key: it is looked up once.
        let mut last: (&[u8], &[u8], u32) = (b"", b"", NONE);
        for item in items {
            let resource = item.resource(frame);
            let tenant = item.tenant(frame).unwrap_or(sender.tenant);
            let known =
                (last.2 != NONE && last.0 == resource && last.1 == tenant && self.is_open())
                    .then_some(last.2);
            let key = if resource == OWN_RESOURCE {
                Err(self.unknown_resource())
            } else {
                known.map_or_else(|| self.key_for(resource, tenant), Ok)
            };
            let (answer, key) = match key {
                Ok(key) => {
                    last = (resource, tenant, key);
                    let ask = Ask {
                        connection,
                        seats: item.seats,
                        lease_ms: item.lease_ms,
                        wait_ms: item.wait_ms.map(u64::from),
                        reject: item.mode == Some(0) || sender.is_call(),
                    };
                    (self.ask(key, &ask), key)
                }
                Err(answer) => {
                    // In search of room for another key it may have been forgotten.
                    last.2 = NONE;
                    (answer, NONE)
                }
            };
            if matches!(answer, Answer::Impeded { .. }) {
                self.counts.impeded(tenant);
            }
            self.write_answer(&mut out, answer, key);
        }
        if id == 0 {
            // Nobody asked for an answer.
            out.truncate(start);
        }
        *self.effects.replies.bytes() = out;
        if id > 0 {
            self.effects.replies.push_frame(sender.connection, start);
        }
    }

    /// Whether new permits are given at all.
    #[inline]
    fn is_open(&self) -> bool {
        !self.draining && self.closed_until_us <= self.now_us && !self.permits.is_full()
    }

    /// The key of an ask, or why there is none.
    #[inline]
    pub(super) fn key_for(&mut self, resource: &[u8], tenant: &[u8]) -> Result<u32, Answer> {
        if !self.is_open()
            && let Some(answer) = self.closed()
        {
            return Err(answer);
        }
        let resource = self.names.resources.get(resource).copied();
        let resource = resource.filter(|at| self.resources[*at as usize].fields.is_some());
        let Some(resource) = resource else {
            return Err(self.unknown_resource());
        };
        self.key_at(resource, tenant)
            .map_err(|_| self.too_many_keys())
    }

    #[inline]
    fn write_answer(&self, out: &mut Vec<u8>, answer: Answer, key: u32) {
        let (used, limit) = if key == NONE {
            (0, None)
        } else {
            let counts = self.table.read(self.keys[key as usize].cells[KEY]);
            (counts.used, counts.cap)
        };
        let answer = match answer {
            Answer::Granted { slot, lease_ms } => PermitAnswer::Granted {
                id: self.permits.id(slot).0,
                lease_ms,
            },
            Answer::Waiting {
                ticket,
                position,
                estimate_ms,
            } => PermitAnswer::Waiting {
                ticket,
                position,
                estimate_ms: estimate_ms.unwrap_or(0),
            },
            Answer::Impeded {
                code,
                retry_after_ms,
                estimate_ms,
            } => PermitAnswer::Impeded {
                code: code.number(),
                retry_after_ms,
                estimate_ms,
            },
        };
        write_permit_answer(out, &answer, used, limit);
    }

    fn release(&mut self, sender: FrameSender<'_>, frame: &[u8]) -> Result<(), FrameError> {
        let mut items = std::mem::take(&mut self.released);
        let id = decode_release(frame, &mut items);
        if let Ok(id) = id {
            let tenant = self.tenant_filter(sender);
            let mut released = 0;
            for item in &items {
                released += u32::from(self.release_one(sender, tenant, item));
            }
            let gone = items.len() as u32 - released;
            self.counters.gone += u64::from(gone);
            if id > 0 {
                self.effects.replies.frame(sender.connection, |out| {
                    write_release_ok(out, id, released, gone);
                });
            }
        }
        self.released = items;
        id.map(|_| ())
    }

    fn release_one(
        &mut self,
        sender: FrameSender<'_>,
        tenant: Option<u32>,
        item: &ReleaseItem,
    ) -> bool {
        match item {
            ReleaseItem::Permit(id) | ReleaseItem::Failed(id) => {
                let slot = self.permit_of(id, tenant);
                if let Some(slot) = slot {
                    self.counters.released += 1;
                    let is_ok = matches!(item, ReleaseItem::Permit(_));
                    self.end_permit(slot, Some(is_ok));
                }
                slot.is_some()
            }
            ReleaseItem::Ticket(ticket) => {
                let waiter = self.waiter_of(sender.connection, *ticket);
                if let Some(waiter) = waiter {
                    self.end_waiter(waiter, None);
                }
                waiter.is_some()
            }
        }
    }

    fn renew_frame(&mut self, sender: FrameSender<'_>, frame: &[u8]) -> Result<(), FrameError> {
        let mut ids = std::mem::take(&mut self.permit_ids);
        let head = decode_renew(frame, &mut ids);
        if let Ok(head) = head {
            let tenant = self.tenant_filter(sender);
            let connection = if sender.is_call() {
                NONE
            } else {
                sender.connection
            };
            let leases_ms: Vec<u64> = ids
                .iter()
                .map(|id| self.renew(id, (connection, tenant), head.lease_ms, head.flags))
                .collect();
            if head.id > 0 {
                self.effects.replies.frame(sender.connection, |out| {
                    write_renew_ok(out, head.id, &leases_ms);
                });
            }
        }
        self.permit_ids = ids;
        head.map(|_| ())
    }

    /// Whose permits a sender may touch: none for those of everybody.
    fn tenant_filter(&self, sender: FrameSender<'_>) -> Option<u32> {
        if sender.tenant.is_empty() {
            return None;
        }
        // One that has no keys has no permits.
        let tenant = self.names.tenants.get(sender.tenant).copied();
        Some(tenant.unwrap_or(NONE))
    }

    fn reply_error(
        &mut self,
        sender: FrameSender<'_>,
        id: u32,
        code: Code,
        message: &str,
        index: Option<u32>,
    ) {
        let replies = &mut self.effects.replies;
        replies.error(sender.connection, id, code.number(), message, index, None);
    }
}

/// The first entry that names another tenant than the token's.
fn foreign(items: &[AcquireItem], sender: FrameSender<'_>, frame: &[u8]) -> Option<u32> {
    if sender.tenant.is_empty() {
        return None;
    }
    let is_foreign = |item: &AcquireItem| {
        item.tenant(frame)
            .is_some_and(|tenant| tenant != sender.tenant)
    };
    items.iter().position(is_foreign).map(|at| at as u32)
}
