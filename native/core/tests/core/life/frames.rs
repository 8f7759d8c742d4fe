//! Frames and requests about the life of messages, as clients and operators write them.

use fairlead_core::message_id::{MessageId, batch_hash};
use fairlead_core::msgpack::{
    write_array_len, write_bin, write_bool, write_nil, write_str, write_uint, write_uint_or_nil,
};

pub const SHARD: u16 = 7;
pub const HASH_KEY: [u8; 16] = *b"a key of 16 byte";

/// What a publisher asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub key: Option<u64>,
    pub level: u8,
    pub cost: u32,
    pub at_ms: Option<u64>,
    pub ttl_ms: Option<u64>,
    pub callback: bool,
    pub callback_events: Option<u32>,
    pub order: Option<usize>,
    pub tag: bool,
}

/// One message of a publish frame.
#[derive(Clone, Debug)]
pub struct Draft {
    pub serial: u64,
    pub tenant: usize,
    /// 0: none.
    pub sender: usize,
    pub payload_bytes: usize,
    pub options: Options,
}

pub const CALLBACK: &str = "https://example.org/status";
pub const TAG: &str = "campaign";

pub fn tenant_name(tenant: usize) -> String {
    format!("t{tenant}")
}

pub fn sender_name(sender: usize) -> String {
    format!("s{sender}")
}

pub fn order_name(order: usize) -> String {
    format!("o{order}")
}

pub fn destination_name(destination: usize) -> String {
    format!("d{destination}")
}

pub fn id_of(key: u64) -> MessageId {
    let (batch, index) = (key >> 16, key as u16);
    MessageId::new(batch_hash(&HASH_KEY, SHARD, batch), SHARD, batch, index)
}

fn head(out: &mut Vec<u8>, fields: usize, kind: u32, id: u32) {
    write_array_len(out, fields);
    write_uint(out, kind.into());
    write_uint(out, id.into());
}

fn options(out: &mut Vec<u8>, options: &Options) {
    let start = out.len();
    out.push(0x80);
    let mut pairs = 0;
    let mut pair = |out: &mut Vec<u8>, name: &str, write: &dyn Fn(&mut Vec<u8>)| {
        write_str(out, name);
        write(out);
        pairs += 1;
    };
    if let Some(key) = options.key {
        pair(out, "k", &|out| write_str(out, &format!("key{key}")));
    }
    if options.level > 0 {
        pair(out, "l", &|out| write_uint(out, options.level.into()));
    }
    if options.cost > 1 {
        pair(out, "c", &|out| write_uint(out, options.cost.into()));
    }
    if let Some(at_ms) = options.at_ms {
        pair(out, "at", &|out| write_uint(out, at_ms));
    }
    if let Some(ttl_ms) = options.ttl_ms {
        pair(out, "ttl", &|out| write_uint(out, ttl_ms));
    }
    if options.callback {
        pair(out, "cb", &|out| write_str(out, CALLBACK));
    }
    if let Some(mask) = options.callback_events {
        pair(out, "ce", &|out| write_uint(out, mask.into()));
    }
    if let Some(order) = options.order {
        pair(out, "o", &|out| write_str(out, &order_name(order)));
    }
    if options.tag {
        pair(out, "g", &|out| write_str(out, TAG));
    }
    out[start] = 0x80 | pairs;
}

pub fn publish(id: u32, destination: usize, platform: bool, drafts: &[Draft]) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, 4, 1, id);
    write_str(&mut out, &destination_name(destination));
    write_array_len(&mut out, drafts.len());
    for draft in drafts {
        write_array_len(&mut out, 5);
        if platform {
            write_str(&mut out, &tenant_name(draft.tenant));
        } else {
            write_nil(&mut out);
        }
        if draft.sender > 0 {
            write_str(&mut out, &sender_name(draft.sender));
        } else {
            write_nil(&mut out);
        }
        write_str(&mut out, &format!("m{}", draft.serial));
        write_bin(&mut out, &payload(draft));
        options(&mut out, &draft.options);
    }
    out
}

pub fn payload(draft: &Draft) -> Vec<u8> {
    vec![b'a' + (draft.serial % 26) as u8; draft.payload_bytes]
}

/// Cancel (6) and status (7).
pub fn ids(kind: u32, id: u32, ids: &[MessageId]) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, 3, kind, id);
    write_array_len(&mut out, ids.len());
    for id in ids {
        write_bin(&mut out, &id.0);
    }
    out
}

