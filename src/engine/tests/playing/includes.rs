//! Files of tasks and of variables.

use pgfleet_playbook::TagSelection;

use crate::rig::{Rig, assert_lines};

#[test]
fn each_host_includes_its_own_file() {
    let rig = Rig::new();
    rig.write("tasks/a.yml", "- {name: of a, debug: {msg: '{{ x }} {{ y }}'}}\n");
    rig.write("tasks/b.yml", "- {name: of b, debug: {msg: '{{ x }}'}}\n- {name: fails, fail: {msg: b}}\n");
    let played = rig.tasks(
        "all",
        "- {name: set, set_fact: {x: fact, y: fact}}
- name: inc
  include_tasks: 'tasks/{{ inventory_hostname }}.yml'
  vars: {x: 'given to {{ inventory_hostname }}'}
  when: inventory_hostname != 'c'
- {name: after, debug: {msg: '{{ x }}'}}",
    );
    let expect = "PLAY all: a b c
        set: a ok, b ok, c ok
        inc: c skipped
        INCLUDE tasks/a.yml: a
        INCLUDE tasks/b.yml: b
        of a: a ok \"given to a fact\"
        of b: b ok \"given to b\"
        fails: b failed 'b'
        after: a ok \"fact\", c ok \"fact\"";
    assert_lines("include", &played.text(), expect);
    assert_lines("counts", &played.recap(), "a ok=4\nb ok=3 failed=1\nc ok=2 skipped=1");
}

#[test]
fn includes_repeat_and_nest() {
    let rig = Rig::new();
    rig.write("outer.yml", "- {include_tasks: inner.yml, vars: {deep: '{{ item }}!'}}\n");
    rig.write("inner.yml", "- {name: 'inner {{ item }}', debug: {msg: '{{ deep }}'}}\n");
    let played = rig.tasks("a", "- {name: inc, include_tasks: {file: outer.yml}, loop: [1, 2]}");
    let expect = "PLAY a: a
        inc:
        INCLUDE outer.yml: a 1
        INCLUDE outer.yml: a 2
        include_tasks:
        INCLUDE inner.yml: a
        inner 1: a ok \"1!\"
        include_tasks:
        INCLUDE inner.yml: a
        inner 2: a ok \"2!\"";
    assert_lines("loop", &played.text(), expect);
    assert_lines("counts", &played.recap(), "a ok=6");
}

#[test]
fn tags_of_an_include_are_its_own() {
    let mut rig = Rig::new();
    rig.tags = TagSelection::new(vec!["x".to_owned()], Vec::new());
    rig.write("more.yml", "- {name: plain, debug: {msg: 1}}\n- {name: tagged, debug: {msg: 2}, tags: x}\n");
    let played = rig.tasks(
        "a",
        "- {name: one, include_tasks: more.yml, tags: x}
- {name: two, include_tasks: {file: more.yml, apply: {tags: x}}, tags: x}
- {name: three, import_tasks: more.yml, tags: x}
- {name: four, include_tasks: more.yml}",
    );
    let expect = "PLAY a: a
        one:
        INCLUDE more.yml: a
        tagged: a ok 2
        two:
        INCLUDE more.yml: a
        plain: a ok 1
        tagged: a ok 2
        plain: a ok 1
        tagged: a ok 2";
    assert_lines("tags", &played.text(), expect);
}

#[test]
fn imports_hand_their_conditions_down() {
    let rig = Rig::new();
    rig.write("more.yml", "- {name: m, debug: {msg: '{{ v }}'}}\n- {name: n, debug: {msg: n}, when: v == 2}\n");
    let played = rig.tasks("db", "- {import_tasks: more.yml, when: inventory_hostname == 'a', vars: {v: 1}}");
    assert_lines("import", &played.text(), "PLAY db: a b\n m: a ok 1, b skipped\n n: a skipped, b skipped");
}

#[test]
fn what_is_wrong_with_an_included_file_fails_its_hosts() {
    let rig = Rig::new();
    rig.write("bad.yml", "- {name: m, debg: {msg: 1}}\n");
    let played =
        rig.tasks("db", "- {name: i, include_tasks: bad.yml, when: inventory_hostname == 'a'}\n- {name: j, include_tasks: none.yml}\n");
    let text = played.text();
    assert!(text.contains("a failed 'bad.yml:1:13: no module is called 'debg' (did you mean 'debug'?)'"), "{text}");
    assert!(text.contains("b failed 'play.yml:5:32: there is no file of tasks 'none.yml'"), "{text}");
}

#[test]
fn an_include_of_itself_comes_to_an_end() {
    let rig = Rig::new();
    rig.write("self.yml", "- include_tasks: self.yml\n");
    let text = rig.tasks("a", "- include_tasks: self.yml").text();
    assert!(text.contains("includes nest deeper than 64 files"), "{text}");
}

#[test]
fn variables_are_read_from_files() {
    let rig = Rig::new();
    rig.write("vars/one.yml", "x: 1\ny: '{{ x }}{{ inventory_hostname }}'\n");
    rig.write("more/two.yml", "z: 2\n");
    let played = rig.tasks(
        "a",
        "- include_vars: one.yml
- include_vars: {dir: more, name: box}
- {name: t, debug: {msg: '{{ x }} {{ y }} {{ box.z }}'}}
- include_vars: nothing.yml",
    );
    let text = played.text();
    assert!(text.contains("t: a ok \"1 1a 2\""), "{text}");
    assert!(text.contains("Could not find file of variables 'nothing.yml'"), "{text}");
}
