//! The lab's own record, `lab.json`: what exists, or is about to. Written before each effect, so that `down` works from any half state.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::process::Process;
use crate::settings::{LabName, Settings, Subnet, Suite};
use crate::supervisor;

/// Everything that a lab has made outside its own folder, and how its disks are layered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: LabName,
    pub(crate) subnet: Subnet,
    pub(crate) suite: Suite,
    /// The folder of the base image below all disks.
    pub(crate) base: PathBuf,
    /// Resources on this machine, in the order of their making.
    pub(crate) resources: Vec<Resource>,
    /// By host name.
    pub(crate) guests: BTreeMap<String, GuestRecord>,
    /// Frozen layers between the base and the disks, lowest first.
    pub(crate) layers: Vec<String>,
    /// By name: how many of `layers`, and which, lay below the disks then.
    pub(crate) snapshots: BTreeMap<String, Vec<String>>,
    /// A revert has begun whose old disks may still be there.
    #[serde(default)]
    pub(crate) reverting: bool,
    /// Pairs of addresses whose packets are dropped, sender first.
    pub(crate) cuts: Vec<(String, String)>,
}

impl Record {
    /// Of a lab that nothing exists of yet.
    pub(crate) fn new(settings: &Settings, base: PathBuf) -> Self {
        Self {
            name: settings.name.clone(),
            subnet: settings.subnet,
            suite: settings.suite,
            base,
            resources: Vec::new(),
            guests: BTreeMap::new(),
            layers: Vec::new(),
            snapshots: BTreeMap::new(),
            reverting: false,
            cuts: Vec::new(),
        }
    }
}

/// The processes of one guest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct GuestRecord {
    /// The first process that the lab started for it, and those found below it.
    pub(crate) processes: Vec<Process>,
    /// Control groups made for it.
    pub(crate) cgroups: Vec<PathBuf>,
    /// Its transient systemd unit, where this machine runs systemd.
    pub(crate) unit: Option<String>,
    /// The outer end of its network cable.
    #[serde(default)]
    pub(crate) cable: Option<String>,
    /// Whether it was seen to answer on SSH with a settled systemd.
    #[serde(default)]
    pub(crate) ready: bool,
}

/// Something that `down` has to take away from this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Resource {
    /// The unreachable route that keeps the lab's traffic here.
    Route,
    /// This lab's claim that the machine forwards packets.
    Forwarding,
    /// The nft tables.
    Table,
    /// The rules for machines whose iptables forward nothing by default.
    Iptables,
    /// The bridge.
    Bridge,
}

/// A lab's record and the lock that makes it ours.
pub(crate) struct Open {
    pub(crate) record: Record,
    path: PathBuf,
    _lock: File,
}

