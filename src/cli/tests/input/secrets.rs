//! Vaults and passwords.

use crate::rig::Project;

const SEALED: &str = include_str!("../../../template/tests/vault.txt");

fn project() -> Project {
    let project = Project::new();
    let sealed: String = SEALED.lines().map(|line| format!("  {line}\n")).collect();
    project.write("vault.yml", &format!("secret: !vault |\n{sealed}"));
    project.write("whole.yml", SEALED);
    project.write(
        "play.yml",
        "- hosts: web1\n  gather_facts: false\n  vars_files: [vault.yml]\n  tasks:\n    - debug: {msg: \"{{ secret }}\"}\n",
    );
    project.write("whole-play.yml", "- hosts: web1\n  gather_facts: false\n  vars_files: [whole.yml]\n  tasks:\n    - ping:\n");
    project.write("wrong", "wrong\n");
    project.write("right", "correct horse\n");
    project.write("nothing", "");
    project
}

#[test]
fn a_sealed_file_needs_its_password() {
    let project = project();
    project
        .refuses_playbook("whole-play.yml")
        .tells(&["whole.yml:1:1: this is encrypted with ansible-vault, and no vault password was given", "--vault-password-file FILE"]);
    project
        .refuses(&["playbook", "whole-play.yml", "-i", "hosts.yml", "--vault-password-file", "wrong"])
        .tells(&["whole.yml:1:1: no vault password that was given opens this"]);
}

#[test]
fn what_was_sealed_is_never_shown() {
    let project = project();
    // It opens, and what is in it is no mapping of variables.
    let said = project.refuses(&["playbook", "whole-play.yml", "-i", "hosts.yml", "--vault-password-file", "right"]);
    assert!(!said.0.contains("s3cret"), "{}", said.0);
    said.tells(&["whole.yml:1:1"]);
}

#[test]
fn a_sealed_value_needs_its_password() {
    let project = project();
    let run = |arguments: &[&str]| {
        let ended = project.run(&[&["playbook", "play.yml", "-i", "hosts.yml"], arguments].concat());
        (ended.code, ended.stdout)
    };
    let (code, said) = run(&[]);
    assert!(code == 2 && said.contains("no vault password was given"), "{code} {said}");
    let (code, said) = run(&["--vault-password-file", "wrong"]);
    assert!(code == 2 && said.contains("no vault password that was given opens this"), "{code} {said}");
    let (code, said) = run(&["--vault-password-file", "right"]);
    assert!(code == 0 && said.contains("s3cret"), "{code} {said}");
}

#[test]
fn a_line_with_a_password_is_shown_without_it() {
    let project = project();
    project.write("plain.yml", "x: 1\ndb_password: hunter2: 3\n");
    let said = project.refuses(&["playbook", "ok.yml", "-i", "hosts.yml", "-e", "@plain.yml"]);
    assert!(!said.0.contains("hunter2"), "{}", said.0);
    said.tells(&["plain.yml:2:", "malformed YAML", "2 | db_password: ********"]);
}

#[test]
fn password_files_must_hold_one() {
    let project = project();
    let run = |option: &str, file: &str| project.refuses(&["playbook", "ok.yml", "-i", "hosts.yml", option, file]);
    for option in ["--vault-password-file", "--become-password-file"] {
        run(option, "nothing").tells(&["the password file nothing is empty"]);
        run(option, "absent").tells(&["cannot read the password file absent: No such file or directory"]);
        run(option, ".").tells(&["cannot read the password file .: Is a directory"]);
    }
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    let project = project();
    project
        .refuses(&["playbook", "ok.yml", "-i", "hosts.yml", "-K"])
        .tells(&["cannot ask for the BECOME password", "--become-password-file FILE"]);
    project
        .refuses(&["playbook", "ok.yml", "-i", "hosts.yml", "-J"])
        .tells(&["cannot ask for the Vault password", "--vault-password-file FILE"]);
}

/// The cluster's own secrets are sealed in place, opened for whoever has the password, and can be brought back.
#[test]
fn secrets_are_sealed_and_opened() {
    let project = project();
    let names = ["superuser", "replication", "rewind", "app", "readonly", "patroni_rest", "haproxy_stats", "etcd", "etcd_admin"];
    names.iter().for_each(|name| drop(project.write(&format!("state/postgresql/secrets/{name}"), &format!("pw-{name}\n"))));
    project.write("state/postgresql/app_password.txt", "pw-app\n");
    let run = |arguments: &[&str]| {
        let ended = project.run(&[&["secrets"], arguments, &["-i", "hosts.yml"]].concat());
        (ended.code, ended.stdout + &ended.stderr)
    };
    let read = |name: &str| std::fs::read_to_string(project.path("state/postgresql").join(name)).expect("it is there");
    let (code, said) = run(&["encrypt"]);
    assert!(code == 5 && said.contains("--vault-password-file"), "{code} {said}");
    assert_eq!(run(&["encrypt", "--vault-password-file", "right"]).0, 0);
    for name in names {
        let kept = read(&format!("secrets/{name}"));
        assert!(kept.starts_with("$ANSIBLE_VAULT;1.1;AES256\n") && !kept.contains("pw-"), "{kept}");
    }
    assert!(!project.has("state/postgresql/app_password.txt"), "no copy is left in the clear");
    let (code, said) = run(&["show", "app"]);
    assert!(code == 5 && said.contains("it is sealed"), "{code} {said}");
    let (code, said) = run(&["show", "app", "--vault-password-file", "wrong"]);
    assert!(code == 5 && said.contains("no vault password that was given opens it"), "{code} {said}");
    assert_eq!(run(&["show", "app", "--vault-password-file", "right"]), (0, "pw-app\n".to_owned()));
    assert_eq!(run(&["decrypt", "--vault-password-file", "right"]).0, 0);
    assert_eq!(read("secrets/app"), "pw-app\n");
    assert_eq!(read("app_password.txt"), "pw-app\n");
}
