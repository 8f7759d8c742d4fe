//! The golden files of test/golden, which the TypeScript side reads too: both have to find the
//! meaning in the bytes, and the bytes for the meaning.

use crate::golden::{bytes, golden, hex, rows, text, uint, uint32};
use fairlead_core::client_frame::{
    FrameError, KIND_CANCEL, KIND_RECEIPT, KIND_STATUS, Outcome, PublishItem, PublishOptions,
    Receipt, decode_credit, decode_ids, decode_publish, decode_receipt, decode_settle,
    decode_subscribe, frame_kind_and_id,
};
use fairlead_core::daemon_frame::{
    Delivery, ErrorDetails, Refused, Repeated, StatusEntry, write_cancel_ok, write_deliver_header,
    write_delivery, write_error, write_ok, write_publish_ok, write_settle_ok, write_status_ok,
};
use fairlead_core::exchange::{
    Admission, Change, Counters, DestinationFields, EFFECTS_HEADER_BYTES, EffectOp, EffectsHeader,
    EntityKind, FairBy, GatewayFields, InputEntry, InputOp, InputReader, OnDoubt, SetFields,
    SetOrder, SetPolicy, TenantFields, begin_effect, decode_configure, decode_connect,
    decode_disk_full, decode_explain, decode_gateway_up, decode_in_use, decode_stats, decode_taken,
    end_effect, write_close, write_effect, write_effects_header,
};
use fairlead_core::message_id::MessageId;
use fairlead_core::msgpack::{Reader, write_array_len, write_bin, write_nil, write_str};
use fairlead_core::record::{
    BatchRecord, BatchRecordBuilder, EventInfo, EventsRecord, HandedTo, JournalEntry,
    JournalReader, JournalWriter, Key, KeysRecord, LogEntries, LogRecord, MESSAGE_REDACTED, Mark,
    MessageOptions, Return, Runs, Settled, StateExtra, StateRecord, StatusEvent, batch_key,
    events_key, keys_key, log_key, message_key, parse_key, parse_mark, parse_usage_record,
    redact_record, state_key, usage_key, write_events_record, write_keys_record, write_log_record,
    write_mark, write_state_record, write_status_event, write_usage_record,
};
use serde_json::{Value, json};

fn options_meaning(options: &PublishOptions<'_>) -> Value {
    json!({
        "k": options.key.map(text), "l": options.level, "c": options.cost, "at": options.at_ms,
        "ttl": options.ttl_ms, "cb": options.callback, "o": options.order_key.map(text),
        "ce": options.callback_events, "g": options.tag.map(text),
    })
}

fn decode_client(frame: &[u8]) -> Result<Value, FrameError> {
    let (kind, _) = frame_kind_and_id(frame)?;
    match kind {
        1 => {
            let mut items = Vec::new();
            let head = decode_publish(frame, &mut items)?;
            let message = |item: &PublishItem| {
                let mut message = json!({
                    "tenant": item.tenant(frame).map(text),
                    "sender": item.sender(frame).map(text),
                    "recipient": item.recipient(frame).map(text),
                    "payload": hex(item.payload(frame)),
                    "isBin": item.payload_is_bin(),
                });
                if item.has_options() {
                    message["options"] = options_meaning(&item.options(frame));
                }
                message
            };
            let messages = items.iter().map(message).collect::<Vec<_>>();
            Ok(json!({
                "kind": "publish", "id": head.id, "destination": head.destination,
                "messages": messages,
            }))
        }
        2 => decode_subscribe(frame).map(|frame| {
            let mut meaning = json!({
                "kind": "subscribe", "id": frame.id, "subscription": frame.subscription,
                "destination": frame.destination, "credit": frame.credit,
            });
            if let Some(gateway) = frame.gateway {
                meaning["gateway"] = gateway.into();
            }
            meaning
        }),
        3 => decode_credit(frame).map(|frame| {
            json!({
                "kind": "credit", "id": frame.id, "subscription": frame.subscription,
                "add": frame.add,
            })
        }),
        KIND_RECEIPT => {
            let mut receipts = Vec::new();
            let id = decode_receipt(frame, &mut receipts)?;
            let receipt = |entry: &Receipt| {
                json!({
                    "messageId": hex(&entry.id.0), "status": entry.status, "code": entry.code,
                })
            };
            let receipts = receipts.iter().map(receipt).collect::<Vec<_>>();
            Ok(json!({ "kind": "receipt", "id": id, "receipts": receipts }))
        }
        KIND_CANCEL | KIND_STATUS => {
            let mut ids = Vec::new();
            let id = decode_ids(frame, kind, &mut ids)?;
            let name = if kind == KIND_CANCEL {
                "cancel"
            } else {
                "status"
            };
            let ids = ids.iter().map(|id| hex(&id.0)).collect::<Vec<_>>();
            Ok(json!({ "kind": name, "id": id, "messageIds": ids }))
        }
        _ => {
            let mut outcomes = Vec::new();
            let head = decode_settle(frame, &mut outcomes)?;
            let outcome = |entry: &Outcome| {
                json!({
                    "delivery": entry.delivery, "outcome": entry.outcome, "code": entry.code,
                    "retryAfterMs": entry.retry_after_ms, "scope": entry.scope,
                })
            };
            let outcomes = outcomes.iter().map(outcome).collect::<Vec<_>>();
            Ok(json!({
                "kind": "settle", "id": head.id, "subscription": head.subscription,
                "outcomes": outcomes,
            }))
        }
    }
}

