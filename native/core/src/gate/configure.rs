//! What is configured, live: caps raised let in at once, caps lowered drain.

use super::keys::WEIGHT_DEFAULT;
use super::{Fatal, Gate, KEY, RESOURCE, TENANT};
use crate::error::Code;
use crate::exchange::{
    GateChange, GateEntity, GatePolicyFields, GateResourceFields, GateTenantFields, InputOp,
    InputReader, decode_gate_configure, decode_gate_in_use,
};
use crate::gate::adaptive::Adaptive;
use crate::limits::SEATS_PER_CELL;

impl Gate {
    /// The initial entities, before recovery: an exchange input of `configure` entries.
    pub fn configure(&mut self, now_us: u64, input: &[u8]) -> Result<(), Fatal> {
        self.now_us = self.now_us.max(now_us);
        for entry in InputReader::new(input)? {
            let entry = entry?;
            if entry.op != InputOp::Configure {
                return Err(Fatal::State(format!("{:?} among entities", entry.op)));
            }
            self.configure_one(entry.bytes)?;
        }
        Ok(())
    }

    pub(super) fn configure_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        self.configure_one(bytes)?;
        self.reply_json(request, r#"{"ok":true}"#);
        Ok(())
    }

    fn configure_one(&mut self, bytes: &[u8]) -> Result<(), Fatal> {
        let change = decode_gate_configure(bytes)?;
        let name = change.name.as_bytes();
        match change.change {
            GateChange::Tenant(fields) => self.put_tenant(name, fields),
            GateChange::Resource(fields) => self.put_resource(name, fields),
            GateChange::Policy(fields) => {
                self.put_policy(name, fields);
                Ok(())
            }
        }
    }

    fn put_tenant(&mut self, name: &[u8], fields: Option<GateTenantFields>) -> Result<(), Fatal> {
        let at = self.tenant_of(name).map_err(|_| no_room())?;
        let tenant = &mut self.tenants[at as usize];
        tenant.configured = fields.is_some();
        tenant.concurrency_max = fields.and_then(|fields| fields.concurrency_max);
        tenant.weight = fields.map_or(WEIGHT_DEFAULT, |fields| fields.weight);
        let (cell, cap) = (tenant.cell, capped(tenant.concurrency_max));
        self.table.set_cap(cell, cap);
        self.refresh(|_, tenant| tenant == at);
        self.serve_tenant(at);
        self.forget_tenant_if_idle(at);
        Ok(())
    }

    fn put_resource(
        &mut self,
        name: &[u8],
        fields: Option<GateResourceFields>,
    ) -> Result<(), Fatal> {
        let at = self.resource_of(name).map_err(|_| no_room())?;
        let now_us = self.now_us;
        let resource = &mut self.resources[at as usize];
        let before = resource.fields.and_then(|fields| fields.adaptive);
        let adapts = fields.and_then(|fields| fields.adaptive);
        resource.fields = fields;
        if before != adapts {
            resource.adaptive = adapts.map(|adapts| Adaptive::new(adapts, now_us));
        }
        self.adaptive.retain(|other| *other != at);
        if adapts.is_some() {
            self.adaptive.push(at);
        }
        self.set_resource_cap(at);
        if fields.is_none() {
            self.drop_all_of(at);
        } else {
            self.open_floored(name);
        }
        self.refresh(|resource, _| resource == at);
        self.serve_resource(at);
        self.forget_resource_if_idle(at);
        Ok(())
    }

    /// Nobody is let in to a resource that is not known.
    fn drop_all_of(&mut self, resource: u32) {
        for key in 0..self.keys.len() as u32 {
            while self.keys[key as usize].resource == resource
                && self.keys[key as usize].waiting > 0
            {
                let head = self.keys[key as usize].first;
                self.end_waiter(head, Some(Code::UnknownResource));
            }
        }
    }

    fn put_policy(&mut self, name: &[u8], fields: Option<GatePolicyFields>) {
        if let Some(fields) = fields {
            self.policies.insert(name.into(), fields);
        } else {
            self.policies.remove(name);
        }
        let Some(split) = name.iter().position(|&byte| byte == b'/') else {
            return;
        };
        self.open_if_floored(name, split);
        let resource = self.names.resources.get(&name[..split]).copied();
        let tenant = self.names.tenants.get(&name[split + 1..]).copied();
        if let (Some(resource), Some(tenant)) = (resource, tenant) {
            self.refresh(|of, by| of == resource && by == tenant);
            self.serve_resource(resource);
            self.serve_tenant(tenant);
        }
    }

