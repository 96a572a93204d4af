//! What the catalogue takes for a backup, and what not.

use std::io::Write;
use std::path::PathBuf;

use super::{Backups, Draft, DumpFile, Manifest, Status};

fn catalogue(name: &str) -> (PathBuf, Backups) {
    let folder = std::env::temp_dir().join(format!("pgfleet-backups-{name}-{}", std::process::id()));
    (folder.clone(), Backups::in_folder(folder.join("backups")))
}

fn manifest(draft: &Draft, status: Status) -> Manifest {
    Manifest { version: Manifest::VERSION, id: draft.id().to_owned(), status, ..Manifest::default() }
}

#[test]
fn only_what_was_committed_is_a_backup() {
    let (folder, backups) = catalogue("commit");
    assert!(backups.list().expect("lists").is_empty());
    let cut_off = backups.begin().expect("begins");
    let failing = backups.begin().expect("begins");
    failing.create("x.dump").expect("creates").write_all(b"half").expect("writes");
    let failure = Manifest { failure: Some("the disk is full".to_owned()), ..manifest(&failing, Status::Failed) };
    let failed = failing.fail(&failure).expect("fails");
    assert!(!failed.join("x.dump").exists(), "what failed needs no room");
    assert!(backups.latest().expect("lists").is_none());

    let draft = backups.begin().expect("begins");
    let globals = Some(DumpFile { file: "globals.sql".to_owned(), sha256: "00".to_owned(), bytes: 3 });
    let good = Manifest { globals, ..manifest(&draft, Status::Good) };
    draft.commit(&good).expect("commits");
    let listed: Vec<_> = backups.list().expect("lists").iter().map(|entry| entry.status).collect();
    assert_eq!(listed, [Status::Partial, Status::Failed, Status::Good]);
    let found = backups.find("latest").expect("finds");
    assert_eq!((found.id.as_str(), found.good()), (good.id.as_str(), Some(&good)));
    assert!(backups.find(cut_off.id()).expect_err("not whole").to_string().contains("not complete"));
    assert!(backups.find(&failure.id).expect_err("failed").to_string().contains("the disk is full"));

    backups.delete(&found).expect("deletes");
    assert!(backups.find(&good.id).expect_err("gone").to_string().contains("there is none"));
    std::fs::remove_dir_all(folder).expect("cleans up");
}

#[test]
fn a_prefix_finds_one_or_says_which() {
    let (folder, backups) = catalogue("prefix");
    let ids: Vec<String> = (0..2)
        .map(|_| {
            let draft = backups.begin().expect("begins");
            let id = draft.id().to_owned();
            let good = manifest(&draft, Status::Good);
            draft.commit(&good).expect("commits");
            id
        })
        .collect();
    assert_eq!(backups.find(&ids[0]).expect("finds").id, ids[0]);
    assert!(backups.find(&ids[0][..4]).expect_err("two").to_string().contains("several begin so"));
    std::fs::remove_dir_all(folder).expect("cleans up");
}
