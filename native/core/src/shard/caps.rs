//! Hard caps of accounts: what a shard takes of them before it accepts a message, and gives back for
//! one that ends without being counted.
//!
//! What is reserved lies in a table that all shards share (`usage::reserve`), so what is decided here
//! depends on the others; it stands in the batch record, and replay never asks. A frame takes
//! once a cap for a run of an account's messages. What of that is not used goes back at its end. What
//! a message gives back is free again only when its end is committed, or a crash between would leave
//! both it and the one that took its place.

use super::Shard;
use super::accounts::AccountId;
use super::batches::{self, Key, SENT};
use super::usage::Counted;
use crate::client_frame::PublishItem;
use crate::exchange::{Billable, CapBy, CapFields};
use crate::name_map::{NameHash, NameMap};
use crate::record::BuiltIn;
use crate::usage::calendar::{DAY_MS, PeriodKind, day_of_ms};
use crate::usage::price::PriceList;
use crate::usage::reserve::{Slots, slots};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Included, Unbounded};
use std::rc::Rc;

/// What a message takes of a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    One,
    PayloadBytes,
    Cost,
    Price,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cap {
    slot: u32,
    period: PeriodKind,
    measure: Measure,
    /// It counts billable messages: one that ends without being so gives back what it took.
    billable: bool,
}

impl Cap {
    /// None: of a category that no acceptance counts for.
    fn of(fields: &CapFields<'_>) -> Option<Self> {
        let category = BuiltIn::of_name(fields.category.as_bytes())?;
        let measure = match (category, fields.by) {
            (BuiltIn::Messages | BuiltIn::TotalPrice, CapBy::Price) => Measure::Price,
            (BuiltIn::TotalPrice, _) | (_, CapBy::Price) => return None,
            (BuiltIn::MessagesAccepted, _)
            | (BuiltIn::MessageBytes | BuiltIn::Segments | BuiltIn::Messages, CapBy::Count) => {
                Measure::One
            }
            (BuiltIn::MessageBytes, CapBy::Usage) => Measure::PayloadBytes,
            (BuiltIn::Segments | BuiltIn::Messages, CapBy::Usage) => Measure::Cost,
            _ => return None,
        };
        Some(Self {
            slot: fields.slot,
            period: fields.period,
            measure,
            billable: matches!(category, BuiltIn::Messages | BuiltIn::TotalPrice),
        })
    }
}

/// A message as caps see it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    payload_bytes: usize,
    cost: u32,
    price: i128,
}

impl Asked {
    const fn amount(&self, measure: Measure) -> i128 {
        match measure {
            Measure::One => 1,
            Measure::PayloadBytes => self.payload_bytes as i128,
            Measure::Cost => self.cost as i128,
            Measure::Price => self.price,
        }
    }
}

/// What a frame holds of the caps of one account.
#[derive(Debug)]
struct Lease {
    caps: Rc<[Cap]>,
    /// Of each cap.
    left: Vec<i128>,
    /// A message did not fit: it and those after it are refused, until then, ms.
    cut_until_ms: Option<u64>,
}

/// What messages give back once their exchange is committed, by slot and day of acceptance.
#[derive(Debug)]
struct Refunds {
    exchange: u64,
    amounts: BTreeMap<(u32, u32), i128>,
}

/// The rest of a publish frame, from the message that is being taken on.
#[derive(Clone, Copy)]
pub struct RestOfFrame<'a> {
    pub frame: &'a [u8],
    pub items: &'a [PublishItem],
    /// The tenant of the connection; empty: the platform.
    pub own: &'a [u8],
}

pub struct Caps {
    slots: &'static Slots,
    /// By name, `tenant/name`, and by tenant.
    named: BTreeMap<Box<[u8]>, Cap>,
    by_account: NameMap<Rc<[Cap]>>,
    default_price: Option<PriceList>,
    prices: NameMap<PriceList>,
    /// Of the current frame, by the place that the account keeps.
    leases: Vec<Option<Lease>>,
    frames: u64,
    refunds: VecDeque<Refunds>,
}

