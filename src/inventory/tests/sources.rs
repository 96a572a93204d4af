//! Several sources together, changes during a run, and patterns beyond the golden table.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use pgfleet_inventory::{GroupNames, Inventory, Listing, Reading};
use pgfleet_template::{Disk, Raw, Value, Vars, Vault, to_yaml};
use serde_json::json;

fn load(sources: &[String]) -> Inventory {
    Inventory::load(&Disk, sources, None, &Arc::new(Vault::none())).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
    fs::write(&path, text).expect("writes");
    path.display().to_string()
}

fn names<'n>(hosts: impl IntoIterator<Item = &'n pgfleet_inventory::HostName>) -> Vec<&'n str> {
    hosts.into_iter().map(|host| host.as_str()).collect()
}

#[test]
fn lists_of_hosts_have_ports_and_addresses() {
    let inventory = load(&["a, b:2222,10.0.0.1,[::1]:22,fe80::1,".to_owned()]);
    assert_eq!(names(inventory.hosts().map(|host| &host.name)), ["a", "b", "10.0.0.1", "::1", "fe80::1"]);
    assert_eq!(inventory.host_variables_as_written("b"), json!({"ansible_port": 2222}));
    assert_eq!(inventory.groups_of("a"), ["ungrouped"]);
    assert_eq!(inventory.origin_of("a"), None);
}

/// As ansible-inventory shows them.
#[test]
fn variables_of_a_host_with_a_groups_name_are_the_groups() {
    let folder = tempfile::tempdir().expect("a folder");
    let ini = write(folder.path(), "hosts", "[web]\nweb x=1\nother\n");
    let yaml = write(folder.path(), "hosts.yml", "web: {hosts: {web: {x: 1}, other: }}\n");
    for source in [ini, yaml] {
        let inventory = load(&[source]);
        assert_eq!(inventory.host_variables_as_written("other"), json!({"x": 1}));
        assert_eq!(inventory.host_variables_as_written("web"), json!({"x": 1}));
    }
}

#[test]
fn later_sources_win_and_first_ones_are_the_origin() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = write(folder.path(), "one/hosts", "[web]\na x=1 y=1\nb\n");
    let second = write(folder.path(), "two/hosts.yml", "web: {hosts: {a: {x: 2}}, vars: {z: 1}}\n");
    write(folder.path(), "one/group_vars/web.yml", "g: one\nh: one\n");
    write(folder.path(), "two/group_vars/web.yml", "g: two\n");
    let inventory = load(&[first.clone(), second]);
    assert_eq!(inventory.host_variables_as_written("a"), json!({"g": "two", "h": "one", "x": 2, "y": 1, "z": 1}));
    assert_eq!(inventory.origin_of("a"), Some((first.clone().into(), Path::new(&first).parent().expect("a folder").into())));
}

/// Recorded from ansible-inventory 2.19.14.
#[test]
fn listings_keep_keys_and_numbers_and_tell_each_group_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "all:
  children:
    a: {children: {c: {hosts: {h: {n: {false: 1, 2.5: 2, 10: 3}, big: 100000000000000000000000000, i: .inf, u: !unsafe '{{ x }}', t: '{{ x }}'}}}}}
    b: {children: {c: {}}, hosts: {h: {}}}
    e: {}
    f: {children: {e: {}}}
";
    let inventory = load(&[write(folder.path(), "hosts.yml", text)]);
    let nested = "all:
  children:
    a:
      children:
        c:
          hosts:
            h:
              big: 100000000000000000000000000
              i: .inf
              n:
                false: 1
                2.5: 2
                10: 3
              t: '{{ x }}'
              u: '{{ x }}'
    b:
      children:
        c: {}
      hosts:
        h: {}
    f:
      children:
        e: {}
