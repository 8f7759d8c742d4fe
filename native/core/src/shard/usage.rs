//! Usage: what the messages of this shard add to the counters of their accounts.
//!
//! Counted where it happens, into the tally of its account; what an exchange counted is one record in
//! its transaction, told as `told` does. Nothing is counted again at a restart: what a record says has
//! happened, and what recovery decides is counted by the first step that writes it down.
//!
//! At the bound of what is told and not taken, deltas join those of the newest record that was not
//! told, so that what is stored grows with the counters and not with the messages; past
//! `USAGE_TAGGED_BYTES` the cells of tags are left out. Nothing is refused for it and no sum is lost.

use super::Fatal;
use super::Shard;
use super::accounts::{AccountId, Accounts};
use super::batches::{
    self, CANCELLED, DELIVERED, EXPIRED, FAILED, IN_FLIGHT, Key, SENT, UNDELIVERED,
};
use super::caps::Caps;
use super::told::{Told, ToldBounds, ToldKind};
use crate::exchange::{Billable, EffectOp, begin_effect, end_effect};
use crate::limits;
use crate::name_map::{NameHash, NameMap};
use crate::record::{
    BuiltIn, Category, Delta, DeltaReader, DeltaWriter, RECORD_HEADER_BYTES, Sums,
    parse_usage_record, usage_content, write_usage_record,
};
use crate::usage::calendar::day_of_ms;
use std::collections::BTreeMap;

/// In the connection of an effect: the record was stored before the start.
pub const TOLD_AGAIN: u32 = 1;

/// Bounds of what is stored and told; tests make them small.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct UsageBounds {
    /// Told and not taken; told in one exchange.
    pub told_bytes: u64,
    pub exchange_bytes: u64,
    /// A record that was not told takes further deltas until it is longer.
    pub record_bytes: usize,
    /// Past it, cells of tags are left out.
    pub tagged_bytes: u64,
}

impl Default for UsageBounds {
    fn default() -> Self {
        Self {
            told_bytes: limits::USAGE_TOLD_BYTES,
            exchange_bytes: limits::USAGE_EXCHANGE_BYTES,
            record_bytes: limits::USAGE_RECORD_BYTES,
            tagged_bytes: limits::USAGE_TAGGED_BYTES,
        }
    }
}

/// Categories that have nothing but a count, in the order of their numbers.
const COUNTED: [BuiltIn; 9] = [
    BuiltIn::MessagesAccepted,
    BuiltIn::MessagesRefused,
    BuiltIn::MessagesSent,
    BuiltIn::MessagesDelivered,
    BuiltIn::MessagesUndelivered,
    BuiltIn::MessagesFailed,
    BuiltIn::MessagesExpired,
    BuiltIn::MessagesCancelled,
    BuiltIn::MessageAttempts,
];

/// What one account counted in this exchange, for the day of the exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    counts: [u32; COUNTED.len()],
    /// Bit n: the category at n of `COUNTED` counted something.
    counted: u16,
    bytes: u64,
    cost: u64,
    billed: Sums,
}

impl Tally {
    #[inline]
    pub const fn add(&mut self, category: BuiltIn) {
        let at = category as usize - 1;
        self.counts[at] += 1;
        self.counted |= 1 << at;
    }

    #[inline]
    fn accepted(&mut self, bytes: usize, cost: u32) {
        self.add(BuiltIn::MessagesAccepted);
        self.bytes += bytes as u64;
        self.cost += u64::from(cost);
    }

    /// Deltas that `each` gives.
    fn len(&self) -> u32 {
        let accepted = if self.counts[0] > 0 { 2 } else { 0 };
        self.counted.count_ones() + accepted + u32::from(!self.billed.is_zero())
    }

    #[inline]
    fn each(&self, mut act: impl FnMut(BuiltIn, &Sums)) {
        let of = |count: u32, usage: u64| Sums {
            count: count.into(),
            usage: usage.into(),
            price: 0,
        };
        let mut left = self.counted;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            let count = self.counts[at];
            act(COUNTED[at], &of(count, count.into()));
        }
        let accepted = self.counts[0];
        if accepted > 0 {
            act(BuiltIn::MessageBytes, &of(accepted, self.bytes));
            act(BuiltIn::Segments, &of(accepted, self.cost));
        }
        if !self.billed.is_zero() {
            act(BuiltIn::Messages, &self.billed);
        }
    }
}

/// A cell beside the untagged ones of the day.
type OtherCell = (AccountId, u32);

pub struct Usage {
    pub(super) accounts: Accounts,
    pub(super) told: Told,
    bounds: UsageBounds,
    pub(super) billable: Billable,
    pub(super) caps: Caps,
    // Of the current exchange.
    /// By account and tag.
    tags: NameMap<(AccountId, Tally)>,
    /// What was billed for a day that is not the exchange's.
    other_days: BTreeMap<OtherCell, Sums>,
    // Scratch.
    name: Vec<u8>,
    lists: Lists,
}

