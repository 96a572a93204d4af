//! What one task may say: conditions, loops, results, tries.

use crate::rig::{Rig, assert_lines, check_tasks};

#[test]
fn conditions_choose_hosts() {
    check_tasks(&[
        (
            "one condition",
            "- {name: t, debug: {msg: hi}, when: inventory_hostname == 'a'}",
            "PLAY db: a b\n t: a ok \"hi\", b skipped",
        ),
        ("all of a list", "- {name: t, debug: {msg: 1}, when: [true, inventory_hostname != 'a']}", "PLAY db: a b\n t: a skipped, b ok 1"),
        (
            "an undefined name in a condition is a failure with its place",
            "- {name: t, debug: {msg: 1}, when: inventory_hostnam == 'a'}\n",
            "PLAY db: a b
             t: a failed 'play.yml:4:40: 'inventory_hostnam' is undefined (did you mean 'inventory_hostname'?)', b failed 'play.yml:4:40: 'inventory_hostnam' is undefined (did you mean 'inventory_hostname'?)'
             NO HOSTS LEFT",
        ),
        (
            "a skipped task registers",
            "- {name: t, command: 'true', when: false, register: r}\n- {name: s, debug: {msg: '{{ r is skipped }} {{ r.changed }}'}}",
            "PLAY db: a b\n t: a skipped, b skipped\n s: a ok \"True False\", b ok \"True False\"",
        ),
        (
            "a condition is looked at for each item",
            "- {name: t, debug: {msg: '{{ item }}'}, loop: [1, 2], when: item > 1}",
            "PLAY db: a b\n t: a ok [1 skipped, 2 ok 2], b ok [1 skipped, 2 ok 2]",
        ),
        (
            "a loop over something undefined is no failure where a condition rules the task out",
            "- {name: t, debug: {msg: '{{ item }}'}, loop: '{{ nothing }}', when: nothing is defined}",
            "PLAY db: a b\n t: a skipped, b skipped",
        ),
    ]);
}

