//! What bad inventories get: every problem at once, each with its place and its line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use pgfleet_inventory::{Inventory, read_variables};
use pgfleet_template::{Disk, Problem, Vault};

fn problems(folder: &Path, sources: &[&str]) -> Vec<Problem> {
    let sources: Vec<String> = sources.iter().map(|source| folder.join(source).display().to_string()).collect();
    Inventory::load(&Disk, &sources, None, &Arc::new(Vault::none())).err().unwrap_or_default()
}

/// The problems of one file as `line:column message`.
fn check(name: &str, text: &str, expected: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(name), text).expect("writes");
    let found = problems(folder.path(), &[name]);
    let shown: Vec<String> = found
        .iter()
        .map(|problem| {
            let place = problem.place.as_ref().expect("has a place");
            assert!(place.file.ends_with(name), "{problem}");
            assert_eq!(problem.excerpt.as_deref(), text.lines().nth(place.line - 1), "{problem}");
            let hint = problem.hint.as_deref().map(|hint| format!(" | {hint}")).unwrap_or_default();
            format!("{}:{} {}{hint}", place.line, place.column, problem.message)
        })
        .collect();
    assert_eq!(shown.len(), expected.len(), "{shown:#?}");
    for (shown, expected) in shown.iter().zip(expected) {
        assert!(shown.starts_with(expected), "{shown}\nexpected {expected}");
    }
}

#[test]
fn all_problems_of_an_ini_file_are_told() {
    check(
        "hosts.ini",
        "[web:var]\nx=1\n[web]\na[9:1]\n  b x\nc 'y\n[web:vars]\nnovalue\n[bad group]\n[db:children]\nwbe\ndb\n[etc:vars]\na=1\n",
        &[
            "1:1 section [web:var] has unknown type 'var'; there are hosts, children and vars | did you mean 'vars'?",
            "4:1 host range must have begin <= end: [9:1]",
            "5:5 behind a host stand variables name=value, and 'x' is none",
            "6:1 'c 'y' cannot be split into words: no closing quotation",
            "8:1 [web:vars] has lines name=value, and 'novalue' is none",
            "9:1 '[bad group]' is no section header",
            "12:1 group 'db' cannot be its own child",
            "11:1 [db:children] names the group 'wbe', which is nowhere defined | did you mean 'web'?",
            "13:1 [etc:vars] belongs to the group 'etc', which is nowhere defined",
        ],
    );
}

#[test]
fn circles_of_groups_are_refused() {
    check("hosts", "[a:children]\nb\n[b:children]\nc\n[c:children]\na\n", &["6:1 groups 'c' and 'a' contain each other"]);
    check("x.yml", "a:\n  children:\n    b:\n      children:\n        a:\n", &["3:5 groups 'a' and 'b' contain each other"]);
}

#[test]
fn all_problems_of_a_yaml_file_are_told() {
    check(
        "x.yml",
        "all:\n  hosts:\n    a[1]:\n    b: 5\n    7:\n    c: {x: '{{ y'}\n  vars:\n    ansible_group_priority: high\nweb:\n  hosts: [d]\n",
        &[
            "3:5 host range must be begin:end",
            "4:8 variables are a mapping, not a number",
            "5:5 Host pattern 7 must be a string",
            "6:12 malformed template",
            "8:29 ansible_group_priority is a whole number, not 'high'",
            "10:10 'hosts' of group 'web' is a mapping of names, not a list | write each name with a colon",
        ],
    );
    check("z.yml", "all: [\n", &["2:1 "]);
    check("plugin.yml", "plugin: aws_ec2\n", &["1:9 the inventory plugin 'aws_ec2' is not supported"]);
    check("list.yml", "- a\n", &["1:1 an inventory is a mapping of groups, not a list"]);
    check("t.toml", "[web]\n", &["1:1 an inventory in TOML cannot be read"]);
}

#[test]
fn sources_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("inv/group_vars")).expect("makes");
    fs::write(folder.path().join("inv/hosts"), "[web]\na\n").expect("writes");
    fs::write(folder.path().join("inv/group_vars/web.yml"), "x: 1\ny: [\n").expect("writes");
    fs::write(folder.path().join("inv/group_vars/later.yml"), "- no mapping\n").expect("writes");
    for (name, text) in [("fails", "#!/bin/sh\necho oh no >&2\nexit 3\n"), ("prints", "#!/bin/sh\necho hello\n")] {
        fs::write(folder.path().join(name), text).expect("writes");
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o755)).expect("sets");
    }
    let found = problems(folder.path(), &["missing", "inv", "fails", "prints"]);
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 4, "{shown:#?}");
    assert!(shown[0].ends_with("missing' does not exist"), "{shown:#?}");
    assert!(shown[1].ends_with("failed (exit status: 3): oh no"), "{shown:#?}");
    assert!(shown[2].contains("prints printed no JSON object"), "{shown:#?}");
    assert!(shown[3].contains("group_vars/web.yml:"), "{shown:#?}");
}

#[test]
fn files_of_later_groups_are_checked_when_they_count() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("group_vars")).expect("makes");
    fs::write(folder.path().join("hosts"), "a\n").expect("writes");
    fs::write(folder.path().join("group_vars/later.yml"), "- no mapping\n").expect("writes");
    let source = folder.path().join("hosts").display().to_string();
    let mut inventory = Inventory::load(&Disk, &[source], None, &Arc::new(Vault::none())).expect("loads");
    let host = inventory.host("a").expect("known").name.clone();
    assert!(inventory.layers(&host, None).is_ok());
    assert_eq!(inventory.add_to_group("a", "later"), Ok(true));
    let problem = inventory.layers(&host, None).expect_err("no mapping");
    assert!(problem.to_string().contains("later.yml:1:1: variables are a mapping, not a list"), "{problem}");
}

#[test]
fn files_of_variables_are_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |text: &str| {
        let path = folder.path().join("vars.yml");
        fs::write(&path, text).expect("writes");
        read_variables(&Disk, &path, &Arc::new(Vault::none()))
    };
    let vars = read("a: 5\nb: yes\nc: '{{ a }}'\n").expect("reads");
    assert_eq!(
        vars.iter().map(|(name, value)| format!("{name}={}", value.as_written())).collect::<Vec<_>>(),
        ["a=5", "b=True", "c={{ a }}"]
    );
    assert!(read("").expect("reads").is_empty());
    assert!(read("# nothing\n---\n").expect("reads").is_empty());
    // Of a key that stands twice the last counts; whoever shows the inventory warns.
    assert_eq!(read("a: 1\na: 2\n").expect("reads").get("a").map(|value| value.as_written().to_string()).as_deref(), Some("2"));
    assert!(read("a: 1\n---\nb: 2\n").expect_err("two documents").to_string().contains("one document"));
    assert!(read_variables(&Disk, &folder.path().join("none.yml"), &Arc::new(Vault::none())).is_err());
}
