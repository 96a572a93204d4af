//! The local fleet: real Debian systems in namespaces on this machine.
//!
//! Four guests run systemd as their first process, each on an overlay over one shared base image, on a private bridge.
//! The crate prints nothing: it returns values and errors, and tells its progress through a callback.

mod base;
mod boot;
mod command;
mod error;
mod fault;
mod guest;
mod hosts;
mod inventory;
mod mirror;
mod network;
mod preflight;
mod process;
mod recipe;
mod record;
mod settings;
mod snapshot;
mod status;
mod step;
mod supervisor;

use std::path::{Path, PathBuf};

pub use error::LabError;
pub use fault::{Cut, Direction, Slowness};
pub use hosts::Host;
pub use settings::{DEFAULT_NAME, DEFAULT_SUBNET, LabName, Settings, Subnet, Suite, default_cache_dir};
pub use status::GuestStatus;
pub use step::Step;

use record::{Open, Record, make_dir};
use step::step;

/// A lab, whether it is up or not.
#[derive(Debug, Clone)]
pub struct Lab {
    settings: Settings,
    hosts: Vec<Host>,
}

/// What `up` has brought about.
#[derive(Debug, Clone)]
pub struct Up {
    /// All four, in the inventory's order.
    pub hosts: Vec<Host>,
    /// Those that this call booted; the others ran already.
    pub booted: Vec<String>,
    /// The inventory to deploy with.
    pub inventory: PathBuf,
    /// The private key that the guests let in.
    pub key: PathBuf,
    /// The guests' host keys.
    pub known_hosts: PathBuf,
}

impl Lab {
    /// A lab as described. Relative folders are taken from the current one.
    pub fn new(mut settings: Settings) -> Result<Self, LabError> {
        let folders = [Some(&mut settings.state_dir), Some(&mut settings.cache_dir), settings.inventory_dir.as_mut()];
        for folder in folders.into_iter().flatten() {
            *folder = std::path::absolute(&*folder).map_err(LabError::file("find", folder.clone()))?;
        }
        let hosts = hosts::lan(&settings.name, settings.subnet);
        Ok(Self { settings, hosts })
    }

    /// The lab whose record lies in the state folder: name, subnet and suite are read from there.
    pub fn existing(settings: Settings) -> Result<Self, LabError> {
        let mut lab = Self::new(settings)?;
        if let Some(record) = record::read(&lab.settings.state_dir)? {
            lab.settings.subnet = record.subnet;
            lab.settings.suite = record.suite;
            lab.hosts = hosts::lan(&lab.settings.name, record.subnet);
        }
        Ok(lab)
    }

    /// As given, with absolute folders.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The four hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// One host by its name, short name or address.
    pub fn host(&self, wanted: &str) -> Result<&Host, LabError> {
        hosts::find(&self.hosts, wanted)
    }

    /// Brings up what is not up: image, network, guests. Guests that run are left alone.
    pub fn up(&self, progress: &dyn Fn(Step)) -> Result<Up, LabError> {
        preflight::check_root()?;
        let settings = &self.settings;
        let lock = record::lock(&settings.state_dir, &settings.name)?;
        let before = record::read(&settings.state_dir)?;
        preflight::check(settings)?;
        if let Some(record) = &before {
            self.check_same(record)?;
        }
        // A bridge is the lab's own when its record says so.
        let ours = before.as_ref().is_some_and(|record| !record.resources.is_empty());
        network::check_subnet(settings, ours)?;
        let base = base::ensure(&settings.cache_dir, settings.suite, progress)?;
        let record = match before {
            Some(record) if record.base.is_dir() => {
                if record.base != base {
                    progress(Step::Note(
                        "the base image has changed since this lab was made: `down` and `up` begin with the new one".to_owned(),
                    ));
                }
                record
            }
            _ => Record::new(settings, base),
        };
        let mut open = Open::new(&settings.state_dir, record, lock);
        open.save()?;
        self.write_access(&open.record)?;
        step(progress, &format!("network {} on bridge {}", settings.subnet, settings.name.bridge()), || {
            network::ensure(settings, &mut open)
        })?;
        let down: Vec<&Host> = self.hosts.iter().filter(|host| !open.runs(&host.name)).collect();
        // A host that runs but was never seen to be ready is what an interrupted `up` has left.
        let waiting: Vec<&Host> = self.hosts.iter().filter(|host| down.contains(host) || !open.guest(&host.name).ready).collect();
        boot::boot(settings, &mut open, &waiting, progress)?;
        Ok(Up {
            hosts: self.hosts.clone(),
            booted: down.into_iter().map(|host| host.name.clone()).collect(),
            inventory: self.inventory(),
            key: self.key(),
            known_hosts: self.known_hosts(),
        })
    }

