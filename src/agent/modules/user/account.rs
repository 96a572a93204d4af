//! The accounts of this host as its own files have them.

use std::path::Path;

use pgfleet_protocol::Secret;

use crate::module::{Context, Failure, WithContext};
use crate::system::{Group, User};

/// All that the account files say.
pub(super) struct Accounts {
    pub(super) users: Vec<User>,
    pub(super) groups: Vec<Group>,
    shadow: String,
}

/// A user's line in `/etc/shadow`.
pub(super) struct Shadow {
    pub(super) password: Secret,
    /// The day on which the account ends, days since 1970.
    pub(super) expires: Option<i64>,
    /// Days of a password: least, most, of warning, and until the account ends.
    pub(super) days: [Option<i64>; 4],
}

impl Accounts {
    pub(super) fn read(context: &Context) -> Result<Self, Failure> {
        let system = context.system;
        // Only root may read it; who is not root can change nothing either.
        let shadow = system.read_text(Path::new("/etc/shadow")).unwrap_or_default();
        let users = system.users().context("cannot read /etc/passwd")?;
        Ok(Self { users, groups: system.groups().context("cannot read /etc/group")?, shadow })
    }

    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The group of that name or number.
    pub(super) fn group(&self, name_or_number: &str) -> Option<&Group> {
        let by_name = self.groups.iter().find(|group| group.name == name_or_number);
        by_name.or_else(|| name_or_number.parse().ok().and_then(|gid: u32| self.groups.iter().find(|group| group.gid == gid)))
    }

    /// Names of the other groups of a user, sorted.
    pub(super) fn groups_of(&self, user: &str) -> Vec<String> {
        let mut names: Vec<String> =
            self.groups.iter().filter(|group| group.members.iter().any(|member| member == user)).map(|group| group.name.clone()).collect();
        names.sort();
        names
    }

    pub(super) fn shadow(&self, user: &str) -> Option<Shadow> {
        let fields: Vec<&str> = self.shadow.lines().find(|line| line.split(':').next() == Some(user))?.split(':').collect();
        Some(Shadow {
            password: Secret::new(fields.get(1).copied().unwrap_or_default()),
            days: [3, 4, 5, 6].map(|at| fields.get(at).and_then(|text| text.parse().ok())),
            expires: fields.get(7).and_then(|text| text.parse().ok()),
        })
    }
}
