//! The boundary between ingress and a shard: reads an exchange's input, writes its effects.
//!
//! Both sides are parts of one daemon, so damage here is a programmer's error, not a peer's: an
//! `ExchangeError` ends the shard. The byte tables are in docs/exchange.md.

mod gate;
mod message;
mod request;
mod usage;

pub use gate::{
    AdaptiveFields, GateChange, GateConfigure, GateEntity, GateExplain, GateInUse, GateList,
    GateMode, GatePolicyFields, GateResourceFields, GateTenantFields, GateTop, TopBy,
    decode_gate_configure, decode_gate_explain, decode_gate_in_use, decode_gate_list,
    decode_gate_top,
};
pub use message::{
    Call, CancelAll, ChooseDead, DeadLetters, Erase, Find, List, Redact, decode_call,
    decode_cancel_all, decode_choose_dead, decode_dead_letters, decode_erase, decode_find,
    decode_list, decode_redact,
};

pub use request::{
    Admission, Billable, CapBy, CapFields, Change, Configure, DestinationFields, EntityKind,
    Explain, FairBy, GatewayFields, GatewayKind, GatewayUp, InUse, LEVELS_MAX, LevelFloors,
    OnDoubt, PoolFields, SenderFields, SetFields, SetOrder, SetPolicy, TenantFields,
    decode_configure, decode_explain, decode_gateway_up, decode_in_use, decode_stats,
};

pub use usage::{
    UsageCap, UsageChange, UsageConfigure, UsageDeltas, UsageInUse, UsagePeriod, UsageRecords,
    UsageTags, decode_firing_told, decode_usage_configure, decode_usage_deltas,
    decode_usage_in_use, decode_usage_records,
};

pub const INPUT_MAGIC: u32 = 0x3158_4C46;
pub const EFFECTS_MAGIC: u32 = 0x3146_4C46;
pub const INPUT_HEADER_BYTES: usize = 16;
pub const EFFECTS_HEADER_BYTES: usize = 24 + COUNTERS * 8;
pub const ENTRY_HEADER_BYTES: usize = 12;

pub(crate) const COUNTERS: usize = 28;

pub const SCOPE_PUBLISH: u8 = 1;
pub const SCOPE_CONSUME: u8 = 2;
pub const SCOPE_PLATFORM: u8 = 4;
/// The daemon's own connections: no token gives it.
pub const SCOPE_INTERNAL: u8 = 8;
pub const SCOPE_GATE: u8 = 16;
pub const SCOPE_USAGE: u8 = 64;

/// What is wrong with the bytes from the other side, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeError {
    pub what: &'static str,
    pub at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum InputOp {
    Frame = 1,
    Connect = 2,
    Disconnect = 3,
    Park = 4,
    Unpark = 5,
    Configure = 6,
    Explain = 7,
    Stats = 8,
    Checkpoint = 9,
    Drain = 10,
    InUse = 11,
    DiskFull = 12,
    /// A client frame of the REST interface; answered with one frame.
    Call = 13,
    Find = 14,
    List = 15,
    CancelAll = 16,
    DeadLetters = 17,
    Replay = 18,
    Purge = 19,
    Redact = 20,
    Erase = 21,
    GatewayUp = 22,
    EventsTaken = 23,
    Forget = 24,
    UsageTaken = 25,
    GateList = 30,
    GateExplain = 31,
    GateTop = 32,
    /// What a shard, or the main thread, counted.
    UsageDeltas = 40,
    TriggerPut = 41,
    TriggerDelete = 42,
    TriggerList = 43,
    TriggerShow = 44,
    TriggerRearm = 45,
    UsageRecords = 46,
    FiringTold = 47,
    UsageStats = 48,
}

/// One entry of an input; `connection` is the request id where the tables say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputEntry<'a> {
    pub op: InputOp,
    pub connection: u32,
    pub bytes: &'a [u8],
}

/// Iterates over the entries of one exchange's input; the bytes end with the last entry.
#[derive(Clone, Debug)]
pub struct InputReader<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u32,
    exchange: u64,
}

impl<'a> InputReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, ExchangeError> {
        let Some(header) = bytes.first_chunk::<INPUT_HEADER_BYTES>() else {
            return Err(ExchangeError {
                what: "the input has no header",
                at: bytes.len(),
            });
        };
        if u32_at(header, 0) != INPUT_MAGIC {
            return Err(ExchangeError {
                what: "the input's magic is wrong",
                at: 0,
            });
        }
        let low = u64::from(u32_at(header, 8));
        let exchange = u64::from(u32_at(header, 12)) << 32 | low;
        Ok(Self {
            bytes,
            at: INPUT_HEADER_BYTES,
            left: u32_at(header, 4),
            exchange,
        })
    }

    /// Number of this exchange since the start.
    pub const fn exchange(&self) -> u64 {
        self.exchange
    }

    /// Entries not yet read.
    pub const fn entries_left(&self) -> u32 {
        self.left
    }

    fn entry(&mut self) -> Result<InputEntry<'a>, ExchangeError> {
        let at = self.at;
        let fault = |what| Err(ExchangeError { what, at });
        let rest = &self.bytes[at..];
        let Some(header) = rest.first_chunk::<ENTRY_HEADER_BYTES>() else {
            return fault("the input ends within an entry's header");
        };
        let Some(op) = InputOp::from_number(header[0]) else {
            return fault("the entry's op is unknown");
        };
        let length = u32_at(header, 8) as usize;
        let Some(bytes) = rest[ENTRY_HEADER_BYTES..].get(..length) else {
            return fault("the input ends within an entry");
        };
        self.at = at + ENTRY_HEADER_BYTES + length;
        Ok(InputEntry {
            op,
            connection: u32_at(header, 4),
            bytes,
        })
    }
}

