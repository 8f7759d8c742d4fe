//! Making, changing, deleting and re-arming triggers.

use super::ask::Ask;
use super::bad::Bad;
use super::fields::FIELDS;
use super::judge::refresh;
use super::spec::Spec;
use super::state::{Base, State};
use super::watch::{Gauge, Watch};
use super::wire::{self, array_of};
use super::{KEY_ROOM, Sid, Trigger, Triggers, watch_key};
use crate::error::Code;
use crate::exchange::ExchangeError;
use crate::limits::{TRIGGERS, TRIGGERS_PER_TENANT};
use crate::msgpack::Reader;
use crate::usage::calendar::Period;

pub(super) const NOT_FOUND: &str = r#"{"error":"triggerNotFound"}"#;

impl Triggers {
    /// Makes or changes a trigger: msgpack `[sid bin16, account, fields…]`, answered by its JSON, or
    /// by `badTrigger`, `tooManyTriggers` or, if the sid is another account's, `triggerNotFound`.
    /// A change of what fires begins anew, with `arming` + 1; any other keeps what has fired.
    pub fn put(&mut self, now_ms: u64, request: u32, bytes: &[u8]) -> Result<(), ExchangeError> {
        self.passed_to(now_ms);
        let mut reader = Reader::new(bytes);
        let head = array_of(&mut reader, FIELDS + 2).and_then(|()| wire::sid(&mut reader));
        let sid = head.map_err(|_| unread(&reader))?;
        let put = match Spec::read(&mut reader) {
            Ok(spec) => {
                reader.end().map_err(|_| unread(&reader))?;
                self.put_checked(sid, spec)
            }
            Err(bad) => Err(bad.json()),
        };
        match put {
            Ok(()) => self.asks.push((request, Ask::Show(sid))),
            Err(answer) => self.replies.push((request, answer)),
        }
        Ok(())
    }

    fn put_checked(&mut self, sid: Sid, spec: Spec) -> Result<(), String> {
        spec.check().map_err(Bad::json)?;
        // What was counted before is judged without it.
        self.finish_step(self.now_ms);
        if let Some(slot) = self.by_sid.get(&sid).copied() {
            if self.trigger(slot).spec.account != spec.account {
                return Err(NOT_FOUND.to_owned());
            }
            self.replace(slot, spec);
            return Ok(());
        }
        let of_account = self
            .of_account
            .get(spec.account.as_bytes())
            .map_or(0, Vec::len);
        if self.len() >= TRIGGERS || of_account >= TRIGGERS_PER_TENANT {
            return Err(r#"{"error":"tooManyTriggers"}"#.to_owned());
        }
        let created = self.order.last_key_value().map_or(1, |(last, _)| last + 1);
        let mut state = State::new(&spec, created, self.now_ms);
        self.make_quiet(&spec, &mut state);
        let slot = self.insert(sid, spec, state);
        self.attach(slot);
        self.change(slot);
        Ok(())
    }

    /// It is judged from the next counted event of the running period on. A rate is anyway.
    fn make_quiet(&self, spec: &Spec, state: &mut State) {
        if spec.window_ms.is_none() {
            let period = Period::of_ms(spec.recurring.period(), self.now_ms);
            state.in_period_mut(period.id).quiet = true;
        }
    }

    fn replace(&mut self, slot: u32, spec: Spec) {
        let now_ms = self.now_ms;
        let trigger = self.trigger_mut(slot);
        trigger.state.updated_ms = now_ms;
        if trigger.spec.fires_as(&spec) {
            trigger.spec = spec;
            self.refresh_of(slot);
        } else {
            let mut state = trigger.state.clone();
            let fresh = State::new(&spec, state.created, now_ms);
            (state.base, state.ring, state.fired) = (fresh.base, fresh.ring, fresh.fired);
            (state.events, state.arming) = (0, state.arming + 1);
            self.make_quiet(&spec, &mut state);
            self.detach(slot);
            let trigger = self.trigger_mut(slot);
            (trigger.spec, trigger.state) = (spec, state);
            self.attach(slot);
        }
        self.change(slot);
    }

    /// Deletes: msgpack `[sid bin16, account str|nil]` (nil: of any account), answered by
    /// `{"ok":true}` or `triggerNotFound`.
    pub fn delete(&mut self, now_ms: u64, request: u32, bytes: &[u8]) -> Result<(), ExchangeError> {
        self.passed_to(now_ms);
        let answer = match self.named(bytes)? {
            Some(slot) => {
                self.remove(slot);
                r#"{"ok":true}"#
            }
            None => NOT_FOUND,
        };
        self.replies.push((request, answer.to_owned()));
        Ok(())
    }

    /// Makes the values of the running period fire again, from the next counted event on: msgpack
    /// `[sid bin16, account str|nil]`, answered by its JSON or `triggerNotFound`.
    pub fn rearm(&mut self, now_ms: u64, request: u32, bytes: &[u8]) -> Result<(), ExchangeError> {
        self.passed_to(now_ms);
        let Some(slot) = self.named(bytes)? else {
            self.replies.push((request, NOT_FOUND.to_owned()));
            return Ok(());
        };
        self.finish_step(self.now_ms);
        let trigger = self.trigger_mut(slot);
        let spec = trigger.spec.clone();
        let mut state = trigger.state.clone();
        let period = Period::of_ms(spec.recurring.period(), self.now_ms);
        state.arm(period.id);
        self.make_quiet(&spec, &mut state);
        self.trigger_mut(slot).state = state;
        self.refresh_of(slot);
        self.change(slot);
        let sid = self.trigger(slot).sid;
        self.asks.push((request, Ask::Show(sid)));
        Ok(())
    }

    /// The trigger that `[sid, account|nil]` names.
    pub(super) fn named(&self, bytes: &[u8]) -> Result<Option<u32>, ExchangeError> {
        let (sid, account) = read(bytes, |reader| {
            array_of(reader, 2)?;
            Ok((wire::sid(reader)?, wire::optional(reader, wire::read_text)?))
        })?;
        let slot = self.by_sid.get(&sid).copied();
        let is_its =
            |slot: &u32| account.is_none_or(|name| name == &*self.trigger(*slot).spec.account);
        Ok(slot.filter(is_its))
    }

    /// Takes a trigger into the books, without a watch.
    pub(super) fn insert(&mut self, sid: Sid, spec: Spec, state: State) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.by_sid.insert(sid, slot);
        self.order.insert(state.created, slot);
        let account = spec.account.as_bytes();
        match self.of_account.get_mut(account) {
            Some(slots) => slots.push(slot),
            None => drop(self.of_account.insert(account.into(), vec![slot])),
        }
        self.slots[slot as usize] = Some(Box::new(Trigger {
            sid,
            spec,
            state,
            watch: u32::MAX,
            changed: false,
            ring_stored_ms: 0,
        }));
        slot
    }

