//! Files of the controller on their way to hosts: each is read and summed once for all of them, as long as it stays what it is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pgfleet_template::{FileIdentity, Files, Opened, Problem};

use crate::Content;
use crate::attempt::Attempt;

/// The most bytes that are kept for hosts that come later.
const KEPT: usize = 64 << 20;

/// What is in a file.
pub(crate) struct Shipment {
    bytes: Arc<[u8]>,
    sha256: String,
}

impl Shipment {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { sha256: pgfleet_protocol::sha256(&bytes), bytes: bytes.into() }
    }

    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn content(&self) -> Content {
        Content::Bytes(self.bytes.clone())
    }
}

/// Whether what a vault holds is sent opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Vaults {
    Opened,
    AsTheyAre,
}

/// What was read so far.
#[derive(Default)]
pub(crate) struct Shipments(Mutex<HashMap<(PathBuf, Vaults), Known>>);

struct Known {
    identity: FileIdentity,
    shipment: Weak<Shipment>,
    /// Keeps it while no host is being sent it.
    kept: Option<Arc<Shipment>>,
}

impl Shipments {
    /// The content of a file in that state, read by `read` unless it is known.
    fn get(
        &self,
        key: (PathBuf, Vaults),
        identity: Option<FileIdentity>,
        read: impl FnOnce() -> Result<Vec<u8>, Problem>,
    ) -> Result<Arc<Shipment>, Problem> {
        let Some(identity) = identity else { return Ok(Arc::new(Shipment::new(read()?))) };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shipment) = known.get(&key).filter(|known| known.identity == identity).and_then(|known| known.shipment.upgrade()) {
            return Ok(shipment);
        }
        let shipment = Arc::new(Shipment::new(read()?));
        let kept: usize = known.values().filter_map(|known| known.kept.as_ref()).map(|kept| kept.size()).sum();
        if kept + shipment.size() > KEPT {
            known.clear();
        }
        let keeps = (shipment.size() <= KEPT).then(|| shipment.clone());
        known.insert(key, Known { identity, shipment: Arc::downgrade(&shipment), kept: keeps });
        Ok(shipment)
    }
}

impl Attempt<'_> {
    /// What is in a file of the controller.
    pub(crate) fn shipment(&self, path: &Path, vaults: Vaults) -> Result<Arc<Shipment>, Problem> {
        let loader = &self.run.options.loader;
        let files = loader.files();
        let read = || match vaults {
            Vaults::Opened => read(&Opened::new(files.clone(), loader.vault().clone()), path),
            Vaults::AsTheyAre => read(&**files, path),
        };
        self.run.shipments.get((path.to_owned(), vaults), files.identity(path), read)
    }

    /// A text of the controller; what a vault holds is opened.
    pub(crate) fn opened(&self, path: &Path) -> Result<Vec<u8>, Problem> {
        let loader = &self.run.options.loader;
        read(&Opened::new(loader.files().clone(), loader.vault().clone()), path)
    }
}

fn read(files: &dyn Files, path: &Path) -> Result<Vec<u8>, Problem> {
    files.read(path).map_err(|error| Problem::new(format!("cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Shipments, Vaults};
    use pgfleet_template::{Disk, Files};

    #[test]
    fn a_file_is_read_again_only_when_it_is_another_one() {
        let (shipments, key) = (Shipments::default(), ("/x".into(), Vaults::Opened));
        let get = |identity, text: &str| {
            let shipment = shipments.get(key.clone(), identity, || Ok(text.as_bytes().to_vec())).expect("it is read");
            String::from_utf8_lossy(&shipment.bytes).into_owned()
        };
        let (first, second) = (Disk.identity("/proc/self/exe".as_ref()), Disk.identity("/bin/sh".as_ref()));
        assert!(first.is_some() && second.is_some() && first != second);
        let told = [(first, "a"), (first, "b"), (second, "c"), (second, "d"), (None, "e")].map(|(identity, text)| get(identity, text));
        assert_eq!(told, ["a", "a", "c", "c", "e"]);
    }

    #[test]
    fn large_files_are_kept_only_while_somebody_is_sent_them() {
        let (shipments, key) = (Shipments::default(), ("/x".into(), Vaults::AsTheyAre));
        let identity = Disk.identity("/bin/sh".as_ref());
        let get = |size: usize| shipments.get(key.clone(), identity, || Ok(vec![0; size])).expect("it is read");
        let sent = get(KEPT + 1);
        assert_eq!(get(1).size(), KEPT + 1, "while it is sent");
        drop(sent);
        assert_eq!(get(1).size(), 1, "afterwards");
    }
}
