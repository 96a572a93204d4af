//! What counts as a failure, what a failure leaves behind, and conditions that a host may have written.

use crate::rig::{Rig, assert_lines};

fn one(what: &str, tasks: &str, expect: &str) {
    assert_lines(what, &Rig::new().tasks("a", tasks).text(), &format!("PLAY a: a\n{expect}"));
}

#[test]
fn a_result_that_cannot_be_judged_is_kept() {
    one(
        "failed_when",
        "- {name: t, command: 'true', failed_when: nope.x, ignore_errors: true, register: r}
- {name: s, debug: {msg: '{{ r.rc }} {{ r is failed }} {{ r.failed_when_result }} {{ r.exception is defined }}'}}",
        "t: a failed (ignored) ''\n s: a ok \"0 True Error while evaluating conditional: 'nope' is undefined True\"",
    );
    one(
        "a failure that is none",
        "- {name: t, command: 'false', failed_when: false, register: r}
- {name: s, debug: {msg: '{{ r.failed_when_suppressed_exception is defined }} {{ r.exception is defined }}'}}",
        "t: a changed\n s: a ok \"True False\"",
    );
}

#[test]
fn a_condition_that_a_template_gives_looks_nothing_up() {
    let bad = "\"lookup('pipe', 'touch {{ root }}/bad')\"";
    for (what, condition) in [("text", "'\"x\" in {{ u.msg }}'"), ("all of it", "'{{ u.msg }}'"), ("a constant", "\"{{ '1 == 1' }}\"")] {
        let rig = Rig::new();
        let tasks = format!(
            "- {{name: u, debug: {{msg: {bad}}}, register: u}}\n- {{name: t, fail: {{}}, when: {condition}, ignore_errors: true, register: r}}\n- {{name: s, debug: {{msg: '{{{{ r.msg }}}}'}}}}"
        );
        let text = rig.tasks("a", &tasks).text();
        assert!(text.contains("Encountered untrusted template or expression."), "{what}: {text}");
        assert_eq!(rig.read("bad"), None, "{what}");
    }
}

#[test]
fn debug_shows_what_is_undefined_and_fails_for_the_rest() {
    one(
        "debug",
        "- {name: t, debug: {var: nope}}\n- {name: s, debug: {var: \"'a' | nofilter\"}, ignore_errors: true, register: r}\n- {name: u, debug: {msg: '{{ r is failed }}'}}",
        "t: a ok \"<< error 1 - 'nope' is undefined >>\"\n s: a failed (ignored) 'play.yml:5:7: there is no filter 'nofilter''\n u: a ok true",
    );
}

#[test]
fn hosts_are_pardoned_where_something_is_always_done() {
    one(
        "clear_host_errors",
        "- block: [{name: t, fail: {msg: bad}}]
  always: [{name: s, debug: {msg: y}}, {meta: clear_host_errors}]
- {name: u, debug: {msg: z}}",
        "t: a failed 'bad'\n s: a ok \"y\"\n meta:\n u: a ok \"z\"",
    );
}

#[test]
fn a_task_that_may_fail_does_not_refuse_the_run() {
    one(
        "arguments that do not fit",
        "- {name: t, ping: {bogus: 1}, ignore_errors: true, register: r}\n- {name: s, debug: {msg: '{{ r is failed }}'}}",
        "t: a failed (ignored) 'play.yml:4:24: Unsupported parameters for (ping) module: bogus'\n s: a ok true",
    );
}

#[test]
fn arguments_that_a_template_gives_are_a_tasks_own() {
    one(
        "a whole mapping",
        "- {name: t, assert: '{{ item }}', args: {quiet: true}, loop: [{that: 1 == 1}, {that: [1 == 2], fail_msg: bad}], ignore_errors: true}",
        "t: a failed (ignored) [{'that': '1 == 1'} ok, {'that': ['1 == 2'], 'fail_msg': 'bad'} failed (ignored) 'bad']",
    );
}

#[test]
fn what_is_undefined_inside_of_a_list_is_not_written() {
    one(
        "a text with a list in it",
        "- {name: t, debug: {msg: \"{{ [{'key': nope}] }} x\"}, ignore_errors: true, register: r}\n- {name: s, debug: {msg: \"{{ 'is undefined' in r.msg }}\"}}",
        "t: a failed (ignored) 'play.yml:4:30: 'nope' is undefined'\n s: a ok true",
    );
}

#[test]
fn a_play_may_need_the_hosts_own_environment() {
    let rig = Rig::new();
    let play = "- hosts: a\n  gather_facts: false\n  environment: {A: '{{ ansible_env.PATH }}:/x', B: own}\n  tasks:\n  - {name: t, shell: 'echo $A $B', register: r}\n  - {name: s, debug: {msg: '{{ r.stdout }}'}}";
    let text = rig.play(play).text();
    assert!(text.contains("s: a ok \"own\""), "{text}");
}

#[test]
fn stats_are_results() {
    one(
        "set_stats",
        "- {name: t, set_stats: {data: {n: 1}, per_host: true}, register: r}\n- {name: s, debug: {msg: '{{ r.ansible_stats }}'}}\n- {name: u, set_stats: {data: [1]}, ignore_errors: true}",
        "t: a ok\n s: a ok {\"data\":{\"n\":1},\"per_host\":true,\"aggregate\":true}\n u: a failed (ignored) 'The 'data' option needs to be a dictionary/hash'",
    );
}

#[test]
fn tags_and_handlers_are_found_by_what_templates_and_roles_say() {
    let mut rig = Rig::new();
    rig.tags = pgfleet_playbook::TagSelection::new(vec!["x".to_owned()], Vec::new());
    let play = "- hosts: a\n  gather_facts: false\n  vars: {mine: [x, y]}\n  tasks:\n  - {name: t, debug: {msg: m}, tags: '{{ mine }}'}\n  - {name: s, debug: {msg: m}, tags: '{{ nope }}'}";
    assert_lines("tags", &rig.play(play).text(), "PLAY a: a\n t: a ok \"m\"");
    let rig = Rig::new();
    rig.write("roles/r/handlers/main.yml", "- {name: h, listen: topic, debug: {msg: heard}}\n");
    rig.write("roles/r/tasks/main.yml", "- {name: t, command: 'true', notify: 'r : topic'}\n");
    let text = rig.play("- hosts: a\n  gather_facts: false\n  roles: [r]").text();
    assert!(text.contains("h: a ok \"heard\""), "{text}");
}
