//! Inventories, patterns and limits.

use crate::rig::Project;

#[test]
fn a_limit_that_matches_nothing_is_refused() {
    let project = Project::new();
    project
        .refuses(&["playbook", "ok.yml", "-i", "hosts.yml", "-l", "wbe1"])
        .tells(&["the limit 'wbe1' matches no host", "did you mean 'web1'?"]);
    project.refuses(&["deploy", "-i", "hosts.yml", "-l", "pg4"]).tells(&["the limit 'pg4' matches no host", "did you mean 'pg"]);
    project.refuses(&["inventory", "--list", "-i", "hosts.yml", "-l", "nobody"]).tells(&["the limit 'nobody' matches no host"]);
    project
        .refuses(&["playbook", "ok.yml", "-i", "hosts.yml", "-l", "pg1"])
        .tells(&["ok.yml:1:3", "no host of 'web' is within the limit 'pg1'"]);
}

#[test]
fn a_playbook_without_hosts_is_refused() {
    let project = Project::new();
    project.write("unknown.yml", "- hosts: wbe\n  tasks:\n    - ping:\n");
    project.refuses_playbook("unknown.yml").tells(&["unknown.yml:1:3: 'wbe' matches no host", "1 | - hosts: wbe", "did you mean 'web'?"]);
    project.write("empty.yml", "- hosts: empty\n  tasks:\n    - ping:\n");
    project.refuses_playbook("empty.yml").tells(&["empty.yml:1:3: the group 'empty' has no hosts"]);
    project.write("broken.yml", "- hosts: 'web[0'\n  tasks:\n    - ping:\n");
    project.refuses_playbook("broken.yml").tells(&["broken.yml:1:", "'web[0' is no pattern of hosts"]);
    project.write("range.yml", "- hosts: web[7]\n  tasks:\n    - ping:\n");
    project.refuses_playbook("range.yml").tells(&["range.yml:1:", "web[7]"]);
}

#[test]
fn an_inventory_without_hosts_is_refused() {
    let project = Project::new();
    project.write("nobody.yml", "");
    project.refuses(&["playbook", "ok.yml", "-i", "nobody.yml"]).tells(&["the inventory has no hosts: nobody.yml"]);
    project.write("nobody.ini", "# nobody\n[web]\n");
    project.refuses(&["playbook", "ok.yml", "-i", "nobody.ini"]).tells(&["the inventory has no hosts: nobody.ini"]);
    project.refuses(&["playbook", "ok.yml"]).tells(&["no inventory was given", "pgfleet init DIR"]);
    project.refuses(&["deploy", "-i", "nobody.yml"]).tells(&["no host is in the group 'postgresql'", "postgresql_nodes"]);
    project.refuses(&["status", "-i", "web1,"]).tells(&["no host is in the group 'postgresql'"]);
}

#[test]
fn a_missing_inventory_brings_a_suggestion() {
    let project = Project::new();
    project.refuses(&["playbook", "ok.yml", "-i", "host.yml"]).tells(&[
        "inventory '",
        "host.yml' does not exist",
        "did you mean 'hosts.yml'?",
    ]);
    project.refuses(&["deploy", "-i", "/nowhere/at/all"]).tells(&["inventory '/nowhere/at/all' does not exist", "-i 'host1,'"]);
}

#[test]
fn circles_of_groups_are_refused() {
    let project = Project::new();
    project.write("circle.yml", "all:\n  children:\n    a:\n      children:\n        b:\n          children:\n            a:\n");
    project.refuses(&["playbook", "ok.yml", "-i", "circle.yml"]).tells(&["circle.yml:", "'a' and 'b' contain each other"]);
    project.write("circle.ini", "[a]\nh1\n[a:children]\nb\n[b:children]\na\n");
    project.refuses(&["playbook", "ok.yml", "-i", "circle.ini"]).tells(&["circle.ini:6:1: groups 'b' and 'a' contain each other", "6 | a"]);
}

#[test]
fn all_problems_of_an_inventory_are_told() {
    let project = Project::new();
    project.write("bad.ini", "[oops\n[web]\nweb1\n[web:kids]\n[web:vars]\nnothing\n[db:children]\nnowhere\n");
    project.refuses(&["playbook", "ok.yml", "-i", "bad.ini"]).problems(4).tells(&[
        "bad.ini:1:1: '[oops' begins like a section header",
        "bad.ini:4:1: section [web:kids] has unknown type 'kids'",
        "bad.ini:6:1: [web:vars] has lines name=value, and 'nothing' is none",
        "bad.ini:8:1: [db:children] names the group 'nowhere'",
    ]);
    project.write("bad.yml", "all:\n  hosts:\n    web1:\n    web2: !nope\n");
    project.refuses(&["playbook", "ok.yml", "-i", "bad.yml"]).tells(&["bad.yml:4:11: unknown tag '!nope'", "4 |     web2: !nope"]);
    project.write("list.yml", "- web1\n- web2\n");
    project.refuses(&["inventory", "--list", "-i", "list.yml"]).tells(&["list.yml:1:1: an inventory is a mapping of groups, not a list"]);
}

