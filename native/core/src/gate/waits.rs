//! How waits end: let in, given up, refused, or waited as long as allowed; and who is told.

use super::decisions::What;
use super::key::Blocked;
use super::waiter::Waiter;
use super::{Gate, LOCAL, NONE, RESOURCE};
use crate::error::Code;

impl Gate {
    /// Whose time has come by their pace.
    pub(super) fn fire_paces(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        self.paces.advance(self.now_us, &mut due);
        for &key in &due {
            if self.keys[key as usize].blocked == Blocked::Pace {
                self.place(key);
            }
        }
        self.due = due;
    }

    /// Who waited as long as allowed.
    pub(super) fn fire_waits(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        self.waits.advance(self.now_us, &mut due);
        for &waiter in &due {
            // One may have been let in when another left.
            if self.waiters.get(waiter).key != NONE
                && self.waiters.get(waiter).until_us <= self.now_us
            {
                self.end_waiter(waiter, Some(Code::WaitOver));
            }
        }
        self.due = due;
    }

    /// A waiter leaves without a permit, told why if `code` is given; who stood behind it is tried.
    pub(super) fn end_waiter(&mut self, waiter: u32, code: Option<Code>) {
        let left = *self.waiters.get(waiter);
        let key = left.key;
        let entry = &self.keys[key as usize];
        let was_head = entry.first == waiter;
        let line = entry.blocked.line();
        if was_head {
            self.leave_line(key);
        } else if let Some(side) = line {
            self.line_mut(key, side).seats -= u64::from(left.seats);
        }
        self.unlink_waiter(waiter);
        match code {
            Some(code) => self.tell_refused(&left, code),
            None => self.counters.gave_up += 1,
        }
        if !was_head {
            return;
        }
        self.place(key);
        self.serve_line(key, line);
    }

    pub(super) fn all_waiters(&self) -> Vec<u32> {
        self.keys
            .iter()
            .filter(|key| !key.is_free())
            .flat_map(|key| {
                std::iter::successors((key.first != NONE).then_some(key.first), |waiter| {
                    let next = self.waiters.get(*waiter).next;
                    (next != NONE).then_some(next)
                })
            })
            .collect()
    }

    /// Several waiters leave at once, before anybody is tried who stood behind them; told why if `code`
    /// is given.
    pub(super) fn drop_waiters(&mut self, waiters: &[u32], code: Option<Code>) {
        let mut behind = Vec::new();
        for &waiter in waiters {
            let left = *self.waiters.get(waiter);
            let entry = &self.keys[left.key as usize];
            if entry.first == waiter {
                if entry.blocked != Blocked::No {
                    behind.push((left.key, entry.blocked.line()));
                    self.leave_line(left.key);
                }
            } else if let Some(side) = entry.blocked.line() {
                self.line_mut(left.key, side).seats -= u64::from(left.seats);
            }
            self.unlink_waiter(waiter);
            match code {
                Some(code) => self.tell_refused(&left, code),
                None => self.counters.gave_up += 1,
            }
        }
        for &(key, _) in &behind {
            self.place(key);
        }
        for (key, line) in behind {
            self.serve_line(key, line);
        }
    }

    pub(super) fn serve_line(&mut self, key: u32, line: Option<usize>) {
        let entry = &self.keys[key as usize];
        match line {
            Some(RESOURCE) => self.serve_resource(entry.resource),
            Some(_) => self.serve_tenant(entry.tenant),
            None => {}
        }
    }

    /// Takes a waiter out of its key and its connection.
    pub(super) fn unlink_waiter(&mut self, waiter: u32) {
        let at = *self.waiters.get(waiter);
        if at.keeps {
            self.let_go(at.key);
        }
        let entry = &mut self.keys[at.key as usize];
        entry.waiting -= 1;
        entry.waiting_seats -= u64::from(at.seats);
        if entry.is_idle() {
            entry.idle_since_us = self.now_us;
        }
        if at.prev == NONE {
            entry.first = at.next;
        } else {
            self.waiters.get_mut(at.prev).next = at.next;
        }
        let entry = &mut self.keys[at.key as usize];
        if at.next == NONE {
            entry.last = at.prev;
        } else {
            self.waiters.get_mut(at.next).prev = at.prev;
        }
        self.waits.clear(waiter);
        self.disown_waiter(waiter);
        self.waiters.free(waiter);
    }

    /// Tells one who waited that it was refused.
    pub(super) fn tell_refused(&mut self, waiter: &Waiter, code: Code) {
        let key = waiter.key;
        self.counters.impede(code);
        self.keys[key as usize].impeded += 1;
        if waiter.connection != LOCAL {
            let tenant = self.keys[key as usize].tenant;
            self.counts.impeded(&self.tenants[tenant as usize].name);
        }
        self.note_used(key, What::Impeded, code.number() as u16, waiter.seats);
        let retry_after_ms = match code {
            Code::UnknownResource => None,
            _ => self
                .estimate_ms(key, u32::from(waiter.seats), true)
                .map(|ms| ms.max(1)),
        };
        self.tell_ended(waiter, code, retry_after_ms);
    }

    pub(super) fn tell_granted(&mut self, waiter: &Waiter, slot: u32) {
        let (connection, ticket) = (waiter.connection, waiter.ticket);
        if connection == LOCAL {
            let permit = self.local_number(slot);
            self.effects.entered(ticket, Some(permit), 0, 0);
        } else {
            let id = self.permits.id(slot);
            let lease_ms = self.permits.get(slot).lease_ms;
            self.effects.told_granted(connection, ticket, id, lease_ms);
        }
    }

    fn tell_ended(&mut self, waiter: &Waiter, code: Code, retry_after_ms: Option<u64>) {
        let (connection, ticket) = (waiter.connection, waiter.ticket);
        if connection == LOCAL {
            let retry_after_ms = retry_after_ms.unwrap_or(0);
            self.effects
                .entered(ticket, None, code.number(), retry_after_ms);
        } else {
            self.effects
                .told_refused(connection, ticket, code.number(), retry_after_ms);
        }
    }
}
