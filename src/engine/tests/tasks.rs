//! What one task may say: conditions, loops, results, tries.

mod rig;

use rig::check_tasks;

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
             t: a failed 'play.yml:4:38: 'inventory_hostnam' is undefined (did you mean 'inventory_hostname'?)', b failed 'play.yml:4:38: 'inventory_hostnam' is undefined (did you mean 'inventory_hostname'?)'
             NO HOSTS LEFT",
        ),
        (
            "a skipped task registers",
            "- {name: t, command: 'true', when: false, register: r}\n- {name: s, debug: {msg: '{{ r is skipped }} {{ r.changed }}'}}",
            "PLAY db: a b\n t: a skipped, b skipped\n s: a ok \"True False\", b ok \"True False\"",
        ),
    ]);
}
