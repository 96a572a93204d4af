//! Tells systemd how the daemon stands, where the unit asks for it (`Type=notify`).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends a state, `READY=1` say; without `NOTIFY_SOCKET` nobody wants to know.
pub(super) fn tell(state: &str) -> io::Result<()> {
    let Ok(name) = std::env::var("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}
