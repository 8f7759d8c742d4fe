//! Properties of stored records: what was written is read back, a changed or cut record never
//! passes, arbitrary bytes never panic, and version 1 is still read.

use crate::golden::golden;
use fairlead_core::limits::{COST_MAX, LEVEL_MAX, RECORD_BYTES};
use fairlead_core::message_id::MessageId;
use fairlead_core::msgpack::{write_bin, write_nil, write_str};
use fairlead_core::record::{
    BatchRecord, BatchRecordBuilder, ClosedRecord, EventInfo, EventsRecord, HandedTo,
    JournalReader, Key, KeysRecord, LogEntries, LogRecord, MESSAGE_REDACTED, Mark, MessageOptions,
    RecordError, Return, Run, STATE_GIVEN_UP, Settled, StateExtra, StateRecord, StatusEvent,
    events_content, keys_key, message_key, parse_key, parse_mark, redact_record,
    write_events_record, write_keys_record, write_log_record, write_mark, write_state_record,
    write_status_event,
};
use proptest::prelude::*;

/// Tenant, sender, recipient and payload.
type Message = (String, Option<String>, Option<String>, Vec<u8>);

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._:+@-]{1,128}"
}

fn message() -> impl Strategy<Value = Message> {
    let some = || proptest::option::of(name());
    let payload = proptest::collection::vec(any::<u8>(), 0..400);
    (name(), some(), some(), payload)
}

fn body_of((tenant, sender, recipient, payload): &Message) -> Vec<u8> {
    let mut body = Vec::new();
    write_str(&mut body, tenant);
    for name in [sender, recipient] {
        match name {
            Some(name) => write_str(&mut body, name),
            None => write_nil(&mut body),
        }
    }
    write_bin(&mut body, payload);
    body
}

fn batch_records(first_index: u16, bodies: &[Vec<u8>], destinations: u32) -> Vec<ClosedRecord> {
    let messages = bodies.iter().map(|body| (Options::default(), body.clone()));
    records_of(first_index, &messages.collect::<Vec<_>>(), destinations)
}

fn records_of(
    first_index: u16,
    messages: &[(Options, Vec<u8>)],
    destinations: u32,
) -> Vec<ClosedRecord> {
    let mut builder = BatchRecordBuilder::new();
    builder.begin(77, 1_790_000_000_123, 9);
    let mut records = Vec::new();
    for (position, (options, body)) in messages.iter().enumerate() {
        let index = first_index + 2 * position as u16;
        let id = position as u32 % destinations;
        let name = format!("destination-{id}");
        let write = |out: &mut Vec<u8>| out.extend_from_slice(body);
        records.extend(builder.push(index, id, &name, Some(&options.borrowed()), write));
    }
    records.extend(builder.finish());
    records
}

/// Options that own their texts.
#[derive(Clone, Debug)]
struct Options {
    cost: u32,
    level: u8,
    at_ms: u64,
    expires_ms: u64,
    callback: String,
    order_key: String,
    tag: String,
    key_hash: Option<[u8; 16]>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cost: 1,
            level: 0,
            at_ms: 0,
            expires_ms: 0,
            callback: String::new(),
            order_key: String::new(),
            tag: String::new(),
            key_hash: None,
        }
    }
}

impl Options {
    fn borrowed(&self) -> MessageOptions<'_> {
        MessageOptions {
            cost: self.cost,
            level: self.level,
            at_ms: self.at_ms,
            expires_ms: self.expires_ms,
            callback: &self.callback,
            order_key: self.order_key.as_bytes(),
            tag: self.tag.as_bytes(),
            key_hash: self.key_hash,
        }
    }
}

fn options() -> impl Strategy<Value = Options> {
    let numbers = (
        prop_oneof![Just(1), 1..=COST_MAX],
        0..=LEVEL_MAX,
        prop_oneof![Just(0), any::<u64>()],
        prop_oneof![Just(0), any::<u64>()],
    );
    let texts = (
        prop_oneof![Just(String::new()), "\\PC{1,400}"],
        prop_oneof![Just(String::new()), name()],
        prop_oneof![Just(String::new()), name()],
        any::<Option<[u8; 16]>>(),
    );
    (numbers, texts).prop_map(
        |((cost, level, at_ms, expires_ms), (callback, order_key, tag, key_hash))| Options {
            cost,
            level,
            at_ms,
            expires_ms,
            callback,
            order_key,
            tag,
            key_hash,
        },
    )
}

