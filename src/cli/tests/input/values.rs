//! Values of a cluster's variables that would be lines, commands or options of their own somewhere: refused, whatever is asked for.

use std::fmt::Write as _;

use crate::rig::Project;

/// The names of all variables that may be set.
fn variables() -> Vec<String> {
    let defaults = concat!(env!("CARGO_MANIFEST_DIR"), "/../../playbooks/postgresql/vars/defaults.yml");
    let text = std::fs::read_to_string(defaults).expect("the defaults");
    let is_variable = |line: &&str| line.starts_with(|first: char| first.is_ascii_lowercase());
    text.lines().filter(is_variable).map(|line| line.split(':').next().expect("a name").to_owned()).collect()
}

#[test]
fn no_variable_takes_more_than_a_value() {
    let project = Project::new();
    let names = variables();
    assert!(names.len() > 60, "{names:?}");
    // What src/workflows/kinds.rs says to be data there.
    for (payload, allowed) in [
        (r#""a\n[Service]""#, &[][..]),
        (r#""'; touch x""#, &["postgresql_init_sql"]),
        (r#""a$(id)""#, &["postgresql_init_sql"]),
        (r#""a`id`""#, &["postgresql_init_sql"]),
        (r#""../""#, &["postgresql_init_sql"]),
        (r#"!unsafe "{{ 1 }}""#, &["postgresql_init_sql"]),
    ] {
        let mut text = String::new();
        for name in &names {
            writeln!(text, "{name}: {payload}").expect("written");
        }
        project.write("hostile.yml", &text);
        let said = project.refuses(&["deploy", "-i", "hosts.yml", "-e", "@hostile.yml"]);
        for name in &names {
            let told = said.0.contains(&format!("error: {name} is "));
            assert_eq!(told, !allowed.contains(&name.as_str()), "{name}: {payload}\n{}", said.0);
        }
    }
}

#[test]
fn every_host_and_every_workflow_is_looked_at() {
    let project = Project::new();
    project.write("host_vars/pg2.yml", "postgresql_data_folder: \"/srv/x\\nExecStartPre=/bin/touch /tmp/x\"\n");
    let told =
        ["pg2: postgresql_data_folder is \"/srv/x\\nExec", "must be an absolute path of letters", "hint: it is set in the inventory"];
    for arguments in [&["deploy"][..], &["status"], &["doctor"], &["switchover", "--target", "pg2"], &["state", "recover", "--from", "pg1"]]
    {
        project.refuses(&[arguments, &["-i", "hosts.yml"]].concat()).problems(1).tells(&told);
    }
    project.write("host_vars/pg2.yml", "preflight_disk_mb: a[$(touch /tmp/x)]\n");
    project.refuses(&["doctor", "-i", "hosts.yml"]).problems(1).tells(&["pg2: preflight_disk_mb is ", "must be a whole number"]);
    let of_groups = "postgresql_allowed_networks: [\"{{ groups['web'] | first }} trust #\"]\n";
    project.write("host_vars/pg2.yml", of_groups);
    project
        .refuses(&["deploy", "-i", "hosts.yml"])
        .tells(&["pg2: postgresql_allowed_networks is [\"web1 trust #\"], and must be a list of texts"]);
    project.write("host_vars/pg2.yml", "postgresql_role: replica\n");
    // Bounds are for a deploy to judge: nothing comes of them elsewhere.
    project.write("group_vars/postgresql.yml", "patroni_ttl: 1\n");
    project.refuses(&["deploy", "-i", "hosts.yml"]).tells(&["patroni_ttl is 1, and must be a whole number from 20 on"]);
    let ended = project.run(&["status", "-i", "hosts.yml"]);
    assert!(ended.code != 5, "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn names_and_addresses_of_hosts_are_names_and_addresses() {
    for (host, told) in [
        (r#""pg 1": {ansible_host: 127.0.0.1}"#, "a host's name is \"pg 1\", and must be letters, digits"),
        (r#""pg'1": {ansible_host: 127.0.0.1}"#, "a host's name is \"pg'1\""),
        (r#"'pg"1': {ansible_host: 127.0.0.1}"#, "a host's name is \"pg\\\"1\""),
        (r#"pg=1: {ansible_host: 127.0.0.1}"#, "a host's name is \"pg=1\""),
        (r#"pg1: {ansible_host: "127.0.0.1\nlisten x"}"#, "ansible_host is \"127.0.0.1\\nlisten x\", and must be a name or an address"),
        (r#"pg1: {ansible_host: 127.0.0.1, postgresql_address: "192.0.2.1 trust"}"#, "postgresql_address is \"192.0.2.1 trust\""),
    ] {
        for group in ["postgresql", "etcd", "postgresql_clients"] {
            let project = Project::new();
            let nodes = "all:\n  children:\n    postgresql:\n      hosts: {a: {ansible_host: 127.0.0.1}}\n";
            project.write("inventory/0.yml", nodes);
            project.write("inventory/1.yml", &format!("all:\n  children:\n    {group}:\n      hosts:\n        {host}\n"));
            let said = project.refuses(&["deploy", "-i", "inventory"]);
            // A client's name may be of any language.
            said.tells(&[told.split(", and must").next().expect("a beginning"), "and must be", "hint: "]);
        }
    }
}

#[test]
fn an_extension_is_no_command() {
    let project = Project::new();
    for extension in ["\"x' `touch /tmp/pwn` '\"", "{name: \"x' `touch /tmp/pwn` '\"}", "\"x\\n\\\\! id\""] {
        project.write("group_vars/postgresql.yml", &format!("postgresql_databases:\n- name: shop\n  extensions: [{extension}]\n"));
        project
            .refuses(&["deploy", "-i", "hosts.yml"])
            .problems(1)
            .tells(&["postgresql_databases, shop, extensions: 'x", "is no name of letters"]);
    }
}

#[test]
fn what_is_unusual_and_right_is_taken() {
    let project = Project::new();
    project.write("right.yml", "postgresql:\n  hosts:\n    10.0.0.1: {ansible_host: 127.0.0.1, ansible_port: 1}\n");
    let right = "{postgresql_data_folder: /srv/größe/pg-16, postgresql_locale: '', patroni_rest_listen: '*', postgresql_database: My app, \
        postgresql_app_user: app@example.com, postgresql_allowed_networks: [192.0.2.0 255.255.255.0, '2001:db8::/32'], preflight_clock_warn: 0.5, \
        postgresql_hba_rules: ['host all \"My user\" samenet reject'], postgresql_fence: Agent, haproxy_stats_user: admin@example.com, \
        postgresql_parameters: {archive_command: \"cp '%p' \\\"/srv/$x/%f\\\"\"}, postgresql_users: [{name: a, password: \"'`id`\\n{{ x }}\"}]}"
        .replace("{{ x }}", "{ { x } }");
    let ended = project.run(&["deploy", "-i", "right.yml", "-e", &right]);
    assert_eq!(ended.code, 4, "{}{}", ended.stdout, ended.stderr);
}
