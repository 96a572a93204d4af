//! Which variable wins, and the variables that the engine gives.

use serde_json::json;

use crate::rig::{Rig, assert_lines};

/// Compared with ansible-core 2.19.14.
#[test]
fn facts_that_are_set_keep_the_kinds_of_keys_and_numbers() {
    let played = Rig::new().play(
        "- hosts: a
  gather_facts: false
  vars: {m: {off: 1, on: {x: 2}, 16: h, 1.5: f}}
  tasks:
    - set_fact: {n: \"{{ m | combine({true: 3, 'on': 4}) }}\", big: \"{{ 10 ** 30 }}\", inf: \"{{ '[Infinity]' | from_json }}\"}
    - name: t
      debug: {msg: \"{{ n[true] }} {{ n['on'] }} {{ n[false] }} {{ n[16] }} {{ n[1.5] }} {{ big }} {{ inf[0] > big }}\"}
",
    );
    assert!(played.text().contains("t: a ok \"3 4 1 h f 1000000000000000000000000000000 True\""), "{}", played.text());
}

#[test]
fn each_place_wins_over_those_before() {
    let mut rig = Rig::new();
    let names = "defaults group host play files block task included fact parameter extra";
    rig.write(
        "group_vars/all.yml",
        "group: 1\nhost: 1\nplay: 1\nfiles: 1\nblock: 1\ntask: 1\nincluded: 1\nfact: 1\nparameter: 1\nextra: 1\n",
    );
    rig.write("host_vars/a.yml", "host: 2\nplay: 2\nfiles: 2\nblock: 2\ntask: 2\nincluded: 2\nfact: 2\nparameter: 2\nextra: 2\n");
    rig.write("files.yml", "files: 4\nblock: 4\ntask: 4\nincluded: 4\nfact: 4\nparameter: 4\nextra: 4\n");
    rig.write("included.yml", "included: 7\nfact: 7\nparameter: 7\nextra: 7\n");
    let show: String = names.split(' ').skip(1).map(|name| format!("{name}={{{{ {name} }}}} ")).collect();
    rig.write(
        "show.yml",
        format!("- {{name: show, debug: {{msg: '{show}'}}, vars: {{task: 6, included: 6, fact: 6, parameter: 6, extra: 6}}}}\n"),
    );
    rig.extra = vec![("extra".to_owned(), json!(10))];
    let played = rig.play(
        "- hosts: a
  gather_facts: false
  vars: {play: 3, files: 3, block: 3, task: 3, included: 3, fact: 3, parameter: 3, extra: 3}
  vars_files: [files.yml]
  tasks:
    - include_vars: included.yml
    - set_fact: {fact: 8, parameter: 8, extra: 8}
    - vars: {block: 5, task: 5, included: 5, fact: 5, parameter: 5, extra: 5}
      block:
        - {include_tasks: show.yml, vars: {parameter: 9, extra: 9}}
",
    );
    let expect = "group=1 host=2 play=3 files=4 block=5 task=6 included=7 fact=8 parameter=9 extra=10 ";
    assert!(played.text().contains(&format!("show: a ok \"{expect}\"")), "{}", played.text());
}

#[test]
fn the_engine_gives_variables() {
    for (expression, expect) in [
        ("inventory_hostname", "a"),
        ("inventory_hostname_short", "a"),
        ("group_names", "['db']"),
        ("groups.db", "['a', 'b']"),
        ("groups['all']", "['a', 'b', 'c']"),
        ("hostvars['b'].colour", "blue"),
        ("hostvars.b.twice", "blueblue"),
        ("hostvars['c'].inventory_hostname", "c"),
        ("hostvars | length", "3"),
        ("ansible_play_hosts", "['a', 'b']"),
        ("ansible_play_batch", "['a', 'b']"),
        ("ansible_play_hosts_all", "['a', 'b']"),
        ("playbook_dir == root", "True"),
        ("inventory_dir == root", "True"),
        ("ansible_check_mode", "False"),
        ("ansible_play_name", "named"),
        ("ansible_run_tags", "['all']"),
        ("ansible_version.full is version('2.15', '>=')", "True"),
        ("vars['colour']", "red"),
        ("lookup('vars', 'colour')", "red"),
        ("nothing | default('none')", "none"),
        ("groups.db | map('extract', hostvars, 'colour') | list", "['red', 'blue']"),
    ] {
        let rig = Rig::new();
        rig.write("group_vars/all.yml", "twice: '{{ colour }}{{ colour }}'\n");
        rig.write("host_vars/a.yml", "colour: red\n");
        rig.write("host_vars/b.yml", "colour: blue\n");
        let played = rig.play(&format!(
            "- name: named\n  hosts: db\n  gather_facts: false\n  tasks:\n    - name: t\n      debug:\n        msg: \">{{{{ {expression} }}}}\"\n      when: inventory_hostname == 'a'\n"
        ));
        assert_lines(expression, &played.text(), &format!("PLAY named: a b\n t: a ok \">{expect}\", b skipped"));
    }
}

/// As the real tool has it: the variables of `all` and of its own name, in no group, and one host under all of its names.
#[test]
fn the_controller_need_not_stand_in_the_inventory() {
    for (expression, expect) in [
        ("hostvars['localhost'].colour", "red"),
        ("hostvars['localhost'].own", "of host_vars"),
        ("hostvars['localhost'].of_ungrouped | default('none')", "none"),
        ("hostvars['localhost'].ansible_connection", "local"),
        ("hostvars['localhost'].group_names", "[]"),
        ("hostvars['localhost'].inventory_dir is defined", "False"),
        ("hostvars['127.0.0.1'].inventory_hostname", "localhost"),
        ("'localhost' in groups['all']", "False"),
        ("groups.ungrouped", "[]"),
        ("hostvars | list", "['a', 'b', 'c']"),
    ] {
        let rig = Rig::new();
        rig.write("group_vars/all.yml", "colour: red\nown: of all\n");
        rig.write("group_vars/ungrouped.yml", "of_ungrouped: 1\n");
        rig.write("host_vars/localhost.yml", "own: of host_vars\n");
        let played = rig.play(&format!(
            "- {{name: first, hosts: localhost, gather_facts: false, tasks: [{{name: t, debug: {{msg: \">{{{{ {expression} }}}}\"}}}}]}}\n\
             - {{name: second, hosts: 127.0.0.1, gather_facts: false, tasks: [{{name: t, debug: {{msg: '{{{{ colour }}}} {{{{ own }}}}'}}}}]}}\n"
        ));
        let expect =
            format!("PLAY first: localhost\n t: localhost ok \">{expect}\"\nPLAY second: localhost\n t: localhost ok \"red of host_vars\"");
        assert_lines(expression, &played.text(), &expect);
    }
}

#[test]
fn facts_are_gathered_and_name_files_of_variables() {
    let rig = Rig::new();
    rig.write("vars/linux.yml", "family: penguin\n");
    let played = rig.play(
        "- hosts: a
  vars_files: ['vars/{{ ansible_facts.system | lower }}.yml']
  tasks:
    - {name: t, debug: {msg: '{{ family }} {{ ansible_system }} {{ hostvars.a.ansible_facts.system }}'}}
",
    );
    assert_lines("facts", &played.text(), "PLAY a: a\n Gathering Facts: a ok\n t: a ok \"penguin Linux Linux\"");
}

#[test]
fn lost_hosts_leave_the_play_hosts() {
    let played = Rig::new().tasks(
        "all",
        "- {name: f, fail: {msg: x}, when: inventory_hostname == 'b'}\n- {name: t, debug: {var: ansible_play_hosts}, run_once: true}\n",
    );
    assert_lines("left", &played.text(), "PLAY all: a b c\n f: a skipped, b failed 'x', c skipped\n t: a ok [\"a\",\"c\"]");
}

#[test]
fn hosts_and_groups_are_added_on_the_way() {
    let rig = Rig::new();
    rig.write("group_vars/kind_of_a.yml", "from_group: yes it is\n");
    let played = rig.play(
        "- hosts: a
  gather_facts: false
  tasks:
    - {name: add, add_host: {name: new, groups: [fresh], colour: green}}
    - {name: group, group_by: {key: 'kind_of_{{ inventory_hostname }}'}}
    - {name: t, debug: {msg: '{{ groups.fresh }} {{ hostvars.new.colour }} {{ group_names }}'}}
- hosts: fresh:kind_of_a
  gather_facts: false
  tasks:
    - {name: u, debug: {msg: '{{ colour | default(from_group) }}'}}
",
    );
    let expect = "PLAY a: a
        add: a changed
        group: a changed
        t: a ok \"['new'] green ['db', 'kind_of_a']\"
        PLAY fresh:kind_of_a: new a
        u: a ok \"yes it is\", new ok \"green\"";
    assert_lines("added", &played.text(), expect);
}
