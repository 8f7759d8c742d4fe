//! Random triggers, events, corrections, operators and ends of the process, beside the model.

use super::desk::{Desk, Event, Fired, noon_ms, spec};
use super::model::{Model, Token, value_at};
use super::random::Random;
use fairlead_core::record::Sums;
use fairlead_core::usage::calendar::{DAY_MS, day_of_ms};
use fairlead_core::usage::trigger::{By, Recurring, Spec};
use std::collections::BTreeSet;

const ACCOUNTS: [&str; 4] = ["acme", "east", "west", "solo"];
const CATEGORIES: [&str; 2] = ["calls", "messages"];
const TAGS: [&str; 2] = ["", "red"];

struct Run {
    random: Random,
    desk: Desk,
    model: Model,
    /// Also what makes the time of a firing matter: corrections, hysteresis, every nth, operators.
    exact: bool,
    puts: u64,
    expected: BTreeSet<Token>,
    fired: BTreeSet<Token>,
    kept: Option<Kept>,
}

/// All that is on disk at the end of a step.
struct Kept {
    cells: super::desk::Cells,
    disk: super::desk::Pages,
    model: Model,
    expected: BTreeSet<Token>,
    fired: BTreeSet<Token>,
}

impl Run {
    fn new(seed: u64, exact: bool) -> Self {
        let start_ms = noon_ms(2027, 12, 20);
        let (mut desk, mut model) = (Desk::new(start_ms), Model::default());
        desk.set_parent("east", "acme");
        model.parents.insert("east", "acme");
        desk.reads_at_once = exact;
        Self {
            random: Random(seed),
            desk,
            model,
            exact,
            puts: 0,
            expected: BTreeSet::new(),
            fired: BTreeSet::new(),
            kept: None,
        }
    }

    fn some_spec(&mut self) -> Spec {
        let random = &mut self.random;
        let recurring = *random.choose(&Recurring::ALL);
        let value = i128::from(random.range(1, 60));
        let thresholds = (1..=random.below(3) as i128)
            .map(|at| value + at * 17)
            .collect();
        let mut made = Spec {
            account: (*random.choose(&ACCOUNTS)).into(),
            category: (*random.choose(&CATEGORIES)).into(),
            tag: (*random.choose(&TAGS)).into(),
            by: *random.choose(&By::ALL),
            relative: recurring == Recurring::None && random.permille(400),
            thresholds,
            step: random
                .permille(400)
                .then(|| i128::from(random.range(5, 50))),
            recurring,
            sub_accounts: random.permille(300),
            ..spec(value)
        };
        if self.exact {
            made.rearm_below = random
                .permille(300)
                .then(|| i128::from(random.range(0, 40)).min(value));
            made.every_n = if random.permille(300) {
                random.range(2, 12) as u32
            } else {
                1
            };
        }
        made
    }

    fn operate(&mut self) {
        let now_ms = self.desk.now_ms;
        if self.puts < 25 && self.random.permille(300) {
            self.puts += 1;
            let spec = self.some_spec();
            self.desk.put(self.puts, &spec);
            self.model.put(self.puts, &spec, now_ms);
        }
        let numbers: Vec<u64> = self.model.made.keys().copied().collect();
        if !self.exact || numbers.is_empty() || !self.random.permille(150) {
            return;
        }
        let number = *self.random.choose(&numbers);
        match self.random.weighted(&[4, 2, 2, 1, 1]) {
            0 => {
                self.desk.rearm(number);
                self.model.rearm(number, now_ms);
            }
            1 => {
                let old = self.model.made[&number].spec.clone();
                let spec = Spec {
                    account: old.account,
                    ..self.some_spec()
                };
                self.desk.put(number, &spec);
                self.model.put(number, &spec, now_ms);
            }
            2 => {
                let old = self.model.made[&number].spec.clone();
                let spec = Spec {
                    friendly_name: Some("x".into()),
                    ..old
                };
                self.desk.put(number, &spec);
                self.model.put(number, &spec, now_ms);
            }
            3 => {
                self.desk.delete(number);
                self.model.made.remove(&number);
            }
            _ => {
                let parent = *self.random.choose(&["acme", "east", "solo"]);
                self.desk.set_parent("west", parent);
                self.model.parents.insert("west", parent);
            }
        }
    }

