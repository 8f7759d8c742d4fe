//! Showing and listing: questions that may have to wait until sums are read.

use super::judge::begin;
use super::manage::{NOT_FOUND, read};
use super::watch::Place;
use super::wire::{array_of, optional, read_text};
use super::{Sid, Trigger, Triggers};
use crate::exchange::ExchangeError;
use crate::limits::{TRIGGER_ITEMS, TRIGGERS_LOOKED_AT};
use crate::msgpack::Reader;
use std::fmt::Write;
use std::ops::Bound::{Excluded, Unbounded};

pub(super) enum Ask {
    Show(Sid),
    List(List),
}

pub(super) struct List {
    account: Option<Box<str>>,
    category: Option<Box<str>>,
    recurring: Option<u64>,
    by: Option<u64>,
    /// Those created after it.
    after: u64,
    limit: usize,
}

impl List {
    fn has(&self, trigger: &Trigger) -> bool {
        let spec = &trigger.spec;
        self.category
            .as_ref()
            .is_none_or(|name| *name == spec.category)
            && self
                .recurring
                .is_none_or(|number| number == spec.recurring as u64)
            && self.by.is_none_or(|number| number == spec.by as u64)
    }
}

impl Triggers {
    /// msgpack `[account str|nil, category str|nil, recurring uint|nil, by uint|nil, cursor str, limit
    /// uint]`, answered by `{"items":[trigger…],"cursor":str|null}` in the order of creation. A page
    /// can have fewer than its limit, and none, and yet a cursor.
    pub fn list(&mut self, now_ms: u64, request: u32, bytes: &[u8]) -> Result<(), ExchangeError> {
        self.passed_to(now_ms);
        let list = read(bytes, |reader| {
            array_of(reader, 6)?;
            Ok(List {
                account: optional(reader, read_text)?.map(Into::into),
                category: optional(reader, read_text)?.map(Into::into),
                recurring: optional(reader, Reader::uint)?,
                by: optional(reader, Reader::uint)?,
                after: read_text(reader)?.parse().unwrap_or(0),
                limit: (reader.uint32()? as usize).clamp(1, TRIGGER_ITEMS),
            })
        })?;
        self.asks.push((request, Ask::List(list)));
        Ok(())
    }

    /// msgpack `[sid bin16, account str|nil]`, answered by the trigger's JSON or `triggerNotFound`.
    pub fn show(&mut self, now_ms: u64, request: u32, bytes: &[u8]) -> Result<(), ExchangeError> {
        self.passed_to(now_ms);
        match self.named(bytes)? {
            Some(slot) => self.asks.push((request, Ask::Show(self.trigger(slot).sid))),
            None => self.replies.push((request, NOT_FOUND.to_owned())),
        }
        Ok(())
    }

    /// The answer, if the sums it needs are read; else they are asked for.
    pub(super) fn answer(&mut self, ask: &Ask) -> Option<String> {
        let mut out = String::new();
        match ask {
            Ask::Show(sid) => {
                let Some(slot) = self.by_sid.get(sid).copied() else {
                    return Some(NOT_FOUND.to_owned());
                };
                let current = self.current(slot)?;
                self.trigger(slot).write_json(&mut out, current);
            }
            Ask::List(list) => {
                let (slots, cursor) = self.page(list);
                let currents: Vec<_> = slots.iter().map(|slot| self.current(*slot)).collect();
                let currents: Option<Vec<i128>> = currents.into_iter().collect();
                out.push_str(r#"{"items":["#);
                for (at, (slot, current)) in slots.into_iter().zip(currents?).enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    self.trigger(slot).write_json(&mut out, current);
                }
                let _ = match cursor {
                    Some(cursor) => write!(out, r#"],"cursor":"{cursor}"}}"#),
                    None => write!(out, r#"],"cursor":null}}"#),
                };
            }
        }
        Some(out)
    }

    /// The triggers of a page, and where the next begins.
    fn page(&self, list: &List) -> (Vec<u32>, Option<u64>) {
        let slots: Box<dyn Iterator<Item = u32>> = match &list.account {
            Some(account) => {
                let of = self.of_account.get(account.as_bytes());
                let of = of.map(Vec::as_slice).unwrap_or_default();
                let first =
                    of.partition_point(|slot| self.trigger(*slot).state.created <= list.after);
                Box::new(of[first..].iter().copied())
            }
            None => Box::new(
                self.order
                    .range((Excluded(list.after), Unbounded))
                    .map(|(_, slot)| *slot),
            ),
        };
        let (mut page, mut seen) = (Vec::new(), 0);
        let mut seen_to = list.after;
        for slot in slots {
            if page.len() == list.limit || seen == TRIGGERS_LOOKED_AT {
                return (page, Some(seen_to));
            }
            seen += 1;
            let trigger = self.trigger(slot);
            seen_to = trigger.state.created;
            if list.has(trigger) {
                page.push(slot);
            }
        }
        (page, None)
    }

    /// What the trigger's values are compared with now; none while that is to be read, which is then
    /// asked for.
    fn current(&mut self, slot: u32) -> Option<i128> {
        let (now_ms, today) = (self.now_ms, self.today());
        let trigger = self.trigger(slot);
        if let Some(ring) = &trigger.state.ring {
            return Some(ring.sum_at(now_ms));
        }
        let (watch, kind, by) = (
            trigger.watch,
            trigger.spec.recurring.period(),
            trigger.spec.by,
        );
        let gauge = self.watches[watch as usize]
            .gauge(kind, by)
            .expect("its gauge is there");
        let held = match gauge.place(today) {
            Place::At(held) | Place::ToRead(held) => held,
            Place::Begun(held) => {
                begin(gauge, held, &mut self.slots);
                held
            }
            Place::Over => return Some(0),
        };
        let held = &gauge.held[held];
        let (loaded, total) = (held.loaded, held.total);
        if !loaded {
            self.want(watch);
        }
        self.trigger(slot).total(total).filter(|_| loaded)
    }
}