";
    assert_eq!(to_yaml(&inventory.nested(&Listing::default())).as_deref(), Ok(nested));
    let written = inventory.as_list()["_meta"]["hostvars"]["h"].clone();
    assert_eq!(written["u"], json!({"__ansible_unsafe": "{{ x }}"}));
    assert_eq!((&written["t"], &written["n"]), (&json!("{{ x }}"), &json!({"10": 3, "2.5": 2, "false": 1})));
    let tables = inventory.tables(&Listing::default());
    // A group that is met again loses what was told of its hosts.
    let expect = "a:\n  children:\n  - c\nb:\n  children:\n  - c\n  hosts:\n    h: {}\nc:\n  hosts:\n    h: {}\nf:\n  children:\n  - e\n";
    assert_eq!(to_yaml(&tables).as_deref(), Ok(expect));
}

#[test]
fn priority_orders_groups_of_one_depth() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = "[a]\nh\n[b]\nh\n[c]\nh\n[a:vars]\nx=a\nansible_group_priority=10\n[b:vars]\nx=b\n[c:vars]\nx=c\n";
    let inventory = load(&[write(folder.path(), "hosts", hosts)]);
    assert_eq!(inventory.host_variables_as_written("h"), json!({"x": "a"}));
    assert_eq!(inventory.groups_of("h"), ["a", "b", "c"]);
}

#[test]
fn programs_without_meta_are_asked_for_each_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "#!/bin/sh\nif [ \"$1\" = --host ]; then echo \"{\\\"me\\\": \\\"$2\\\", \\\"t\\\": \\\"{{ me }}\\\"}\"; else echo '{\"g\": [\"a\", \"b\"]}'; fi\n";
    let source = write(folder.path(), "program", script);
    fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).expect("sets");
    let inventory = load(&[source]);
    assert_eq!(names(inventory.members("g")), ["a", "b"]);
    assert_eq!(inventory.host_variables_as_written("b"), json!({"me": "b", "t": "{{ me }}"}));
}

#[test]
fn executable_bits_alone_make_no_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = write(folder.path(), "hosts.yml", "all: {hosts: {a: {x: 1}}}\n");
    fs::set_permissions(&source, fs::Permissions::from_mode(0o777)).expect("sets");
    assert_eq!(load(&[source]).host_variables_as_written("a"), json!({"x": 1}));
}

#[test]
fn odd_keys_are_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let inventory = load(&[write(folder.path(), "hosts.yml", "all:\n  host:\n    a:\n  hosts:\n    b:\nweb: text\n")]);
    let warnings: Vec<String> = inventory.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("hosts.yml:2:3: 'host' in group 'all' is left out"), "{warnings:?}");
    assert_eq!(inventory.warnings()[0].hint.as_deref(), Some("did you mean 'hosts'?"));
    assert!(inventory.group("web").is_none());
}

#[test]
fn a_run_may_add_hosts_and_groups() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut inventory = load(&[write(folder.path(), "hosts", "[web]\na\n")]);
    let vars = || Vars::from_iter([("x".to_owned(), Raw::Value(Value::from(1)))]);
    assert_eq!(inventory.add_host("new:2200", &["web".to_owned(), "fresh".to_owned()], vars()), Ok(true));
    assert_eq!(inventory.add_host("new", &["web".to_owned()], vars()), Ok(false));
    assert_eq!(inventory.host_variables_as_written("new"), json!({"ansible_port": 2200, "x": 1}));
    assert_eq!(inventory.groups_of("new"), ["fresh", "web"]);
    assert_eq!(names(inventory.members("all")), ["a", "new"]);
    assert_eq!(inventory.add_host("lone", &[], Vars::new()), Ok(true));
    assert_eq!(inventory.groups_of("lone"), ["ungrouped"]);
    assert_eq!(inventory.add_to_group("lone", "fresh"), Ok(true));
    assert_eq!(inventory.add_to_group("lone", "fresh"), Ok(false));
    assert_eq!(inventory.groups_of("lone"), ["fresh"]);
    assert!(inventory.add_to_group("nobody", "fresh").is_err());
    assert!(inventory.add_host("", &[], Vars::new()).is_err());
}

