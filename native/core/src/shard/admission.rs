//! Admission by time: a message that would expire before its turn is refused at once (code 3023), with
//! the time after which it is worth trying again. `estimate` has the arithmetic.
//!
//! A destination whose `admission` is off has nothing of this. Mode `shadow` accepts and marks what
//! `on` would refuse: it keeps the count of what would wait in each queue without the marked ones, for
//! they fill the queue and expire there, which would have all others marked too.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an estimate"
)]

use super::batches::{self, CANCELLED, DOUBTED, EXPIRED, JUDGED, Key};
use super::destination::{Destination, Owner};
use super::estimate::{Ahead, Outlook, Phantoms, Recent, Served, Verdict};
use super::gateway::Gateways;
use super::timers::back_off_ms;
use super::{Shard, pool::Pools};
use crate::exchange;
use crate::tree::{self, NodeId, Step};
use rustc_hash::FxHashMap;

/// Time over which the pace of a destination is measured, and that of a queue, µs.
const SETTLED_WINDOW_US: u64 = 10_000_000;
const QUEUE_WINDOW_US: u64 = 10_000_000;
/// Settlements before the pace of a destination counts as known.
const SETTLED_MIN: u64 = 20;
/// Told to a refused publisher at least, ms, and by how much it varies.
const RETRY_MS_MIN: u64 = 1000;
const RETRY_JITTER: f64 = 0.2;

/// What a message asks of its queue.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub key: Key,
    pub cost: u32,
    pub validity_ms: u64,
}

/// How fast the destination is in this exchange, cost a second.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// By its own rate and the gateways that are up.
    rate: f64,
    /// As measured, if slots or credit bind.
    bound: f64,
}

/// A queue as reckoned once in an exchange.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    outlook: Outlook,
    /// Cost of higher levels of its tenant.
    above: f64,
}

/// A queue that was judged.
#[derive(Debug)]
struct Watched {
    served: Served,
    /// Cost that left the queue's head.
    passed: u64,
    last_us: u64,
    /// Shadow: cost that would wait without the marked messages.
    kept: u64,
    phantoms: Phantoms,
}

/// What a destination with admission by time knows; gone with a restart, and so are the marks.
#[derive(Debug)]
pub struct Admission {
    refuses: bool,
    settlements: u64,
    /// Of the whole destination; busy while slots or credit keep work from going.
    settled: Served,
    /// Exchange of `pace` and `estimates`.
    exchange: u64,
    pace: Option<Pace>,
    /// None: the queue is not judged now.
    estimates: FxHashMap<NodeId, Option<Estimate>>,
    siblings: FxHashMap<NodeId, Recent>,
    queues: FxHashMap<NodeId, Watched>,
}

impl Admission {
    fn new(refuses: bool, now_us: u64) -> Self {
        Self {
            refuses,
            settlements: 0,
            settled: Served::new(SETTLED_WINDOW_US, now_us),
            exchange: u64::MAX,
            pace: None,
            estimates: FxHashMap::default(),
            siblings: FxHashMap::default(),
            queues: FxHashMap::default(),
        }
    }

    /// One settle frame, of so many outcomes and so much cost.
    pub fn settled(&mut self, count: u32, cost: u64, now_us: u64) {
        self.settlements += u64::from(count);
        if self.settled.is_busy() {
            self.settled.add(cost, now_us);
        }
    }

    /// Whether work waits only because slots or credit are used up.
    pub fn set_bound(&mut self, bound: bool, now_us: u64) {
        self.settled.set_busy(bound, now_us);
    }

    /// A message of the queue was handed out; how many of those refused would be out by now too.
    pub fn served(&mut self, queue: NodeId, cost: u32, left: u32, now_us: u64) -> u64 {
        let Some(watched) = self.queues.get_mut(&queue) else {
            return 0;
        };
        watched.served.add(u64::from(cost), now_us);
        watched.served.set_busy(left > 0, now_us);
        watched.last_us = now_us;
        watched.passed += u64::from(cost);
        watched.kept = watched.kept.saturating_sub(u64::from(cost));
        if left == 0 {
            watched.kept = 0;
        }
        watched.phantoms.served(watched.passed, now_us)
    }

