//! What is wrong inside playbooks: YAML, names, types, variables.

use crate::rig::Project;

#[test]
fn malformed_yaml_is_shown_where_it_stands() {
    let project = Project::new();
    for (text, parts) in [
        ("- hosts: web\n  tasks:\n    - debug: {msg: hello\n    - ping:\n", ["x.yml:4:", "the bracket on line 3 is not closed"]),
        (
            "- hosts: web\n  tasks:\n    - name: Say: hello\n      ping:\n",
            ["x.yml:3:16: malformed YAML", "a value that holds ': ' must be quoted"],
        ),
        ("- hosts: web\n  tasks:\n    - debug:\n        msg: {{ x }}\n", ["x.yml:4:15", "a value that begins with '{{' must be quoted"]),
        ("- hosts: web\n  tasks:\n\t- ping:\n", ["x.yml:3:1: a tab stands in the indentation", "3 | \u{2192}- ping:"]),
        (
            "- hosts: web\n  tasks:\n    - ping:\n      when: !nope true\n",
            ["x.yml:4:13: unknown tag '!nope'", "4 |       when: !nope true"],
        ),
        ("- hosts: 'web\n", ["x.yml:", "malformed YAML"]),
        ("hosts: web\n", ["x.yml:1:1", "list"]),
        ("", ["A playbook must contain at least one play", "x.yml"]),
        ("- hosts: web\n---\n- hosts: web\n", ["x.yml:3:1", "a second document"]),
    ] {
        project.write("x.yml", text);
        project.refuses_playbook("x.yml").tells(&parts);
    }
    std::fs::write(project.path("x.yml"), b"\xff\xfe\x00binary").expect("written");
    project.refuses_playbook("x.yml").tells(&["x.yml:1:1: the file is not UTF-8 text"]);
}

#[test]
fn all_problems_of_a_playbook_are_told_at_once() {
    let project = Project::new();
    project.write(
        "many.yml",
        "- hosts: web\n  gather_fact: false\n  tasks:\n    - tempalte: {src: a, dest: b}\n    - copy:\n        srcc: a\n        dest: /tmp/x\n    - ping:\n      whne: true\n    - file:\n        path: /tmp/x\n        state: dircetory\n    - import_tasks: absent.yml\n    - wait_for: {port: http}\n    - file: {path: /tmp/x, recurse: perhaps}\n    - debug: msg=x\n      when: \"{{ x\"\n    - import_role: {name: x}\n    - ping:\n      notify: nobody\n",
    );
    project.refuses_playbook("many.yml").problems(11).tells(&[
        "many.yml:2:3: 'gather_fact' is not a valid attribute for a Play",
        "2 |   gather_fact: false",
        "did you mean 'gather_facts'?",
        "many.yml:4:7: no module is called 'tempalte'",
        "did you mean 'template'?",
        "many.yml:6:9: Unsupported parameters for (copy) module: srcc",
        "did you mean 'src'?",
        "many.yml:9:7: 'whne' is neither a keyword of a task nor a module",
        "did you mean 'when'?",
        "many.yml:12:9: argument 'state' of module 'file': 'dircetory' is not one of",
        "did you mean 'directory'?",
        "many.yml:13:21: there is no file of tasks 'absent.yml'",
        "many.yml:14:18: argument 'port' of module 'wait_for': expected a whole number, found \"http\"",
        "many.yml:15:28: argument 'recurse' of module 'file': expected true or false, found \"perhaps\"",
        "many.yml:17:13: malformed template",
        "many.yml:18:21: there is no role 'x' in",
        "nobody",
    ]);
}