#[test]
fn patterns_meet_files_regular_expressions_and_ipv6() {
    let folder = tempfile::tempdir().expect("a folder");
    let inventory = load(&[write(folder.path(), "hosts", "[web]\nw[1:5]\n[db]\nw3\nfe80::1\n[all:vars]\na=1\n")]);
    let file = write(folder.path(), "retry", "w2\n\n w4 \n!w2\n");
    for (pattern, expect) in [
        (format!("@{file}").as_str(), "w4"),
        ("fe80::1", "fe80::1"),
        ("web:&db", "w3"),
        ("web[1:2],!w3", "w2"),
        ("web[-2]", "w4"),
        ("web[0:0]", "w1"),
        ("web[3:]", "w4 w5"),
        ("w[!12]", "w3 w4 w5"),
        ("~w[12]$", "w1 w2"),
        ("~(", "error"),
        ("~[", "error"),
        ("w[1", "error"),
        ("web[9]", "error"),
        ("web[-9]", "error"),
        ("w*[5:6]", "w1 w2"),
        ("web[1:2]:w1", "w2 w3 w1"),
        ("&db", "w3 fe80::1"),
        ("ungrouped", ""),
        ("@/nowhere", "error"),
        ("127.0.0.1", "127.0.0.1"),
        ("a*", "w1 w2 w3 w4 w5 fe80::1"),
    ] {
        let found = inventory.select(pattern).map_or_else(|_| "error".to_owned(), |selection| names(&selection.hosts).join(" "));
        assert_eq!(found, expect, "{pattern}");
    }
}

#[test]
fn groups_are_made_of_what_hosts_have() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = write(
        folder.path(),
        "hosts.yml",
        "web: {hosts: {a: {tags: {os: x, zone: ''}, roles: [db, ''], n: 1}, b: {os: ''}}, vars: {v: 2}}\n",
    );
    write(folder.path(), "group_vars/web.yml", "beside: 1\n");
    let made = "plugin: ansible.builtin.constructed
compose: {twice: v * 2, never: nowhere + 1, late: twice + 1}
groups: {small: n is defined and n < 2, with_file: beside is defined, first: inventory_hostname == 'a'}
keyed_groups:
  - {key: tags, prefix: tag, parent_group: tagged}
  - {key: tags, prefix: plain, trailing_separator: false}
  - {key: roles, prefix: role, default_value: none_at_all}
  - {key: os, separator: '', default_value: linux}
";
    let plain = write(folder.path(), "made.yml", made);
    let inventory = load(&[hosts.clone(), plain]);
    let expect = ["first", "plain_os_x", "plain_zone", "role_db", "role_none_at_all", "small", "tag_os_x", "tag_zone_", "tagged", "web"];
    assert_eq!(inventory.groups_of("a"), expect);
    assert_eq!(inventory.groups_of("b"), ["linux", "web"]);
    assert_eq!(inventory.host_variables_as_written("b"), json!({"beside": 1, "os": "", "twice": 4, "v": 2}));
    let with_files = write(folder.path(), "with.yml", &format!("{made}use_vars_plugins: true\n"));
    assert!(load(&[hosts.clone(), with_files]).groups_of("b").contains(&"with_file"));
    let strict = write(folder.path(), "strict.yml", &format!("{made}strict: true\n"));
    let problems = Inventory::load(&Disk, &[hosts, strict], None, &Arc::new(Vault::none())).expect_err("it is strict");
    assert!(problems[0].to_string().contains("'nowhere' is undefined, while setting 'never' for host 'a'"), "{problems:?}");
}

