//! What triggers cost in memory, at the most there can be.

use fairlead_core::msgpack::{
    write_array_len, write_bin, write_bool, write_nil, write_str, write_uint, write_uint_or_nil,
};
use fairlead_core::record::{JournalWriter, Sums};
use fairlead_core::usage::trigger::Triggers;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

const TRIGGERS: usize = 100_000;
const NOW_MS: u64 = 1_795_000_020_000;

struct Counting;

/// Bytes in use. Relaxed: one thread allocates and reads.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all of it is the system's allocator; the counter does not touch memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's layout goes on as it is.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the memory came from `alloc` above with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Each on a counter of its own, with a callback and a name.
fn put(number: usize, window_ms: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 17);
    write_bin(&mut out, &(number as u128).to_be_bytes());
    write_str(&mut out, &format!("tenant-{}", number / 1000));
    write_str(&mut out, &format!("category-{}", number % 1000));
    write_str(&mut out, "");
    write_uint(&mut out, 0);
    write_uint(&mut out, 1_000_000);
    write_bool(&mut out, false);
    write_array_len(&mut out, 0);
    write_nil(&mut out);
    write_uint(&mut out, 2);
    write_uint_or_nil(&mut out, window_ms);
    write_nil(&mut out);
    write_uint(&mut out, 1);
    write_array_len(&mut out, 1);
    write_array_len(&mut out, 3);
    write_str(&mut out, "https://hooks.example.com/usage/monthly");
    write_uint(&mut out, 0);
    write_uint(&mut out, 0);
    write_nil(&mut out);
    write_str(&mut out, "monthly budget");
    write_bool(&mut out, false);
    out
}

/// Bytes a trigger.
fn bytes_of(window_ms: Option<u64>) -> usize {
    let before = IN_USE.load(Ordering::Relaxed);
    let mut triggers = Triggers::new(b"0123456789abcdef");
    for number in 0..TRIGGERS {
        let bytes = put(number, window_ms);
        triggers.put(NOW_MS, 1, &bytes).unwrap();
        while let Some(load) = triggers.next_load() {
            triggers.loaded(load.watch, load.days, &Sums::default(), &[]);
        }
        triggers.finish_step(NOW_MS);
        triggers.write(&mut JournalWriter::new(), |_, _, _| panic!("nothing fires"));
        triggers.replies(|_, json| assert!(json.starts_with(b"{\"sid")));
    }
    assert_eq!((triggers.len(), triggers.watched()), (TRIGGERS, TRIGGERS));
    (IN_USE.load(Ordering::Relaxed) - before) / TRIGGERS
}

#[test]
fn a_hundred_thousand_fit() {
    let (totals, rates) = (bytes_of(None), bytes_of(Some(300_000)));
    println!("a trigger: {totals} bytes; a rate: {rates} bytes");
    assert!(totals < 1100, "{totals} bytes a trigger: 110 MB at most");
    assert!(rates < 2000, "{rates} bytes a rate: 200 MB at most");
}
