//! Keywords and engine actions, with the answers that Ansible itself gives to the same tasks.

use crate::rig::{Rig, assert_lines, check_tasks};

fn one(what: &str, tasks: &str, expect: &str) {
    assert_lines(what, &Rig::new().tasks("a", tasks).text(), &format!("PLAY a: a\n{expect}"));
}

#[test]
fn loops_see_what_their_earlier_items_did() {
    one(
        "set_fact over items",
        "- {name: t, set_fact: {all: \"{{ all | default([]) + [item] }}\"}, loop: [1, 2, 3]}\n- {name: s, debug: {var: all}}",
        "t: a ok [1 ok, 2 ok, 3 ok]\n s: a ok [1,2,3]",
    );
    one(
        "register over items",
        "- {name: t, debug: {msg: \"{{ item }} {{ r.msg | default('none') }}\"}, loop: [1, 2], register: r}",
        "t: a ok [1 ok \"1 none\", 2 ok \"2 1 none\"]",
    );
    one(
        "a loop may end early",
        "- {name: t, debug: {msg: x}, loop: [1, 2, 3], loop_control: {break_when: item == 2}}",
        "t: a ok [1 ok \"x\", 2 ok \"x\"]",
    );
    one(
        "any lookup",
        "- {name: t, debug: {msg: '{{ item }}'}, with_lines: [\"printf 'x\\ny\\n'\"]}\n- {name: s, debug: {msg: '{{ item }}'}, with_inventory_hostnames: 'all:!web'}",
        "t: a ok [x ok \"x\", y ok \"y\"]\n s: a ok [a ok \"a\", b ok \"b\"]",
    );
}

#[test]
fn one_line_arguments_are_read_as_ansible_reads_them() {
    one(
        "set_fact",
        "- name: t
  set_fact: a=1 b='x y' c=\"q\\\"uo\" d={{ [1, 2] }} e=l=m
- {name: s, debug: {msg: '{{ [a, b, c, d, e] }}'}}",
        "t: a ok\n s: a ok [\"1\",\"x y\",\"q\\\"uo\",[1,2],\"l=m\"]",
    );
    one(
        "old actions",
        "- {name: t, action: 'debug msg=\"{{ 1 + 1 }} x\"'}\n- {name: s, action: {module: debug, msg: y}}\n- {name: u, debug: {msg: z}, args: {verbosity: 0}}",
        "t: a ok \"2 x\"\n s: a ok \"y\"\n u: a ok \"z\"",
    );
}

#[test]
fn defaults_of_modules_stand_below_what_a_task_says() {
    one(
        "innermost wins",
        "- module_defaults: {debug: {msg: outer}}
  block:
  - {name: t, debug: {}}
  - {name: s, debug: {msg: own}}
  - {name: u, debug: {}, module_defaults: [{ansible.builtin.debug: {msg: inner}}]}",
        "t: a ok \"outer\"\n s: a ok \"own\"\n u: a ok \"inner\"",
    );
}

