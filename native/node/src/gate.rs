//! The gate, as `fairlead_core::gate::Gate` with the same names in the same order.
//!
//! Its table is one for the process, so that other threads may count in it too. Every error means that
//! the process has to end. Times are µs since 1970: integers below 2^53, so doubles hold them exactly.

use fairlead_core::gate::table::Table;
use fairlead_core::gate::{Entered, Fatal, Gate as Core, Handle, Options};
use fairlead_core::limits::GATE_LOG_BYTES;
use napi::bindgen_prelude::{Float64ArraySlice, Uint8Array};
use napi_derive::napi;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Tenants and resources beside the keys of a table.
const CELLS_BESIDE_KEYS: usize = 262_144;

/// Of the process; made by its first gate.
static TABLE: OnceLock<Arc<Table>> = OnceLock::new();
/// Gates made so far: each has cells of its own.
static GATES: AtomicU64 = AtomicU64::new(0);

/// What a gate is made with.
#[napi(object)]
pub struct GateOptions {
    /// Differs at every start; comes back in every effects header.
    pub boot_id: u32,
    /// 16 bytes.
    pub hash_key: Uint8Array,
    pub now_us: f64,
    /// Answers leave before their journal is flushed.
    pub relaxed: bool,
    /// How long permits outlive their connection, ms.
    pub grace_ms: f64,
    pub permits_max: u32,
    pub keys_max: u32,
}

/// What a step gives: the lengths of what `takeEffects` and `takeJournal` write, and whether also a
/// relaxed gate's effects have to wait for the flush of this journal.
#[napi(object)]
pub struct GateStep {
    pub effects_bytes: u32,
    pub journal_bytes: u32,
    pub flush: bool,
}

/// Places in the answer of an `enter`.
const NUMBER: usize = 0;
const USED: usize = 1;
const LIMIT: usize = 2;
const CODE: usize = 3;
const RETRY_AFTER_MS: usize = 4;
const POSITION: usize = 5;
const ESTIMATE_MS: usize = 6;
const KEY: usize = 7;
const SERIAL: usize = 8;
const ANSWER: usize = 9;

/// What `enter` and `enterKey` return.
const PASSED: u32 = 0;
const WAITING: u32 = 1;
const IMPEDED: u32 = 2;
const NOT_OPEN: u32 = 3;

#[napi]
pub struct Gate {
    core: Core,
}

#[napi]
impl Gate {
    #[napi(constructor, catch_unwind)]
    pub fn new(options: GateOptions) -> napi::Result<Self> {
        let hash_key = <[u8; 16]>::try_from(&options.hash_key[..])
            .map_err(|_| napi::Error::from_reason("hashKey has to be 16 bytes"))?;
        let keys_max = options.keys_max as usize;
        let table = TABLE.get_or_init(|| Arc::new(Table::new(2 * keys_max + CELLS_BESIDE_KEYS)));
        let options = Options {
            boot_id: options.boot_id,
            hash_key,
            now_us: whole(options.now_us),
            relaxed: options.relaxed,
            grace_ms: whole(options.grace_ms),
            permits_max: options.permits_max as usize,
            keys_max,
            log_bytes_max: GATE_LOG_BYTES,
            // Relaxed: only that the numbers differ matters.
            instance: GATES.fetch_add(1, Ordering::Relaxed),
        };
        Ok(Self {
            core: Core::new(options, Arc::clone(table)),
        })
    }

    /// The initial entities, before recovery: an exchange input of `configure` entries.
    #[napi(catch_unwind)]
    pub fn configure(&mut self, now_us: f64, entries: &[u8]) -> napi::Result<()> {
        self.core.configure(whole(now_us), entries).map_err(text)
    }

    /// Stored records as a journal of puts, their keys ascending over all chunks.
    #[napi(catch_unwind)]
    pub fn recover(&mut self, now_us: f64, chunk: &[u8]) -> napi::Result<()> {
        self.core.recover(whole(now_us), chunk).map_err(text)
    }

    /// Ends recovery; before the first `step`.
    #[napi(catch_unwind)]
    pub fn recover_finish(&mut self, now_us: f64) -> napi::Result<()> {
        self.core.recover_finish(whole(now_us)).map_err(text)
    }

    /// Takes one input.
    #[napi(catch_unwind)]
    pub fn step(&mut self, now_us: f64, input: &[u8]) -> napi::Result<GateStep> {
        let stepped = self.core.step(whole(now_us), input).map_err(text)?;
        Ok(GateStep {
            effects_bytes: stepped.effects_bytes as u32,
            journal_bytes: stepped.journal_bytes as u32,
            flush: stepped.flush,
        })
    }

    /// Writes the effects of the last step to the begin of `output`, which has room for them.
    #[napi(catch_unwind)]
    pub fn take_effects(&mut self, mut output: Uint8Array) -> napi::Result<()> {
        // SAFETY: the array is this thread's own and JavaScript does not run during the call.
        let room = unsafe { output.as_mut() };
        copy(self.core.effects(), room)
    }