#[test]
fn client_frames_mean_what_they_should() {
    for row in rows(&golden("client-frames.json")) {
        let meaning = decode_client(&bytes(&row["hex"])).unwrap_or_else(|error| {
            assert!(!error.message.is_empty());
            json!({
                "kind": "error", "code": error.code.number(), "id": error.id,
                "index": error.index, "key": error.key,
            })
        });
        assert_eq!(meaning, row["meaning"], "{}", row["name"]);
    }
}

fn body(delivery: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    for field in ["tenant", "sender", "recipient"] {
        match delivery[field].as_str() {
            Some(name) => write_str(&mut body, name),
            None => write_nil(&mut body),
        }
    }
    write_bin(&mut body, &bytes(&delivery["payload"]));
    body
}

fn id(hex: &Value) -> MessageId {
    MessageId::parse(&bytes(hex)).expect("16 bytes")
}

fn status_entry(entry: &Value) -> Option<StatusEntry> {
    (!entry.is_null()).then(|| StatusEntry {
        status: uint(&entry["status"]) as u8,
        attempts: uint32(&entry["attempts"]),
        accepted_ms: uint(&entry["acceptedMs"]),
        due_ms: entry["dueMs"].as_u64(),
        ended_ms: entry["endedMs"].as_u64(),
        code: entry["code"].as_u64().map(|code| code as u32),
    })
}

fn encode_daemon(meaning: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let number = |field: &str| uint32(&meaning[field]);
    match meaning["kind"].as_str().expect("a kind") {
        "ok" => write_ok(&mut out, number("id")),
        "publishOk" => {
            let refused = rows(&meaning["refused"]).iter().map(|refused| Refused {
                index: uint32(&refused["index"]),
                code: uint32(&refused["code"]),
                retry_after_ms: refused["retryAfterMs"].as_u64(),
            });
            let refused = refused.collect::<Vec<_>>();
            let repeated = rows(&meaning["repeated"]).iter().map(|repeated| Repeated {
                index: uint32(&repeated["index"]),
                id: id(&repeated["messageId"]),
            });
            write_publish_ok(
                &mut out,
                number("id"),
                (!meaning["firstId"].is_null())
                    .then(|| id(&meaning["firstId"]))
                    .as_ref(),
                number("count"),
                &refused,
                &repeated.collect::<Vec<_>>(),
            );
        }
        "cancelOk" => {
            let refused = rows(&meaning["refused"]).iter();
            let refused = refused.map(|entry| (uint32(&entry["index"]), uint32(&entry["code"])));
            let refused = refused.collect::<Vec<_>>();
            write_cancel_ok(&mut out, number("id"), number("cancelled"), &refused);
        }
        "statusOk" => {
            let entries = rows(&meaning["entries"]).iter().map(status_entry);
            write_status_ok(&mut out, number("id"), &entries.collect::<Vec<_>>());
        }
        "settleOk" => write_settle_ok(&mut out, number("id"), number("applied"), number("unknown")),
        "error" => {
            let details = &meaning["details"];
            let details = ErrorDetails {
                index: details["index"].as_u64().map(|index| index as u32),
                key: details["key"].as_str(),
                retry_after_ms: details["retryAfterMs"].as_u64(),
            };
            let message = meaning["message"].as_str().expect("a message");
            write_error(&mut out, number("id"), number("code"), message, &details);
        }
        "deliver" => {
            let deliveries = rows(&meaning["deliveries"]);
            write_deliver_header(&mut out, number("subscription"), deliveries.len());
            for delivery in deliveries {
                let fixed = Delivery {
                    delivery: uint(&delivery["delivery"]),
                    id: id(&delivery["messageId"]),
                    attempt: uint32(&delivery["attempt"]),
                    accepted_ms: uint(&delivery["acceptedMs"]),
                    flags: uint(&delivery["flags"]) as u8,
                    expires_ms: delivery["expiresMs"].as_u64(),
                };
                write_delivery(&mut out, &fixed, &body(delivery));
            }
        }
        kind => panic!("the core sends no {kind}"),
    }
    out
}

#[test]
fn daemon_frames_have_their_bytes() {
    for row in rows(&golden("daemon-frames.json")) {
        if ["core", "both"].contains(&row["encoded"].as_str().expect("who encodes it")) {
            assert_eq!(
                hex(&encode_daemon(&row["meaning"])),
                row["hex"],
                "{}",
                row["name"]
            );
        }
    }
}

