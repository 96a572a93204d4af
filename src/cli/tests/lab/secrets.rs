//! Logging in: connections, psql on a node, new passwords; the doctor, and what an earlier try left.

use serde_json::Value;

use crate::rig::{HOSTS, Ran, Rig};

/// Each way leads to a node of the role that it promises; psql opens on the right node, and no password is told.
pub(crate) fn connections(rig: &Rig) {
    let ran = rig.on_fleet("connection", &["--test", "--format", "all", "-o", "json"]).expect(0);
    let shown: Value = serde_json::from_str(&ran.out).expect("JSON");
    let rows = shown["connections"].as_array().expect("rows");
    assert_eq!(rows.len(), 35, "{shown:#}");
    for row in rows {
        assert!(row["tried"]["node"].is_string() && row["tried"]["error"].is_null(), "{row:#}");
        assert!(row["role"] == "any" || row["role"] == row["tried"]["role"], "{row:#}");
    }
    let password = std::fs::read_to_string(rig.project().join("state/postgresql/secrets/app")).expect("a password");
    assert!(!ran.out.contains(password.trim()), "the password is told unasked");
    let told = rig.on_fleet("connection", &["--show-password"]).expect(0).out;
    assert!(told.contains(password.trim()) && told.contains("state/postgresql/pki/ca.crt"), "{told}");
    for (role, user, expect) in [("leader", "app_user", "f"), ("replica", "app_readonly", "t"), ("any", "postgres", "f")] {
        let arguments = ["--role", role, "-U", user, "-c", "SELECT pg_is_in_recovery(), current_user", "--", "-A", "-t"];
        let ran = rig.on_fleet("connect", &arguments).expect(0);
        assert_eq!(ran.out.trim(), format!("{expect}|{user}"), "{}", ran.err);
    }
    rig.on_fleet("connect", &["-c", "SELEC"]).expect(1);
}

fn secrets(rig: &Rig, arguments: &[&str]) -> Ran {
    let inventory = rig.inventory();
    rig.pgfleet(&[&["secrets", arguments[0], "-i", &inventory], &arguments[1..]].concat())
}

fn value(rig: &Rig, name: &str) -> String {
    secrets(rig, &["show", name]).expect(0).out.trim().to_owned()
}

