//! The policy `shuffle`: 10,000 tenants in shared slots, a few of them noisy.
#![allow(clippy::cast_precision_loss)]

use crate::shared::{bench, entities, wire};
use bench::{Bench, PLAIN};
use entities::Change;
use fairlead_core::exchange::InputOp;
use fairlead_core::msgpack::{write_array_len, write_bool, write_nil, write_str, write_uint};
use std::collections::{BTreeMap, BTreeSet};
use wire::Said;

const QUIET: usize = 10_000;

fn shuffle_set(slots: u32, hand: u32, policy: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_uint(&mut out, 2);
    write_str(&mut out, "default");
    write_array_len(&mut out, 11);
    write_uint(&mut out, 100);
    write_nil(&mut out);
    write_uint(&mut out, 1);
    write_nil(&mut out);
    write_uint(&mut out, 0);
    write_nil(&mut out);
    write_bool(&mut out, false);
    write_bool(&mut out, false);
    write_uint(&mut out, policy);
    write_uint(&mut out, slots.into());
    write_uint(&mut out, hand.into());
    out
}

fn tenant(name: &str, weight: u64, paused: bool) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_uint(&mut out, 3);
    write_str(&mut out, name);
    write_array_len(&mut out, 6);
    write_str(&mut out, "default");
    write_uint(&mut out, weight);
    write_nil(&mut out);
    write_uint(&mut out, 1);
    write_nil(&mut out);
    write_bool(&mut out, paused);
    out
}

fn bench(slots: u32, hand: u32) -> Bench {
    let mut bench = Bench::new(&[Change::Destination(0, Some(PLAIN))]);
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 0);
    bench.request(InputOp::Configure, &shuffle_set(slots, hand, 1));
    bench.step();
    bench
}

fn flood(bench: &mut Bench, name: &str, count: usize) {
    let messages = vec![(name, "s", "r", 1); count];
    bench.publish(1, 0, &messages);
}

/// Hands out one message and settles it; whose it was.
fn serve(bench: &mut Bench) -> String {
    bench.credit(1, 1, 1);
    let took = bench.step();
    assert_eq!(took.len(), 1);
    bench.settle(1, 1, &[Said::sent(took[0].delivery)]);
    took[0].tenant.clone()
}

/// The probability that `noisy` random hands of k of N slots cover another one: the number of covered
/// slots, hand by hand.
fn odds(slots: u32, hand: u32, noisy: u32) -> f64 {
    let choose = |n: u32, k: u32| -> f64 {
        if k > n {
            return 0.0;
        }
        (0..k)
            .map(|i| f64::from(n - i) / f64::from(i + 1))
            .product()
    };
    let all = choose(slots, hand);
    let mut covered = vec![0.0; slots as usize + 1];
    covered[0] = 1.0;
    for _ in 0..noisy {
        let mut next = vec![0.0; slots as usize + 1];
        for (before, part) in covered.iter().enumerate() {
            let before = before as u32;
            for new in 0..=hand.min(slots - before) {
                let ways = choose(slots - before, new) * choose(before, hand - new);
                next[(before + new) as usize] += part * ways / all;
            }
        }
        covered = next;
    }
    let of = |(count, part): (usize, &f64)| part * choose(count as u32, hand) / all;
    covered.iter().enumerate().map(of).sum()
}

/// The hands of 10,000 tenants are covered by those of a few as often as random hands are.
#[test]
fn hands_are_covered_as_often_as_random_ones() {
    let bench = bench(2, 1);
    for (slots, hand, noisy) in [(64, 4, 40), (16, 2, 4), (8, 2, 2), (128, 1, 30)] {
        let mut covered = 0;
        let groups = 20;
        for group in 0..groups {
            let noisy = (0..noisy).flat_map(|place| {
                let name = format!("noisy{group}-{place}");
                bench.shard.hand_of(name.as_bytes(), slots, hand)
            });
            let union: BTreeSet<u32> = noisy.collect();
            for place in 0..QUIET {
                let own = bench
                    .shard
                    .hand_of(format!("quiet{place}").as_bytes(), slots, hand);
                covered += usize::from(own.iter().all(|slot| union.contains(slot)));
            }
        }
        let seen = covered as f64 / (groups * QUIET) as f64;
        let exact = odds(slots, hand, noisy);
        println!(
            "{slots} slots, hands of {hand}, {noisy} noisy: {seen:.5}, by the formula {exact:.5}"
        );
        // What the noisy hands of one group cover varies far more than which quiet ones they cover.
        let tolerance = 0.35 * exact + 0.01;
        assert!(
            (seen - exact).abs() <= tolerance,
            "{seen}, by the formula {exact}"
        );
    }
}

