//! The calendar of usage, prices, and what is reserved of hard caps.

use fairlead_core::msgpack::{write_array_len, write_uint};
use fairlead_core::usage::calendar::{
    DAY_MS, Period, PeriodKind, civil_of_day, day_of_civil, day_of_ms, day_text, is_leap,
};
use fairlead_core::usage::price::{PriceBy, PriceList, PriceStep, nano_text};
use fairlead_core::usage::reserve::{Slots, Taken, slots};

const KINDS: [PeriodKind; 4] = [
    PeriodKind::Day,
    PeriodKind::Month,
    PeriodKind::Year,
    PeriodKind::AllTime,
];

#[test]
fn days_count_as_a_calendar_on_the_wall_does() {
    let (mut year, mut month, mut of_month) = (1970, 1, 1);
    for day in 0..300_000 {
        assert_eq!(civil_of_day(day), (year, month, of_month));
        assert_eq!(day_of_civil(year, month, of_month), day);
        let length = match month {
            2 => 28 + u32::from(is_leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        of_month += 1;
        if of_month > length {
            (month, of_month) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
    let leap: Vec<u32> = [1900, 1999, 2000, 2024, 2026, 2100]
        .into_iter()
        .filter(|year| is_leap(*year))
        .collect();
    assert_eq!(leap, [2000, 2024]);
}

#[test]
fn a_period_has_its_days_and_no_others() {
    for kind in KINDS {
        for day in (0..60_000).step_by(13).chain([u32::MAX - 1, u32::MAX]) {
            let period = Period::of_day(kind, day);
            assert!(
                (period.first_day()..=period.last_day()).contains(&day),
                "{period:?} {day}"
            );
        }
        for day in [0, 58, 59, 364, 20_000, 20_513, 20_514] {
            let period = Period::of_day(kind, day);
            assert_eq!(Period::of_day(kind, period.first_day()), period);
            assert_eq!(Period::of_day(kind, period.last_day()), period);
            if kind != PeriodKind::AllTime {
                assert_ne!(Period::of_day(kind, period.last_day() + 1), period);
                assert_eq!(Period::of_ms(kind, period.end_ms() - 1), period);
                assert_ne!(Period::of_ms(kind, period.end_ms()), period);
            }
        }
    }
    assert_eq!(Period::of_day(PeriodKind::AllTime, 7).end_ms(), u64::MAX);
}

#[test]
fn periods_say_their_names() {
    let day = day_of_civil(2028, 2, 29);
    let names = KINDS.map(|kind| Period::of_day(kind, day).to_string());
    assert_eq!(names, ["2028-02-29", "2028-02", "2028", "alltime"]);
    assert_eq!(day_of_ms(1_790_000_000_000), day_of_civil(2026, 9, 21));
    assert_eq!(day_text(0), "1970-01-01");
    for day in (0..80_000).step_by(7) {
        let (year, month, of_month) = civil_of_day(day);
        assert_eq!(day_text(day), format!("{year}-{month:02}-{of_month:02}"));
    }
}

#[test]
fn a_price_holds_from_its_time_on() {
    let step = |from_ms, nano| PriceStep { from_ms, nano };
    let list = PriceList::new(PriceBy::Count, vec![step(1000, 5), step(2000, -7)]).unwrap();
    let at: Vec<i64> = [0, 999, 1000, 1999, 2000, u64::MAX]
        .into_iter()
        .map(|at_ms| list.nano_at(at_ms))
        .collect();
    assert_eq!(at, [0, 0, 5, 5, -7, -7]);
    assert_eq!(list.amount(1500, 3, 1000), 15);
    let by_usage = PriceList::new(PriceBy::Usage, vec![step(0, i64::MAX)]).unwrap();
    assert_eq!(by_usage.amount(5, 3, -1000), i128::from(i64::MAX) * -1000);
    assert_eq!(by_usage.amount(5, 3, i128::MAX), i128::MAX, "saturates");
    let empty = PriceList::new(PriceBy::Usage, Vec::new()).unwrap();
    assert_eq!(empty.amount(5, 1, 1), 0);
    assert!(PriceList::new(PriceBy::Count, vec![step(5, 1), step(5, 2)]).is_none());
    assert!(PriceList::new(PriceBy::Count, (0..1001).map(|at| step(at, 1)).collect()).is_none());
}

#[test]
fn a_price_list_is_read_from_its_configuration() {
    let mut bytes = Vec::new();
    write_array_len(&mut bytes, 2);
    write_uint(&mut bytes, 1);
    write_array_len(&mut bytes, 2);
    for (from_ms, nano) in [(0, 7_500_000_u64), (1_790_000_000_000, 8)] {
        write_array_len(&mut bytes, 2);
        write_uint(&mut bytes, from_ms);
        write_uint(&mut bytes, nano);
    }
    let list = PriceList::decode(&bytes).unwrap();
    assert_eq!((list.by(), list.steps().len()), (PriceBy::Usage, 2));
    assert_eq!(list.nano_at(1), 7_500_000);
    for length in 0..bytes.len() {
        assert_eq!(PriceList::decode(&bytes[..length]), None);
    }
    bytes[1] = 2;
    assert_eq!(PriceList::decode(&bytes), None, "by what?");
}

#[test]
fn nano_units_are_exact_as_text() {
    for (nano, text) in [
        (0, "0.000000000"),
        (1, "0.000000001"),
        (-1, "-0.000000001"),
        (1_234_500_000, "1.234500000"),
        (-12_000_000_000, "-12.000000000"),
        (i128::MAX, "170141183460469231731687303715.884105727"),
        (i128::MIN, "-170141183460469231731687303715.884105728"),
    ] {
        assert_eq!(nano_text(nano), text);
    }
}

const NOON_MS: u64 = 20_000 * DAY_MS + DAY_MS / 2;

fn ones(count: usize) -> impl Iterator<Item = i128> {
    std::iter::repeat_n(1, count)
}

#[test]
fn a_cap_cuts_at_the_first_that_does_not_fit() {
    let slots = Slots::new();
    slots.set(3, PeriodKind::Day, 10);
    let end_ms = 20_001 * DAY_MS;
    let fit = |fit| Taken {
        fit,
        until_ms: end_ms,
    };
    assert_eq!(slots.take(3, NOON_MS, ones(7)), fit(7));
    assert_eq!(
        slots.take(3, NOON_MS, [2, 2, 1].into_iter()),
        fit(1),
        "in order"
    );
    assert_eq!(slots.take(3, NOON_MS, ones(5)), fit(1));
    assert_eq!(slots.read(3, NOON_MS), Some((10, Some(10))));
    slots.give_back(3, NOON_MS, 4);
    assert_eq!(slots.take(3, NOON_MS, ones(5)), fit(4));
    slots.set(3, PeriodKind::Day, 12);
    assert_eq!(slots.take(3, NOON_MS, ones(5)), fit(2), "a raised cap");
    slots.set(3, PeriodKind::Day, 5);
    assert_eq!(slots.take(3, NOON_MS, ones(5)), fit(0), "a lowered cap");
    assert_eq!(slots.take(4, NOON_MS, ones(5)).fit, 5, "no cap");
    slots.clear(3);
    assert_eq!(slots.read(3, NOON_MS), None);
}

#[test]
fn a_cap_begins_anew_with_its_period() {
    let slots = Slots::new();
    slots.set(0, PeriodKind::Day, 3);
    let (today, tomorrow) = (NOON_MS, NOON_MS + DAY_MS);
    assert_eq!(slots.take(0, today, ones(9)).fit, 3);
    assert_eq!(slots.take(0, tomorrow, ones(2)).fit, 2);
    assert_eq!(
        slots.take(0, today, ones(9)).fit,
        0,
        "a clock that is a little behind"
    );
    slots.give_back(0, today, 1);
    assert_eq!(slots.read(0, today), Some((2, Some(3))));
    assert_eq!(
        slots.read(0, tomorrow),
        Some((2, Some(3))),
        "given back to its own day"
    );
    slots.take(0, tomorrow + DAY_MS, ones(1));
    slots.give_back(0, today, 1);
    assert_eq!(slots.read(0, today), None, "over");
    assert_eq!(slots.read(0, tomorrow + DAY_MS), Some((1, Some(3))));
    let kinds = [
        (PeriodKind::Month, 30),
        (PeriodKind::Year, 365),
        (PeriodKind::AllTime, 9999),
    ];
    for (slot, (kind, days)) in (1..).zip(kinds) {
        slots.set(slot, kind, 1);
        assert_eq!(slots.take(slot, NOON_MS, ones(2)).fit, 1);
        let fit = slots.take(slot, NOON_MS + days * DAY_MS, ones(2)).fit;
        assert_eq!(fit, usize::from(kind != PeriodKind::AllTime), "{kind:?}");
    }
}

#[test]
fn after_a_start_it_is_total_and_what_waits() {
    let slots = Slots::new();
    slots.set(9, PeriodKind::Month, 100);
    slots.add(9, NOON_MS, 30);
    slots.set_base(9, NOON_MS, 60);
    slots.add(9, NOON_MS, 5);
    assert_eq!(slots.read(9, NOON_MS), Some((95, Some(100))));
    assert_eq!(slots.take(9, NOON_MS, ones(9)).fit, 5);
    slots.add(9, NOON_MS, 50);
    assert_eq!(
        slots.read(9, NOON_MS),
        Some((150, Some(100))),
        "what waits is not refused"
    );
}

#[test]
fn a_cap_holds_exactly_on_any_number_of_threads() {
    const THREADS: usize = 4;
    let slot = 65_535;
    slots().set(slot, PeriodKind::AllTime, 50_000);
    let taken: usize = std::thread::scope(|scope| {
        let take = |thread: usize| {
            let mut taken = 0;
            for round in 0..4000 {
                let fit = slots()
                    .take(slot, NOON_MS, ones(1 + (round + thread) % 7))
                    .fit;
                taken += fit;
                if round % 3 == 0 && fit > 0 {
                    slots().give_back(slot, NOON_MS, 1);
                    taken -= 1;
                }
            }
            taken
        };
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || take(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let (reserved, _) = slots().read(slot, NOON_MS).unwrap();
    assert_eq!(reserved, taken as i128);
    assert!(
        (49_990..=50_000).contains(&reserved),
        "{reserved}: it came to the cap"
    );
}
