//! What is configured, live: who is whose sub-account, and prices.

use super::price::PriceList;
use super::{Fatal, Usage};
use crate::exchange::{
    ExchangeError, InputOp, InputReader, UsageChange, decode_usage_configure, decode_usage_in_use,
};
use std::sync::Arc;

impl Usage {
    /// The initial entities, before recovery: an exchange input of `configure` entries.
    pub fn configure(&mut self, now_us: u64, input: &[u8]) -> Result<(), Fatal> {
        self.now_us = self.now_us.max(now_us);
        for entry in InputReader::new(input)? {
            let entry = entry?;
            if entry.op != InputOp::Configure {
                return Err(Fatal::State(format!("{:?} among entities", entry.op)));
            }
            self.configure_one(entry.bytes, None)?;
        }
        Ok(())
    }

    pub(super) fn configure_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let is_answered_later = self.configure_one(bytes, Some(request))?;
        if !is_answered_later {
            self.reply_json(request, r#"{"ok":true}"#);
        }
        Ok(())
    }

    /// Whether the request is answered later.
    fn configure_one(&mut self, bytes: &[u8], request: Option<u32>) -> Result<bool, Fatal> {
        let change = decode_usage_configure(bytes)?;
        let name = change.name.as_bytes();
        match change.change {
            UsageChange::Parent(parent) => self.set_parent(name, parent.map(str::as_bytes)),
            UsageChange::Price(Some(fields)) => {
                let list = PriceList::decode(fields).ok_or(ExchangeError {
                    what: "a price list is damaged",
                    at: 0,
                })?;
                self.prices.insert(name.into(), Arc::new(list));
            }
            UsageChange::Price(None) => {
                self.prices.remove(name);
            }
            UsageChange::Cap(Some(cap)) => return Ok(self.put_cap(name, &cap, request)),
            UsageChange::Cap(None) => self.delete_cap(name),
            UsageChange::OfShards => {}
        }
        Ok(false)
    }

    fn set_parent(&mut self, name: &[u8], parent: Option<&[u8]>) {
        if parent.is_none() && self.accounts.find(name).is_none() {
            return;
        }
        let account = self.accounts.open(name);
        let parent = parent.map(|parent| self.accounts.open(parent));
        if self.accounts.set_parent(account, parent) {
            self.families = self.families.wrapping_add(1);
            self.triggers.reload_sub();
        }
    }

    /// A tenant is in use as long as another is its sub-account.
    pub(super) fn in_use_entry(&mut self, request: u32, bytes: &[u8]) -> Result<(), Fatal> {
        let asked = decode_usage_in_use(bytes)?;
        let account = self.accounts.find(asked.name.as_bytes());
        let is_parent = account.is_some_and(|account| self.accounts.is_parent(account));
        self.reply_json(
            request,
            if asked.is_tenant && is_parent {
                r#"{"inUse":true}"#
            } else {
                r#"{"inUse":false}"#
            },
        );
        Ok(())
    }
}
