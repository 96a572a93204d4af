//! Inventories whose answers by ansible-core 2.19 are known.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_inventory::{Inventory, Selection};
use pgfleet_template::{Disk, Vault};
use serde_json::Value as Json;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn load(source: &str) -> Inventory {
    let source = golden(source).display().to_string();
    Inventory::load(&Disk, &[source], None, &Arc::new(Vault::none())).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// JSON has no infinity: Ansible prints the bare word, which no other parser takes; in our values it has the mark of such numbers.
fn expected(name: &str) -> Json {
    let text = std::fs::read_to_string(golden(name)).expect("reads");
    serde_json::from_str(&text.replace(": Infinity", ": \"\u{fdd0}Infinity\"")).expect("parses")
}

fn check_list(source: &str) {
    let found = load(source).as_list();
    let expected = expected(&format!("{source}.list.json"));
    if let (Some(found), Some(expected)) = (found["_meta"]["hostvars"].as_object(), expected["_meta"]["hostvars"].as_object()) {
        for (host, vars) in expected {
            for (name, value) in vars.as_object().expect("a mapping") {
                assert_eq!(found.get(host).and_then(|vars| vars.get(name)), Some(value), "{host} {name}");
            }
        }
    }
    assert_eq!(found, expected, "{source}");
}

#[test]
fn ini_values_are_typed_as_python_literals() {
    check_list("inventory/types.ini");
}

#[test]
fn yaml_values_are_typed_as_yaml_1_1() {
    check_list("inventory/y.yml");
}

#[test]
fn groups_of_groups_give_variables_by_depth() {
    check_list("inventory/groups.ini");
}

#[test]
fn ranges_and_ports_become_hosts() {
    check_list("inventory/ranges.ini");
}

#[test]
fn a_folder_is_read_with_its_scripts_and_variables() {
    check_list("inventory/dir");
}

#[test]
fn patterns_select_what_ansible_selects() {
    let inventory = load("inventory/pat.ini");
    let table = std::fs::read_to_string(golden("inventory/patterns.golden")).expect("reads");
    for line in table.lines() {
        let (pattern, expected) = line.split_once("=>").expect("two columns");
        // An index beyond the end is an error of `ansible-playbook`, which `ansible --list-hosts` passes over.
        let selection = match inventory.select(pattern.trim()) {
            Ok(selection) => selection,
            Err(problem) if ["db[7]", "web[9]"].contains(&pattern.trim()) => {
                assert_eq!(problem.message, format!("No hosts matched the subscripted pattern '{}'", pattern.trim()));
                Selection::default()
            }
            Err(problem) => panic!("{pattern}: {problem}"),
        };
        let mut found = String::new();
        let none = (selection.hosts.is_empty()).then(|| "No hosts matched, nothing to do".to_owned());
        for warning in selection.warnings.into_iter().chain(none) {
            found.push_str(&format!("[WARNING]: {warning} "));
        }
        found.push_str(&format!("hosts ({}): ", selection.hosts.len()));
        selection.hosts.iter().for_each(|host| found.push_str(&format!("{host} ")));
        assert_eq!(format!("{found}rc=0"), expected.trim(), "{pattern}");
    }
    assert!(table.lines().count() > 20);
}

#[test]
fn files_beside_inventory_and_playbook_have_their_ranks() {
    let source = golden("precedence/hosts").display().to_string();
    let value = |inventory: &Inventory, name: &str| inventory.host_variables_as_written("h1")[name].clone();
    let with_playbook =
        Inventory::load(&Disk, std::slice::from_ref(&source), Some(&golden("precedence/pb")), &Arc::new(Vault::none())).expect("loads");
    for (name, expect) in [("v1", "pb_gv_all"), ("v2", "inv_db_inline"), ("v3", "hv_file"), ("v4", "pb_gv_db")] {
        assert_eq!(value(&with_playbook, name), expect, "{name}");
    }
    let alone = Inventory::load(&Disk, &[source], None, &Arc::new(Vault::none())).expect("loads");
    for (name, expect) in [("v1", "gv_all_file"), ("v2", "inv_db_inline"), ("v3", "hv_file"), ("v4", "gv_db_file")] {
        assert_eq!(value(&alone, name), expect, "{name}");
    }
    let host = alone.host("h1").expect("known").name.clone();
    let given = alone.layers(&host, Some(&golden("precedence/pb"))).expect("layers");
    let last = given.iter().rev().find_map(|layer| layer.get("v4")).expect("v4");
    assert_eq!(last.as_written().as_str(), Some("pb_gv_db"));
}

#[test]
fn graph_is_drawn() {
    let expected = "@all:\n  |--@ungrouped:\n  |  |--top\n  |--@region:\n  |  |--@site:\n  |  |  |--@web:\n  |  |  |  |--w1\n  |  |  |  |--w2\n  \
                    |  |  |--@db:\n  |  |  |  |--d1\n  |  |  |  |--w1\n  |--@empty:";
    assert_eq!(load("inventory/groups.ini").graph(), expected);
}
