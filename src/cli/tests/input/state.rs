//! State on disk that another run holds, or that is damaged.

use std::fs;

use pgfleet_state::Lock;

use crate::rig::Project;

#[test]
fn a_second_deploy_is_told_about_the_first() {
    let project = Project::new();
    let _lock = Lock::take(&project.path("state"), "deploy").expect("a lock");
    let ended = project.run(&["deploy", "-i", "hosts.yml"]);
    assert_eq!(ended.code, 7, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("hint: wait for it to end"), "{}", ended.stderr);
    assert!(!project.was_connected());
    assert!(!project.has("state/postgresql"), "secrets were made by a run that could not begin");
}

#[test]
fn a_damaged_secret_stops_the_run_and_is_not_shown() {
    for content in ["", "two\nlines-of-it\n", "half-of-it, lines-of-it"] {
        let project = Project::new();
        project.write("state/postgresql/secrets/superuser", content);
        let ended = project.run(&["deploy", "-i", "hosts.yml"]);
        assert_eq!(ended.code, 5, "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains("secrets/superuser"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("lines-of-it"), "{}", ended.stderr);
        assert!(!project.was_connected());
        assert_eq!(fs::read_to_string(project.path("state/postgresql/secrets/superuser")).expect("still there"), content);
    }
}

#[test]
fn a_state_folder_that_is_a_file_is_named() {
    let project = Project::new();
    project.write("state", "not a folder");
    let ended = project.run(&["deploy", "-i", "hosts.yml"]);
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("state"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("os error"), "{}", ended.stderr);
    assert!(!project.was_connected());
}

#[test]
fn a_secret_that_was_cut_short_is_told_with_the_way_back() {
    let project = Project::new();
    project.write("state/postgresql/secrets/superuser", "abcdef");
    let ended = project.run(&["deploy", "-i", "hosts.yml"]);
    assert_eq!(ended.code, 5, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("cut short") && ended.stderr.contains("pgfleet state recover --from HOST"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("abcdef"), "{}", ended.stderr);
}

/// A run that died while it wrote has left half of a secret: nobody reads it, and the next run takes it away.
#[test]
fn what_was_half_written_is_swept() {
    let project = Project::new();
    let half = format!("state/postgresql/secrets/.superuser.{}.tmp", u32::MAX);
    project.write(&half, "abc");
    // Something else ends the run before it connects.
    project.write("state/postgresql/secrets/app", "");
    let ended = project.run(&["deploy", "-i", "hosts.yml"]);
    assert!(ended.code == 5 && ended.stderr.contains("secrets/app"), "{}{}", ended.stdout, ended.stderr);
    assert!(!project.has(&half), "it is left");
}

#[test]
fn a_host_that_nobody_knows_tells_nothing() {
    let project = Project::new();
    let ended = project.run(&["state", "recover", "--from", "nowhere", "-i", "hosts.yml"]);
    assert_eq!(ended.code, 5, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("nowhere"), "{}", ended.stderr);
    assert!(!project.has("state/postgresql"), "nothing is made of it");
}