impl Caps {
    pub fn new(names: NameHash) -> Self {
        Self {
            slots: slots(),
            named: BTreeMap::new(),
            by_account: NameMap::with_hasher(names),
            default_price: None,
            prices: NameMap::with_hasher(names),
            leases: Vec::new(),
            frames: 0,
            refunds: VecDeque::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_account.is_empty()
    }

    pub fn has_prices(&self) -> bool {
        self.default_price.is_some() || !self.prices.is_empty()
    }

    /// Whether something is to be given back.
    pub fn has_work(&self) -> bool {
        !self.refunds.is_empty()
    }

    fn slots_by_price(&self) -> BTreeSet<u32> {
        let caps = self.named.values();
        let by_price = caps.filter(|cap| cap.measure == Measure::Price);
        by_price.map(|cap| cap.slot).collect()
    }

    /// What one message of `messages` costs an account, nano-units.
    pub fn price(&self, account: &[u8], accepted_ms: u64, cost: u32) -> i128 {
        let own = if self.prices.is_empty() {
            None
        } else {
            self.prices.get(account)
        };
        let list = own.or(self.default_price.as_ref());
        list.map_or(0, |list| list.amount(accepted_ms, 1, cost.into()))
    }

    /// What ended in exchanges that are committed now is free again.
    pub fn begin(&mut self, committed: u64) {
        while let Some(next) = self.refunds.front()
            && next.exchange <= committed
        {
            for (&(slot, day), &amount) in &next.amounts {
                self.slots.give_back(slot, u64::from(day) * DAY_MS, amount);
            }
            self.refunds.pop_front();
        }
    }

    fn rebuild(&mut self, tenant: &[u8]) {
        let prefix = [tenant, b"/"].concat();
        let own = self.named.range::<[u8], _>((Included(&*prefix), Unbounded));
        let own = own.take_while(|(name, _)| name.starts_with(&prefix));
        let caps: Rc<[Cap]> = own.map(|(_, cap)| *cap).collect();
        if caps.is_empty() {
            self.by_account.remove(tenant);
        } else {
            self.by_account.insert(tenant.into(), caps);
        }
    }

    /// Takes of every cap what the messages of the account ask for that come next in the frame, one
    /// after the other. What the account has further behind is taken as it comes.
    fn lease(&self, account: &[u8], rest: RestOfFrame<'_>, now_ms: u64) -> Option<Lease> {
        let caps = self.by_account.get(account)?;
        let asked = || {
            let own = rest
                .items
                .iter()
                .take_while(|item| item.tenant(rest.frame).unwrap_or(rest.own) == account);
            own.map(|item| self.asked(account, item, rest.frame, now_ms))
        };
        let mut left = Vec::with_capacity(caps.len());
        for cap in caps.iter() {
            let amounts = asked().map(|asked| asked.amount(cap.measure));
            let taken = self.slots.take(cap.slot, now_ms, amounts.clone());
            left.push(amounts.take(taken.fit).sum());
        }
        Some(Lease {
            caps: Rc::clone(caps),
            left,
            cut_until_ms: None,
        })
    }

    fn asked(&self, account: &[u8], item: &PublishItem, frame: &[u8], now_ms: u64) -> Asked {
        let cost = if item.has_options() {
            item.options(frame).cost
        } else {
            1
        };
        Asked {
            payload_bytes: item.payload(frame).len(),
            cost,
            price: self.price(account, now_ms, cost),
        }
    }
}

impl Lease {
    /// Draws one message; `Err`: it does not fit until then.
    fn draw(&mut self, slots: &Slots, asked: &Asked, now_ms: u64) -> Result<(), u64> {
        if let Some(until_ms) = self.cut_until_ms {
            return Err(until_ms);
        }
        for (cap, left) in self.caps.iter().zip(&mut self.left) {
            // Where messages before it were refused for another reason, there is more left than the
            // first take found room for.
            let missing = asked.amount(cap.measure) - *left;
            if missing > 0 {
                let taken = slots.take(cap.slot, now_ms, std::iter::once(missing));
                if taken.fit == 0 {
                    self.cut_until_ms = Some(taken.until_ms);
                    return Err(taken.until_ms);
                }
                *left += missing;
            }
        }
        for (cap, left) in self.caps.iter().zip(&mut self.left) {
            *left -= asked.amount(cap.measure);
        }
        Ok(())
    }

