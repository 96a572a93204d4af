//! The controller's own disk: state that was lost, is damaged, or has no room.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::{HOSTS, Ran, Rig, address};

/// The passwords that nodes know.
const KNOWN: [&str; 7] = ["superuser", "replication", "rewind", "patroni_rest", "haproxy_stats", "etcd", "etcd_admin"];

fn recover(rig: &Rig, from: &str, arguments: &[&str]) -> Ran {
    let inventory = rig.inventory();
    rig.pgfleet(&[&["state", "recover", "--from", from, "-i", &inventory], arguments].concat())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Logs in as the application with a password of whatever folder.
fn logs_in(rig: &Rig, password: &str) {
    let script = "IFS= read -r PGPASSWORD; export PGPASSWORD; psql -X -A -t -h 127.0.0.1 -p 5000 -U app_user -d application -c 'SELECT 7'";
    assert_eq!(rig.on("builder.lan", script, &format!("{}\n", password.trim())).expect(0).out.trim(), "7");
}

/// Nothing of a lost folder is made anew for a cluster that runs; a node gives back what it knows, and a deploy then changes nothing.
pub(crate) fn recovered_from_a_node(rig: &Rig) {
    let (state, aside) = (rig.project().join("state/postgresql"), rig.project().join("aside"));
    fs::rename(&state, &aside).expect("moved away");
    let refused = rig.deploy(&[]).expect(6);
    assert!(refused.err.contains("pgfleet state recover --from"), "{}", refused.err);
    let ran = recover(rig, "builder.lan", &[]).expect(0);
    for name in KNOWN {
        let password = read(&aside.join("secrets").join(name));
        assert_eq!(read(&state.join("secrets").join(name)), password, "{name}");
        assert!(!ran.out.contains(password.trim()), "{name} is told");
    }
    assert_eq!(read(&state.join("pki/ca.crt")).trim(), read(&aside.join("pki/ca.crt")).trim());
    for lacking in ["secrets/app:", "secrets/readonly:", "pki/ca.key:", "backups:"] {
        assert!(ran.out.contains(lacking), "{lacking} is not told to be lacking:\n{}", ran.out);
    }
    let inventory = read(&state.join("recovered.yml"));
    assert!(HOSTS.iter().all(|(host, _)| inventory.contains(host)) && inventory.contains("coolify_postgres"), "{inventory}");
    let listed = rig.pgfleet(&["inventory", "--graph", "-i", &state.join("recovered.yml").display().to_string()]).expect(0);
    assert!(HOSTS.iter().all(|(host, _)| listed.out.contains(host)), "{}", listed.out);
    let deployed = rig.deploy(&[]).expect(0).expect_unchanged();
    assert!(deployed.out.contains("app, readonly") && deployed.out.contains("ca.key"), "what is unknown is told: {}", deployed.out);
    logs_in(rig, &read(&aside.join("secrets/app")));
    assert!(recover(rig, "app-server-1.lan", &[]).expect(6).err.contains("recovered.yml"), "another node's words differ");

    // Half of a password is found out, and makes room only when somebody says so.
    let file = state.join("secrets/superuser");
    let whole = read(&file);
    fs::write(&file, &whole[..20]).expect("cut");
    let refused = rig.deploy(&[]).expect(5);
    assert!(refused.err.contains("cut short") && refused.err.contains("state recover"), "{}", refused.err);
    recover(rig, "builder.lan", &[]).expect(6);
    assert_eq!(read(&file), whole[..20], "it is left as it was");
    let ran = recover(rig, "builder.lan", &["--force"]).expect(0);
    assert_eq!(read(&file), whole);
    assert!(ran.out.contains("superuser.old-"), "{}", ran.out);

    // A password that nobody here knows is replaced while its users go on.
    let listed = rig.inventory();
    rig.pgfleet(&["secrets", "rotate", "app", "-i", &listed]).expect(0);
    logs_in(rig, &read(&state.join("secrets/app")));
    for name in ["secrets/app", "secrets/app_scram", "app_password.txt"] {
        fs::copy(state.join(name), aside.join(name)).expect("copied");
    }
    fs::remove_dir_all(&state).expect("removed");
    fs::rename(&aside, &state).expect("moved back");
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// State that was put back from a copy of before a rotation would give Patroni passwords that the roles no longer have: it is refused, and a node
/// gives back those in use.
pub(crate) fn an_old_copy(rig: &Rig) {
    let (state, old) = (rig.project().join("state/postgresql"), rig.project().join("old"));
    assert!(Command::new("cp").arg("-a").args([&state, &old]).status().expect("cp runs").success());
    let inventory = rig.inventory();
    rig.pgfleet(&["secrets", "rotate", "rewind", "-i", &inventory]).expect(0);
    let new = read(&state.join("secrets/rewind"));
    fs::remove_dir_all(&state).expect("removed");
    fs::rename(&old, &state).expect("put back");
    let refused = rig.deploy(&[]).expect(2);
    assert!(refused.recap("changed").iter().all(|(_, changed)| *changed == 0), "{}", refused.out);
    assert!(refused.out.contains("not what the cluster uses") && refused.out.contains("pgfleet state recover --from"), "{}", refused.out);
    recover(rig, "app-server-1.lan", &["--force"]).expect(0);
    assert_eq!(read(&state.join("secrets/rewind")), new);
    fs::remove_file(state.join("recovered.yml")).expect("removed");
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// A small disk of its own under a folder, as long as this is kept.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn under(folder: PathBuf, bytes: &str) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=700"), "tmpfs"]).arg(&folder).status();
        assert!(mounted.expect("mount runs").success());
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(folder)
        .expect("lists")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(&path).expect("reads")))
        .collect();
    found.sort();
    found
}

