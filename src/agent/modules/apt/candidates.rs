//! What apt's lists offer; asked only when dpkg's file does not settle the matter.

use std::collections::HashMap;

use super::apt_get::no_package;
use super::wish::{Comparison, Spec};
use crate::dpkg;
use crate::module::{Context, Failure, WithContext};
use crate::system::{Program, glob};

fn apt_cache<'a>(context: &Context, words: impl IntoIterator<Item = &'a str>) -> Result<String, Failure> {
    let program = Program::new(["apt-cache"].into_iter().chain(words)).env("LC_ALL", "C.UTF-8");
    let finished = context.run(program).context("cannot run apt-cache; is this a Debian system?")?;
    if !finished.is_success() {
        return Err(Failure::new(format!("apt-cache failed: {}", finished.stderr_text().trim())).with("rc", finished.status));
    }
    Ok(finished.stdout_text())
}

/// The versions that apt would install.
pub(super) struct Candidates(HashMap<String, String>);

impl Candidates {
    pub(super) fn ask(context: &Context, names: &[&str], release: Option<&str>) -> Result<Self, Failure> {
        let release = release.map(|release| format!("APT::Default-Release={release}"));
        let options = release.iter().flat_map(|release| ["-o", release.as_str()]);
        let text = apt_cache(context, ["policy"].into_iter().chain(options).chain(names.iter().copied()))?;
        Ok(Self(parse_policy(&text)))
    }

    pub(super) fn of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn parse_policy(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(version) = line.strip_prefix("  Candidate: ") {
            if version != "(none)" {
                found.insert(name.to_owned(), version.to_owned());
            }
        } else if !line.starts_with(' ') {
            name = line.trim_end_matches(':');
        }
    }
    found
}

/// The specs with shell patterns replaced by the packages that match them.
pub(super) fn expand(context: &Context, specs: &[Spec]) -> Result<Vec<Spec>, Failure> {
    if !specs.iter().any(Spec::is_pattern) {
        return Ok(specs.to_vec());
    }
    let known = apt_cache(context, ["pkgnames"])?;
    let mut expanded = Vec::new();
    for spec in specs {
        if !spec.is_pattern() {
            expanded.push(spec.clone());
            continue;
        }
        let mut names: Vec<&str> = known.lines().filter(|name| glob::matches(&spec.name, name)).collect();
        names.sort_unstable();
        if names.is_empty() {
            return Err(Failure::new(no_package(&spec.name)));
        }
        expanded.extend(names.into_iter().map(|name| Spec { name: name.to_owned(), version: spec.version.clone() }));
    }
    Ok(expanded)
}

/// The newest offered version that a spec accepts.
pub(super) fn best(context: &Context, spec: &Spec) -> Result<Option<String>, Failure> {
    let text = apt_cache(context, ["madison", spec.name.as_str()])?;
    let versions = text.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).filter(|version| spec.accepts(version));
    Ok(versions.max_by(|left, right| dpkg::compare(left, right)).map(str::to_owned))
}

/// What to tell apt-get for a spec: `name`, or `name=version` where the spec names versions.
pub(super) fn resolve(context: &Context, spec: &Spec) -> Result<String, Failure> {
    let Some((comparison, wished)) = &spec.version else { return Ok(spec.name.clone()) };
    if *comparison == Comparison::Equal && !wished.contains(['*', '?', '[']) {
        return Ok(format!("{}={wished}", spec.name));
    }
    match best(context, spec)? {
        Some(version) => Ok(format!("{}={version}", spec.name)),
        None => {
            let sign = if *comparison == Comparison::Equal { "=" } else { ">=" };
            Err(Failure::new(no_package(&format!("{}{sign}{wished}", spec.name))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_policy;

    #[test]
    fn candidates_are_read_from_policy() {
        let text = "etcd-server:\n  Installed: (none)\n  Candidate: 3.5.16-4\n  Version table:\n     3.5.16-4 500\n        500 http://deb.debian.org/debian trixie/main\n\
            awk:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\nlibc6:i386:\n  Installed: 1\n  Candidate: 2\n";
        let found = parse_policy(text);
        assert_eq!(found.get("etcd-server").map(String::as_str), Some("3.5.16-4"));
        assert_eq!(found.get("libc6:i386").map(String::as_str), Some("2"));
        assert!(!found.contains_key("awk"));
    }
}
