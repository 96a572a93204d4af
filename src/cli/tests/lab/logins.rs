//! Who may do what in etcd: nobody without a login, Patroni what is its own, root everything.

use crate::members::{begin_load, end_load, longest_gap};
use crate::rig::{HOSTS, Rig, leader};

/// etcdctl as etcd's administrator, on a host of the cluster as root.
pub(crate) const ADMIN: &str = "ETCDCTL_USER=$(cat /etc/pgfleet/etcd-admin) etcdctl";
/// The same as Patroni.
const PATRONI: &str = "ETCDCTL_USER=$(sed -n '/^etcd3:/,/^[a-z]*api:/ s/^  \\(username\\|password\\): \"\\(.*\\)\"/\\2/p' /etc/patroni/config.yml | paste -sd:) etcdctl";

/// Whether etcd's keys are for nobody without a login.
fn asks(rig: &Rig) -> bool {
    rig.said("controller.lan", "etcdctl get --keys-only /service/coolify_postgres/leader 2>&1 || true").contains("permission denied")
}

/// A login is asked for, and is good for what its user needs; a deploy lets etcd ask nobody and ask again while clients write, also where one
/// has died in the middle.
pub(crate) fn etcd_asks_who_somebody_is(rig: &Rig) {
    assert!(asks(rig));
    let said = |command: &str| rig.said("app-server-2.lan", &format!("{command} 2>&1 || true"));
    assert_eq!(said(&format!("{PATRONI} get --keys-only /service/coolify_postgres/leader")).trim(), "/service/coolify_postgres/leader");
    for forbidden in ["get /service/other", "put /x y", "user list", "auth disable", "member remove 1"] {
        assert!(said(&format!("{PATRONI} {forbidden}")).contains("permission denied"), "{forbidden}");
        let told = said(&format!("etcdctl {forbidden}"));
        assert!(
            ["permission denied", "user name is empty"].iter().any(|why| told.contains(&format!("Error: etcdserver: {why}"))),
            "{told}"
        );
    }
    let users = said(&format!("{ADMIN} user list"));
    assert_eq!(users.lines().map(|user| user.split('-').next().unwrap_or_default()).collect::<Vec<_>>(), ["patroni", "pgfleet", "root"]);
    for (host, _) in HOSTS {
        assert_eq!(rig.said(host, "stat -c '%U %G %a' /etc/pgfleet/etcd-admin"), "root root 600", "{host}");
    }
    assert!(rig.said("controller.lan", "bash -lc 'etcdctl user list'").contains("patroni-"), "root's etcdctl logs in by itself");

    let led = || {
        let view = rig.status().1;
        (leader(&view), view["members"][0]["timeline"].clone())
    };
    let before = led();
    begin_load(rig);
    rig.deploy(&["-e", "etcd_users=false"]).expect(0);
    assert!(!asks(rig));
    rig.deploy(&["-e", "etcd_users=false"]).expect(0).expect_unchanged();
    // As a run leaves it that dies in that second.
    rig.said("app-server-2.lan", &format!("{ADMIN} auth enable"));
    assert!(asks(rig), "and no Patroni logs in");
    rig.deploy(&[]).expect(0);
    let gap = longest_gap(rig);
    assert!(gap < 10.0, "nothing was written for {gap} s");
    end_load(rig);
    rig.deploy(&[]).expect(0).expect_unchanged();
    assert!(asks(rig));
    assert_eq!(led(), before, "nobody took over");
}
