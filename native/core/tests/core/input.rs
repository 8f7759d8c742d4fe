//! What the main thread hands to a machine, whichever it is: inputs of exchanges, and records to recover from.

use crate::shared::disk::Pages;
use fairlead_core::exchange::{InputEntry, InputOp, write_input};
use fairlead_core::msgpack::{write_array_len, write_str, write_uint, write_uint_or_nil};
use fairlead_core::record::JournalWriter;

pub fn entry(op: InputOp, connection: u32, bytes: &[u8]) -> InputEntry<'_> {
    InputEntry {
        op,
        connection,
        bytes,
    }
}

/// The input of an exchange with what was laid out for it.
pub fn input(exchange: u64, laid: &[(InputOp, u32, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<_> = laid
        .iter()
        .map(|(op, connection, bytes)| entry(*op, *connection, bytes))
        .collect();
    write_input(exchange, &entries)
}

/// All entities, as a machine gets them before it recovers.
pub fn configure_input(entities: &[Vec<u8>]) -> Vec<u8> {
    let entries: Vec<_> = entities
        .iter()
        .map(|bytes| entry(InputOp::Configure, 0, bytes))
        .collect();
    write_input(0, &entries)
}

/// Begins an entity: its fields, or nil for one that is deleted, follow.
pub fn change(kind: u64, name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_uint(&mut out, kind);
    write_str(&mut out, name);
    out
}

/// A cap, named `tenant/name`: numbers of what it is by and of its period; its value is for the counters alone.
pub fn cap(
    (name, category): (&str, &str),
    by: u64,
    period: u64,
    value: Option<u64>,
    slot: u32,
) -> Vec<u8> {
    let mut out = change(15, name);
    write_array_len(&mut out, 5);
    write_str(&mut out, category);
    write_uint(&mut out, by);
    write_uint(&mut out, period);
    write_uint_or_nil(&mut out, value);
    write_uint(&mut out, slot.into());
    out
}

/// `connect`: the platform where the tenant is empty.
pub fn connect(scopes: u8, tenant: &str) -> Vec<u8> {
    [&[scopes, tenant.len() as u8], tenant.as_bytes()].concat()
}

/// Those of the stored records that recovery reads, some at a time.
pub fn chunks(pages: &Pages, entries: usize, is_read: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let all: Vec<_> = pages.iter().filter(|(key, _)| is_read(key)).collect();
    all.chunks(entries)
        .map(|some| {
            let mut writer = JournalWriter::new();
            for (key, value) in some {
                writer.put(key, value);
            }
            writer.into_bytes()
        })
        .collect()
}
