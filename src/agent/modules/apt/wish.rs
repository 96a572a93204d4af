//! Which packages a call wishes for, and which of them dpkg does not have yet. Pure: text in, decision out.

use std::cmp::Ordering;

use crate::dpkg::{self, Installed, Want};
use crate::system::glob;

/// How a wished version is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// `name=version`; the version may be a shell pattern.
    Equal,
    /// `name>=version`.
    AtLeast,
}

/// One wished package: `name`, `name:architecture`, `name=version`, `name>=version`; the name may be a shell pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) name: String,
    pub(super) version: Option<(Comparison, String)>,
}

impl Spec {
    pub(super) fn parse(text: &str) -> Self {
        let text = text.trim();
        let version = |name: &str, comparison, version: &str| Self {
            name: name.trim().to_owned(),
            version: Some((comparison, version.trim().to_owned())),
        };
        if let Some((name, wished)) = text.split_once(">=") {
            version(name, Comparison::AtLeast, wished)
        } else if let Some((name, wished)) = text.split_once('=') {
            version(name, Comparison::Equal, wished)
        } else {
            Self { name: text.to_owned(), version: None }
        }
    }

    pub(super) fn is_pattern(&self) -> bool {
        self.name.contains(['*', '?', '['])
    }

    pub(super) fn accepts(&self, version: &str) -> bool {
        match &self.version {
            None => true,
            Some((Comparison::Equal, wished)) => wished == version || glob::matches(wished, version),
            Some((Comparison::AtLeast, wished)) => dpkg::compare(version, wished) != Ordering::Less,
        }
    }
}

/// What is known of one wished package without asking apt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Installed in a version that was wished for.
    Satisfied {
        /// The installed version.
        version: String,
        /// The package is held.
        held: bool,
    },
    /// Installed, in another version than wished.
    OtherVersion(String),
    /// Not installed, but this installed package provides it.
    ProvidedBy(String),
    /// Not installed.
    Missing,
}

pub(super) fn standing(spec: &Spec, installed: &Installed<'_>) -> Standing {
    match installed.installed(&spec.name) {
        Some(entry) if spec.accepts(entry.version) => {
            Standing::Satisfied { version: entry.version.to_owned(), held: entry.want == Want::Hold }
        }
        Some(entry) => Standing::OtherVersion(entry.version.to_owned()),
        None => match installed.provider(&spec.name) {
            Some(provider) if spec.version.is_none() => Standing::ProvidedBy(provider.name.to_owned()),
            _ => Standing::Missing,
        },
    }
}

/// The names to give to `apt-get remove`: what is installed, and with `purge` what left configuration files.
pub(super) fn removals(specs: &[Spec], installed: &Installed<'_>, purge: bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    for spec in specs {
        if spec.is_pattern() {
            for entry in installed.iter().filter(|entry| entry.installed || (purge && entry.config_files)) {
                if glob::matches(&spec.name, entry.name) && spec.accepts(entry.version) {
                    add(entry.name);
                }
            }
        } else if let Some(entry) = installed.find(&spec.name)
            && (entry.installed || (purge && entry.config_files))
            && spec.accepts(entry.version)
        {
            add(&spec.name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Spec, Standing, removals, standing};
    use crate::dpkg::Installed;

    const STATUS: &str = "Package: postgresql-17\nStatus: install ok installed\nArchitecture: amd64\nVersion: 17.11-0+deb13u1\n\n\
        Package: postgresql-common\nStatus: hold ok installed\nArchitecture: all\nVersion: 278\n\n\
        Package: mawk\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.3\nProvides: awk\n\n\
        Package: old\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n";

    #[test]
    fn specs_are_split_at_their_comparison() {
        assert_eq!(Spec::parse("etcd-server"), Spec { name: "etcd-server".into(), version: None });
        assert_eq!(Spec::parse("etcd=3.5*").version, Some((Comparison::Equal, "3.5*".into())));
        assert_eq!(Spec::parse("etcd >= 3.5").version, Some((Comparison::AtLeast, "3.5".into())));
    }

    #[test]
    fn a_package_stands_as_dpkg_says() {
        let installed = Installed::parse(STATUS);
        let check = |spec: &str, expect: Standing| assert_eq!(standing(&Spec::parse(spec), &installed), expect, "{spec}");
        let version = "17.11-0+deb13u1".to_owned();
        check("postgresql-17", Standing::Satisfied { version: version.clone(), held: false });
        check("postgresql-17:amd64", Standing::Satisfied { version: version.clone(), held: false });
        check("postgresql-17=17.*", Standing::Satisfied { version: version.clone(), held: false });
        check("postgresql-17>=17.9", Standing::Satisfied { version: version.clone(), held: false });
        check("postgresql-17>=17.12", Standing::OtherVersion(version.clone()));
        check("postgresql-17=16.1", Standing::OtherVersion(version));
        check("postgresql-common", Standing::Satisfied { version: "278".into(), held: true });
        check("awk", Standing::ProvidedBy("mawk".into()));
        check("old", Standing::Missing);
    }

    #[test]
    fn only_what_is_there_is_removed() {
        let installed = Installed::parse(STATUS);
        let remove = |specs: &[&str], purge| removals(&specs.iter().map(|spec| Spec::parse(spec)).collect::<Vec<_>>(), &installed, purge);
        assert_eq!(remove(&["postgresql-*", "postgresql-17", "nothing"], false), ["postgresql-17", "postgresql-common"]);
        assert_eq!(remove(&["old"], false), Vec::<String>::new());
        assert_eq!(remove(&["old"], true), ["old"]);
    }
}