/// Who has a slot of its hand without a noisy tenant waits for a turn of the busy slots at most; who has
/// none shares a slot fairly.
#[test]
fn quiet_tenants_are_not_disturbed() {
    let (slots, hand) = (8, 2);
    let mut bench = bench(slots, hand);
    let mut filled: BTreeMap<u32, usize> = BTreeMap::new();
    let noisy: Vec<String> = (0..4).map(|place| format!("noisy{place}")).collect();
    for name in &noisy {
        let own = bench.shard.hand_of(name.as_bytes(), slots, hand);
        let seat = own.iter().min_by_key(|slot| filled.get(slot).copied());
        *filled.entry(*seat.expect("a hand")).or_default() += 2000;
        flood(&mut bench, name, 2000);
        bench.step();
    }
    let busy = filled.len();
    let mut left: BTreeMap<&str, usize> = noisy.iter().map(|name| (name.as_str(), 2000)).collect();
    let (mut sharing, mut worst, mut worst_sharing) = (0, 0, 0);
    for place in 0..QUIET {
        let name = format!("quiet{place}");
        let own = bench.shard.hand_of(name.as_bytes(), slots, hand);
        let shares = own.iter().all(|slot| filled.contains_key(slot));
        flood(&mut bench, &name, 1);
        let mut waited = 1;
        loop {
            let who = serve(&mut bench);
            if who == name {
                break;
            }
            waited += 1;
            if let Some(left) = left.get_mut(who.as_str()) {
                *left -= 1;
            }
        }
        for name in &noisy {
            let low = left.get_mut(name.as_str()).expect("noisy");
            if *low < 1000 {
                *low += 1000;
                flood(&mut bench, name, 1000);
            }
        }
        sharing += usize::from(shares);
        let worst = if shares {
            &mut worst_sharing
        } else {
            &mut worst
        };
        *worst = waited.max(*worst);
    }
    bench.step();
    bench.check();
    let seen = sharing as f64 / QUIET as f64;
    let pairs = f64::from(slots * (slots - 1));
    let exact = (busy * (busy - 1)) as f64 / pairs;
    println!(
        "{busy} of {slots} slots noisy: {seen:.4} share, of random pairs {exact:.4}, at most {:.4} by the odds; waits at most {worst} picks, sharing {worst_sharing}",
        odds(slots, hand, 4)
    );
    assert!((seen - exact).abs() < 0.02 && seen <= odds(slots, hand, 4));
    assert!(worst <= busy + 1 && worst_sharing <= 2 * busy + 1);
}

/// A tenant of four times the weight gets four times as much, in a slot of its own or in one shared.
#[test]
fn weights_count_across_slots_and_within_one() {
    for slots in [2, 64] {
        let mut bench = bench(slots, 1);
        bench.request(InputOp::Configure, &tenant("heavy", 400, false));
        // In the same slot of two, or in another of 64.
        let at = |bench: &Bench, name: &str| bench.shard.hand_of(name.as_bytes(), slots, 1)[0];
        let other = (0..100).map(|place| format!("light{place}"));
        let same = slots == 2;
        let light = other
            .into_iter()
            .find(|name| (at(&bench, name) == at(&bench, "heavy")) == same);
        let light = light.expect("one of a hundred");
        flood(&mut bench, "heavy", 2000);
        flood(&mut bench, &light, 2000);
        let heavy = (0..1000).filter(|_| serve(&mut bench) == "heavy").count();
        assert!((795..=805).contains(&heavy), "{heavy} of 1,000");
    }
}

/// One that is paused blocks nobody in its slot, and a restart finds all messages again.
#[test]
fn a_paused_tenant_steps_aside_and_a_restart_keeps_all() {
    let mut bench = bench(2, 1);
    let at = |bench: &Bench, name: &str| bench.shard.hand_of(name.as_bytes(), 2, 1)[0];
    let others = (0..100).map(|place| format!("b{place}"));
    let mate = others
        .into_iter()
        .find(|name| at(&bench, name) == at(&bench, "a"));
    let mate = mate.expect("one of a hundred");
    flood(&mut bench, "a", 10);
    flood(&mut bench, &mate, 10);
    bench.request(InputOp::Configure, &tenant("a", 100, true));
    for _ in 0..5 {
        assert_eq!(serve(&mut bench), mate);
    }
    bench.step();
    bench.check();
    bench.restart();
    bench.connect(1, 3);
    bench.subscribe(1, 1, 0, 0);
    bench.request(InputOp::Configure, &shuffle_set(2, 1, 1));
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..15 {
        *served.entry(serve(&mut bench)).or_default() += 1;
    }
    assert_eq!((served["a"], served[&mate]), (10, 5));
    bench.step();
    bench.check();
}

/// The policy, the slots and the hands change under a backlog: nothing is lost, and all are where they
/// belong.
#[test]
fn the_policy_changes_live() {
    let mut bench = bench(16, 3);
    for place in 0..50 {
        flood(&mut bench, &format!("t{place}"), 4);
    }
    for (slots, hand, policy) in [(16, 3, 0), (4, 2, 1), (4_096, 16, 1), (2, 1, 1), (16, 3, 0)] {
        bench.request(InputOp::Configure, &shuffle_set(slots, hand, policy));
        for _ in 0..40 {
            serve(&mut bench);
        }
        bench.step();
        bench.check();
    }
    bench.now_us += 60 * bench::SECOND_US;
    for _ in 0..20 {
        bench.now_us += bench::SECOND_US;
        bench.step();
    }
    bench.check();
    bench.credit(1, 1, 10);
    assert!(bench.step().is_empty(), "all 200 are out");
}