fn runs(runs: impl Iterator<Item = Run>) -> Vec<u64> {
    runs.flat_map(Run::keys).collect()
}

fn key() -> impl Strategy<Value = u64> {
    prop_oneof![
        (0_u64..4, 0_u16..6).prop_map(|(batch, index)| message_key(batch, index)),
        (0_u64..1 << 48, any::<u16>()).prop_map(|(batch, index)| message_key(batch, index)),
    ]
}

fn keys() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(key(), 0..40)
}

fn a_return() -> impl Strategy<Value = Return> {
    (key(), any::<u8>(), any::<u32>(), any::<u64>(), any::<u8>()).prop_map(
        |(key, reason, attempts, due_ms, flags)| Return {
            key,
            reason,
            attempts,
            due_ms,
            flags,
        },
    )
}

fn log_record(returns: &[Return], sent: &[u64], failed: &[u64], handed_out: &[u64]) -> Vec<u8> {
    let settled = [
        Settled {
            outcome: 0,
            keys: sent,
        },
        Settled {
            outcome: 19,
            keys: failed,
        },
    ];
    written_log(&LogEntries {
        at_ms: 1_790_000_000_123,
        returns,
        settled: &settled,
        handed_out,
        handed_to: &one_by_one(handed_out.len() as u32),
        scores: &handed_out
            .iter()
            .map(|key| key.cast_signed())
            .collect::<Vec<_>>(),
    })
}

fn written_log(entries: &LogEntries<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    write_log_record(&mut value, &mut vec![1], entries);
    value
}

/// Each message to a subscription of its own.
fn one_by_one(count: u32) -> Vec<HandedTo> {
    (0..count)
        .map(|subscription| HandedTo {
            count: 1,
            connection: 7,
            subscription,
        })
        .collect()
}

/// Groups that together have `count` messages, made from any numbers.
fn groups_of(count: usize, cuts: &[(u32, u32, u32)]) -> Vec<HandedTo> {
    let mut left = count as u32;
    let mut groups = Vec::new();
    for (at, cut) in cuts.iter().enumerate() {
        let (size, connection, subscription) = *cut;
        let last = at + 1 == cuts.len();
        let count = if last { left } else { left.min(1 + size % 8) };
        if count > 0 {
            groups.push(HandedTo {
                count,
                connection,
                subscription,
            });
            left -= count;
        }
    }
    groups
}

/// An event, its texts beside it.
type Event = (StatusEvent<'static>, Option<InfoTexts>);
type InfoTexts = (
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
);

fn event() -> impl Strategy<Value = Event> {
    let numbers = (
        any::<[u8; 16]>(),
        1_u8..=10,
        any::<u32>(),
        any::<u64>(),
        any::<u32>(),
    );
    let texts = (
        name(),
        name(),
        of(name()),
        of(name()),
        "https?://[!-~]{1,300}",
        of(name()),
    );
    (numbers, of(any::<u32>()), of(texts)).prop_map(
        |((id, status, attempts, at_ms, cost), code, texts)| {
            let info = texts.is_some().then_some(EventInfo {
                destination: &[],
                tenant: &[],
                sender: None,
                recipient: None,
                callback: &[],
                mask: code,
                tag: None,
                cost,
            });
            let id = MessageId(id);
            (
                StatusEvent {
                    id,
                    status,
                    code,
                    at_ms,
                    attempts,
                    info,
                },
                texts,
            )
        },
    )
}

fn of<T: std::fmt::Debug>(some: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(some)
}

fn borrowed((event, texts): &Event) -> StatusEvent<'_> {
    let Some((destination, tenant, sender, recipient, callback, tag)) = texts else {
        return *event;
    };
    let info = EventInfo {
        destination: destination.as_bytes(),
        tenant: tenant.as_bytes(),
        sender: sender.as_deref().map(str::as_bytes),
        recipient: recipient.as_deref().map(str::as_bytes),
        callback: callback.as_bytes(),
        tag: tag.as_deref().map(str::as_bytes),
        ..event.info.expect("as there are texts")
    };
    StatusEvent {
        info: Some(info),
        ..*event
    }
}

