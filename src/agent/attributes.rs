//! Owner, group and mode: as wished, as found, and what differs. Shared by all modules that write files.

use std::path::Path;

use pgfleet_protocol::{Diff, FileAttributes, Map, Outcome};
use serde_json::Value;

use crate::module::{Context, Failure, WithContext};
use crate::system::{Kind, Metadata, Permissions, System};

/// What has to be set so that a path is as wished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    permissions: Permissions,
    /// A user or group that is not there (yet: in check mode an earlier task may make it).
    missing: Option<String>,
}

impl Difference {
    /// What differs between the wish and what is there; for something new (`None`) all of the wish does.
    /// Modes of links do not count.
    pub(crate) fn find(system: &dyn System, wish: &FileAttributes, found: Option<&Metadata>, directory: bool) -> Result<Self, Failure> {
        let mut difference = Self::default();
        if let Some(owner) = &wish.owner {
            match owner.parse().ok().map_or_else(|| Ok(system.user_by_name(owner)?.map(|user| user.uid)), |uid| Ok(Some(uid))) {
                Err(failure) => return Err(failure),
                Ok(None) => difference.missing = Some(format!("chown failed: failed to look up user {owner}")),
                Ok(Some(uid)) => difference.permissions.uid = Some(uid).filter(|uid| found.is_none_or(|found| found.uid != *uid)),
            }
        }
        if let Some(group) = &wish.group {
            match group.parse().ok().map_or_else(|| Ok(system.group_by_name(group)?.map(|group| group.gid)), |gid| Ok(Some(gid))) {
                Err(failure) => return Err(failure),
                Ok(None) => difference.missing = Some(format!("chgrp failed: failed to look up group {group}")),
                Ok(Some(gid)) => difference.permissions.gid = Some(gid).filter(|gid| found.is_none_or(|found| found.gid != *gid)),
            }
        }
        if let Some(mode) = &wish.mode
            && found.is_none_or(|found| !found.is_link())
        {
            // A new thing starts from what chmod would see: 0666 or 0777 less the usual umask.
            let current = found.map_or(if directory { 0o755 } else { 0o644 }, |found| found.mode);
            difference.permissions.mode = Some(mode.bits(current, directory)).filter(|bits| found.is_none_or(|found| found.mode != *bits));
        }
        Ok(difference)
    }

    /// True when all is as wished.
    pub(crate) fn is_none(&self) -> bool {
        self.permissions.is_empty() && self.missing.is_none()
    }

    /// What to set; a failure when the user or group is not there.
    pub(crate) fn permissions(&self) -> Result<Permissions, Failure> {
        self.missing.as_ref().map_or(Ok(self.permissions), |missing| Err(Failure::new(missing.as_str())))
    }

    /// Sets what differs.
    pub(crate) fn apply(&self, system: &dyn System, path: &Path) -> Result<(), Failure> {
        let permissions = self.permissions().map_err(|failure| failure.with("path", path.to_string_lossy()))?;
        let chown = Permissions { mode: None, ..permissions };
        system.set_permissions(path, &chown).context(format_args!("cannot change the owner of {}", path.display()))?;
        let chmod = Permissions { mode: permissions.mode, ..Permissions::default() };
        system.set_permissions(path, &chmod).context(format_args!("cannot change the mode of {}", path.display()))
    }

    /// Adds what differs to both sides of an attribute diff.
    pub(crate) fn describe(&self, found: Option<&Metadata>, before: &mut Map, after: &mut Map) {
        let mut differ = |name: &str, old: Option<Value>, new: Option<Value>| {
            if let Some(new) = new {
                after.insert(name.to_owned(), new);
                if let Some(old) = old {
                    before.insert(name.to_owned(), old);
                }
            }
        };
        differ("owner", found.map(|found| found.uid.into()), self.permissions.uid.map(Value::from));
        differ("group", found.map(|found| found.gid.into()), self.permissions.gid.map(Value::from));
        differ("mode", found.map(|found| octal(found.mode).into()), self.permissions.mode.map(|mode| octal(mode).into()));
    }
}

/// A diff of attributes, one `name: value` a line.
pub(crate) fn attribute_diff(path: &Path, before: &Map, after: &Map) -> Diff {
    let text = |map: &Map| {
        map.iter()
            .map(|(name, value)| format!("{name}: {}\n", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect::<String>()
    };
    let header = path.to_string_lossy().into_owned();
    Diff {
        before_header: header.clone(),
        after_header: header,
        before: text(before),
        after: text(after),
        attributes: Some(Box::new([before.clone(), after.clone()])),
    }
}

/// Permission bits as Ansible tells them of a path: `0644`, `01777`. `stat` and `find` have another way.
pub(crate) fn octal(mode: u32) -> String {
    format!("0{mode:03o}")
}

/// The word for what is at a path, as Ansible's `state` has it.
pub(crate) fn state_word(found: Option<&Metadata>) -> &'static str {
    match found {
        None => "absent",
        Some(found) => match found.kind {
            Kind::Link => "link",
            Kind::Directory => "directory",
            _ if found.nlink > 1 => "hard",
            _ => "file",
        },
    }
}

/// Adds `uid`, `gid`, `owner`, `group`, `mode`, `size` and `state` of what is at a path now.
pub(crate) fn with_path_info(outcome: Outcome, context: &Context, path: &Path) -> Outcome {
    let Ok(Some(found)) = context.system.lstat_if_there(path) else { return outcome.with("state", "absent") };
    with_info(outcome, context.system, &found)
}

/// The same of what was found before.
pub(crate) fn with_info(outcome: Outcome, system: &dyn System, found: &Metadata) -> Outcome {
    let owner = system.user_by_id(found.uid).ok().flatten().map_or_else(|| found.uid.to_string(), |user| user.name);
    let group = system.group_by_id(found.gid).ok().flatten().map_or_else(|| found.gid.to_string(), |group| group.name);
    outcome
        .with("uid", found.uid)
        .with("gid", found.gid)
        .with("owner", owner)
        .with("group", group)
        .with("mode", octal(found.mode))
        .with("size", found.size)
        .with("state", state_word(Some(found)))
}
