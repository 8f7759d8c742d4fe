//! The Node-API binding of `fairlead-core`: data objects and one-line functions.
//!
//! Every export catches panics (`catch_unwind`); without that a panic aborts the process.
//! Statics of this library are shared by all threads of the process, the workers too.

// Arguments of exports are owned: that is how Node-API hands them over.
#![allow(clippy::needless_pass_by_value)]

mod gate;
mod notify;
mod shard;
mod usage;

use napi_derive::napi;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};

/// Its address tells one loaded copy of this library from another.
static INSTANCE: u8 = 0;

/// Identifies the loaded copy of this library: the same number on every thread that shares it.
///
/// The daemon compares the main thread's number with each worker's before it trusts shared tables.
/// Addresses fit 48 bits here, so a double holds them exactly.
#[napi(catch_unwind)]
#[allow(clippy::cast_precision_loss)]
pub fn instance_id() -> f64 {
    (&raw const INSTANCE).addr() as f64
}

/// Ends the process at once with exit code `code`: no exit handlers, no waiting for threads.
///
/// `process.exit` waits for the storage engine's outstanding writes and can hang; every
/// crash-only ending goes through here.
#[napi(catch_unwind, ts_return_type = "never")]
pub fn exit_now(code: i32) {
    // SAFETY: `_exit` has no preconditions; it ends the process and does not return.
    unsafe { libc::_exit(code) }
}

/// Locks the file at `path`, made when absent, for this process alone: `flock(2)`, which ends with
/// the process however that ends.
///
/// Returns the lock for `unlockFile`, or -1 when another process (or an earlier call) has it.
#[napi(catch_unwind)]
pub fn lock_file(path: String) -> napi::Result<i32> {
    let file = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| napi::Error::from_reason(format!("{path}: {error}")))?;
    // SAFETY: the descriptor is open for the whole call.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(file.into_raw_fd());
    }
    let error = std::io::Error::last_os_error();
    if error.kind() == std::io::ErrorKind::WouldBlock {
        return Ok(-1);
    }
    Err(napi::Error::from_reason(format!("{path}: {error}")))
}

/// Gives a lock of `lockFile` back.
#[napi(catch_unwind)]
pub fn unlock_file(lock: i32) {
    // SAFETY: `lock` is a descriptor that `lockFile` opened and nothing else closes.
    drop(unsafe { std::fs::File::from_raw_fd(lock) });
}