#[test]
fn groups_may_depend_on_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = "plugin: constructed\ncompose: {seen: given + 1}\ngroups: {given_one: given == 1}\n";
    let reading =
        Reading { extra: Arc::new([("given".to_owned(), Raw::from(Value::from(1)))].into_iter().collect()), ..Reading::default() };
    for (asks, expect) in [("use_extra_vars: true\n", json!({"seen": 2})), ("", json!({}))] {
        let sources = ["a,".to_owned(), write(folder.path(), "made.yml", &format!("{made}{asks}"))];
        let inventory = Inventory::load_with(&Disk, &sources, None, &Arc::new(Vault::none()), &reading).expect("loads");
        assert_eq!(inventory.host_variables_as_written("a"), expect);
        assert_eq!(inventory.group("given_one").is_some(), !asks.is_empty());
    }
}

#[test]
fn names_of_groups_can_be_made_names_of_variables() {
    let folder = tempfile::tempdir().expect("a folder");
    let ini = write(folder.path(), "hosts.ini", "[p-q:children]\nlocal-\n[local-]\nh1\n[9x.y]\nh2\n[local-:vars]\na=1\n");
    let yaml = write(folder.path(), "hosts.yml", "all: {children: {yg-1: {hosts: {h3: }, children: {é-x: {hosts: {h4: }}}}}}\n");
    std::fs::create_dir(folder.path().join("group_vars")).expect("made");
    write(&folder.path().join("group_vars"), "local_.yml", "b: 2\n");
    let reading = Reading { group_names: GroupNames::Replaced, ..Reading::default() };
    let sources = [ini, yaml];
    let mut inventory = Inventory::load_with(&Disk, &sources, None, &Arc::new(Vault::none()), &reading).expect("loads");
    inventory.add_to_group("h1", "by-h1 x").expect("added");
    let groups: Vec<&str> = inventory.groups().map(|group| group.name.as_str()).collect();
    assert_eq!(groups, ["all", "ungrouped", "p_q", "local_", "_x_y", "yg_1", "é_x", "by_h1_x"]);
    assert_eq!(inventory.groups_of("h1"), ["by_h1_x", "local_", "p_q"]);
    assert_eq!(inventory.host_variables_as_written("h1"), json!({"a": 1, "b": 2}));
    assert!(inventory.has_replaced_names());
    let as_written = load(&sources);
    assert!(as_written.group("9x.y").is_some() && !as_written.has_replaced_names());
}

#[test]
fn hosts_are_made_of_layers() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = "plugin: generator
hosts:
  name: '{{ kind }}_{{ zone }}'
  parents:
    - name: '{{ kind }}'
      vars: {kind: '{{ kind }}', later: ['{{ unknown_yet }}']}
      parents: [{name: everything}]
layers: {kind: [web, db], zone: [1, 2]}
";
    let inventory = load(&[write(folder.path(), "made.yml", source)]);
    assert_eq!(names(inventory.hosts().map(|host| &host.name)), ["web_1", "web_2", "db_1", "db_2"]);
    assert_eq!(inventory.groups_of("web_2"), ["everything", "web"]);
    assert_eq!(inventory.host_variables_as_written("db_1"), json!({"kind": "db", "later": ["{{ unknown_yet }}"]}));
    let nameless = write(folder.path(), "nameless.yml", "plugin: generator\nhosts: {name: h, parents: [{}]}\nlayers: {a: [1]}\n");
    let problems = Inventory::load(&Disk, &[nameless], None, &Arc::new(Vault::none())).expect_err("it has no name");
    assert!(problems[0].to_string().contains("Element h has a parent with no name."), "{problems:?}");
}

#[test]
fn ranges_of_lists_are_written_out() {
    assert_eq!(pgfleet_inventory::expand_list("a,b[1:3],"), Ok(("a,b1,b2,b3,".to_owned(), Vec::new())));
    let unchanged = vec!["host range must specify end value: [1:]".to_owned()];
    assert_eq!(pgfleet_inventory::expand_list("b[1:],c"), Ok(("b[1:],c,".to_owned(), unchanged)));
    assert_eq!(names(load(&["b[1:],c,".to_owned()]).hosts().map(|host| &host.name)), ["b[1:]", "c"]);
    assert!(pgfleet_inventory::expand_list("b[1:j],").is_err());
}
