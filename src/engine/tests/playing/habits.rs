//! Habits of playbooks that Ansible's own integration targets look at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pgfleet_engine::{FactCache, Gathering};
use pgfleet_protocol::Map;

use crate::rig::{Rig, assert_lines, check_tasks};

#[test]
fn the_name_of_a_module_may_be_a_template() {
    check_tasks(&[
        (
            "with its arguments behind it",
            "- {set_fact: {chosen: debug}}\n- {name: t, action: \"{{ chosen }} msg='hi there'\"}",
            "PLAY db: a b\n set_fact: a ok, b ok\n t: a ok \"hi there\", b ok \"hi there\"",
        ),
        (
            "another one for each host",
            "- name: t\n  action: {module: \"{{ 'debug' if inventory_hostname == 'a' else 'assert' }}\", that: true}\n  ignore_errors: true\n  register: r\n- {name: u, debug: {msg: '{{ r is failed }}'}}",
            "PLAY db: a b
             t: a failed (ignored) 'play.yml:5:84: Unsupported parameters for (debug) module: that', b ok \"All assertions passed\"
             u: a ok true, b ok false",
        ),
        (
            "one that does not exist fails its task",
            "- {name: t, local_action: \"{{ 'no_such' }} x=1\", ignore_errors: true}",
            "PLAY db: a b
             t: a failed (ignored) 'play.yml:4:17: no module is called 'no_such'', b failed (ignored) 'play.yml:4:17: no module is called 'no_such''",
        ),
    ]);
}

#[test]
fn tasks_see_how_their_host_is_reached() {
    let show = "{{ ansible_host }} {{ ansible_connection }} {{ hostvars[inventory_hostname].ansible_host | default('unsaid') }}";
    let tasks = format!("- {{name: t, debug: {{msg: \"{show}\"}}}}\n- {{name: u, debug: {{msg: \"{show}\"}}, connection: local}}");
    let rig = Rig::new();
    rig.write("host_vars/b.yml", "ansible_ssh_host: 10.0.0.2\n");
    assert_lines(
        "assumed",
        &rig.tasks("db", &tasks).text(),
        "PLAY db: a b
         t: a ok \"a ssh unsaid\", b ok \"10.0.0.2 ssh unsaid\"
         u: a ok \"a local unsaid\", b ok \"10.0.0.2 local unsaid\"",
    );
}

#[test]
fn unsafe_text_is_no_expression() {
    let refused = "failed (ignored) 'play.yml:4:7: Encountered untrusted template or expression.'";
    for (what, task) in [
        ("a condition", "{name: t, debug: , when: !unsafe 1 == 1, ignore_errors: true}"),
        ("a variable's name", "{name: t, debug: {var: !unsafe inventory_hostname}, ignore_errors: true}"),
        ("in a list", "{name: t, assert: {that: '{{ all }}'}, vars: {all: [true, !unsafe 1 == 1]}, ignore_errors: true}"),
    ] {
        let text = Rig::new().tasks("a", &format!("- {task}")).text();
        assert!(
            text.contains("Encountered untrusted template or expression.") && text.contains("failed (ignored)"),
            "{what}: {text}{refused}"
        );
    }
}

#[test]
fn a_loop_of_an_include_may_name_its_variable_by_a_template() {
    let rig = Rig::new();
    rig.write("show.yml", "- {name: t, debug: {msg: '{{ chosen }}'}}\n");
    let text =
        rig.tasks("a", "- {include_tasks: show.yml, loop: [1], loop_control: {loop_var: '{{ name }}'}, vars: {name: chosen}}").text();
    assert!(text.contains("t: a ok 1"), "{text}");
}

#[test]
fn of_handlers_with_one_name_the_first_of_the_last_list_runs() {
    let rig = Rig::new();
    rig.write("roles/r/handlers/main.yml", "- {name: twice, debug: {msg: role's}}\n- {name: twice, debug: {msg: role's second}}\n");
    rig.write("roles/r/tasks/main.yml", "- {name: t, command: 'true', notify: [twice, own]}\n");
    let play = "- hosts: a\n  gather_facts: false\n  roles: [r]\n  handlers:\n    - {name: twice, debug: {msg: play's}}\n    - {name: own, debug: {msg: 1}}\n    - {name: own, debug: {msg: 2}}\n";
    assert_lines("handlers", &rig.play(play).text(), "PLAY a: a\n r : t: a changed\n HANDLER twice: a ok \"play's\"\n HANDLER own: a ok 1");
}

#[test]
fn a_script_is_skipped_in_a_check() {
    let rig = Rig::check();
    rig.write("files/s.sh", "#!/bin/sh\n");
    let text = rig.tasks("a", "- {name: t, script: s.sh}\n- {name: u, script: s.sh, args: {creates: /nowhere/at/all}}").text();
    assert_lines("script", &text, "PLAY a: a\n t: a skipped\n u: a changed");
}

#[test]
fn a_wrong_value_of_a_keyword_fails_its_task_alone() {
    let text =
        Rig::new().tasks("a", "- {name: t, debug: {msg: 1}, diff: 'yes.', ignore_errors: true}\n- {name: u, debug: {msg: 2}}").text();
    assert!(text.contains("The value 'yes.' could not be converted to 'bool'") && text.contains("u: a ok 2"), "{text}");
}

