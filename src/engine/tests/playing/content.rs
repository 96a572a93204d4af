//! Content on its way to hosts and back.

use std::os::unix::fs::PermissionsExt;

use crate::rig::{Rig, assert_lines};

#[test]
fn templates_are_rendered_for_each_host() {
    let rig = Rig::new();
    rig.write(
        "templates/t.conf.j2",
        "# {{ ansible_managed }}\n{% for host in groups.db %}\n{{ host }}{{ ' me' if host == inventory_hostname else '' }}\n{% endfor %}\n",
    );
    let played = rig.tasks("db", "- {name: t, template: {src: t.conf.j2, dest: '{{ dir }}/', mode: '0600'}}");
    assert_lines("written", &played.text(), "PLAY db: a b\n t: a changed, b changed");
    assert_eq!(rig.read("a/t.conf").as_deref(), Some("# Ansible managed\na me\nb\n"));
    assert_eq!(rig.read("b/t.conf").as_deref(), Some("# Ansible managed\na\nb me\n"));
    assert_eq!(std::fs::metadata(rig.path("a/t.conf")).expect("a file").permissions().mode() & 0o7777, 0o600);
    rig.write("templates/bad.j2", "one\n{{ hostname }}\n");
    let text = rig.tasks("a", "- {name: t, template: {src: bad.j2, dest: '{{ dir }}/x'}}").text();
    assert!(text.contains("a failed 'templates/bad.j2:2:") && text.contains("'hostname' is undefined"), "{text}");
    let text = rig.tasks("a", "- {name: t, template: {src: none.j2, dest: '{{ dir }}/x'}}").text();
    assert!(text.contains("there is no file 'none.j2'") && text.contains("looked for it at templates/none.j2"), "{text}");
}

