//! Opens keys, tenants and resources at their first use, and forgets those that are idle.

use super::cell::CellId;
use super::key::{Key, Policy};
use super::line::Line;
use super::names::{Resource, Tenant};
use super::{Gate, KEY, NONE, RESOURCE, TENANT};
use crate::exchange::GateResourceFields;
use crate::limits;

/// Weight of a tenant that says none.
pub(super) const WEIGHT_DEFAULT: u32 = 100;
/// Keys looked at in one step, to find idle ones.
const SWEEP_PER_STEP: usize = 32;
/// Keys looked at when there is no room for another.
const SWEEP_WHEN_FULL: usize = 1024;

/// There is no room for another key.
pub(super) struct TooMany;

impl Gate {
    /// The key of a tenant at a resource that is known.
    #[inline]
    pub(super) fn key_at(&mut self, resource: u32, tenant: &[u8]) -> Result<u32, TooMany> {
        if let Some(&tenant) = self.names.tenants.get(tenant)
            && let Some(&key) = self.key_of.get(&pair(resource, tenant))
        {
            return Ok(key);
        }
        self.open_key(resource, tenant)
    }

    /// As `key_at`, also above `keys_max`.
    pub(super) fn stored_key_at(&mut self, resource: u32, tenant: &[u8]) -> Result<u32, TooMany> {
        if let Some(&tenant) = self.names.tenants.get(tenant)
            && let Some(&key) = self.key_of.get(&pair(resource, tenant))
        {
            return Ok(key);
        }
        self.make_key(resource, tenant)
    }

    #[cold]
    fn open_key(&mut self, resource: u32, tenant: &[u8]) -> Result<u32, TooMany> {
        if self.key_of.len() >= self.options.keys_max {
            // Held meanwhile: with its last key it would be forgotten itself.
            self.resources[resource as usize].keys += 1;
            self.sweep(SWEEP_WHEN_FULL, 0);
            self.resources[resource as usize].keys -= 1;
            if self.key_of.len() >= self.options.keys_max {
                self.forget_resource_if_idle(resource);
                return Err(TooMany);
            }
        }
        self.make_key(resource, tenant)
    }

    fn make_key(&mut self, resource: u32, tenant: &[u8]) -> Result<u32, TooMany> {
        let tenant = self.tenant_of(tenant)?;
        let resource_name = self.resources[resource as usize].name.clone();
        let tenant_name = self.tenants[tenant as usize].name.clone();
        let hash = self
            .names
            .cell_hash(self.options.instance, KEY, [&resource_name, &tenant_name]);
        let Ok(cell) = self.table.open(hash) else {
            self.forget_tenant_if_idle(tenant);
            return Err(TooMany);
        };
        let cells = [
            cell,
            self.tenants[tenant as usize].cell,
            self.resources[resource as usize].cell,
        ];
        let policy = self.policy_of(resource, tenant);
        let mut key = Key::new(resource, tenant, cells, policy);
        self.opened += 1;
        key.serial = self.opened;
        key.idle_since_us = self.now_us;
        key.tags[TENANT] = self.tenants[tenant as usize].line.entry_tag(0);
        key.tags[RESOURCE] = self.resources[resource as usize].line.entry_tag(0);
        let at = if let Some(at) = self.free_keys.pop() {
            self.keys[at as usize] = key;
            at
        } else {
            self.keys.push(key);
            self.keys.len() as u32 - 1
        };
        self.key_of.insert(pair(resource, tenant), at);
        self.tenants[tenant as usize].keys += 1;
        self.resources[resource as usize].keys += 1;
        self.table
            .set_cap(cell, super::configure::capped(policy.limit));
        self.set_floor(at, 0);
        Ok(at)
    }

    /// Counts a key's floor, which was `old`, among those of its resource, and tells the table.
    pub(super) fn set_floor(&mut self, key: u32, old: u32) {
        let (of, floor) = {
            let key = &self.keys[key as usize];
            (key.resource, key.policy.floor)
        };
        let resource = &mut self.resources[of as usize];
        if old > 0 && floor == 0 {
            resource.floor_keys.retain(|other| *other != key);
        } else if old == 0 && floor > 0 {
            resource.floor_keys.push(key);
        }
        resource.floor_sum = resource.floor_sum - u64::from(old) + u64::from(floor);
        // Without a floor it is none of those that are cut.
        if !self.cut_floors(of) || floor == 0 {
            self.keep_floor(key, floor);
        }
    }

