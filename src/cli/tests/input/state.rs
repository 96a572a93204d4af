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
    for content in ["", "two\nlines-of-it\n"] {
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
