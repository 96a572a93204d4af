//! The kernel's tables of TCP sockets, `/proc/net/tcp` and `tcp6`: who is connected, and who holds a port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::system::System;

/// One TCP socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) local: (IpAddr, u16),
    pub(crate) remote: (IpAddr, u16),
    pub(crate) state: u8,
    inode: u64,
}

pub(crate) const LISTEN: u8 = 0x0A;

/// The kernel's number of a state that Ansible names.
pub(crate) fn state_number(name: &str) -> Option<u8> {
    Some(match name {
        "ESTABLISHED" => 0x01,
        "SYN_SENT" => 0x02,
        "SYN_RECV" => 0x03,
        "FIN_WAIT1" => 0x04,
        "FIN_WAIT2" => 0x05,
        "TIME_WAIT" => 0x06,
        _ => return None,
    })
}

pub(crate) fn sockets(system: &dyn System) -> Vec<Socket> {
    let read = |path: &str| system.read_text(Path::new(path)).unwrap_or_default();
    let (four, six) = (read("/proc/net/tcp"), read("/proc/net/tcp6"));
    four.lines().chain(six.lines()).filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Socket> {
    let mut words = line.split_ascii_whitespace();
    let (local, remote) = (end(words.nth(1)?)?, end(words.next()?)?);
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    Some(Socket { local, remote, state, inode: words.nth(5)?.parse().ok()? })
}

/// `0100007F:1F90`: each group of four bytes is a number in the machine's own order.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = if address.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(word(0)?))
    } else {
        let mut octets = [0; 16];
        for (at, chunk) in octets.chunks_mut(4).enumerate() {
            chunk.copy_from_slice(&word(at)?);
        }
        let six = Ipv6Addr::from(octets);
        six.to_ipv4_mapped().map_or(IpAddr::V6(six), IpAddr::V4)
    };
    Some((address, port))
}

/// A process that listens on a port.
pub(crate) struct Listener {
    pub(crate) address: IpAddr,
    /// Its name and number; none for one that cannot be seen.
    pub(crate) process: Option<(String, String)>,
}

impl fmt::Display for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some((name, pid)) => write!(formatter, "{name} (pid {pid})"),
            None => formatter.write_str("a process that cannot be seen"),
        }
    }
}

/// Who listens on a port, a line for each address.
pub(crate) fn listeners(system: &dyn System, port: u16) -> Vec<Listener> {
    let listening = sockets(system).into_iter().filter(|socket| socket.state == LISTEN && socket.local.1 == port);
    listening.map(|socket| Listener { address: socket.local.0, process: owner(system, socket.inode) }).collect()
}

fn owner(system: &dyn System, inode: u64) -> Option<(String, String)> {
    let wanted = format!("socket:[{inode}]");
    let holds = |folder: &Path| {
        let descriptors = system.list_dir(&folder.join("fd")).unwrap_or_default();
        descriptors.iter().any(|fd| system.read_link(&folder.join("fd").join(fd)).is_ok_and(|target| target.as_os_str() == wanted.as_str()))
    };
    let pids =
        system.list_dir(Path::new("/proc")).unwrap_or_default().into_iter().filter_map(|name| name.into_os_string().into_string().ok());
    let pid = pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).find(|pid| holds(&Path::new("/proc").join(pid)))?;
    let name = system.read_text(&Path::new("/proc").join(&pid).join("comm")).unwrap_or_default();
    Some((name.trim().to_owned(), pid))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, TcpListener};

    use super::{LISTEN, listeners, parse};
    use crate::system::Linux;

    #[test]
    fn lines_of_the_table_are_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0";
        let socket = parse(line).expect("a socket");
        assert_eq!((socket.local, socket.state, socket.inode), ((IpAddr::V4(Ipv4Addr::LOCALHOST), 8080), LISTEN, 4711));
    }

    #[test]
    fn the_holder_of_a_port_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let found = listeners(&Linux, listener.local_addr().expect("an address").port());
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains(&format!("(pid {})", std::process::id())), "{}", found[0]);
    }
}
