//! Calls sent ahead: fewer round trips when nothing is to be done, and the very same results otherwise.

use crate::rig::Rig;

/// How often each host was asked since the last time.
fn asked(rig: &Rig) -> Vec<(String, usize)> {
    let contacts = std::mem::take(&mut *rig.fleet.contacts.lock().expect("contacts"));
    let mut counts = std::collections::BTreeMap::new();
    contacts.into_iter().for_each(|(contact, _)| *counts.entry(contact.host).or_default() += 1);
    counts.into_iter().collect()
}

fn times(a: usize, b: usize) -> Vec<(String, usize)> {
    vec![("a".to_owned(), a), ("b".to_owned(), b)]
}

const TASKS: &str = "- copy: {content: 'one', dest: '{{ dir }}/one'}
- file: {path: '{{ dir }}/folder', state: directory}
- lineinfile: {path: '{{ dir }}/one', line: one}
- debug: {msg: hello}
- template: {src: t.j2, dest: '{{ dir }}/two'}
  when: wanted is not defined
- stat: {path: '{{ dir }}/two'}
  register: found
- file: {path: '{{ dir }}/three', state: absent}
  when: found.stat.exists
";

#[test]
fn a_run_without_changes_takes_two_round_trips_a_host() {
    let rig = Rig::new();
    rig.write("t.j2", "{{ inventory_hostname }}\n");
    assert_eq!(rig.tasks("db", TASKS).recap().matches("changed=3").count(), 2);
    assert_eq!(asked(&rig), times(6, 6), "what changes something is asked for one by one");
    let played = rig.tasks("db", TASKS);
    assert_eq!(played.recap(), "a ok=7\nb ok=7");
    assert_eq!(asked(&rig), times(2, 2), "the last condition is known only when the file was looked at");
}

#[test]
fn the_ends_of_blocks_and_of_included_files_are_no_border() {
    let rig = Rig::new();
    rig.write("more.yml", "- copy: {content: 'two', dest: '{{ dir }}/two'}\n");
    let tasks = "- block:
    - copy: {content: 'one', dest: '{{ dir }}/one'}
  rescue:
    - stat: {path: /nowhere}
  always:
    - file: {path: '{{ dir }}/folder', state: directory}
- file: {path: '{{ dir }}/folder', mode: '0755'}
- include_tasks: more.yml
- stat: {path: '{{ dir }}/one'}
";
    assert_eq!(rig.tasks("db", tasks).recap(), "a ok=6 changed=3\nb ok=6 changed=3");
    asked(&rig);
    assert_eq!(rig.tasks("db", tasks).recap(), "a ok=6\nb ok=6");
    assert_eq!(asked(&rig), times(2, 2), "before the include, and from its file on");
}

#[test]
fn programs_that_only_read_are_run_ahead() {
    let rig = Rig::new();
    rig.write("a/x", "1");
    let check = |more: &str| format!("- command: test -f {{{{ dir }}}}/x{more}\n  changed_when: false\n");
    let tasks = format!("- stat: {{path: '{{{{ dir }}}}'}}\n{}- command: cat {{{{ dir }}}}/x\n  register: said\n", check("").repeat(9));
    assert_eq!(rig.tasks("a", &format!("{tasks}- assert: {{that: said.stdout == '1'}}\n")).recap(), "a ok=12 changed=1");
    assert_eq!(asked(&rig), [("a".to_owned(), 1)]);
    // One that fails is run when it is its turn, and what follows it not before.
    let played = rig.tasks("a", &format!("{}{}  ignore_errors: true\n{}", check(""), check("y"), check("").repeat(3)));
    assert_eq!(played.recap(), "a ok=5 ignored=1");
    assert_eq!(asked(&rig), [("a".to_owned(), 2)]);
}