/// One arm an operation.
#[allow(clippy::too_many_lines)]
fn input_meaning(entry: &InputEntry<'_>) -> Value {
    let mut meaning = json!({ "connection": entry.connection });
    let mut set = |field: &str, value: Value| meaning[field] = value;
    let name = match entry.op {
        InputOp::Frame => {
            set("hex", hex(entry.bytes).into());
            "frame"
        }
        InputOp::Connect => {
            let connect = decode_connect(entry.bytes).expect("a connect");
            set("scopes", connect.scopes.into());
            set("tenant", connect.tenant.into());
            "connect"
        }
        InputOp::Configure => {
            let configure = decode_configure(entry.bytes).expect("a configure");
            set("name", configure.name.into());
            let (kind, fields) = change_meaning(&configure.change);
            set("kind", kind.into());
            set("fields", fields);
            "configure"
        }
        InputOp::Explain => {
            let explain = decode_explain(entry.bytes).expect("an explain");
            set("destination", explain.destination.into());
            set("offset", explain.offset.into());
            set("limit", explain.limit.into());
            "explain"
        }
        InputOp::Stats => {
            set(
                "topTenants",
                decode_stats(entry.bytes).expect("a stats").into(),
            );
            "stats"
        }
        InputOp::InUse => {
            let in_use = decode_in_use(entry.bytes).expect("an inUse");
            let kind = match in_use.kind {
                EntityKind::Destination => "destination",
                EntityKind::Set => "set",
                EntityKind::Tenant => "tenant",
                EntityKind::Sender => "sender",
                EntityKind::Pool => "pool",
                EntityKind::Gateway => "gateway",
                EntityKind::Price => "price",
                EntityKind::Cap => "cap",
                EntityKind::Billable => "billable",
            };
            set("kind", kind.into());
            set("name", in_use.name.into());
            "inUse"
        }
        InputOp::GatewayUp => {
            let told = decode_gateway_up(entry.bytes).expect("a gatewayUp");
            set("name", told.name.into());
            set("up", told.up.into());
            "gatewayUp"
        }
        InputOp::DiskFull => {
            set(
                "refuse",
                decode_disk_full(entry.bytes).expect("a diskFull").into(),
            );
            "diskFull"
        }
        InputOp::Disconnect => "disconnect",
        InputOp::Park => "park",
        InputOp::Unpark => "unpark",
        InputOp::Checkpoint => "checkpoint",
        InputOp::Drain => "drain",
        InputOp::Call => {
            let (head, rest) = entry.bytes.split_at(2);
            let (tenant, frame) = rest.split_at(head[1].into());
            set("scopes", head[0].into());
            let tenant = Some(text(tenant)).filter(|tenant| !tenant.is_empty());
            set("tenant", tenant.into());
            set("hex", hex(frame).into());
            "call"
        }
        InputOp::Find => fields(entry, &mut set, "find id tenant trace"),
        InputOp::List => {
            let names = "list destination tenant statuses fromMs toMs cursor limit newestFirst";
            fields(entry, &mut set, names)
        }
        InputOp::CancelAll => fields(entry, &mut set, "cancelAll destination tenant sender"),
        InputOp::DeadLetters | InputOp::Replay | InputOp::Purge => {
            fields(entry, &mut set, dead_letter_names(entry.op))
        }
        InputOp::EventsTaken => {
            let sequence = decode_taken(entry.bytes).expect("an eventsTaken");
            set("sequence", sequence.into());
            "eventsTaken"
        }
        InputOp::UsageTaken => {
            let sequence = decode_taken(entry.bytes).expect("a usageTaken");
            set("sequence", sequence.into());
            "usageTaken"
        }
        InputOp::Forget => fields(entry, &mut set, "forget id tenant"),
        InputOp::Redact => fields(entry, &mut set, "redact id tenant"),
        InputOp::Erase => fields(entry, &mut set, "erase tenant cursor"),
        InputOp::GateList | InputOp::GateExplain | InputOp::GateTop => {
            fields(entry, &mut set, gate_names(entry.op))
        }
        InputOp::UsageDeltas
        | InputOp::TriggerPut
        | InputOp::TriggerDelete
        | InputOp::TriggerList
        | InputOp::TriggerShow
        | InputOp::TriggerRearm
        | InputOp::UsageRecords
        | InputOp::FiringTold
        | InputOp::UsageStats => panic!("no shard takes it"),
    };
    set("op", name.into());
    meaning
}

/// Name and fields of what is done with dead letters.
fn dead_letter_names(op: InputOp) -> &'static str {
    match op {
        InputOp::DeadLetters => "deadLetters destination tenant cursor limit",
        InputOp::Replay => "replay destination tenant ids",
        _ => "purge destination tenant ids",
    }
}

/// Name and fields of what an operator asks the gate.
fn gate_names(op: InputOp) -> &'static str {
    match op {
        InputOp::GateList => "gateList resource tenant cursor limit",
        InputOp::GateExplain => "gateExplain resource tenant",
        _ => "gateTop by limit",
    }
}

