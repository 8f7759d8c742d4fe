//! Triggers on usage: they watch counters and fire when a total or a rate has reached a value.
//!
//! `Triggers` owns what is configured, what has fired, and the sums of the counters that are watched.
//! It is a part of the machine that counts, and as pure: no I/O, no clock. The machine tells it what
//! was counted, reads stored sums for it, and journals what it hands out.
//!
//! A trigger's condition is a *level*, judged at the end of each step on totals that are part of the
//! same step's journal: it fires if the total has reached a value and no firing is stored for
//! (trigger, index of the value, period, arming). How far it has fired is in the trigger's record,
//! written with the firing. So after a crash nothing fires twice, and what did not fire does when the
//! triggers are judged again. Sums saturate at the ends of 128 bits; values end far below.
//!
//! A trigger, in each period: *quiet* (just made or re-armed; judged from the next counted event on)
//! → *waiting* for the value of its next index → … → done, when its last value has fired. A total
//! below `rearm_below`, or an operator, makes it wait for its first value again, with `arming` + 1.
//!
//! In each step: `counted`, `loaded`, `put` and others in any order, then `finish_step`, `next_load`
//! until there is none, `write`, `replies`.

mod ask;
mod bad;
mod fields;
mod judge;
mod manage;
mod output;
mod rate;
mod read;
mod recovery;
mod ring;
mod show;
mod spec;
mod state;
mod stored;
mod watch;
mod wire;

pub use bad::Bad;
pub use read::Load;
pub use spec::{Action, By, Callback, Recurring, Spec};

use crate::limits::{CATEGORY_BYTES, NAME_BYTES};
use crate::name_map::{NameHash, NameMap};
use crate::record::Sums;
use crate::usage::calendar::day_of_ms;
use ask::Ask;
use judge::{Crossed, Hot};
use state::State;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use watch::{Place, Watch};

/// A counter that a trigger names; good until `watches_epoch` changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchId(pub u32);

/// A number that is unique among the triggers of a daemon.
pub type Sid = [u8; 16];

struct Trigger {
    sid: Sid,
    spec: Spec,
    state: State,
    watch: u32,
    /// Its record is to be written.
    changed: bool,
    /// When the sub-windows of a rate were last written.
    ring_stored_ms: u64,
}

pub struct Triggers {
    now_ms: u64,
    /// Counts the steps; adding for the first time in one remembers the sums before.
    step: u64,
    slots: Vec<Option<Box<Trigger>>>,
    free: Vec<u32>,
    by_sid: HashMap<Sid, u32, NameHash>,
    /// In the order of creation.
    of_account: NameMap<Vec<u32>>,
    order: BTreeMap<u64, u32>,
    watches: Vec<Watch>,
    free_watches: Vec<u32>,
    watch_of: NameMap<u32>,
    epoch: u32,
    hot: Vec<Hot>,
    rated: Vec<Rated>,
    rates_hot: Vec<u32>,
    to_read: VecDeque<u32>,
    asks: Vec<(u32, Ask)>,
    crossed: Vec<Crossed>,
    changed: Vec<u32>,
    deleted: Vec<Sid>,
    replies: Vec<(u32, String)>,
    /// Firings of this step, and those that are told again.
    fresh: Vec<(u64, Vec<u8>)>,
    fresh_bytes: usize,
    again: Vec<(u64, Vec<u8>)>,
    told: Vec<u64>,
    untold: BTreeSet<u64>,
    next_firing: u64,
}

/// What was counted on a counter with rates.
struct Rated {
    watch: u32,
    day: u32,
    delta: Sums,
    events: u64,
}

impl Triggers {
    /// `hash_key`: the data directory's own.
    pub fn new(hash_key: &[u8; 16]) -> Self {
        let hash = NameHash::new(hash_key);
        Self {
            now_ms: 0,
            step: 1,
            slots: Vec::new(),
            free: Vec::new(),
            by_sid: HashMap::with_hasher(hash),
            of_account: NameMap::with_hasher(hash),
            order: BTreeMap::new(),
            watches: Vec::new(),
            free_watches: Vec::new(),
            watch_of: NameMap::with_hasher(hash),
            epoch: 0,
            hot: Vec::new(),
            rated: Vec::new(),
            rates_hot: Vec::new(),
            to_read: VecDeque::new(),
            asks: Vec::new(),
            crossed: Vec::new(),
            changed: Vec::new(),
            deleted: Vec::new(),
            replies: Vec::new(),
            fresh: Vec::new(),
            fresh_bytes: 0,
            again: Vec::new(),
            told: Vec::new(),
            untold: BTreeSet::new(),
            next_firing: 1,
        }
    }

