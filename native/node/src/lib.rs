//! The Node-API binding of `fairlead-core`: data objects and one-line functions.
//!
//! Every export catches panics (`catch_unwind`); without that a panic aborts the process.
//! Statics of this library are shared by all threads of the process, the workers too.

use napi_derive::napi;

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
