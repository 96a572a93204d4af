//! Names of variables: those that Ansible itself gives, and those that nothing gives.

use std::collections::HashSet;

use pgfleet_template::distance;

use crate::Severity;
use crate::walk::Walk;

/// Names that exist in every run, besides all that begin with `ansible_`.
const MAGIC: [&str; 27] = [
    "environment",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "module_setup",
    "mount_points",
    "omit",
    "packages",
    "play_hosts",
    "playbook_dir",
    "role_name",
    "role_names",
    "role_path",
    "role_uuid",
    "services",
    "template_destpath",
    "template_fullpath",
    "template_host",
    "template_mtime",
    "template_path",
    "template_run_date",
    "template_uid",
    "vars",
];

/// True for names that a run always has, and for facts, which only a run knows.
pub(crate) fn is_magic(name: &str) -> bool {
    MAGIC.binary_search(&name).is_ok() || ["ansible_", "facter_", "getent_", "ohai_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Names that a registered result should not hide.
pub(crate) fn is_reserved(name: &str) -> bool {
    MAGIC.binary_search(&name).is_ok() || ["ansible_facts", "ansible_check_mode", "ansible_play_hosts", "item"].contains(&name)
}

/// The name that was meant, where that is as good as certain: one slip in a longer name, and not in a number at its end.
fn close_name<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let without_digits = |text: &str| text.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == '_').len();
    let is_part = |known: &str| known.starts_with(name) || known.ends_with(name) || name.starts_with(known) || name.ends_with(known);
    let is_slip = |known: &&str| {
        known.len() > 3
            && known.len().abs_diff(name.len()) <= 1
            && known[..without_digits(known)] != name[..without_digits(name)]
            && !is_part(known)
            && distance(name, known) == 1
    };
    known.filter(is_slip).min()
}

impl Walk<'_> {
    /// Reports names that nothing defines.
    pub(crate) fn unknown_names(&mut self) {
        if self.request.inventory.is_none() || self.request.names_are_open {
            return;
        }
        let asked = self.asked_for();
        for found in std::mem::take(&mut self.uses) {
            let is_asked = found.owner.as_ref().is_none_or(|owner| asked.contains(&**owner));
            if self.is_defined(&found.name) || !is_asked {
                continue;
            }
            let close = close_name(&found.name, self.defined.iter().map(String::as_str));
            // A name that may never be asked for is often one that only some inventories have.
            let severity = match (found.is_certain && !self.is_open, &close) {
                (true, _) => Severity::Error,
                // A file that only a run knows may define it, but hardly a slip.
                (false, None) if self.is_open => continue,
                (false, Some(_)) => Severity::Warning,
                (false, None) => Severity::Hint,
            };
            let hint = close.map(|known| format!("did you mean '{known}'?"));
            let message = match (found.name.as_str(), found.is_certain) {
                ("item", _) => "'item' is used outside a loop".to_owned(),
                (name, true) => format!("nothing defines the variable '{name}'"),
                (name, false) => format!("nothing defines the variable '{name}', which is asked for under conditions"),
            };
            self.with_hint(severity, "name", &found.place, &found.name, message, hint);
        }
    }

    /// Variables that tasks ask for, themselves or through others.
    fn asked_for(&self) -> HashSet<String> {
        let mut asked = HashSet::new();
        let mut next: Vec<&str> = vec![""];
        while let Some(owner) = next.pop() {
            for name in self.mentions.get(owner).into_iter().flatten() {
                if asked.insert(name.clone()) {
                    next.push(name);
                }
            }
        }
        asked
    }

    /// Registered results that hide a variable of an inventory, a play or a role.
    pub(crate) fn hidden_names(&mut self) {
        for (name, place) in std::mem::take(&mut self.registered) {
            if self.declared.contains(&name) {
                let message = format!("'register: {name}' hides the variable of that name that is set elsewhere");
                self.found(Severity::Hint, "register", &place, &name, message);
            }
        }
    }

    fn is_defined(&self, name: &str) -> bool {
        self.defined.contains(name)
            || self
                .patterns
                .iter()
                .any(|(begin, end)| name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end))
    }

    /// A name that is set, part of which may be a template.
    pub(crate) fn define(&mut self, name: &str) {
        match (name.find("{{"), name.rfind("}}")) {
            (Some(begin), Some(end)) => {
                let ends = (name[..begin].to_owned(), name[(end + 2).min(name.len())..].to_owned());
                self.is_open |= ends.0.is_empty() && ends.1.is_empty();
                self.patterns.insert(ends);
            }
            _ => drop(self.defined.insert(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, close_name, is_magic};

    #[test]
    fn the_list_is_sorted() {
        assert!(MAGIC.is_sorted());
        assert!(is_magic("groups") && is_magic("ansible_os_family") && !is_magic("group"));
    }

    #[test]
    fn only_slips_are_suggested() {
        for (name, known, expect) in [
            ("knwon", "known", true),
            ("levle", "level", true),
            ("mysql_seq", "mysql_sock", false),
            ("node_1", "node_2", false),
            ("port", "ports", false),
            ("usr", "use", false),
        ] {
            assert_eq!(close_name(name, [known].into_iter()).is_some(), expect, "{name} {known}");
        }
    }
}
