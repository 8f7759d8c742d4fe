//! Hard caps and prices as the model keeps them: what is reserved is what was billed and what may still
//! be, and what ended without a bill until its exchange is committed.

use super::frames::tenant_name;
use super::model::Message;
use super::random::Random;
use crate::input;
use fairlead_core::msgpack::{write_array_len, write_str, write_uint};
use fairlead_core::usage::calendar::PeriodKind;
use fairlead_core::usage::reserve::Slots;
use std::collections::VecDeque;

/// What a cap is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Of {
    Count,
    Cost,
    Price,
}

#[derive(Clone, Debug)]
pub struct Cap {
    pub tenant: usize,
    pub of: Of,
    pub limit: i128,
    pub reserved: i128,
    /// What is free again when the exchange of that number is committed.
    refunds: VecDeque<(u64, i128)>,
}

#[derive(Clone, Debug, Default)]
pub struct Caps {
    pub all: Vec<Cap>,
    /// From when on a unit of cost costs how much, ascending.
    pub prices: Vec<(u64, u64)>,
}

impl Caps {
    pub fn new(random: &mut Random) -> Self {
        let mut all = Vec::new();
        if random.permille(600) {
            for (tenant, of, limits) in [
                (0, Of::Cost, [40, 150, 100_000]),
                (0, Of::Count, [30, 80, 100_000]),
                (1, Of::Price, [2_000, 20_000, 10_000_000]),
            ] {
                all.push(Cap {
                    tenant,
                    of,
                    limit: *random.choose(&limits),
                    reserved: 0,
                    refunds: VecDeque::new(),
                });
            }
        }
        let mut caps = Self {
            all,
            prices: Vec::new(),
        };
        caps.change_prices(random, 1_700_000_000_000);
        caps
    }

    pub fn change_prices(&mut self, random: &mut Random, now_ms: u64) {
        let next_ms = now_ms + *random.choose(&[1_000, 100_000, 10_000_000]);
        self.prices = vec![(0, random.range(1, 90)), (next_ms, random.range(1, 90))];
    }

    pub fn price(&self, accepted_ms: u64, cost: u64) -> i128 {
        let holds = self.prices.iter().rev().find(|step| step.0 <= accepted_ms);
        i128::from(holds.map_or(0, |step| step.1) * cost)
    }

    fn amount(&self, of: Of, message: &Message) -> i128 {
        let cost = u64::from(message.draft.options.cost.max(1));
        match of {
            Of::Count => 1,
            Of::Cost => cost.into(),
            Of::Price => self.price(message.accepted_ms, cost),
        }
    }

    fn amounts(&self, message: &Message) -> Vec<i128> {
        let own = |cap: &Cap| {
            if cap.tenant == message.draft.tenant {
                self.amount(cap.of, message)
            } else {
                0
            }
        };
        self.all.iter().map(own).collect()
    }

    /// Whether there is room for one more message.
    pub fn fits(&self, message: &Message) -> bool {
        let mut caps = self.all.iter().zip(self.amounts(message));
        caps.all(|(cap, amount)| {
            cap.tenant != message.draft.tenant || cap.reserved + amount <= cap.limit
        })
    }

    pub fn take(&mut self, message: &Message) {
        for (cap, amount) in self.amounts(message).into_iter().enumerate() {
            self.all[cap].reserved += amount;
        }
    }

    pub fn give_back(&mut self, message: &Message, exchange: u64) {
        for (cap, amount) in self.amounts(message).into_iter().enumerate() {
            self.all[cap].refunds.push_back((exchange, amount));
        }
    }

    pub fn committed(&mut self, exchange: u64) {
        for cap in &mut self.all {
            while cap
                .refunds
                .front()
                .is_some_and(|refund| refund.0 <= exchange)
            {
                cap.reserved -= cap.refunds.pop_front().expect("it is there").1;
            }
        }
    }

    /// The process ended: what was billed is the base, and what may still be is held.
    pub fn restart<'a>(
        &mut self,
        billed: impl Fn(usize, Of) -> i128,
        holding: impl Iterator<Item = &'a Message>,
    ) {
        for cap in &mut self.all {
            cap.refunds.clear();
            cap.reserved = billed(cap.tenant, cap.of);
        }
        for message in holding {
            self.take(message);
        }
    }

    /// A table for a new process, with the totals that whoever counts has.
    pub fn slots(&self, now_ms: u64, billed: impl Fn(usize, Of) -> i128) -> &'static Slots {
        let slots = Box::leak(Box::new(Slots::new()));
        for (slot, cap) in self.all.iter().enumerate() {
            slots.set(slot as u32, PeriodKind::AllTime, cap.limit);
            slots.set_base(slot as u32, now_ms, billed(cap.tenant, cap.of));
        }
        slots
    }

    /// The configure requests of all of it.
    pub fn configure(&self) -> Vec<Vec<u8>> {
        let mut all = vec![self.configure_prices()];
        for (slot, cap) in self.all.iter().enumerate() {
            let name = format!("{}/cap{slot}", tenant_name(cap.tenant));
            let period = PeriodKind::AllTime as u64;
            all.push(input::cap(
                (&name, "messages"),
                cap.of as u64,
                period,
                None,
                slot as u32,
            ));
        }
        all
    }

    pub fn configure_prices(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_array_len(&mut out, 3);
        write_uint(&mut out, 14);
        write_str(&mut out, "messages");
        write_array_len(&mut out, 2);
        write_uint(&mut out, 1);
        write_array_len(&mut out, self.prices.len());
        for (from_ms, nano) in &self.prices {
            write_array_len(&mut out, 2);
            write_uint(&mut out, *from_ms);
            write_uint(&mut out, *nano);
        }
        out
    }
}
