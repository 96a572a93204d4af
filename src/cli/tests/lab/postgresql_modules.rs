//! The modules of PostgreSQL against the standing cluster: odd names, passwords, a second run without changes, a replica that refuses.

use std::fs;

use crate::rig::{Rig, leader};

pub(crate) fn on_the_leader(rig: &Rig) {
    let folder = rig.project().join("postgresql_modules");
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in [
        ("wish.yml", include_str!("tour/postgresql_wish.yml")),
        ("refused.yml", include_str!("tour/postgresql_refused.yml")),
        ("end.yml", include_str!("tour/postgresql_end.yml")),
    ] {
        fs::write(folder.join(name), text).expect("a file");
    }
    let view = rig.status().1;
    let leader = leader(&view).expect("a leader");
    let replica =
        view["members"].as_array().into_iter().flatten().filter_map(|member| member["name"].as_str()).find(|name| *name != leader);
    let inventory = rig.inventory();
    let play = |name: &str, host: &str, arguments: &[&str]| {
        let (path, target) = (folder.join(name).display().to_string(), format!("target={host}"));
        rig.pgfleet(&[&["playbook", &path, "-i", &inventory, "-e", &target, "-o", "json"], arguments].concat())
    };
    let roles = "sudo -u postgres psql -Atc \"SELECT rolname FROM pg_roles WHERE rolname ~* 'tour' ORDER BY 1\"";
    let applied = play("wish.yml", &leader, &["--diff"]).expect(0);
    assert!(!applied.out.contains("Tour-pass-1"), "a password is told");
    assert_eq!(rig.said(&leader, roles), "Tour \"Owner\"\ntour_readers");
    play("wish.yml", &leader, &[]).expect(0).expect_unchanged();
    play("wish.yml", &leader, &["--check"]).expect(0).expect_unchanged();
    play("refused.yml", &leader, &[]).expect(0);
    let refused = play("end.yml", replica.expect("a replica"), &[]).expect(2);
    assert!(refused.out.contains("run the task on the leader"), "{}", refused.out);
    let logs = "grep -rl 'Tour-pass-1' /var/log/postgresql /var/log/patroni /var/lib/postgresql/*/main/log 2>/dev/null; true";
    assert_eq!(rig.said(&leader, logs), "", "a password stands in a log");
    play("end.yml", &leader, &[]).expect(0);
    assert_eq!(rig.said(&leader, roles), "");
}