impl<'a> Iterator for InputReader<'a> {
    type Item = Result<InputEntry<'a>, ExchangeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left > 0 {
            let entry = self.entry();
            // After damage there is no next entry to find.
            self.left = if entry.is_ok() { self.left - 1 } else { 0 };
            if entry.is_err() {
                self.at = self.bytes.len();
            }
            return Some(entry);
        }
        if self.at < self.bytes.len() {
            let at = std::mem::replace(&mut self.at, self.bytes.len());
            return Some(Err(ExchangeError {
                what: "bytes follow the last entry",
                at,
            }));
        }
        None
    }
}

impl InputOp {
    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Frame,
            2 => Self::Connect,
            3 => Self::Disconnect,
            4 => Self::Park,
            5 => Self::Unpark,
            6 => Self::Configure,
            7 => Self::Explain,
            8 => Self::Stats,
            9 => Self::Checkpoint,
            10 => Self::Drain,
            11 => Self::InUse,
            12 => Self::DiskFull,
            13 => Self::Call,
            14 => Self::Find,
            15 => Self::List,
            16 => Self::CancelAll,
            17 => Self::DeadLetters,
            18 => Self::Replay,
            19 => Self::Purge,
            20 => Self::Redact,
            21 => Self::Erase,
            22 => Self::GatewayUp,
            23 => Self::EventsTaken,
            24 => Self::Forget,
            25 => Self::UsageTaken,
            30 => Self::GateList,
            31 => Self::GateExplain,
            32 => Self::GateTop,
            40 => Self::UsageDeltas,
            41 => Self::TriggerPut,
            42 => Self::TriggerDelete,
            43 => Self::TriggerList,
            44 => Self::TriggerShow,
            45 => Self::TriggerRearm,
            46 => Self::UsageRecords,
            47 => Self::FiringTold,
            48 => Self::UsageStats,
            _ => return None,
        })
    }
}

/// Writes an input; the daemon's own inputs come from TypeScript, this one serves tests.
pub fn write_input(exchange: u64, entries: &[InputEntry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&INPUT_MAGIC.to_le_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    out.extend_from_slice(&exchange.to_le_bytes());
    for entry in entries {
        write_entry(&mut out, entry.op as u8, entry.connection, entry.bytes);
    }
    out
}

/// What a shard counted, in the order of the effects header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub accepted: u64,
    pub refused: u64,
    pub delivered: u64,
    pub settled_sent: u64,
    pub settled_delivered: u64,
    pub settled_retry: u64,
    pub settled_failed: u64,
    pub settled_throttled: u64,
    pub settled_not_attempted: u64,
    pub returned: u64,
    pub failed_final: u64,
    pub waiting: u64,
    pub in_flight: u64,
    pub queues: u64,
    pub log_bytes: u64,
    /// 0: nothing waits.
    pub oldest_accepted_ms: u64,
    pub expired: u64,
    pub cancelled: u64,
    pub undelivered: u64,
    /// Messages whose idempotency key had come before.
    pub repeated: u64,
    /// Now, as part of `waiting`.
    pub scheduled: u64,
    /// Now.
    pub dead_letters: u64,
    pub dead_letters_dropped: u64,
    /// Now: records of messages that ended.
    pub ended_bytes: u64,
    /// Now.
    pub idempotency_keys: u64,
    /// Expired although admission by time let them in.
    pub accepted_then_expired: u64,
    pub refused_by_time: u64,
    pub refused_would_have_made_it: u64,
}

