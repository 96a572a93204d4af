//! Roles: what they see, what they leave, and when they run. Expected values are those of ansible-core 2.19.14.

use crate::rig::{Rig, assert_lines};

const FILES: &[(&str, &str)] = &[
    ("roles/base/tasks/main.yml", "- name: base\n  debug: {msg: \"d={{ d }} who={{ who }} p={{ p | default('-') }}\"}\n"),
    ("roles/base/defaults/main.yml", "d: base-default\nwho: base-default\n"),
    (
        "roles/dep/tasks/main.yml",
        "- name: dep
  debug: {msg: \"d={{ d }} v={{ v }} who={{ who }} p={{ p | default('-') }} {{ role_name }}\"}
  changed_when: true
  notify: [shared, 'dep : own', topic]\n",
    ),
    ("roles/dep/vars/main.yml", "v: dep-vars\n"),
    ("roles/dep/defaults/main.yml", "d: dep-default\n"),
    (
        "roles/dep/handlers/main.yml",
        "- {name: shared, debug: {msg: shared of dep}}
- {name: own, debug: {msg: 'own of dep {{ role_name }}'}}
- {name: listens, listen: topic, debug: {msg: listens in dep}}\n",
    ),
    ("roles/dep/meta/main.yml", "dependencies: [base]\n"),
    ("roles/one/meta/main.yml", "dependencies:\n  - {role: dep, who: from-one, tags: [deptag]}\n  - role: base\n"),
    ("roles/one/defaults/main.yml", "d: one-default\n"),
    ("roles/one/vars/main.yml", "v: one-vars\n"),
    (
        "roles/one/tasks/main.yml",
        "- name: one
  debug: {msg: \"d={{ d }} v={{ v }} who={{ who }} p={{ p | default('-') }} {{ role_path | basename }}\"}
- import_tasks: more.yml
- name: include two
  include_role: {name: two, tasks_from: other}
  vars: {given: by-include}\n",
    ),
    ("roles/one/tasks/more.yml", "- name: more\n  debug: {msg: \"{{ lookup('template', 't.j2') }} {{ lookup('file', 'f.txt') }}\"}\n"),
    ("roles/one/templates/t.j2", "template of one {{ d }}"),
    ("roles/one/files/f.txt", "file of one"),
    ("roles/one/handlers/main.yml", "- {name: shared, debug: {msg: shared of one}}\n"),
    ("roles/two/defaults/main.yml", "d: two-default\n"),
    ("roles/two/vars/main.yml", "v: two-vars\n"),
    ("roles/two/tasks/main.yml", "- name: two\n  debug: {msg: \"d={{ d }} v={{ v }} given={{ given | default('-') }}\"}\n"),
    (
        "roles/two/tasks/other.yml",
        "- name: other
  debug:
    msg: \"d={{ d }} v={{ v }} given={{ given | default('-') }} {{ ansible_parent_role_names }} p={{ p | default('-') }} {{ ansible_role_name }}\"
  changed_when: true
  notify: of two\n",
    ),
    ("roles/two/handlers/main.yml", "- name: of two\n  debug: {msg: \"d={{ d }} given={{ given | default('-') }}\"}\n"),
];

fn rig() -> Rig {
    let rig = Rig::new();
    FILES.iter().for_each(|(name, text)| rig.write(name, text));
    rig
}

#[test]
fn roles_see_and_leave_what_ansibles_do() {
    let played = rig().play(
        "- hosts: a
  gather_facts: false
  vars: {who: play}
  pre_tasks:
    - name: pre
      debug: {msg: \"d={{ d }} v={{ v }} {{ ansible_play_role_names | join(' ') }} {{ ansible_dependent_role_names | sort | join(' ') }}\"}
  roles:
    - role: one
      p: param-one
      tags: [r1]
    - {role: base, vars: {who: given}}
    - base
    - {role: base, when: false}
    - dep
  tasks:
    - name: after
      debug: {msg: \"d={{ d }} v={{ v }} p={{ p | default('-') }} who={{ who }}\"}
    - import_role: {name: two}
      vars: {given: by-import}
    - include_role: {name: two, public: true, tasks_from: main}
      when: true
    - name: last
      debug: {msg: \"d={{ d }} v={{ v }} given={{ given | default('-') }} {{ ansible_play_role_names | length }}\"}
  handlers:
    - {name: shared, debug: {msg: shared of the play}}",
    );
    let expect = r#"PLAY a: a
        pre: a ok "d=two-default v=two-vars one base base base dep two base dep"
        base : base: a ok "d=base-default who=from-one p=param-one"
        dep : dep: a changed
        one : one: a ok "d=one-default v=one-vars who=play p=param-one one"
        one : more: a ok "template of one one-default file of one"
        include two:
        INCLUDE two: a
        two : other: a changed
        base : base: a ok "d=base-default who=given p=-"
        base : base: a skipped
        dep : dep: a changed
        after: a ok "d=two-default v=two-vars p=- who=play"
        two : two: a ok "d=two-default v=two-vars given=by-import"
        include_role : two:
        INCLUDE two: a
        two : two: a ok "d=two-default v=two-vars given=-"
        last: a ok "d=two-default v=two-vars given=- 8"
        HANDLER dep : own: a ok "own of dep dep"
        HANDLER dep : listens: a ok "listens in dep"
        HANDLER shared: a ok "shared of the play"
        HANDLER two : of two: a ok "d=two-default given=-""#;
    assert_lines("roles", &played.text(), expect);
    assert_lines("counts", &played.recap(), "a ok=18 changed=3 skipped=1");
    for value in [
        "d=dep-default v=dep-vars who=from-one p=param-one dep",
        "d=two-default v=two-vars given=by-include ['one'] p=param-one two",
        "d=dep-default v=dep-vars who=play p=- dep",
    ] {
        assert!(played.journal().contains(value), "{value}");
    }
}

#[test]
fn precedence_is_that_of_ansible() {
    let rig = Rig::new();
    for (name, text) in [
        (
            "hosts.ini",
            "[db]\na v3=inv_host\n[all:vars]\nv1=inv_all\nv2=inv_all\nv3=inv_all\nv4=inv_all\n[db:vars]\nv1=inv_db\nv2=inv_db_inline\n",
        ),
        ("group_vars/all.yml", "v1: pb_gv_all\n"),
        ("group_vars/db.yml", "v4: pb_gv_db\n"),
        ("host_vars/a.yml", "v3: hv_file\n"),
        ("roles/r/defaults/main.yml", "v5: role_default\nv6: role_default\n"),
        ("roles/r/vars/main.yml", "v6: role_vars\nv7: role_vars\n"),
        (
            "roles/r/tasks/main.yml",
            "- {name: first, debug: {msg: \"v5={{ v5 }} v6={{ v6 }} v7={{ v7 }} v8={{ v8 | default('-') }}\"}}
- {name: set, set_fact: {v7: set_fact, v8: set_fact}}
- {name: second, debug: {msg: 'v7={{ v7 }} v8={{ v8 }}'}, vars: {v7: task_vars}}\n",
        ),
    ] {
        rig.write(name, text);
    }
    let played = rig.play(
        "- hosts: db
  gather_facts: false
  vars: {v6: play_vars, v7: play_vars}
  roles: [{role: r, v8: role_param}]
  tasks:
    - {name: third, debug: {msg: 'v1={{ v1 }} v2={{ v2 }} v3={{ v3 }} v4={{ v4 }}'}}
    - {name: fourth, debug: {msg: 'v5={{ v5 }} v6={{ v6 }} v8={{ v8 }}'}}",
    );
    let expect = r#"PLAY db: a
        r : first: a ok "v5=role_default v6=role_vars v7=role_vars v8=role_param"
        r : set: a ok
        r : second: a ok "v7=set_fact v8=role_param"
        third: a ok "v1=pb_gv_all v2=inv_db_inline v3=hv_file v4=pb_gv_db"
        fourth: a ok "v5=role_default v6=role_vars v8=set_fact""#;
    assert_lines("precedence", &played.text(), expect);
}

#[test]
fn a_module_that_nobody_knows_matters_where_it_would_run() {
    let played =
        Rig::new().tasks("db", "- {name: x, community.none.thing: {a: 1}, when: inventory_hostname == 'b'}\n- {name: y, debug: {msg: 1}}");
    let text = played.text();
    assert!(text.contains("x: a skipped, b failed") && text.contains("no module is called 'community.none.thing'"), "{text}");
    assert!(text.contains("y: a ok 1"), "{text}");
}

#[test]
fn roles_come_from_collections_and_checkouts() {
    let rig = Rig::new();
    rig.write("galaxy.yml", "namespace: ns\nname: coll\n");
    rig.write(
        "roles/other/tasks/main.yml",
        "- {name: other, debug: {msg: '{{ ansible_collection_name }} {{ ansible_role_name }} {{ role_name }}'}}\n",
    );
    rig.write("roles/here/meta/main.yml", "dependencies: [{role: ns.coll.other}]\n");
    rig.write(
        "collections/ansible_collections/far/away/roles/r/tasks/main.yml",
        "- {name: far, debug: {msg: '{{ ansible_role_name }}'}}\n",
    );
    rig.write("playbooks/tasks.yml", "- {name: beside, debug: {msg: 1}}\n");
    rig.write(
        "playbooks/p.yml",
        "- hosts: a
  gather_facts: false
  vars: {which: here}
  roles: ['ns.coll.{{ which }}']
  tasks:
    - import_tasks: tasks.yml
    - include_role: {name: 'ns.coll.{{ item }}'}
      loop: [other]\n",
    );
    rig.write(
        "playbooks/collections/ansible_collections/far/away/roles/r/tasks/main.yml",
        "- {name: far, debug: {msg: '{{ ansible_role_name }}'}}\n",
    );
    rig.write("top.yml", "- import_playbook: ns.coll.p\n- hosts: a\n  gather_facts: false\n  roles: [far.away.r]\n");
    let expect = r#"PLAY a: a
        ns.coll.other : other: a ok "ns.coll ns.coll.other other"
        beside: a ok 1
        include_role : ns.coll.{{ item }}:
        INCLUDE ns.coll.other: a other
        ns.coll.other : other: a ok "ns.coll ns.coll.other other"
        PLAY a: a
        far.away.r : far: a ok "far.away.r""#;
    assert_lines("collections", &rig.play_file("top.yml").text(), expect);
}

#[test]
fn a_role_checks_its_arguments() {
    let rig = Rig::new();
    rig.write(
        "roles/r/meta/argument_specs.yml",
        "argument_specs:\n  main:\n    short_description: a role\n    options:\n      n: {type: int, required: true}\n      w: {choices: [a, b]}\n",
    );
    rig.write("roles/r/tasks/main.yml", "- {name: t, debug: {msg: '{{ n }}'}}\n");
    let text = rig.play("- hosts: a\n  gather_facts: false\n  roles: [{role: r, n: '1', w: a}]").text();
    assert!(text.contains("r : Validating arguments against arg spec 'main' - a role: a ok") && text.contains("r : t: a ok"), "{text}");
    let text = rig.play("- hosts: a\n  gather_facts: false\n  roles: [{role: r, w: c}]").text();
    assert!(
        text.contains("a failed 'play.yml") || text.contains("missing required arguments: n\nvalue of w must be one of: a, b, got: c"),
        "{text}"
    );
}

#[test]
fn a_role_ends_for_the_hosts_that_wish_it() {
    let rig = Rig::new();
    rig.write(
        "roles/r/tasks/main.yml",
        "- {name: one, debug: {msg: x}}
- block:
    - {meta: end_role, when: inventory_hostname == 'a'}
    - {name: two, debug: {msg: x}}
  always:
    - {name: three, debug: {msg: x}}\n",
    );
    let played = rig.play("- hosts: db\n  gather_facts: false\n  roles: [r]\n  tasks: [{name: after, debug: {msg: x}}]\n");
    let text = played.text();
    for line in ["r : one: a ok \"x\", b ok \"x\"", "r : two: b ok \"x\"", "r : three: b ok \"x\"", "after: a ok \"x\", b ok \"x\""] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert_lines("counts", &played.recap(), "a ok=2\nb ok=4");
}