    /// Ends the lab and discards its disks, snapshots and keys. Works from any half state; a lab that is not up is no error.
    pub fn down(&self, progress: &dyn Fn(Step)) -> Result<(), LabError> {
        preflight::check_root()?;
        let settings = &self.settings;
        if !settings.state_dir.exists() {
            return Ok(());
        }
        let lock = record::lock(&settings.state_dir, &settings.name)?;
        if let Some(record) = record::read(&settings.state_dir)? {
            let mut open = Open::new(&settings.state_dir, record, lock);
            let recorded = Settings { subnet: open.record.subnet, suite: open.record.suite, ..settings.clone() };
            step(progress, "ending the guests", || {
                let names: Vec<String> = open.record.guests.keys().cloned().collect();
                names.iter().try_for_each(|name| supervisor::end(&mut open, name))
            })?;
            step(progress, "removing the network", || network::remove(&recorded, &mut open))?;
        }
        step(progress, "removing the disks", || record::discard(&settings.state_dir))
    }

    /// What runs, host by host; empty for a lab that is not up.
    pub fn status(&self) -> Result<Vec<GuestStatus>, LabError> {
        let record = record::read(&self.settings.state_dir)?;
        Ok(record.map(|record| status::look(&self.settings, &record, &self.hosts)).unwrap_or_default())
    }

    /// The command that logs in on a host, or runs `arguments` there: program first.
    pub fn ssh_command(&self, host: &str, arguments: &[String]) -> Result<Vec<String>, LabError> {
        let mut command = boot::ssh_command(&self.settings, self.host(host)?);
        command.extend(arguments.iter().cloned());
        Ok(command)
    }

    /// Boots hosts that were killed, on the disks that they had, with their cables plugged in: all at once, since some may wait for others.
    pub fn start(&self, hosts: &[impl AsRef<str>], progress: &dyn Fn(Step)) -> Result<(), LabError> {
        let mut hosts = self.named(hosts)?;
        let mut open = self.open()?;
        hosts.retain(|host| !open.runs(&host.name));
        if hosts.is_empty() {
            return Ok(());
        }
        boot::boot(&self.settings, &mut open, &hosts, progress)
    }

    fn named(&self, hosts: &[impl AsRef<str>]) -> Result<Vec<&Host>, LabError> {
        hosts.iter().map(|host| self.host(host.as_ref())).collect()
    }

    /// Pulls a host's cable, or cuts it off from some of the others.
    pub fn partition(&self, host: &str, cut: &Cut) -> Result<(), LabError> {
        fault::partition(&self.settings, &mut self.open()?, &self.hosts, self.host(host)?, cut)
    }

    /// Undoes `partition` and `slow` of one host, or of all.
    pub fn heal(&self, host: Option<&str>) -> Result<(), LabError> {
        let healed: Vec<&Host> = match host {
            Some(host) => vec![self.host(host)?],
            None => self.hosts.iter().collect(),
        };
        fault::heal(&self.settings, &mut self.open()?, &healed)
    }

    /// Crashes hosts: their cables first, so that their peers see silence, then their processes.
    pub fn kill(&self, hosts: &[impl AsRef<str>]) -> Result<(), LabError> {
        fault::kill(&mut self.open()?, &self.named(hosts)?)
    }

    /// Crashes all hosts at once. `up` or `start` boots them again.
    pub fn power_cut(&self) -> Result<(), LabError> {
        fault::kill(&mut self.open()?, &self.hosts.iter().collect::<Vec<_>>())
    }