impl Usage {
    pub fn new(names: NameHash, bounds: UsageBounds) -> Self {
        let told = ToldBounds {
            told_bytes: bounds.told_bytes,
            exchange_bytes: bounds.exchange_bytes,
            at_hand_bytes: bounds.told_bytes,
        };
        Self {
            accounts: Accounts::new(names),
            told: Told::new(ToldKind::Usage, told),
            bounds,
            billable: Billable::default(),
            caps: Caps::new(names),
            tags: NameMap::with_hasher(names),
            other_days: BTreeMap::new(),
            name: Vec::new(),
            lists: Lists::default(),
        }
    }

    fn tag(&mut self, account: AccountId, tag: &[u8]) -> &mut Tally {
        self.name.clear();
        self.name.extend_from_slice(&account.to_be_bytes());
        self.name.extend_from_slice(tag);
        if !self.tags.contains_key(self.name.as_slice()) {
            let new = (account, Tally::default());
            self.tags.insert(self.name.as_slice().into(), new);
        }
        let entry = self.tags.get_mut(self.name.as_slice());
        &mut entry.expect("just inserted").1
    }

    /// What a message costs by the prices at its acceptance, nano-units.
    #[inline]
    fn price(&self, of: Counted) -> i128 {
        if !self.caps.has_prices() {
            return 0;
        }
        let account = &self.accounts.get(of.account).name;
        self.caps.price(account, of.accepted_ms, of.cost)
    }

    pub fn memory_bytes(&self) -> usize {
        self.accounts.memory_bytes() + self.told.memory_bytes()
    }
}

/// A message as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub account: AccountId,
    pub accepted_ms: u64,
    pub cost: u32,
}

impl Shard {
    /// A message is accepted now.
    #[inline]
    pub(super) fn count_accepted(&mut self, of: Counted, bytes: usize, tag: &[u8]) {
        let tally = self.usage.accounts.tally(of.account);
        tally.accepted(bytes, of.cost);
        if !tag.is_empty() {
            self.usage.tag(of.account, tag).accepted(bytes, of.cost);
        }
        if self.usage.billable == Billable::Accepted {
            self.bill(of, tag);
        }
    }

    /// The message counts as one of the category `messages`, for the day of its acceptance.
    fn bill(&mut self, of: Counted, tag: &[u8]) {
        let sums = Sums {
            count: 1,
            usage: of.cost.into(),
            price: self.usage.price(of),
        };
        if !tag.is_empty() {
            self.usage.tag(of.account, tag).billed.add(&sums);
        }
        let tally = self.usage.accounts.tally(of.account);
        let day = day_of_ms(of.accepted_ms);
        if day == day_of_ms(self.now_us / 1000) {
            return tally.billed.add(&sums);
        }
        let other = self.usage.other_days.entry((of.account, day));
        other.or_default().add(&sums);
    }

    /// A message of an account is refused; the platform's own count for nobody.
    pub(super) fn count_refused(&mut self, account: &[u8]) {
        if !account.is_empty() {
            let tally = self.usage.accounts.tally_of(account);
            tally.add(BuiltIn::MessagesRefused);
        }
    }

    pub(super) fn counted(&self, key: Key) -> Option<Counted> {
        let batch = self.batches.get(batches::batch_of(key))?;
        Some(batch.counted(batches::index_of(key)))
    }

    pub(super) fn count(&mut self, key: Key, category: BuiltIn) {
        if let Some(of) = self.counted(key) {
            self.usage.accounts.tally(of.account).add(category);
        }
    }

    /// A message goes from one state to another that is an end, or from one end to another.
    #[inline]
    pub(super) fn count_end(&mut self, of: Counted, before: u8, state: u8) {
        let tally = self.usage.accounts.tally(of.account);
        // An attempt that does not come back; the others are counted where they do.
        let was_tried = before == IN_FLIGHT && matches!(state, SENT | DELIVERED | FAILED);
        if was_tried {
            tally.add(BuiltIn::MessageAttempts);
        }
        let is_sent = was_tried && state != FAILED;
        if is_sent {
            tally.add(BuiltIn::MessagesSent);
        }
        match state {
            DELIVERED => tally.add(BuiltIn::MessagesDelivered),
            UNDELIVERED => tally.add(BuiltIn::MessagesUndelivered),
            FAILED => tally.add(BuiltIn::MessagesFailed),
            EXPIRED => tally.add(BuiltIn::MessagesExpired),
            CANCELLED => tally.add(BuiltIn::MessagesCancelled),
            _ => {}
        }
        let is_billed = match self.usage.billable {
            Billable::Accepted => false,
            Billable::Sent => is_sent,
            Billable::Delivered => state == DELIVERED,
        };
        if is_billed {
            self.bill(of, &[]);
        }
        if !self.usage.caps.is_empty() {
            self.settle_caps(of, (before, state), is_billed);
        }
    }

    /// Stores what this exchange counted, deletes what was taken, and chooses what is told.
    pub(super) fn write_usage(&mut self) {
        self.store_usage();
        let (told, journal) = (&mut self.usage.told, &mut self.journal);
        told.delete_taken(journal);
        told.choose(&mut self.wants);
    }

