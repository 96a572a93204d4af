//! The rules of the tree that no compiler knows: arrows between crates, headers, sizes, names, documents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which crate may use which of ours. `docs/decisions/010-arrows-as-they-are.md` says why.
const ARROWS: [(&str, &[&str]); 15] = [
    ("protocol", &[]),
    ("agent", &["protocol"]),
    ("template", &["protocol"]),
    ("inventory", &["template"]),
    ("bench", &["inventory", "template", "protocol"]),
    ("playbook", &["template", "protocol"]),
    ("lint", &["playbook", "inventory", "template", "protocol"]),
    ("engine", &["playbook", "inventory", "template", "protocol"]),
    ("ssh", &["protocol"]),
    ("cluster", &[]),
    ("pki", &["protocol"]),
    ("state", &["protocol"]),
    ("lab", &[]),
    ("workflows", &["cluster", "engine", "inventory", "lint", "pki", "playbook", "protocol", "ssh", "state", "template"]),
    ("cli", &["cluster", "engine", "inventory", "lab", "lint", "playbook", "protocol", "ssh", "state", "template", "workflows"]),
];

/// What only tests of a crate may use besides.
const TEST_ARROWS: [(&str, &str); 1] = [("engine", "agent")];

/// Libraries that one crate alone may use.
const HOMES: [(&str, &str); 12] = [
    ("criterion", "bench"),
    ("minijinja", "template"),
    ("minijinja-contrib", "template"),
    ("saphyr-parser", "template"),
    ("p256", "pki"),
    ("x509-cert", "pki"),
    ("russh", "ssh"),
    ("clap", "cli"),
    ("indicatif", "cli"),
    ("console", "cli"),
    ("tera", "cli"),
    ("serde_yaml", "cli"),
];

/// Where all dependencies are explained but those that the project's owner named.
const DEPENDENCIES: &str = "docs/decisions/015-dependencies.md";
const OWNED: [&str; 8] = ["russh", "tokio", "clap", "serde_yaml", "minijinja", "tera", "reqwest", "indicatif"];

const LONGEST_FILE: usize = 600;
const LONGEST_DECISION: usize = 25;
const BAD_NAMES: [&str; 9] = ["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "shared"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files and folders below a folder of the workspace, relative to the workspace.
fn below(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            found.push(path.clone());
            if path.is_dir() {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort();
    found.iter().map(|path| path.strip_prefix(root()).expect("inside").to_owned()).collect()
}

fn sources() -> Vec<PathBuf> {
    let sources: Vec<_> = below("src").into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect();
    assert!(sources.len() > 100, "where are the sources? {sources:?}");
    sources
}

fn crates() -> BTreeSet<String> {
    let is_crate = |path: &PathBuf| path.file_name().is_some_and(|name| name == "Cargo.toml") && path.components().count() == 3;
    let name = |path: PathBuf| path.components().nth(1).map(|part| part.as_os_str().to_string_lossy().into_owned());
    below("src").into_iter().filter(is_crate).filter_map(name).collect()
}

/// The dependencies of a manifest: table (`dependencies`, `dev-dependencies` ...) and name.
fn dependencies(manifest: &Path) -> Vec<(String, String)> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in read(&root().join(manifest)).lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']').to_owned();
        } else if table.ends_with("dependencies")
            && let Some((name, _)) = line.split_once(['=', '.', ' '])
            && !name.starts_with('#')
        {
            found.push((table.clone(), name.to_owned()));
        }
    }
    found
}

fn manifest_of(name: &str) -> PathBuf {
    Path::new("src").join(name).join("Cargo.toml")
}

/// Fails with all findings.
fn none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

#[test]
fn crates_use_only_what_lies_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut findings = Vec::new();
    for name in crates() {
        let Some(allowed) = allowed.get(name.as_str()) else {
            findings.push(format!("src/{name} has no line in ARROWS"));
            continue;
        };
        for (table, dependency) in dependencies(&manifest_of(&name)) {
            let Some(ours) = dependency.strip_prefix("pgfleet-") else { continue };
            let in_tests = table == "dev-dependencies" && TEST_ARROWS.contains(&(name.as_str(), ours));
            if !allowed.contains(&ours) && !in_tests {
                findings.push(format!("{name} -> {ours} ({table})"));
            }
        }
    }
    none("a new arrow between crates; see docs/decisions/010-arrows-as-they-are.md", &findings);
}

#[test]
fn arrows_have_no_circle() {
    // Each crate stands in ARROWS after all that it uses.
    let order: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let place = |name: &str| order.iter().position(|other| *other == name);
    let upwards = |name: &&str, uses: &&str| place(uses) >= place(name);
    let findings: Vec<String> = ARROWS
        .iter()
        .flat_map(|(name, uses)| uses.iter().filter(move |uses| upwards(name, uses)).map(move |uses| format!("{name} -> {uses}")))
        .collect();
    none("an arrow that runs upwards", &findings);
}