/// Sets the fields of an entry that is one msgpack array; `names` begins with that of the entry.
fn fields<'a>(
    entry: &InputEntry<'_>,
    set: &mut impl FnMut(&str, Value),
    names: &'a str,
) -> &'a str {
    let (entry_name, names) = names.split_once(' ').expect("fields");
    let mut reader = Reader::new(entry.bytes);
    let count = reader.array_len().expect("an array");
    let names = names.split(' ').collect::<Vec<_>>();
    assert_eq!(count, names.len(), "{entry_name}");
    for name in names {
        set(name, msgpack_value(&mut reader));
    }
    reader.end().expect("nothing more");
    entry_name
}

/// Any value of those that a request has; bytes as hex.
fn msgpack_value(reader: &mut Reader<'_>) -> Value {
    match reader.peek().expect("a value") {
        0xc0 => {
            assert_eq!(reader.nil(), Ok(true));
            Value::Null
        }
        0xc2 | 0xc3 => reader.bool().expect("a bool").into(),
        0x90..=0x9f => (0..reader.array_len().expect("an array"))
            .map(|_| msgpack_value(reader))
            .collect(),
        0xa0..=0xbf => text(reader.str().expect("a str")).into(),
        0xc4 => hex(reader.bin().expect("a bin")).into(),
        _ => reader.uint().expect("a number").into(),
    }
}

fn rate(rate: Option<f64>) -> Value {
    // JSON has one type of number; serde_json keeps 5 and 5.0 apart.
    rate.map_or(Value::Null, |rate| {
        if rate.fract() == 0.0 {
            json!(rate as i64)
        } else {
            json!(rate)
        }
    })
}

fn change_meaning(change: &Change<'_>) -> (&'static str, Value) {
    match change {
        Change::Destination(fields) => ("destination", fields.map(destination_meaning).into()),
        Change::Set(fields) => ("set", fields.map(set_meaning).into()),
        Change::Tenant(fields) => ("tenant", fields.map(tenant_meaning).into()),
        Change::Sender(fields) => {
            let meaning = fields.map(|fields| {
                json!({
                    "ratePerSec": rate(fields.rate_per_sec), "burst": fields.burst,
                    "inFlightMax": fields.in_flight_max, "pool": fields.pool,
                    "paused": fields.paused, "refuseNew": fields.refuse_new,
                })
            });
            ("sender", meaning.into())
        }
        Change::Pool(fields) => {
            let meaning = fields.map(
                |fields| json!({ "ratePerSec": rate(fields.rate_per_sec), "burst": fields.burst }),
            );
            ("pool", meaning.into())
        }
        Change::Gateway(fields) => ("gateway", fields.as_ref().map(gateway_meaning).into()),
        Change::Price(_) | Change::Cap(_) => panic!("in a file of their own"),
        Change::Billable(outcome) => ("billable", json!({ "outcome": *outcome as u8 })),
    }
}

fn gateway_meaning(fields: &GatewayFields<'_>) -> Value {
    json!({
        "type": fields.kind.name(), "destinations": fields.destinations, "weight": fields.weight,
        "ratePerSec": rate(fields.rate_per_sec), "burst": fields.burst,
        "inFlightMax": fields.in_flight_max, "paused": fields.paused,
    })
}

#[test]
fn gateways_mean_what_they_should() {
    let golden = golden("gateways.json");
    for row in rows(&golden["configure"]) {
        let bytes = bytes(&row["hex"]);
        let configure = decode_configure(&bytes).expect("a configure");
        let (kind, fields) = change_meaning(&configure.change);
        let meaning = json!({ "kind": kind, "name": configure.name, "fields": fields });
        assert_eq!(meaning, row["meaning"]);
    }
    for row in rows(&golden["configureBad"]) {
        assert!(decode_configure(&bytes(row)).is_err(), "{row}");
    }
    for row in rows(&golden["gatewayUp"]) {
        let bytes = bytes(&row["hex"]);
        let told = decode_gateway_up(&bytes).expect("a gatewayUp");
        assert_eq!(json!({ "name": told.name, "up": told.up }), row["meaning"]);
        let cut = &bytes[..bytes.len() - 1];
        assert!(decode_gateway_up(cut).is_err());
    }
    let row = &golden["inUse"][0];
    let asked = bytes(&row["hex"]);
    let asked = decode_in_use(&asked).expect("an inUse");
    assert_eq!((asked.kind, asked.name), (EntityKind::Gateway, "hook"));
}