    /// Floors that come to more than the resource's cap are kept in proportion, rounded down: whole,
    /// they would keep the cap's seats free for each other, and let in nobody. False: they fit, as
    /// before.
    pub(super) fn cut_floors(&mut self, resource: u32) -> bool {
        let at = &mut self.resources[resource as usize];
        let cap = self.table.read(at.cell).cap.map(u64::from);
        let cut = cap.filter(|cap| at.floor_sum > *cap);
        let was_cut = std::mem::replace(&mut at.floors_cut, cut.is_some());
        if cut.is_none() && !was_cut {
            return false;
        }
        let sum = at.floor_sum;
        let keys = std::mem::take(&mut at.floor_keys);
        // Those that go down first: the sum is never above what it was or will be.
        for goes_up in [false, true] {
            for &key in &keys {
                let floor = self.keys[key as usize].policy.floor;
                let kept = cut.map_or(floor, |cap| (u64::from(floor) * cap / sum) as u32);
                if (kept > self.keys[key as usize].floor_kept) == goes_up {
                    self.keep_floor(key, kept);
                }
            }
        }
        self.resources[resource as usize].floor_keys = keys;
        true
    }

    /// Tells the table. Floors above all that a cell can hold stay as they were.
    fn keep_floor(&mut self, key: u32, floor: u32) {
        let at = &mut self.keys[key as usize];
        let kept = self
            .table
            .set_floor(at.cells[KEY], at.cells[RESOURCE], floor);
        if kept.is_ok() {
            at.floor_kept = floor;
        }
    }

    pub(super) fn tenant_of(&mut self, name: &[u8]) -> Result<u32, TooMany> {
        if let Some(&at) = self.names.tenants.get(name) {
            return Ok(at);
        }
        let cell = self.open_cell(TENANT, name)?;
        let tenant = Tenant {
            name: name.into(),
            configured: false,
            concurrency_max: None,
            weight: WEIGHT_DEFAULT,
            cell,
            line: Line::default(),
            keys: 0,
            live: true,
            tally: NONE,
        };
        self.table.set_cap(cell, None);
        let at = if let Some(at) = self.names.free_tenants.pop() {
            self.tenants[at as usize] = tenant;
            at
        } else {
            self.tenants.push(tenant);
            self.tenants.len() as u32 - 1
        };
        self.names.tenants.insert(name.into(), at);
        Ok(at)
    }

    pub(super) fn resource_of(&mut self, name: &[u8]) -> Result<u32, TooMany> {
        if let Some(&at) = self.names.resources.get(name) {
            return Ok(at);
        }
        let cell = self.open_cell(RESOURCE, name)?;
        let resource = Resource {
            name: name.into(),
            fields: None,
            cell,
            line: Line::default(),
            keys: 0,
            hold_us: 0,
            holds: 0,
            adaptive: None,
            floor_keys: Vec::new(),
            floor_sum: 0,
            floors_cut: false,
            floored: Vec::new(),
            live: true,
        };
        self.table.set_cap(cell, None);
        let at = if let Some(at) = self.names.free_resources.pop() {
            self.resources[at as usize] = resource;
            at
        } else {
            self.resources.push(resource);
            self.resources.len() as u32 - 1
        };
        self.names.resources.insert(name.into(), at);
        Ok(at)
    }

    fn open_cell(&self, of: usize, name: &[u8]) -> Result<CellId, TooMany> {
        let hash = self.names.cell_hash(self.options.instance, of, [name, b""]);
        self.table.open(hash).map_err(|_| TooMany)
    }

