//! The counters with triggers and caps, over crashes; and what they make of damage.

use crate::input::{self, entry};
use crate::shared::random;
use crate::shared_usage::{desk, wire};
use desk::{Desk, PLATFORM, SECOND_US, START_US, answer, chunks, options};
use fairlead_core::client_frame::decode_use;
use fairlead_core::exchange::{InputOp, write_input};
use fairlead_core::msgpack::{
    Reader, write_array_len, write_bin, write_bool, write_nil, write_str, write_uint,
};
use fairlead_core::record::{JournalWriter, Sums};
use fairlead_core::usage::Usage;
use fairlead_core::usage::reserve::slots;
use random::Random;
use wire::{Ask, DAY_MS, Event};

const NOW_MS: u64 = START_US / 1000;
const TODAY: u32 = (NOW_MS / DAY_MS) as u32;

struct Trigger<'a> {
    account: &'a str,
    category: &'a str,
    tag: &'a str,
    value: u64,
    recurring: u64,
    sub_accounts: bool,
}

fn trigger(sid: [u8; 16], of: &Trigger<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 17);
    write_bin(&mut out, &sid);
    write_str(&mut out, of.account);
    write_str(&mut out, of.category);
    write_str(&mut out, of.tag);
    write_uint(&mut out, 1);
    write_uint(&mut out, of.value);
    write_bool(&mut out, false);
    write_array_len(&mut out, 0);
    write_nil(&mut out);
    write_uint(&mut out, of.recurring);
    write_nil(&mut out);
    write_nil(&mut out);
    write_uint(&mut out, 1);
    write_array_len(&mut out, 0);
    write_nil(&mut out);
    write_nil(&mut out);
    write_bool(&mut out, of.sub_accounts);
    out
}

/// Firings so far, once each: sequence, current value, period, told again.
fn fired(desk: &mut Desk) -> Vec<(u64, String, String, bool)> {
    let told = std::mem::take(&mut desk.fired);
    let line = |(again, bytes): &(bool, Vec<u8>)| {
        let sequence = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let mut reader = Reader::new(&bytes[8..]);
        assert_eq!(reader.array_len(), Ok(15));
        for _ in 0..8 {
            reader.skip().unwrap();
        }
        let mut text = || String::from_utf8(reader.str().unwrap().to_vec()).unwrap();
        (sequence, text(), text(), *again)
    };
    told.iter().map(line).collect()
}

#[test]
fn a_trigger_fires_once_and_is_told_until_it_was_taken() {
    let mut desk = Desk::new(&[]);
    desk.count(&[Event::of("acme", "calls", 60)]);
    desk.now_us += 6 * SECOND_US;
    desk.settle();
    let of = Trigger {
        account: "acme",
        category: "calls",
        tag: "",
        value: 100,
        recurring: 4,
        sub_accounts: false,
    };
    let made = desk.asked(InputOp::TriggerPut, &trigger([1; 16], &of));
    assert_eq!(made["currentValue"], "60", "{made}");
    desk.count(&[Event::of("acme", "calls", 39)]);
    assert_eq!(fired(&mut desk), []);
    desk.count(&[Event::of("acme", "calls", 1)]);
    let first = (1, "100".to_owned(), "alltime".to_owned(), false);
    assert_eq!(fired(&mut desk), std::slice::from_ref(&first));
    // The journal of the firing is lost, and so is the event: neither was told.
    desk.flush_some(1);
    desk.crash();
    desk.settle();
    assert_eq!(fired(&mut desk), []);
    desk.count(&[Event::of("acme", "calls", 1)]);
    assert_eq!(fired(&mut desk), std::slice::from_ref(&first));
    desk.flush_all();
    desk.crash();
    desk.settle();
    let again = (1, "100".to_owned(), "alltime".to_owned(), true);
    assert_eq!(fired(&mut desk), [again]);
    desk.count(&[Event::of("acme", "calls", 50)]);
    assert_eq!(fired(&mut desk), []);
    let told = 1_u64.to_le_bytes();
    desk.step(&[entry(InputOp::FiringTold, 0, &told)]);
    desk.flush_all();
    desk.crash();
    desk.settle();
    assert_eq!(fired(&mut desk), []);
    let stats = desk.asked(InputOp::UsageStats, b"");
    assert_eq!(
        (&stats["triggers"], &stats["firingsUntold"]),
        (&1.into(), &0.into())
    );
}