    /// A message at the head of the queue expired: what is behind it comes nearer.
    pub fn expired(&mut self, queue: NodeId, cost: u32) {
        if let Some(watched) = self.queues.get_mut(&queue) {
            watched.passed += u64::from(cost);
        }
    }

    /// The node is freed, and its number may be another's.
    pub fn forget(&mut self, node: NodeId) {
        self.queues.remove(&node);
        self.siblings.remove(&node);
    }
}

impl Destination {
    /// Begins or ends admission by time, as configured.
    pub fn set_admission(&mut self, now_us: u64) {
        let refuses = match self.fields.admission {
            exchange::Admission::Off => {
                self.admission = None;
                return;
            }
            exchange::Admission::Shadow => false,
            exchange::Admission::On => true,
        };
        match &mut self.admission {
            Some(admission) if admission.refuses == refuses => {}
            Some(admission) => {
                admission.refuses = refuses;
                // What would wait without the marked ones is counted from here on.
                admission.queues.clear();
            }
            none => *none = Some(Box::new(Admission::new(refuses, now_us))),
        }
    }

    /// Notes whether slots or credit keep work from going.
    pub fn note_bound(&mut self, now_us: u64) {
        if let Some(admission) = &mut self.admission {
            let tree = &self.tree;
            let paced = tree.is_paced() || self.lanes.paced;
            let bound = tree.is_wanted() && !tree.is_halted() && !paced;
            admission.set_bound(bound, now_us);
        }
    }

    /// A message of that cost comes to those that wait in the queue (not those that are scheduled).
    /// Only what is above 1 is noted: the tree counts messages.
    #[inline]
    pub fn surcharge(&mut self, queue: NodeId, cost: u32) {
        if cost > 1 {
            self.change_surcharge(queue, i64::from(cost) - 1);
        }
    }

    /// The opposite of `surcharge`.
    #[inline]
    pub fn discharge(&mut self, queue: NodeId, cost: u32) {
        if cost > 1 {
            self.change_surcharge(queue, 1 - i64::from(cost));
        }
    }

    fn change_surcharge(&mut self, node: NodeId, change: i64) {
        let Owner::Queue {
            tenant,
            name,
            queue,
        } = &mut self.owners[node as usize]
        else {
            unreachable!("node {node} is no queue");
        };
        queue.surcharge = queue.surcharge.saturating_add_signed(change);
        let (tenant, rank) = (*tenant, usize::from(name.rank));
        let surcharge = &mut self.tenant_mut(tenant).surcharges[rank];
        *surcharge = surcharge.saturating_add_signed(change);
    }

    /// Cost that waits in a queue.
    fn waiting_cost(&self, node: NodeId) -> u64 {
        let Owner::Queue { queue, .. } = &self.owners[node as usize] else {
            return 0;
        };
        u64::from(self.tree.due(node)) + u64::from(queue.timed) + queue.surcharge
    }

    /// Cost that waits in the levels of a queue's tenant above its own.
    fn cost_above(&self, queue: NodeId) -> u64 {
        let Owner::Queue { tenant, name, .. } = &self.owners[queue as usize] else {
            return 0;
        };
        let tenant = self.tenant(*tenant);
        let above = tenant.levels.iter().take(usize::from(name.rank));
        above
            .zip(tenant.surcharges)
            .filter(|&(&level, _)| level != tree::ROOT)
            .map(|(&level, surcharge)| u64::from(self.tree.due(level)) + surcharge)
            .sum()
    }

    /// How fast it is now. None: not known, or nothing goes at all.
    fn pace(&self, admission: &mut Admission, gateways: &Gateways, now_us: u64) -> Option<Pace> {
        if admission.settlements < SETTLED_MIN || self.tree.is_halted() {
            return None;
        }
        let own = self.fields.rate_per_sec.unwrap_or(f64::INFINITY);
        let rate = own.min(self.gateway_rate(gateways, own, now_us));
        if rate <= 0.0 {
            return None;
        }
        let bound = admission.settled.measure(now_us);
        let bound = bound.map_or(f64::INFINITY, |(cost, seconds)| cost / seconds);
        (rate.min(bound).is_finite() && bound > 0.0).then_some(Pace { rate, bound })
    }

