//! What dpkg knows, read from its own files: no process is started to learn what is installed.

mod status;
mod version;

pub(crate) use status::{Installed, STATUS_FILE, Want};
pub(crate) use version::compare;