    /// A message that was drawn is not accepted after all.
    fn put_back(&mut self, asked: &Asked) {
        for (cap, left) in self.caps.iter().zip(&mut self.left) {
            *left += asked.amount(cap.measure);
        }
    }
}

/// Whether a message in that state may still become a billable one, so that it keeps what it took.
const fn is_held(billable: Billable, state: u8) -> bool {
    match billable {
        Billable::Accepted => false,
        Billable::Sent => batches::is_live(state),
        Billable::Delivered => batches::is_live(state) || state == SENT,
    }
}

impl Shard {
    pub(super) fn begin_frame_of_caps(&mut self) {
        self.usage.caps.frames += 1;
    }

    /// Takes what the first message of the rest needs of its account's caps; `Err`: it does not fit, and
    /// when there is room again, ms.
    pub(super) fn take_caps(&mut self, id: AccountId, rest: RestOfFrame<'_>) -> Result<(), u64> {
        let now_ms = self.now_us / 1000;
        let (caps, accounts) = (&mut self.usage.caps, &mut self.usage.accounts);
        let place = accounts.lease_place(id, caps.frames, caps.leases.len());
        let name = &accounts.get(id).name;
        if place == caps.leases.len() {
            let lease = caps.lease(name, rest, now_ms);
            caps.leases.push(lease);
        }
        let asked = caps.asked(name, &rest.items[0], rest.frame, now_ms);
        match &mut caps.leases[place] {
            Some(lease) => lease.draw(caps.slots, &asked, now_ms),
            None => Ok(()),
        }
    }

    /// The message that was taken last is refused for another reason.
    pub(super) fn put_back_caps(&mut self, id: AccountId, rest: RestOfFrame<'_>) {
        let now_ms = self.now_us / 1000;
        let (caps, accounts) = (&mut self.usage.caps, &mut self.usage.accounts);
        let place = accounts.lease_place(id, caps.frames, caps.leases.len());
        let asked = caps.asked(&accounts.get(id).name, &rest.items[0], rest.frame, now_ms);
        if let Some(Some(lease)) = caps.leases.get_mut(place) {
            lease.put_back(&asked);
        }
    }

    /// The frame is over: what it took and did not use is free again.
    pub(super) fn end_frame_of_caps(&mut self) {
        let now_ms = self.now_us / 1000;
        let caps = &mut self.usage.caps;
        for lease in caps.leases.drain(..).flatten() {
            for (cap, left) in lease.caps.iter().zip(lease.left) {
                if left != 0 {
                    caps.slots.give_back(cap.slot, now_ms, left);
                }
            }
        }
    }

    /// A message went from one state to another, and was billed then or not.
    pub(super) fn settle_caps(&mut self, of: Counted, states: (u8, u8), billed: bool) {
        let billable = self.usage.billable;
        let (before, after) = (is_held(billable, states.0), is_held(billable, states.1));
        if before && !after && !billed {
            self.give_back_caps(of);
        } else if billed && !before {
            let day = day_of_ms(of.accepted_ms);
            for (slot, amount) in self.held_by(of) {
                self.usage
                    .caps
                    .slots
                    .add(slot, u64::from(day) * DAY_MS, amount);
            }
        }
    }

    /// A message that was sent is forgotten, and nobody will know whether it was delivered.
    pub(super) fn forget_caps(&mut self, key: Key) {
        if self.usage.caps.is_empty() || self.state_of(key) != SENT {
            return;
        }
        if self.usage.billable == Billable::Delivered
            && let Some(of) = self.counted(key)
        {
            self.give_back_caps(of);
        }
    }

    fn give_back_caps(&mut self, of: Counted) {
        let (exchange, day) = (self.exchange, day_of_ms(of.accepted_ms));
        let held = self.held_by(of);
        if held.is_empty() {
            return;
        }
        let refunds = &mut self.usage.caps.refunds;
        if refunds.back().is_none_or(|last| last.exchange != exchange) {
            let amounts = BTreeMap::new();
            refunds.push_back(Refunds { exchange, amounts });
        }
        let last = refunds.back_mut().expect("just pushed");
        for (slot, amount) in held {
            *last.amounts.entry((slot, day)).or_default() += amount;
        }
    }

    /// What a message took of the caps that only a billable outcome uses up.
    fn held_by(&self, of: Counted) -> Vec<(u32, i128)> {
        let name = &self.usage.accounts.get(of.account).name;
        let Some(caps) = self.usage.caps.by_account.get(name) else {
            return Vec::new();
        };
        let asked = Asked {
            payload_bytes: 0,
            cost: of.cost,
            price: self.usage.caps.price(name, of.accepted_ms, of.cost),
        };
        let billable = caps.iter().filter(|cap| cap.billable);
        billable
            .map(|cap| (cap.slot, asked.amount(cap.measure)))
            .collect()
    }

