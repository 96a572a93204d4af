//! Address filters of the collection `ansible.utils`, the part that deployments use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use minijinja::{Error, State, Value};

use super::arguments::{Arguments, Builtin};
use super::python::{self, fail, items_of, list, text};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[
    ("ipaddr", |_, call| ipaddr(call, None)),
    ("ipv4", |_, call| ipaddr(call, Some(4))),
    ("ipv6", |_, call| ipaddr(call, Some(6))),
    ("ipwrap", ipwrap),
    ("ansible.utils.ipaddr", |_, call| ipaddr(call, None)),
    ("ansible.utils.ipv4", |_, call| ipaddr(call, Some(4))),
    ("ansible.utils.ipv6", |_, call| ipaddr(call, Some(6))),
    ("ansible.utils.ipwrap", ipwrap),
];

pub(crate) const TESTS: &[(&str, Builtin)] = &[
    ("ansible.utils.ip", |_, call| Ok(Value::from(Network::parse(&text(&call.input()?)).is_some()))),
    ("ansible.utils.ip_address", |_, call| Ok(Value::from(text(&call.input()?).parse::<IpAddr>().is_ok()))),
    ("ansible.utils.ipv4", |_, call| Ok(Value::from(Network::parse(&text(&call.input()?)).is_some_and(|own| own.address.is_ipv4())))),
    ("ansible.utils.ipv6", |_, call| Ok(Value::from(Network::parse(&text(&call.input()?)).is_some_and(|own| own.address.is_ipv6())))),
    ("ansible.utils.ipv4_address", |_, call| Ok(Value::from(text(&call.input()?).parse::<Ipv4Addr>().is_ok()))),
    ("ansible.utils.ipv6_address", |_, call| Ok(Value::from(text(&call.input()?).parse::<Ipv6Addr>().is_ok()))),
    ("ansible.utils.in_network", |_, call| {
        let [address, network] = call.bind(["ip", "network"])?;
        let network = Network::parse(&text(&network.required()?)).ok_or_else(|| fail("in_network needs a network"))?;
        Ok(Value::from(Network::parse(&text(&address.required()?)).is_some_and(|own| network.contains(own.address))))
    }),
];

/// An address with the length of its network's prefix.
#[derive(Clone, Copy)]
struct Network {
    address: IpAddr,
    prefix: u32,
    has_prefix: bool,
}