    /// What a queue may count on. None: it, or what it belongs to, is paused or resting.
    fn estimate(
        &self,
        admission: &mut Admission,
        (pools, strict): (&Pools, bool),
        queue: NodeId,
        now_us: u64,
    ) -> Option<Estimate> {
        let pace = admission.pace?;
        let whole = pace.rate.min(pace.bound * self.slowness(queue));
        let mut outlook = Outlook {
            whole,
            cap: self.pool_rate(pools, queue),
            tenant: whole,
            tenant_least: whole,
            queue: whole,
            queue_least: whole,
            floor: 0.0,
            is_measured: false,
        };
        let hold_us = self.hold_us(queue);
        let slots = |slots: u32| f64::from(slots) * 1e6 / hold_us;
        if strict {
            outlook.cap = outlook.cap.min(slots(1));
        }
        let mut below = true;
        for step in self.tree.path(queue) {
            if step.halted {
                return None;
            }
            outlook.cap = outlook.cap.min(step.rate_per_sec.unwrap_or(f64::INFINITY));
            let by_slots = step.in_flight_max.map_or(f64::INFINITY, slots);
            outlook.cap = outlook.cap.min(by_slots);
            let least = admission.least(&step, now_us);
            outlook.queue *= step.part;
            outlook.queue_least *= least;
            // Above the queue and its level: what the tenant gets.
            if !below {
                outlook.tenant *= step.part;
                outlook.tenant_least *= least;
            }
            if let Some((rank, floor)) = step.level {
                outlook.floor = if rank > 0 { floor } else { 0.0 };
            }
            below &= matches!(self.owners[step.parent as usize], Owner::Level { .. });
        }
        if let Some(measured) = admission.measured(queue, outlook.queue, now_us) {
            (outlook.queue, outlook.is_measured) = (measured, true);
        }
        Some(Estimate {
            outlook,
            above: self.cost_above(queue) as f64,
        })
    }

    /// Where slots bind, a queue whose messages hold them longer than others gets fewer through.
    fn slowness(&self, queue: NodeId) -> f64 {
        let all_us = self.hold_us(tree::ROOT);
        if all_us > 0.0 {
            all_us / self.hold_us(queue)
        } else {
            1.0
        }
    }

    /// What its messages hold, or else those of the destination, µs.
    fn hold_us(&self, node: NodeId) -> f64 {
        let own = self.tree.hold_us(node);
        f64::from(if own > 0 {
            own
        } else {
            self.tree.hold_us(tree::ROOT)
        })
    }

    fn pool_rate(&self, pools: &Pools, queue: NodeId) -> f64 {
        let pool = match &self.owners[queue as usize] {
            Owner::Queue { queue, .. } => queue.pool,
            _ => None,
        };
        pool.and_then(|pool| pools.rate_per_sec(pool))
            .unwrap_or(f64::INFINITY)
    }
}

impl Admission {
    /// A node's part of its parent with all siblings of the last minute busy.
    fn least(&mut self, step: &Step, now_us: u64) -> f64 {
        if step.level.is_some() {
            return step.part;
        }
        let recent = self.siblings.entry(step.parent).or_default();
        let sum = recent.note(step.backlog_weight, now_us);
        step.weight as f64 / sum as f64
    }

    /// What a queue gets: its part of now, unless what it got lately tells otherwise. Siblings come and
    /// go between two moments, so the part of one moment says little where they are not all busy;
    /// where they are, it is the exact number, and the measured one is right to a message or two.
    fn measured(&mut self, queue: NodeId, part: f64, now_us: u64) -> Option<f64> {
        let watched = self.queues.get_mut(&queue)?;
        let (cost, seconds) = watched.served.measure(now_us)?;
        let agrees = (part * seconds - cost).abs() <= 2.0;
        (!agrees && cost > 0.0).then_some(cost / seconds)
    }
}

impl Shard {
    /// Judges a message by time: the flags that it is accepted with, or after how many ms it may be
    /// tried again.
    pub(super) fn admit(&mut self, place: u32, queue: NodeId, asked: Asked) -> Result<u8, u64> {
        let taken = self.destinations[place as usize].admission.take();
        let Some(mut admission) = taken else {
            return Ok(0);
        };
        let result = self.judge(&mut admission, place, queue, asked);
        self.destinations[place as usize].admission = Some(admission);
        result
    }