    /// By slot and day of acceptance: what all messages hold of the caps that `fits` lets through.
    fn held(&self, fits: impl Fn(u32) -> bool) -> BTreeMap<(u32, u32), i128> {
        let mut held = BTreeMap::new();
        if self.usage.billable == Billable::Accepted {
            // None gives back what it took.
            return held;
        }
        for (_, batch) in self.batches.iter() {
            let owners = batch.owners().accounts().iter();
            let mut names = owners.map(|&id| &self.usage.accounts.get(id).name);
            if !names.any(|name| self.usage.caps.by_account.contains_key(name)) {
                continue;
            }
            for (index, state) in batch.states().enumerate() {
                if is_held(self.usage.billable, state) {
                    let of = batch.counted(index as u16);
                    for (slot, amount) in self.held_by(of).into_iter().filter(|held| fits(held.0)) {
                        *held.entry((slot, day_of_ms(of.accepted_ms))).or_default() += amount;
                    }
                }
            }
        }
        held
    }

    fn add_held(&self, held: BTreeMap<(u32, u32), i128>) {
        for ((slot, day), amount) in held {
            let slots = self.usage.caps.slots;
            slots.add(slot, u64::from(day) * DAY_MS, amount);
        }
    }

    /// Ends recovery: what waits holds what it took.
    pub(super) fn recover_caps(&mut self) {
        if !self.usage.caps.is_empty() {
            self.add_held(self.held(|_| true));
        }
    }

    /// A cap named `tenant/name`; one whose category, measure or period is another has another slot.
    pub(super) fn put_cap(&mut self, name: &str, fields: Option<CapFields<'_>>) {
        let cap = fields.as_ref().and_then(Cap::of);
        let before = match cap {
            Some(cap) => self.usage.caps.named.insert(name.as_bytes().into(), cap),
            None => self.usage.caps.named.remove(name.as_bytes()),
        };
        let tenant = name.split_once('/').map_or(name, |(tenant, _)| tenant);
        self.usage.caps.rebuild(tenant.as_bytes());
        if let Some(cap) = cap.filter(|cap| before != Some(*cap)) {
            self.open_cap(cap);
        }
    }

    /// Takes what waits; what was counted before is only in the counters, if it was told already.
    fn open_cap(&mut self, cap: Cap) {
        let slots = self.usage.caps.slots;
        if self.recovering.is_some() {
            // What is stored is told again, and known by that.
            return slots.open(cap.slot, cap.period);
        }
        // Those of this exchange, too.
        self.close_batch();
        let counted = (self.options.shard, self.seal_usage());
        slots.open_after(cap.slot, cap.period, counted);
        self.add_held(self.held(|slot| slot == cap.slot));
    }

    /// The prices of `messages`, or of one tenant's (`messages/tenant`); those of other categories are
    /// no business of a shard.
    pub(super) fn put_price(&mut self, name: &str, list: Option<PriceList>) {
        let (category, tenant) = match name.split_once('/') {
            Some((category, tenant)) => (category, Some(tenant)),
            None => (name, None),
        };
        if category != BuiltIn::Messages.name() {
            return;
        }
        // What waits holds its price of caps by price alone.
        let by_price = self.usage.caps.slots_by_price();
        let is_live = self.recovering.is_none() && !by_price.is_empty();
        let held = |shard: &Self| shard.held(|slot| by_price.contains(&slot));
        let mut before = BTreeMap::new();
        if is_live {
            self.close_batch();
            before = held(self);
        }
        let caps = &mut self.usage.caps;
        match (tenant, list) {
            (None, list) => caps.default_price = list,
            (Some(tenant), Some(list)) => {
                caps.prices.insert(tenant.as_bytes().into(), list);
            }
            (Some(tenant), None) => {
                caps.prices.remove(tenant.as_bytes());
            }
        }
        if is_live {
            let mut change = held(self);
            for (of, amount) in before {
                *change.entry(of).or_default() -= amount;
            }
            self.add_held(change);
        }
    }

    /// The table that caps are taken from, for tests: else that of the process.
    #[doc(hidden)]
    pub fn set_slots(&mut self, slots: &'static Slots) {
        self.usage.caps.slots = slots;
    }
}