    /// Stores what was counted up to now; what is counted from now on is in later records than the one
    /// returned.
    pub(super) fn seal_usage(&mut self) -> u64 {
        self.store_usage();
        self.usage.told.seal()
    }

    fn store_usage(&mut self) {
        let mut lists = std::mem::take(&mut self.usage.lists);
        self.collect_usage(&mut lists);
        let (usage, journal) = (&mut self.usage, &mut self.journal);
        lists.close();
        for list in lists.closed.drain(..) {
            let mut value = Vec::with_capacity(list.len() + RECORD_HEADER_BYTES);
            let room = usage.bounds.record_bytes.saturating_sub(list.len());
            if let Some(before) = usage.told.untold().filter(|value| value.len() <= room) {
                write_usage_record(&mut value, &joined(before, &list));
                usage.told.replace_untold(journal, self.exchange, value);
            } else {
                write_usage_record(&mut value, &list);
                usage.told.store(journal, self.exchange, value);
            }
        }
        usage.lists = lists;
    }

    /// The deltas of this exchange: by account, in the order in which they came.
    fn collect_usage(&mut self, out: &mut Lists) {
        let today = day_of_ms(self.now_us / 1000);
        let usage = &mut self.usage;
        for account in usage.accounts.touched() {
            let tally = &account.tally;
            // One that was billed for another day alone has none.
            if tally.len() > 0 {
                out.writer.account(&account.name, tally.len());
                tally.each(|category, sums| out.writer.cell(category, today, sums));
                out.bound(usage.bounds.record_bytes);
            }
        }
        for (&(account, day), &sums) in &usage.other_days {
            out.writer.account(&usage.accounts.get(account).name, 1);
            out.writer.cell(BuiltIn::Messages, day, &sums);
            out.bound(usage.bounds.record_bytes);
        }
        if !usage.tags.is_empty() && usage.told.bytes() <= usage.bounds.tagged_bytes {
            let mut tags: Vec<_> = usage.tags.iter().collect();
            tags.sort_unstable_by_key(|entry| entry.0);
            for (name, (account, tally)) in tags {
                tally.each(|category, &sums| {
                    out.writer.add(&Delta {
                        account: &usage.accounts.get(*account).name,
                        category: category.into(),
                        tag: &name[size_of::<AccountId>()..],
                        day: today,
                        sums,
                    });
                });
                out.bound(usage.bounds.record_bytes);
            }
        }
        usage.tags.clear();
        usage.other_days.clear();
        usage.accounts.finish();
    }

    /// Appends the entries of what is told; how many.
    pub(super) fn encode_usage(&self, effects: &mut Vec<u8>) -> Result<u32, Fatal> {
        let told = &self.usage.told;
        for record in told.telling(&self.provided) {
            let (sequence, is_again, value) = record?;
            let flags = if is_again { TOLD_AGAIN } else { 0 };
            let start = begin_effect(effects, EffectOp::Usage, flags);
            effects.extend_from_slice(&sequence.to_le_bytes());
            effects.extend_from_slice(usage_content(value));
            end_effect(effects, start);
        }
        Ok(told.telling_count())
    }

    /// The books of usage, for tests.
    #[doc(hidden)]
    pub fn check_usage(&self) {
        self.usage.told.check_books();
        let mut refs = BTreeMap::new();
        for (_, batch) in self.batches.iter() {
            for &account in batch.owners().accounts() {
                *refs.entry(account).or_default() += 1;
            }
        }
        for destination in &self.destinations {
            for account in destination.accounts() {
                *refs.entry(account).or_default() += 1;
            }
        }
        self.usage.accounts.check(&refs);
    }
}

/// The delta lists of an exchange, each of about one record.
#[derive(Debug, Default)]
struct Lists {
    writer: DeltaWriter,
    closed: Vec<Vec<u8>>,
}

impl Lists {
    /// Closes a list that is long enough.
    fn bound(&mut self, bytes: usize) {
        if self.writer.bytes() >= bytes {
            self.close();
        }
    }

    fn close(&mut self) {
        if !self.writer.is_empty() {
            let mut list = Vec::with_capacity(self.writer.bytes() + 16);
            self.writer.finish(&mut list);
            self.closed.push(list);
        }
    }
}

/// The sums of a stored record and of a list, a cell once.
fn joined(record: &[u8], list: &[u8]) -> Vec<u8> {
    type Cell<'a> = (&'a [u8], Category<'a>, &'a [u8], u32);
    let before = parse_usage_record(record).expect("we wrote it");
    let after = DeltaReader::parse(list).expect("we wrote it");
    let mut cells: BTreeMap<Cell<'_>, Sums> = BTreeMap::new();
    for delta in before.deltas().chain(after.deltas()) {
        let cell = (delta.account, delta.category, delta.tag, delta.day);
        cells.entry(cell).or_default().add(&delta.sums);
    }
    let mut writer = DeltaWriter::new();
    for ((account, category, tag, day), sums) in cells {
        writer.add(&Delta {
            account,
            category,
            tag,
            day,
            sums,
        });
    }
    let mut out = Vec::with_capacity(writer.bytes() + 16);
    writer.finish(&mut out);
    out
}
