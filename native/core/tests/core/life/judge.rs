//! One exchange: what its entries mean, and whether journal, answers and deliveries are as they should.

use super::*;

/// A journal, taken apart.
#[derive(Default)]
struct Journal {
    /// Serial → key of what was accepted.
    stored: BTreeMap<u64, Key>,
    records: Vec<(Key, Vec<Key>)>,
    /// Messages redacted in records that were written anew.
    redacted: Vec<Key>,
    deleted: Vec<Key>,
    log: Option<Vec<u8>>,
    /// Events of each message.
    events: BTreeMap<Key, Vec<Event>>,
    /// Usage records that were put or, without a value, deleted.
    usage: Vec<(u64, Option<Vec<u8>>)>,
}

fn serial_of(body: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(body);
    reader.str().expect("a tenant");
    if !reader.nil().expect("a sender") {
        reader.str().expect("a sender");
    }
    if reader.nil().expect("a recipient") {
        return None;
    }
    let name = std::str::from_utf8(reader.str().expect("a recipient")).expect("ASCII");
    Some(name[1..].parse().expect("a serial"))
}

impl Journal {
    fn read(bytes: &[u8], known: &BTreeMap<Key, Record>) -> Self {
        let mut journal = Self::default();
        for entry in JournalReader::new(bytes).expect("a journal") {
            match entry.expect("an entry") {
                JournalEntry::Put { key, value } => match parse_key(key).expect("a key") {
                    record::Key::Batch { batch, first_index } => {
                        let first = message_key(batch, first_index);
                        journal.record(first, value, known.contains_key(&first));
                    }
                    record::Key::Log { .. } => journal.log = Some(value.to_vec()),
                    record::Key::Events { .. } => journal.events(value),
                    record::Key::Usage { sequence } => {
                        journal.usage.push((sequence, Some(value.to_vec())));
                    }
                    _ => {}
                },
                JournalEntry::Delete { key } => match parse_key(key) {
                    Some(record::Key::Batch { batch, first_index }) => {
                        journal.deleted.push(message_key(batch, first_index));
                    }
                    Some(record::Key::Usage { sequence }) => journal.usage.push((sequence, None)),
                    _ => {}
                },
            }
        }
        journal
    }

    fn events(&mut self, value: &[u8]) {
        let record = EventsRecord::parse(value).expect("an events record");
        for event in record.events() {
            let place = event.id.place(&HASH_KEY).expect("our own id");
            let key = message_key(place.batch, place.index);
            let story = self.events.entry(key).or_default();
            story.push((event.status, event.code, event.at_ms, event.attempts));
        }
    }

    fn record(&mut self, first: Key, value: &[u8], again: bool) {
        let parsed = BatchRecord::parse(value).expect("a batch record");
        let mut keys = Vec::new();
        for message in parsed.messages() {
            let key = message_key(parsed.batch(), message.index);
            keys.push(key);
            if again {
                if message.flags & MESSAGE_REDACTED != 0 {
                    self.redacted.push(key);
                }
            } else {
                self.stored
                    .insert(serial_of(message.body).expect("a serial"), key);
            }
        }
        if !again {
            self.records.push((first, keys));
        }
    }
}

fn state_of_return(reason: u8) -> &'static str {
    match reason {
        32..=34 => "failed",
        35 => "undelivered",
        _ => "queued",
    }
}

fn state_of_outcome(outcome: u8) -> &'static str {
    match outcome {
        0 => "sent",
        1 => "delivered",
        20 => "expired",
        21 => "cancelled",
        23 => "purged",
        24 => "undelivered",
        _ => "failed",
    }
}

/// Without the times of ends that are only known roughly after a restart.
fn without_end(text: &str) -> String {
    let Some((head, tail)) = text.split_once(r#""endedMs":"#) else {
        return text.to_owned();
    };
    let tail = tail.trim_start_matches(|letter: char| letter.is_ascii_digit());
    format!("{head}{tail}")
}