fn events_record(events: &[StatusEvent<'_>]) -> Vec<u8> {
    let mut written = Vec::new();
    for event in events {
        write_status_event(&mut written, event);
    }
    let mut out = Vec::new();
    write_events_record(&mut out, events.len(), &written);
    out
}

/// A batch, a log, a state, a keys and an events record with something of everything.
fn small_records() -> Vec<(u8, Vec<u8>)> {
    let options = Options {
        cost: 3,
        callback: "https://a.example/".to_owned(),
        tag: "spring".to_owned(),
        key_hash: Some([7; 16]),
        ..Options::default()
    };
    let body = body_of(&("acme".to_owned(), None, Some("+1".to_owned()), vec![1]));
    let messages = [(options, body.clone()), (Options::default(), body)];
    let batch = records_of(3, &messages, 2).remove(0).value;
    let back = Return {
        key: message_key(1, 2),
        reason: 2,
        attempts: 1,
        due_ms: 300,
        flags: 1,
    };
    let log = log_record(&[back], &[1, 2, 9], &[5], &[70_000, 70_001, 3]);
    let extra = StateExtra {
        index: 2,
        attempts: 1,
        due_ms: 300,
        flags: 0,
    };
    let mut state = Vec::new();
    write_state_record(&mut state, 4, 5, [1, 1, 14, 0].into_iter(), &[extra]);
    let mut keys = Vec::new();
    write_keys_record(&mut keys, &[([1; 16], 2), ([3; 16], 0)]);
    let info = EventInfo {
        destination: b"mail",
        tenant: b"acme",
        sender: None,
        recipient: Some(b"+1"),
        callback: b"https://a.example/",
        mask: Some(96),
        tag: None,
        cost: 2,
    };
    let first = StatusEvent {
        id: MessageId([7; 16]),
        status: 1,
        code: None,
        at_ms: 1_790_000_000_123,
        attempts: 0,
        info: Some(info),
    };
    let last = StatusEvent {
        status: 8,
        code: Some(70_000),
        attempts: 300,
        info: None,
        ..first
    };
    let events = events_record(&[first, last]);
    vec![
        (16, batch),
        (17, log),
        (18, state),
        (19, keys),
        (20, events),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_key(&bytes);
        let _ = JournalReader::new(&bytes).map(Iterator::count);
        let _ = MessageOptions::parse(&bytes).map(|options| options.write(&mut Vec::new()));
        for record_type in [2, 3, 4, 16, 17, 18, 19, 20] {
            for version in [1, 2] {
                read_all(&versioned(record_type, version, &bytes));
            }
        }
    }

    #[test]
    fn events_are_read_back(events in proptest::collection::vec(event(), 1..40)) {
        let events: Vec<StatusEvent<'_>> = events.iter().map(borrowed).collect();
        let value = events_record(&events);
        let record = EventsRecord::parse(&value).expect("an events record");
        prop_assert_eq!(record.events().collect::<Vec<_>>(), events);
        let content = EventsRecord::of_content(events_content(&value));
        prop_assert_eq!(content.map(|record| record.events().count()), Some(record.events().count()));
    }

    #[test]
    fn batch_records_are_read_back(
        first_index in 0_u16..60_000,
        messages in proptest::collection::vec((
            prop_oneof![Just(Options::default()), options()],
            proptest::collection::vec(any::<u8>(), 0..6000),
        ), 1..30),
        destinations in 1_u32..4,
    ) {
        let records = records_of(first_index, &messages, destinations);
        let mut position = 0;
        for closed in &records {
            let record = BatchRecord::parse(&closed.value).expect("it was just written");
            prop_assert!(closed.value.len() <= RECORD_BYTES || closed.count == 1);
            prop_assert_eq!(record.len(), usize::from(closed.count));
            prop_assert_eq!((record.batch(), record.log()), (77, 9));
            prop_assert_eq!(record.accepted_ms(), 1_790_000_000_123);
            prop_assert_eq!(record.message(0).index, closed.first_index);
            prop_assert_eq!(record.message(record.len() - 1).index, closed.last_index);
            for (at, message) in record.messages().enumerate() {
                let (options, body) = &messages[position];
                prop_assert_eq!(message.index, first_index + 2 * position as u16);
                prop_assert_eq!(message.body, &body[..]);
                prop_assert_eq!(message.options(), options.borrowed());
                prop_assert_eq!(message.options.is_empty(), options.borrowed().is_default());
                let expected = format!("destination-{}", position as u32 % destinations);
                prop_assert_eq!(record.destination(message.destination), Some(&expected[..]));
                prop_assert_eq!(record.find(message.index), Some(at));
                prop_assert_eq!(record.find(message.index + 1), None);
                position += 1;
            }
        }
        prop_assert_eq!(position, messages.len());
        // None was closed before it had to be.
        for pair in records.windows(2) {
            let next = BatchRecord::parse(&pair[1].value).expect("it was just written");
            let first = next.message(0);
            let stored = first.body.len() + first.options.len() + 2;
            prop_assert!(pair[0].value.len() + stored + 8 + 15 > RECORD_BYTES);
        }
    }

    #[test]
    fn options_are_read_back_and_nothing_else(options in options(), end in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        options.borrowed().write(&mut bytes);
        prop_assume!(!options.borrowed().is_default());
        prop_assert_eq!(MessageOptions::parse(&bytes), Some(options.borrowed()));
        prop_assert_eq!(MessageOptions::parse(&bytes[..end.index(bytes.len())]), None);
        bytes.push(0);
        prop_assert_eq!(MessageOptions::parse(&bytes), None);
    }

    #[test]
    fn a_redacted_record_keeps_whose_its_messages_are(
        messages in proptest::collection::vec((options(), message()), 1..12),
        redacted in proptest::collection::vec(any::<bool>(), 12),
    ) {
        let bodies = messages.iter()
            .map(|(options, message)| (options.clone(), body_of(message)))
            .collect::<Vec<_>>();
        let indexes = redacted.iter().zip(0_u16..).filter(|(is, _)| **is).map(|(_, at)| 2 * at);
        let indexes = indexes.collect::<Vec<_>>();
        for closed in records_of(0, &bodies, 2) {
            let value = redact_record(&closed.value, &indexes).expect("a sound record");
            let (before, after) = (
                BatchRecord::parse(&closed.value).expect("it was just written"),
                BatchRecord::parse(&value).expect("it was just written"),
            );
            prop_assert_eq!(after.batch(), before.batch());
            prop_assert_eq!((after.accepted_ms(), after.log()), (before.accepted_ms(), 9));
            prop_assert_eq!(after.len(), before.len());
            prop_assert!(after.destinations().eq(before.destinations()));
            for (after, before) in after.messages().zip(before.messages()) {
                if !indexes.contains(&before.index) {
                    prop_assert_eq!(after, before);
                    continue;
                }
                let (options, message) = &messages[usize::from(before.index) / 2];
                let kept = (message.0.clone(), message.1.clone(), None, Vec::new());
                prop_assert_eq!(after.body, body_of(&kept));
                prop_assert!(after.flags & MESSAGE_REDACTED != 0);
                prop_assert_eq!((after.index, after.destination), (before.index, before.destination));
                let kept = MessageOptions { callback: "", ..options.borrowed() };
                prop_assert_eq!(after.options(), kept);
            }
            prop_assert_eq!(&redact_record(&value, &indexes), &Ok(value.clone()));
            prop_assert_eq!(&redact_record(&value, &[]), &Ok(value.clone()));
        }
    }

    #[test]
    fn log_records_are_read_back(
        at_ms in any::<u64>(),
        returns in proptest::collection::vec(a_return(), 0..20),
        (sent, failed) in (keys(), keys()),
        handed_out in proptest::collection::vec((key(), any::<i64>()), 0..40),
        cuts in proptest::collection::vec(any::<(u32, u32, u32)>(), 0..8),
        is_scored in any::<bool>(),
    ) {
        let (handed_out, mut scores): (Vec<_>, Vec<_>) = handed_out.into_iter().unzip();
        if !is_scored {
            scores.clear();
        }
        let groups = groups_of(handed_out.len(), &cuts);
        let settled = [Settled { outcome: 0, keys: &sent }, Settled { outcome: 24, keys: &failed }];
        let value = written_log(&LogEntries {
            at_ms,
            returns: &returns,
            settled: &settled,
            handed_out: &handed_out,
            handed_to: &groups,
            scores: &scores,
        });
        let record = LogRecord::parse(&value).expect("it was just written");
        prop_assert_eq!(record.at_ms(), at_ms);
        prop_assert_eq!(record.returns().collect::<Vec<_>>(), returns);
        let settled = record.settled().map(|(outcome, list)| (outcome, runs(list)));
        prop_assert_eq!(settled.collect::<Vec<_>>(), vec![(0, sent), (24, failed)]);
        prop_assert_eq!(runs(record.handed_out()), handed_out);
        prop_assert_eq!(record.handed_to().collect::<Vec<_>>(), groups);
        prop_assert_eq!(record.scores().collect::<Vec<_>>(), scores);
    }

    #[test]
    fn state_records_are_read_back(
        (as_of, ended_ms) in any::<(u64, u64)>(),
        states in proptest::collection::vec(0..=STATE_GIVEN_UP, 0..300),
        extras in proptest::collection::btree_map(any::<u16>(), any::<(u32, u64, u8)>(), 0..20),
    ) {
        let extras = extras.into_iter()
            .filter(|(index, _)| usize::from(*index) < states.len())
            .map(|(index, (attempts, due_ms, flags))| StateExtra { index, attempts, due_ms, flags })
            .collect::<Vec<_>>();
        let mut value = Vec::new();
        write_state_record(&mut value, as_of, ended_ms, states.iter().copied(), &extras);
        let record = StateRecord::parse(&value).expect("it was just written");
        prop_assert_eq!((record.as_of(), record.ended_ms()), (as_of, ended_ms));
        prop_assert_eq!(usize::from(record.length()), states.len());
        let read = record.runs().flat_map(|run| vec![run.state; run.length.into()]);
        prop_assert_eq!(read.collect::<Vec<_>>(), states);
        prop_assert_eq!(record.extras().collect::<Vec<_>>(), extras);
    }

    #[test]
    fn keys_records_are_read_back(
        keys in proptest::collection::vec((any::<[u8; 16]>(), 0_u16..65_535), 0..40),
        (hour, batch) in (any::<u32>(), 0_u64..1 << 48),
    ) {
        let mut value = Vec::new();
        write_keys_record(&mut value, &keys);
        let record = KeysRecord::parse(&value).expect("it was just written");
        prop_assert_eq!(record.iter().collect::<Vec<_>>(), keys);
        prop_assert_eq!(parse_key(&keys_key(hour, batch)), Some(Key::Keys { hour, batch }));
    }

    #[test]
    fn a_changed_record_never_passes(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..8),
        handed_out in keys(),
        place in any::<prop::sample::Index>(),
        change in 1_u8..=255,
        mark in any::<u64>(),
    ) {
        let mut marked = Vec::new();
        write_mark(&mut marked, Mark::Through, mark);
        let batch = batch_records(0, &bodies, 2).remove(0).value;
        let log = log_record(&[], &[], &[], &handed_out);
        for (value, kind) in [(marked, 3), (batch, 16), (log, 17)] {
            let mut changed = value.clone();
            changed[place.index(value.len())] ^= change;
            prop_assert!(parse(&changed, kind).is_err());
            prop_assert!(parse(&value[..place.index(value.len())], kind).is_err());
            prop_assert_eq!(parse(&value, kind), Ok(()));
        }
    }

    /// Past the checksum too: content that is no record's must not be taken for one that is cut.
    #[test]
    fn changed_content_with_a_right_checksum_never_panics(
        which in 0_usize..4,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        version in 1_u8..=2,
    ) {
        let (record_type, value) = small_records().swap_remove(which);
        let mut content = value[8..].to_vec();
        for (place, byte) in changes {
            content[place.index(value.len() - 8)] = byte;
        }
        read_all(&versioned(record_type, version, &content));
    }
}

