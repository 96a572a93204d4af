//! What a cluster is made of: a node leaves and comes back, databases are restored, everything is lost and made anew.

use crate::members::{LOAD, begin_load, end_load, end_load_over};
use crate::rig::{HOSTS, Ran, Rig, address, leader, members_as};

const PSQL: &str = "runuser -u postgres -- psql -X -q -A -t -v ON_ERROR_STOP=1 -d";
const APPLICATION: &str = "application";

fn sql(rig: &Rig, host: &str, database: &str, text: &str) -> String {
    rig.on(host, &format!("{PSQL} {database}"), text).expect(0).out.trim().to_owned()
}

fn leads(rig: &Rig) -> String {
    leader(&rig.status().1).expect("a leader")
}

fn restore(rig: &Rig, word: &[&str], arguments: &[&str]) -> Ran {
    let inventory = rig.inventory();
    rig.pgfleet(&[&["restore"], word, &["-i", &inventory, "-o", "lines"], arguments].concat())
}

fn voters(rig: &Rig) -> Vec<String> {
    let (_, view) = rig.status();
    let names = view["etcd"].as_array().into_iter().flatten().filter(|voter| voter["healthy"] == true);
    names.filter_map(|voter| voter["name"].as_str().map(str::to_owned)).collect()
}

/// A node leaves while a client writes: the leader itself after it has handed over. A deploy brings it back as a learner first.
pub(crate) fn a_node_leaves_and_comes_back(rig: &Rig) {
    let leader = leads(rig);
    let refused = rig.on_fleet("scale-in", &[&leader, "--yes", "-o", "lines"]).expect(6);
    assert!(refused.out.contains("is the leader") && refused.out.contains("--switchover"), "{}", refused.out);
    rig.on_fleet("scale-in", &[LOAD, "--dead", "--yes"]).expect(6);
    // The client goes through its own host, which is to stay.
    let voters_before = voters(rig);
    let leaving = if voters_before.contains(&leader) { leader } else { voters_before[0].clone() };
    let would = rig.on_fleet("scale-in", &[&leaving, "--switchover", "--check", "-o", "lines"]).expect(0);
    assert!(would.out.contains("etcd goes on with 2 of 3 voters") && voters(rig).len() == 3, "{}", would.out);
    let firewall = ["-e", "{\"postgresql_firewall\": \"nftables\"}"];
    rig.deploy(&firewall).expect(0);
    begin_load(rig);
    let left = rig.on_fleet("scale-in", &[&[leaving.as_str(), "--switchover", "--yes", "-o", "lines"], &firewall[..]].concat()).expect(0);
    assert!(left.out.contains("has left the cluster"), "{}", left.out);
    assert!(!voters(rig).contains(&leaving));
    assert_eq!(rig.said(&leaving, "ls /etc/pgfleet /etc/profile.d | grep etcd || true"), "", "the login of etcd's administrator");
    let slots = sql(rig, &leads(rig), "postgres", "SELECT string_agg(slot_name, ' ') FROM pg_replication_slots");
    assert!(!slots.contains(&leaving.replace(['.', '-'], "_")), "{slots}");
    for (host, _) in HOSTS.iter().filter(|(host, _)| *host != leaving) {
        rig.said(host, &format!("! grep -q 'server {leaving} ' /etc/haproxy/haproxy.cfg"));
        let refused =
            format!("nft list table inet pgfleet > /dev/null && ! nft list table inet pgfleet | grep -qw '{}'", address(&leaving));
        rig.said(host, &refused);
    }
    rig.deploy(&firewall).expect(0);
    let back = rig.status_becomes("it is back", 60, |code, view| code == Some(0) && members_as(view, &["leader"]).len() == 1);
    assert_eq!(back["members"].as_array().map(Vec::len), Some(4), "{back:#}");
    assert!(voters(rig).len() == 3 && voters(rig).contains(&leaving));
    end_load(rig);
    rig.deploy(&firewall).expect(0).expect_unchanged();
    rig.deploy(&[]).expect(0);
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// Rows that were deleted by mistake come back; what was written since then is not lost either.
pub(crate) fn restored_beside(rig: &Rig) {
    let leader = leads(rig);
    sql(
        rig,
        &leader,
        APPLICATION,
        "CREATE TABLE restored AS SELECT n, md5(n::text) AS t FROM generate_series(1, 20000) AS n; ALTER TABLE restored OWNER TO app_user;",
    );
    let app = ("app_user", "app_password.txt");
    let count = |expected: &str| {
        let ran = rig.query("builder.lan", "127.0.0.1:5000", app, "SELECT count(*) FROM restored").expect(0);
        assert_eq!(ran.out.trim(), expected);
    };
    for format in ["custom", "plain"] {
        // Clients that go on writing meet the restored database under the old name; what they wrote before is in the one that is kept.
        begin_load(rig);
        rig.on_fleet("backup", &["--format", format]).expect(0);
        sql(rig, &leader, APPLICATION, "DELETE FROM restored WHERE n > 5;");
        count("5");
        let arguments = ["--backup", "latest", "--database", APPLICATION];
        let would = restore(rig, &[], &[&arguments[..], &["--check"]].concat()).expect(0);
        assert!(would.out.contains("is replaced by") && would.out.contains("needed on the disk"), "{}", would.out);
        assert!(restore(rig, &[], &arguments).expect(6).err.contains("--yes"));
        let ran = restore(rig, &[], &[&arguments[..], &["--yes"]].concat()).expect(0);
        assert!(ran.out.contains("as in the backup") && ran.out.contains("kept until you decide"), "{}", ran.out);
        count("20000");
        let kept = sql(rig, &leader, "postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'application_%'");
        let open = |open: bool| sql(rig, &leader, "postgres", &format!("ALTER DATABASE \"{kept}\" ALLOW_CONNECTIONS {open}"));
        open(true);
        end_load_over(rig, &[APPLICATION, &kept]);
        open(false);
        assert!(restore(rig, &["list"], &[]).expect(0).out.contains("as it was before its restore"));
        restore(rig, &[], &[&arguments[..], &["--yes"]].concat()).expect(6);
        restore(rig, &["undo"], &["--yes"]).expect(0);
        count("5");
        restore(rig, &["commit"], &["--yes"]).expect(0);
        restore(rig, &["commit"], &["--yes"]).expect(6);
        sql(rig, &leader, APPLICATION, "INSERT INTO restored SELECT n, md5(n::text) FROM generate_series(6, 20000) AS n;");
    }
    restore(rig, &[], &["--backup", "nonsense", "--yes"]).expect(6);
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// Whoever may make roles and tables names them as he likes: what names and texts have of SQL and of a dump's lines is never more than a name or a text.
pub(crate) fn names_of_any_kind(rig: &Rig) {
    const DATABASE: &str = "host=elsewhere\n\\! touch /tmp/run\nlines";
    const ROLE: &str = "\"x\"\"\nCREATE ROLE evil;\nALTER ROLE evil WITH SUPERUSER;\n\"";
    let leader = leads(rig);
    let ask = |database: &str, text: &str| sql(rig, &leader, database, text);
    ask("postgres", &format!("CREATE ROLE {ROLE}; CREATE DATABASE \"{DATABASE}\";"));
    ask(
        APPLICATION,
        "CREATE FUNCTION lines() RETURNS text LANGUAGE sql AS $f$ SELECT '\n\\connect postgres\nCOPY public.t (a) FROM stdin;\n1\n\\.\n' $f$;\n\
         CREATE TABLE \"two\nCOPY lines\" (t text); INSERT INTO \"two\nCOPY lines\" VALUES ('it''s'), (E'\\n\\\\connect x');",
    );
    let said = ask(APPLICATION, "SELECT lines();");
    for (format, databases) in [("custom", &[APPLICATION, DATABASE][..]), ("plain", &[APPLICATION])] {
        rig.on_fleet("backup", &["--format", format]).expect(0);
        ask("postgres", &format!("DROP ROLE {ROLE};"));
        let wanted: Vec<&str> = databases.iter().flat_map(|database| ["--database", *database]).collect();
        let ran = restore(rig, &[], &[&["--backup", "latest", "--yes"], &wanted[..]].concat()).expect(0);
        assert!(ran.out.contains("kept until you decide"), "{}", ran.out);
        restore(rig, &["commit"], &["--yes"]).expect(0);
        assert_eq!(ask(APPLICATION, "SELECT lines();"), said, "{format}");
        assert_eq!(ask(APPLICATION, "SELECT count(*) FROM \"two\nCOPY lines\";"), "2", "{format}");
        let roles = "SELECT count(*) FILTER (WHERE rolname LIKE 'x%'), count(*) FILTER (WHERE rolname = 'evil') FROM pg_roles;";
        assert_eq!(ask("postgres", roles), "1|0", "{format}");
        // pg_dumpall takes no database with a line break in its name.
        ask("postgres", &format!("DROP DATABASE IF EXISTS \"{DATABASE}\";"));
    }
    for (host, _) in HOSTS {
        rig.said(host, "! ls /tmp/run");
    }
    ask("postgres", &format!("DROP ROLE {ROLE};"));
    ask(APPLICATION, "DROP FUNCTION lines(); DROP TABLE \"two\nCOPY lines\";");
}

/// Rows by table, of every database.
fn rows(rig: &Rig) -> Vec<String> {
    let leader = leads(rig);
    let query = "SELECT format('SELECT %L, count(*) FROM %I.%I', relname, nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
        WHERE relkind = 'r' AND relpersistence = 'p' AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1 \\gexec\n";
    [APPLICATION, "postgres"].iter().map(|database| sql(rig, &leader, database, query)).collect()
}

fn anew(rig: &Rig, file: &str, more: &[&str]) -> Ran {
    let file = format!("backup_file={file}");
    rig.deploy(&[&["-e", "restore_from_backup=true", "-e", &file], more].concat())
}

fn whole_again(rig: &Rig, before: &[String]) {
    let view = rig.status_becomes("the new cluster is healthy", 60, |code, _| code == Some(0));
    let streaming = view["members"].as_array().into_iter().flatten().filter(|member| member["state"] == "streaming").count();
    assert_eq!((streaming, rows(rig)), (3, before.to_vec()), "{view:#}");
    rig.query("builder.lan", "127.0.0.1:5000", ("app_user", "app_password.txt"), "SELECT 1").expect(0);
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// All hosts crash, and their disks lose the data. The state folder and a backup are enough.
pub(crate) fn everything_is_lost(rig: &Rig) {
    rig.on_fleet("backup", &[]).expect(0);
    let before = rows(rig);
    let wrong = anew(rig, "postgres_backup_19990101.sql.gz", &[]).expect(5);
    assert!(wrong.err.contains("there is no file"), "{}", wrong.err);
    assert!(anew(rig, "latest", &[]).expect(6).out.contains("still hold one"));
    rig.lab(&["power-cut"]).expect(0);
    rig.lab_up();
    for (host, _) in HOSTS {
        rig.said(host, "systemctl stop haproxy patroni; systemctl stop etcd; rm -rf /var/lib/postgresql/* /var/lib/etcd/*");
    }
    anew(rig, "latest", &[]).expect(0);
    whole_again(rig, &before);
}

/// After a destroy nothing of ours is on the hosts; its last backup makes the cluster again.
pub(crate) fn destroyed_and_made_again(rig: &Rig) {
    let before = rows(rig);
    assert!(rig.on_fleet("destroy", &[]).expect(6).err.contains("--yes"));
    rig.on_fleet("destroy", &["--backup", "--yes"]).expect(0);
    for (host, _) in HOSTS {
        let left = "ls -d /etc/patroni/config.yml /etc/haproxy/haproxy.cfg /usr/local/lib/pgfleet /var/lib/pgfleet /var/lib/postgresql/17 2>&-; \
            grep pgfleet /etc/hosts /etc/environment; systemctl is-active patroni haproxy etcd pgfleet-agent | grep -x active; true";
        assert_eq!(rig.said(host, left), "", "{host}");
    }
    assert!(!rig.secret("secrets/superuser").is_empty(), "secrets stay");
    anew(rig, "latest", &[]).expect(0);
    whole_again(rig, &before);
}