#[test]
fn arguments_of_a_task_win_over_those_of_a_template() {
    let tasks = "- {name: own, debug: {var: shown}, args: '{{ splat }}', vars: {splat: {var: 1 / 0, msg: '{{ omit }}'}, shown: right}}
- {name: both, debug: {msg: own}, args: '{{ splat }}', vars: {splat: {var: shown}}, ignore_errors: true}
- {name: none, debug: , args: '{{ omit }}'}
- {name: gap, debug: {var: gap}, vars: {gap: '{{ omit }}'}}
- {name: constant, debug: {var: '{{ \"shown\" }}'}, vars: {shown: 1}, ignore_errors: true}
- {name: facts, debug: {var: ansible_facts}, vars: {ansible_facts: {mine: 1}}}
- {name: after, debug: {msg: '{{ mine is defined }}'}}";
    let text = Rig::new().tasks("a", tasks).text();
    for line in [
        "own: a ok \"right\"",
        "both: a failed (ignored) 'play.yml:",
        "parameters are mutually exclusive: msg|var",
        "none: a ok \"Hello world!\"",
        "gap: a ok \"<<Omit>>\"",
        "constant: a failed (ignored)",
        "Encountered untrusted template or expression.",
        "after: a ok false",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
}

#[test]
fn texts_that_templates_write_in_loops_are_no_expressions() {
    let tasks =
        "- {name: t, assert: {that: '{{ item.x }}'}, ignore_errors: true, loop: [{x: '1 == {{ 1 }}'}, {x: 1 == 1}, {x: '{{ 1 == 1 }}'}]}";
    let text = Rig::new().tasks("a", tasks).text();
    assert!(text.contains("[{'x': '1 == 1'} failed (ignored) 'play.yml:4:7: Encountered untrusted template or expression."), "{text}");
    assert!(text.contains(", {'x': '1 == 1'} ok, {'x': True} ok]"), "{text}");
}

#[test]
fn loops_repeat_a_task() {
    let one = |what: &str, tasks: &str, expect: &str| {
        assert_lines(what, &Rig::new().tasks("a", tasks).text(), &format!("PLAY a: a\n{expect}"));
    };
    for (what, keywords, message, expect) in [
        ("loop", "loop: [x, y]", "{{ item }}", "[x ok \"x\", y ok \"y\"]"),
        ("a loop does not flatten", "loop: [[x], y]", "{{ item }}", "[['x'] ok [\"x\"], y ok \"y\"]"),
        ("with_items does", "with_items: [[x, z], y]", "{{ item }}", "[x ok \"x\", z ok \"z\", y ok \"y\"]"),
        ("with_dict", "with_dict: {k: 1}", "{{ item.key }}={{ item.value }}", "[{'key': 'k', 'value': 1} ok \"k=1\"]"),
        ("with_nested", "with_nested: [[1, 2], [3]]", "{{ item.0 }}{{ item[1] }}", "[[1, 3] ok \"13\", [2, 3] ok \"23\"]"),
        ("with_together", "with_together: [[1, 2], [3]]", "{{ item.0 }}", "[[1, 3] ok 1, [2, None] ok 2]"),
        ("with_sequence", "with_sequence: start=2 end=3", "{{ item }}", "[2 ok \"2\", 3 ok \"3\"]"),
        ("with_indexed_items", "with_indexed_items: [u]", "{{ item.0 }}", "[[0, 'u'] ok 0]"),
        ("with_subelements", "with_subelements: [[{n: a, l: [1]}], l]", "{{ item.0.n }}{{ item.1 }}", "[[{'n': 'a'}, 1] ok \"a1\"]"),
        ("loop_var and label", "loop: [{n: 1}], loop_control: {loop_var: it, label: '#{{ it.n }}'}", "{{ it.n }}", "[#1 ok 1]"),
        (
            "index_var and extended",
            "loop: [x, y], loop_control: {index_var: i, extended: true}",
            "{{ i }}{{ ansible_loop.last }}{{ ansible_loop.length }}",
            "[x ok \"0False2\", y ok \"1True2\"]",
        ),
        ("a mapping as items", "loop: '{{ {\"k\": 1} | dict2items }}'", "{{ item.key }}", "[{'key': 'k', 'value': 1} ok \"k\"]"),
    ] {
        one(what, &format!("- {{name: t, debug: {{msg: '{message}'}}, {keywords}}}"), &format!("t: a ok {expect}"));
    }
    one("no items", "- {name: t, debug: {msg: 1}, loop: []}", "t: a skipped");
    one(
        "not a list",
        "- {name: t, debug: {msg: 1}, loop: '{{ {1: 2} }}'}",
        "t: a failed 'play.yml:4:40: 'loop' needs a list, but this is a mapping (use '| dict2items' to loop over a mapping)'\n NO HOSTS LEFT",
    );
    one(
        "results are registered one by one",
        "- {name: t, shell: 'echo {{ item }}; exit {{ item - 1 }}', loop: [1, 2], register: r, ignore_errors: true}
- {name: s, debug: {msg: '{{ r.results | map(attribute=\"rc\") | list }} {{ r.results[0].stdout_lines }} {{ r.failed }} {{ r.results[1].item }}'}}",
        "t: a failed (ignored) [1 changed, 2 failed (ignored) 'non-zero return code']
         s: a ok \"[0, 1] ['1'] True 2\"",
    );
}

#[test]
fn results_are_judged() {
    check_tasks(&[
        ("changed_when", "- {name: t, command: 'true', changed_when: false}", "PLAY db: a b\n t: a ok, b ok"),
        (
            "changed_when with the result",
            "- {name: t, command: echo x, register: r, changed_when: \"'x' in r.stdout_lines\"}",
            "PLAY db: a b\n t: a changed, b changed",
        ),
        (
            "failed_when over a return code",
            "- {name: t, command: 'false', register: r, failed_when: r.rc > 1}\n- {name: s, debug: {msg: '{{ r.rc }} {{ r.failed }}'}}",
            "PLAY db: a b\n t: a changed, b changed\n s: a ok \"1 False\", b ok \"1 False\"",
        ),
        (
            "failed_when on success",
            "- {name: t, command: echo bad, register: r, failed_when: \"'bad' in r.stdout\", ignore_errors: true}",
            "PLAY db: a b\n t: a failed (ignored) '', b failed (ignored) ''",
        ),
        (
            "a failure ends the host",
            "- {name: t, fail: {msg: bad}, when: inventory_hostname == 'a'}\n- {name: s, debug: {msg: more}}",
            "PLAY db: a b\n t: a failed 'bad', b skipped\n s: b ok \"more\"",
        ),
        (
            "assert tells what did not hold",
            "- {name: t, assert: {that: [true, 1 > 2], fail_msg: 'no {{ inventory_hostname }}'}, ignore_errors: true}",
            "PLAY db: a b\n t: a failed (ignored) 'no a', b failed (ignored) 'no b'",
        ),
        (
            "debug of a variable, also of one that is not there",
            "- {name: t, debug: {var: x.y}, vars: {x: {y: [1]}}}\n- {name: s, debug: {var: nothing}}",
            "PLAY db: a b\n t: a ok [1], b ok [1]
             s: a ok \"<< error 1 - 'nothing' is undefined >>\", b ok \"<< error 1 - 'nothing' is undefined >>\"",
        ),
        ("debug above the verbosity", "- {name: t, debug: {msg: 1, verbosity: 1}}", "PLAY db: a b\n t: a skipped, b skipped"),
        ("pause", "- {name: t, pause: {seconds: 0.05}}", "PLAY db: a b\n t: a ok"),
    ]);
}

#[test]
fn a_task_is_tried_until_it_succeeds() {
    let rig = Rig::new();
    let played = rig.tasks(
        "a",
        "- {name: t, shell: 'echo x >> {{ dir }}/f; wc -l < {{ dir }}/f', register: r, until: r.stdout | trim | int == 3, retries: 4, delay: 0}
- {name: s, debug: {msg: '{{ r.attempts }}'}}
- {name: u, command: 'false', retries: 1, delay: 0, register: r, ignore_errors: true}
- {name: v, debug: {msg: '{{ r.attempts }} {{ r.rc }}'}}
- {name: w, command: 'true', register: r, until: r.rc == 5, retries: 2, delay: 0}",
    );
    let expect = "PLAY a: a
        t: a changed [4 left, 3 left]
        s: a ok 3
        u: a failed (ignored) 'non-zero return code' [1 left]
        v: a ok \"1 1\"
        w: a failed '' [2 left, 1 left]
        NO HOSTS LEFT";
    assert_lines("tries", &played.text(), expect);
    assert_lines("counts", &played.recap(), "a ok=4 changed=2 failed=1 ignored=1");
}

#[test]
fn what_counts_as_a_failure_may_ask_which_try_it_is() {
    let task = "until: 1 == 0, register: r, retries: 2, delay: 0";
    check_tasks(&[
        (
            "what failed_when calls no failure is none, however often it was tried",
            &format!("- {{name: t, command: 'true', {task}, failed_when: r.attempts > 6}}"),
            "PLAY db: a b\n t: a changed [2 left, 1 left], b changed [2 left, 1 left]",
        ),
        (
            "the third try fails",
            &format!("- {{name: t, command: 'true', {task}, failed_when: r.attempts == 3, ignore_errors: true}}"),
            "PLAY db: a b\n t: a failed (ignored) '' [2 left, 1 left], b failed (ignored) '' [2 left, 1 left]",
        ),
    ]);
}

#[test]
fn a_task_may_take_only_so_long() {
    let rig = Rig::new();
    let played = rig.tasks(
        "a",
        "- {name: t, command: sleep 30, timeout: 1, register: r, ignore_errors: true}
- {name: s, command: echo on, register: r}
- {name: u, debug: {msg: '{{ r.stdout }}'}}",
    );
    let expect = "PLAY a: a
        t: a failed (ignored) 'Task failed: Timed out after 1 second(s).'
        s: a changed
        u: a ok \"on\"";
    assert_lines("limit", &played.text(), expect);
}

#[test]
fn undefined_variables_say_where_they_stand() {
    let rig = Rig::new();
    rig.write("group_vars/all.yml", "listen: '{{ adress }}:1'\naddress: 1.2.3.4\n");
    let played = rig.tasks("a", "- name: t\n  copy:\n    dest: '{{ dir }}/x'\n    content: '{{ listen }}'");
    let text = played.text();
    assert!(text.contains("'adress' is undefined"), "{text}");
    assert!(text.contains("while resolving variable 'listen'"), "{text}");
    assert!(text.contains("did you mean 'address'?"), "{text}");
    assert!(text.contains("group_vars/all.yml:1:"), "{text}");
}