/// New passwords while a session writes: not one error, each proven on every node, and nothing left for a deploy to do.
pub(crate) fn rotation(rig: &Rig) {
    let staged = || {
        std::fs::read_dir(rig.project().join("state/postgresql/secrets"))
            .expect("secrets")
            .any(|entry| entry.expect("an entry").path().extension().is_some_and(|extension| extension == "next"))
    };
    const NEW: [&str; 5] = ["superuser", "replication", "patroni_rest", "etcd", "etcd_admin"];
    let before = NEW.map(|name| value(rig, name));
    let app = value(rig, "app");
    // One session, and a new connection for each row, through HAProxy.
    let writer = format!(
        "export PGPASSWORD={} PGUSER=app_user PGDATABASE=application PGHOST=127.0.0.1 PGPORT=5000; \
         psql -X -q -c 'CREATE TABLE IF NOT EXISTS rotated (n int)'; rm -f /tmp/stop; \
         nohup sh -c 'n=0; while [ ! -e /tmp/stop ]; do n=$((n+1)); psql -X -q -c \"INSERT INTO rotated VALUES ($n)\" || echo failed; done; echo wrote $n' > /tmp/writer 2>&1 &",
        app
    );
    rig.said("app-server-2.lan", &writer);
    let ran = secrets(rig, &["rotate", "-o", "lines"]).expect(0);
    let told = rig.said(
        "app-server-2.lan",
        "touch /tmp/stop; for i in 1 2 3 4 5 6 7 8 9; do grep -q wrote /tmp/writer && break; sleep 0.5; done; cat /tmp/writer",
    );
    assert!(told.starts_with("wrote ") && !told.contains("failed"), "{told}");
    assert!(!staged(), "staged passwords are left");
    for (name, before) in NEW.iter().zip(&before) {
        let now = value(rig, name);
        assert!(now != *before && now.len() == 32 && !ran.out.contains(&now) && !ran.out.contains(before.as_str()), "{name}");
    }
    assert_eq!(value(rig, "app"), app, "the application's password changes only when it is named");
    // A walreceiver that connects anew has the new password at once.
    for (host, _) in HOSTS {
        let ask =
            |what: &str| rig.said(host, &format!("cd /; sudo -u postgres psql -X -A -t -c 'SELECT {what} FROM pg_stat_wal_receiver'"));
        let process = ask("pid");
        if !process.is_empty() {
            rig.said(host, &format!("kill {process}; sleep 3"));
            let now = ask("pid");
            assert!(!now.is_empty() && now != process, "{host}: {now}");
        }
    }
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// What an interrupted rotation left is told, keeps a deploy away, and is finished by the next one; a failed one brings the old back.
pub(crate) fn interrupted_rotation(rig: &Rig) {
    let folder = rig.project().join("state/postgresql/secrets");
    let before = value(rig, "readonly");
    // As it is after a controller that died before anything was told to the cluster.
    std::fs::write(folder.join("readonly.next"), "abcdefghijklmnopqrstuvwxyz012345\n").expect("writes");
    let refused = rig.deploy(&[]).expect(6);
    assert!(refused.err.contains("readonly") && refused.err.contains("pgfleet secrets rotate"), "{}", refused.err);
    assert!(secrets(rig, &["list"]).expect(0).out.contains("rotation interrupted"));
    // A node whose file cannot be written: the old passwords come back everywhere.
    rig.said(
        "builder.lan",
        "mount --bind /etc/patroni/config.yml /etc/patroni/config.yml && mount -o remount,ro,bind /etc/patroni/config.yml",
    );
    let failed = secrets(rig, &["rotate", "rewind", "-o", "lines"]).expect(2);
    assert!(failed.out.contains("has its old passwords again"), "{}", failed.out);
    rig.said("builder.lan", "umount /etc/patroni/config.yml");
    assert_eq!(value(rig, "readonly"), before);
    std::fs::write(folder.join("readonly.next"), "abcdefghijklmnopqrstuvwxyz012345\n").expect("writes");
    secrets(rig, &["rotate", "haproxy_stats"]).expect(0);
    assert_eq!(value(rig, "readonly"), "abcdefghijklmnopqrstuvwxyz012345");
    rig.on_fleet("connect", &["-U", "app_readonly", "-c", "SELECT 1"]).expect(0);
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// The doctor finds nothing wrong with a cluster that is well, and names what is.
pub(crate) fn doctor(rig: &Rig) {
    let ran = rig.on_fleet("doctor", &["-o", "json"]).expect(0);
    let shown: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(shown["healthy"], true, "{shown:#}");
    assert!(shown["checks"].as_array().is_some_and(|checks| checks.len() > 60), "{shown:#}");
    // A slot that nobody uses is worth a look; a router that is down is a failure.
    let leader =
        "[ \"$(sudo -u postgres psql -X -A -t -c 'SELECT pg_is_in_recovery()')\" = f ] || exit 0; sudo -u postgres psql -X -q -A -t -c";
    let on_leader = |sql: &str| HOSTS.iter().for_each(|(host, _)| drop(rig.said(host, &format!("{leader} \"{sql}\""))));
    on_leader("SELECT pg_create_physical_replication_slot('forgotten', true)");
    let table = rig.on_fleet("doctor", &[]).expect(0).out;
    on_leader("SELECT pg_drop_replication_slot('forgotten')");
    assert!(table.contains("forgotten is inactive"), "{table}");
    rig.said("builder.lan", "systemctl stop haproxy");
    let table = rig.on_fleet("doctor", &[]).expect(8).out;
    rig.said("builder.lan", "systemctl start haproxy");
    assert!(table.contains("haproxy on builder.lan is"), "{table}");
    a_full_etcd(rig);
}

/// A voter with no room in its database: etcd takes no writes until it has room, and somebody takes the alarm back.
fn a_full_etcd(rig: &Rig) {
    let (_, before) = rig.status();
    let voter = before["etcd"].as_array().and_then(|voters| voters.iter().find(|voter| voter["leader"] == false)).expect("a voter");
    let voter = voter["name"].as_str().expect("a name");
    let unit = "/etc/systemd/system/etcd.service.d/zz-room.conf";
    let (anew, put) = ("systemctl daemon-reload; systemctl restart etcd", format!("{} put /room yes 2>&1 || true", crate::logins::ADMIN));
    let quota = format!("printf '[Service]\nEnvironment=ETCD_QUOTA_BACKEND_BYTES=20480\n' > {unit}; {anew}");
    assert!(rig.said(voter, &format!("{quota}; export ETCDCTL_ENDPOINTS=https://127.0.0.1:2379; {put}")).contains("space exceeded"));
    let (_, view) = rig.status();
    let worst = view["findings"][0]["text"].to_string();
    assert!(worst.contains(&format!("its database on {voter} is full (alarm NOSPACE)")), "{view:#}");
    let refused = rig.deploy(&[]).expect(2);
    assert!(refused.out.contains("its alarm NOSPACE stands") && refused.out.contains("nothing was changed"), "{}", refused.out);
    rig.said(voter, &format!("rm {unit}; {anew}; {} alarm disarm", crate::logins::ADMIN));
    rig.status_becomes("etcd takes writes again", 60, |code, _| code == Some(0));
    rig.deploy(&[]).expect(0);
}

/// A cluster whose etcd forgot it is adopted, and data of another cluster is wiped: both only when somebody says so.
pub(crate) fn leftovers(rig: &Rig) {
    let hosts = HOSTS.map(|(host, _)| host);
    rig.on_fleet("connect", &["-c", "CREATE TABLE spared AS SELECT generate_series(1, 1000) AS n"]).expect(0);
    hosts.iter().for_each(|host| drop(rig.said(host, "systemctl stop patroni")));
    rig.said("controller.lan", &format!("{} del --prefix /service/coolify_postgres/", crate::logins::ADMIN));
    let refused = rig.deploy(&[]).expect(6);
    assert!(refused.out.contains("etcd knows of no cluster") && refused.out.contains("postgresql_leftovers=adopt"), "{}", refused.out);
    rig.deploy(&["-e", "postgresql_leftovers=adopt"]).expect(0);
    let rows = rig.on_fleet("connect", &["--role", "replica", "-c", "SELECT count(*) FROM spared", "--", "-A", "-t"]).expect(0);
    assert_eq!(rows.out.trim(), "1000");
    // Another cluster's data, on whatever replica it is.
    let (_, view) = rig.status();
    let replica = hosts
        .into_iter()
        .find(|host| view["members"].as_array().into_iter().flatten().any(|member| member["name"] == *host && member["role"] != "leader"));
    let replica = replica.expect("a replica");
    rig.said(replica, "systemctl stop patroni; cd /; d=$(ls -d /var/lib/postgresql/*/coolify_postgres); rm -rf $d; $(ls -d /usr/lib/postgresql/*/bin)/pg_controldata --version; runuser -u postgres -- $(ls -d /usr/lib/postgresql/*/bin)/initdb -D $d > /dev/null 2>&1");
    assert!(rig.deploy(&["-e", "postgresql_leftovers=wipe"]).expect(6).out.contains("other data is on"));
    rig.deploy(&["-e", "postgresql_leftovers=wipe", "-e", "postgresql_wipe=coolify_postgres"]).expect(0);
    rig.deploy(&[]).expect(0).expect_unchanged();
    rig.on_fleet("connect", &["-c", "DROP TABLE spared"]).expect(0);
    rig.status_becomes("the cluster is healthy with what was spared", 60, |code, _| code == Some(0));
}

/// Users, databases, extensions and lines of pg_hba.conf become as they are declared, on a cluster that works, and go again.
pub(crate) fn declared(rig: &Rig) {
    let leader = |sql: &str| rig.on_fleet("connect", &["-U", "postgres", "-c", sql, "--", "-A", "-t"]).expect(0).out.trim().to_owned();
    let file = rig.project().join("declared.yml");
    let declare = |text: &str| std::fs::write(&file, text).expect("writes");
    let extra = format!("@{}", file.display());
    let deploy = |more: &[&str]| rig.deploy(&[&["-e", &extra], more].concat());
    declare(
        "postgresql_users:\n- {name: report, roles: [pg_monitor], grants: [{database: shop}]}\n- {name: other, password: it's \\ \"mine\"}\n\
         postgresql_databases:\n- {name: shop, owner: other, extensions: [hstore]}\n- {name: application, extensions: [pg_trgm]}\n\
         postgresql_hba_rules: [host all other 192.0.2.0/24 reject]\n",
    );
    deploy(&[]).expect(0);
    deploy(&[]).expect(0).expect_unchanged();
    assert_eq!(leader("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'"), "other");
    let reported = rig.on_fleet(
        "connect",
        &["-U", "report", "-d", "shop", "-c", "SELECT extname FROM pg_extension WHERE extname = 'hstore'", "--", "-A", "-t"],
    );
    assert_eq!(reported.expect(0).out.trim(), "hstore");
    assert_eq!(leader("SELECT count(*) FROM pg_hba_file_rules WHERE address = '192.0.2.0'"), "1");
    assert_eq!(value(rig, "users/report").len(), 32);
    declare(
        "postgresql_users: [{name: report, roles: [], state: absent}, {name: other, state: absent}]\npostgresql_databases: [{name: shop, state: absent}]\n",
    );
    let refused = deploy(&[]).expect(6);
    assert!(refused.err.contains("postgresql_drop_databases"), "{}", refused.err);
    deploy(&["-e", r#"{"postgresql_drop_databases": ["shop"]}"#]).expect(0);
    assert_eq!(
        leader(
            "SELECT (SELECT count(*) FROM pg_database WHERE datname = 'shop') + (SELECT count(*) FROM pg_roles WHERE rolname IN ('report', 'other'))"
        ),
        "0"
    );
    declare("postgresql_users: [{name: report, rolse: []}]\n");
    assert!(deploy(&[]).expect(5).err.contains("roles"));
    rig.deploy(&[]).expect(0).expect_unchanged();
}