impl World {
    pub(super) fn judge(&mut self, entries: Vec<Entry>, journal: &[u8], effects: &[u8]) {
        let effects = wire::parse_effects(effects);
        self.wake_after_ms = effects.wake_after_ms.into();
        self.model.now_ms = self.now_ms;
        self.model.exchange = self.exchange;
        self.model.caps.committed(self.committed);
        let journal = Journal::read(journal, &self.model.records);
        let log = journal
            .log
            .as_deref()
            .map(|log| LogRecord::parse(log).expect("a log record"));
        let mut expected = Expected::default();
        let mut replies: Vec<((u8, u32), Reply)> = Vec::new();
        let answers: BTreeSet<u32> = effects
            .entries
            .iter()
            .filter(|effect| effect.op == 2)
            .map(|effect| effect.connection)
            .collect();
        self.model.told = lengths(&self.model.stories);
        expected.returns.append(&mut self.model.restart);
        self.model.tell_restart();
        self.model.trim_dead(&mut expected);
        for key in &journal.redacted {
            self.redacted(*key);
        }
        let forgotten = log.iter().flat_map(LogRecord::settled);
        let forgotten: Vec<Key> = forgotten
            .filter(|(outcome, _)| *outcome == 25)
            .flat_map(|(_, runs)| runs.flat_map(record::Run::keys))
            .collect();
        for key in forgotten {
            let asked = self.jobs.iter().any(|asked| {
                matches!(asked.job, Job::Forget(of) if of == Some(key))
                    && self.seen(Some(key), asked.tenant).is_some()
            });
            assert!(asked, "nobody asked to forget {key:x}");
            self.model.forget(key, &mut expected);
        }
        for asked in std::mem::take(&mut self.jobs) {
            self.job(asked, &answers, &mut expected, &mut replies);
        }
        for entry in entries {
            self.entry(
                entry.plan,
                &journal,
                log.as_ref(),
                &mut expected,
                &mut replies,
            );
        }
        self.model.fire(&mut expected);
        if let Some(log) = &log {
            self.adopt(log, &mut expected);
        }
        self.deliveries(log.as_ref(), &effects);
        self.check_log(log.as_ref(), expected);
        self.check_events(&journal, &effects);
        self.check_usage(&journal, &effects);
        self.check_cancel_all();
        self.check_replies(&effects, replies);
        self.records(&journal);
        let now_hour = self.now_ms / 3_600_000;
        self.model
            .keys
            .retain(|_, (_, hour)| *hour + 24 >= now_hour);
        self.check_counters(&effects.counters);
    }

    fn redacted(&mut self, key: Key) {
        if self.model.gone.contains(&key) {
            return;
        }
        let message = self.model.message(key);
        if message.redacted {
            return;
        }
        assert!(!message.is_live(), "redacted before its end");
        message.redacted = true;
        let tenant = message.draft.tenant;
        let asked = self.jobs.iter().any(|asked| match &asked.job {
            Job::Redact(of) | Job::Forget(of) => *of == Some(key),
            Job::Erase(of) => *of == tenant,
            _ => false,
        });
        assert!(asked, "nobody asked for the redaction of {key:x}");
        self.model.count("redacted");
    }

    /// The message of an id, if whoever asks may see it.
    fn seen(&self, key: Option<Key>, tenant: Option<usize>) -> Option<Key> {
        let key = key?;
        let message = self.model.messages.get(&key)?;
        tenant
            .is_none_or(|tenant| tenant == message.draft.tenant)
            .then_some(key)
    }

