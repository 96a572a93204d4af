//! Least rights: what the services of a node may do, who may log in, and who reaches which port.

use std::net::{TcpStream, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::members::{LOAD, begin_load, end_load, longest_gap};
use crate::rig::{HOSTS, Rig, address, leader};

const PORTS: [u16; 8] = [5432, 8008, 2379, 2380, 5000, 5001, 5002, 7000];

/// What the kernel knows of the processes: capabilities that count, and whether a program may give them more. Then what `systemd-analyze` counts.
pub(crate) fn services_have_few_rights(rig: &Rig) {
    units_wait_for_a_restart(rig);
    let (root, nobody) = ("00000000000004eb", "0000000000000000");
    for (host, _) in HOSTS {
        let told = rig.said(
            host,
            "for name in patroni postgres haproxy etcd; do for pid in $(pgrep -x $name); do \
             awk -v name=$name '/^(CapEff|NoNewPrivs|Seccomp):/ { said = said \" \" $2 } END { print name said }' /proc/$pid/status; done; done | sort -u",
        );
        let services: Vec<&str> = told.lines().collect();
        let mut wanted = vec![format!("haproxy {nobody} 1 2"), format!("haproxy {root} 1 2")];
        wanted.extend(["patroni", "postgres"].map(|name| format!("{name} {nobody} 1 2")));
        if *host != *"builder.lan" {
            wanted.insert(0, format!("etcd {nobody} 1 2"));
        }
        assert_eq!(services, wanted, "{host}");
        // What a program as root in their place would meet.
        let inside = "for unit in patroni haproxy; do nsenter -t $(systemctl show -p MainPID --value $unit) -m -- sh -c \
                      'touch /usr/x 2>&1; touch /etc/x 2>&1; stat -c %a /root'; done";
        let (usr, etc) = ("touch: cannot touch '/usr/x': Read-only file system", "touch: cannot touch '/etc/x': Read-only file system");
        assert_eq!(rig.said(host, inside), format!("{usr}\n{etc}\n0\n{usr}\n{etc}\n0"), "{host}");
        let sudo = rig.said(host, "sudo -l -U postgres");
        assert!(sudo.contains("postgres is not allowed to run sudo"), "{sudo}");
        let scores = "for unit in patroni haproxy $(systemctl -q is-active etcd && echo etcd); do \
                      systemd-analyze security --no-pager $unit.service | sed -n 's/.*exposure level for \\([^:]*\\): \\([0-9.]*\\).*/\\1 \\2/p'; done";
        for line in rig.said(host, scores).lines() {
            let (unit, score) = line.split_once(' ').expect("a unit and its score");
            assert!(score.parse::<f64>().expect("a number") < 3.0, "{host}: {unit} {score}");
        }
    }
    listens_on_few_addresses(rig);
}

/// A unit that changed costs nobody a session until a restart is asked for.
fn units_wait_for_a_restart(rig: &Rig) {
    let host = "app-server-2.lan";
    let began = || {
        let times = "systemctl show -p ExecMainStartTimestampMonotonic --value etcd patroni haproxy; \
                     cd /; sudo -u postgres psql -X -A -t -d postgres -c 'SELECT pg_postmaster_start_time()'";
        rig.said(host, times).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = began();
    rig.said(host, "for unit in etcd patroni haproxy; do echo '# of before' >> /etc/systemd/system/$unit.service.d/pgfleet.conf; done");
    let told = rig.deploy(&[]).expect(0).out;
    for service in ["etcd", "Patroni and PostgreSQL", "HAProxy"] {
        assert!(told.contains(&format!("{service} on {host}: restart pending")), "{service}: {told}");
    }
    assert_eq!(began(), before);
    rig.deploy(&["-e", "postgresql_restart=true"]).expect(0);
    let after = began();
    assert!(after.len() == 4 && after.iter().zip(&before).all(|(after, before)| after != before), "{before:?} {after:?}");
    let told = rig.deploy(&[]).expect(0).expect_unchanged().out;
    assert!(!told.contains("restart pending"), "{told}");
}

/// Nothing but HAProxy's ports for clients answers on an address of the host that is not the node's own.
fn listens_on_few_addresses(rig: &Rig) {
    let try_port = |at: &str, port: u16| format!("(exec 3<>/dev/tcp/{at}/{port}) 2>&- && echo -n '{port} '");
    let open = |host: &str, at: &str| {
        let tries: Vec<String> = PORTS.iter().map(|port| try_port(at, *port)).collect();
        rig.said(host, &format!("bash -c \"{}; true\"", tries.join("; ")))
    };
    let host = "app-server-1.lan";
    rig.said(host, "ip address add 198.51.100.7/32 dev lo");
    let (own, loopback, other) = (open(host, &address(host)), open(host, "127.0.0.1"), open(host, "198.51.100.7"));
    rig.said(host, "ip address del 198.51.100.7/32 dev lo");
    assert_eq!(own, "5432 8008 2379 2380 5000 5001 5002 7000");
    assert_eq!((loopback.as_str(), other.as_str()), ("5432 2379 5000 5001 5002 7000", "5000 5001 5002 7000"));
}

/// The ports of a host that this machine reaches.
fn reached(host: &str) -> Vec<u16> {
    let open = |port: &&u16| {
        let at = format!("{}:{port}", address(host)).to_socket_addrs().expect("an address").next().expect("one");
        TcpStream::connect_timeout(&at, Duration::from_secs(3)).is_ok()
    };
    PORTS.iter().filter(open).copied().collect()
}

/// What PostgreSQL says to somebody of this machine, who is not in the cluster.
fn login(rig: &Rig, host: &str, user: &str, secret: &str) -> String {
    let url = format!("host={} port=5432 user={user} dbname=application connect_timeout=5", address(host));
    let mut asked = Command::new("psql");
    asked.args(["-X", "-A", "-t", "-w", "-d", &url, "-c", "SELECT 1"]).env("PGPASSWORD", rig.secret(secret));
    let output = asked.stdin(Stdio::null()).output().expect("psql runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

fn has_rules(rig: &Rig, host: &str) -> bool {
    rig.on(host, "nft list table inet pgfleet > /dev/null 2>&1", "").code == Some(0)
}

/// Rules come, under load, and go. Nobody who was connected before is cut off; whoever did not come back through them is let in again.
pub(crate) fn firewall_comes_and_goes(rig: &Rig) {
    let (app, host) = ("app_password.txt", "app-server-1.lan");
    assert_eq!(login(rig, host, "app_user", app), "1", "its network is the nodes' own");
    let refused = login(rig, host, "rewind", "secrets/rewind");
    assert!(refused.contains("rejects connection"), "{refused}");
    rig.said(host, "nft add table inet mine; nft add chain inet mine input '{ type filter hook input priority 10; }'");
    begin_load(rig);

    let settings = |trial: u8| {
        format!("{{\"postgresql_firewall\": \"nftables\", \"postgresql_firewall_trial\": {trial}, \"postgresql_allowed_networks\": []}}")
    };
    // The controller is gone before it has come back by a new connection.
    let died = rig.interrupted(&["deploy", "-e", &settings(5)], "Trust the rules", "-KILL");
    assert_eq!(died.code, None, "{}", died.out);
    rig.awaited("rules that nobody came through are taken back", 30, || {
        HOSTS.iter().all(|(host, _)| !has_rules(rig, host)) && reached(host).len() == PORTS.len()
    });

    rig.deploy(&["-e", &settings(60)]).expect(0);
    for (host, _) in HOSTS {
        // SSH works: each of these questions comes by it.
        assert!(has_rules(rig, host), "{host}");
        assert_eq!(reached(host), [0_u16; 0], "{host}");
        assert_eq!(rig.said(host, "systemctl is-enabled pgfleet-firewall"), "enabled");
        assert_eq!(rig.said(host, "ls /etc/pgfleet-firewall.before 2>&-; systemctl list-timers --all --no-legend 'pgfleet*'"), "");
    }
    let (code, view) = rig.status();
    assert_eq!(code, Some(0), "{view:#}");
    assert_eq!(view["members"].as_array().map(Vec::len), Some(HOSTS.len()));
    rig.deploy(&["-e", &settings(60)]).expect(0).expect_unchanged();
    // After somebody has loaded rules anew, and after a boot.
    rig.said(host, "nft delete table inet pgfleet; systemctl restart pgfleet-firewall; nft list table inet pgfleet > /dev/null");
    let leads = leader(&view).expect("a leader");
    let (replica, _) = HOSTS.iter().find(|(name, _)| ![leads.as_str(), LOAD, host].contains(name)).expect("a replica that nobody works on");
    rig.lab(&["kill", replica]).expect(0);
    rig.lab(&["start", replica]).expect(0);
    rig.status_becomes("a replica is back behind its rules", 90, |code, _| code == Some(0));
    assert!(has_rules(rig, replica));
    assert_eq!(reached(replica), [0_u16; 0]);
    let app_answers = rig.query("controller.lan", "127.0.0.1:5000", ("app_user", app), "SELECT 42").expect(0);
    assert_eq!(app_answers.out.trim(), "42");

    // Without the firewall it is PostgreSQL that lets nobody else log in.
    rig.deploy(&["-e", "{\"postgresql_allowed_networks\": []}"]).expect(0);
    assert!(HOSTS.iter().all(|(host, _)| !has_rules(rig, host)));
    assert_eq!(reached(host), PORTS);
    let refused = login(rig, host, "app_user", app);
    assert!(refused.contains("no pg_hba.conf entry"), "{refused}");
    assert_eq!(rig.said(host, "nft list tables; nft delete table inet mine"), "table inet mine");
    let gap = longest_gap(rig);
    assert!(gap < 10.0, "nothing was written for {gap} s");
    let broken = rig.said(crate::members::LOAD, "grep -c 'aborted\\|terminated\\|could not' /run/pgbench; true");
    assert_eq!(broken, "0", "sessions of before were cut off");
    end_load(rig);
    rig.deploy(&[]).expect(0);
    rig.deploy(&[]).expect(0).expect_unchanged();
}
