//! Seats of a tenant's cap that the head of a key keeps while it waits for its resource's cap.
//!
//! Where both caps are full, a turn at one finds no room at the other, and the head goes from line to line.
//! After `GATE_TURNS_LOST` lost turns at the resource it takes the tenant's seats at its next turn there, and
//! keeps them in the resource's line. Tenant before resource is the one order, and whoever holds seats of a
//! resource waits for nothing here, so no two wait for each other. A key keeps its head's seats only; what it
//! costs are these seats, idle as long as the head waits in that line.

use super::chain::Take;
use super::{Gate, KEY, NONE, RESOURCE, TENANT};
use crate::limits::GATE_TURNS_LOST;

impl Gate {
    pub(super) fn keeps(&self, key: u32) -> bool {
        let head = self.keys[key as usize].first;
        head != NONE && self.waiters.get(head).keeps
    }

    /// Takes what the head of a key does not keep yet; with all of it nothing is kept any more.
    pub(super) fn take_for_head(&mut self, key: u32, seats: u32) -> Take {
        let cells = self.keys[key as usize].cells;
        if !self.keeps(key) {
            return self.table.take(&cells, seats);
        }
        // A cap that was lowered lets nobody in until enough have left, whoever keeps seats of it.
        let counts = self.table.read(cells[TENANT]);
        if counts.cap.is_some_and(|cap| counts.used > cap) {
            self.let_go(key);
            return Take::Refused { at: TENANT };
        }
        match self.table.take(&[cells[KEY], cells[RESOURCE]], seats) {
            Take::Taken => {
                let head = self.keys[key as usize].first;
                self.waiters.get_mut(head).keeps = false;
                Take::Taken
            }
            Take::Refused { at: KEY } => {
                self.let_go(key);
                Take::Refused { at: KEY }
            }
            Take::Refused { .. } => Take::Refused { at: RESOURCE },
        }
    }

    /// The head had its turn at the resource and no room at the tenant.
    pub(super) fn lost_turn(&mut self, key: u32) {
        let head = self.keys[key as usize].first;
        let waiter = self.waiters.get_mut(head);
        waiter.lost = waiter.lost.saturating_add(1);
    }

    /// The head has its turn at the tenant, and goes on to the resource's line.
    pub(super) fn keep_if_lost(&mut self, key: u32, seats: u32) {
        let head = self.keys[key as usize].first;
        if self.waiters.get(head).lost < GATE_TURNS_LOST {
            return;
        }
        let cell = self.keys[key as usize].cells[TENANT];
        if self.table.take(&[cell], seats) == Take::Taken {
            self.waiters.get_mut(head).keeps = true;
            let tag = self.keys[key as usize].tags[TENANT];
            self.line_mut(key, TENANT).picked(tag);
        }
    }

    /// The head of a key gives back what it keeps; `serve_let_go` gives it to others.
    pub(super) fn let_go(&mut self, key: u32) {
        if !self.keeps(key) {
            return;
        }
        let at = &self.keys[key as usize];
        let (head, tenant, cell) = (at.first, at.tenant, at.cells[TENANT]);
        let waiter = self.waiters.get_mut(head);
        waiter.keeps = false;
        let seats = u32::from(waiter.seats);
        self.table.give(&[cell], seats);
        self.let_go.push(tenant);
    }

    /// Lets in who waited for seats that somebody kept.
    pub(super) fn serve_let_go(&mut self) {
        while let Some(tenant) = self.let_go.pop() {
            self.serve_tenant(tenant);
        }
    }
}
