//! The usage counters, as `fairlead_core::usage::Usage` with the same names in the same order.
//!
//! Every error means that the process has to end. Times are µs since 1970 and exchange numbers count
//! from 1: both are integers below 2^53, so doubles hold them exactly.

use fairlead_core::usage::{Fatal, Options, Usage as Core};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

/// What the counters are made with.
#[napi(object)]
pub struct UsageOptions {
    /// Differs at every start; comes back in every effects header.
    pub boot_id: u32,
    /// 16 bytes.
    pub hash_key: Uint8Array,
    pub now_us: f64,
    /// How long event keys are remembered.
    pub event_key_hours: u32,
    /// Event keys, and counters, of one account.
    pub event_keys_max: u32,
    pub counters_max: u32,
}

/// How long the list is that `takeWants` writes; 0: nothing is wanted.
#[napi(object)]
pub struct UsageStep {
    pub wants_bytes: u32,
}

/// What a turn gives: the lengths of what `takeEffects` and `takeJournal` write, and whether the journal
/// has what was acknowledged.
#[napi(object)]
pub struct UsageGiven {
    pub effects_bytes: u32,
    pub journal_bytes: u32,
    pub flush: bool,
}

#[napi]
pub struct Usage {
    core: Core,
}

#[napi]
impl Usage {
    #[napi(constructor, catch_unwind)]
    pub fn new(options: UsageOptions) -> napi::Result<Self> {
        let hash_key = <[u8; 16]>::try_from(&options.hash_key[..])
            .map_err(|_| napi::Error::from_reason("hashKey has to be 16 bytes"))?;
        Ok(Self {
            core: Core::new(Options {
                boot_id: options.boot_id,
                hash_key,
                now_us: whole(options.now_us),
                event_key_hours: options.event_key_hours,
                event_keys_max: options.event_keys_max,
                counters_max: options.counters_max,
            }),
        })
    }

    /// The initial entities, before recovery: an exchange input of `configure` entries.
    #[napi(catch_unwind)]
    pub fn configure(&mut self, now_us: f64, entries: &[u8]) -> napi::Result<()> {
        self.core.configure(whole(now_us), entries).map_err(text)
    }

    /// Stored records as a journal of puts, their keys ascending over all chunks; day cells (`0d`) may be
    /// left out.
    #[napi(catch_unwind)]
    pub fn recover(&mut self, now_us: f64, chunk: &[u8]) -> napi::Result<()> {
        self.core.recover(whole(now_us), chunk).map_err(text)
    }

    /// Ends recovery; before the first `step`.
    #[napi(catch_unwind)]
    pub fn recover_finish(&mut self, now_us: f64) -> napi::Result<()> {
        self.core.recover_finish(whole(now_us)).map_err(text)
    }

    /// Takes one input; `committedStep` is the newest exchange whose journal can be read. `give` follows.
    #[napi(catch_unwind)]
    pub fn step(
        &mut self,
        now_us: f64,
        committed_step: f64,
        input: &[u8],
    ) -> napi::Result<UsageStep> {
        let wants_bytes = self
            .core
            .step(whole(now_us), whole(committed_step), input)
            .map_err(text)?;
        Ok(UsageStep {
            wants_bytes: wants_bytes as u32,
        })
    }

    /// Writes what the step wants to read to the begin of `output`, which has room for it.
    #[napi(catch_unwind)]
    pub fn take_wants(&mut self, mut output: Uint8Array) -> napi::Result<()> {
        // SAFETY: the array is this thread's own and JavaScript does not run during the call.
        let room = unsafe { output.as_mut() };
        copy(self.core.wants(), room)
    }

    /// Takes what was wanted and ends the turn.
    #[napi(catch_unwind)]
    pub fn give(&mut self, given: &[u8]) -> napi::Result<UsageGiven> {
        let given = self.core.give(given).map_err(text)?;
        Ok(UsageGiven {
            effects_bytes: given.effects_bytes as u32,
            journal_bytes: given.journal_bytes as u32,
            flush: given.flush,
        })
    }

    /// Writes the effects of the last turn to the begin of `output`, which has room for them.
    #[napi(catch_unwind)]
    pub fn take_effects(&mut self, mut output: Uint8Array) -> napi::Result<()> {
        // SAFETY: the array is this thread's own and JavaScript does not run during the call.
        let room = unsafe { output.as_mut() };
        copy(self.core.effects(), room)
    }

    /// Writes the journal of the last turn to the begin of `output`, which has room for it.
    #[napi(catch_unwind)]
    pub fn take_journal(&mut self, mut output: Uint8Array) -> napi::Result<()> {
        // SAFETY: the array is this thread's own and JavaScript does not run during the call.
        let room = unsafe { output.as_mut() };
        copy(self.core.journal(), room)
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
