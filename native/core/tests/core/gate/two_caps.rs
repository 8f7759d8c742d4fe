//! Keys whose tenant's cap and resource's cap are both full: a turn at one is no turn at the other.

use super::bench::{Bench, PLATFORM, SECOND_US};
use super::wire::{self, Ask, Id, Release, Resource, Said};
use std::collections::{HashMap, HashSet, VecDeque};

/// Resource `calls` with a cap, `mail` without one, tenant `t` with a cap.
fn both(resource: u64, tenant: u64) -> Bench {
    let calls = Resource {
        limit: Some(resource),
        lease_ms: 3_600_000,
        ..Resource::default()
    };
    let mail = Resource {
        lease_ms: 3_600_000,
        ..Resource::default()
    };
    Bench::new(&[
        wire::resource("calls", Some(&calls)),
        wire::resource("mail", Some(&mail)),
        wire::tenant("t", Some(tenant), 100),
    ])
}

/// Crowds at both caps that never end: whoever is let in is followed by another who waits.
struct Crowds {
    bench: Bench,
    /// Held, the oldest first, by what is asked for: `t` at `mail`, `x` at `calls`.
    held: [VecDeque<Id>; 2],
    of: HashMap<u32, usize>,
    admitted: HashSet<u32>,
}

const CROWD: [(&str, &str); 2] = [("mail", "t"), ("calls", "x")];

impl Crowds {
    fn new(resource: u64, tenant: u64) -> Self {
        let mut bench = both(resource, tenant);
        let held = [(0, tenant), (1, resource)].map(|(at, cap)| {
            let (resource, tenant) = CROWD[at];
            (0..cap)
                .map(|_| bench.granted(PLATFORM, Ask::of(resource, tenant)))
                .collect()
        });
        let mut crowds = Self {
            bench,
            held,
            of: HashMap::new(),
            admitted: HashSet::new(),
        };
        for at in 0..CROWD.len() {
            for _ in 0..4 {
                crowds.queue(at);
            }
        }
        crowds
    }

    fn queue(&mut self, at: usize) {
        let (resource, tenant) = CROWD[at];
        let ticket = self.bench.waiting(PLATFORM, Ask::of(resource, tenant));
        self.of.insert(ticket, at);
    }

    /// The oldest of a crowd leaves after a while.
    fn leave(&mut self, at: usize) {
        self.bench.now_us += 10_000;
        let Some(permit) = self.held[at].pop_front() else {
            return;
        };
        let (_, _, said) = self.bench.release(PLATFORM, &[Release::Permit(permit)]);
        for (_, what) in said {
            let Said::Admitted(ticket, permit, _) = what else {
                panic!("{what:?}")
            };
            self.admitted.insert(ticket);
            if let Some(at) = self.of.remove(&ticket) {
                self.held[at].push_back(permit);
                self.queue(at);
            }
        }
    }

    /// Rounds in which each crowd had a turn until the ticket was let in.
    fn rounds_until(&mut self, ticket: u32, max: usize) -> Option<usize> {
        (0..max).find(|_| {
            self.leave(0);
            self.leave(1);
            self.admitted.contains(&ticket)
        })
    }
}

#[test]
fn a_key_that_needs_both_caps_is_let_in() {
    for (resource, tenant) in [(1, 1), (1, 3), (3, 1), (4, 4)] {
        let mut crowds = Crowds::new(resource, tenant);
        let ticket = crowds.bench.waiting(PLATFORM, Ask::of("calls", "t"));
        let rounds = crowds.rounds_until(ticket, 100);
        let few = rounds.is_some_and(|rounds| rounds <= 20);
        assert!(few, "caps {resource} and {tenant}: {rounds:?}");
    }
}

#[test]
fn several_seats_of_both_caps_come_too() {
    let mut crowds = Crowds::new(4, 4);
    let ticket = crowds
        .bench
        .waiting(PLATFORM, Ask::of("calls", "t").seats(3));
    let rounds = crowds.rounds_until(ticket, 200);
    assert!(rounds.is_some_and(|rounds| rounds <= 40), "{rounds:?}");
}

/// A key that keeps a seat of the tenant's while it waits for the resource's only one.
fn keeping(tenant: u64) -> (Crowds, u32) {
    let mut crowds = Crowds::new(1, tenant);
    let ask = Ask {
        wait_ms: Some(60_000),
        ..Ask::of("calls", "t")
    };
    let ticket = crowds.bench.waiting(PLATFORM, ask);
    for _ in 0..20 {
        crowds.leave(0);
        if crowds.held[0].len() + 1 == tenant as usize {
            return (crowds, ticket);
        }
        crowds.leave(1);
    }
    panic!("it never keeps a seat");
}

#[test]
fn who_gives_up_gives_the_kept_seat_back() {
    let (mut crowds, ticket) = keeping(1);
    let (_, _, said) = crowds.bench.release(PLATFORM, &[Release::Ticket(ticket)]);
    let admitted = Bench::admitted(&said);
    assert_eq!(admitted.len(), 1, "the tenant's next one: {said:?}");
    assert_eq!(crowds.of[&admitted[0]], 0);
    let (mut crowds, ticket) = keeping(1);
    let said = crowds.bench.pass(60 * SECOND_US);
    let over =
        |(_, what): &(u32, Said)| matches!(what, Said::Refused(one, 4007, _) if *one == ticket);
    assert!(said.iter().any(over), "{said:?}");
    let (crowds, _) = keeping(1);
    drop(crowds);
    let (mut crowds, _) = keeping(1);
    crowds.bench.disconnect(PLATFORM);
}

#[test]
fn a_lower_cap_of_the_tenant_takes_the_kept_seat_back() {
    let (mut crowds, ticket) = keeping(2);
    crowds.bench.configure(wire::tenant("t", Some(1), 100));
    crowds.leave(1);
    assert!(!crowds.admitted.contains(&ticket), "two seats of one");
    let rounds = crowds.rounds_until(ticket, 100);
    assert!(rounds.is_some_and(|rounds| rounds <= 20), "{rounds:?}");
}
