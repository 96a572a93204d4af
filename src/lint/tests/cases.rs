//! Small projects, each with what must be found in them, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_inventory::Inventory;
use pgfleet_lint::{Report, Request, lint};
use pgfleet_playbook::{Loader, TagSelection};
use pgfleet_template::{Disk, Vault};

/// Looks at a project of files `name: text`; `play.yml` and `hosts` are its playbook and inventory.
fn look(files: &[(&str, &str)], tags: &[&str]) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(&path, text).expect("written");
    }
    if !files.iter().any(|(name, _)| name.starts_with("hosts")) {
        std::fs::write(folder.path().join("hosts"), "[web]\nw1 known=1\n").expect("written");
    }
    let hosts = ["hosts", "hosts.yml"].iter().map(|name| folder.path().join(name)).find(|path| path.exists()).expect("an inventory");
    let vault = Arc::new(Vault::none());
    let inventory = Inventory::load(&Disk, &[hosts.display().to_string()], Some(folder.path()), &vault).expect("an inventory");
    let loader = Loader::new(Arc::new(Disk), vault.clone());
    let request = Request {
        loader: &loader,
        playbooks: vec![folder.path().join("play.yml")],
        inventory: Some(&inventory),
        sources: vec![hosts],
        defined: BTreeSet::new(),
        names_are_open: false,
        project: folder.path().to_owned(),
        tags: TagSelection::new(tags.iter().map(|tag| (*tag).to_owned()).collect(), Vec::new()),
        limit: None,
    };
    shortened(lint(&request), folder.path())
}

/// The report with names of files relative to the project.
fn shortened(mut report: Report, folder: &Path) -> Report {
    let inside = format!("{}/", folder.display());
    let short = |file: &Arc<str>| -> Arc<str> {
        Path::new(&**file).strip_prefix(folder).map_or_else(|_| PathBuf::from(&**file), Path::to_path_buf).to_string_lossy().into()
    };
    for finding in &mut report.findings {
        finding.place.file = short(&finding.place.file);
        finding.message = finding.message.replace(&inside, "");
        finding.hint = finding.hint.take().map(|hint| hint.replace(&inside, ""));
    }
    for entry in &mut report.unsupported {
        entry.places.iter_mut().for_each(|place| place.file = short(&place.file));
    }
    report
}

/// `file:line:column severity message (hint)` of each finding.
fn found(report: &Report) -> Vec<String> {
    let line = |finding: &pgfleet_lint::Finding| {
        let hint = finding.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let place = &finding.place;
        format!("{}:{}:{} {} {}{hint}", place.file, place.line, place.column, finding.severity.word(), finding.message)
    };
    report.findings.iter().map(line).collect()
}

/// What is not supported: `unsupported kind 'name' places, certain, conditions`.
fn unsupported(report: &Report) -> Vec<String> {
    let line = |entry: &pgfleet_lint::Unsupported| {
        let places: Vec<String> = entry.places.iter().map(ToString::to_string).collect();
        format!(
            "unsupported {} '{}' at {}, certain {}, when {:?}",
            entry.kind,
            entry.name,
            places.join(" "),
            entry.certain,
            entry.conditions
        )
    };
    report.unsupported.iter().map(line).collect()
}

/// Every file of cases: `=== name`, then `--- file` and its text, last `--- expect` with one line a finding.
/// With ACCEPT_CASES in the environment, what is found is written as what is expected; read the difference well.
#[test]
fn all_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).expect("cases").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() > 8, "{paths:?}");
    let mut wrong = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("read");
        let mut accepted = String::new();
        for case in text.split("=== ").filter(|case| !case.is_empty()) {
            let (name, rest) = case.split_once('\n').expect("a name");
            let (files, expect) = rest.split_once("--- expect\n").expect("an expectation");
            let parts: Vec<(&str, &str)> =
                files.split("--- ").filter(|part| !part.is_empty()).map(|part| part.split_once('\n').expect("a file")).collect();
            let tags: &[&str] = if path.ends_with("tags.txt") { &["one"] } else { &[] };
            let report = look(&parts, tags);
            let lines: String = found(&report).into_iter().chain(unsupported(&report)).map(|line| line + "\n").collect();
            if lines != expect {
                wrong.push(format!("{} {name}\nexpected:\n{expect}found:\n{lines}", path.display()));
            }
            accepted.push_str(&format!("=== {name}\n{files}--- expect\n{lines}"));
        }
        if std::env::var_os("ACCEPT_CASES").is_some() {
            std::fs::write(&path, accepted).expect("written");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