    fn remove(&mut self, slot: u32) {
        self.detach(slot);
        let trigger = self.slots[slot as usize].take().expect("it was found");
        self.by_sid.remove(&trigger.sid);
        self.order.remove(&trigger.state.created);
        let account = trigger.spec.account.as_bytes();
        if let Some(slots) = self.of_account.get_mut(account) {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                self.of_account.remove(account);
            }
        }
        self.changed.retain(|other| *other != slot);
        self.rates_hot.retain(|other| *other != slot);
        self.deleted.push(trigger.sid);
        self.free.push(slot);
    }

    /// Makes the counter of a trigger watched, if it is not, and lets it be judged with it.
    pub(super) fn attach(&mut self, slot: u32) {
        let today = self.today();
        let trigger = self.trigger(slot);
        let spec = &trigger.spec;
        let (is_rate, kind, by) = (spec.window_ms.is_some(), spec.recurring.period(), spec.by);
        let names = [&spec.account, &spec.category, &spec.tag].map(|name| name.as_bytes());
        let mut room = KEY_ROOM;
        let key = watch_key(&mut room, names, spec.sub_accounts).expect("names are bounded");
        let at = self.watch_for(key);
        self.trigger_mut(slot).watch = at;
        let watch = &mut self.watches[at as usize];
        if is_rate {
            watch.rates.push(slot);
            return;
        }
        if watch.gauge(kind, by).is_none() {
            // Nearly all have one; room for four would be a fifth of what a trigger costs.
            watch.gauges.reserve_exact(1);
            watch.gauges.push(Gauge::new(kind, by, today));
        }
        let gauge = watch.gauge(kind, by).expect("it is there");
        gauge.triggers.push(slot);
        self.refresh_of(slot);
        self.want(at);
    }

    fn watch_for(&mut self, key: &[u8]) -> u32 {
        if let Some(at) = self.watch_of.get(key) {
            return *at;
        }
        let at = self.free_watches.pop().unwrap_or(self.watches.len() as u32);
        let watch = Watch::new(key);
        if at as usize == self.watches.len() {
            self.watches.push(watch);
        } else {
            self.watches[at as usize] = watch;
        }
        self.watch_of.insert(key.into(), at);
        self.epoch = self.epoch.wrapping_add(1);
        at
    }

    /// A counter that no trigger names is no longer watched.
    fn detach(&mut self, slot: u32) {
        let at = self.trigger(slot).watch;
        let watch = &mut self.watches[at as usize];
        watch.rates.retain(|other| *other != slot);
        for gauge in &mut watch.gauges {
            gauge.triggers.retain(|other| *other != slot);
        }
        watch.gauges.retain(|gauge| !gauge.triggers.is_empty());
        if !watch.gauges.is_empty() || !watch.rates.is_empty() {
            return;
        }
        watch.live = false;
        let is_read = watch.reading.is_some();
        self.watch_of.remove(&*std::mem::take(&mut watch.key));
        self.rated.retain(|rated| rated.watch != at);
        self.epoch = self.epoch.wrapping_add(1);
        if !is_read {
            self.free_watches.push(at);
        }
    }

    /// What a relative trigger counts from is known where the total is; all held periods of its gauge
    /// get their lowest values anew.
    fn refresh_of(&mut self, slot: u32) {
        let trigger = self.trigger(slot);
        if trigger.spec.window_ms.is_some() {
            return;
        }
        let (watch, kind, by) = (
            trigger.watch,
            trigger.spec.recurring.period(),
            trigger.spec.by,
        );
        let is_new = trigger.state.base == Base::Since(0);
        let gauge = self.watches[watch as usize]
            .gauge(kind, by)
            .expect("its gauge is there");
        if is_new && gauge.held[0].loaded {
            let trigger = self.slots[slot as usize]
                .as_deref_mut()
                .expect("it is there");
            trigger.state.base = Base::Known(gauge.held[0].total);
        }
        for held in 0..gauge.held.len() {
            refresh(gauge, held, &self.slots);
        }
    }
}

/// Reads the whole of a request.
pub(super) fn read<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Code>,
) -> Result<T, ExchangeError> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|_| unread(&reader))
}

fn unread(reader: &Reader<'_>) -> ExchangeError {
    ExchangeError {
        what: "a request about a trigger is damaged",
        at: reader.position(),
    }
}
