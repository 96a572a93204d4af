//! What a lab is to be: its name, its subnet, its Debian release and its folders, checked when they are given.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// The name of the lab that people get when they name none.
pub const DEFAULT_NAME: &str = "dev";
/// The subnet of the default lab.
pub const DEFAULT_SUBNET: &str = "172.28.0.0/24";

/// A lab's name, short enough for interface names: the longest, `vb-NAME-app1`, has at most 15 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

impl LabName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bridge that the guests hang on.
    pub(crate) fn bridge(&self) -> String {
        format!("pgf-{}", self.0)
    }

    /// The nft table of the lab's address translation and cuts.
    pub(crate) fn table(&self) -> String {
        format!("pgfleet_{}", self.0.replace('-', "_"))
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for LabName {
    type Err = LabError;

    fn from_str(name: &str) -> Result<Self, LabError> {
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
        if plain && begins && !name.ends_with('-') && name.len() <= 7 {
            Ok(Self(name.to_owned()))
        } else {
            Err(LabError::BadName { name: name.to_owned() })
        }
    }
}

impl TryFrom<String> for LabName {
    type Error = LabError;

    fn try_from(name: String) -> Result<Self, LabError> {
        name.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

/// A private IPv4 network of 256 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet([u8; 3]);

impl Subnet {
    /// The address that ends in `last`.
    pub fn address(self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(self.0[0], self.0[1], self.0[2], last)
    }

    /// The bridge's own address, the guests' gateway.
    pub fn gateway(self) -> Ipv4Addr {
        self.address(1)
    }

    /// Whether a network of `prefix` bits at `address` shares an address with this one.
    pub(crate) fn overlaps(self, address: Ipv4Addr, prefix: u8) -> bool {
        let bits = u32::from(prefix.min(24));
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        u32::from(address) & mask == u32::from(self.address(0)) & mask
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/24", self.address(0))
    }
}

impl FromStr for Subnet {
    type Err = LabError;

    fn from_str(subnet: &str) -> Result<Self, LabError> {
        let bad = || LabError::BadSubnet { subnet: subnet.to_owned() };
        let address: Ipv4Addr = subnet.strip_suffix("/24").ok_or_else(bad)?.parse().map_err(|_| bad())?;
        let [a, b, c, last] = address.octets();
        if last == 0 && address.is_private() { Ok(Self([a, b, c])) } else { Err(bad()) }
    }
}

impl TryFrom<String> for Subnet {
    type Error = LabError;

    fn try_from(subnet: String) -> Result<Self, LabError> {
        subnet.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

/// The Debian release of the guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// Debian 13.
    #[default]
    Trixie,
    /// Debian 12.
    Bookworm,
}

impl Suite {
    /// Debian's own name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
            Self::Bookworm => "bookworm",
        }
    }

    /// The PostgreSQL that the release ships.
    pub fn postgresql_version(self) -> u8 {
        match self {
            Self::Trixie => 17,
            Self::Bookworm => 15,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Suite {
    type Err = LabError;

    fn from_str(suite: &str) -> Result<Self, LabError> {
        match suite {
            "trixie" => Ok(Self::Trixie),
            "bookworm" => Ok(Self::Bookworm),
            _ => Err(LabError::BadSuite { suite: suite.to_owned() }),
        }
    }
}

/// Everything that a lab is made from.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name, `dev` by default.
    pub name: LabName,
    /// Its addresses, `172.28.0.0/24` by default.
    pub subnet: Subnet,
    /// The guests' Debian release.
    pub suite: Suite,
    /// `state/lab/NAME`: keys, disks, consoles, snapshots and the record of what exists.
    pub state_dir: PathBuf,
    /// Base images and fetched packages, outside the checkout.
    pub cache_dir: PathBuf,
    /// The inventory shipped for the default lab (`inventory/dev`); never written to.
    pub inventory_dir: Option<PathBuf>,
}

impl Settings {
    /// The lab `dev` of the project in `project`.
    pub fn of_project(project: &Path) -> Result<Self, LabError> {
        Ok(Self {
            name: DEFAULT_NAME.parse()?,
            subnet: DEFAULT_SUBNET.parse()?,
            suite: Suite::default(),
            state_dir: project.join("state/lab").join(DEFAULT_NAME),
            cache_dir: default_cache_dir(),
            inventory_dir: Some(project.join("inventory/dev")),
        })
    }
}

/// `$XDG_CACHE_HOME/pgfleet/lab`, or the same below `~/.cache`.
pub fn default_cache_dir() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(|| PathBuf::from("/var/cache")).join("pgfleet/lab")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_interface_names() {
        for good in ["dev", "a", "lab-2", "abcdefg"] {
            let name: LabName = good.parse().unwrap();
            assert!(name.bridge().len() <= 15);
        }
        for bad in ["", "abcdefgh", "Dev", "2nd", "a_b", "dev-", "-a", "ä"] {
            assert!(bad.parse::<LabName>().is_err(), "{bad}");
        }
        assert_eq!("lab-2".parse::<LabName>().unwrap().table(), "pgfleet_lab_2");
    }

    #[test]
    fn subnets_are_private_and_of_256_addresses() {
        let subnet: Subnet = "172.28.7.0/24".parse().unwrap();
        assert_eq!(subnet.to_string(), "172.28.7.0/24");
        assert_eq!(subnet.address(20).to_string(), "172.28.7.20");
        for bad in ["172.28.7.0", "172.28.7.1/24", "172.28.0.0/16", "8.8.8.0/24", "x/24", "172.28.7.0/240"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn overlap_sees_wider_and_narrower_networks() {
        let subnet: Subnet = "172.28.7.0/24".parse().unwrap();
        let check = |address: &str, prefix| subnet.overlaps(address.parse().unwrap(), prefix);
        assert!(check("172.28.7.0", 24));
        assert!(check("172.28.0.0", 16));
        assert!(check("172.28.7.128", 25));
        assert!(check("172.28.7.9", 32));
        assert!(!check("172.28.8.0", 24));
        assert!(!check("172.29.7.0", 16));
        assert!(check("0.0.0.0", 0));
    }
}