impl Counters {
    const fn in_order(&self) -> [u64; COUNTERS] {
        [
            self.accepted,
            self.refused,
            self.delivered,
            self.settled_sent,
            self.settled_delivered,
            self.settled_retry,
            self.settled_failed,
            self.settled_throttled,
            self.settled_not_attempted,
            self.returned,
            self.failed_final,
            self.waiting,
            self.in_flight,
            self.queues,
            self.log_bytes,
            self.oldest_accepted_ms,
            self.expired,
            self.cancelled,
            self.undelivered,
            self.repeated,
            self.scheduled,
            self.dead_letters,
            self.dead_letters_dropped,
            self.ended_bytes,
            self.idempotency_keys,
            self.accepted_then_expired,
            self.refused_by_time,
            self.refused_would_have_made_it,
        ]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EffectOp {
    /// One complete client frame.
    Send = 1,
    /// JSON text; the connection is the request id.
    Reply = 2,
    /// u16 close code.
    Close = 3,
    /// One daemon frame that answers a call; the connection is the request id.
    ReplyFrame = 4,
    /// Sequence of an events record and its events; the connection is 0.
    StatusEvents = 5,
    /// How the wait of a caller within the process ended; the connection is its ticket.
    Entered = 6,
    /// Sequence of a usage record and its deltas; the connection is a flag, 1: told again after a start.
    Usage = 7,
    /// Sequence of a firing and what fired; the connection is a flag, 1: told again after a start.
    Fired = 8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectsHeader {
    pub entries: u32,
    pub exchange: u64,
    pub boot_id: u32,
    pub wake_after_ms: u32,
    pub counters: Counters,
}

/// An effects header but for its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectsHead {
    pub entries: u32,
    pub exchange: u64,
    pub boot_id: u32,
    pub wake_after_ms: u32,
}

/// Writes the header over the first `EFFECTS_HEADER_BYTES` of the effects, which were left free.
pub fn write_effects_header(effects: &mut [u8], header: &EffectsHeader) {
    let head = EffectsHead {
        entries: header.entries,
        exchange: header.exchange,
        boot_id: header.boot_id,
        wake_after_ms: header.wake_after_ms,
    };
    write_header(effects, &head, &header.counters.in_order());
}

/// The same with counters of any meaning.
pub fn write_header(effects: &mut [u8], header: &EffectsHead, counters: &[u64; COUNTERS]) {
    let bytes = effects
        .first_chunk_mut::<EFFECTS_HEADER_BYTES>()
        .expect("effects begin with room for their header");
    bytes[0..4].copy_from_slice(&EFFECTS_MAGIC.to_le_bytes());
    bytes[4..8].copy_from_slice(&header.entries.to_le_bytes());
    bytes[8..16].copy_from_slice(&header.exchange.to_le_bytes());
    bytes[16..20].copy_from_slice(&header.boot_id.to_le_bytes());
    bytes[20..24].copy_from_slice(&header.wake_after_ms.to_le_bytes());
    for (room, counter) in bytes[24..].chunks_exact_mut(8).zip(counters) {
        room.copy_from_slice(&counter.to_le_bytes());
    }
}

/// Appends a whole entry.
pub fn write_effect(out: &mut Vec<u8>, op: EffectOp, connection: u32, bytes: &[u8]) {
    write_entry(out, op as u8, connection, bytes);
}

/// Begins an entry whose bytes the caller appends; `end_effect` takes what this returns.
#[must_use]
pub fn begin_effect(out: &mut Vec<u8>, op: EffectOp, connection: u32) -> usize {
    let start = out.len();
    write_entry(out, op as u8, connection, &[]);
    start
}

/// Ends the entry begun at `start`: writes its length.
pub fn end_effect(out: &mut [u8], start: usize) {
    let length = (out.len() - start - ENTRY_HEADER_BYTES) as u32;
    out[start + 8..start + 12].copy_from_slice(&length.to_le_bytes());
}

pub fn write_close(out: &mut Vec<u8>, connection: u32, close_code: u16) {
    write_effect(out, EffectOp::Close, connection, &close_code.to_le_bytes());
}

#[inline]
fn write_entry(out: &mut Vec<u8>, op: u8, connection: u32, bytes: &[u8]) {
    let mut header = [0; ENTRY_HEADER_BYTES];
    header[0] = op;
    header[4..8].copy_from_slice(&connection.to_le_bytes());
    header[8..12].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(bytes);
}

/// The bytes of a `connect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// `SCOPE_…` bits.
    pub scopes: u8,
    /// None for the platform.
    pub tenant: Option<&'a str>,
}

pub fn decode_connect(bytes: &[u8]) -> Result<Connect<'_>, ExchangeError> {
    let fault = ExchangeError {
        what: "a connect is damaged",
        at: 0,
    };
    let [scopes, length, tenant @ ..] = bytes else {
        return Err(fault);
    };
    if tenant.len() != usize::from(*length) {
        return Err(fault);
    }
    let tenant = std::str::from_utf8(tenant).map_err(|_| fault)?;
    Ok(Connect {
        scopes: *scopes,
        tenant: (!tenant.is_empty()).then_some(tenant),
    })
}

/// The byte of a `diskFull`: whether publishes are refused from now on.
pub fn decode_disk_full(bytes: &[u8]) -> Result<bool, ExchangeError> {
    match bytes {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(ExchangeError {
            what: "a diskFull is damaged",
            at: 0,
        }),
    }
}

/// The u64 of an `eventsTaken` or a `usageTaken`: the last record that was taken.
pub fn decode_taken(bytes: &[u8]) -> Result<u64, ExchangeError> {
    let fault = ExchangeError {
        what: "a taken sequence is damaged",
        at: 0,
    };
    Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| fault)?))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
