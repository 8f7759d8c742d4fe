//! Connections: what each may do, holds and waits for.

use super::{Gate, LOCAL, NONE};
use rustc_hash::FxHashMap;

pub(super) struct Connection {
    pub scopes: u8,
    /// Empty: the platform.
    pub tenant: Box<[u8]>,
    first_permit: u32,
    first_waiter: u32,
    last_ticket: u32,
}

#[derive(Default)]
pub(super) struct Connections {
    all: FxHashMap<u32, Connection>,
    /// Waiters by connection (high) and ticket (low).
    tickets: FxHashMap<u64, u32>,
    last_local_ticket: u32,
}

impl Connections {
    pub fn get(&self, connection: u32) -> Option<&Connection> {
        self.all.get(&connection)
    }
}

fn ticket_of(connection: u32, ticket: u32) -> u64 {
    u64::from(connection) << 32 | u64::from(ticket)
}

impl Gate {
    pub(super) fn connect(&mut self, connection: u32, scopes: u8, tenant: &[u8]) {
        // A number that is used again: what it held is not forgotten.
        self.disconnect(connection);
        let entry = Connection {
            scopes,
            tenant: tenant.into(),
            first_permit: NONE,
            first_waiter: NONE,
            last_ticket: 0,
        };
        self.connections.all.insert(connection, entry);
    }

    /// Drops its waiters and leaves its permits to whoever claims them.
    pub(super) fn disconnect(&mut self, connection: u32) {
        let Some(gone) = self.connections.all.get(&connection) else {
            return;
        };
        let (mut waiter, mut slot) = (gone.first_waiter, gone.first_permit);
        // All at once: none of its own is let in where another of its own leaves.
        let mut left = Vec::new();
        while waiter != NONE {
            left.push(waiter);
            waiter = self.waiters.get(waiter).connection_next;
        }
        self.drop_waiters(&left, None);
        self.connections.all.remove(&connection);
        while slot != NONE {
            let next = self.permits.get(slot).next;
            self.orphan(slot);
            slot = next;
        }
    }

    /// Puts a permit into the list of its connection, if it has one.
    #[inline]
    pub(super) fn own_permit(&mut self, connection: u32, slot: u32) {
        let Some(owner) = self.connections.all.get_mut(&connection) else {
            self.permits.get_mut(slot).connection = NONE;
            return;
        };
        let next = std::mem::replace(&mut owner.first_permit, slot);
        let permit = self.permits.get_mut(slot);
        (permit.prev, permit.next) = (NONE, next);
        if next != NONE {
            self.permits.get_mut(next).prev = slot;
        }
    }

    #[inline]
    pub(super) fn disown_permit(&mut self, slot: u32) {
        let permit = *self.permits.get(slot);
        if permit.connection == NONE {
            return;
        }
        if permit.next != NONE {
            self.permits.get_mut(permit.next).prev = permit.prev;
        }
        if permit.prev != NONE {
            self.permits.get_mut(permit.prev).next = permit.next;
        } else if let Some(owner) = self.connections.all.get_mut(&permit.connection) {
            owner.first_permit = permit.next;
        }
        let permit = self.permits.get_mut(slot);
        permit.connection = NONE;
        (permit.prev, permit.next) = (NONE, NONE);
    }

    /// A number that no waiter of the connection has; they count from 1.
    pub(super) fn next_ticket(&mut self, connection: u32) -> u32 {
        let last = if connection == LOCAL {
            &mut self.connections.last_local_ticket
        } else {
            let owner = self.connections.all.get_mut(&connection);
            &mut owner.expect("only a connection waits").last_ticket
        };
        loop {
            *last = last.wrapping_add(1).max(1);
            let is_taken = self
                .connections
                .tickets
                .contains_key(&ticket_of(connection, *last));
            if !is_taken {
                return *last;
            }
        }
    }

    pub(super) fn waiter_of(&self, connection: u32, ticket: u32) -> Option<u32> {
        self.connections
            .tickets
            .get(&ticket_of(connection, ticket))
            .copied()
    }

    pub(super) fn own_waiter(&mut self, connection: u32, waiter: u32) {
        let ticket = self.waiters.get(waiter).ticket;
        self.connections
            .tickets
            .insert(ticket_of(connection, ticket), waiter);
        let Some(owner) = self.connections.all.get_mut(&connection) else {
            return;
        };
        let next = std::mem::replace(&mut owner.first_waiter, waiter);
        self.waiters.get_mut(waiter).connection_next = next;
        if next != NONE {
            self.waiters.get_mut(next).connection_prev = waiter;
        }
    }

    pub(super) fn disown_waiter(&mut self, waiter: u32) {
        let at = *self.waiters.get(waiter);
        self.connections
            .tickets
            .remove(&ticket_of(at.connection, at.ticket));
        if at.connection_next != NONE {
            self.waiters.get_mut(at.connection_next).connection_prev = at.connection_prev;
        }
        if at.connection_prev != NONE {
            self.waiters.get_mut(at.connection_prev).connection_next = at.connection_next;
        } else if let Some(owner) = self.connections.all.get_mut(&at.connection) {
            owner.first_waiter = at.connection_next;
        }
    }
}
