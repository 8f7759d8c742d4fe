//! The gate's records: what was written is read back, and nothing else is taken for a record.

use fairlead_core::record::{
    GateGrant, GateKey, GateLog, GateLogWriter, GateMark, GatePiece, GateRenewal, RecordError,
    gate_log_key, gate_piece_key, parse_gate_key, parse_gate_mark, write_gate_log, write_gate_mark,
    write_gate_piece,
};
use proptest::prelude::*;

const KEYS: [(&str, &str); 3] = [("calls", "acme"), ("calls", ""), ("sms", "beta")];

fn grant() -> impl Strategy<Value = GateGrant> {
    let place = (any::<u32>(), any::<u32>(), 0_u32..3);
    let lease = (0..1_u32 << 31, any::<bool>());
    (place, 1_u16.., lease, any::<u64>()).prop_map(
        |((slot, generation, key), seats, (lease_ms, finishing), lease_end_us)| GateGrant {
            slot,
            generation,
            key,
            seats,
            lease_ms,
            finishing,
            lease_end_us,
        },
    )
}

fn with_keys() -> GateLogWriter {
    let mut parts = GateLogWriter::default();
    for (place, (resource, tenant)) in (0..).zip(KEYS) {
        assert_eq!(parts.key(resource.as_bytes(), tenant.as_bytes()), place);
    }
    parts
}

fn keys() -> Vec<(&'static [u8], &'static [u8])> {
    let bytes = |(resource, tenant): &(&'static str, &'static str)| {
        (resource.as_bytes(), tenant.as_bytes())
    };
    KEYS.iter().map(bytes).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_log_record_is_read_back(
        at_us in 0..u64::MAX / 2,
        granted in proptest::collection::vec(grant(), 0..6),
        ended in proptest::collection::vec(any::<(u32, u32)>(), 0..6),
        renewed in proptest::collection::vec(((any::<u32>(), any::<u32>()), 0..1_u32 << 31, any::<bool>()), 0..6),
        flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let mut parts = with_keys();
        for grant in &granted {
            parts.granted(grant);
        }
        for (slot, generation) in &ended {
            parts.ended(*slot, *generation);
        }
        let renewed: Vec<GateRenewal> = renewed
            .iter()
            .map(|&((slot, generation), lease_ms, finishing)| {
                GateRenewal { slot, generation, lease_ms, finishing }
            })
            .collect();
        for renewal in &renewed {
            parts.renewed(renewal);
        }
        let mut value = Vec::new();
        write_gate_log(&mut value, at_us, &parts);
        let log = GateLog::parse(&value).unwrap();
        let with_end = |grant: &GateGrant| GateGrant {
            lease_end_us: at_us + u64::from(grant.lease_ms) * 1000,
            ..*grant
        };
        prop_assert_eq!(log.granted, granted.iter().map(with_end).collect::<Vec<_>>());
        prop_assert_eq!((log.at_us, log.keys), (at_us, keys()));
        prop_assert_eq!((log.ended, log.renewed), (ended, renewed));
        for end in 0..value.len() {
            prop_assert!(GateLog::parse(&value[..end]).is_err());
        }
        prop_assert!(GatePiece::parse(&value).is_err());
        let at = flip.0.index(value.len());
        value[at] ^= 1 << (flip.1 % 8);
        prop_assert!(GateLog::parse(&value).is_err());
    }

    #[test]
    fn a_piece_is_read_back(permits in proptest::collection::vec(grant(), 0..6)) {
        let mut parts = with_keys();
        for grant in &permits {
            parts.standing(grant);
        }
        let mut value = Vec::new();
        write_gate_piece(&mut value, &parts);
        let piece = GatePiece::parse(&value).unwrap();
        prop_assert_eq!((piece.keys, piece.permits), (keys(), permits));
        for end in 0..value.len() {
            prop_assert!(GatePiece::parse(&value[..end]).is_err());
        }
    }

    #[test]
    fn keys_and_marks_are_read_back(number in any::<u64>(), piece in any::<u32>()) {
        let marks = [GateMark::Generations, GateMark::Lease, GateMark::Clean, GateMark::Through];
        for mark in marks {
            prop_assert_eq!(parse_gate_key(&mark.key()), Some(GateKey::Mark(mark)));
            let mut value = Vec::new();
            write_gate_mark(&mut value, mark, number);
            for other in marks {
                let expected = if other == mark { Ok(number) } else { Err(RecordError::Damaged) };
                prop_assert_eq!(parse_gate_mark(&value, other), expected);
            }
        }
        let key = GateKey::Piece { snapshot: number, piece };
        prop_assert_eq!(parse_gate_key(&gate_piece_key(number, piece)), Some(key));
        let key = GateKey::Log { sequence: number };
        prop_assert_eq!(parse_gate_key(&gate_log_key(number)), Some(key));
    }
}

#[test]
fn a_record_of_a_newer_daemon_is_told_apart() {
    let mut value = Vec::new();
    write_gate_log(&mut value, 1, &GateLogWriter::default());
    value[2] = 9;
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&value[..4]), &value[8..]);
    value[4..8].copy_from_slice(&checksum.to_le_bytes());
    let error = RecordError::NewerVersion {
        version: 9,
        known: 1,
    };
    assert_eq!(GateLog::parse(&value), Err(error));
}
