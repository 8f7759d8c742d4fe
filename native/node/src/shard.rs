//! One shard, as `fairlead_core::shard::Shard` with the same names in the same order.
//!
//! Every error means that the process has to end. Times are µs since 1970 and exchange numbers
//! count from 1: both are integers below 2^53, so doubles hold them exactly.

use fairlead_core::shard::{Fatal, Memory, Options, Shard as Core};
use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;

/// What a shard is made with.
#[napi(object)]
pub struct ShardOptions {
    pub shard: u16,
    /// Differs at every start; comes back in every effects header.
    pub boot_id: u32,
    /// 16 bytes.
    pub hash_key: Uint8Array,
    pub now_us: f64,
    /// How long ended messages are remembered, ms, and in how many bytes of records; each of these
    /// four has its default.
    pub retention_ms: Option<f64>,
    pub retention_bytes: Option<f64>,
    pub idempotency_keys_max: Option<u32>,
    pub dead_letters_max: Option<u32>,
}

/// How long the transaction is that `take_journal` writes, and the keys (9 bytes each) of the
/// records to provide before `emit`.
#[napi(object)]
pub struct StepOutput {
    pub journal_bytes: u32,
    pub wants: Buffer,
}

#[napi]
pub struct Shard {
    core: Core,
    /// Of the last step, until `take_journal`.
    journal: Vec<u8>,
}

#[napi]
impl Shard {
    #[napi(constructor, catch_unwind)]
    pub fn new(options: ShardOptions) -> napi::Result<Self> {
        let hash_key = <[u8; 16]>::try_from(&options.hash_key[..])
            .map_err(|_| napi::Error::from_reason("hashKey has to be 16 bytes"))?;
        Ok(Self {
            core: Core::new(Options {
                shard: options.shard,
                boot_id: options.boot_id,
                hash_key,
                now_us: whole(options.now_us),
                memory: memory_of(&options),
            }),
            journal: Vec::new(),
        })
    }

    /// The initial entities, before recovery: an exchange input of `configure` entries.
    #[napi(catch_unwind)]
    pub fn configure(&mut self, now_us: f64, entries: &[u8]) -> napi::Result<()> {
        self.core.configure(whole(now_us), entries).map_err(text)
    }

    /// Stored records as a journal of puts: meta, then states, log and batches, each in key order.
    #[napi(catch_unwind)]
    pub fn recover(&mut self, now_us: f64, chunk: &[u8]) -> napi::Result<()> {
        self.core.recover(whole(now_us), chunk).map_err(text)
    }

    /// Ends recovery; before the first `step`.
    #[napi(catch_unwind)]
    pub fn recover_finish(&mut self, now_us: f64) -> napi::Result<()> {
        self.core.recover_finish(whole(now_us)).map_err(text)
    }

    /// Takes one exchange. `committed` is the newest exchange whose transaction can be read back.
    #[napi(catch_unwind)]
    pub fn step(&mut self, now_us: f64, committed: f64, input: &[u8]) -> napi::Result<StepOutput> {
        let output = self
            .core
            .step(whole(now_us), whole(committed), input)
            .map_err(text)?;
        self.journal = output.journal;
        Ok(StepOutput {
            journal_bytes: self.journal.len() as u32,
            wants: output.wants.into(),
        })
    }

    /// Writes the journal of the last step to the begin of `output`, which has room for it.
    ///
    /// The caller's buffers serve again and again: buffers of ours would each be new to V8, which
    /// counts their bytes when it decides whether to collect.
    #[napi(catch_unwind)]
    pub fn take_journal(&mut self, mut output: Uint8Array) -> napi::Result<()> {
        // SAFETY: the array is this thread's own and JavaScript does not run during the call.
        let room = unsafe { output.as_mut() };
        let room = room
            .get_mut(..self.journal.len())
            .ok_or_else(|| napi::Error::from_reason("the journal does not fit"))?;
        room.copy_from_slice(&self.journal);
        self.journal = Vec::new();
        Ok(())
    }

    /// The stored value of `wants[index]`.
    #[napi(catch_unwind)]
    pub fn provide(&mut self, index: u32, record: &[u8]) -> napi::Result<()> {
        self.core.provide(index as usize, record).map_err(text)
    }

    /// Writes the effects of the last step into `output`: returns the bytes written, or minus the
    /// bytes needed when it is too small; then call again with a larger one.
    #[napi(catch_unwind)]
    #[allow(clippy::cast_precision_loss)]
    pub fn emit(&mut self, mut output: Uint8Array) -> napi::Result<f64> {
        // SAFETY: the array is this thread's own and JavaScript does not run during the call.
        let room = unsafe { output.as_mut() };
        Ok(match self.core.emit(room).map_err(text)? {
            Ok(written) => written as f64,
            Err(needed) => -(needed as f64),
        })
    }
}

fn memory_of(options: &ShardOptions) -> Memory {
    let defaults = Memory::default();
    let count = |given: Option<u32>, default| given.map_or(default, |count| count as usize);
    Memory {
        retention_ms: options.retention_ms.map_or(defaults.retention_ms, whole),
        retention_bytes: options
            .retention_bytes
            .map_or(defaults.retention_bytes, whole),
        idempotency_keys: count(options.idempotency_keys_max, defaults.idempotency_keys),
        dead_letters: count(options.dead_letters_max, defaults.dead_letters),
    }
}

#[allow(clippy::cast_sign_loss)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[allow(clippy::needless_pass_by_value)]
fn text(fatal: Fatal) -> napi::Error {
    napi::Error::from_reason(fatal.to_string())
}
