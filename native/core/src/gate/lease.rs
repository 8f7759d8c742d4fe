//! Leases: renewed, claimed, or cut short when the connection of the holder is gone.

use super::permit::{FINISHING, FRESH, ORPHAN, PermitId, RENEWED};
use super::{Gate, NONE};
use crate::limits::{PERMIT_LEASE_MS_MAX, PERMIT_LEASE_MS_MIN};

/// Flags of a renewal.
pub(super) const RENEW_FINISHING: u32 = 1;
pub(super) const RENEW_CLAIM: u32 = 2;

impl Gate {
    /// Gives a permit another lease from now on; what it is then, ms, 0 if the permit is gone.
    pub(super) fn renew(
        &mut self,
        id: &PermitId,
        owner: (u32, Option<u32>),
        lease_ms: u64,
        flags: u32,
    ) -> u64 {
        let (connection, tenant) = owner;
        let Some(slot) = self.permit_of(id, tenant) else {
            self.counters.gone += 1;
            return 0;
        };
        if flags & RENEW_CLAIM != 0 && connection != NONE {
            self.claim(slot, connection);
        }
        let now_us = self.now_us;
        let permit = self.permits.get_mut(slot);
        if permit.flags & FINISHING != 0 {
            return permit.lease_end_us.saturating_sub(now_us) / 1000;
        }
        let lease_ms = lease_ms.clamp(PERMIT_LEASE_MS_MIN, PERMIT_LEASE_MS_MAX);
        permit.lease_ms = lease_ms as u32;
        permit.lease_end_us = now_us + lease_ms * 1000;
        if flags & RENEW_FINISHING != 0 {
            permit.flags |= FINISHING;
        }
        let lease_end_us = permit.lease_end_us;
        self.note_renewed(slot);
        self.leases.set(slot, lease_end_us);
        self.lease_granted(lease_ms);
        self.counters.renewed += 1;
        lease_ms
    }

    /// The slot of a permit of that tenant, or of anybody's for the platform.
    #[inline]
    pub(super) fn permit_of(&self, id: &PermitId, tenant: Option<u32>) -> Option<u32> {
        let slot = self.permits.slot_of(id)?;
        let permit = self.permits.get(slot);
        let is_local = permit.flags & super::permit::LOCAL_PERMIT != 0;
        let is_own = tenant.is_none_or(|tenant| self.keys[permit.key as usize].tenant == tenant);
        (!is_local && is_own).then_some(slot)
    }

    /// The permit is this connection's from now on.
    fn claim(&mut self, slot: u32, connection: u32) {
        if self.permits.get(slot).connection == connection {
            return;
        }
        self.disown_permit(slot);
        let permit = self.permits.get_mut(slot);
        permit.connection = connection;
        permit.flags &= !ORPHAN;
        self.own_permit(connection, slot);
        self.counters.claimed += 1;
    }

    /// The connection of its holder is gone: it ends soon unless somebody claims it.
    pub(super) fn orphan(&mut self, slot: u32) {
        let end_us = self.now_us + self.options.grace_ms * 1000;
        let permit = self.permits.get_mut(slot);
        permit.connection = NONE;
        (permit.prev, permit.next) = (NONE, NONE);
        permit.flags |= ORPHAN;
        if end_us < permit.lease_end_us {
            permit.lease_end_us = end_us;
            self.leases.set(slot, end_us);
        }
        self.counters.orphaned += 1;
    }

    fn note_renewed(&mut self, slot: u32) {
        let permit = self.permits.get_mut(slot);
        if permit.flags & (FRESH | RENEWED) == 0 {
            permit.flags |= RENEWED;
            self.log.renewed.push(slot);
        }
    }
}
