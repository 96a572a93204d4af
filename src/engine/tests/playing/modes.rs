//! Tags, check mode, differences, and what is never shown.

use pgfleet_engine::{Event, Habits};
use pgfleet_playbook::TagSelection;
use pgfleet_protocol::Secret;
use serde_json::json;

use crate::rig::{Rig, assert_lines};

#[test]
fn tags_choose_tasks() {
    let tasks = "- {name: x, debug: {msg: 1}, tags: x}
- {name: plain, debug: {msg: 1}}
- {name: always, debug: {msg: 1}, tags: always}
- {name: never, debug: {msg: 1}, tags: [never, x2]}
- tags: x
  block: [{name: in block, debug: {msg: 1}, tags: y}]";
    for (only, skip, expect) in [
        ("", "", "x plain always in_block"),
        ("x", "", "x always in_block"),
        ("y", "", "always in_block"),
        ("x2", "", "always never"),
        ("", "x", "plain always"),
        ("untagged", "", "plain always"),
        ("tagged", "", "x always in_block"),
        ("x", "y", "x always"),
    ] {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let rig = Rig { tags: TagSelection::new(list(only), list(skip)), ..Rig::new() };
        let played = rig.tasks("a", tasks);
        let names = played.events.iter().filter_map(|event| match event {
            Event::TaskStarted { name, .. } => Some(name.replace(' ', "_")),
            _ => None,
        });
        assert_eq!(names.collect::<Vec<_>>().join(" "), expect, "--tags {only:?} --skip-tags {skip:?}");
    }
}

const CHANGES: &str = "- {name: copy, copy: {content: 'x', dest: '{{ dir }}/copied'}}
- {name: template, template: {src: t.j2, dest: '{{ dir }}/rendered'}}
- {name: file, file: {path: '{{ dir }}/folder', state: directory}}
- {name: line, lineinfile: {path: '{{ dir }}/lines', line: new, create: true}}
- {name: command, command: 'touch {{ dir }}/touched'}
- {name: really, command: 'touch {{ dir }}/really', check_mode: false}
- {name: mode, debug: {msg: '{{ ansible_check_mode }}'}}
";

#[test]
fn a_check_changes_nothing() {
    let rig = Rig::check();
    rig.write("templates/t.j2", "t");
    let played = rig.tasks("a", CHANGES);
    let expect = "PLAY a: a
        copy: a changed
        template: a changed
        file: a changed
        line: a changed
        command: a skipped
        really: a changed
        mode: a ok true";
    assert_lines("check", &played.text(), expect);
    let left: Vec<_> = std::fs::read_dir(rig.path("a")).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left, ["really"]);
    let rig = Rig::new();
    rig.write("templates/t.j2", "t");
    rig.tasks("a", CHANGES);
    assert_lines(
        "second run",
        &rig.tasks("a", &CHANGES.lines().take(4).collect::<Vec<_>>().join("\n")).text(),
        "PLAY a: a\n copy: a ok\n template: a ok\n file: a ok\n line: a ok",
    );
}

#[test]
fn sums_are_made_where_a_result_is_kept() {
    let tasks = "- {name: t, copy: {content: x, dest: '{{ dir }}/one'}}\n- {name: u, copy: {content: x, dest: '{{ dir }}/two'}, register: r}\n\
                 - {name: v, debug: {msg: '{{ r.md5sum }}'}}";
    let sums = |habits: Habits| {
        let played = Rig { habits, ..Rig::new() }.tasks("a", tasks);
        played.journal().matches("\"md5sum\"").count()
    };
    assert_eq!(sums(Habits::default()), 2);
    assert_eq!(sums(Habits { brief: true, ..Habits::default() }), 1);
}

#[test]
fn differences_are_told_when_asked_for() {
    let rig = Rig { diff: true, ..Rig::new() };
    rig.write("a/f", "old\n");
    let tasks = "- {name: t, copy: {content: \"new\\n\", dest: '{{ dir }}/f'}, CLAUSE}";
    let diffs = |clause: &str, rig: &Rig| {
        let played = rig.tasks("a", &tasks.replace("CLAUSE", clause));
        let diff = played.events.iter().find_map(|event| match event {
            Event::HostDone { result, .. } => Some(result.diff.iter().map(|diff| (diff.before.clone(), diff.after.clone())).collect()),
            _ => None,
        });
        let diff: Vec<(String, String)> = diff.expect("a result");
        diff
    };
    let shown = vec![("old\n".to_owned(), "new\n".to_owned())];
    assert_eq!(diffs("check_mode: true", &rig), shown);
    assert_eq!(diffs("check_mode: true, diff: false", &rig), []);
    assert_eq!(diffs("check_mode: true, no_log: true", &rig), []);
    assert_eq!(diffs("register: r", &rig), shown);
    assert_eq!(rig.read("a/f").as_deref(), Some("new\n"));
}