    /// What is in effect for a tenant at a resource.
    pub(super) fn policy_of(&self, resource: u32, tenant: u32) -> Policy {
        let resource = &self.resources[resource as usize];
        let tenant = &self.tenants[tenant as usize];
        let defaults = GateResourceFields::default();
        let of_all = resource.fields.as_ref().unwrap_or(&defaults);
        let name = [&*resource.name, b"/", &*tenant.name].concat();
        let own = self.policies.get(name.as_slice());
        let rate = own
            .and_then(|own| own.rate_per_sec)
            .or(of_all.rate_per_sec)
            .unwrap_or(f64::INFINITY);
        #[allow(clippy::cast_sign_loss, reason = "a rate is above 0, a cast saturates")]
        let pace_us = ((1e6 / rate).ceil() as u64).min(limits::GATE_PACE_US_MAX);
        Policy {
            limit: own.and_then(|own| own.limit).or(of_all.tenant_limit),
            floor: own.map_or(0, |own| own.floor),
            weight: own
                .and_then(|own| own.weight)
                .unwrap_or(tenant.weight)
                .max(1),
            mode: own.and_then(|own| own.mode).unwrap_or(of_all.mode),
            waiters_max: own
                .and_then(|own| own.waiters_max)
                .unwrap_or(of_all.waiters_max),
            wait_ms: own
                .and_then(|own| own.wait_ms)
                .unwrap_or(of_all.wait_ms)
                .min(limits::GATE_WAIT_MS_MAX),
            pace_us,
            lease_ms: of_all
                .lease_ms
                .clamp(limits::PERMIT_LEASE_MS_MIN, limits::PERMIT_LEASE_MS_MAX)
                as u32,
        }
    }

    /// Looks at a few keys and forgets those that are idle for long.
    pub(super) fn sweep_some(&mut self) {
        self.sweep(SWEEP_PER_STEP, limits::GATE_IDLE_MS * 1000);
    }

    fn sweep(&mut self, looks: usize, idle_us: u64) {
        for _ in 0..looks.min(self.keys.len()) {
            self.sweep_next = (self.sweep_next + 1) % self.keys.len();
            let at = self.sweep_next as u32;
            let key = &self.keys[at as usize];
            let is_old = self.now_us.saturating_sub(key.idle_since_us) >= idle_us;
            let is_kept = key.policy.floor > 0;
            if !key.is_free() && key.is_idle() && is_old && !is_kept && self.owes_nothing(at) {
                self.forget_key(at);
            }
        }
    }

    /// A key with a debt is remembered, or its tenant would begin anew without it.
    fn owes_nothing(&self, key: u32) -> bool {
        let key = &self.keys[key as usize];
        let tenant = &self.tenants[key.tenant as usize].line;
        let resource = &self.resources[key.resource as usize].line;
        (tenant.is_empty() || key.tags[TENANT] <= tenant.virtual_time)
            && (resource.is_empty() || key.tags[RESOURCE] <= resource.virtual_time)
    }

    fn forget_key(&mut self, at: u32) {
        let key = &mut self.keys[at as usize];
        let (resource, tenant, cell) = (key.resource, key.tenant, key.cells[KEY]);
        debug_assert!(key.policy.floor == 0, "a key with a floor is kept");
        key.resource = NONE;
        key.serial = 0;
        key.decisions = super::decisions::Decisions::default();
        self.table.release(cell);
        self.key_of.remove(&pair(resource, tenant));
        self.free_keys.push(at);
        self.tenants[tenant as usize].keys -= 1;
        self.resources[resource as usize].keys -= 1;
        self.forget_tenant_if_idle(tenant);
        self.forget_resource_if_idle(resource);
    }

    pub(super) fn forget_tenant_if_idle(&mut self, at: u32) {
        let tenant = &mut self.tenants[at as usize];
        if tenant.keys > 0 || tenant.configured || !tenant.live {
            return;
        }
        tenant.live = false;
        self.table.release(tenant.cell);
        let name = std::mem::take(&mut tenant.name);
        self.names.tenants.remove(&name);
        self.names.free_tenants.push(at);
    }

    pub(super) fn forget_resource_if_idle(&mut self, at: u32) {
        let resource = &mut self.resources[at as usize];
        if resource.keys > 0 || resource.fields.is_some() || !resource.live {
            return;
        }
        resource.live = false;
        self.table.release(resource.cell);
        let name = std::mem::take(&mut resource.name);
        self.names.resources.remove(&name);
        self.names.free_resources.push(at);
    }
}

pub(super) fn pair(resource: u32, tenant: u32) -> u64 {
    u64::from(resource) << 32 | u64::from(tenant)
}