#[test]
fn files_and_folders_travel_whole() {
    let rig = Rig::new();
    let big: Vec<u8> = (0..900_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    rig.write("files/big.bin", &big);
    rig.write("files/tree/one", "1");
    rig.write("files/tree/deep/er/two", "2");
    let tasks = "- {name: big, copy: {src: big.bin, dest: '{{ dir }}/big.bin'}}
- {name: tree, copy: {src: tree, dest: '{{ dir }}'}}
- {name: inside, copy: {src: tree/, dest: '{{ dir }}/inside/'}}
- {name: mapping, copy: {content: {k: [1]}, dest: '{{ dir }}/json'}}
- {name: remote, copy: {src: '{{ dir }}/json', dest: '{{ dir }}/json2', remote_src: true}}
- {name: fetch, fetch: {src: '{{ dir }}/big.bin', dest: fetched/, flat: true}}
- {name: fetch apart, fetch: {src: '{{ dir }}/json', dest: fetched}}";
    let lines = |ending: &str| {
        let names = ["big", "tree", "inside", "mapping", "remote", "fetch", "fetch apart"];
        format!("PLAY a: a\n{}", names.iter().map(|name| format!("{name}: a {ending}\n")).collect::<String>())
    };
    assert_lines("first", &rig.tasks("a", tasks).text(), &lines("changed"));
    assert!(std::fs::read(rig.path("a/big.bin")).expect("a file") == big);
    assert!(std::fs::read(rig.path("fetched/big.bin")).expect("a file") == big);
    assert_eq!(rig.read("a/tree/deep/er/two").as_deref(), Some("2"));
    assert_eq!(rig.read("a/inside/deep/er/two").as_deref(), Some("2"));
    assert_eq!(rig.read("a/json2").as_deref(), Some("{\"k\": [1]}"));
    let apart = rig.path("fetched/a").join(rig.path("a/json").strip_prefix("/").expect("absolute"));
    assert!(apart.is_file(), "{}", apart.display());
    assert_lines("second", &rig.tasks("a", tasks).text(), &lines("ok"));
}

#[test]
fn what_a_host_says_leads_nowhere_else() {
    let rig = Rig::new();
    // A file's name may come from the host, as the answer of a find does.
    let fetched = |source: &str| rig.tasks("a", &format!("- {{name: t, fetch: {{src: '{{{{ dir }}}}/{source}', dest: fetched}}}}")).text();
    let text = fetched("../../../../../../../../../../../../../../../evil");
    assert!(text.contains("fetch would write outside of the host's folder: 'a/"), "{text}");
    assert!(!rig.path("fetched").exists());
    rig.write("a/json", "{}");
    rig.write("a/none/other", "");
    assert_lines("within", &fetched("none/../json"), "PLAY a: a\nt: a changed");
    assert!(rig.path("fetched/a").join(rig.path("a/json").strip_prefix("/").expect("absolute")).is_file());
}

#[test]
fn numbers_of_any_size_travel_whole() {
    let rig = Rig::new();
    let text = rig
        .play(
            "- hosts: a
  gather_facts: false
  vars: {big: 100000000000000000000000000, infinite: .inf}
  tasks:
    - {name: scalar, copy: {content: '{{ big }}', dest: '{{ dir }}/scalar'}}
    - {name: word, copy: {content: '{{ infinite }}', dest: '{{ dir }}/word'}}
    - {name: list, copy: {content: ['{{ big }}', '{{ infinite }}', {'{{ big }}': 1}], dest: '{{ dir }}/list'}}
    - {name: say, debug: {msg: '{{ [big, infinite] }}'}, register: said}
    - {name: again, debug: {msg: '{{ said.msg[0] + 1 }} {{ said.msg[1] > 1 }}'}}
    - {name: grown, add_host: {name: new, x: '{{ big }}'}}
    - {name: other, debug: {msg: '{{ hostvars.new.x - 1 }}'}}",
        )
        .text();
    for line in ["again: a ok \"100000000000000000000000001 True\"", "other: a ok \"\u{fdd0}99999999999999999999999999\""] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(rig.read("a/scalar").as_deref(), Some("100000000000000000000000000"));
    assert_eq!(rig.read("a/word").as_deref(), Some("inf"));
    let list = "[100000000000000000000000000, Infinity, {\"100000000000000000000000000\": 1}]";
    assert_eq!(rig.read("a/list").as_deref(), Some(list));
}

#[test]
fn the_environment_adds_up() {
    let rig = Rig::new();
    let played = rig.play(
        "- hosts: a
  gather_facts: false
  environment: {OUTER: play, BOTH: play}
  tasks:
    - {name: t, shell: 'echo $OUTER $BOTH $NUMBER', environment: {BOTH: '{{ inventory_hostname }}', NUMBER: 5}, register: r}
    - {name: u, debug: {var: r.stdout}}
    - {name: raw, raw: echo raw, register: r}
    - {name: v, debug: {var: r.stdout_lines}}
",
    );
    assert_lines("environment", &played.text(), "PLAY a: a\n t: a changed\n u: a ok \"play a 5\"\n raw: a changed\n v: a ok [\"raw\"]");
}

#[test]
fn arguments_are_typed_after_they_are_rendered() {
    let rig = Rig::new();
    let text = rig.tasks("a", "- {name: t, file: {path: '{{ dir }}/x', state: '{{ \"directry\" }}'}}").text();
    assert!(text.contains("play.yml:4:7") && text.contains("directry") && text.contains("directory"), "{text}");
    let text = rig
        .tasks("a", "- {name: t, file: {path: '{{ dir }}/y', state: touch, mode: '{{ omit }}', owner: '{{ nobody | default(omit) }}'}}")
        .text();
    assert_lines("omit", &text, "PLAY a: a\n t: a changed");
    let text = rig.tasks("a", "- {name: t, file: '{{ all_of_it }}', vars: {all_of_it: {path: '{{ dir }}/z', state: directory}}}").text();
    assert_lines("all from a variable", &text, "PLAY a: a\n t: a changed");
}

#[test]
fn a_folder_is_foretold_and_its_new_folders_get_their_mode() {
    let mut rig = Rig::new();
    rig.write("files/tree/deep/two", "2");
    std::fs::create_dir_all(rig.path("files/tree/empty")).expect("a folder");
    std::fs::create_dir_all(rig.path("a/tree")).expect("a folder");
    let tasks = "- {name: t, copy: {src: tree, dest: '{{ dir }}', mode: '0600', directory_mode: '0750'}}";
    let mode = |rig: &Rig, name: &str| std::fs::metadata(rig.path(name)).expect("there").permissions().mode() & 0o7777;
    let before = mode(&rig, "a/tree");
    rig.mode = pgfleet_protocol::Mode::Check;
    assert_lines("check", &rig.tasks("a", tasks).text(), "PLAY a: a\n t: a changed");
    assert!(!rig.path("a/tree/deep").exists());
    rig.mode = pgfleet_protocol::Mode::Apply;
    assert_lines("apply", &rig.tasks("a", tasks).text(), "PLAY a: a\n t: a changed");
    let modes = ["a/tree/deep", "a/tree/empty", "a/tree/deep/two", "a/tree"].map(|name| mode(&rig, name));
    assert_eq!(modes, [0o750, 0o750, 0o600, before]);
    assert_lines("again", &rig.tasks("a", tasks).text(), "PLAY a: a\n t: a ok");
}

#[test]
fn an_archive_of_the_controller_is_unpacked_once() {
    let rig = Rig::new();
    rig.write("pack/one", "1");
    let packed =
        std::process::Command::new("tar").arg("-czf").arg(rig.path("pack.tgz")).arg("-C").arg(rig.path("pack")).arg("one").status();
    assert!(packed.expect("tar runs").success());
    rig.write("files/pack.tgz", std::fs::read(rig.path("pack.tgz")).expect("an archive"));
    let tasks = "- {name: folder, file: {path: '{{ dir }}/u', state: directory}}
- {name: unpack, unarchive: {src: pack.tgz, dest: '{{ dir }}/u'}, register: r}
- {name: told, debug: {var: r.handler}}";
    let lines = |ending: &str| format!("PLAY a: a\n folder: a {ending}\n unpack: a {ending}\n told: a ok \"TgzArchive\"");
    assert_lines("first", &rig.tasks("a", tasks).text(), &lines("changed"));
    assert_eq!(rig.read("a/u/one").as_deref(), Some("1"));
    assert_lines("second", &rig.tasks("a", tasks).text(), &lines("ok"));
}

#[test]
fn facts_of_any_module_are_known_afterwards() {
    let rig = Rig::new();
    let tasks = "- {name: ask, getent: {database: passwd, key: root}}
- {name: told, debug: {msg: '{{ getent_passwd.root[1] }} {{ ansible_facts.getent_passwd.root[2] }}'}}";
    assert_lines("facts", &rig.tasks("a", tasks).text(), "PLAY a: a\n ask: a ok\n told: a ok \"0 0\"");
}
