//! Blocks, their rescue and what is done always.

use crate::rig::{Rig, assert_lines};

fn check(what: &str, tasks: &str, expect: &str, recap: &str) {
    let played = Rig::new().tasks("db", tasks);
    assert_lines(what, &played.text(), expect);
    assert_lines(what, &played.recap(), recap);
}

#[test]
fn a_rescue_saves_the_host() {
    check(
        "rescue",
        "- block:
    - {name: t, command: ls /nonexistent-folder, when: inventory_hostname == 'a'}
    - {name: u, debug: {msg: here}}
  rescue:
    - {name: r, debug: {msg: '{{ ansible_failed_task.name }} {{ ansible_failed_result.rc }}'}}
  always:
    - {name: w, debug: {msg: always}}
- {name: x, debug: {msg: after}}",
        "PLAY db: a b
         t: a failed 'non-zero return code', b skipped
         u: b ok \"here\"
         r: a ok \"t 2\"
         w: a ok \"always\", b ok \"always\"
         x: a ok \"after\", b ok \"after\"",
        "a ok=3 rescued=1\n b ok=3 skipped=1",
    );
}

#[test]
fn a_rescue_that_fails_does_not() {
    check(
        "rescue fails",
        "- block:
    - {name: t, fail: {msg: one}, when: inventory_hostname == 'a'}
  rescue:
    - {name: r, fail: {msg: two}}
  always:
    - {name: w, debug: {msg: always}}
- {name: x, debug: {msg: after}}",
        "PLAY db: a b
         t: a failed 'one', b skipped
         r: a failed 'two'
         w: a ok \"always\", b ok \"always\"
         x: b ok \"after\"",
        "a ok=1 failed=1 rescued=1\n b ok=2 skipped=1",
    );
}

#[test]
fn blocks_nest_and_hand_down() {
    check(
        "nested",
        "- when: inventory_hostname == 'a'
  vars: {x: outer, y: outer}
  block:
    - vars: {x: inner}
      block:
        - {name: t, fail: {msg: '{{ x }} {{ y }}'}}
      always:
        - {name: u, debug: {msg: '{{ x }}'}}
  rescue:
    - {name: r, debug: {msg: saved}}",
        "PLAY db: a b
         t: a failed 'inner outer', b skipped
         u: a ok \"inner\", b skipped
         r: a ok \"saved\"",
        "a ok=2 rescued=1\n b skipped=2",
    );
}