fn destination_meaning(fields: DestinationFields) -> Value {
    let on_doubt = match fields.on_doubt {
        OnDoubt::Redeliver => "redeliver",
        OnDoubt::Fail => "fail",
    };
    let fair_by = match fields.fair_by {
        FairBy::Auto => "auto",
        FairBy::Cost => "cost",
        FairBy::Time => "time",
    };
    let admission = match fields.admission {
        Admission::Off => "off",
        Admission::Shadow => "shadow",
        Admission::On => "on",
    };
    json!({
        "ratePerSec": rate(fields.rate_per_sec), "burst": fields.burst,
        "inFlightMax": fields.in_flight_max, "leaseMs": fields.lease_ms,
        "attemptsMax": fields.attempts_max, "onDoubt": on_doubt, "fairBy": fair_by,
        "paused": fields.paused, "retryBaseMs": fields.retry_base_ms,
        "retryMaxMs": fields.retry_max_ms, "retryJitter": fields.retry_jitter,
        "validityMs": fields.validity_ms, "refuseNew": fields.refuse_new, "admission": admission,
    })
}

fn set_meaning(fields: SetFields) -> Value {
    let order = match fields.order {
        SetOrder::Fifo => "fifo",
        SetOrder::Strict => "strict",
    };
    let policy = match fields.policy {
        SetPolicy::Fair => "fair",
        SetPolicy::Shuffle => "shuffle",
    };
    json!({
        "weight": fields.weight, "ratePerSec": rate(fields.rate_per_sec),
        "burst": fields.burst, "inFlightMax": fields.in_flight_max, "order": order,
        "borrowMax": rate(fields.borrow_max), "paused": fields.paused,
        "refuseNew": fields.refuse_new, "policy": policy, "slots": fields.slots,
        "hand": fields.hand,
    })
}

fn tenant_meaning(fields: TenantFields<'_>) -> Value {
    let floors = fields.level_floors.map(|levels| {
        let floors = &levels.floors[..levels.count.into()];
        let floors = floors.iter().map(|floor| rate(Some((*floor).into())));
        floors.collect::<Vec<_>>()
    });
    json!({
        "set": fields.set, "weight": fields.weight,
        "ratePerSec": rate(fields.rate_per_sec), "burst": fields.burst,
        "inFlightMax": fields.in_flight_max, "paused": fields.paused,
        "refuseNew": fields.refuse_new, "levelFloors": floors,
        "waitingMax": fields.waiting_max, "waitingBytesMax": fields.waiting_bytes_max,
        "refuseCode": fields.refuse_code.number(),
    })
}

/// Takes out the fields that a `configure` of the short form leaves out: they have their defaults.
fn without_defaults(mut read: Value, expected: &Value) -> Value {
    let Some(names) = expected["fields"].as_object() else {
        return read;
    };
    let defaults = match expected["kind"].as_str() {
        Some("destination") => destination_meaning(DestinationFields::default()),
        Some("set") => set_meaning(SetFields::default()),
        _ => json!({
            "refuseNew": false, "levelFloors": null, "waitingMax": null, "waitingBytesMax": null,
            "refuseCode": 3022,
        }),
    };
    if let Some(fields) = read["fields"].as_object_mut() {
        fields.retain(|name, value| names.contains_key(name) || *value != defaults[name]);
    }
    read
}

#[test]
fn an_input_means_what_it_should() {
    let golden = &golden("exchange.json")["input"];
    let input = bytes(&golden["hex"]);
    let reader = InputReader::new(&input).expect("a header");
    let exchange = reader.exchange();
    let expected = rows(&golden["meaning"]["entries"]);
    let read = reader.collect::<Result<Vec<_>, _>>().expect("entries");
    assert_eq!(read.len(), expected.len());
    let entries = read
        .iter()
        .zip(expected)
        .map(|(entry, expected)| without_defaults(input_meaning(entry), expected));
    let entries = entries.collect::<Vec<_>>();
    assert_eq!(
        json!({ "exchange": exchange, "entries": entries }),
        golden["meaning"]
    );
}