#[test]
fn meta_tasks_steer_hosts_batches_and_plays() {
    let rig = Rig::new();
    let played = rig.play(
        "- hosts: all
  gather_facts: false
  serial: 1
  tasks:
  - {name: t, debug: {msg: '{{ inventory_hostname }}'}}
  - {name: m, meta: end_batch, when: inventory_hostname == 'a'}
  - {name: s, debug: {msg: more}}
  - {name: e, meta: end_play, when: inventory_hostname == 'b'}
- hosts: db
  gather_facts: false
  order: reverse_sorted
  tasks:
  - {name: u, debug: {var: ansible_play_hosts}, run_once: true}
  - {name: h, meta: end_host, when: inventory_hostname == 'a'}
  - {name: v, debug: {var: ansible_play_hosts}}
",
    );
    let expect = "PLAY all: a
        t: a ok \"a\"
        m:
        PLAY all: b
        t: b ok \"b\"
        m: b skipped
        s: b ok \"more\"
        e:
        PLAY db: b a
        u: b ok [\"a\",\"b\"]
        h: b skipped
        v: b ok [\"a\",\"b\"]";
    assert_lines("meta", &played.text(), expect);
}

#[test]
fn hosts_need_not_wait_for_each_other() {
    let rig = Rig::new();
    rig.play(
        "- hosts: db
  gather_facts: false
  strategy: free
  tasks:
  - {shell: 'sleep 0.3', when: inventory_hostname == 'a'}
  - {shell: 'echo {{ inventory_hostname }} >> {{ root }}/order', notify: h}
  - {meta: flush_handlers}
  - {shell: 'echo after {{ inventory_hostname }} >> {{ root }}/order'}
  handlers: [{name: h, shell: 'echo handler {{ inventory_hostname }} >> {{ root }}/order'}]
",
    );
    assert_eq!(rig.read("order").as_deref(), Some("b\nhandler b\nafter b\na\nhandler a\nafter a\n"));
}

#[test]
fn hosts_and_groups_are_added_while_a_play_runs() {
    check_tasks(&[(
        "add_host and group_by",
        "- {name: t, add_host: {name: new, groups: 'g1, g2', port: 5}, register: r}
- {name: s, group_by: {key: 'x {{ inventory_hostname }}', parents: p}, register: g}
- {name: u, debug: {msg: '{{ [hostvars.new.port, r.add_host.groups, groups.p, g.add_group] }}'}}",
        "PLAY db: a b
         t: a changed
         s: a changed, b changed
         u: a ok [5,[\"g1\",\"g2\"],[\"a\",\"b\"],\"x-a\"], b ok [5,[\"g1\",\"g2\"],[\"a\",\"b\"],\"x-b\"]",
    )]);
}

#[test]
fn a_play_that_nobody_can_answer_takes_its_defaults() {
    let mut rig = Rig::new();
    rig.extra = vec![("given".to_owned(), "yes".into())];
    let played = rig.play(
        "- hosts: a
  gather_facts: false
  vars_prompt: [{name: x, prompt: which, default: dev, private: false}, {name: given}]
  tasks: [{name: t, debug: {msg: '{{ x }} {{ given }}'}}]
",
    );
    assert!(played.text().contains("t: a ok \"dev yes\""), "{}", played.text());
}

#[test]
fn variables_are_read_from_folders() {
    let rig = Rig::new();
    rig.write("v/one.yml", "one: 1\n");
    rig.write("v/two.json", "{\"two\": 2}");
    rig.write("v/sub/deep.yaml", "deep: 3\n");
    rig.write("v/notes.txt", "no variables");
    let played = rig.tasks(
        "a",
        "- {name: t, include_vars: {dir: v}, ignore_errors: true}
- {name: s, include_vars: {dir: v, ignore_unknown_extensions: true, name: all}}
- {name: u, debug: {var: all}}
- {name: v, include_vars: {dir: v, depth: 1, ignore_files: [notes.txt], files_matching: '^o'}, register: r}
- {name: w, debug: {msg: '{{ r.ansible_facts }}'}}",
    );
    let text = played.text();
    assert!(text.contains("does not have a valid extension: yaml, yml, json"), "{text}");
    assert!(text.contains("u: a ok {\"one\":1,\"two\":2,\"deep\":3}"), "{text}");
    assert!(text.contains("w: a ok {\"one\":1}"), "{text}");
}

#[test]
fn a_program_of_the_controller_runs_on_the_host_and_leaves_nothing() {
    let rig = Rig::new();
    rig.write("files/say.sh", "#!/bin/sh\necho \"$# $1 $(pwd)\"\n");
    let played = rig.tasks(
        "a",
        "- {name: t, script: 'say.sh \"x y\" z', args: {chdir: /}, register: r}
- {name: s, debug: {var: r.stdout}}
- {name: u, script: {cmd: say.sh, creates: /tmp}}",
    );
    assert_lines("script", &played.text(), "PLAY a: a\n t: a changed\n s: a ok \"2 x y /\\n\"\n u: a skipped");
}

#[test]
fn an_answer_is_hashed_where_that_is_asked_for() {
    let played = Rig::new().play(
        "- hosts: a
  gather_facts: false
  vars_prompt: [{name: x, default: secret, encrypt: sha256_crypt, salt: abcdefgh}]
  tasks: [{name: t, debug: {msg: '{{ x[:26] }}'}}]
",
    );
    assert!(played.text().contains(r#"t: a ok "$5$rounds=535000$abcdefgh$""#), "{}", played.text());
}

#[test]
fn templates_choose_order_and_strategy() {
    let rig = Rig::new();
    let play = |order: &str| {
        rig.play(&format!(
            "- hosts: db
  gather_facts: false
  vars: {{turned: {order}, way: free, size: 1}}
  order: '{{{{ turned }}}}'
  strategy: '{{{{ way }}}}'
  serial: '{{{{ size }}}}'
  tasks: [{{name: t, debug: {{msg: x}}}}]
"
        ))
        .text()
    };
    assert_lines("order", &play("reverse_inventory"), "PLAY db: b\n t: b ok \"x\"\n PLAY db: a\n t: a ok \"x\"");
    assert_lines("order", &play("inventory"), "PLAY db: a\n t: a ok \"x\"\n PLAY db: b\n t: b ok \"x\"");
}

/// Each host adds and removes a file of its own; with a throttle of one nobody ever sees another's.
#[test]
fn a_throttle_counts_where_hosts_do_not_wait_for_each_other() {
    let rig = Rig::new();
    rig.play(
        "- hosts: db
  gather_facts: false
  strategy: free
  tasks:
  - shell: 'cd {{ root }}; touch busy.{{ inventory_hostname }}; sleep 0.1; ls -d busy.* | wc -l >> seen; rm busy.{{ inventory_hostname }}'
    throttle: 1
",
    );
    assert_eq!(rig.read("seen").as_deref(), Some("1\n1\n"));
}

#[test]
fn what_a_script_complains_of_is_kept_apart() {
    let rig = Rig::new();
    rig.write("files/say.sh", "#!/bin/sh\necho out\necho wrong >&2\nexit 3\n");
    let played = rig.tasks("a", "- {name: t, script: say.sh, register: r, ignore_errors: true}\n- {name: s, debug: {msg: '{{ [r.rc, r.stderr_lines, r.stdout_lines] }}'}}");
    assert!(played.text().contains(r#"s: a ok [3,["wrong"],["out"]]"#), "{}", played.text());
}

#[test]
fn the_old_name_of_the_remote_user_is_taken_in_plays() {
    let rig = Rig::new();
    let play = |keywords: &str| {
        rig.play(&format!("- {{hosts: a, gather_facts: false, {keywords}, tasks: [{{name: t, debug: {{var: ansible_user}}}}]}}\n")).text()
    };
    let old = play("user: someone");
    assert!(old.contains("someone"), "{old}");
    assert_eq!(old, play("remote_user: someone"));
}