#[test]
fn a_role_says_what_is_wrong_with_its_arguments() {
    let rig = Rig::new();
    rig.write(
        "roles/r/meta/argument_specs.yml",
        "argument_specs: {main: {options: {n: {type: int, required: true}, l: {type: list, elements: int}, d: {type: dict, options: {x: {type: bool, required: true}}}}}}\n",
    );
    rig.write("roles/r/tasks/main.yml", "- {name: never, debug: }\n");
    let tasks = "- block: [{include_role: {name: r}, vars: {n: null, l: [1, u], d: {y: 1}}}]
  rescue:
    - {name: t, debug: {msg: '{{ ansible_failed_result.argument_errors }}'}}
    - {name: u, debug: {msg: '{{ ansible_failed_result.validate_args_context.name }} {{ ansible_failed_result.argument_spec_data.n.type }}'}}";
    let text = rig.tasks("a", tasks).text();
    for expect in [
        "argument 'n' is of type NoneType and we were unable to convert to int: \\\"None\\\" cannot be converted to an int",
        "Elements value for option 'l' is of type str and we were unable to convert to int",
        "missing required arguments: x found in d",
        "d.y. Supported parameters include: x.",
        "u: a ok \"r int\"",
    ] {
        assert!(text.contains(expect), "{expect}\n{text}");
    }
}

#[test]
fn assemble_puts_fragments_of_the_controller_together() {
    let rig = Rig::new();
    rig.write("files/parts/b", "b\n");
    rig.write("files/parts/a", "a");
    rig.write("files/parts/.c", "c\n");
    let dest = rig.path("whole");
    let task = format!(
        "{{name: t, assemble: {{src: parts, dest: '{}', remote_src: false, ignore_hidden: true, delimiter: '--'}}}}",
        dest.display()
    );
    let text = rig.tasks("a", &format!("- {task}\n- {task}")).text();
    assert_lines("assemble", &text, "PLAY a: a\n t: a changed\n t: a ok");
    assert_eq!(rig.read("whole").as_deref(), Some("a\n--\nb\n"));
}

#[test]
fn errors_that_a_task_cleared_count_no_more() {
    let tasks = "- block: [{name: t, fail: , when: inventory_hostname == 'a'}]\n  always: [{meta: clear_host_errors}]\n- {name: u, debug: {msg: 1}}";
    let played = Rig::new().tasks("db", tasks);
    assert!(played.text().contains("u: a ok 1, b ok 1"), "{}", played.text());
    assert_eq!(played.finished.expect("ends").failed_hosts().count(), 0);
}

#[test]
fn names_that_the_language_uses_are_told_once_where_that_is_wished() {
    let tasks = "- {name: t, set_fact: {lookup: 1}}\n- {name: u, debug: {msg: 1}, vars: {port: 2, query: 3}}\n- {name: v, debug: {msg: 1}, vars: {port: 2}}";
    for (wished, expect) in [(false, 0), (true, 3)] {
        let mut rig = Rig::new();
        rig.habits.warn_of_reserved = wished;
        let played = rig.tasks("a", tasks);
        let told = played.events.iter().filter(|event| matches!(event, pgfleet_engine::Event::Warning { message } if message.starts_with("Found variable using reserved name '")));
        assert_eq!(told.count(), expect, "{}", played.text());
    }
}

#[test]
fn what_is_no_name_cannot_be_shown() {
    let text = Rig::new().tasks("a", "- {name: t, debug: {var: {some: thing}}, ignore_errors: true}").text();
    assert!(text.contains("is not a string and conversion is not allowed"), "{text}");
}

/// Facts count as gathered when they were, whatever else has given some; a fact that is set is one of the host's facts.
#[test]
fn facts_are_gathered_once_or_in_each_play() {
    let playbook = "- {name: one, hosts: a, tasks: [{name: s, set_fact: {mine: 1, cacheable: true}}]}\n\
                    - {name: two, hosts: a, tasks: [{name: t, debug: {msg: 'is {{ ansible_facts.mine }}'}}]}\n\
                    - {name: three, hosts: a, gather_facts: true, tasks: [{meta: clear_facts}]}\n\
                    - {name: four, hosts: a, tasks: []}\n";
    let gathered = |gathering| {
        let mut rig = Rig::new();
        rig.habits.gathering = gathering;
        let text = rig.play(playbook).text();
        assert!(text.contains("is 1"), "{text}");
        text.matches("Gathering Facts").count()
    };
    assert_eq!((gathered(Gathering::Smart), gathered(Gathering::Implicit), gathered(Gathering::Explicit)), (2, 4, 1));
}

/// Facts in memory, from run to run.
#[derive(Debug, Default)]
struct Kept(Mutex<BTreeMap<String, Map>>);

impl FactCache for Kept {
    fn read(&self, host: &str) -> Option<Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    fn write(&self, host: &str, facts: &Map) -> Result<(), String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), facts.clone());
        Ok(())
    }

    fn forget(&self, host: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
    }
}

#[test]
fn facts_are_kept_from_run_to_run() {
    let kept = Arc::new(Kept::default());
    let run = |playbook: &str| {
        let mut rig = Rig::new();
        rig.habits.gathering = Gathering::Smart;
        rig.habits.fact_cache = Some(kept.clone());
        rig.play(playbook).text()
    };
    let first = run("- {hosts: a, gather_facts: true, tasks: [{set_fact: {mine: 1, cacheable: true}}]}\n");
    assert_eq!(first.matches("Gathering Facts").count(), 1, "{first}");
    assert_eq!(kept.read("a").expect("facts")["_ansible_facts_gathered"], true);
    let second =
        run("- {hosts: b, gather_facts: false, tasks: [{debug: {msg: \"is {{ hostvars.a.mine }} {{ hostvars.a.ansible_facts.mine }}\"}}]}
- {hosts: a, gather_facts: true, tasks: [{debug: {msg: 'has {{ ansible_system }}'}}, {meta: clear_facts}]}\n");
    assert!(second.contains("is 1 1") && second.contains("has Linux") && !second.contains("Gathering Facts"), "{second}");
    assert_eq!(kept.read("a"), None, "what was cleared is kept no longer");
}
