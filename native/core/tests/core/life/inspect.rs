//! When nothing changes: lists are whole. And the end of a run, when everything leaves.

use super::*;

impl World {
    /// Pages of a list, joined: the ids in order.
    fn pages(&mut self, op: InputOp, mut ask: impl FnMut(&str) -> Vec<u8>) -> Vec<String> {
        let mut ids = Vec::new();
        let mut cursor = String::new();
        for _ in 0..500 {
            let id = self.id();
            let bytes = ask(&cursor);
            let entry = quiet(op, id, bytes);
            self.exchange(vec![entry]);
            for _ in 0..50 {
                if self.json.contains_key(&id) {
                    break;
                }
                self.exchange(Vec::new());
                self.commit();
            }
            let text = self.json.remove(&id).expect("an answer to a list");
            let items = text.split(r#"{"id":""#).skip(1);
            ids.extend(items.map(|item| item[..32].to_owned()));
            let (_, tail) = text.rsplit_once(r#""cursor":"#).expect("a cursor");
            let tail = tail.trim_end_matches('}');
            if tail == "null" {
                return ids;
            }
            tail.trim_matches('"').clone_into(&mut cursor);
        }
        panic!("a list without an end");
    }

    fn states(&self) -> Vec<(Key, u8)> {
        let messages = self.model.messages.iter();
        messages
            .map(|(key, message)| (*key, message.view().0))
            .collect()
    }

    /// The pages of a list together are what the model holds, if nothing changed meanwhile.
    pub(super) fn inspect(&mut self) {
        while !self.jobs.is_empty() || !self.pending.is_empty() {
            self.exchange(Vec::new());
            while !self.pending.is_empty() {
                self.commit();
            }
            if self.jobs.is_empty() {
                break;
            }
        }
        let random = &mut self.random;
        let filter = Filter {
            destination: random.permille(400).then(|| random.below(DESTINATIONS)),
            tenant: random.permille(400).then(|| random.below(TENANTS)),
            sender: None,
        };
        let statuses = if random.permille(500) {
            0
        } else {
            random.next() as u32 & 0x7fc
        };
        let limit = *random.choose(&[1, 3, 1000]);
        let from_ms = if random.permille(700) {
            0
        } else {
            self.now_ms - 60_000
        };
        let to_ms = if random.permille(700) {
            u64::MAX >> 1
        } else {
            self.now_ms - 2_000
        };
        let before = self.states();
        let newest_first = *self
            .random
            .choose(&[None, Some(false), Some(true), Some(true)]);
        let mut listed = self.pages(InputOp::List, |cursor| {
            let times = (from_ms, to_ms);
            frames::list(&filter, statuses, times, cursor, limit, newest_first)
        });
        if newest_first == Some(true) {
            listed.reverse();
        }
        if before == self.states() {
            let fits = |key: &Key| {
                let message = &self.model.messages[key];
                let status = message.view().0;
                message.fits(&filter)
                    && (statuses == 0 || statuses >> status & 1 == 1)
                    && (from_ms..to_ms).contains(&message.accepted_ms)
            };
            Self::same("list", &listed, &before, fits);
        }
        let before = self.states();
        let listed = self.pages(InputOp::DeadLetters, |cursor| {
            frames::dead_letters(&filter, cursor, limit)
        });
        if before == self.states() {
            let fits = |key: &Key| {
                let message = &self.model.messages[key];
                message.state == DEAD && message.fits(&filter)
            };
            Self::same("dead letters", &listed, &before, fits);
        }
        self.model.count("lists");
    }

    fn same(what: &str, listed: &[String], known: &[(Key, u8)], fits: impl Fn(&Key) -> bool) {
        let expected: Vec<String> = known
            .iter()
            .filter(|(key, _)| fits(key))
            .map(|(key, _)| {
                id_of(*key)
                    .0
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect()
            })
            .collect();
        assert_eq!(listed, expected, "{what}");
    }

    /// Everything that was not told yet is.
    pub(super) fn tell_all(&mut self) {
        let left = |pages: &Pages| {
            pages.range(vec![6]..vec![7]).count() + pages.range(vec![10]..vec![11]).count()
        };
        while left(&self.pages) > 0 {
            let bytes = self.folded_through.to_le_bytes().to_vec();
            let mut entries = vec![quiet(InputOp::UsageTaken, 0, bytes)];
            if let Some((&last, _)) = self.ledger.last_key_value() {
                self.taken = last;
                let bytes = last.to_le_bytes().to_vec();
                entries.push(quiet(InputOp::EventsTaken, 0, bytes));
            }
            self.exchange(entries);
            while !self.pending.is_empty() {
                self.commit();
            }
        }
        if self.crash > 0 {
            self.crash();
            while !self.pending.is_empty() {
                self.commit();
            }
        }
    }

    /// Everything leaves through gateways that send at once.
    pub(super) fn settle_down(&mut self) {
        let mut entries = Vec::new();
        for bytes in self.settings.open() {
            let id = self.id();
            entries.push(quiet(InputOp::Configure, id, bytes));
        }
        let id = self.id();
        let settings = Plan::Configure(Box::new(self.settings.clone()));
        entries.push(Entry {
            op: InputOp::Checkpoint,
            connection: id,
            bytes: Vec::new(),
            plan: settings,
        });
        self.exchange(entries);
        for _ in 0..3_000 {
            let busy = |message: &super::super::model::Message| {
                message.waits() || message.state == IN_FLIGHT
            };
            if !self.model.messages.values().any(busy) {
                self.model.count("whole lives");
                return;
            }
            let mut entries = Vec::new();
            for gateway in GATEWAYS {
                for number in 1..=DESTINATIONS as u32 {
                    let out = self.model.out.iter().filter(|((connection, _), key)| {
                        let destination = self.model.messages[*key].destination as u32;
                        *connection == gateway && destination + 1 == number
                    });
                    let said: Vec<_> = out
                        .map(|((_, delivery), _)| (*delivery, 0, None, None))
                        .collect();
                    entries.push(self.settlement(gateway, number, said));
                }
            }
            self.now_ms += self.wake_after_ms;
            self.exchange(entries);
            while !self.pending.is_empty() {
                self.commit();
            }
        }
        panic!("messages wait and nothing moves");
    }
}