    fn judge(
        &mut self,
        admission: &mut Admission,
        place: u32,
        queue: NodeId,
        asked: Asked,
    ) -> Result<u8, u64> {
        let now_us = self.now_us;
        let destination = &self.destinations[place as usize];
        if admission.exchange != self.exchange {
            admission.exchange = self.exchange;
            admission.estimates.clear();
            admission.pace = destination.pace(admission, &self.gateways, now_us);
        }
        let estimate = if let Some(known) = admission.estimates.get(&queue) {
            *known
        } else {
            let strict = self.any_strict && self.is_strict_queue(place, queue);
            let estimate = destination.estimate(admission, (&self.pools, strict), queue, now_us);
            admission.estimates.insert(queue, estimate);
            estimate
        };
        let waiting = destination.waiting_cost(queue);
        let refuses = admission.refuses;
        let watched = admission.watch(queue, waiting, now_us);
        let ahead = if refuses { waiting } else { watched.kept };
        let own = ahead + u64::from(asked.cost);
        let verdict = estimate.map(|estimate| {
            let ahead = Ahead {
                above: estimate.above,
                own: own as f64,
                since_us: now_us.saturating_sub(watched.last_us) as f64,
            };
            let validity_us = asked.validity_ms as f64 * 1e3;
            estimate.outlook.judge(&ahead, validity_us)
        });
        let Some(Verdict::Refuse(wait_us)) = verdict else {
            watched.kept += u64::from(asked.cost);
            return Ok(JUDGED);
        };
        self.counters.refused_by_time += 1;
        if !refuses {
            return Ok(JUDGED | DOUBTED);
        }
        let validity_us = asked.validity_ms.saturating_mul(1000);
        let target = watched.passed + own;
        watched.phantoms.add(target, validity_us, now_us);
        Err(retry_after_ms(asked, wait_us))
    }

    /// A message with a flag of admission ended.
    pub(super) fn note_judged(&mut self, flags: u8, state: u8) {
        let doubted = flags & DOUBTED != 0;
        if state == EXPIRED && !doubted {
            self.counters.accepted_then_expired += 1;
        } else if doubted && !matches!(state, EXPIRED | CANCELLED) {
            self.counters.refused_would_have_made_it += 1;
        }
    }

    /// What a message that waits, or waited, adds to its queue's cost.
    pub(super) fn cost_of(&self, key: Key) -> u32 {
        let batch = self.batches.get(batches::batch_of(key));
        batch.map_or(1, |batch| batch.cost(batches::index_of(key)))
    }
}

impl Admission {
    fn watch(&mut self, queue: NodeId, waiting: u64, now_us: u64) -> &mut Watched {
        let watched = self.queues.entry(queue).or_insert_with(|| Watched {
            served: Served::new(QUEUE_WINDOW_US, now_us),
            passed: 0,
            last_us: now_us,
            kept: waiting,
            phantoms: Phantoms::default(),
        });
        if !watched.served.is_busy() {
            watched.served.set_busy(true, now_us);
            watched.last_us = 0;
        }
        watched
    }
}

/// When the message is worth trying again: as long as it would wait too long, with jitter, so that
/// those refused together do not come back together.
fn retry_after_ms(asked: Asked, wait_us: f64) -> u64 {
    let wait = (wait_us / 1e3).min(9e15) as u64;
    let most = asked.validity_ms.max(RETRY_MS_MIN);
    let whole = wait
        .saturating_sub(asked.validity_ms)
        .clamp(RETRY_MS_MIN, most);
    back_off_ms(asked.key, 1, whole, u64::MAX, RETRY_JITTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_message_is_told_how_much_too_long_it_would_wait() {
        let asked = |key| Asked {
            key,
            cost: 1,
            validity_ms: 5_000,
        };
        let told =
            |wait_us: f64| (0..100).map(move |key| retry_after_ms(asked(key << 16), wait_us));
        assert!(told(7e6).all(|ms| (1_600..=2_400).contains(&ms)));
        assert!(told(5.1e6).all(|ms| (800..=1_200).contains(&ms)));
        assert!(told(1e12).all(|ms| (4_000..=6_000).contains(&ms)));
        assert!(told(f64::INFINITY).all(|ms| ms <= 6_000));
        let different: std::collections::BTreeSet<u64> = told(7e6).collect();
        assert!(different.len() > 50, "they do not come back together");
    }
}