#[test]
fn keywords_with_wrong_values_are_told_in_the_order_of_the_file() {
    let project = Project::new();
    project.write(
        "types.yml",
        "- hosts: web\n  become: perhaps\n  serial: abc\n  tasks:\n    - ping:\n      retries: many\n      until: true\n    - ping:\n      loop: {a: b}\n    - ping:\n      ignore_errors: maybe\n      delegate_to: [a]\n    - ping:\n      loop: [1]\n      with_items: [2]\n    - set_fact: {a-b: 1}\n    - shell: echo 'unclosed\n    - command:\n  strategy: fast\n",
    );
    project.refuses_playbook("types.yml").problems(11).tells(&[
        "types.yml:2:11: Error processing keyword 'become': The value 'perhaps' could not be converted to 'bool'.",
        "types.yml:3:11: 'serial' takes numbers or percentages, not 'abc'",
        "types.yml:6:16: 'retries' takes a number, not 'many'",
        "types.yml:9:13: 'loop' takes a list, not a mapping",
        "types.yml:11:22: Error processing keyword 'ignore_errors': The value 'maybe' could not be converted to 'bool'.",
        "types.yml:12:20: 'delegate_to' takes text, not a list",
        "types.yml:15:7: duplicate loop in task: a task has one",
        "types.yml:16:18: 'a-b' is no name of a variable",
        "types.yml:17:14: unbalanced quotes",
        "types.yml:18:7: module 'command': one of the following is required: cmd, argv",
        "types.yml:19:13: 'strategy' is one of",
    ]);
    project.tasks("    - ping:\n      become: \"{{ x }}\"\n      ignore_errors: Yes\n      retries: '3'\n      until: x\n      environment: \"{{ e }}\"\n      delegate_to: \"{{ d }}\"\n      loop: \"{{ l }}\"\n");
    let ended = project.run(&["playbook", "play.yml", "-i", "hosts.yml", "--syntax-check"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

/// The words are those of ansible-core 2.19.14, which scripts look for.
#[test]
fn malformed_plays_are_told_in_the_words_that_scripts_look_for() {
    let project = Project::new();
    for (play, words) in [
        ("hosts: []", "Hosts list cannot be empty. Please check your playbook"),
        ("hosts: [web, null]", "Hosts list cannot contain values of 'None'. Please check your playbook"),
        ("hosts: {a: b}", "Hosts list must be a sequence or string. Please check your playbook."),
        ("hosts: [5]", "Hosts list contains an invalid host value: '5'"),
        ("tasks: []", "The field 'hosts' is required but was not set."),
        ("hosts: web\n  tasks: 123", "A malformed block was encountered while loading tasks: 123 should be a list or None"),
        ("hosts: web\n  handlers: 123", "A malformed block was encountered while loading handlers: 123 should be a list or None"),
        ("hosts: web\n  tasks: [{block: [{ping: }], rescue: abc}]", "A malformed block was encountered while loading rescue: abc"),
        ("hosts: web\n  tasks: [{always: [{ping: }]}]", "'always' keyword cannot be used without 'block'"),
        ("hosts: web\n  tasks: [{name: a}]", "no module/action detected in task."),
        ("hosts: web\n  tasks: [{ping: , command: ls}]", "conflicting action statements: ping, command"),
        ("hosts: web\n  roles: 123", "A malformed role declaration was encountered"),
        ("hosts: web\n  roles: ['foo,bar']", "Invalid old style role requirement: foo,bar"),
        ("hosts: web\n  roles: [{foo: bar}]", "role definitions must contain a role name"),
        ("hosts: web\n  vars_prompt: [{foo: bar}]", "Invalid vars_prompt data structure, missing 'name' key"),
    ] {
        project.write("x.yml", &format!("- {play}\n"));
        project.refuses_playbook("x.yml").problems(1).tells(&[words]);
    }
    project.write("x.yml", "- text\n");
    project.refuses_playbook("x.yml").tells(&["playbook entries must be either valid plays or 'import_playbook' statements"]);
}

#[test]
fn problems_of_several_files_are_told_together() {
    let project = Project::new();
    project.write("bad.ini", "[web:kids]\n");
    project.write("bad.yml", "- hosts: web\n  tasks:\n    - pnig:\n");
    project.write("extra.yml", "x: 1\ny: !nope 2\n");
    project.refuses(&["playbook", "bad.yml", "-i", "bad.ini", "-e", "@extra.yml", "-e", "nonsense"]).problems(4).tells(&[
        "bad.ini:1:1",
        "extra.yml:2:4: unknown tag '!nope'",
        "-e takes name=value, @file or a mapping, not 'nonsense'",
        "bad.yml:3:7",
        "did you mean 'ping'?",
    ]);
}

#[test]
fn keys_that_stand_twice_are_told_and_the_last_counts() {
    let project = Project::new();
    project.write(
        "twice.yml",
        "- hosts: localhost\n  gather_facts: false\n  vars: {a: 1, a: 2}\n  tasks:\n    - debug: {msg: \"is {{ a }}\"}\n",
    );
    let ended = project.run(&["playbook", "twice.yml", "-i", "hosts.yml"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("is 2"), "{}", ended.stdout);
    crate::rig::Said(ended.stderr).tells(&["twice.yml:3:16: duplicate key 'a', first on line 3; the last value counts"]);
}

#[test]
fn the_second_playbook_is_read_before_the_first_one_runs() {
    let project = Project::new();
    project.write("bad.yml", "- hosts: web\n  tasks:\n    - pnig:\n");
    project.refuses(&["playbook", "ok.yml", "bad.yml", "-i", "hosts.yml"]).tells(&["bad.yml:3:7: no module is called 'pnig'"]);
}

#[test]
fn undefined_variables_and_circles_fail_the_task_and_show_the_line() {
    let project = Project::new();
    project.write(
        "play.yml",
        "- hosts: web1\n  gather_facts: false\n  vars:\n    greeting: hello\n    a: \"{{ b }}\"\n    b: \"{{ c }}\"\n    c: \"{{ a }}\"\n  tasks:\n    - debug:\n        msg: \"{{ greting }}\"\n      ignore_errors: true\n    - debug: {msg: \"{{ a }}\"}\n      ignore_errors: true\n    - debug: {msg: \"{{ 1 / 0 }}\"}\n      ignore_errors: true\n    - fail: {msg: \"{{ nope }} hidden-word\"}\n      no_log: true\n",
    );
    let refused = project.run(&["playbook", "play.yml", "-i", "hosts.yml"]);
    assert_eq!(refused.code, 5, "{}{}", refused.stdout, refused.stderr);
    crate::rig::Said(refused.stderr).tells(&["play.yml:16:23: nothing defines the variable 'nope'", "--no-lint"]);
    let ended = project.run(&["playbook", "play.yml", "-i", "hosts.yml", "--no-lint"]);
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stdout.contains("hidden-word"), "{}", ended.stdout);
    assert!(!project.was_connected());
    crate::rig::Said(ended.stdout).tells(&[
        "'greting' is undefined",
        "at play.yml:10:14",
        "10 |         msg: \"{{ greting }}\"",
        "^",
        "hint: did you mean 'greeting'?",
        "recursive loop detected in variable 'a': a -> b -> c -> a",
        "at play.yml:",
        "division by zero",
        "the output has been hidden",
    ]);
}

#[test]
fn a_pattern_with_an_undefined_variable_is_refused() {
    let project = Project::new();
    project.write("play.yml", "- hosts: \"{{ target }}\"\n  gather_facts: false\n  tasks:\n    - ping:\n");
    project.refuses_playbook("play.yml").tells(&["play.yml:1:10: 'target' is undefined", "1 | - hosts: \"{{ target }}\""]);
}

#[test]
fn extra_variables_are_checked() {
    let project = Project::new();
    for (written, words) in [
        ("x", "-e takes name=value, @file or a mapping, not 'x'"),
        ("{a: b", "-e:"),
        ("[a, b]", "variables are a mapping, not a list"),
        ("@absent.yml", "there is no such file"),
        ("@.", "it is a folder"),
        ("a='x", "-e:"),
    ] {
        project.refuses(&["playbook", "ok.yml", "-i", "hosts.yml", "-e", written]).tells(&[words]);
    }
}

#[test]
fn roles_are_no_handlers_and_a_user_has_one_name() {
    let project = Project::new();
    project.write("role.yml", "- hosts: web\n  tasks: []\n  handlers:\n    - name: h\n      include_role: {name: r}\n");
    project.refuses_playbook("role.yml").tells(&["role.yml:5:7: Using 'include_role' as a handler is not supported."]);
    project.write("user.yml", "- hosts: web\n  user: a\n  remote_user: b\n  tasks: []\n");
    project.refuses_playbook("user.yml").tells(&["both 'user' and 'remote_user' are set for this play"]);
}
