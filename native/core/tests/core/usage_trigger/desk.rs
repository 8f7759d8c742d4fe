//! A small machine around the triggers: cells, accounts and a disk, as the real one has them.

use fairlead_core::msgpack::{
    Reader, write_array_len, write_bin, write_bool, write_nil, write_str, write_uint,
    write_uint_or_nil,
};
use fairlead_core::record::{
    JournalEntry, JournalReader, JournalWriter, Sums, UsageKey, parse_usage_key,
};
use fairlead_core::usage::calendar::{DAY_MS, day_of_civil};
use fairlead_core::usage::trigger::{By, Load, Recurring, Spec, Triggers};
use std::collections::{BTreeMap, HashMap};

pub const HASH_KEY: [u8; 16] = *b"0123456789abcdef";

/// Noon of a date.
pub fn noon_ms(year: u32, month: u32, day: u32) -> u64 {
    u64::from(day_of_civil(year, month, day)) * DAY_MS + DAY_MS / 2
}

pub fn sid(number: u64) -> [u8; 16] {
    (u128::from(number) << 64 | 0x55).to_be_bytes()
}

/// A trigger on the count of `calls` of `acme`, at a value.
pub fn spec(value: i128) -> Spec {
    Spec {
        account: "acme".into(),
        category: "calls".into(),
        tag: "".into(),
        by: By::Count,
        value,
        relative: false,
        thresholds: Box::default(),
        step: None,
        recurring: Recurring::None,
        window_ms: None,
        rearm_below: None,
        every_n: 1,
        callbacks: Box::default(),
        action: None,
        friendly_name: None,
        sub_accounts: false,
    }
}

fn write_wide(out: &mut Vec<u8>, value: i128) {
    match i64::try_from(value) {
        Ok(value) if value >= 0 => write_uint(out, value.cast_unsigned()),
        _ => write_str(out, &value.to_string()),
    }
}

/// As the daemon puts it: `[sid, account, fields…]`.
pub fn put_bytes(sid: [u8; 16], spec: &Spec) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 17);
    write_bin(&mut out, &sid);
    for name in [&spec.account, &spec.category, &spec.tag] {
        write_str(&mut out, name);
    }
    write_uint(&mut out, spec.by as u64);
    write_wide(&mut out, spec.value);
    write_bool(&mut out, spec.relative);
    write_array_len(&mut out, spec.thresholds.len());
    for value in &spec.thresholds {
        write_wide(&mut out, *value);
    }
    let wide_or_nil = |out: &mut Vec<u8>, value: Option<i128>| match value {
        Some(value) => write_wide(out, value),
        None => write_nil(out),
    };
    wide_or_nil(&mut out, spec.step);
    write_uint(&mut out, spec.recurring as u64);
    write_uint_or_nil(&mut out, spec.window_ms);
    wide_or_nil(&mut out, spec.rearm_below);
    write_uint(&mut out, spec.every_n.into());
    write_array_len(&mut out, spec.callbacks.len());
    for callback in &spec.callbacks {
        write_array_len(&mut out, 3);
        write_str(&mut out, &callback.url);
        write_uint(&mut out, callback.method.into());
        write_uint(&mut out, callback.form.into());
    }
    match spec.action {
        Some(action) => {
            write_array_len(&mut out, 3);
            write_uint(&mut out, action.kind.into());
            match action.number {
                Some(number) => {
                    out.push(0xcb);
                    out.extend_from_slice(&number.to_bits().to_be_bytes());
                }
                None => write_nil(&mut out),
            }
            write_uint_or_nil(&mut out, action.code.map(u64::from));
        }
        None => write_nil(&mut out),
    }
    match &spec.friendly_name {
        Some(name) => write_str(&mut out, name),
        None => write_nil(&mut out),
    }
    write_bool(&mut out, spec.sub_accounts);
    out
}

pub fn named(sid: [u8; 16], account: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 2);
    write_bin(&mut out, &sid);
    match account {
        Some(account) => write_str(&mut out, account),
        None => write_nil(&mut out),
    }
    out
}

/// Something counted.
#[derive(Clone, Debug)]
pub struct Event {
    pub account: &'static str,
    pub category: &'static str,
    pub tag: &'static str,
    pub day: u32,
    pub sums: Sums,
    pub events: u64,
}