/// Held while a command changes the lab.
pub(crate) fn lock(state_dir: &Path, name: &LabName) -> Result<File, LabError> {
    make_dir(state_dir, 0o700)?;
    let path = state_dir.join("lock");
    let file = File::create(&path).map_err(LabError::file("create", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(LabError::Busy { name: name.to_string() }),
        Err(errno) => Err(LabError::File { action: "lock", path, source: errno.into() }),
    }
}

/// The record of a lab, if it has one.
pub(crate) fn read(state_dir: &Path) -> Result<Option<Record>, LabError> {
    let path = state_dir.join("lab.json");
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|source| LabError::Damaged { path, source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(LabError::NotRoot),
        Err(source) => Err(LabError::File { action: "read", path, source }),
    }
}

impl Open {
    /// Takes hold of a record.
    pub(crate) fn new(state_dir: &Path, record: Record, lock: File) -> Self {
        Self { record, path: state_dir.join("lab.json"), _lock: lock }
    }

    /// The record of a lab that must be there.
    pub(crate) fn existing(state_dir: &Path, name: &LabName) -> Result<Self, LabError> {
        if read(state_dir)?.is_none() {
            return Err(LabError::NotUp { name: name.to_string() });
        }
        let lock = lock(state_dir, name)?;
        let record = read(state_dir)?.ok_or_else(|| LabError::NotUp { name: name.to_string() })?;
        Ok(Self::new(state_dir, record, lock))
    }

    /// Writes the record to disk.
    pub(crate) fn save(&self) -> Result<(), LabError> {
        let text = serde_json::to_vec_pretty(&self.record).map_err(|source| LabError::Damaged { path: self.path.clone(), source })?;
        write(&self.path, &text, 0o600)
    }

    /// Notes a resource that is about to be made.
    pub(crate) fn claim(&mut self, resource: Resource) -> Result<(), LabError> {
        if !self.record.resources.contains(&resource) {
            self.record.resources.push(resource);
            self.save()?;
        }
        Ok(())
    }

    /// Strikes out a resource that is gone.
    pub(crate) fn release(&mut self, resource: Resource) -> Result<(), LabError> {
        self.record.resources.retain(|held| *held != resource);
        self.save()
    }

    /// Whether a guest's systemd runs.
    pub(crate) fn runs(&self, host: &str) -> bool {
        self.record.guests.get(host).and_then(supervisor::init).is_some()
    }

    /// A name that no layer has or had while a snapshot knows of it.
    pub(crate) fn next_layer(&self) -> String {
        let used = self.record.snapshots.values().flatten().chain(&self.record.layers);
        let highest = used.filter_map(|name| name.parse::<u32>().ok()).max().unwrap_or_default();
        (highest + 1).to_string()
    }

    /// The part of one guest.
    pub(crate) fn guest(&mut self, host: &str) -> &mut GuestRecord {
        self.record.guests.entry(host.to_owned()).or_default()
    }
}

/// Writes a file so that it is there whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), LabError> {
    let failed = |action| move |source| LabError::File { action, path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new).map_err(failed("write"))?;
    file.set_permissions(Permissions::from_mode(mode)).map_err(failed("set the mode of"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write"))?;
    fs::rename(&new, path).map_err(failed("write"))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write"))
}

/// Makes a folder and those above it; only the last one gets `mode`.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(LabError::file("create", path))?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(LabError::file("set the mode of", path))
}

/// Removes what a lab keeps in its state folder, the record last, and the folder if nothing else is in it.
pub(crate) fn discard(state_dir: &Path) -> Result<(), LabError> {
    for folder in ["hosts", "inventory", "probe"] {
        remove_dir(&state_dir.join(folder))?;
    }
    for name in ["id_ed25519", "id_ed25519.pub", "known_hosts", "known_hosts.new", "lab.json.new", "lab.json", "lock"] {
        let path = state_dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(LabError::file("remove", path)(error)),
            _ => {}
        }
    }
    // A file of somebody else's keeps the folder.
    let _ = fs::remove_dir(state_dir);
    Ok(())
}

/// Removes a folder and all below it; one that is not there is no error.
pub(crate) fn remove_dir(path: &Path) -> Result<(), LabError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LabError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let settings = Settings {
            name: "dev".parse().unwrap(),
            subnet: "172.28.0.0/24".parse().unwrap(),
            suite: Suite::Trixie,
            state_dir: "/state".into(),
            cache_dir: "/cache".into(),
            inventory_dir: None,
        };
        Record::new(&settings, "/base".into())
    }

    #[test]
    fn a_claim_is_on_disk_before_the_caller_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let name = "dev".parse().unwrap();
        let mut open = Open::new(dir.path(), record(), lock(dir.path(), &name).unwrap());
        open.claim(Resource::Bridge).unwrap();
        open.claim(Resource::Bridge).unwrap();
        assert_eq!(read(dir.path()).unwrap().unwrap().resources, [Resource::Bridge]);
        open.release(Resource::Bridge).unwrap();
        assert!(read(dir.path()).unwrap().unwrap().resources.is_empty());
    }

    #[test]
    fn one_command_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let name = "dev".parse().unwrap();
        let held = lock(dir.path(), &name).unwrap();
        assert!(matches!(lock(dir.path(), &name), Err(LabError::Busy { .. })));
        drop(held);
        lock(dir.path(), &name).unwrap();
    }

    #[test]
    fn no_record_is_not_up_and_a_damaged_one_is_said_to_be_so() {
        let dir = tempfile::tempdir().unwrap();
        let name = "dev".parse().unwrap();
        assert!(matches!(Open::existing(dir.path(), &name), Err(LabError::NotUp { .. })));
        fs::write(dir.path().join("lab.json"), "{").unwrap();
        assert!(matches!(Open::existing(dir.path(), &name), Err(LabError::Damaged { .. })));
    }

    #[test]
    fn layers_of_snapshots_are_never_named_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut open = Open::new(dir.path(), record(), lock(dir.path(), &"dev".parse().unwrap()).unwrap());
        assert_eq!(open.next_layer(), "1");
        open.record.layers = vec!["1".into()];
        open.record.snapshots.insert("later".into(), vec!["1".into(), "2".into()]);
        assert_eq!(open.next_layer(), "3");
    }

    #[test]
    fn only_the_labs_own_files_are_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("lab");
        make_dir(&state.join("hosts/x/disk"), 0o755).unwrap();
        fs::write(state.join("lab.json"), "{}").unwrap();
        fs::write(state.join("mine"), "").unwrap();
        discard(&state).unwrap();
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
        fs::remove_file(state.join("mine")).unwrap();
        discard(&state).unwrap();
        assert!(!state.exists());
    }
}