/// Reads whatever a record has; nothing may panic.
fn read_all(value: &[u8]) {
    let _ = parse_mark(value, Mark::Ceiling);
    if let Ok(record) = BatchRecord::parse(value) {
        record.messages().for_each(|message| {
            assert!(record.destination(message.destination).is_some());
            let _ = message.options();
        });
        let _ = redact_record(value, &[record.message(0).index]);
    }
    if let Ok(record) = LogRecord::parse(value) {
        let groups = record
            .settled()
            .map(|(_, runs)| runs.count())
            .sum::<usize>();
        let handed = record.handed_out().map(|run| u64::from(run.length));
        let handed = handed.sum::<u64>();
        let to = record.handed_to().map(|group| u64::from(group.count));
        assert!([0, handed].contains(&to.sum()));
        assert!([0, handed].contains(&(record.scores().count() as u64)));
        let _ = (record.returns().count(), groups);
    }
    if let Ok(record) = StateRecord::parse(value) {
        let covered = record.runs().map(|run| u32::from(run.length)).sum::<u32>();
        assert_eq!(covered, u32::from(record.length()));
        assert!(record.runs().all(|run| run.state <= STATE_GIVEN_UP));
        let _ = record.extras().count();
    }
    if let Ok(record) = EventsRecord::parse(value) {
        assert!(record.events().count() > 0);
    }
    if let Ok(record) = KeysRecord::parse(value) {
        assert_eq!(record.iter().count(), record.len());
    }
}