/// Events of `calls` of `acme`.
pub fn calls(at_ms: u64, count: i64) -> Event {
    Event {
        account: "acme",
        category: "calls",
        tag: "",
        day: (at_ms / DAY_MS) as u32,
        sums: Sums {
            count,
            usage: i128::from(count) * 60,
            price: i128::from(count) * 5_000_000,
        },
        events: count.max(0).cast_unsigned(),
    }
}

/// A firing as its effect says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fired {
    pub sequence: u64,
    pub told_again: bool,
    pub sid: [u8; 16],
    pub index: u64,
    pub value: String,
    pub current: String,
    pub period: String,
    pub arming: u64,
    pub at_ms: u64,
}

pub fn read_fired(sequence: u64, bytes: &[u8], told_again: bool) -> Fired {
    let mut reader = Reader::new(bytes);
    assert_eq!(reader.array_len(), Ok(15));
    let sid = reader.bin().unwrap().try_into().unwrap();
    for _ in 0..3 {
        reader.str().unwrap();
    }
    assert!(reader.uint().unwrap() <= 2);
    assert!(reader.uint().unwrap() <= 4);
    let index = reader.uint().unwrap();
    let mut text = || String::from_utf8(reader.str().unwrap().to_vec()).unwrap();
    let (value, current, period) = (text(), text(), text());
    let (arming, at_ms) = (reader.uint().unwrap(), reader.uint().unwrap());
    for _ in 0..3 {
        reader.skip().unwrap();
    }
    reader.end().unwrap();
    Fired {
        sequence,
        told_again,
        sid,
        index,
        value,
        current,
        period,
        arming,
        at_ms,
    }
}

pub type Pages = BTreeMap<Vec<u8>, Vec<u8>>;
pub type Cells = HashMap<(String, String, String), BTreeMap<u32, Sums>>;

pub struct Desk {
    pub triggers: Triggers,
    pub now_ms: u64,
    pub cells: Cells,
    /// Parent of an account.
    pub parents: HashMap<&'static str, &'static str>,
    pub disk: Pages,
    pub replies: Vec<(u32, String)>,
    /// What was asked to be read and is not answered.
    pub loads: Vec<Load>,
    /// Steps answer what is asked for at once.
    pub reads_at_once: bool,
}

impl Desk {
    pub fn new(now_ms: u64) -> Self {
        let mut triggers = Triggers::new(&HASH_KEY);
        triggers.recover_finish(now_ms);
        Self {
            triggers,
            now_ms,
            cells: Cells::new(),
            parents: HashMap::new(),
            disk: Pages::new(),
            replies: Vec::new(),
            loads: Vec::new(),
            reads_at_once: true,
        }
    }

    /// Puts a trigger; its answer comes with the next step.
    pub fn put(&mut self, number: u64, spec: &Spec) {
        let bytes = put_bytes(sid(number), spec);
        self.triggers.put(self.now_ms, 1, &bytes).unwrap();
    }

    /// With a step, so that its sums are read.
    pub fn put_now(&mut self, number: u64, spec: &Spec) -> String {
        self.put(number, spec);
        assert_eq!(self.step(&[]), []);
        self.replies.pop().expect("an answer").1
    }

    pub fn show(&mut self, number: u64) -> serde_json::Value {
        self.triggers
            .show(self.now_ms, 1, &named(sid(number), None))
            .unwrap();
        self.step(&[]);
        serde_json::from_str(&self.replies.pop().expect("an answer").1).unwrap()
    }

    pub fn rearm(&mut self, number: u64) {
        self.triggers
            .rearm(self.now_ms, 1, &named(sid(number), None))
            .unwrap();
    }

    pub fn delete(&mut self, number: u64) {
        self.triggers
            .delete(self.now_ms, 1, &named(sid(number), None))
            .unwrap();
    }

    pub fn set_parent(&mut self, account: &'static str, parent: &'static str) {
        self.parents.insert(account, parent);
        self.triggers.reload_sub();
    }

    /// One event, as `calls`, in a step of its own.
    pub fn call(&mut self, count: i64) -> Vec<Fired> {
        self.step(&[calls(self.now_ms, count)])
    }

