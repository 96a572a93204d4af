//! dpkg's database of packages, `/var/lib/dpkg/status`.

use std::collections::HashMap;

/// Where dpkg keeps its database.
pub(crate) const STATUS_FILE: &str = "/var/lib/dpkg/status";

/// What dpkg shall do with a package: the first word of its `Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Unknown,
    Install,
    Hold,
    Deinstall,
    Purge,
}

impl Want {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "not present",
            Self::Install => "install",
            Self::Hold => "hold",
            Self::Deinstall => "deinstall",
            Self::Purge => "purge",
        }
    }
}

/// One package that dpkg knows.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) architecture: &'a str,
    pub(crate) version: &'a str,
    pub(crate) want: Want,
    /// The package is unpacked and configured (or waits for triggers only).
    pub(crate) installed: bool,
    /// Only its configuration files are left.
    pub(crate) config_files: bool,
    provides: &'a str,
}

/// All packages that dpkg knows, by name.
#[derive(Debug, Default)]
pub(crate) struct Installed<'a> {
    entries: Vec<Entry<'a>>,
    by_name: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Installed<'a> {
    /// Reads the text of the database.
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut all = Self::default();
        for stanza in text.split("\n\n") {
            if let Some(entry) = parse_stanza(stanza) {
                all.by_name.entry(entry.name).or_default().push(all.entries.len());
                all.entries.push(entry);
            }
        }
        all
    }

    /// The package `name` or `name:architecture`, whatever its state; an installed one is preferred.
    pub(crate) fn find(&self, name: &str) -> Option<&Entry<'a>> {
        let (name, architecture) = split_architecture(name);
        let mut known = self.by_name.get(name)?.iter().map(|at| &self.entries[*at]).filter(|entry| {
            architecture
                .is_none_or(|wished| matches!(wished, "any" | "native") || entry.architecture == wished || entry.architecture == "all")
        });
        let first = known.next()?;
        if first.installed { Some(first) } else { known.find(|entry| entry.installed).or(Some(first)) }
    }

    /// The installed package `name` or `name:architecture`.
    pub(crate) fn installed(&self, name: &str) -> Option<&Entry<'a>> {
        self.find(name).filter(|entry| entry.installed)
    }

    /// An installed package that provides the virtual package `name`.
    pub(crate) fn provider(&self, name: &str) -> Option<&Entry<'a>> {
        let (name, _) = split_architecture(name);
        self.entries.iter().filter(|entry| entry.installed && entry.provides.contains(name)).find(|entry| {
            entry.provides.split(',').any(|item| item.split(['(', ' ']).find(|word| !word.is_empty()).is_some_and(|word| word == name))
        })
    }

    /// All packages in dpkg's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.entries.iter()
    }
}

fn split_architecture(name: &str) -> (&str, Option<&str>) {
    name.split_once(':').map_or((name, None), |(name, architecture)| (name, Some(architecture)))
}

fn parse_stanza(stanza: &str) -> Option<Entry<'_>> {
    let (mut name, mut status, mut architecture, mut version, mut provides) = ("", "", "", "", "");
    for line in stanza.lines() {
        // Continued lines begin with a blank, and none of the fields wanted here is ever continued.
        let Some((field, value)) = line.split_once(':') else { continue };
        let target = match field {
            "Package" => &mut name,
            "Status" => &mut status,
            "Architecture" => &mut architecture,
            "Version" => &mut version,
            "Provides" => &mut provides,
            "Description" => break,
            _ => continue,
        };
        *target = value.trim();
    }
    let mut words = status.split_ascii_whitespace();
    let want = match words.next()? {
        "install" => Want::Install,
        "hold" => Want::Hold,
        "deinstall" => Want::Deinstall,
        "purge" => Want::Purge,
        _ => Want::Unknown,
    };
    let state = words.nth(1)?;
    (!name.is_empty()).then_some(Entry {
        name,
        architecture,
        version,
        want,
        installed: matches!(state, "installed" | "triggers-awaited" | "triggers-pending"),
        config_files: state == "config-files",
        provides,
    })
}

#[cfg(test)]
mod tests {
    use super::{Installed, Want};

    const STATUS: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\nDescription: x\n y: z\n\n\
        Package: libc6\nStatus: deinstall ok config-files\nArchitecture: i386\nVersion: 2.36-9\n\n\
        Package: mawk\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 1.3\nProvides: awk, mawk-api (= 3)\n\n\
        Package: patroni\nStatus: install ok half-configured\nArchitecture: all\nVersion: 4.0\n";

    #[test]
    fn the_database_answers_by_name_architecture_and_provided_name() {
        let known = Installed::parse(STATUS);
        assert_eq!(known.installed("libc6").map(|entry| entry.architecture), Some("amd64"));
        assert!(known.installed("libc6:i386").is_none());
        assert!(known.find("libc6:i386").is_some_and(|entry| entry.config_files));
        assert_eq!(known.provider("awk").map(|entry| entry.name), Some("mawk"));
        assert_eq!(known.provider("mawk-api").map(|entry| entry.want), Some(Want::Hold));
        assert!(known.provider("aw").is_none());
        assert!(known.installed("patroni").is_none(), "half-configured is not installed");
        assert_eq!(known.iter().count(), 4);
    }
}
