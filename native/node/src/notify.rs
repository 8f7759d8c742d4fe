//! What the service manager is told: the `sd_notify(3)` protocol. Node has no datagram sockets of
//! the local kind.

use napi_derive::napi;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `state` (lines such as `READY=1`) to the socket named by `NOTIFY_SOCKET`.
///
/// Returns false when there is none, as without systemd.
#[napi(catch_unwind)]
pub fn notify(state: String) -> napi::Result<bool> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(false);
    };
    match send(&name, state.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) => {
            let name = name.to_string_lossy();
            Err(napi::Error::from_reason(format!(
                "NOTIFY_SOCKET {name}: {error}"
            )))
        }
    }
}

fn send(name: &OsStr, state: &[u8]) -> io::Result<()> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state, &address)?;
    Ok(())
}