#[test]
fn a_trigger_of_a_family_sees_sub_accounts_and_late_events() {
    let mut desk = Desk::new(&[wire::parent("child", Some("acme"))]);
    desk.count(&[
        Event::of("child", "calls", 5).tagged("t"),
        Event::of("child", "calls", 7)
            .at(NOW_MS - DAY_MS)
            .tagged("t"),
    ]);
    let of = Trigger {
        account: "acme",
        category: "calls",
        tag: "t",
        value: 10,
        recurring: 1,
        sub_accounts: true,
    };
    desk.asked(InputOp::TriggerPut, &trigger([1; 16], &of));
    desk.count(&[Event::of("acme", "calls", 5).tagged("t")]);
    desk.count(&[Event::of("acme", "calls", 3)
        .at(NOW_MS - DAY_MS)
        .tagged("t")]);
    desk.settle();
    let periods: Vec<_> = fired(&mut desk)
        .into_iter()
        .map(|(_, value, period, _)| (value, period))
        .collect();
    let of_day = |value: &str, period: &str| (value.to_owned(), period.to_owned());
    assert_eq!(
        periods,
        [of_day("10", "2026-09-21"), of_day("10", "2026-09-20")]
    );
}

fn cap(name: &str, category: &str, by: u64, period: u64, slot: u64) -> Vec<u8> {
    input::cap((name, category), by, period, Some(1000), slot as u32)
}

#[test]
fn a_cap_of_the_total_price_sees_what_shards_do_not_reserve() {
    const SLOT: u32 = 64_990;
    let mut desk = Desk::new(&[
        wire::price("calls", 0, &[(0, 11)]),
        cap("acme/spend", "totalprice", 2, 2, SLOT.into()),
    ]);
    desk.count(&[Event::of("acme", "calls", 1), Event::of("beta", "calls", 1)]);
    let message = Sums {
        count: 1,
        usage: 1,
        price: 1_000,
    };
    let told = [("acme", "messages", "", TODAY, message)];
    desk.tell(1, &wire::deltas(1, &told));
    assert_eq!(slots().read(SLOT, NOW_MS), Some((11, Some(1000))));
    desk.flush_all();
    slots().clear(SLOT);
    desk.crash();
    desk.settle();
    assert_eq!(slots().read(SLOT, NOW_MS), Some((1_011, Some(1000))));
    slots().clear(SLOT);
}