#[test]
fn effects_have_their_bytes() {
    let golden = &golden("exchange.json")["effects"];
    let meaning = &golden["meaning"];
    let mut out = vec![0; EFFECTS_HEADER_BYTES];
    for entry in rows(&meaning["entries"]) {
        let connection = uint32(&entry["connection"]);
        match entry["op"].as_str().expect("an op") {
            "send" => write_effect(&mut out, EffectOp::Send, connection, &bytes(&entry["hex"])),
            "reply" => {
                let json = entry["text"].as_str().expect("JSON text").as_bytes();
                write_effect(&mut out, EffectOp::Reply, connection, json);
            }
            "replyFrame" => {
                let frame = bytes(&entry["hex"]);
                write_effect(&mut out, EffectOp::ReplyFrame, connection, &frame);
            }
            "statusEvents" => {
                let start = begin_effect(&mut out, EffectOp::StatusEvents, connection);
                out.extend_from_slice(&uint(&entry["sequence"]).to_le_bytes());
                write_events(&mut out, rows(&entry["events"]));
                end_effect(&mut out, start);
            }
            "usage" => {
                let start = begin_effect(&mut out, EffectOp::Usage, connection);
                out.extend_from_slice(&uint(&entry["sequence"]).to_le_bytes());
                out.extend_from_slice(&bytes(&entry["list"]));
                end_effect(&mut out, start);
            }
            _ => write_close(&mut out, connection, uint(&entry["code"]) as u16),
        }
    }
    let count = |name: &str| uint(&meaning["counters"][name]);
    let counters = Counters {
        accepted: count("accepted"),
        refused: count("refused"),
        delivered: count("delivered"),
        settled_sent: count("settledSent"),
        settled_delivered: count("settledDelivered"),
        settled_retry: count("settledRetry"),
        settled_failed: count("settledFailed"),
        settled_throttled: count("settledThrottled"),
        settled_not_attempted: count("settledNotAttempted"),
        returned: count("returned"),
        failed_final: count("failedFinal"),
        waiting: count("waiting"),
        in_flight: count("inFlight"),
        queues: count("queues"),
        log_bytes: count("logBytes"),
        oldest_accepted_ms: count("oldestAcceptedMs"),
        expired: count("expired"),
        cancelled: count("cancelled"),
        undelivered: count("undelivered"),
        repeated: count("repeated"),
        scheduled: count("scheduled"),
        dead_letters: count("deadLetters"),
        dead_letters_dropped: count("deadLettersDropped"),
        ended_bytes: count("endedBytes"),
        idempotency_keys: count("idempotencyKeys"),
        accepted_then_expired: count("acceptedThenExpired"),
        refused_by_time: count("refusedByTime"),
        refused_would_have_made_it: count("refusedWouldHaveMadeIt"),
    };
    let header = EffectsHeader {
        entries: rows(&meaning["entries"]).len() as u32,
        exchange: uint(&meaning["exchange"]),
        boot_id: uint32(&meaning["bootId"]),
        wake_after_ms: uint32(&meaning["wakeAfterMs"]),
        counters,
    };
    write_effects_header(&mut out, &header);
    assert_eq!(hex(&out), golden["hex"]);
}

fn event_of(meaning: &Value) -> StatusEvent<'_> {
    let info = &meaning["info"];
    let text = |name: &str| info[name].as_str().map(str::as_bytes);
    StatusEvent {
        id: id(&meaning["id"]),
        status: uint(&meaning["status"]) as u8,
        code: meaning["code"].as_u64().map(|code| code as u32),
        at_ms: uint(&meaning["atMs"]),
        attempts: uint32(&meaning["attempt"]),
        info: (!info.is_null()).then(|| EventInfo {
            destination: text("destination").expect("a destination"),
            tenant: text("tenant").expect("a tenant"),
            sender: text("sender"),
            recipient: text("recipient"),
            callback: text("callback").expect("a callback"),
            mask: info["mask"].as_u64().map(|mask| mask as u32),
            tag: text("tag"),
            cost: uint32(&info["cost"]),
        }),
    }
}

/// Events as they stand in effects and records: one msgpack array.
fn write_events(out: &mut Vec<u8>, meaning: &[Value]) {
    write_array_len(out, meaning.len());
    for event in meaning {
        write_status_event(out, &event_of(event));
    }
}

fn events_of(value: &[u8], key: &Key, meaning: &Value) -> (Vec<u8>, Vec<u8>) {
    let record = EventsRecord::parse(value).expect("an events record");
    let expected: Vec<StatusEvent<'_>> = rows(&meaning["events"]).iter().map(event_of).collect();
    assert_eq!(record.events().collect::<Vec<_>>(), expected);
    let Key::Events { sequence } = key else {
        panic!("{key:?} is no key of events")
    };
    let mut events = Vec::new();
    for event in &expected {
        write_status_event(&mut events, event);
    }
    let mut out = Vec::new();
    write_events_record(&mut out, expected.len(), &events);
    (events_key(*sequence).to_vec(), out)
}

fn place(key: u64) -> (u64, u64) {
    (key >> 16, key & 0xffff)
}

fn runs_meaning(runs: Runs<'_>) -> Value {
    let meaning =
        |(batch, index), length| json!({ "batch": batch, "index": index, "length": length });
    runs.map(|run| meaning(place(run.key), run.length))
        .collect()
}

fn key_of(place: &Value) -> u64 {
    message_key(uint(&place["batch"]), uint(&place["index"]) as u16)
}

fn keys_of(runs: &Value) -> Vec<u64> {
    rows(runs)
        .iter()
        .flat_map(|run| key_of(run)..key_of(run) + uint(&run["length"]))
        .collect()
}

fn options_of(meaning: &Value) -> MessageOptions<'_> {
    MessageOptions {
        cost: uint32(&meaning["cost"]),
        level: uint(&meaning["level"]) as u8,
        at_ms: uint(&meaning["atMs"]),
        expires_ms: uint(&meaning["expiresMs"]),
        callback: meaning["callback"].as_str().unwrap_or_default(),
        order_key: meaning["orderKey"].as_str().unwrap_or_default().as_bytes(),
        tag: meaning["tag"].as_str().unwrap_or_default().as_bytes(),
        key_hash: meaning["keyHash"]
            .is_string()
            .then(|| hash(&meaning["keyHash"])),
    }
}