/// Without room nothing begins, and nothing that is kept is harmed; a disk that fills up meanwhile costs the journal alone.
pub(crate) fn a_full_disk(rig: &Rig) {
    let folder = rig.project().join("full");
    fs::create_dir_all(folder.join("inventory")).expect("a folder");
    let disk = SmallDisk::under(folder.join("state"), "160k");
    let (from, to) = (rig.project().join("state/postgresql"), disk.0.join("postgresql"));
    fs::create_dir(&to).expect("a folder");
    let kept = ["secrets", "pki", "app_password.txt"].map(|name| from.join(name));
    assert!(Command::new("cp").arg("-a").args(kept).arg(&to).status().expect("cp runs").success());
    let secrets = to.join("secrets");
    let other = rig.elsewhere(folder.clone());
    let before = files(&secrets);
    let ran = other.deploy(&[]).expect(0).expect_unchanged();
    assert_eq!(ran.err.matches("the journal is incomplete").count(), 1, "it is told once: {}", ran.err);
    // Not one byte is left now.
    let full =
        Command::new("sh").args(["-c", "cat /dev/zero > \"$0\" 2>/dev/null; true", &disk.0.join("filler").display().to_string()]).status();
    assert!(full.expect("sh runs").success());
    let inventory = other.inventory();
    let failed = other.pgfleet(&["secrets", "rotate", "-i", &inventory]);
    assert!(failed.code == Some(1) && failed.err.contains("No space left") && failed.err.contains("make room"), "{}", failed.err);
    assert_eq!(files(&secrets), before, "no secret is other than it was, and nothing is left beside them");
    other.on_fleet("status", &[]).expect(0);
    drop((other, disk));
    fs::remove_dir_all(folder).expect("cleans up");
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// An inventory that somebody edited: a node is missing, or two have each other's address. Nothing is done to a cluster that is another one.
pub(crate) fn an_edited_inventory(rig: &Rig) {
    let own = PathBuf::from(rig.inventory());
    let edited = own.with_file_name("edited");
    fs::create_dir_all(&edited).expect("a folder");
    let hosts = read(&own.join("hosts.yml"));
    let place = edited.display().to_string();
    let refused = |text: &str, told: &str| {
        fs::write(edited.join("hosts.yml"), text).expect("written");
        let ran = rig.pgfleet(&["deploy", "-i", &place, "-o", "json"]).expect(2);
        assert!(ran.recap("changed").iter().all(|(_, changed)| *changed == 0), "{}", ran.out);
        assert!(ran.out.contains(told), "{}", ran.out);
    };
    let [one, other] = ["app-server-1.lan", "builder.lan"].map(address);
    refused(&hosts.replace(&one, "here").replace(&other, &one).replace("here", &other), "is the cluster's node builder.lan, and");
    let without: Vec<&str> = hosts.lines().filter(|line| !line.contains("builder.lan") && !line.contains(&other)).collect();
    refused(&without.join("\n"), "builder.lan: in the cluster, and in no inventory given");
    let status = rig.pgfleet(&["status", "-i", &place]).expect(8);
    assert!(status.out.contains("builder.lan is a member of the cluster, and in no inventory given"), "{}", status.out);
    fs::remove_dir_all(edited).expect("removed");
    rig.deploy(&[]).expect(0).expect_unchanged();
}