    /// Events of one day, so that it does not matter which of two periods is judged first.
    fn some_events(&mut self) -> Vec<Event> {
        let random = &mut self.random;
        let now_ms = self.desk.now_ms;
        let at_ms = match random.weighted(&[6, 2, 1]) {
            0 => now_ms,
            1 => now_ms - random.range(0, 35) * DAY_MS,
            _ => now_ms + random.range(0, 300_000),
        };
        let count = random.below(5);
        let event = |random: &mut Random| {
            let sign = if self.exact && random.permille(150) {
                -1
            } else {
                1
            };
            let number = random.range(0, 12);
            Event {
                account: random.choose::<&str>(&ACCOUNTS),
                category: random.choose::<&str>(&CATEGORIES),
                tag: random.choose::<&str>(&TAGS),
                day: day_of_ms(at_ms),
                sums: Sums {
                    count: sign * random.range(1, 4).cast_signed(),
                    usage: i128::from(sign) * i128::from(number),
                    price: i128::from(sign) * i128::from(number * 3),
                },
                events: u64::from(sign > 0),
            }
        };
        (0..count).map(|_| event(random)).collect()
    }

    fn keep(&mut self) {
        self.kept = Some(Kept {
            cells: self.desk.cells.clone(),
            disk: self.desk.disk.clone(),
            model: self.model.clone(),
            expected: self.expected.clone(),
            fired: self.fired.clone(),
        });
    }

    fn step(&mut self) {
        self.desk.now_ms += match self.random.weighted(&[6, 3, 1]) {
            0 => self.random.range(0, 3_600_000),
            1 => self.random.range(0, DAY_MS),
            _ => self.random.range(0, 20 * DAY_MS),
        };
        if self.random.permille(60) {
            // The last step may not have come to the disk.
            if self.random.permille(500)
                && let Some(kept) = self.kept.take()
            {
                (self.desk.cells, self.desk.disk) = (kept.cells, kept.disk);
                (self.model, self.expected) = (kept.model, kept.expected);
                self.fired = kept.fired;
            }
            self.desk.parents = self.model.parents.clone();
            let expected = self.model.restart(self.desk.now_ms);
            let fired = self.desk.restart();
            return self.compare(expected, fired);
        }
        self.keep();
        self.operate();
        let events = self.some_events();
        if !self.exact && self.random.permille(300) {
            self.desk.read();
            let fired = self.desk.step(&[]);
            self.compare(Vec::new(), fired);
        }
        let expected = self.model.step(&events);
        let fired = self.desk.step(&events);
        for one in fired.iter().filter(|_| self.random.permille(500)) {
            self.desk.triggers.firing_told(one.sequence);
        }
        self.compare(expected, fired);
    }

    fn compare(&mut self, expected: Vec<Token>, fired: Vec<Fired>) {
        let mut now = BTreeSet::new();
        for one in fired {
            let number = (u128::from_be_bytes(one.sid) >> 64) as u64;
            let token: Token = (number, one.index, one.period.clone(), one.arming);
            if one.told_again {
                assert!(
                    self.fired.contains(&token) || !self.exact,
                    "{token:?} was not on disk"
                );
                continue;
            }
            assert!(self.fired.insert(token.clone()), "{token:?} fired twice");
            let spec = &self.model.made[&number].spec;
            let total = self.model.total(number, &one.period);
            let value = value_at(spec, one.index).unwrap();
            assert_eq!(
                (&one.current, &one.value),
                (&spec.by.text(total), &spec.by.text(value))
            );
            assert!(total >= value, "{token:?} below its value");
            now.insert(token);
        }
        if self.exact {
            assert_eq!(now, expected.iter().cloned().collect());
        }
        self.expected.extend(expected);
    }
}

#[test]
fn fires_what_the_model_fires_in_the_same_step() {
    let mut firings = 0;
    for seed in 0..150 {
        println!("seed {seed}");
        let mut run = Run::new(seed, true);
        for _ in 0..250 {
            run.step();
        }
        firings += run.fired.len();
    }
    assert!(firings > 10_000, "only {firings} firings");
}

#[test]
fn fires_the_same_in_the_end_when_sums_are_read_late() {
    let mut firings = 0;
    for seed in 1000..1150 {
        println!("seed {seed}");
        let mut run = Run::new(seed, false);
        for _ in 0..250 {
            run.step();
        }
        for _ in 0..100 {
            run.desk.read();
            let fired = run.desk.step(&[]);
            run.compare(Vec::new(), fired);
        }
        assert_eq!(run.desk.loads, []);
        assert_eq!(run.fired, run.expected);
        firings += run.fired.len();
    }
    assert!(firings > 10_000, "only {firings} firings");
}
