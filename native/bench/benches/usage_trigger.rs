//! Cost of an add to a counter by how many triggers watch it, when none fires.

use criterion::{Criterion, criterion_group, criterion_main};
use fairlead_core::msgpack::{
    write_array_len, write_bin, write_bool, write_nil, write_str, write_uint, write_uint_or_nil,
};
use fairlead_core::record::{JournalWriter, Sums};
use fairlead_core::usage::calendar::day_of_ms;
use fairlead_core::usage::trigger::Triggers;
use std::hint::black_box;

const NOW_MS: u64 = 1_795_000_020_000;
const VALUE: u64 = 1 << 40;
const DELTA: Sums = Sums {
    count: 1,
    usage: 60,
    price: 5_000_000,
};

/// Daily on the count of `calls` of `acme`, or a rate of it.
fn put(number: usize, window_ms: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 17);
    write_bin(&mut out, &(number as u128).to_be_bytes());
    for name in ["acme", "calls", ""] {
        write_str(&mut out, name);
    }
    write_uint(&mut out, 0);
    write_uint(&mut out, VALUE + number as u64);
    write_bool(&mut out, false);
    write_array_len(&mut out, 0);
    write_nil(&mut out);
    write_uint(&mut out, 1);
    write_uint_or_nil(&mut out, window_ms);
    write_nil(&mut out);
    write_uint(&mut out, 1);
    write_array_len(&mut out, 0);
    write_nil(&mut out);
    write_nil(&mut out);
    write_bool(&mut out, false);
    out
}

fn triggers(count: usize, window_ms: Option<u64>) -> Triggers {
    let mut triggers = Triggers::new(b"0123456789abcdef");
    triggers.recover_finish(NOW_MS);
    for number in 0..count {
        let bytes = put(number, window_ms);
        triggers.put(NOW_MS, 1, &bytes).expect("a sound request");
    }
    while let Some(load) = triggers.next_load() {
        triggers.loaded(load.watch, load.days, &Sums::default(), &[]);
    }
    end_step(&mut triggers, 0);
    triggers.replies(|_, json| assert!(json.starts_with(b"{\"sid")));
    triggers
}

/// Says how many fired.
fn end_step(triggers: &mut Triggers, later_ms: u64) -> usize {
    triggers.finish_step(NOW_MS + later_ms);
    let mut fired = 0;
    triggers.write(&mut JournalWriter::new(), |_, _, _| fired += 1);
    fired
}

fn add(triggers: &mut Triggers, day: u32) {
    let watch = triggers.watch(black_box(b"acme"), black_box(b"calls"), b"", false);
    if let Some(watch) = watch {
        triggers.counted(watch, day, black_box(&DELTA), 1);
    }
}

fn adds(criterion: &mut Criterion) {
    let day = day_of_ms(NOW_MS);
    for count in [0, 1, 100] {
        let mut triggers = triggers(count, None);
        // The first event ends that they are quiet; nothing is judged after it.
        add(&mut triggers, day);
        assert_eq!(end_step(&mut triggers, 0), 0);
        criterion.bench_function(&format!("usage add/{count} triggers"), |bench| {
            bench.iter(|| add(&mut triggers, day));
        });
        assert_eq!(end_step(&mut triggers, 0), 0);
    }
    let mut alone = triggers(100, None);
    let watch = alone
        .watch(b"acme", b"calls", b"", false)
        .expect("it is watched");
    criterion.bench_function("usage add/100 triggers, watch known", |bench| {
        bench.iter(|| alone.counted(watch, day, black_box(&DELTA), 1));
    });
    for count in [1, 100] {
        let mut rates = triggers(count, Some(300_000));
        let mut later_ms = 0;
        criterion.bench_function(&format!("usage add and step/{count} rates"), |bench| {
            bench.iter(|| {
                later_ms += 1;
                add(&mut rates, day);
                end_step(&mut rates, later_ms)
            });
        });
    }
    fires(criterion, day);
}

/// Adds to a counter all of whose triggers have fired.
fn fires(criterion: &mut Criterion, day: u32) {
    let mut all = triggers(100, None);
    let watch = all
        .watch(b"acme", b"calls", b"", false)
        .expect("it is watched");
    let reached = Sums {
        count: 2 << 40,
        ..Sums::default()
    };
    all.counted(watch, day, &reached, 1);
    assert_eq!(end_step(&mut all, 0), 100);
    (1..=100).for_each(|sequence| all.firing_told(sequence));
    criterion.bench_function("usage add and step/100 done triggers", |bench| {
        bench.iter(|| {
            all.counted(watch, day, black_box(&DELTA), 1);
            end_step(&mut all, 0)
        });
    });
}

criterion_group!(benches, adds);
criterion_main!(benches);