#[test]
fn after_a_failed_program_no_other_one_of_its_folder_is_started() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new();
    for (name, script) in
        [("mixed/1-fails", "#!/bin/sh\necho no such option >&2; exit 2\n"), ("mixed/2-starts", "#!/bin/sh\ntouch started\n")]
    {
        let path = project.write(name, script);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    }
    project.refuses(&["inventory", "--list", "-i", "mixed"]).problems(1).tells(&["1-fails --list' failed", "no such option"]);
    assert!(!project.has("started"), "the second program was started");
}

#[test]
fn an_unknown_host_brings_a_suggestion() {
    let project = Project::new();
    project.refuses(&["inventory", "--host", "web11", "-i", "hosts.yml"]).tells(&["no host is called 'web11'", "did you mean 'web1'?"]);
}

#[test]
fn a_limit_limits_listings() {
    let project = Project::new();
    let ended = project.run(&["inventory", "--graph", "-i", "hosts.yml", "-l", "web1"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("--web1\n") && !ended.stdout.contains("web2") && !ended.stdout.contains("pg1"), "{}", ended.stdout);
    let ended = project.run(&["inventory", "--list", "-i", "hosts.yml", "-l", "web1"]);
    let list: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(list["web"]["hosts"], serde_json::json!(["web1"]));
    assert_eq!(list["_meta"]["hostvars"].as_object().map(serde_json::Map::len), Some(1));
}

#[test]
fn nodes_in_a_list_must_be_nodes() {
    let project = Project::new();
    project.write("other.yml", "web:\n  hosts:\n    web1:\n");
    for (list, words) in [
        ("{postgresql_nodes: yes}", "postgresql_nodes is a list of nodes"),
        ("{postgresql_nodes: [{ip: 127.0.0.1}]}", "has no name"),
        ("{postgresql_nodes: [{name: a b, ip: 127.0.0.1}]}", "'a b' is no name of a host"),
        ("{postgresql_nodes: []}", "no host is in the group 'postgresql'"),
        ("{postgresql_nodes: '{{ nope }}'}", "'nope' is undefined"),
    ] {
        project.refuses(&["deploy", "-i", "other.yml", "-e", list]).tells(&[words]);
    }
}

#[test]
fn settings_of_a_cluster_are_checked_before_anything_connects() {
    let project = Project::new();
    project.write(
        "group_vars/postgresql.yml",
        "postgresql_port: abc\npostgresql_synchronous_mode: sometimes\npatroni_ttl: 30\npatroni_retry_timeout: 20\nhaproxy_stats_port: 5000\npostgresql_parameters: [work_mem]\npostgresql_restart: 'false'\n",
    );
    project.refuses(&["deploy", "-i", "hosts.yml"]).problems(6).tells(&[
        "postgresql_port is \"abc\", and must be a whole number from 1 to 65535",
        "hint: it is set in the inventory, in group_vars",
        "postgresql_synchronous_mode is \"sometimes\", and must be one of quorum, on, off",
        "postgresql_parameters is [\"work_mem\"], and must be a mapping",
        "postgresql_restart is \"false\", and must be true or false, without quotes",
        "patroni_ttl is 30, less than patroni_loop_wait + 2 x patroni_retry_timeout = 10 + 2 x 20",
        "haproxy_leader_port and haproxy_stats_port are both 5000",
    ]);
    let project = Project::new();
    project
        .refuses(&["deploy", "-i", "hosts.yml", "-e", "patroni_ttl=5"])
        .tells(&["patroni_ttl is 5, and must be a whole number from 20 on"]);
    project
        .refuses(&["deploy", "-i", "hosts.yml", "-e", "postgresql_cluster_name=../x"])
        .tells(&["postgresql_cluster_name is \"../x\", and must be a name"]);
}

#[test]
fn a_misspelt_setting_brings_a_warning() {
    let project = Project::new();
    project.write("gone.yml", "postgresql:\n  hosts:\n    pg1: {ansible_host: 127.0.0.1, ansible_port: 1}\n");
    let ended = project.run(&["deploy", "-i", "gone.yml", "-e", "postgresql_verison=17", "-e", "my_own=1"]);
    assert_eq!(ended.code, 4, "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stderr.contains("nothing reads the variable 'postgresql_verison'; did you mean 'postgresql_version'?"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("my_own"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "groups that may be left out are no news: {}", ended.stderr);
}