/// The shapes are those of ansible-core 2.19.14.
#[test]
fn differences_are_registered_in_the_shape_that_playbooks_expect() {
    let rig = Rig { diff: true, ..Rig::new() };
    rig.write("a/f", "old\n");
    let played = rig.tasks(
        "a",
        "- {file: {path: '{{ dir }}/f', mode: '0600'}, register: attributes}
- {file: {path: '{{ dir }}/f', mode: '0640'}, register: attributes}
- {copy: {content: \"new\\n\", dest: '{{ dir }}/f'}, register: list}
- {copy: {content: \"new\\n\", dest: '{{ dir }}/f', mode: '0600'}, register: alone}
- {replace: {path: '{{ dir }}/f', regexp: new, replace: newer}, register: one}
- name: t
  debug: {msg: \"{{ attributes.diff.before.mode }} {{ attributes.diff.after.mode }} {{ attributes.diff.after.path | basename }} {{ list.diff[0].after | trim }} {{ alone.diff.after.mode }} {{ one.diff.after | trim }}\"}",
    );
    assert!(played.text().contains("t: a ok \"0600 0640 f new 0600 newer\""), "{}", played.text());
}

#[test]
fn no_log_hides_results_items_failures_and_tries() {
    let rig = Rig { diff: true, ..Rig::new() };
    let played = rig.tasks(
        "a",
        "- {name: t, command: echo hush1, no_log: true, register: r}
- {name: loop, command: 'echo {{ item }}', loop: [hush2], no_log: true}
- {name: fails, command: 'ls /hush3', no_log: true, ignore_errors: true}
- {name: tries, command: 'ls /hush4', no_log: true, ignore_errors: true, retries: 1, delay: 0}
- {name: undefined, command: '{{ hush5 }}', no_log: true, ignore_errors: true}
- {name: use, debug: {msg: '{{ r.stdout | length }}'}}
- {name: template, copy: {content: hush6, dest: '{{ dir }}/f'}, no_log: '{{ 1 == 1 }}'}
- {name: broken, command: echo hush7, no_log: '{{ missing_switch }}'}",
    );
    let journal = played.journal();
    assert!(!journal.contains("hush"), "{}", journal.lines().filter(|line| line.contains("hush")).collect::<Vec<_>>().join("\n"));
    assert!(journal.contains("the output has been hidden"), "{journal}");
    assert!(played.text().contains("use: a ok 5"), "{}", played.text());
}

#[test]
fn secrets_are_masked_everywhere() {
    let mut rig = Rig { diff: true, secrets: vec![Secret::new("opensesame")], ..Rig::new() };
    rig.extra = vec![("password".to_owned(), json!("opensesame"))];
    let played = rig.tasks(
        "a",
        "- {name: 't {{ password }}', command: 'echo {{ password }}'}
- {name: u, debug: {msg: {deep: ['x{{ password }}y']}}}
- {name: v, copy: {content: '{{ password }}', dest: '{{ dir }}/f'}}
- {name: w, debug: {msg: 1}, loop: ['{{ password }}'], loop_control: {label: 'l {{ password }}'}}
- {name: x, fail: {msg: 'no {{ password }}'}, ignore_errors: true}
- {name: y, command: 'ls /{{ password }}', ignore_errors: true, retries: 1, delay: 0}
- {name: z, include_tasks: '{{ password }}.yml'}",
    );
    let journal = played.journal();
    assert!(
        !journal.contains("opensesame"),
        "{}",
        journal.lines().filter(|line| line.contains("opensesame")).collect::<Vec<_>>().join("\n")
    );
    assert!(journal.contains("x********y"), "{journal}");
    assert_eq!(rig.read("a/f").as_deref(), Some("opensesame"));
}
