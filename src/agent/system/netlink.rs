//! The addresses of all network interfaces, asked of the kernel over a netlink socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, sendto, socket};

/// An address of a network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's number.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Bits of the network.
    pub prefix: u8,
    /// 0 is global, 253 link, 254 host.
    pub scope: u8,
    /// The broadcast address.
    pub broadcast: Option<Ipv4Addr>,
}

// From linux/rtnetlink.h and linux/netlink.h.
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;

pub(crate) fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    // Protocol 0 is NETLINK_ROUTE.
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    let mut request = Vec::with_capacity(24);
    request.extend(24_u32.to_ne_bytes());
    request.extend(RTM_GETADDR.to_ne_bytes());
    request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 16]);
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut found = Vec::new();
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let (_, length) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        if length == 0 || read_messages(&buffer[..length], &mut found)? {
            return Ok(found);
        }
    }
}

/// Reads one datagram; true when it was the last one.
fn read_messages(mut bytes: &[u8], found: &mut Vec<InterfaceAddress>) -> io::Result<bool> {
    while let Some(length) =
        u32_at(bytes, 0).and_then(|length| usize::try_from(length).ok()).filter(|length| (16..=bytes.len()).contains(length))
    {
        match u16_at(bytes, 4) {
            Some(NLMSG_DONE) => return Ok(true),
            Some(NLMSG_ERROR) => return Err(io::Error::other("the kernel refuses to tell interface addresses")),
            Some(RTM_NEWADDR) => found.extend(read_address(&bytes[16..length])),
            _ => {}
        }
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
    }
    Ok(false)
}

fn read_address(message: &[u8]) -> Option<InterfaceAddress> {
    let [_, prefix, _, scope, ..] = *message else { return None };
    let index = u32_at(message, 4)?;
    let (mut address, mut local, mut broadcast) = (None, None, None);
    let mut rest = message.get(8..)?;
    while let Some(length) = u16_at(rest, 0).map(usize::from).filter(|length| (4..=rest.len()).contains(length)) {
        let value = ip(&rest[4..length]);
        match u16_at(rest, 2) {
            Some(IFA_ADDRESS) => address = value,
            Some(IFA_LOCAL) => local = value,
            Some(IFA_BROADCAST) => broadcast = value,
            _ => {}
        }
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    let broadcast = if let Some(IpAddr::V4(ip)) = broadcast { Some(ip) } else { None };
    // On point-to-point links the plain address is the other side's.
    Some(InterfaceAddress { index, address: local.or(address)?, prefix, scope, broadcast })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(|octets| IpAddr::V6(Ipv6Addr::from(octets))))
        .ok()
}

fn aligned(length: usize) -> usize {
    length.div_ceil(4) * 4
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn the_loopback_address_is_found() {
        let found = super::addresses().expect("netlink works");
        let own = found.iter().find(|address| address.address == IpAddr::V4(Ipv4Addr::LOCALHOST)).expect("127.0.0.1");
        assert_eq!((own.index, own.prefix, own.scope), (1, 8, 254));
    }
}
