//! Permits end once: released, their lease over, or their holder within the process done.

use super::Gate;
use super::decisions::What;
use super::key::mean_with;
use super::permit::{FRESH, LOCAL_PERMIT, ORPHAN};

impl Gate {
    /// Ends a permit that has not ended, and lets in who waited for its seats. `ok`: how what it was for
    /// went; none: that says nothing of the resource.
    pub(super) fn end_permit(&mut self, slot: u32, ok: Option<bool>) {
        let permit = *self.permits.get(slot);
        let key = permit.key;
        let seats = u32::from(permit.seats);
        self.table.give(&self.keys[key as usize].cells, seats);
        self.counters.seats -= u64::from(seats);
        if permit.flags & LOCAL_PERMIT == 0 {
            self.leases.clear(slot);
            self.disown_permit(slot);
            if permit.flags & FRESH == 0 {
                self.log.ended.push((slot, permit.generation));
            }
        } else {
            self.counters.local -= 1;
        }
        self.permits.free(slot);
        let held_us = self.now_us.saturating_sub(permit.granted_us);
        if permit.flags & LOCAL_PERMIT == 0 {
            let tenant = self.keys[key as usize].tenant;
            self.counts
                .ended(&mut self.tenants[tenant as usize], held_us);
        }
        let at = &mut self.keys[key as usize];
        at.permits -= 1;
        if at.is_idle() {
            at.idle_since_us = self.now_us;
        }
        at.hold_us = mean_with(at.hold_us, at.holds, held_us);
        at.holds = at.holds.saturating_add(1);
        let (tenant, resource) = (at.tenant, at.resource);
        let somebody_waits = at.waiting > 0;
        let resource = &mut self.resources[resource as usize];
        resource.hold_us = mean_with(resource.hold_us, resource.holds, held_us);
        resource.holds = resource.holds.saturating_add(1);
        let somebody_waits = somebody_waits
            || !resource.line.is_empty()
            || !self.tenants[tenant as usize].line.is_empty();
        if resource.adaptive.is_some()
            && let Some(ok) = ok
        {
            self.adaptive_ended(key, held_us, ok);
        }
        if somebody_waits {
            self.correct(key, &permit);
            self.room(key);
        }
    }

    /// Leases that are over.
    pub(super) fn fire_leases(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        self.leases.advance(self.now_us, &mut due);
        for &slot in &due {
            let permit = *self.permits.get(slot);
            self.counters.expired += 1;
            if permit.flags & ORPHAN != 0 {
                self.counters.orphans_expired += 1;
            }
            self.end_permit(slot, Some(false));
            self.note_used(permit.key, What::Expired, 0, permit.seats);
        }
        self.due = due;
    }
}

impl Gate {
    /// A sample for a resource whose cap adapts.
    fn adaptive_ended(&mut self, key: u32, held_us: u64, ok: bool) {
        let at = &self.keys[key as usize];
        let used = self.table.read(at.cells[super::RESOURCE]).used;
        let resource = &mut self.resources[at.resource as usize];
        if let Some(adaptive) = &mut resource.adaptive {
            if ok {
                adaptive.success(held_us, used);
            } else {
                adaptive.drop_one();
            }
            self.wakes |= adaptive.wants_look();
        }
    }

    /// Ends windows of caps that adapt.
    pub(super) fn adapt(&mut self) {
        for at in 0..self.adaptive.len() {
            let resource = self.adaptive[at];
            let now_us = self.now_us;
            let adaptive = self.resources[resource as usize].adaptive.as_mut();
            if adaptive.is_some_and(|adaptive| adaptive.tick(now_us)) {
                self.set_resource_cap(resource);
                self.serve_resource(resource);
            }
        }
    }

    pub(super) fn next_adapt_us(&self) -> u64 {
        let dues = self.adaptive.iter().filter_map(|resource| {
            let adaptive = self.resources[*resource as usize].adaptive.as_ref();
            adaptive.and_then(super::adaptive::Adaptive::due_us)
        });
        dues.min().unwrap_or(u64::MAX)
    }
}