pub fn receipts(id: u32, receipts: &[(MessageId, u8, Option<u32>)]) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, 3, 5, id);
    write_array_len(&mut out, receipts.len());
    for (message, status, code) in receipts {
        write_array_len(&mut out, 3);
        write_bin(&mut out, &message.0);
        write_uint(&mut out, (*status).into());
        write_uint_or_nil(&mut out, code.map(u64::from));
    }
    out
}

/// Outcomes with their codes: delivery, outcome, code, retryAfterMs.
/// Delivery, outcome, code and pause in ms.
pub type SettledAs = (u64, u8, Option<u32>, Option<u64>);

pub fn settle(id: u32, number: u32, said: &[SettledAs]) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, 4, 4, id);
    write_uint(&mut out, number.into());
    write_array_len(&mut out, said.len());
    for (delivery, outcome, code, after_ms) in said {
        write_array_len(&mut out, 4);
        write_uint(&mut out, *delivery);
        write_uint(&mut out, (*outcome).into());
        write_uint_or_nil(&mut out, code.map(u64::from));
        write_uint_or_nil(&mut out, *after_ms);
    }
    out
}

/// A frame that the REST interface sends in the name of a tenant, or of the platform.
pub fn call(scopes: u8, tenant: Option<usize>, frame: &[u8]) -> Vec<u8> {
    let name = tenant.map(tenant_name).unwrap_or_default();
    let mut out = vec![scopes, name.len() as u8];
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(frame);
    out
}

fn name_or_nil(out: &mut Vec<u8>, name: Option<String>) {
    match name {
        Some(name) => write_str(out, &name),
        None => write_nil(out),
    }
}

pub fn find(id: MessageId, tenant: Option<usize>, trace: bool) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_bin(&mut out, &id.0);
    name_or_nil(&mut out, tenant.map(tenant_name));
    write_bool(&mut out, trace);
    out
}

/// Redact and forget.
pub fn redact(id: MessageId, tenant: Option<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 2);
    write_bin(&mut out, &id.0);
    name_or_nil(&mut out, tenant.map(tenant_name));
    out
}

pub fn erase(tenant: usize, cursor: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 2);
    write_str(&mut out, &tenant_name(tenant));
    write_str(&mut out, cursor);
    out
}

/// Destination, tenant and sender that messages have to have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub destination: Option<usize>,
    pub tenant: Option<usize>,
    pub sender: Option<usize>,
}

pub fn cancel_all(filter: &Filter) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    name_or_nil(&mut out, filter.destination.map(destination_name));
    name_or_nil(&mut out, filter.tenant.map(tenant_name));
    name_or_nil(&mut out, filter.sender.map(sender_name));
    out
}

/// Replay and purge.
pub fn choose_dead(filter: &Filter, ids: Option<&[MessageId]>) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    name_or_nil(&mut out, filter.destination.map(destination_name));
    name_or_nil(&mut out, filter.tenant.map(tenant_name));
    match ids {
        Some(ids) => {
            write_array_len(&mut out, ids.len());
            for id in ids {
                write_bin(&mut out, &id.0);
            }
        }
        None => write_nil(&mut out),
    }
    out
}

pub fn list(
    filter: &Filter,
    statuses: u32,
    times: (u64, u64),
    cursor: &str,
    limit: u32,
    newest_first: Option<bool>,
) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 7 + usize::from(newest_first.is_some()));
    name_or_nil(&mut out, filter.destination.map(destination_name));
    name_or_nil(&mut out, filter.tenant.map(tenant_name));
    write_uint(&mut out, statuses.into());
    write_uint(&mut out, times.0);
    write_uint(&mut out, times.1);
    write_str(&mut out, cursor);
    write_uint(&mut out, limit.into());
    if let Some(newest_first) = newest_first {
        write_bool(&mut out, newest_first);
    }
    out
}

pub fn dead_letters(filter: &Filter, cursor: &str, limit: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 4);
    name_or_nil(&mut out, filter.destination.map(destination_name));
    name_or_nil(&mut out, filter.tenant.map(tenant_name));
    write_str(&mut out, cursor);
    write_uint(&mut out, limit.into());
    out
}

/// Which outcome is billed.
pub fn billable(outcome: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_array_len(&mut out, 3);
    write_uint(&mut out, 16);
    write_str(&mut out, "messages");
    write_array_len(&mut out, 1);
    write_uint(&mut out, outcome);
    out
}
