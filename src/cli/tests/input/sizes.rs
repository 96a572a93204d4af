//! Input that is large, deep or explosive: it ends, and what is said fits on a screen.

use crate::rig::Project;

const LARGE: usize = 10_000_000;

#[test]
fn an_alias_bomb_is_refused() {
    let project = Project::new();
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (from, to) in ('a'..='i').zip('b'..='j') {
        text.push_str(&format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(", ")));
    }
    project.write("bomb.yml", &text);
    project.refuses_playbook("bomb.yml").tells(&["bomb.yml:5:", "aliases expand to more than 100000 nodes", "5 | e: &e"]);
    project.refuses(&["inventory", "--list", "-i", "bomb.yml"]).tells(&["aliases expand"]);
    project.refuses(&["playbook", "ok.yml", "-i", "hosts.yml", "-e", "@bomb.yml"]).tells(&["aliases expand"]);
}

#[test]
fn deep_nesting_is_refused() {
    let project = Project::new();
    for (text, words) in [("- ".repeat(5000) + "x\n", "nesting is deeper than 100 levels"), ("[".repeat(100_000), "deep.yml:1:")] {
        project.write("deep.yml", &text);
        project.refuses_playbook("deep.yml").tells(&[words]);
    }
    project.tasks(&format!("    - debug:\n        msg: \"{{{{ {}1{} }}}}\"\n", "(".repeat(5000), ")".repeat(5000)));
    project.refuses_playbook("play.yml").tells(&["play.yml:5:14: malformed template"]);
}

#[test]
fn a_large_key_is_refused_and_shown_in_part() {
    let project = Project::new();
    project.write("large.yml", &format!("- hosts: web\n  {}: 1\n", "x".repeat(LARGE)));
    project.refuses_playbook("large.yml").tells(&["large.yml:2:", "2 | ...xxx"]);
}

#[test]
fn a_large_value_is_a_value_and_a_larger_file_is_refused() {
    let project = Project::new();
    project.tasks(&format!("    - debug:\n        msg: {}\n", "x".repeat(LARGE)));
    let ended = project.run(&["playbook", "play.yml", "-i", "hosts.yml", "--syntax-check"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    project.tasks(&format!("    - debug:\n        msg: {}\n", "x".repeat(LARGE + 1_000_000)));
    project.refuses_playbook("play.yml").tells(&["play.yml:1:1: the file has 10 MB, more than the 10 MB that are allowed"]);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let project = Project::new();
    project.tasks("    - \"deb\\e[31mug\":\n");
    project.refuses_playbook("play.yml").tells(&["play.yml:4:7: no module is called 'deb\u{fffd}[31mug'"]);
}