fn parse(value: &[u8], kind: u8) -> Result<(), RecordError> {
    match kind {
        3 => parse_mark(value, Mark::Through).map(|_| ()),
        16 => BatchRecord::parse(value).map(|_| ()),
        17 => LogRecord::parse(value).map(|_| ()),
        18 => StateRecord::parse(value).map(|_| ()),
        20 => EventsRecord::parse(value).map(|_| ()),
        _ => KeysRecord::parse(value).map(|_| ()),
    }
}

fn versioned(record_type: u8, version: u8, content: &[u8]) -> Vec<u8> {
    let head = [0x46, record_type, version, 0];
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&head), content);
    [&head[..], &checksum.to_le_bytes(), content].concat()
}

#[test]
fn every_cut_and_every_changed_bit_is_refused() {
    for (kind, value) in small_records() {
        assert_eq!(parse(&value, kind), Ok(()));
        for bit in 0..8 * value.len() {
            let mut changed = value.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&changed, kind).is_err(), "type {kind}, bit {bit}");
        }
        for end in 0..value.len() {
            assert!(
                parse(&value[..end], kind).is_err(),
                "type {kind}, {end} bytes"
            );
        }
        // Cut or lengthened content with a checksum of its own is damaged as well.
        let version = value[2];
        for end in 8..value.len() {
            let cut = versioned(kind, version, &value[8..end]);
            let whole_sections = kind == 17 && LogRecord::parse(&cut).is_ok();
            assert!(
                parse(&cut, kind).is_err() || whole_sections,
                "type {kind}, {end} bytes"
            );
        }
        let longer = [&value[8..], &[0]].concat();
        let damaged = Err(RecordError::Damaged);
        assert_eq!(parse(&versioned(kind, version, &longer), kind), damaged);
    }
}