    /// Triggers there are.
    pub fn len(&self) -> usize {
        self.by_sid.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_sid.is_empty()
    }

    /// Counters that are watched.
    pub fn watched(&self) -> usize {
        self.watch_of.len()
    }

    /// Firings whose callbacks are not yet known to be kept elsewhere.
    pub fn firings_untold(&self) -> usize {
        self.untold.len()
    }

    /// Rates that wait for room to fire, for tests.
    #[doc(hidden)]
    pub fn rates_waiting(&self) -> usize {
        self.rates_hot.len()
    }

    /// Changes whenever a `WatchId` may have come or gone.
    pub const fn watches_epoch(&self) -> u32 {
        self.epoch
    }

    /// The watch of a counter: of the account alone, or (`sub`) of it with all accounts below, which
    /// the caller asks for the account itself and each above it. An empty tag: the untagged counter.
    pub fn watch(&self, account: &[u8], category: &[u8], tag: &[u8], sub: bool) -> Option<WatchId> {
        if self.watch_of.is_empty() {
            return None;
        }
        let mut room = KEY_ROOM;
        let key = watch_key(&mut room, [account, category, tag], sub)?;
        self.watch_of.get(key).copied().map(WatchId)
    }

    /// Something was counted on a watched counter: what was added to one day's cell, and how many
    /// events that were, corrections aside. A delta of corrections alone (`events` 0) re-arms, but
    /// never fires. `day` is at most 36 days before, and a day ahead of, the newest so far; what is
    /// further back is not judged.
    pub fn counted(&mut self, watch: WatchId, day: u32, delta: &Sums, events: u64) {
        let Some(at) = self.watches.get_mut(watch.0 as usize) else {
            return;
        };
        if !at.live {
            return;
        }
        for gauge in &mut at.gauges {
            let place = gauge.place(day);
            let (Place::At(held) | Place::ToRead(held) | Place::Begun(held)) = place else {
                continue;
            };
            if matches!(place, Place::Begun(_)) {
                judge::begin(gauge, held, &mut self.slots);
            }
            if gauge.held[held].add(gauge.by, delta, events, self.step) {
                self.hot.push(Hot::of(watch.0, gauge, held));
            }
            if !gauge.held[held].loaded {
                let noted = read::note(gauge, held, &mut self.slots, delta, events);
                self.changed.extend(noted);
                if !at.queued {
                    at.queued = true;
                    self.to_read.push_back(watch.0);
                }
            }
        }
        if !at.rates.is_empty() {
            let (watch, delta) = (watch.0, *delta);
            self.rated.push(Rated {
                watch,
                day,
                delta,
                events,
            });
        }
    }

    fn today(&self) -> u32 {
        day_of_ms(self.now_ms)
    }

    fn passed_to(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    fn trigger(&self, slot: u32) -> &Trigger {
        self.slots[slot as usize]
            .as_deref()
            .expect("a slot that is named has a trigger")
    }

    fn trigger_mut(&mut self, slot: u32) -> &mut Trigger {
        self.slots[slot as usize]
            .as_deref_mut()
            .expect("a slot that is named has a trigger")
    }

    /// Its record is written at the end of the step.
    fn change(&mut self, slot: u32) {
        let trigger = self.trigger_mut(slot);
        if !trigger.changed {
            trigger.changed = true;
            self.changed.push(slot);
        }
    }

    fn want(&mut self, watch: u32) {
        let at = &mut self.watches[watch as usize];
        if at.live && !at.queued {
            at.queued = true;
            self.to_read.push_back(watch);
        }
    }
}

const KEY_ROOM: [u8; 2 * NAME_BYTES + CATEGORY_BYTES + 4] =
    [0; 2 * NAME_BYTES + CATEGORY_BYTES + 4];

/// The bytes a watch is found by; none if a name is too long for any trigger.
fn watch_key<'a>(
    room: &'a mut [u8; KEY_ROOM.len()],
    names: [&[u8]; 3],
    sub: bool,
) -> Option<&'a [u8]> {
    let mut end = 0;
    for name in names {
        room.get_mut(end..end + name.len())?.copy_from_slice(name);
        end += name.len() + 1;
    }
    *room.get_mut(end)? = u8::from(sub);
    Some(&room[..=end])
}