fn hash(hex: &Value) -> [u8; 16] {
    bytes(hex).try_into().expect("16 bytes")
}

fn batch_of(value: &[u8], meaning: &Value) -> (Vec<u8>, Vec<u8>) {
    let record = BatchRecord::parse(value).expect("a batch record");
    assert_eq!(record.batch(), uint(&meaning["batch"]));
    assert_eq!(record.accepted_ms(), uint(&meaning["acceptedMs"]));
    assert_eq!(record.log(), uint(&meaning["log"]));
    let messages = rows(&meaning["messages"]);
    assert_eq!(record.len(), messages.len());
    let mut builder = BatchRecordBuilder::new();
    builder.begin(record.batch(), record.accepted_ms(), record.log());
    let mut redacted = Vec::new();
    for (position, expected) in messages.iter().enumerate() {
        let message = record.message(position);
        let destination = record
            .destination(message.destination)
            .expect("a destination");
        let options = options_of(&expected["options"]);
        assert_eq!(uint(&expected["index"]), u64::from(message.index));
        assert_eq!(expected["destination"], destination);
        assert_eq!(message.body, body(expected));
        assert_eq!(message.options(), options);
        assert_eq!(expected["redacted"], message.flags & MESSAGE_REDACTED != 0);
        assert_eq!(record.find(message.index), Some(position));
        let write = |out: &mut Vec<u8>| out.extend_from_slice(message.body);
        let id = u32::from(message.destination);
        let closed = builder.push(message.index, id, destination, Some(&options), write);
        assert_eq!(closed, None);
        if expected["redacted"] == true {
            redacted.push(message.index);
        }
    }
    let closed = builder.finish().expect("a record");
    let key = closed.key().to_vec();
    // What is redacted in the file has nothing that redacting takes away.
    (
        key,
        redact_record(&closed.value, &redacted).expect("a record"),
    )
}

fn log_of(value: &[u8], key: &Key, meaning: &Value) -> (Vec<u8>, Vec<u8>) {
    let record = LogRecord::parse(value).expect("a log record");
    let returns = record.returns().map(|entry| {
        let (batch, index) = place(entry.key);
        json!({
            "batch": batch, "index": index, "reason": entry.reason,
            "attempts": entry.attempts, "dueMs": entry.due_ms, "flags": entry.flags,
        })
    });
    let settled = record
        .settled()
        .map(|(outcome, runs)| json!({ "outcome": outcome, "runs": runs_meaning(runs) }));
    let handed_to = record.handed_to().map(|group| {
        json!({
            "count": group.count, "connection": group.connection,
            "subscription": group.subscription,
        })
    });
    let read = json!({
        "type": "log", "atMs": record.at_ms(), "returns": returns.collect::<Vec<_>>(),
        "settled": settled.collect::<Vec<_>>(), "handedOut": runs_meaning(record.handed_out()),
        "handedTo": handed_to.collect::<Vec<_>>(), "scores": record.scores().collect::<Vec<_>>(),
    });
    assert_eq!(&read, meaning);
    let Key::Log { sequence } = key else {
        panic!("{key:?} is no log key")
    };
    (log_key(*sequence).to_vec(), written_log(meaning))
}

fn written_log(meaning: &Value) -> Vec<u8> {
    let returns = rows(&meaning["returns"]).iter().map(|entry| Return {
        key: key_of(entry),
        reason: uint(&entry["reason"]) as u8,
        attempts: uint32(&entry["attempts"]),
        due_ms: uint(&entry["dueMs"]),
        flags: uint(&entry["flags"]) as u8,
    });
    let groups = rows(&meaning["settled"]);
    let keys = groups
        .iter()
        .map(|group| keys_of(&group["runs"]))
        .collect::<Vec<_>>();
    let settled = groups.iter().zip(&keys);
    let settled = settled.map(|(group, keys)| Settled {
        outcome: uint(&group["outcome"]) as u8,
        keys,
    });
    let handed_to = rows(&meaning["handedTo"]).iter().map(|group| HandedTo {
        count: uint32(&group["count"]),
        connection: uint32(&group["connection"]),
        subscription: uint32(&group["subscription"]),
    });
    let scores = rows(&meaning["scores"])
        .iter()
        .map(|score| score.as_i64().expect("a number"));
    let entries = LogEntries {
        at_ms: uint(&meaning["atMs"]),
        returns: &returns.collect::<Vec<_>>(),
        settled: &settled.collect::<Vec<_>>(),
        handed_out: &keys_of(&meaning["handedOut"]),
        handed_to: &handed_to.collect::<Vec<_>>(),
        scores: &scores.collect::<Vec<_>>(),
    };
    let mut out = Vec::new();
    write_log_record(&mut out, &mut Vec::new(), &entries);
    out
}

