//! Several hosts: delegation, batches, once for all, fatal errors.

use crate::rig::{Rig, assert_lines};

fn check(what: &str, playbook: &str, expect: &str) {
    assert_lines(what, &Rig::new().play(playbook).text(), expect);
}

#[test]
fn work_can_be_done_elsewhere() {
    let rig = Rig::new();
    let played = rig.tasks(
        "a",
        "- {name: t, copy: {content: '{{ inventory_hostname }}', dest: '{{ root }}/out'}, delegate_to: c, register: r}
- {name: f, set_fact: {x: 1}, delegate_to: c, delegate_facts: true}
- {name: s, debug: {msg: '{{ hostvars.c.x }} {{ x is defined }} {{ r is changed }}'}}
- {name: u, command: 'true', delegate_to: localhost, become: true, become_user: postgres}
- {name: v, command: 'true', delegate_to: bb}",
    );
    let expect = "PLAY a: a
        t: a -> c changed
        f: a -> c ok
        s: a ok \"1 False True\"
        u: a -> localhost changed
        v: a -> bb changed";
    assert_lines("delegated", &played.text(), expect);
    assert_eq!(rig.read("out").as_deref(), Some("a"));
    let contacts = rig.fleet.contacts.lock().expect("contacts");
    assert_eq!(contacts.iter().map(|(contact, _)| contact.host.as_str()).collect::<Vec<_>>(), ["c", "localhost", "bb"]);
    let local = &contacts[1].0;
    assert_eq!(local.variables["ansible_connection"], "local");
    assert_eq!(local.r#become.as_ref().map(|wanted| (wanted.user.as_str(), wanted.method.as_str())), Some(("postgres", "sudo")));
}

#[test]
fn connection_variables_reach_the_fleet() {
    let rig = Rig::new();
    rig.write("host_vars/a.yml", "ansible_host: 10.0.0.1\nansible_ssh_user: admin\nansible_become_password: pw\n");
    rig.play(
        "- hosts: db
  gather_facts: false
  become: true
  remote_user: deploy
  port: 2222
  tasks: [{ping: }]
",
    );
    let contacts = rig.fleet.contacts.lock().expect("contacts");
    let of = |host: &str| contacts.iter().find(|(contact, _)| contact.host == host).expect("a contact").0.clone();
    let (a, b) = (of("a"), of("b"));
    assert_eq!((a.variables["ansible_host"].as_str(), a.variables["ansible_user"].as_str()), (Some("10.0.0.1"), Some("admin")));
    assert_eq!((b.variables["ansible_user"].as_str(), b.variables["ansible_port"].as_u64()), (Some("deploy"), Some(2222)));
    let password = a.r#become.as_ref().and_then(|wanted| wanted.password.as_ref()).map(|secret| secret.reveal().to_owned());
    assert_eq!((password.as_deref(), a.r#become.map(|wanted| wanted.user)), (Some("pw"), Some("root".to_owned())));
}

#[test]
fn once_for_all() {
    check(
        "run_once",
        "- hosts: all
  gather_facts: false
  tasks:
    - {name: t, command: echo x, register: r, run_once: true}
    - {name: f, set_fact: {y: 1}, run_once: true}
    - {name: s, debug: {msg: '{{ r.stdout }}{{ y }}'}}
    - {name: u, fail: {msg: bad}, run_once: true}
    - {name: v, debug: {msg: never}}
",
        "PLAY all: a b c
         t: a changed
         f: a ok
         s: a ok \"x1\", b ok \"x1\", c ok \"x1\"
         u: a failed 'bad'
         NO HOSTS LEFT",
    );
}

#[test]
fn batches_run_one_after_the_other() {
    check(
        "serial",
        "- hosts: all
  gather_facts: false
  serial: [1, 100%]
  tasks:
    - {name: t, command: 'true', notify: h}
    - {name: u, debug: {var: ansible_play_batch}, run_once: true}
  handlers: [{name: h, debug: {msg: h}}]
",
        "PLAY all: a
         t: a changed
         u: a ok [\"a\"]
         HANDLER h: a ok \"h\"
         PLAY all: b c
         t: b changed, c changed
         u: b ok [\"b\",\"c\"]
         HANDLER h: b ok \"h\", c ok \"h\"",
    );
    check(
        "a batch that fails as a whole ends the run",
        "- hosts: all
  gather_facts: false
  serial: 1
  tasks: [{name: t, fail: {msg: x}, when: inventory_hostname == 'b'}]
- hosts: all
  gather_facts: false
  tasks: [{name: u, debug: {msg: x}}]
",
        "PLAY all: a\n t: a skipped\n PLAY all: b\n t: b failed 'x'\n NO HOSTS LEFT",
    );
}

#[test]
fn failed_hosts_stay_out_of_later_plays() {
    check(
        "later plays",
        "- {hosts: all, gather_facts: false, tasks: [{name: t, fail: {msg: x}, when: inventory_hostname == 'b'}]}
- {hosts: b, gather_facts: false, tasks: [{name: u, debug: {msg: x}}]}
- {hosts: db, gather_facts: false, tasks: [{name: v, debug: {msg: x}}]}
",
        "PLAY all: a b c
         t: a skipped, b failed 'x', c skipped
         PLAY b: no hosts
         PLAY db: a
         v: a ok \"x\"",
    );
}

#[test]
fn errors_may_end_the_play_for_all() {
    let playbook = |keyword: &str| {
        format!(
            "- hosts: all
  gather_facts: false
  {keyword}
  tasks:
    - {{name: t, fail: {{msg: x}}, when: inventory_hostname == 'b'}}
    - {{name: u, debug: {{msg: more}}}}
- {{hosts: c, gather_facts: false, tasks: [{{name: v, debug: {{msg: c}}}}]}}
"
        )
    };
    let begin = "PLAY all: a b c\n t: a skipped, b failed 'x', c skipped\n";
    let on = "u: a ok \"more\", c ok \"more\"\n PLAY c: c\n v: c ok \"c\"";
    check("any_errors_fatal", &playbook("any_errors_fatal: true"), &format!("{begin} NO HOSTS LEFT"));
    check("too many", &playbook("max_fail_percentage: 30"), &format!("{begin} NO HOSTS LEFT"));
    check("not too many", &playbook("max_fail_percentage: 34"), &format!("{begin} {on}"));
    check("neither", &playbook("order: inventory"), &format!("{begin} {on}"));
    check(
        "a rescue counts before the limit does",
        "- hosts: all
  gather_facts: false
  max_fail_percentage: 0
  tasks:
    - block: [{name: t, fail: {msg: x}, when: inventory_hostname == 'b'}]
      rescue: [{name: r, debug: {msg: saved}}]
    - {name: u, debug: {msg: more}}
",
        "PLAY all: a b c\n t: a skipped, b failed 'x', c skipped\n r: b ok \"saved\"\n u: a ok \"more\", b ok \"more\", c ok \"more\"",
    );
}

#[test]
fn meta_ends_hosts_and_plays() {
    check(
        "end_host",
        "- hosts: all
  gather_facts: false
  tasks: [{name: m, meta: end_host, when: inventory_hostname == 'b'}, {name: t, debug: {msg: x}}]
- {hosts: b, gather_facts: false, tasks: [{name: u, debug: {msg: x}}]}
",
        "PLAY all: a b c\n m: a skipped, c skipped\n t: a ok \"x\", c ok \"x\"\n PLAY b: b\n u: b ok \"x\"",
    );
    check(
        "end_play",
        "- hosts: db
  gather_facts: false
  tasks: [{name: t, debug: {msg: x}}, {name: m, meta: end_play}, {name: u, debug: {msg: x}}]
- {hosts: b, gather_facts: false, tasks: [{name: v, debug: {msg: x}}]}
",
        "PLAY db: a b\n t: a ok \"x\", b ok \"x\"\n m:\n PLAY b: b\n v: b ok \"x\"",
    );
}

#[test]
fn hosts_are_limited_and_ordered() {
    let mut rig = Rig::new();
    rig.limit = Some("b,c".to_owned());
    let played =
        rig.play("- {hosts: all, order: reverse_inventory, gather_facts: false, tasks: [{name: t, ping: }]}\n- {hosts: a, tasks: []}\n");
    assert_lines("limit", &played.text(), "PLAY all: c b\n t: b ok, c ok\n PLAY a: no hosts");
}