#[test]
fn libraries_stay_in_their_home() {
    let mut findings = Vec::new();
    for name in crates() {
        for (_, dependency) in dependencies(&manifest_of(&name)) {
            let home = HOMES.iter().find(|(library, _)| *library == dependency);
            if let Some((library, home)) = home.filter(|(_, home)| *home != name) {
                findings.push(format!("{name} uses {library}, which belongs to {home}"));
            }
        }
    }
    none("a library outside its home", &findings);
}

#[test]
fn each_dependency_is_used_and_explained() {
    let page = read(&root().join(DEPENDENCIES));
    // `- aes, ctr (as OR that): why`
    let lines = page.lines().filter_map(|line| line.strip_prefix("- ")?.split_once([':', '(']));
    let explained: BTreeSet<&str> = lines.flat_map(|(names, _)| names.split(',').map(str::trim)).collect();
    let used: BTreeSet<String> =
        crates().iter().flat_map(|name| dependencies(&manifest_of(name))).map(|(_, dependency)| dependency).collect();
    let named = dependencies(Path::new("Cargo.toml")).into_iter().map(|(_, name)| name);
    let known: BTreeSet<String> = named.chain(used.iter().cloned()).filter(|name| !name.starts_with("pgfleet-")).collect();
    assert!(known.contains("minijinja") && known.contains("signal-hook"), "{known:?}");
    let mut findings = Vec::new();
    for name in known {
        if !OWNED.contains(&name.as_str()) && !explained.contains(name.as_str()) {
            findings.push(format!("{name} has no line in {DEPENDENCIES}"));
        }
        if !OWNED.contains(&name.as_str()) && !used.contains(&name) {
            findings.push(format!("{name} is used by no crate"));
        }
    }
    none("dependencies", &findings);
}

#[test]
fn each_library_has_its_lib_rs_in_its_folder() {
    let missing = |name: &String| !matches!(name.as_str(), "cli" | "bench") && !root().join("src").join(name).join("lib.rs").is_file();
    none("no lib.rs", &crates().into_iter().filter(missing).collect::<Vec<_>>());
}

#[test]
fn each_file_begins_with_what_it_is_for_and_is_not_long() {
    let mut findings = Vec::new();
    for path in sources() {
        let text = read(&root().join(&path));
        if !text.starts_with("//! ") {
            findings.push(format!("{}: begins without '//!'", path.display()));
        }
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            findings.push(format!("{}: {lines} lines", path.display()));
        }
    }
    none("headers and lengths", &findings);
}

#[test]
fn names_say_what_is_inside() {
    let bad = |path: &PathBuf| path.file_stem().is_some_and(|stem| BAD_NAMES.contains(&stem.to_string_lossy().as_ref()));
    let findings: Vec<String> = below("src").into_iter().filter(bad).map(|path| path.display().to_string()).collect();
    none("names that say nothing", &findings);
}

#[test]
fn only_the_command_line_prints() {
    let macros = ["println", "eprintln", "print", "eprint"].map(|name| format!("{name}!("));
    let mut findings = Vec::new();
    for path in sources() {
        let exempt = path.starts_with("src/cli")
            || path.ends_with("build.rs")
            || path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "examples");
        if exempt {
            continue;
        }
        for (number, line) in read(&root().join(&path)).lines().enumerate() {
            if macros.iter().any(|name| line.contains(name.as_str())) {
                findings.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    none("printed outside src/cli", &findings);
}

#[test]
fn decisions_are_short_and_numbered_once() {
    let mut numbers = BTreeMap::new();
    let mut findings = Vec::new();
    for path in below("docs/decisions") {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let number = name.split('-').next().unwrap_or_default().to_owned();
        let text = read(&root().join(&path));
        if number.len() != 3 || !text.starts_with(&format!("# {number}: ")) {
            findings.push(format!("{name}: its title does not begin with '# {number}: '"));
        }
        if text.lines().count() > LONGEST_DECISION {
            findings.push(format!("{name}: {} lines", text.lines().count()));
        }
        if let Some(other) = numbers.insert(number, name.clone()) {
            findings.push(format!("{name} and {other} have one number"));
        }
    }
    none("decisions", &findings);
}

#[test]
fn links_of_documents_lead_somewhere() {
    let mut documents: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].into_iter().map(PathBuf::from).collect();
    documents.extend(below("docs").into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let mut findings = Vec::new();
    for document in documents {
        let text = read(&root().join(&document));
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            let file = root().join(document.parent().unwrap_or(Path::new(""))).join(target);
            if !target.contains("://") && !file.exists() {
                findings.push(format!("{}: {target}", document.display()));
            }
        }
    }
    none("links to nothing", &findings);
}

#[test]
fn the_readme_names_each_module() {
    let readme = read(&root().join("README.md"));
    let missing: Vec<String> =
        pgfleet_playbook::module_names().filter(|name| !readme.contains(&format!("`{name}`"))).map(str::to_owned).collect();
    none("modules that the README does not name", &missing);
}