impl Network {
    fn parse(source: &str) -> Option<Self> {
        let (address, prefix) = source.split_once('/').map_or((source, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_length = match prefix {
            None => bits,
            Some(prefix) => match prefix.parse::<u32>() {
                Ok(length) => Some(length).filter(|length| *length <= bits)?,
                Err(_) => {
                    let mask = u32::from(prefix.parse::<Ipv4Addr>().ok()?);
                    Some(mask.leading_ones()).filter(|ones| mask.checked_shl(*ones).unwrap_or(0) == 0)?
                }
            },
        };
        Some(Self { address, prefix: prefix_length, has_prefix: prefix.is_some() })
    }

    fn bits(self) -> u32 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn number(self) -> u128 {
        match self.address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        }
    }

    fn host_mask(self) -> u128 {
        1_u128.checked_shl(self.bits() - self.prefix).map_or(u128::MAX, |size| size - 1)
    }

    fn first(self) -> u128 {
        self.number() & !self.host_mask()
    }

    fn at(self, number: u128) -> IpAddr {
        if self.address.is_ipv4() {
            IpAddr::V4(Ipv4Addr::from(u32::try_from(number & 0xffff_ffff).unwrap_or(0)))
        } else {
            IpAddr::V6(Ipv6Addr::from(number))
        }
    }

    fn contains(self, address: IpAddr) -> bool {
        let other = Self { address, ..self };
        address.is_ipv4() == self.address.is_ipv4() && other.first() == self.first()
    }
}

fn ipaddr(call: &Arguments, version: Option<u8>) -> Result<Value, Error> {
    let [value, query] = call.bind(["value", "query"])?;
    let (value, query) = (value.required()?, query.some());
    if python::is_sequence(&value) {
        let answers = items_of(&value)?.iter().map(|item| answer(item, query.as_ref(), version)).collect::<Result<Vec<_>, _>>()?;
        return Ok(list(answers.into_iter().filter(python::truth).collect()));
    }
    answer(&value, query.as_ref(), version)
}

fn answer(value: &Value, query: Option<&Value>, version: Option<u8>) -> Result<Value, Error> {
    let no = || Ok(Value::from(false));
    let source = text(value);
    let Some(own) = Network::parse(&source).filter(|own| version.is_none_or(|version| own.address.is_ipv4() == (version == 4))) else {
        return no();
    };
    let last = own.first() | own.host_mask();
    let only_if = |holds: bool| if holds { Value::from(source.as_str()) } else { Value::from(false) };
    let with_prefix = |number: u128| Value::from(format!("{}/{}", own.at(number), own.prefix));
    let Some(query) = query else { return Ok(Value::from(source)) };
    if let Some(index) = query.as_i64().filter(|_| query.is_integer()) {
        let number = if index < 0 {
            (last + 1).wrapping_sub(u128::from(index.unsigned_abs()))
        } else {
            own.first() + u128::from(index.unsigned_abs())
        };
        return if own.first() <= number && number <= last { Ok(with_prefix(number)) } else { no() };
    }
    let query = text(query);
    let is_network = own.has_prefix && own.number() == own.first() && own.prefix < own.bits();
    Ok(match query.as_str() {
        "" => Value::from(source),
        "address" | "ip" if is_network => Value::from(false),
        "address" | "ip" => Value::from(own.address.to_string()),
        "network" | "network_id" => Value::from(own.at(own.first()).to_string()),
        "net" | "subnet" if query == "net" && !is_network => Value::from(false),
        "net" | "subnet" | "network/prefix" => with_prefix(own.first()),
        "prefix" => Value::from(own.prefix),
        "netmask" => Value::from(own.at(!own.host_mask()).to_string()),
        "hostmask" => Value::from(own.at(own.host_mask()).to_string()),
        "broadcast" if own.prefix + 1 < own.bits() => Value::from(own.at(last).to_string()),
        "size" => {
            u64::try_from(own.host_mask()).ok().and_then(|mask| mask.checked_add(1)).map_or(Value::from(own.host_mask()), Value::from)
        }
        "host" | "host/prefix" | "address/prefix" | "cidr" => with_prefix(own.number()),
        "int" => python::integer_value(i128::try_from(own.number()).unwrap_or(i128::MAX)),
        "version" => Value::from(if own.address.is_ipv4() { 4 } else { 6 }),
        "type" => Value::from(if is_network { "network" } else { "address" }),
        "first_usable" if own.prefix + 1 < own.bits() => Value::from(own.at(own.first() + 1).to_string()),
        "last_usable" if own.prefix + 1 < own.bits() => Value::from(own.at(last - 1).to_string()),
        "range_usable" if own.prefix + 1 < own.bits() => Value::from(format!("{}-{}", own.at(own.first() + 1), own.at(last - 1))),
        "wrap" => Value::from(wrap(&source)),
        "ipv4" => only_if(own.address.is_ipv4()),
        "ipv6" => only_if(own.address.is_ipv6()),
        "private" => only_if(private(own.address)),
        "public" => only_if(!private(own.address)),
        "broadcast" | "first_usable" | "last_usable" | "range_usable" => Value::from(()),
        other => match Network::parse(other) {
            Some(network) if network.contains(own.address) => Value::from(source),
            Some(_) => Value::from(false),
            None => return Err(fail(format!("ipaddr: the query '{other}' is not supported"))),
        },
    })
}

fn private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// IPv6 addresses in brackets, everything else as it is.
fn wrap(source: &str) -> String {
    match source.split_once('/') {
        _ if !Network::parse(source).is_some_and(|own| own.address.is_ipv6()) => source.to_owned(),
        Some((address, prefix)) => format!("[{address}]/{prefix}"),
        None => format!("[{source}]"),
    }
}

fn ipwrap(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, _query] = call.bind(["value", "query"])?;
    let value = value.required()?;
    if python::is_sequence(&value) {
        return Ok(list(items_of(&value)?.iter().map(|item| Value::from(wrap(&text(item)))).collect()));
    }
    Ok(Value::from(wrap(&text(&value))))
}