    /// A floor is kept free from the start, not from the key's first use.
    fn open_floored(&mut self, resource: &[u8]) {
        let is_of = |name: &[u8]| name.len() > resource.len() && name[resource.len()] == b'/';
        let names: Vec<Box<[u8]>> = self
            .policies
            .iter()
            .filter(|(name, fields)| fields.floor > 0 && name.starts_with(resource) && is_of(name))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.open_if_floored(&name, resource.len());
        }
    }

    fn open_if_floored(&mut self, name: &[u8], split: usize) {
        let has_floor = self
            .policies
            .get(name)
            .is_some_and(|fields| fields.floor > 0);
        let resource = self.names.resources.get(&name[..split]).copied();
        let resource = resource.filter(|at| self.resources[*at as usize].fields.is_some());
        if let Some(resource) = resource.filter(|_| has_floor) {
            // Without room for the key it is opened at its first use, or refused then.
            let _ = self.key_at(resource, &name[split + 1..]);
        }
    }

    /// Gives keys what is in effect for them now; where one left a line, the next is tried.
    fn refresh(&mut self, of: impl Fn(u32, u32) -> bool) {
        let mut left = Vec::new();
        for key in 0..self.keys.len() as u32 {
            let at = &self.keys[key as usize];
            if !at.is_free() && of(at.resource, at.tenant) {
                let line = at.blocked.line();
                self.refresh_key(key);
                if line.is_some() {
                    left.push((key, line));
                }
            }
        }
        for (key, line) in left {
            self.serve_line(key, line);
        }
    }

    fn refresh_key(&mut self, key: u32) {
        let at = &self.keys[key as usize];
        let (old, new) = (at.policy, self.policy_of(at.resource, at.tenant));
        if old == new {
            return;
        }
        // It leaves its line as what it was, and gets in line as what it is.
        let line = at.blocked.line();
        self.step_out(key);
        for side in [TENANT, RESOURCE] {
            let tag = self.keys[key as usize].tags[side];
            let tag = self.line(key, side).reweighted(tag, old.weight, new.weight);
            self.keys[key as usize].tags[side] = tag;
        }
        let at = &mut self.keys[key as usize];
        at.policy = new;
        at.per_weight = (1 << 32) / u64::from(new.weight);
        let cell = at.cells[KEY];
        self.table.set_cap(cell, capped(new.limit));
        self.set_floor(key, old.floor);
        self.place(key);
        if let Some(side) = line {
            self.rest(key, side);
        }
    }

    /// The caps of a key, its tenant and its resource as they are configured.
    pub(super) fn set_caps(&mut self, key: u32) {
        let at = &self.keys[key as usize];
        let (resource, tenant) = (at.resource, at.tenant);
        self.table.set_cap(at.cells[KEY], capped(at.policy.limit));
        let tenant = &self.tenants[tenant as usize];
        self.table
            .set_cap(tenant.cell, capped(tenant.concurrency_max));
        self.set_resource_cap(resource);
    }

    pub(super) fn set_resource_cap(&mut self, of: u32) {
        let resource = &self.resources[of as usize];
        let configured = resource.fields.and_then(|fields| fields.limit);
        let adapted = resource.adaptive.as_ref().map(Adaptive::limit);
        let cap = match (configured, adapted) {
            (Some(configured), Some(adapted)) => Some(configured.min(adapted)),
            (one, other) => one.or(other),
        };
        self.table.set_cap(resource.cell, capped(cap));
        self.cut_floors(of);
    }

    pub(super) fn in_use_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let asked = decode_gate_in_use(bytes)?;
        let name = asked.name.as_bytes();
        let busy = |of: &dyn Fn(u32, u32) -> bool| {
            self.keys
                .iter()
                .any(|key| !key.is_free() && !key.is_idle() && of(key.resource, key.tenant))
        };
        let in_use = match asked.entity {
            GateEntity::Tenant => {
                let tenant = self.names.tenants.get(name).copied();
                tenant.is_some_and(|tenant| busy(&|_, by| by == tenant))
            }
            GateEntity::Resource => {
                let resource = self.names.resources.get(name).copied();
                resource.is_some_and(|resource| busy(&|of, _| of == resource))
            }
            GateEntity::Policy => false,
        };
        self.reply_json(
            request,
            if in_use {
                r#"{"inUse":true}"#
            } else {
                r#"{"inUse":false}"#
            },
        );
        Ok(())
    }
}

/// A cap as a cell holds it.
pub(super) fn capped(cap: Option<u32>) -> Option<u32> {
    cap.map(|cap| cap.min(SEATS_PER_CELL))
}

fn no_room() -> Fatal {
    Fatal::State("more resources and tenants are configured than there is room for".to_owned())
}