#[test]
fn nothing_is_believed_after_an_effect_anywhere() {
    let rig = Rig::new();
    rig.write("t.j2", "{{ inventory_hostname }}\n");
    rig.tasks("db", TASKS);
    asked(&rig);
    // What `b` does to the folder of `a` comes after `a` was looked at, and before the turn of the task.
    let tasks = "- copy: {content: 'one', dest: '{{ dir }}/one'}
- command: rm -f {{ root }}/a/two
  when: inventory_hostname == 'b'
- template: {src: t.j2, dest: '{{ dir }}/two'}
";
    let played = rig.tasks("db", tasks);
    assert!(played.recap().contains("a ok=2 changed=1"), "{}", played.recap());
    assert_eq!(rig.read("a/two").as_deref(), Some("a\n"));
}

#[test]
fn a_call_that_turns_out_otherwise_is_asked_for_again() {
    let rig = Rig::new();
    let tasks = "- stat: {path: '{{ dir }}'}
  register: found
- copy: {content: \"{{ found.stat.isdir | default('unknown') }}\", dest: '{{ dir }}/kind'}
- stat: {path: '{{ dir }}/kind'}
  register: found
- copy: {content: '{{ found.stat.size }}', dest: '{{ dir }}/size'}
";
    rig.write("a/kind", "unknown");
    let played = rig.tasks("a", tasks);
    assert!(played.recap().contains("changed=2"), "{}", played.recap());
    assert_eq!((rig.read("a/kind").as_deref(), rig.read("a/size").as_deref()), (Some("True"), Some("4")));
}

#[test]
fn a_lookup_with_effects_is_done_once_and_not_before_its_time() {
    let rig = Rig::new();
    let tasks = "- copy: {content: 'one', dest: '{{ dir }}/one'}
- copy: {content: \"{{ lookup('pipe', 'echo x >> ' ~ root ~ '/log; wc -l < ' ~ root ~ '/log') }}\", dest: '{{ dir }}/two'}
- stat: {path: '{{ dir }}/one'}
  when: lookup('pipe', 'echo y >> ' ~ root ~ '/log', errors='ignore') != 'never'
";
    rig.write("a/one", "one");
    let played = rig.tasks("a", tasks);
    assert_eq!(played.recap(), "a ok=3 changed=1");
    assert_eq!((rig.read("a/two").as_deref(), rig.read("log").as_deref()), (Some("1"), Some("x\ny\n")));
}

#[test]
fn what_depends_on_a_change_is_asked_with_the_one_before_it() {
    let rig = Rig::new();
    let tasks = |content: &str| {
        format!(
            "- copy: {{content: '{content}', dest: '{{{{ dir }}}}/one'}}
  register: kept
- file: {{path: '{{{{ dir }}}}/folder', state: \"{{{{ 'absent' if kept is changed else 'directory' }}}}\"}}
- stat: {{path: '{{{{ dir }}}}/one'}}
  run_once: true
- lineinfile: {{path: '{{{{ dir }}}}/one', line: '{content}'}}
"
        )
    };
    assert_eq!(rig.tasks("db", &tasks("old")).recap(), "a ok=4 changed=1\nb ok=3 changed=1");
    assert_eq!(rig.tasks("db", &tasks("old")).recap(), "a ok=4 changed=1\nb ok=3 changed=1", "now the folder is made");
    asked(&rig);
    assert_eq!(rig.tasks("db", &tasks("old")).recap(), "a ok=4\nb ok=3");
    assert_eq!(asked(&rig), times(1, 1), "nothing has changed, as supposed");
    assert_eq!(rig.tasks("db", &tasks("new")).recap(), "a ok=4 changed=2\nb ok=3 changed=2", "the folder is taken away");
}

#[test]
fn hosts_are_left_after_the_only_task() {
    let rig = Rig::new();
    let left = |tasks: &str| {
        rig.tasks("db", tasks);
        let mut left = std::mem::take(&mut *rig.fleet.left.lock().expect("names"));
        left.sort();
        left
    };
    assert_eq!(left("- ping:\n"), ["a", "b"]);
    assert!(left("- ping:\n- ping:\n").is_empty());
    assert!(left("- ping:\n  delegate_to: a\n").is_empty(), "another host is at work there");
}