    /// The account itself and all above it.
    pub fn line(&self, account: &'static str) -> Vec<&'static str> {
        let mut line = vec![account];
        while let Some(parent) = self.parents.get(line[line.len() - 1]) {
            line.push(parent);
        }
        line
    }

    pub fn step(&mut self, events: &[Event]) -> Vec<Fired> {
        for event in events {
            self.fold(event);
        }
        self.triggers.finish_step(self.now_ms);
        while let Some(load) = self.triggers.next_load() {
            self.loads.push(load);
            if self.reads_at_once {
                self.read();
            }
        }
        self.write()
    }

    fn fold(&mut self, event: &Event) {
        let key = (
            event.account.into(),
            event.category.into(),
            event.tag.into(),
        );
        let days = self.cells.entry(key).or_default();
        days.entry(event.day).or_default().add(&event.sums);
        let line = self.line(event.account);
        let names = [event.category.as_bytes(), event.tag.as_bytes()];
        let own = self
            .triggers
            .watch(event.account.as_bytes(), names[0], names[1], false);
        let subs = line.iter().map(|account| {
            self.triggers
                .watch(account.as_bytes(), names[0], names[1], true)
        });
        let watches: Vec<_> = subs.chain([own]).flatten().collect();
        for watch in watches {
            self.triggers
                .counted(watch, event.day, &event.sums, event.events);
        }
    }

    /// Answers all that was asked to be read, and judges it.
    pub fn read(&mut self) {
        for load in std::mem::take(&mut self.loads) {
            let (all_time, days) = self.sums(&load);
            self.triggers
                .loaded(load.watch, load.days, &all_time, &days);
        }
        self.triggers.finish_step(self.now_ms);
    }

    fn sums(&self, load: &Load) -> (Sums, Vec<(u32, Sums)>) {
        let (mut all_time, mut days) = (Sums::default(), BTreeMap::<u32, Sums>::new());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (account, category, tag) = (text(&load.account), text(&load.category), text(&load.tag));
        for (key, cells) in &self.cells {
            let is_below = || {
                let mut above = key.0.as_str();
                while above != account {
                    match self.parents.get(above) {
                        Some(parent) => above = parent,
                        None => return false,
                    }
                }
                true
            };
            let is_of = if load.sub {
                is_below()
            } else {
                key.0 == account
            };
            if !is_of || key.1 != category || key.2 != tag {
                continue;
            }
            for (day, sums) in cells {
                all_time.add(sums);
                if (load.days.0..=load.days.1).contains(day) {
                    days.entry(*day).or_default().add(sums);
                }
            }
        }
        (all_time, days.into_iter().collect())
    }

    fn write(&mut self) -> Vec<Fired> {
        let (mut journal, mut fired) = (JournalWriter::new(), Vec::new());
        self.triggers
            .write(&mut journal, |sequence, bytes, told_again| {
                fired.push(read_fired(sequence, bytes, told_again));
            });
        for entry in JournalReader::new(journal.bytes()).unwrap() {
            match entry.unwrap() {
                JournalEntry::Put { key, value } => {
                    self.disk.insert(key.into(), value.into());
                }
                JournalEntry::Delete { key } => {
                    self.disk.remove(key);
                }
            }
        }
        let replies = &mut self.replies;
        self.triggers.replies(|request, json| {
            replies.push((request, String::from_utf8(json.to_vec()).unwrap()));
        });
        fired
    }

    /// The process ends and starts again, with what is on its disk.
    pub fn restart(&mut self) -> Vec<Fired> {
        self.triggers = Triggers::new(&HASH_KEY);
        self.loads.clear();
        for (key, value) in &self.disk {
            match parse_usage_key(key) {
                Some(UsageKey::Trigger { sid }) => {
                    self.triggers.recover_trigger(sid, value).unwrap();
                }
                Some(UsageKey::Firing { firing }) => {
                    self.triggers.recover_firing(firing, value).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        self.triggers.recover_finish(self.now_ms);
        self.step(&[])
    }
}

/// Trigger's number, index, period and arming of each, in order.
pub fn brief(fired: &[Fired]) -> Vec<(u64, u64, &str, u64)> {
    fired
        .iter()
        .map(|one| {
            (
                (u128::from_be_bytes(one.sid) >> 64) as u64,
                one.index,
                &*one.period,
                one.arming,
            )
        })
        .collect()
}