    fn job(
        &mut self,
        mut asked: Asked,
        answers: &BTreeSet<u32>,
        expected: &mut Expected,
        replies: &mut Vec<((u8, u32), Reply)>,
    ) {
        let to = (
            asked.op,
            if asked.op == 1 {
                asked.connection
            } else {
                asked.id
            },
        );
        let not_found = || Reply::Json(r#"{"error":"messageNotFound"}"#.to_owned());
        let tenant = asked.tenant;
        let reply = match &mut asked.job {
            Job::Cancel(keys) => {
                let mut refused = Vec::new();
                for (index, key) in keys.clone().into_iter().enumerate() {
                    let key = self.seen(key, tenant);
                    let code = match key.map(|key| self.model.messages[&key].clone()) {
                        None => 3019,
                        Some(message) if message.waits() => 0,
                        Some(message) if message.state == IN_FLIGHT => 3021,
                        Some(_) => 3020,
                    };
                    if code > 0 {
                        refused.push((index as u32, code));
                        continue;
                    }
                    self.model.count("cancelled");
                    self.model
                        .settled(key.expect("seen"), CANCELLED, 21, expected);
                }
                let cancelled = keys.len() - refused.len();
                let mut out = Vec::new();
                write_cancel_ok(&mut out, asked.id, cancelled as u32, &refused);
                Reply::Bytes(out)
            }
            Job::Status(keys) => {
                let seen = keys.iter().map(|key| self.seen(*key, tenant)).collect();
                replies.push((to, self.status(asked.id, seen)));
                return;
            }
            Job::Find(key) => match self.seen(*key, tenant) {
                None => not_found(),
                Some(key) => Reply::Json(self.model.json(key)),
            },
            Job::Replay(keys) | Job::Purge(keys) => {
                let keys = keys.clone();
                let is_replay = matches!(asked.job, Job::Replay(_));
                let mut done = 0;
                for key in &keys {
                    let seen = self.seen(*key, tenant);
                    let dead = seen.filter(|key| self.model.messages[key].state == DEAD);
                    let Some(key) = dead else { continue };
                    done += 1;
                    self.choose(key, is_replay, expected);
                }
                let what = if is_replay { "replayed" } else { "purged" };
                let unknown = keys.len() - done;
                Reply::Json(format!(r#"{{"{what}":{done},"unknown":{unknown}}}"#))
            }
            Job::ReplayAll(filter) | Job::PurgeAll(filter) => {
                let filter = *filter;
                let is_replay = matches!(asked.job, Job::ReplayAll(_));
                let dead: Vec<Key> = self
                    .model
                    .messages
                    .iter()
                    .filter(|(_, message)| message.state == DEAD && message.fits(&filter))
                    .map(|(key, _)| *key)
                    .collect();
                for key in &dead {
                    self.choose(*key, is_replay, expected);
                }
                let what = if is_replay { "replayed" } else { "purged" };
                Reply::Json(format!(r#"{{"{what}":{},"unknown":0}}"#, dead.len()))
            }
            Job::CancelAll(_, cancelled) => Reply::Json(format!(r#"{{"cancelled":{cancelled}}}"#)),
            Job::Redact(key) => {
                let state = self
                    .seen(*key, tenant)
                    .map(|key| &self.model.messages[&key]);
                if !answers.contains(&asked.id) {
                    assert!(
                        self.exchange < asked.exchange + 4,
                        "no answer to a redaction"
                    );
                    self.jobs.push(asked);
                    return;
                }
                match state {
                    None => not_found(),
                    Some(message) if message.is_live() => {
                        Reply::Json(r#"{"error":"messageNotEnded"}"#.to_owned())
                    }
                    Some(message) => {
                        assert!(message.redacted, "answered and not redacted");
                        Reply::Json(r#"{"ok":true}"#.to_owned())
                    }
                }
            }
            Job::Forget(key) => {
                let state = self
                    .seen(*key, tenant)
                    .map(|key| &self.model.messages[&key]);
                let was_forgotten = expected
                    .settled
                    .iter()
                    .any(|(outcome, of)| *outcome == 25 && Some(*of) == *key);
                if !answers.contains(&asked.id) {
                    assert!(self.exchange < asked.exchange + 4, "no answer to a forget");
                    assert!(!was_forgotten, "forgotten and not answered");
                    self.jobs.push(asked);
                    return;
                }
                match state {
                    None if was_forgotten => Reply::Json(r#"{"ok":true}"#.to_owned()),
                    None => not_found(),
                    Some(message) => {
                        assert!(message.is_live(), "answered and not forgotten");
                        Reply::Json(r#"{"error":"messageNotEnded"}"#.to_owned())
                    }
                }
            }
            Job::Erase(of) => {
                let of = *of;
                assert!(answers.contains(&asked.id), "no answer to an erasure");
                let left = self.model.messages.values().filter(|message| {
                    message.draft.tenant == of && !message.is_live() && !message.redacted
                });
                assert_eq!(left.count(), 0, "messages are left of an erased tenant");
                Reply::Any
            }
            Job::Trace(key, begun) => {
                let seen = self.seen(*key, tenant);
                if begun.is_none() {
                    let Some(key) = seen else {
                        replies.push((to, not_found()));
                        return;
                    };
                    let message = &self.model.messages[&key];
                    let first = if message.at_ms > 0 {
                        "scheduled"
                    } else {
                        "queued"
                    };
                    let mut history = vec![
                        (message.accepted_ms, "accepted"),
                        (message.accepted_ms, first),
                    ];
                    history.extend(&message.history);
                    *begun = Some((self.model.json(key), history));
                }
                if !answers.contains(&asked.id) {
                    assert!(self.exchange < asked.exchange + 60, "no answer to a trace");
                    self.jobs.push(asked);
                    return;
                }
                let (text, history) = begun.clone().expect("begun");
                self.model.count("traces");
                replies.push((to, Reply::Trace(text, history)));
                return;
            }
        };
        replies.push((to, reply));
    }

    fn choose(&mut self, key: Key, is_replay: bool, expected: &mut Expected) {
        if is_replay {
            self.model.replay(key, expected);
        } else {
            self.model.count("purged");
            self.model.settled(key, GIVEN_UP, 23, expected);
        }
    }

    fn status(&self, id: u32, seen: Vec<Option<Key>>) -> Reply {
        let entries = seen
            .into_iter()
            .map(|key| {
                let message = &self.model.messages[&key?];
                let (status, attempts, due_ms, ended_ms, code) = message.view();
                let exact = message.ended_here || message.is_live();
                let accepted_ms = message.accepted_ms;
                Some((
                    (status, attempts, accepted_ms, due_ms, code),
                    ended_ms,
                    exact,
                ))
            })
            .collect();
        Reply::Status(id, entries)
    }

    fn entry(
        &mut self,
        plan: Plan,
        journal: &Journal,
        log: Option<&LogRecord<'_>>,
        expected: &mut Expected,
        replies: &mut Vec<((u8, u32), Reply)>,
    ) {
        match plan {
            Plan::Publish {
                connection,
                op,
                id,
                destination,
                drafts,
            } => {
                let to = (op, if op == 4 { id } else { connection });
                let reply = self.publish(id, destination, &drafts, journal);
                replies.push((to, reply));
            }
            Plan::Settle {
                connection,
                id,
                number,
                said,
            } => {
                let mut applied = 0;
                for (delivery, outcome, code, after_ms) in &said {
                    let Some(key) = self.model.out.get(&(connection, *delivery)).copied() else {
                        continue;
                    };
                    if self.model.messages[&key].destination as u32 + 1 != number {
                        continue;
                    }
                    self.model.out.remove(&(connection, *delivery));
                    applied += 1;
                    self.outcome(key, *outcome, *code, *after_ms, log, expected);
                }
                let mut out = Vec::new();
                write_settle_ok(&mut out, id, applied, said.len() as u32 - applied);
                replies.push(((1, connection), Reply::Bytes(out)));
            }
            Plan::Receipts { id, receipts } => {
                let mut applied = 0;
                for (key, status, code) in &receipts {
                    applied += u32::from(self.model.receipt(*key, *status, *code, expected));
                }
                let mut out = Vec::new();
                write_settle_ok(&mut out, id, applied, receipts.len() as u32 - applied);
                replies.push(((1, GATEWAYS[0]), Reply::Bytes(out)));
            }
            Plan::Job(asked) => self.jobs.push(asked),
            Plan::Configure(settings) => self.model.settings = *settings,
            Plan::Prices(prices) => self.model.change_prices(prices),
            Plan::Disconnect(connection) => {
                let out = self.model.out.range((connection, 0)..(connection + 1, 0));
                let out: Vec<(u32, u64)> = out.map(|(delivery, _)| *delivery).collect();
                for delivery in out {
                    let key = self.model.out.remove(&delivery).expect("listed");
                    self.model.give_back(key, 16, true, true, 0, expected);
                }
            }
            Plan::Quiet => {}
        }
    }

    fn publish(
        &mut self,
        id: u32,
        destination: usize,
        drafts: &[Draft],
        journal: &Journal,
    ) -> Reply {
        if self.model.settings.destinations[destination].refuse_new {
            for draft in drafts {
                self.model.use_one(draft.tenant, 2);
            }
            return Reply::Error(3022);
        }
        let (mut refused, mut repeated, mut first) = (Vec::new(), Vec::new(), None);
        // Tenants that met a cap: what comes after in the frame is refused, too.
        let mut cut = BTreeSet::new();
        for (index, draft) in drafts.iter().enumerate() {
            let mut judged = self.model.judge(destination, draft);
            if judged == Ok(None) {
                let message = self.model.message_of(destination, draft);
                if cut.contains(&draft.tenant) || !self.model.caps.fits(&message) {
                    cut.insert(draft.tenant);
                    self.model.count("over a cap");
                    judged = Ok(Some(5006));
                }
            }
            match judged {
                Err(key) => {
                    self.model.count("repeated");
                    repeated.push(Repeated {
                        index: index as u32,
                        id: id_of(key),
                    });
                }
                Ok(Some(code)) => {
                    self.model.count("refused");
                    self.model.use_one(draft.tenant, 2);
                    refused.push(Refused {
                        index: index as u32,
                        code,
                        retry_after_ms: match code {
                            1020 | 5006 => None,
                            3018 => Some(60_000),
                            _ => Some(1000),
                        },
                    });
                }
                Ok(None) => {
                    let key = *journal.stored.get(&draft.serial).expect("it is journaled");
                    first.get_or_insert(key - index as u64);
                    assert_eq!(first, Some(key - index as u64), "ids follow the positions");
                    self.ever.push(key);
                    self.model.accept(destination, draft, key);
                }
            }
        }
        let mut out = Vec::new();
        let first = first.map(id_of);
        write_publish_ok(
            &mut out,
            id,
            first.as_ref(),
            drafts.len() as u32,
            &refused,
            &repeated,
        );
        Reply::Bytes(out)
    }

    fn outcome(
        &mut self,
        key: Key,
        outcome: u8,
        code: Option<u32>,
        after_ms: Option<u64>,
        log: Option<&LogRecord<'_>>,
        expected: &mut Expected,
    ) {
        let model = &mut self.model;
        match outcome {
            0 | 1 | 3 => {
                let message = model.message(key);
                message.attempts += 1;
                let code = code.filter(|code| *code > 0 && outcome == 3);
                message.code = code;
                let state = [SENT, DELIVERED, 0, FAILED][usize::from(outcome)];
                let (attempts, flags) = (message.attempts, message.flags);
                model.tried(key);
                if outcome < 2 {
                    model.sent(key);
                }
                let Some(code) = code else {
                    return model.settled(key, state, outcome, expected);
                };
                expected.returns.push(record::Return {
                    key,
                    reason: 34,
                    attempts,
                    due_ms: code.into(),
                    flags,
                });
                model.ended(key, state);
            }
            2 => {
                let returns = log.into_iter().flat_map(LogRecord::returns);
                let mut drawn = returns.filter(|back| back.key == key && back.reason == 2);
                let drawn = drawn.next().map(|back| back.due_ms);
                let after_ms = after_ms.unwrap_or_else(|| model.back_off_ms(key, drawn));
                model.give_back(key, 2, true, false, after_ms, expected);
            }
            other => model.give_back(key, other, false, false, 0, expected),
        }
    }

    /// What the shard chose: whom it found without validity, and what a cancelAll found.
    fn adopt(&mut self, log: &LogRecord<'_>, expected: &mut Expected) {
        let settled = log.settled().flat_map(|(outcome, runs)| {
            runs.flat_map(record::Run::keys)
                .map(move |key| (outcome, key))
        });
        for (outcome, key) in settled.collect::<Vec<_>>() {
            if expected.settled.contains(&(outcome, key)) {
                continue;
            }
            let known = self.model.messages.get(&key);
            let message =
                known.unwrap_or_else(|| panic!("{key:x} ended by {outcome} and is unknown"));
            match outcome {
                20 => {
                    let over = self.model.expiry_ms(message) <= self.now_ms;
                    assert!(message.waits() && over, "{key:x} expired too early");
                    self.model.count("expired by a look");
                    self.model.settled(key, EXPIRED, 20, expected);
                }
                21 => {
                    let fits = message.waits();
                    let job = self.jobs.iter_mut().find_map(|asked| match &mut asked.job {
                        Job::CancelAll(filter, count) if message.fits(filter) => Some(count),
                        _ => None,
                    });
                    *job.expect("somebody cancelled it") += 1;
                    assert!(fits, "{key:x} was cancelled and did not wait");
                    self.model.count("cancelled by name");
                    self.model.settled(key, CANCELLED, 21, expected);
                }
                other => panic!("{key:x} ended with {other}, which nobody expects"),
            }
        }
    }

    /// A cancelAll leaves nothing of what it is about.
    fn check_cancel_all(&self) {
        for asked in &self.jobs {
            if let Job::CancelAll(filter, _) = &asked.job {
                let left = self.model.messages.values();
                let left = left.filter(|message| message.waits() && message.fits(filter));
                assert_eq!(left.count(), 0, "messages that a cancelAll left");
            }
        }
    }

    fn deliveries(&mut self, log: Option<&LogRecord<'_>>, effects: &wire::Effects<'_>) {
        let mut handed: Vec<Key> = Vec::new();
        if let Some(log) = log {
            handed.extend(log.handed_out().flat_map(record::Run::keys));
        }
        let mut frames = BTreeMap::new();
        for effect in effects.entries.iter().filter(|effect| effect.op == 1) {
            if GATEWAYS.contains(&effect.connection)
                && let Some(deliveries) = wire::deliveries(effect.bytes)
            {
                for got in deliveries {
                    let place = MessageId(got.id).place(&HASH_KEY).expect("our own id");
                    frames.insert(
                        message_key(place.batch, place.index),
                        (effect.connection, got),
                    );
                }
            }
        }
        assert_eq!(
            handed.len(),
            frames.len(),
            "deliveries and what the log says"
        );
        for key in handed {
            let (connection, got) = frames.remove(&key).expect("it is delivered");
            self.model.hand_out(key);
            let message = &self.model.messages[&key];
            assert_eq!(got.attempt, message.attempts + 1, "attempt");
            assert_eq!(got.flags, message.flags & 1, "flags");
            assert_eq!(
                got.expires_ms,
                self.model.expiry_ms(message),
                "end of validity"
            );
            assert_eq!(got.payload, frames::payload(&message.draft), "payload");
            self.model.out.insert((connection, got.delivery), key);
            self.model.count("deliveries");
        }
    }

    fn check_log(&mut self, log: Option<&LogRecord<'_>>, mut expected: Expected) {
        let mut returns: Vec<record::Return> = Vec::new();
        let mut settled: Vec<(u8, Key)> = Vec::new();
        let mut handed: Vec<Key> = Vec::new();
        if let Some(log) = log {
            returns.extend(log.returns());
            for (outcome, runs) in log.settled() {
                settled.extend(runs.flat_map(record::Run::keys).map(|key| (outcome, key)));
            }
            handed.extend(log.handed_out().flat_map(record::Run::keys));
        }
        let now_ms = self.now_ms;
        for back in &returns {
            let state = state_of_return(back.reason);
            self.model.message(back.key).history.push((now_ms, state));
        }
        for (outcome, key) in settled.iter().filter(|(outcome, _)| *outcome != 25) {
            let state = state_of_outcome(*outcome);
            self.model.message(*key).history.push((now_ms, state));
        }
        for key in &handed {
            self.model.message(*key).history.push((now_ms, "sending"));
        }
        // Those of one message keep their order.
        returns.sort_by_key(|back| back.key);
        expected.returns.sort_by_key(|back| back.key);
        assert_eq!(returns, expected.returns, "what came back");
        settled.sort_unstable();
        expected.settled.sort_unstable();
        assert_eq!(settled, expected.settled, "what ended");
    }

    /// The exchange stores what changed, message by message in order; what it tells was stored.
    fn check_events(&mut self, journal: &Journal, effects: &wire::Effects<'_>) {
        let model = &self.model;
        let mut expected = BTreeMap::new();
        for (key, story) in &model.stories {
            let before = model.told.get(key).copied().unwrap_or(0);
            if story.len() > before {
                expected.insert(*key, story[before..].to_vec());
            }
        }
        assert_eq!(journal.events, expected, "changes of status");
        for effect in effects.entries.iter().filter(|effect| effect.op == 5) {
            assert_eq!(effect.connection, 0);
            let (sequence, content) = effect.bytes.split_at(8);
            let sequence = u64::from_le_bytes(sequence.try_into().expect("8 bytes"));
            self.telling.push((sequence, content.to_vec()));
        }
    }

    /// What was ever counted is what the model counted, wherever it stands: folded already, or in a
    /// record that nobody folded.
    fn check_usage(&mut self, journal: &Journal, effects: &wire::Effects<'_>) {
        for (sequence, value) in &journal.usage {
            let Some(value) = value else {
                assert!(*sequence <= self.folded_through, "deleted and not taken");
                self.usage_records.remove(sequence).expect("it was there");
                continue;
            };
            let parsed = parse_usage_record(value).expect("a usage record");
            let list = parsed.bytes().to_vec();
            if self.usage_records.insert(*sequence, list).is_some() {
                self.model.count("usage joined");
            }
        }
        let mut found = self.folded.clone();
        for (_, list) in self.usage_records.range(self.folded_through + 1..) {
            fold(&mut found, list);
        }
        assert_eq!(found, self.model.usage, "usage");
        for (slot, cap) in self.model.caps.all.iter().enumerate() {
            let read = self.slots.read(slot as u32, self.now_ms);
            assert_eq!(read, Some((cap.reserved, Some(cap.limit))), "cap {slot}");
        }
        for effect in effects.entries.iter().filter(|effect| effect.op == 7) {
            let (sequence, list) = effect.bytes.split_at(8);
            let sequence = u64::from_le_bytes(sequence.try_into().expect("8 bytes"));
            assert_eq!(
                self.usage_records.get(&sequence).map(Vec::as_slice),
                Some(list)
            );
            let again = effect.connection == 1;
            self.telling_usage.push((sequence, again, list.to_vec()));
        }
    }

    fn check_replies(&mut self, effects: &wire::Effects<'_>, replies: Vec<((u8, u32), Reply)>) {
        let mut got: BTreeMap<(u8, u32), VecDeque<&[u8]>> = BTreeMap::new();
        for effect in &effects.entries {
            if effect.op == 1 && wire::deliveries(effect.bytes).is_some() {
                continue;
            }
            if effect.op == 5 || effect.op == 7 {
                continue;
            }
            let to = (effect.op, effect.connection);
            got.entry(to).or_default().push_back(effect.bytes);
        }
        for (to, expected) in replies {
            let bytes = got.get_mut(&to).and_then(VecDeque::pop_front);
            let bytes = bytes.unwrap_or_else(|| panic!("no answer to {to:?}"));
            match expected {
                Reply::Bytes(expected) => assert_eq!(bytes, expected, "answer to {to:?}"),
                Reply::Error(code) => assert_eq!(wire::error_code(bytes), Some(code), "an error"),
                Reply::Json(expected) => {
                    let text = std::str::from_utf8(bytes).expect("UTF-8");
                    let exact = text == expected;
                    assert!(
                        exact || without_end(text) == without_end(&expected),
                        "{text}\nis not\n{expected}"
                    );
                }
                Reply::Trace(text, history) => check_trace(bytes, &text, &history),
                Reply::Status(id, entries) => check_status(bytes, id, &entries),
                Reply::Any => {}
            }
        }
        for (to, left) in got {
            assert!(
                to.0 == 2 || left.is_empty(),
                "answers nobody asked for: {to:?}"
            );
            if to.0 == 2 {
                for bytes in left {
                    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
                    self.json.insert(to.1, text);
                }
            }
        }
    }

    /// Records that came, ended and were forgotten.
    fn records(&mut self, journal: &Journal) {
        let now_ms = self.now_ms;
        let memory = self.memory;
        let model = &mut self.model;
        for (first, keys) in &journal.records {
            let record = Record {
                keys: keys.clone(),
                ended: None,
            };
            assert!(model.records.insert(*first, record).is_none());
        }
        let before: BTreeSet<Key> = model
            .records
            .iter()
            .filter(|(_, record)| record.ended.is_some())
            .map(|(first, _)| *first)
            .collect();
        for record in model.records.values_mut() {
            let live = |key: &Key| model.messages[key].is_live();
            if record.ended.is_none() && !record.keys.iter().any(live) {
                record.ended = Some((now_ms, true));
            }
        }
        for first in &journal.deleted {
            let record = model.records.remove(first).expect("a known record");
            let (ended_ms, _) = record.ended.expect("only what has ended is forgotten");
            let is_old = ended_ms + memory.retention_ms <= now_ms;
            assert!(is_old || !self.large_memory, "forgotten too early");
            for key in record.keys {
                model.remove(key);
                model.forgotten += 1;
            }
        }
        for (first, record) in &model.records {
            let Some((ended_ms, true)) = record.ended else {
                continue;
            };
            let is_old = ended_ms + memory.retention_ms <= now_ms;
            assert!(
                !is_old || !before.contains(first),
                "remembered for too long"
            );
        }
        assert_eq!(
            model.accepted,
            model.messages.len() as u64 + model.forgotten,
            "conservation"
        );
    }

    fn check_counters(&self, counters: &[u64; 28]) {
        let model = &self.model;
        let count = |fits: &dyn Fn(&super::super::model::Message) -> bool| {
            model
                .messages
                .values()
                .filter(|message| fits(message))
                .count() as u64
        };
        assert_eq!(counters[11], count(&|message| message.waits()), "waiting");
        assert_eq!(
            counters[12],
            count(&|message| message.state == IN_FLIGHT),
            "in flight"
        );
        assert_eq!(
            counters[20],
            count(&|message| message.state == 4),
            "scheduled"
        );
        assert_eq!(
            counters[21],
            count(&|message| message.state == DEAD),
            "dead letters"
        );
        assert_eq!(counters[24], model.keys.len() as u64, "keys");
        let mut oldest = model.messages.values();
        let oldest = oldest.find(|message| message.waits() || message.state == IN_FLIGHT);
        assert_eq!(
            counters[15],
            oldest.map_or(0, |message| message.accepted_ms),
            "the oldest"
        );
        let records = model
            .records
            .values()
            .filter(|record| record.ended.is_some());
        let bounded = counters[23] <= self.memory.retention_bytes || !self.jobs.is_empty();
        assert!(
            bounded || records.count() == 0,
            "{} bytes are remembered",
            counters[23]
        );
    }
}

/// Adds the deltas of a list.
pub(super) fn fold(usage: &mut Usage, list: &[u8]) {
    for delta in DeltaReader::parse(list).expect("a list").deltas() {
        let account = std::str::from_utf8(delta.account).expect("ASCII");
        let tenant = (0..TENANTS).find(|tenant| frames::tenant_name(*tenant) == account);
        assert!(delta.tag.is_empty() || delta.tag == frames::TAG.as_bytes());
        let cell = (
            tenant.expect("a tenant"),
            delta.category.number(),
            !delta.tag.is_empty(),
            delta.day,
        );
        assert!(!delta.sums.is_zero(), "a delta of nothing");
        let sums = usage.entry(cell).or_default();
        sums.0 += delta.sums.count;
        sums.1 += delta.sums.usage;
        sums.2 += delta.sums.price;
    }
}

fn lengths(stories: &BTreeMap<Key, Vec<Event>>) -> BTreeMap<Key, usize> {
    let lengths = stories.iter().map(|(key, story)| (*key, story.len()));
    lengths.collect()
}

fn check_trace(bytes: &[u8], text: &str, history: &[(u64, &'static str)]) {
    let got = std::str::from_utf8(bytes).expect("UTF-8");
    let (message, trace) = got.split_once(r#","trace":["#).expect("a trace");
    let message = format!("{message}}}");
    assert_eq!(
        without_end(&message),
        without_end(text),
        "the message of a trace"
    );
    if got.ends_with(r#""traceTruncated":true}"#) {
        return;
    }
    let events: Vec<(u64, &str)> = trace
        .split(r#"{"atMs":"#)
        .skip(1)
        .map(|event| {
            let (at_ms, rest) = event.split_once(r#","state":""#).expect("a state");
            let (state, _) = rest.split_once('"').expect("its end");
            (at_ms.parse().expect("a time"), state)
        })
        .collect();
    assert_eq!(events, history, "the events of a trace");
}

fn check_status(bytes: &[u8], id: u32, entries: &[Option<Status>]) {
    let mut reader = Reader::new(bytes);
    assert_eq!(reader.array_len().expect("an answer"), 3);
    assert_eq!(reader.uint32().expect("a kind"), 64);
    assert_eq!(reader.uint32().expect("an id"), id);
    assert_eq!(reader.array_len().expect("entries"), entries.len());
    for entry in entries {
        if reader.nil().expect("an entry") {
            assert!(entry.is_none(), "a known message is not found");
            continue;
        }
        let (expected, ended_ms, exact) = entry.expect("nobody may see this message");
        assert_eq!(reader.array_len().expect("fields"), 6);
        let mut number = || {
            let none = reader.nil().expect("a field");
            (!none).then(|| reader.uint().expect("a number"))
        };
        let got = [number(), number(), number(), number()];
        let (ended, code) = (number(), number());
        let (status, attempts, accepted_ms, due_ms, expected_code) = expected;
        let plain = [
            Some(status.into()),
            Some(attempts.into()),
            Some(accepted_ms),
            due_ms,
        ];
        assert_eq!(
            (got, code),
            (plain, expected_code.map(u64::from)),
            "a status"
        );
        assert_eq!(ended.is_some(), ended_ms.is_some(), "an end");
        assert!(
            !exact || ended == ended_ms,
            "ended at {ended:?}, not {ended_ms:?}"
        );
    }
}