    /// Writes the journal of the last step to the begin of `output`, which has room for it.
    #[napi(catch_unwind)]
    pub fn take_journal(&mut self, mut output: Uint8Array) -> napi::Result<()> {
        // SAFETY: the array is this thread's own and JavaScript does not run during the call.
        let room = unsafe { output.as_mut() };
        copy(self.core.journal(), room)
    }

    /// Asks for seats for a caller within the process; `waitMs` below 0: as long as the policy allows.
    ///
    /// Returns 0 passed, 1 waiting, 2 impeded, and writes to `answer`, of 9 numbers: permit or ticket ·
    /// used · limit (−1: none) · code · retryAfterMs · position · estimateMs (−1: not known) · and how
    /// `enterKey` finds the same key: key · serial (0: there is none). What does not belong to the answer
    /// is left as it was.
    #[napi(catch_unwind)]
    pub fn enter(
        &mut self,
        mut answer: Float64ArraySlice<'_>,
        resource: String,
        tenant: String,
        seats: u32,
        wait_ms: f64,
        now_us: f64,
    ) -> napi::Result<u32> {
        // SAFETY: the array is this thread's own and JavaScript does not run during the call.
        let answer = room(unsafe { answer.as_mut() })?;
        let wait_ms = (wait_ms >= 0.0).then(|| whole(wait_ms));
        let names = (resource.as_str(), tenant.as_str());
        let (entered, handle) = self.core.enter(names, seats, wait_ms, whole(now_us));
        answer[KEY] = handle.map_or(0.0, |handle| handle.index.into());
        answer[SERIAL] = handle.map_or(0.0, |handle| double(handle.serial));
        Ok(write_entered(answer, &entered))
    }

    /// As `enter`, of the key that it told; 3: that is not open any more, nothing is asked or written.
    #[napi(catch_unwind)]
    pub fn enter_key(
        &mut self,
        mut answer: Float64ArraySlice<'_>,
        key: u32,
        serial: f64,
        seats: u32,
        wait_ms: f64,
        now_us: f64,
    ) -> napi::Result<u32> {
        // SAFETY: the array is this thread's own and JavaScript does not run during the call.
        let answer = room(unsafe { answer.as_mut() })?;
        let wait_ms = (wait_ms >= 0.0).then(|| whole(wait_ms));
        let handle = Handle {
            index: key,
            serial: whole(serial),
        };
        let entered = self.core.enter_key(handle, seats, wait_ms, whole(now_us));
        Ok(entered.map_or(NOT_OPEN, |entered| write_entered(answer, &entered)))
    }

    /// Ends a permit of `enter`; without `ok` its time tells nothing of the resource. True: a step has to
    /// run, somebody was let in.
    #[napi(catch_unwind)]
    pub fn leave(&mut self, permit: f64, ok: Option<bool>, now_us: f64) -> bool {
        self.core.leave(whole(permit), ok, whole(now_us)) && self.core.wants_step()
    }

    /// Takes one that waits back; true: a step has to run, somebody was let in.
    #[napi(catch_unwind)]
    pub fn give_up(&mut self, ticket: u32, now_us: f64) -> bool {
        self.core.give_up(ticket, whole(now_us)) && self.core.wants_step()
    }
}

fn write_entered(answer: &mut [f64; ANSWER], entered: &Entered) -> u32 {
    let (kind, used, limit) = match *entered {
        Entered::Passed {
            permit,
            used,
            limit,
        } => {
            answer[NUMBER] = double(permit);
            (PASSED, used, limit)
        }
        Entered::Waiting {
            ticket,
            used,
            limit,
            position,
            estimate_ms,
        } => {
            answer[NUMBER] = ticket.into();
            answer[POSITION] = position.into();
            answer[ESTIMATE_MS] = double(estimate_ms);
            (WAITING, used, limit)
        }
        Entered::Impeded {
            code,
            retry_after_ms,
            used,
            limit,
            estimate_ms,
        } => {
            answer[CODE] = code.into();
            answer[RETRY_AFTER_MS] = double(retry_after_ms);
            answer[ESTIMATE_MS] = estimate_ms.map_or(-1.0, double);
            (IMPEDED, used, limit)
        }
    };
    answer[USED] = used.into();
    answer[LIMIT] = limit.map_or(-1.0, f64::from);
    kind
}

fn room(answer: &mut [f64]) -> napi::Result<&mut [f64; ANSWER]> {
    answer
        .try_into()
        .map_err(|_| napi::Error::from_reason("an answer has 9 numbers"))
}

#[allow(clippy::cast_precision_loss, reason = "none of them comes near 2^53")]
fn double(number: u64) -> f64 {
    number as f64
}

fn copy(bytes: &[u8], room: &mut [u8]) -> napi::Result<()> {
    let room = room
        .get_mut(..bytes.len())
        .ok_or_else(|| napi::Error::from_reason("the output does not fit"))?;
    room.copy_from_slice(bytes);
    Ok(())
}

#[allow(clippy::cast_sign_loss)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[allow(clippy::needless_pass_by_value)]
fn text(fatal: Fatal) -> napi::Error {
    napi::Error::from_reason(fatal.to_string())
}
