//! `policy-rc.d`: keeps packages from starting their services while they are installed.

use std::path::Path;

use crate::module::{Context, Failure, WithContext};
use crate::system::Permissions;

const PATH: &str = "/usr/sbin/policy-rc.d";
const KEPT: &str = "/usr/sbin/policy-rc.d.pgfleet-kept";
const MARK: &str = "# Put here by pgfleet while it installs packages.";

/// A temporary `policy-rc.d`; the host's own is back when this is dropped.
pub(super) struct Policy<'a> {
    context: &'a Context<'a>,
}

impl<'a> Policy<'a> {
    pub(super) fn set(context: &'a Context<'a>, code: i64) -> Result<Self, Failure> {
        let system = context.system;
        // One of ours was left by an agent that was killed: it is not the host's own.
        let is_ours = system.read_text(Path::new(PATH)).is_ok_and(|text| text.contains(MARK));
        if !is_ours && system.lstat(Path::new(PATH)).is_ok() {
            system.rename(Path::new(PATH), Path::new(KEPT)).context(format_args!("cannot set {PATH} aside"))?;
        }
        let policy = Self { context };
        let script = format!("#!/bin/sh\n{MARK}\nexit {code}\n");
        let permissions = Permissions { mode: Some(0o755), ..Permissions::default() };
        system.write_file_atomically(Path::new(PATH), script.as_bytes(), &permissions).context(format_args!("cannot write {PATH}"))?;
        Ok(policy)
    }
}

impl Drop for Policy<'_> {
    fn drop(&mut self) {
        let system = self.context.system;
        // Nothing is left to tell anyone; the next run finds our mark and mends it.
        if system.lstat(Path::new(KEPT)).is_ok() {
            let _ = system.rename(Path::new(KEPT), Path::new(PATH));
        } else {
            let _ = system.remove_file(Path::new(PATH));
        }
    }
}
