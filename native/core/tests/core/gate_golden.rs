//! The frames of permits in test/golden, which the TypeScript side reads too: both have to find the
//! meaning in the bytes, and the bytes for the meaning.

use crate::golden::{bytes, golden, hex, rows, text, uint32};
use fairlead_core::client_frame::{
    AcquireItem, FrameError, KIND_ACQUIRE, KIND_RELEASE, ReleaseItem, decode_acquire,
    decode_release, decode_renew, frame_kind_and_id,
};
use fairlead_core::daemon_frame::{
    PermitAnswer, PermitTold, write_acquire_ok_header, write_permit_answer, write_permit_event,
    write_release_ok, write_renew_ok,
};
use serde_json::{Value, json};

const FILE: &str = "gate-frames.json";

fn permit(hex: &Value) -> [u8; 16] {
    bytes(hex).try_into().expect("16 bytes")
}

fn decode(frame: &[u8]) -> Result<Value, FrameError> {
    let (kind, _) = frame_kind_and_id(frame)?;
    match kind {
        KIND_ACQUIRE => {
            let mut items = Vec::new();
            let id = decode_acquire(frame, &mut items)?;
            let entry = |item: &AcquireItem| {
                json!({
                    "resource": text(item.resource(frame)), "tenant": item.tenant(frame).map(text),
                    "seats": item.seats, "leaseMs": item.lease_ms, "waitMs": item.wait_ms,
                    "mode": item.mode,
                })
            };
            let entries = items.iter().map(entry).collect::<Vec<_>>();
            Ok(json!({ "kind": "acquire", "id": id, "entries": entries }))
        }
        KIND_RELEASE => {
            let mut items = Vec::new();
            let id = decode_release(frame, &mut items)?;
            let one = |item: &ReleaseItem| match item {
                ReleaseItem::Permit(id) | ReleaseItem::Failed(id) => json!(hex(&id.0)),
                ReleaseItem::Ticket(ticket) => json!(ticket),
            };
            let permits = items.iter().map(one).collect::<Vec<_>>();
            let has_failed = |item: &ReleaseItem| matches!(item, ReleaseItem::Failed(_));
            let failed: Vec<usize> = (0..items.len())
                .filter(|at| has_failed(&items[*at]))
                .collect();
            Ok(json!({ "kind": "release", "id": id, "permits": permits, "failed": failed }))
        }
        _ => {
            let mut ids = Vec::new();
            let head = decode_renew(frame, &mut ids)?;
            let permits = ids.iter().map(|id| hex(&id.0)).collect::<Vec<_>>();
            Ok(json!({
                "kind": "renew", "id": head.id, "permits": permits, "leaseMs": head.lease_ms,
                "flags": head.flags,
            }))
        }
    }
}

#[test]
fn frames_of_clients_mean_what_they_should() {
    for row in rows(&golden(FILE)["client"]) {
        let meaning = decode(&bytes(&row["hex"])).unwrap_or_else(|error| {
            assert!(!error.message.is_empty());
            json!({
                "kind": "error", "code": error.code.number(), "id": error.id,
                "index": error.index, "key": error.key,
            })
        });
        assert_eq!(meaning, row["meaning"], "{}", row["name"]);
    }
}

fn answer(of: &Value) -> PermitAnswer {
    match of["kind"].as_str().expect("a kind") {
        "granted" => PermitAnswer::Granted {
            id: permit(&of["permit"]),
            lease_ms: uint32(&of["leaseMs"]),
        },
        "waiting" => PermitAnswer::Waiting {
            ticket: uint32(&of["ticket"]),
            position: uint32(&of["position"]),
            estimate_ms: uint32(&of["estimateMs"]).into(),
        },
        _ => PermitAnswer::Impeded {
            code: uint32(&of["code"]),
            retry_after_ms: of["retryAfterMs"].as_u64(),
            estimate_ms: of["estimateMs"].as_u64(),
        },
    }
}

fn told(of: &Value) -> PermitTold {
    let ticket = uint32(&of["ticket"]);
    if of["permit"].is_null() {
        return PermitTold::Refused {
            ticket,
            code: uint32(&of["code"]),
            retry_after_ms: of["retryAfterMs"].as_u64(),
        };
    }
    PermitTold::Granted {
        ticket,
        id: permit(&of["permit"]),
        lease_ms: uint32(&of["leaseMs"]),
    }
}

#[test]
fn answers_have_the_bytes_they_should() {
    for row in rows(&golden(FILE)["daemon"]) {
        let meaning = &row["meaning"];
        let mut out = Vec::new();
        match meaning["kind"].as_str().expect("a kind") {
            "acquireOk" => {
                let answers = rows(&meaning["answers"]);
                write_acquire_ok_header(&mut out, uint32(&meaning["id"]), answers.len());
                for of in answers {
                    let limit = of["limit"].as_u64().map(|limit| limit as u32);
                    write_permit_answer(&mut out, &answer(of), uint32(&of["used"]), limit);
                }
            }
            "releaseOk" => write_release_ok(
                &mut out,
                uint32(&meaning["id"]),
                uint32(&meaning["released"]),
                uint32(&meaning["gone"]),
            ),
            "renewOk" => {
                let leases = rows(&meaning["leasesMs"])
                    .iter()
                    .map(|ms| uint32(ms).into());
                write_renew_ok(
                    &mut out,
                    uint32(&meaning["id"]),
                    &leases.collect::<Vec<_>>(),
                );
            }
            _ => {
                let news = rows(&meaning["news"]).iter().map(told).collect::<Vec<_>>();
                write_permit_event(&mut out, news.iter());
            }
        }
        assert_eq!(hex(&out), row["hex"], "{}", row["name"]);
    }
}
