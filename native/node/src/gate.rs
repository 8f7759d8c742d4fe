//! The gate, as `fairlead_core::gate::Gate` with the same names in the same order.
//!
//! Its table is one for the process, so that other threads may count in it too. Every error means that
//! the process has to end. Times are µs since 1970: integers below 2^53, so doubles hold them exactly.

use fairlead_core::gate::table::Table;
use fairlead_core::gate::{Entered as CoreEntered, Fatal, Gate as Core, Options};
use fairlead_core::limits::GATE_LOG_BYTES;
use napi::bindgen_prelude::Uint8Array;
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

/// How an `enter` was judged.
#[napi(object)]
pub struct GateEntered {
    /// 0 passed, 1 waiting, 2 impeded.
    pub kind: u32,
    /// The permit, or the ticket of one that waits.
    pub number: f64,
    /// Why it is impeded.
    pub code: u32,
    pub retry_after_ms: f64,
    pub used: u32,
    pub limit: Option<u32>,
    pub position: u32,
    pub estimate_ms: Option<f64>,
}

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
    #[napi(catch_unwind)]
    #[allow(clippy::cast_precision_loss)]
    pub fn enter(
        &mut self,
        resource: String,
        tenant: String,
        seats: u32,
        wait_ms: f64,
        now_us: f64,
    ) -> GateEntered {
        let wait_ms = (wait_ms >= 0.0).then(|| whole(wait_ms));
        let names = (resource.as_str(), tenant.as_str());
        entered(self.core.enter(names, seats, wait_ms, whole(now_us)))
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

#[allow(clippy::cast_precision_loss)]
fn entered(answer: CoreEntered) -> GateEntered {
    match answer {
        CoreEntered::Passed {
            permit,
            used,
            limit,
        } => GateEntered {
            kind: 0,
            number: permit as f64,
            code: 0,
            retry_after_ms: 0.0,
            used,
            limit,
            position: 0,
            estimate_ms: None,
        },
        CoreEntered::Waiting {
            ticket,
            used,
            limit,
            position,
            estimate_ms,
        } => GateEntered {
            kind: 1,
            number: ticket.into(),
            code: 0,
            retry_after_ms: 0.0,
            used,
            limit,
            position,
            estimate_ms: Some(estimate_ms as f64),
        },
        CoreEntered::Impeded {
            code,
            retry_after_ms,
            used,
            limit,
            estimate_ms,
        } => GateEntered {
            kind: 2,
            number: 0.0,
            code,
            retry_after_ms: retry_after_ms as f64,
            used,
            limit,
            position: 0,
            estimate_ms: estimate_ms.map(|ms| ms as f64),
        },
    }
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