    /// Makes a host's link thin or long; `None` makes it a good one again.
    pub fn slow(&self, host: &str, slowness: Option<&Slowness>) -> Result<(), LabError> {
        fault::slow(&self.open()?, self.host(host)?, slowness)
    }

    /// Keeps the disks of all hosts as they are now. The hosts are shut down in good order for it and booted again.
    pub fn snapshot(&self, name: &str, progress: &dyn Fn(Step)) -> Result<(), LabError> {
        snapshot::take(&self.settings, &mut self.open()?, &self.hosts, name, progress)
    }

    /// Gives all hosts the disks of a snapshot and boots them.
    pub fn revert(&self, name: &str, progress: &dyn Fn(Step)) -> Result<(), LabError> {
        snapshot::revert(&self.settings, &mut self.open()?, &self.hosts, name, progress)
    }

    /// The names of the snapshots.
    pub fn snapshots(&self) -> Result<Vec<String>, LabError> {
        let record = record::read(&self.settings.state_dir)?;
        Ok(record.map(|record| record.snapshots.into_keys().collect()).unwrap_or_default())
    }

    /// The inventory of this lab: the shipped one where it fits, otherwise the one written by `up`.
    pub fn inventory(&self) -> PathBuf {
        let default = self.settings.name.as_str() == DEFAULT_NAME
            && self.settings.subnet.to_string() == DEFAULT_SUBNET
            && self.settings.suite == Suite::default();
        let shipped = self.settings.inventory_dir.clone().filter(|folder| default && folder.join("hosts.yml").is_file());
        shipped.unwrap_or_else(|| self.settings.state_dir.join("inventory"))
    }

    fn key(&self) -> PathBuf {
        self.settings.state_dir.join("id_ed25519")
    }

    fn known_hosts(&self) -> PathBuf {
        self.settings.state_dir.join("known_hosts")
    }

    fn open(&self) -> Result<Open, LabError> {
        preflight::check_root()?;
        let open = Open::existing(&self.settings.state_dir, &self.settings.name)?;
        self.check_same(&open.record)?;
        Ok(open)
    }

    fn check_same(&self, record: &Record) -> Result<(), LabError> {
        let pairs = [
            ("name", record.name.to_string(), self.settings.name.to_string()),
            ("subnet", record.subnet.to_string(), self.settings.subnet.to_string()),
            ("suite", record.suite.to_string(), self.settings.suite.to_string()),
        ];
        match pairs.into_iter().find(|(_, has, wanted)| has != wanted) {
            Some((what, has, wanted)) => Err(LabError::Differs { name: record.name.to_string(), what, has, wanted }),
            None => Ok(()),
        }
    }

    /// Keys of the user and of the hosts, known_hosts and inventory: all that ssh and pgfleet need, before anything boots.
    fn write_access(&self, record: &Record) -> Result<(), LabError> {
        let settings = &self.settings;
        let user_key = guest::ensure_key(&self.key(), &format!("pgfleet lab {}", settings.name))?;
        let mut known = String::new();
        for host in &self.hosts {
            let disk = guest::Disk::new(settings, host);
            disk.prepare()?;
            known += &inventory::known_host(host, &guest::ensure_key(&disk.host_key(), host.short())?);
            // Below the first snapshot the frozen layer holds what makes the guest itself.
            if record.layers.is_empty() && !disk.is_personal() {
                guest::personalise(settings, host, &disk, &user_key)?;
            }
        }
        record::write(&self.known_hosts(), known.as_bytes(), 0o600)?;
        let folder = settings.state_dir.join("inventory");
        make_dir(&folder, 0o700)?;
        record::write(&folder.join("hosts.yml"), inventory_text(settings, &folder).as_bytes(), 0o600)
    }
}

/// `hosts.yml` of a lab for an inventory that lies in `inventory_dir`; both folders absolute.
pub fn inventory_text(settings: &Settings, inventory_dir: &Path) -> String {
    let hosts = hosts::lan(&settings.name, settings.subnet);
    let way = inventory::relative(inventory_dir, &settings.state_dir);
    inventory::text(&settings.name, settings.subnet, settings.suite, &hosts, &way.to_string_lossy())
}
