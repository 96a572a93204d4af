//! Files that are missing, unreadable, or something else.

use crate::rig::{Project, Said};

#[test]
fn missing_playbooks_bring_a_suggestion() {
    let project = Project::new();
    project.refuses_playbook("okk.yml").tells(&["there is no playbook okk.yml", "did you mean 'ok.yml'?"]);
    std::fs::create_dir(project.path("folder")).expect("a folder");
    project.refuses_playbook("folder").tells(&["folder is a folder, not a playbook"]);
}

#[test]
fn missing_files_of_variables_are_told_with_all_else() {
    let project = Project::new();
    project.write("play.yml", "- hosts: web\n  vars_files: [absent.yml, bad.yml]\n  tasks:\n    - pnig:\n");
    project.write("vars/bad.yml", "x: 1\ny: !nope 2\n");
    project.refuses_playbook("play.yml").tells(&["play.yml:4:7: no module is called 'pnig'"]);
    project.write("play.yml", "- hosts: web\n  vars_files: [absent.yml, bad.yml]\n  tasks:\n    - ping:\n");
    project.refuses_playbook("play.yml").problems(2).tells(&[
        "play.yml:2:16: there is no file of variables 'absent.yml'",
        "2 |   vars_files: [absent.yml, bad.yml]",
        "beside the playbook",
        "vars/bad.yml:2:4: unknown tag '!nope'",
    ]);
}

#[test]
fn playbooks_of_other_people_do_not_find_what_pgfleet_carries() {
    let project = Project::new();
    project.write("vars/defaults.yml", "somewhere: /etc/x\n");
    project.tasks("    - template: {src: patroni.yml.j2, dest: /etc/patroni.yml}\n    - file: {path: '{{ somewhere }}', state: absent}\n");
    let ended = project.run(&["lint", "play.yml", "-i", "hosts.yml", "-o", "lines"]);
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    let said = Said(ended.stdout);
    said.tells(&[
        "play.yml:4:23: error: there is no template 'patroni.yml.j2'",
        "play.yml:5:24: error: nothing defines the variable 'somewhere'",
    ]);
    // Among pgfleet's own it is found, and so are their defaults.
    project
        .write("playbooks/postgresql/mine.yml", "- hosts: web\n  tasks:\n    - template: {src: patroni.yml.j2, dest: /etc/patroni.yml}\n");
    let ended = project.run(&["lint", "playbooks/postgresql/mine.yml", "-i", "hosts.yml"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn lines_tell_what_a_run_may_not_find_here() {
    let project = Project::new();
    project.tasks("    - seboolean: {name: x, state: true}\n      when: known is defined\n    - ping:\n");
    let ended = project.run(&["lint", "play.yml", "-i", "hosts.yml", "-o", "lines"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let expect = "play.yml:4:7: warning: the module 'seboolean' is not supported: SELinux is not supported; run setsebool as a command; a run that needs it fails there [unsupported]\n";
    assert_eq!(ended.stdout, expect);
    // Where every run needs it, it is told once, as an error.
    project.tasks("    - seboolean: {name: x, state: true}\n");
    let ended = project.run(&["lint", "play.yml", "-i", "hosts.yml", "-o", "lines"]);
    assert_eq!((ended.code, ended.stdout.lines().count()), (5, 1), "{}", ended.stdout);
}

#[test]
fn a_file_that_an_earlier_play_makes_may_be_missing() {
    let project = Project::new();
    project.write(
        "play.yml",
        "- hosts: web\n  tasks:\n    - ping:\n- hosts: web\n  vars_files: [made-by-the-first.yml]\n  tasks:\n    - ping:\n",
    );
    let ended = project.run(&["playbook", "play.yml", "-i", "hosts.yml", "--syntax-check"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn a_private_key_that_cannot_be_read_stops_the_run() {
    let project = Project::new();
    let run = |key: &str| project.refuses(&["playbook", "ok.yml", "-i", "hosts.yml", "--private-key", key]);
    run("absent").tells(&["cannot read the private key absent: No such file or directory"]);
    run(".").tells(&["cannot read the private key .: it is not a file"]);
}

#[test]
fn an_unreadable_key_of_a_host_makes_that_host_unreachable() {
    let project = Project::new();
    project.write(
        "keys.yml",
        "web:\n  hosts:\n    web1: {ansible_host: 127.0.0.1, ansible_port: 1, ansible_ssh_private_key_file: keys/absent}\n",
    );
    let ended = project.run(&["playbook", "ok.yml", "-i", "keys.yml"]);
    assert_eq!(ended.code, 4, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("the key keys/absent cannot be read: No such file or directory"), "{}", ended.stdout);
}

#[test]
fn init_refuses_a_folder_that_is_not_empty() {
    let project = Project::new();
    project.refuses(&["init", "."]).tells(&[". is not empty; name a new folder"]);
    project.refuses(&["init", "new", "--host", "a b"]).tells(&["'a b' is no host"]);
    assert!(!project.has("new"));
    project.refuses(&["init", "ok.yml"]).tells(&["cannot use ok.yml: Not a directory"]);
}

#[test]
fn a_new_project_is_right_as_it_is() {
    let project = Project::new();
    let ended = project.run(&["init", "new", "--host", "pg1=192.0.2.11", "--host", "pg2=192.0.2.12", "--user", "admin"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("new is a new project. Next:"), "{}", ended.stdout);
    let ended = project.run(&["inventory", "--list", "--project", "new"]);
    let list: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(list["postgresql"]["hosts"], serde_json::json!(["pg1", "pg2"]));
    assert_eq!(list["etcd"]["hosts"], serde_json::json!(["pg1"]));
    assert_eq!(list["_meta"]["hostvars"]["pg1"]["ansible_become"], true);
    let ended = project.run(&["playbook", "playbooks/postgresql/deploy.yml", "--project", "new", "--syntax-check"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    for project_folder in [".", "new", "new/../new"] {
        let arguments = ["playbook", "playbooks/postgresql/deploy.yml", "-i", "hosts.yml", "--syntax-check", "--project", project_folder];
        let ended = project.run(&arguments);
        assert_eq!(ended.code, 0, "{project_folder}: {}{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn the_lab_refuses_values_that_mean_nothing() {
    let project = Project::new();
    project.refuses(&["lab", "--name", "BAD NAME", "status"]).tells(&["'BAD NAME' cannot be a lab's name"]);
    project.refuses(&["lab", "--name", "input", "up", "--subnet", "abc"]).tells(&["'abc' cannot be a lab's subnet", "172.28.0.0/24"]);
    project.refuses(&["lab", "--name", "input", "up", "--suite", "sarge"]).tells(&["unknown suite 'sarge'", "trixie"]);
}
