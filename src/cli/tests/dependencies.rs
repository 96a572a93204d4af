//! What `cargo deny` checks and needs no network for: licences, bans and sources of all dependencies, by `deny.toml`. Advisories, and
//! versions that were taken back, need the network: `make advisories`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// The texts in quotes of a list of `deny.toml`: `key = [...]` below `[section]`. Of a table only its crate.
fn listed(config: &str, section: &str, key: &str) -> Vec<String> {
    let below = config.split(&format!("[{section}]\n")).nth(1).unwrap_or_default();
    let below = below.split("\n[").next().unwrap_or_default();
    let list = below.split(&format!("{key} = [")).nth(1).unwrap_or_default();
    let list =
        list.split_once("\n]").filter(|(list, _)| list.starts_with('\n')).map_or_else(|| list.split(']').next(), |(list, _)| Some(list));
    let list = list.unwrap_or_default();
    let quoted = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    if list.contains("crate = ") {
        return list.split("crate = ").skip(1).filter_map(|rest| quoted(rest).into_iter().next()).collect();
    }
    quoted(list)
}

/// All packages of the lock file that are compiled on Linux, as cargo describes them.
fn packages() -> Vec<Value> {
    let arguments = ["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let described: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let used: BTreeSet<&str> =
        described["resolve"]["nodes"].as_array().into_iter().flatten().filter_map(|node| node["id"].as_str()).collect();
    let packages = described["packages"].as_array().expect("packages");
    packages.iter().filter(|package| package["id"].as_str().is_some_and(|id| used.contains(id))).cloned().collect()
}

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

/// Whether an expression of SPDX can be met with these licences.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let met = any(&mut rest, allowed);
    met && rest.is_empty()
}

fn any(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all(words, allowed);
    while let Some(("OR", rest)) = words.split_first().map(|(word, rest)| (*word, rest)) {
        *words = rest;
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while let Some(("AND", rest)) = words.split_first().map(|(word, rest)| (*word, rest)) {
        *words = rest;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    let Some((word, rest)) = words.split_first() else { return false };
    *words = rest;
    if *word == "(" {
        let met = any(words, allowed);
        let closed = words.split_first().is_some_and(|(word, _)| *word == ")");
        *words = words.get(1..).unwrap_or_default();
        return met && closed;
    }
    let mut licence = (*word).to_owned();
    if let Some(("WITH", [exception, rest @ ..])) = words.split_first().map(|(word, rest)| (*word, rest)) {
        licence = format!("{licence} WITH {exception}");
        *words = rest;
    }
    allowed.contains(&licence)
}

#[test]
fn expressions_are_met_by_what_is_allowed() {
    let allowed: Vec<String> = ["MIT", "Apache-2.0 WITH LLVM-exception", "ISC"].map(str::to_owned).into();
    for (expression, expect) in [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("(GPL-3.0 OR MIT) AND Zlib", false),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0", true),
        ("Apache-2.0", false),
        ("(MIT", false),
        ("", false),
    ] {
        assert_eq!(is_met(expression, &allowed), expect, "{expression}");
    }
}

#[test]
fn dependencies_are_of_allowed_licences_and_sources_and_there_once() {
    let config = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let allowed = listed(&config, "licenses", "allow");
    let sources = listed(&config, "sources", "allow-registry");
    let denied = listed(&config, "bans", "deny");
    let skipped = listed(&config, "bans", "skip");
    assert!(allowed.len() > 5 && sources.len() == 1 && denied.len() == 2 && !skipped.is_empty(), "deny.toml is not read as it is written");
    let packages = packages();
    assert!(packages.len() > 100, "where are the dependencies?");
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &packages {
        let (name, version) = (text(package, "name"), text(package, "version"));
        versions.entry(name).or_default().push(version);
        if !is_met(text(package, "license"), &allowed) {
            findings.push(format!("{name} {version}: the licence '{}' is not allowed", text(package, "license")));
        }
        let source = text(package, "source");
        if !source.is_empty() && !sources.iter().any(|known| source.strip_prefix("registry+") == Some(known)) {
            findings.push(format!("{name} {version}: it comes from {source}"));
        }
        if denied.iter().any(|denied| denied == name) {
            findings.push(format!("{name} {version}: it is banned"));
        }
    }
    for (name, versions) in versions {
        let is_skipped = |version: &&str| skipped.iter().any(|skip| is_version(skip, name, version));
        if versions.iter().filter(|version| !is_skipped(version)).count() > 1 {
            findings.push(format!("{name}: in several versions, {}", versions.join(", ")));
        }
    }
    assert!(findings.is_empty(), "what deny.toml does not want:\n  {}", findings.join("\n  "));
}

/// `getrandom@0.2` stands for all of 0.2.
fn is_version(skip: &str, name: &str, version: &str) -> bool {
    let Some((skipped, wanted)) = skip.split_once('@') else { return skip == name };
    skipped == name && (version == wanted || version.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.')))
}
