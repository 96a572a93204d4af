//! What is done to the members of a cluster, while a client writes: what it was told is written must be there afterwards.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::rig::{HOSTS, Rig, leader, patroni};

/// Where the load comes from.
pub(crate) const LOAD: &str = "builder.lan";

/// What the load asks: four clients of pgbench beside the one that writes numbered rows. Each begins anew when its connection is cut.
const PGBENCH: &str = "/usr/lib/postgresql/17/bin/pgbench -n -h db.postgres.host.uk.com -U app_user application";

/// What PostgreSQL says with a row that may be on the leader alone: it was written, and nobody can say that it is kept.
const UNSURE: &str = "canceling wait for synchronous replication";

/// Begins to write numbered rows through the service name; each that was acknowledged is kept in a list on the guest. Only what is stopped by
/// whoever began it has gone on long enough: the end by itself is that of a load that nobody looks after any more.
pub(crate) fn begin_load(rig: &Rig) {
    let app = ("app_user", "app_password.txt");
    rig.query(LOAD, "db.postgres.host.uk.com:5432", app, "CREATE TABLE IF NOT EXISTS load (n int); TRUNCATE load").expect(0);
    let script = format!(
        "umask 077; read -r p; echo \"*:*:*:app_user:$p\" > /root/.pgpass; cat > /run/load.sh <<'END'\n\
         export PGCONNECT_TIMEOUT=3 HOME=/root; i=0; echo $EPOCHREALTIME > /run/begun; : > /run/acknowledged; : > /run/unsure; : > /run/moments\n\
         while :; do {PGBENCH} -c 4 -R 40 -T 900; sleep 0.2; done > /run/pgbench 2>&1 &\n\
         while :; do i=$((i+1)); said=$(psql -X -q -h db.postgres.host.uk.com -U app_user -d application -c \"INSERT INTO load VALUES ($i)\" 2>&1) \
         && case $said in *'{UNSURE}'*) echo $i >> /run/unsure;; *) echo $i >> /run/acknowledged; echo $EPOCHREALTIME >> /run/moments;; esac; \
         sleep 0.02; done\nEND\n\
         systemctl --quiet stop load 2> /dev/null; systemctl --quiet reset-failed load 2> /dev/null; rm -f /run/begun; HOME=/root {PGBENCH} -i -q -s 1 2>&1 && \
         systemd-run --quiet --unit=load --property=RuntimeMaxSec=7200 --property=StandardError=null bash /run/load.sh"
    );
    rig.on(LOAD, &script, &format!("{}\n", rig.secret("app_password.txt"))).expect(0);
    let committed = "SELECT coalesce(sum(delta) IS NOT NULL, false) FROM pgbench_history";
    let begun = || rig.query(LOAD, "db.postgres.host.uk.com:5432", app, committed).out.trim() == "t";
    let end = Instant::now() + Duration::from_secs(60);
    while !begun() {
        assert!(Instant::now() < end, "pgbench commits nothing: {}", rig.said(LOAD, "tail -5 /run/pgbench"));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Seconds since the load began, and the longest time of them in which no row was acknowledged, until now.
const TIMES: &str = "{ cat /run/begun /run/moments; date +%s.%N; } | \
    awk 'NR == 1 { begin = $1 } NR > 1 && $1 - last > gap { gap = $1 - last } { last = $1 } END { print last - begin, gap }'";

/// The longest time in seconds that passed without a row.
pub(crate) fn longest_gap(rig: &Rig) -> f64 {
    let said = rig.said(LOAD, TIMES);
    said.split(' ').nth(1).and_then(|gap| gap.parse().ok()).unwrap_or_else(|| panic!("no seconds: {said}"))
}

/// The state of the load before its end, the times, and how many rows are surely there, and perhaps; then it is ended.
fn stopped() -> String {
    format!(
        "state=$(systemctl is-active load); times=$({TIMES}); systemctl stop load; echo $state $times $(wc -l < /run/acknowledged) $(wc -l < /run/unsure)"
    )
}

/// It went on until now, and wrote as much as one that is served: outside of its longest gap at least a row in two seconds, where a busy
/// machine lets it write five.
fn was_a_load(stopped: &str) {
    let words: Vec<&str> = stopped.split_whitespace().collect();
    let number = |place: usize| words.get(place).and_then(|word| word.parse::<f64>().ok()).unwrap_or_else(|| panic!("{stopped}"));
    let (seconds, gap, acknowledged) = (number(1), number(2), number(3));
    assert_eq!(words[0], "active", "the load has ended before its time: {stopped}");
    let least = 5.0_f64.max((seconds - gap) / 2.0);
    assert!(acknowledged >= least, "{acknowledged} rows in {seconds} s, {gap} of them without any: that was no load ({stopped})");
}

/// Ends it where databases were renamed meanwhile: each row that was acknowledged must be in one of these.
pub(crate) fn end_load_over(rig: &Rig, databases: &[&str]) {
    let said = rig.said(LOAD, &format!("{}; cat /run/acknowledged; rm /root/.pgpass", stopped()));
    let (told, acknowledged) = said.split_once('\n').expect("rows");
    was_a_load(told);
    let leads = leads(rig);
    let rows = |database: &&str| rig.said(&leads, &format!("cd /; sudo -u postgres psql -X -A -t -d '{database}' -c 'SELECT n FROM load'"));
    let there: Vec<String> = databases.iter().map(rows).collect();
    let there: std::collections::BTreeSet<&str> = there.iter().flat_map(|rows| rows.lines()).collect();
    let missing: Vec<&str> = acknowledged.lines().filter(|row| !there.contains(row)).collect();
    assert!(missing.is_empty() && acknowledged.lines().count() > 50, "{missing:?} of {} rows are gone", acknowledged.lines().count());
}

/// Ends it, and counts rows that were acknowledged and are gone: there must be none. What pgbench has moved must balance.
pub(crate) fn end_load(rig: &Rig) {
    let ask = "psql -X -A -t -h db.postgres.host.uk.com -U app_user -d application";
    let balance = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)";
    let count = format!(
        "{}; {ask} -c 'SELECT n FROM load' | sort > /run/there \
         && sort /run/acknowledged | comm -13 /run/there - | wc -l; {ask} -c '{balance}' \
         -c 'DROP TABLE pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers'; rm /root/.pgpass",
        stopped()
    );
    let said = rig.said(LOAD, &count);
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let [told, missing, balanced, _] = lines.as_slice() else { panic!("{said}") };
    assert_eq!(*missing, "0", "acknowledged rows are gone: {said}");
    was_a_load(told);
    assert_eq!(*balanced, "t", "what pgbench moved must balance");
}

fn leads(rig: &Rig) -> String {
    leader(&rig.status().1).expect("a leader")
}

fn a_replica(rig: &Rig) -> String {
    let leads = leads(rig);
    // One that votes, and is not where the load comes from.
    HOSTS.iter().map(|(host, _)| *host).find(|host| *host != leads && *host != LOAD).expect("a replica").to_owned()
}

fn healthy(rig: &Rig) {
    rig.status_becomes("the cluster is healthy", 120, |code, _| code == Some(0));
}

pub(crate) fn pause_and_history(rig: &Rig) {
    rig.on_fleet("pause", &["-o", "json", "--check"]).expect(0);
    assert_eq!(rig.status().1["paused"], false, "a check pauses nothing");
    rig.on_fleet("pause", &["-o", "json"]).expect(0);
    for (host, _) in HOSTS {
        assert_eq!(patroni(host, "/patroni").expect("Patroni answers")["pause"], true, "{host}");
    }
    rig.on_fleet("pause", &["-o", "json"]).expect(0).expect_unchanged();
    let told = rig.on_fleet("status", &[]);
    assert!(told.out.contains("'pgfleet resume'"), "{}", told.out);
    rig.on_fleet("resume", &["-o", "json"]).expect(0);
    rig.on_fleet("resume", &["-o", "json"]).expect(0).expect_unchanged();
    healthy(rig);
    let history: Value = serde_json::from_str(&rig.on_fleet("history", &["-o", "json"]).expect(0).out).expect("JSON");
    assert!(history.is_array(), "{history:#}");
}

/// Settings are checked before anything is changed; what counts at once does, and what needs a restart waits for one.
pub(crate) fn shared_settings(rig: &Rig) {
    let inventory = rig.inventory();
    let config = |arguments: &[&str]| rig.pgfleet(&[&["config"], arguments, &["-i", &inventory]].concat());
    let refused = config(&["set", "wrok_mem=9MB"]).expect(6);
    assert!(refused.out.contains("'work_mem'"), "{}", refused.out);
    config(&["set", "work_mem=9 apples"]).expect(6);
    for (setting, words) in [
        ("DateStyle=junk", "invalid value for parameter \"DateStyle\""),
        ("shared_preload_libraries=pg_nowhere", "no library 'pg_nowhere'"),
    ] {
        let refused = config(&["set", setting]).expect(6);
        assert!(refused.out.contains(words), "{}", refused.out);
    }
    let show = || config(&["show"]).expect(0).out;
    let before = show();
    config(&["set", "work_mem=9MB", "max_connections=120", "--check"]).expect(0);
    assert_eq!(show(), before, "a check changes nothing");
    let ran = config(&["set", "work_mem=9MB", "max_connections=120"]).expect(0);
    assert!(ran.out.contains("+postgresql.parameters.work_mem: 9MB") && ran.out.contains("restart --rolling --pending"), "{}", ran.out);
    for (host, _) in HOSTS {
        assert_eq!(rig.said(host, "sudo -u postgres psql -X -A -t -c 'SHOW work_mem' -c 'SHOW max_connections'"), "9MB\n100");
    }
    config(&["set", "work_mem=9MB", "-o", "json"]).expect(0).expect_unchanged();
    // PostgreSQL shows some of them otherwise than they were set, or not at all.
    let unlike = ["DateStyle=iso, dmy", "tcp_keepalives_idle=61", "log_file_mode=0640", "archive_command=false"];
    config(&[&["set"], unlike.as_slice()].concat()).expect(0);
    let back: Vec<String> = unlike.iter().map(|set| format!("{}=null", set.split('=').next().unwrap_or_default())).collect();
    config(&[&["set"], back.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat()).expect(0);
    // What a person does in an editor is a patch too.
    let edited = rig
        .pgfleet_with(&["config", "edit", "--yes", "-i", &inventory], &[("EDITOR", "sed -i -e /work_mem/d -e s/120/100/"), ("VISUAL", "")]);
    edited.expect(0);
    assert_eq!(show(), before);
    rig.deploy(&[]).expect(0).expect_unchanged();
    let reloaded = rig.on_fleet("reload", &["-o", "lines"]).expect(0);
    assert!(reloaded.out.contains("Reloaded: "), "{}", reloaded.out);
    healthy(rig);
}

pub(crate) fn a_replica_made_anew(rig: &Rig) {
    let (leads, replica) = (leads(rig), a_replica(rig));
    rig.on_fleet("reinit", &[&leads, "--yes"]).expect(6);
    rig.on_fleet("reinit", &[&replica]).expect(6);
    begin_load(rig);
    // An inode's number may be given again; the moment of its birth is not.
    let born = || rig.said(&replica, "stat -c '%i %w' /var/lib/postgresql/*/*/PG_VERSION");
    let before = born();
    let ran = rig.on_fleet("reinit", &[&replica, "--yes", "-o", "lines"]).expect(0);
    assert!(ran.out.contains("is made anew"), "{}", ran.out);
    assert_ne!(born(), before, "{}", ran.out);
    end_load(rig);
    healthy(rig);
}

/// A replica on a disk that is smaller than the data: nothing is thrown away for a copy that cannot end, and who waits for one is told why it
/// does not come.
pub(crate) fn a_disk_that_is_too_small(rig: &Rig) {
    let host = LOAD;
    let folder = rig.said(host, "cd /var/lib/postgresql; echo $PWD/[0-9]*");
    let folder = folder.trim();
    let size = rig.said(host, &format!("du -sm {folder}/coolify_postgres/base | cut -f 1"));
    let size: u64 = size.trim().parse().expect("MB");
    let small = format!("mount -t tmpfs -o size={}m,uid=postgres,gid=postgres,mode=755 tmpfs {folder}", size * 2 / 3);
    rig.said(host, &format!("systemctl stop patroni; {small}; systemctl start patroni"));
    let is_empty = |said: Value| said["role"] == "uninitialized";
    rig.awaited("Patroni finds its folder empty", 60, || patroni(host, "/patroni").is_some_and(is_empty));
    let refused = rig.on_fleet("reinit", &[host, "--yes"]).expect(6);
    assert!(refused.out.contains("has no room for"), "{}", refused.out);
    for (ran, code) in [(rig.on_fleet("reinit", &[host, "--yes", "--force"]), 8), (rig.deploy(&[]), 2)] {
        assert!(ran.code == Some(code) && ran.out.contains("a disk is full"), "{:?} {}", ran.code, ran.out);
    }
    rig.said(host, &format!("systemctl stop patroni; umount {folder}; systemctl start patroni"));
    rig.deploy(&[]).expect(0);
    healthy(rig);
}

pub(crate) fn restarts(rig: &Rig) {
    let (leads, replica) = (leads(rig), a_replica(rig));
    let since = |host: &str| patroni(host, "/patroni").expect("Patroni answers")["postmaster_start_time"].clone();
    let nothing = rig.on_fleet("restart", &["--rolling", "--pending", "-o", "json"]).expect(0);
    nothing.expect_unchanged();
    begin_load(rig);
    let before: Vec<Value> = [&replica, &leads].map(|host| since(host)).to_vec();
    rig.on_fleet("restart", &[&replica, "-o", "json"]).expect(0);
    rig.on_fleet("restart", &[&leads, "-o", "json"]).expect(0);
    assert_ne!(self::leads(rig), leads, "another node leads while it restarts");
    let after: Vec<Value> = [&replica, &leads].map(|host| since(host)).to_vec();
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{before:?} {after:?}");
    end_load(rig);
    healthy(rig);
}

/// A voter that etcd's quorum needs is not stopped, nor the leader unasked; a whole cluster stops and comes back as it was.
pub(crate) fn stopped_and_started(rig: &Rig) {
    let (leads, replica) = (leads(rig), a_replica(rig));
    rig.on_fleet("stop", &[&leads]).expect(6);
    rig.on_fleet("stop", &[&replica, "-o", "json"]).expect(0);
    let voters = ["controller.lan", "app-server-1.lan", "app-server-2.lan"];
    let other = voters.iter().find(|voter| **voter != replica).expect("another voter");
    let refused = rig.on_fleet("stop", &[other, "--force"]).expect(6);
    assert!(refused.out.contains("quorum"), "{}", refused.out);
    rig.on_fleet("start", &[&replica, "-o", "json"]).expect(0);
    healthy(rig);
    rig.on_fleet("stop", &[]).expect(6);
    begin_load(rig);
    rig.on_fleet("stop", &["--yes", "-o", "json"]).expect(0);
    for (host, _) in HOSTS {
        let running = rig.on(host, "systemctl is-active etcd patroni haproxy", "");
        assert!(!running.out.lines().any(|state| state == "active"), "{host}: {}", running.out);
    }
    rig.on_fleet("stop", &["--yes", "-o", "json"]).expect(0).expect_unchanged();
    rig.on_fleet("start", &["-o", "json"]).expect(0);
    rig.on_fleet("start", &["-o", "json"]).expect(0).expect_unchanged();
    assert_eq!(self::leads(rig), leads, "the one that led leads again");
    end_load(rig);
    healthy(rig);
}

pub(crate) fn failed_over_by_hand(rig: &Rig) {
    let (leads, target) = (leads(rig), a_replica(rig));
    let refused = rig.on_fleet("failover", &[]).expect(6);
    assert!(refused.out.contains("switchover") || refused.err.contains("switchover"), "{}{}", refused.out, refused.err);
    let refused = rig.on_fleet("failover", &["--target", &target]).expect(6);
    assert!(refused.err.contains(&target) && refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(self::leads(rig), leads, "nothing was touched");
    begin_load(rig);
    let ran = rig.on_fleet("failover", &["--target", &target, "--force", "-o", "lines"]).expect(0);
    assert!(ran.out.contains(&format!("{target} leads instead of {leads}")), "{}", ran.out);
    assert_eq!(self::leads(rig), target);
    end_load(rig);
    healthy(rig);
}

/// The leader dies while the cluster is paused: nobody takes over until somebody says so.
pub(crate) fn failed_over_in_a_pause(rig: &Rig) {
    let leads = leads(rig);
    rig.on_fleet("pause", &["-o", "json"]).expect(0);
    rig.lab(&["kill", &leads]).expect(0);
    let early = rig.on_fleet("failover", &["--force"]).expect(6);
    assert!(early.out.contains("cannot be reached"), "{}", early.out);
    rig.status_becomes("its time is over, and nobody leads", 90, |_, view| leader(view).is_none());
    let ran = rig.on_fleet("failover", &["--force", "-o", "lines"]).expect(0);
    assert!(ran.out.contains(" leads on timeline "), "{}", ran.out);
    rig.lab(&["start", &leads]).expect(0);
    rig.on_fleet("resume", &["-o", "json"]).expect(0);
    rig.status_becomes("the crashed node streams again", 180, |code, _| code == Some(0));
}

pub(crate) fn logs_of_all(rig: &Rig) {
    let ran = rig.on_fleet("logs", &["-n", "200", "-o", "json"]).expect(0);
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let times: Vec<u64> = lines.iter().filter_map(|line| line["at"].as_u64()).collect();
    assert!(times.is_sorted() && times.len() == 200, "{} lines", times.len());
    let of = |key: &str| lines.iter().filter_map(|line| line[key].as_str()).collect::<std::collections::BTreeSet<_>>();
    assert!(of("node").len() > 1 && of("unit").len() > 1, "{:?} {:?}", of("node"), of("unit"));
    let one = rig.on_fleet("logs", &["builder.lan", "--unit", "patroni", "--since", "1 hour ago"]).expect(0);
    assert!(!one.out.is_empty() && one.out.lines().all(|line| line.contains("builder.lan") && line.contains(" patroni ")), "{}", one.out);
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_load_writes_until_its_end() {
        let is_load = |told: &str| std::panic::catch_unwind(|| super::was_a_load(told)).is_ok();
        assert!(is_load("active 100.2 24.1 60 2") && is_load("active 6 0.4 5 0"));
        for none in ["failed 100.2 24.1 60 2", "active 100.2 24.1 37 0", "active 6 0.4 4 0", "active 300 299.5 1 0", "active  60 2", ""] {
            assert!(!is_load(none), "{none}");
        }
    }
}
