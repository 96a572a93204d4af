//! A user's own SSH key.

use std::path::{Path, PathBuf};

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::account::User;

use crate::module::{Context, Failure, WithContext};
use crate::system::{Permissions, Program};

/// Where the private key is.
pub(super) fn path(wish: &User, user: &crate::system::User) -> PathBuf {
    let file = wish.ssh_key_file.clone().unwrap_or_else(|| format!(".ssh/id_{}", wish.ssh_key_type));
    // An absolute name replaces the home folder.
    Path::new(&user.home).join(file)
}

/// Adds Ansible's results about the key.
pub(super) fn describe(wish: &User, user: &crate::system::User, outcome: Outcome, context: &Context) -> Outcome {
    let path = path(wish, user);
    let outcome = outcome.with("ssh_key_file", path.to_string_lossy());
    match context.system.read_text(&public(&path)) {
        Ok(key) => outcome.with("ssh_public_key", key.trim_end()),
        Err(_) => outcome,
    }
}

fn public(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Makes the key without a passphrase, owned by the user.
pub(super) fn make(wish: &User, user: &crate::system::User, context: &Context) -> Result<(), Failure> {
    let (path, system) = (path(wish, user), context.system);
    if system.exists(&path) {
        return Ok(());
    }
    let own = Permissions { uid: Some(user.uid), gid: Some(user.gid), mode: None };
    if let Some(folder) = path.parent().filter(|folder| !system.exists(folder)) {
        for made in system.make_dirs(folder).context(format_args!("cannot make {}", folder.display()))? {
            system.set_permissions(&made, &Permissions { mode: Some(0o700), ..own })?;
        }
    }
    let file = path.to_string_lossy().into_owned();
    let comment = wish.ssh_key_comment.clone().unwrap_or_else(|| format!("ansible-generated on {}", system.uname().nodename));
    let mut argv = [
        "ssh-keygen",
        "-q",
        "-t",
        &wish.ssh_key_type,
        "-C",
        &comment,
        "-N",
        wish.ssh_key_passphrase.as_ref().map_or("", |phrase| phrase.reveal()),
        "-f",
        &file,
    ]
    .map(str::to_owned)
    .to_vec();
    if let Some(bits) = wish.ssh_key_bits.filter(|bits| *bits > 0) {
        argv.extend(["-b".to_owned(), bits.to_string()]);
    }
    super::run(context, Program::new(argv))?;
    system.set_permissions(&path, &own)?;
    Ok(system.set_permissions(&public(&path), &own)?)
}