#[test]
fn what_only_version_2_has_is_damage_in_version_1() {
    // The flags of a record's only message.
    let slot = |flags| [&[0, 0, 0, flags][..], &[0; 4]].concat();
    let fields = [
        &[7, 0, 0, 0, 0, 0, 0, 0][..],
        &[1; 8],
        &[0, 0, 1, 0, 1, 0, 0, 0],
    ]
    .concat();
    let batch = |flags| [&fields[..], b"\x01a", &slot(flags), &[0; 4]].concat();
    assert_eq!(parse(&versioned(16, 1, &batch(0)), 16), Ok(()));
    for flags in [1, 2, 4] {
        let value = versioned(16, 1, &batch(flags));
        assert_eq!(
            parse(&value, 16),
            Err(RecordError::Damaged),
            "flags {flags}"
        );
    }
    // State 4, then the score of one message handed out.
    let state = |state| [&[0; 8][..], &[1, 0, 1, state, 1, 0]].concat();
    assert_eq!(parse(&versioned(18, 1, &state(3)), 18), Ok(()));
    assert!(parse(&versioned(18, 1, &state(4)), 18).is_err());
    let handed_out = [3, 3, 1, 0, 1];
    let scored = [&handed_out[..], &[5, 1, 0]].concat();
    assert_eq!(parse(&versioned(17, 1, &handed_out), 17), Ok(()));
    assert!(parse(&versioned(17, 1, &scored), 17).is_err());
    let second = [&[0; 8][..], &scored].concat();
    assert_eq!(parse(&versioned(17, 2, &second), 17), Ok(()));
}