#[test]
fn the_base_of_a_cap_is_the_total_before_the_start() {
    const SLOT: u64 = 65_000;
    let reserved = || slots().read(SLOT as u32, NOW_MS).expect("it is set").0;
    let sums = |usage| Sums {
        count: 1,
        usage,
        price: 0,
    };
    let told = |sequence, usage, again| {
        let mut bytes = wire::deltas(sequence, &[("acme", "messages", "", TODAY, sums(usage))]);
        bytes[0] = u8::from(again);
        bytes
    };
    let mut desk = Desk::new(&[cap("acme/day", "messages", 1, 1, SLOT)]);
    desk.settle();
    assert_eq!(reserved(), 0);
    desk.tell(1, &told(1, 30, false));
    desk.tell(1, &told(2, 12, false));
    assert_eq!(reserved(), 0, "what shards take is not counted here");
    desk.flush_all();
    for after in [false, true] {
        slots().clear(SLOT as u32);
        desk.crash();
        // A shard adds what waits. It tells again what was not taken: of that, the second list was
        // folded before the start.
        slots().add(SLOT as u32, NOW_MS, 7);
        if after {
            desk.settle();
        }
        desk.tell(1, &told(2, 12, true));
        desk.tell(1, &told(3, 5, true));
        // What waited is billed, and so is what it took meanwhile.
        desk.tell(1, &told(4, 7, false));
        desk.settle();
        assert_eq!(
            reserved(),
            30 + 12 + 5 + 7,
            "told again after the base: {after}"
        );
    }
    // Made live: answered when the base is set. Told in the same step: anew, and again.
    let made = cap("acme/all", "messages", 1, 4, SLOT + 1);
    let (anew, again) = (told(5, 3, false), told(6, 2, true));
    let said = desk.step(&[
        entry(InputOp::Configure, 77, &made),
        entry(InputOp::UsageDeltas, 1, &anew),
        entry(InputOp::UsageDeltas, 1, &again),
    ]);
    assert_eq!(said, [(2, 77, br#"{"ok":true}"#.to_vec())]);
    let of_all = || slots().read(SLOT as u32 + 1, NOW_MS);
    assert_eq!(of_all(), Some((54 + 2, Some(1000))));
    // Another value alone keeps what is reserved.
    let mut lower = made.clone();
    let value_at = lower.len() - 6;
    lower[value_at..value_at + 3].copy_from_slice(&[0xcd, 0, 200]);
    desk.asked(InputOp::Configure, &lower);
    assert_eq!(of_all(), Some((54 + 2, Some(200))));
    let mut gone = vec![0x93, 15];
    write_str(&mut gone, "acme/all");
    write_nil(&mut gone);
    desk.asked(InputOp::Configure, &gone);
    assert_eq!(of_all(), None);
}

/// A store with records of every kind.
fn stored() -> Desk {
    let mut desk = Desk::new(&[]);
    desk.count(&[
        Event::of("acme", "calls", 60).tagged("t").keyed("k"),
        Event::of("beta", "calls", 1),
    ]);
    desk.tell(
        1,
        &wire::deltas(4, &[("acme", "messages", "", TODAY, Sums::default())]),
    );
    desk.now_us += 6 * SECOND_US;
    desk.settle();
    let of = Trigger {
        account: "acme",
        category: "calls",
        tag: "",
        value: 61,
        recurring: 4,
        sub_accounts: false,
    };
    desk.asked(InputOp::TriggerPut, &trigger([1; 16], &of));
    desk.count(&[Event::of("acme", "calls", 60).keyed("k2")]);
    assert_eq!(desk.fired.len(), 1);
    for first in 0x0b..=0x11 {
        let has = desk.disk.committed.keys().any(|key| key[0] == first);
        assert!(has, "a record of {first:02x}");
    }
    desk
}

/// Recovers from the store and reads all records.
fn read_all(desk: &Desk) -> Result<(), String> {
    let mut usage = Usage::new(options(desk.now_us));
    let text = |fatal: fairlead_core::usage::Fatal| fatal.to_string();
    for chunk in chunks(&desk.disk.committed, 1000) {
        usage.recover(desk.now_us, &chunk).map_err(text)?;
    }
    usage.recover_finish(desk.now_us).map_err(text)?;
    for (exchange, period) in [(1, 1), (2, 4)] {
        let ask = Ask {
            tag: Some(""),
            period,
            ..Ask::default()
        };
        let bytes = wire::records(&ask, "");
        let mut input = write_input(exchange, &[entry(InputOp::UsageRecords, 9, &bytes)]);
        for _ in 0..40 {
            usage.step(desk.now_us, u64::MAX, &input).map_err(text)?;
            let given = answer(&desk.disk.committed, usage.wants());
            usage.give(&given).map_err(text)?;
            input = write_input(exchange, &[]);
        }
    }
    Ok(())
}

#[test]
fn a_damaged_record_is_refused() {
    let mut desk = stored();
    read_all(&desk).expect("sound");
    let sound = desk.disk.committed.clone();
    for (key, value) in &sound {
        for at in 0..value.len() {
            let mut damaged = value.to_vec();
            damaged[at] ^= 0x11;
            desk.disk.committed.insert(key.clone(), damaged.into());
            let error = read_all(&desk).expect_err("damaged");
            assert!(error.contains("damaged"), "{error}");
        }
        for length in 0..value.len() {
            desk.disk
                .committed
                .insert(key.clone(), value[..length].into());
            let error = read_all(&desk).expect_err("cut off");
            assert!(error.contains("damaged"), "{error}");
        }
        desk.disk.committed.insert(key.clone(), value.clone());
    }
    for key in [&b"\x0b\x09"[..], b"\x0cacme", b"\x0e\0", b"\x12"] {
        desk.disk.committed.insert(key.to_vec(), [0; 9][..].into());
        let error = read_all(&desk).expect_err("a key that is none");
        assert!(error.contains("damaged"), "{error}");
        desk.disk.committed.remove(key);
    }
}

/// Random content under a checksum that fits: refused or read, never a panic.
#[test]
fn content_of_any_bytes_does_not_panic() {
    let mut random = Random(5);
    let mut desk = stored();
    let sound = desk.disk.committed.clone();
    let (mut read, mut refused) = (0, 0);
    for round in 0..6_000 {
        let (key, value) = sound.iter().nth(random.below(sound.len())).unwrap();
        let mut content = value.to_vec();
        for _ in 0..random.range(1, 4) {
            let at = 8 + random.below(content.len() - 8);
            content[at] = random.next() as u8;
        }
        if round % 3 == 0 {
            content.truncate(8 + random.below(content.len() - 8));
        }
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&content[..4]), &content[8..]);
        content[4..8].copy_from_slice(&checksum.to_le_bytes());
        desk.disk.committed.insert(key.clone(), content.into());
        match read_all(&desk) {
            Ok(()) => read += 1,
            Err(_) => refused += 1,
        }
        desk.disk.committed.insert(key.clone(), value.clone());
    }
    assert!(
        read > 100 && refused > 100,
        "{read} read, {refused} refused"
    );
}

#[test]
fn frames_of_any_bytes_are_answered() {
    let mut random = Random(11);
    let mut desk = Desk::new(&[]);
    let events = [
        Event::of("acme", "calls", -60).tagged("t").keyed("k"),
        Event::of("beta", "calls", 1 << 40).at(NOW_MS),
    ];
    let sound = wire::use_frame(5, &events);
    let mut items = Vec::new();
    let (mut good, mut bad) = (0, 0);
    for round in 0..60_000 {
        let mut frame = sound.clone();
        if round % 2 == 0 {
            frame = (0..random.below(60)).map(|_| random.next() as u8).collect();
            if round % 4 == 0 {
                frame.splice(..0, [0x93, 20, 5, 0x91, 0x97]);
            }
        } else {
            for _ in 0..random.range(1, 3) {
                let at = random.below(frame.len());
                frame[at] = random.next() as u8;
            }
        }
        match decode_use(&frame, &mut items) {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
        if round % 50 < 2 {
            desk.step(&[entry(InputOp::Frame, PLATFORM, &frame)]);
        }
    }
    assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
}

#[test]
fn what_is_given_has_to_fit() {
    let mut desk = stored();
    let bytes = wire::records(
        &Ask {
            account: Some("acme"),
            period: 1,
            ..Ask::default()
        },
        "",
    );
    let input = write_input(1000, &[entry(InputOp::UsageRecords, 9, &bytes)]);
    desk.usage.step(desk.now_us, u64::MAX, &input).unwrap();
    let mut nothing = JournalWriter::new();
    nothing.put(b"\x0b\x01", b"");
    let error = desk.usage.give(nothing.bytes()).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    let mut other = stored();
    other.usage.step(other.now_us, u64::MAX, &input).unwrap();
    let error = other.usage.give(&[]).unwrap_err().to_string();
    assert!(error.contains("given"), "{error}");
    let mut third = stored();
    let error = third.usage.give(&[]).unwrap_err().to_string();
    assert!(error.contains("without a step"), "{error}");
}