fn state_of(value: &[u8], key: &Key, meaning: &Value) -> (Vec<u8>, Vec<u8>) {
    let record = StateRecord::parse(value).expect("a state record");
    let runs = record
        .runs()
        .map(|run| json!({ "state": run.state, "length": run.length }));
    let extras = record.extras().map(|extra| {
        json!({
            "index": extra.index, "attempts": extra.attempts, "dueMs": extra.due_ms,
            "flags": extra.flags,
        })
    });
    let read = json!({
        "type": "state", "asOf": record.as_of(), "endedMs": record.ended_ms(),
        "runs": runs.collect::<Vec<_>>(), "extras": extras.collect::<Vec<_>>(),
    });
    assert_eq!(&read, meaning);
    let states = record
        .runs()
        .flat_map(|run| (0..run.length).map(move |_| run.state));
    let states = states.collect::<Vec<_>>();
    let extras = record.extras().collect::<Vec<StateExtra>>();
    let mut out = Vec::new();
    let (as_of, ended_ms) = (record.as_of(), record.ended_ms());
    write_state_record(&mut out, as_of, ended_ms, states.iter().copied(), &extras);
    let Key::State { batch } = key else {
        panic!("{key:?} is no state key")
    };
    (state_key(*batch).to_vec(), out)
}

fn keys_of_record(value: &[u8], key: &Key, meaning: &Value) -> (Vec<u8>, Vec<u8>) {
    let record = KeysRecord::parse(value).expect("a keys record");
    let expected = rows(&meaning["keys"])
        .iter()
        .map(|entry| (hash(&entry["hash"]), uint(&entry["index"]) as u16))
        .collect::<Vec<_>>();
    assert_eq!(record.iter().collect::<Vec<_>>(), expected);
    assert_eq!(
        (record.len(), record.is_empty()),
        (expected.len(), expected.is_empty())
    );
    let Key::Keys { hour, batch } = key else {
        panic!("{key:?} is no key of a keys record")
    };
    let mut out = Vec::new();
    write_keys_record(&mut out, &expected);
    (keys_key(*hour, *batch).to_vec(), out)
}

#[test]
fn records_mean_what_they_should_and_have_their_bytes() {
    for row in rows(&golden("records.json")["records"]) {
        let (value, meaning) = (bytes(&row["hex"]), &row["meaning"]);
        let key = parse_key(&bytes(&row["key"])).expect("a key");
        let (key_bytes, written) = match key {
            Key::Mark(mark) => {
                let read = parse_mark(&value, mark).expect("a mark");
                assert_eq!(read, uint(&meaning["value"]));
                let name = match mark {
                    Mark::Ceiling => "ceiling",
                    Mark::Through => "through",
                    Mark::Events => "eventsCeiling",
                    Mark::Usage => "usageCeiling",
                };
                assert_eq!(meaning["type"], name);
                let mut out = Vec::new();
                write_mark(&mut out, mark, read);
                (mark.key().to_vec(), out)
            }
            Key::Batch { batch, first_index } => {
                assert_eq!(bytes(&row["key"]), batch_key(batch, first_index));
                batch_of(&value, meaning)
            }
            Key::Log { .. } => log_of(&value, &key, meaning),
            Key::State { .. } => state_of(&value, &key, meaning),
            Key::Events { .. } => events_of(&value, &key, meaning),
            Key::Usage { sequence } => {
                let read = parse_usage_record(&value).expect("a usage record");
                assert_eq!(hex(read.bytes()), meaning["list"]);
                let mut out = Vec::new();
                write_usage_record(&mut out, read.bytes());
                (usage_key(sequence).to_vec(), out)
            }
            Key::Keys { .. } => keys_of_record(&value, &key, meaning),
            Key::Identity => panic!("identity is no record of the core"),
        };
        let newest = match key {
            Key::Batch { .. } | Key::Log { .. } | Key::State { .. } => 2,
            _ => 1,
        };
        assert_eq!(value[2], uint(&row["version"]) as u8, "{}", row["name"]);
        // Of an older version only the meaning is compared: it is read and never written.
        if value[2] == newest {
            assert_eq!(hex(&written), row["hex"], "{}", row["name"]);
        }
        assert_eq!(hex(&key_bytes), row["key"], "{}", row["name"]);
    }
}

#[test]
fn a_journal_means_what_it_should_and_has_its_bytes() {
    let golden = &golden("records.json")["journal"];
    let journal = bytes(&golden["hex"]);
    let mut writer = JournalWriter::new();
    let read = JournalReader::new(&journal)
        .expect("a journal")
        .map(|entry| match entry {
            Ok(JournalEntry::Put { key, value }) => {
                writer.put(key, value);
                json!({ "put": true, "key": hex(key), "value": hex(value) })
            }
            Ok(JournalEntry::Delete { key }) => {
                writer.delete(key);
                json!({ "put": false, "key": hex(key), "value": "" })
            }
            Err(error) => panic!("{error:?}"),
        });
    assert_eq!(read.collect::<Value>(), golden["meaning"]);
    assert_eq!(writer.bytes(), journal);
}