#[test]
fn what_a_log_says_of_the_handed_out_covers_all_of_them() {
    let log = |sections: &[u8]| {
        let content = [&[0; 8][..], &[3, 3, 1, 0, 2], sections].concat();
        parse(&versioned(17, 2, &content), 17)
    };
    let damaged = Err(RecordError::Damaged);
    assert_eq!(log(&[4, 4, 1, 2, 7, 7]), Ok(()), "one group of two");
    assert_eq!(
        log(&[4, 7, 2, 1, 7, 7, 1, 7, 8]),
        Ok(()),
        "two groups of one"
    );
    assert_eq!(log(&[4, 4, 1, 1, 7, 7]), damaged, "one is missing");
    assert_eq!(log(&[4, 4, 1, 3, 7, 7]), damaged, "one too many");
    assert_eq!(log(&[4, 7, 2, 2, 7, 7, 0, 7, 8]), damaged, "an empty group");
    assert_eq!(log(&[5, 2, 0, 1]), Ok(()), "two scores");
    assert_eq!(log(&[5, 1, 0]), damaged, "one score");
    assert_eq!(log(&[5, 3, 0, 0, 0]), damaged, "three scores");
}

#[test]
fn a_record_of_version_1_is_redacted_into_version_2() {
    let recipient = ["+15550199", "a@b.example"];
    let rows = golden("records.json");
    let row = rows["records"]
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| {
            row["meaning"]["messages"]
                .as_array()
                .is_some_and(|all| all.len() == 3)
        })
        .expect("a batch record of three messages");
    assert_eq!(row["version"], 1);
    let hex = row["hex"].as_str().expect("hex");
    let value = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect::<Vec<_>>();
    let redacted = redact_record(&value, &[4, 77]).expect("a sound record");
    let holds = |text: &str| {
        redacted
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(holds(recipient[0]) && !holds(recipient[1]));
    let record = BatchRecord::parse(&redacted).expect("a record");
    assert_eq!((redacted[2], record.log(), record.len()), (2, 0, 3));
    let flags = record.messages().map(|message| message.flags);
    assert_eq!(flags.collect::<Vec<_>>(), [0, 0, MESSAGE_REDACTED]);
}

#[test]
fn a_newer_version_is_named() {
    for (kind, known) in [(3, 1), (16, 2), (17, 2), (18, 2), (19, 1)] {
        let version = known + 1;
        let value = versioned(kind, version, &[0; 20]);
        let newer = RecordError::NewerVersion { version, known };
        assert_eq!(parse(&value, kind), Err(newer));
        assert_eq!(
            parse(&versioned(kind, 0, &[0; 20]), kind),
            Err(RecordError::Damaged)
        );
    }
    assert_eq!(
        parse_mark(&versioned(3, 1, &[0; 8]), Mark::Ceiling),
        Err(RecordError::Damaged)
    );
}

#[test]
fn a_256th_destination_begins_a_record() {
    let bodies = vec![vec![0]; 300];
    let records = batch_records(0, &bodies, 300);
    let counts = records
        .iter()
        .map(|record| record.count)
        .collect::<Vec<_>>();
    assert_eq!(counts, [255, 45]);
}
