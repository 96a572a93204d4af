//! TLS: used between the nodes from the first deploy on, switched off, on and required while clients write, renewed without a restart.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::members::{begin_load, end_load, longest_gap};
use crate::rig::{HOSTS, Ran, Rig, address, leader};

const APP: &str = "-h db.postgres.host.uk.com -U app_user -d application -c";

fn leads(rig: &Rig) -> String {
    leader(&rig.status().1).expect("a leader")
}

/// As superuser on a node.
fn sql(rig: &Rig, host: &str, query: &str) -> String {
    rig.said(host, &format!("cd /; sudo -u postgres psql -X -A -t -d postgres -c \"{query}\""))
}

/// How many replicas stream encrypted, and how many in the clear.
fn streams(rig: &Rig) -> String {
    sql(
        rig,
        &leads(rig),
        "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)",
    )
}

/// What a client of the service name sees of its own session, or complains of.
fn session(rig: &Rig, parameters: &str) -> String {
    let script = format!(
        "IFS= read -r PGPASSWORD; export PGPASSWORD; {parameters} psql -X -A -t {APP} 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()' 2>&1"
    );
    rig.on("builder.lan", &script, &format!("{}\n", rig.secret("app_password.txt"))).out.trim().to_owned()
}

fn started(rig: &Rig) -> Vec<String> {
    HOSTS.iter().map(|(host, _)| sql(rig, host, "SELECT pg_postmaster_start_time()")).collect()
}

/// The number of the certificate that PostgreSQL shows, which must be that of the file.
fn shown(rig: &Rig, host: &str) -> String {
    let show = "openssl x509 -noout -serial";
    rig.said(
        host,
        &format!(
            "file=$({show} -in /etc/pgfleet/tls/node.crt); for i in $(seq 100); do \
             now=$(openssl s_client -starttls postgres -connect 127.0.0.1:5432 </dev/null 2>/dev/null | {show} 2>/dev/null); \
             [ \"$now\" = \"$file\" ] && echo $now && exit 0; sleep 0.1; done; echo \"shown: $now, file: $file\" >&2; exit 1"
        ),
    )
}

/// How Patroni of every node answers another host: in the clear, and over TLS to whom trusts the authority.
fn rest(rig: &Rig) -> Vec<String> {
    let asked = HOSTS.iter().map(|(host, _)| {
        let from = if *host == "builder.lan" { "controller.lan" } else { "builder.lan" };
        let ask = "curl -s -o /dev/null -m 5 -w '%{http_code}' --cacert /etc/pgfleet/tls/ca.crt";
        let address = address(host);
        rig.said(from, &format!("{ask} http://{address}:8008/patroni; echo -n ' '; {ask} https://{address}:8008/patroni; true"))
    });
    asked.collect()
}

/// How etcd of every voter answers another host, on its port for clients and on that for voters: in the clear, over TLS to whom shows no
/// certificate, and over TLS to whom shows one of the cluster. HTTP/2 is for gRPC alone among voters.
fn etcd(rig: &Rig) -> Vec<String> {
    let (ask, own) = ("curl -s -f -m 5 --http1.1 -o /dev/null --cacert ca.crt", "--cert node.crt --key node.key");
    let asked = voters(rig).into_iter().map(|voter| {
        let told = ["2379", "2380"].map(|port| {
            let at = format!("{}:{port}/version", address(&voter));
            format!("{ask} http://{at} && echo clear; {ask} https://{at} && echo anybody; {ask} {own} https://{at} && echo ours")
        });
        rig.said("builder.lan", &format!("cd /etc/pgfleet/tls; {}; true", told.join("; "))).replace('\n', " ")
    });
    asked.collect()
}

fn voters(rig: &Rig) -> Vec<String> {
    let (code, view) = rig.status();
    assert_eq!(code, Some(0), "{view:#}");
    let voters = view["etcd"].as_array().expect("voters").iter();
    voters.filter_map(|voter| voter["name"].as_str().map(str::to_owned)).collect()
}

/// Whoever would change something must have the password and a certificate of the cluster.
fn rest_asks_for_both(rig: &Rig) {
    let login = format!("user = \"patroni:{}\"\n", rig.secret("secrets/patroni_rest"));
    let post =
        format!("curl -s -o /dev/null -w '%{{http_code}} ' --cacert ca.crt -X POST https://{}:8008/reload", address("app-server-1.lan"));
    let own = "--cert node.crt --key node.key";
    let said = rig.on("builder.lan", &format!("cd /etc/pgfleet/tls; {post} {own} </dev/null; exec 3<&0; {post} -K - <&3"), &login).out;
    assert_eq!(said.trim(), "401 403");
    let said = rig.on("builder.lan", &format!("cd /etc/pgfleet/tls; {post} {own} -K -"), &login).out;
    assert_eq!(said.trim(), "202");
    let told = rig.said("app-server-2.lan", "patronictl -c /etc/patroni/config.yml reload coolify_postgres --force 2>&1");
    assert_eq!(told.matches("Reload request received").count() + told.matches("No changes to apply").count(), HOSTS.len(), "{told}");
}

pub(crate) fn comes_and_goes(rig: &Rig) {
    let (by_name, plainly) = ("PGSSLMODE=verify-full PGSSLROOTCERT=/etc/pgfleet/tls/ca.crt", "PGSSLMODE=disable");
    assert_eq!((streams(rig).as_str(), session(rig, by_name).as_str(), session(rig, plainly).as_str()), ("3|0", "t", "f"));
    let authority = rig.project().join("state/postgresql/pki");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(authority.join("ca.key")).expect("a key").permissions());
    assert_eq!(mode & 0o777, 0o600);
    for (host, _) in HOSTS {
        let keys =
            rig.said(host, "stat -c '%U %G %a' /etc/pgfleet/tls/node.key; cd /; sudo -u nobody cat /etc/pgfleet/tls/node.key 2>&1 || true");
        assert!(keys.starts_with("root postgres 640") && keys.contains("Permission denied"), "{keys}");
        let trusted = rig.said(host, "cat /etc/pgfleet/tls/ca.crt");
        assert_eq!(trusted, rig.secret("pki/ca.crt"), "{host}");
    }
    let (in_the_clear, encrypted) = (vec!["200 000"; HOSTS.len()], vec!["000 200"; HOSTS.len()]);
    assert_eq!(rest(rig), encrypted);
    let (etcd_in_the_clear, etcd_encrypted) = (vec!["clear clear"; 3], vec!["ours ours"; 3]);
    assert_eq!(etcd(rig), etcd_encrypted);
    let stranger = "cd /tmp && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout stranger.key -out stranger.crt \
                    -subj /CN=builder.lan -days 2 2>&-; \
                    curl -s -o /dev/null -m 5 --cacert /etc/pgfleet/tls/ca.crt --cert stranger.crt --key stranger.key";
    let known = rig.on("builder.lan", &format!("{stranger} https://{}:2379/version", address("controller.lan")), "");
    assert_ne!(known.code, Some(0), "a certificate of another authority is taken");
    let key = rig.said("controller.lan", "stat -c '%U %G %a' /etc/pgfleet/tls/etcd.key");
    assert_eq!(key, "root etcd 640");
    rest_asks_for_both(rig);
    let before = started(rig);
    begin_load(rig);

    rig.deploy(&["-e", "postgresql_tls=off"]).expect(0);
    assert_eq!(rest(rig), in_the_clear);
    assert_eq!(etcd(rig), etcd_in_the_clear);
    assert!(rig.said("controller.lan", "etcdctl endpoint health 2>&1").contains("is healthy"));
    // Sessions that are open stay as they are.
    assert_eq!(session(rig, "PGSSLMODE=prefer"), "f");
    rig.deploy(&["-e", "postgresql_tls=off"]).expect(0).expect_unchanged();

    rig.deploy(&["-e", "postgresql_tls=required"]).expect(0);
    assert_eq!((streams(rig).as_str(), session(rig, by_name).as_str()), ("3|0", "t"));
    let refused = session(rig, plainly);
    assert!(refused.contains("no encryption"), "{refused}");
    assert_eq!(rest(rig), encrypted);
    assert_eq!(etcd(rig), etcd_encrypted);
    rig.deploy(&["-e", "postgresql_tls=required"]).expect(0).expect_unchanged();
    rig.on_fleet("connection", &["--test"]).expect(0);

    let shown_before: Vec<String> = HOSTS.iter().map(|(host, _)| shown(rig, host)).collect();
    // More days than a certificate lasts: each is renewed.
    rig.deploy(&["-e", "postgresql_tls_renew_days=1000"]).expect(0);
    for ((host, _), before) in HOSTS.iter().zip(&shown_before) {
        assert_ne!(&shown(rig, host), before, "{host}");
    }
    rig.deploy(&[]).expect(0).expect_unchanged();
    assert_eq!((streams(rig).as_str(), session(rig, plainly).as_str()), ("3|0", "f"));
    assert_eq!(rest(rig), encrypted);
    assert_eq!(etcd(rig), etcd_encrypted);
    let gap = longest_gap(rig);
    assert!(gap < 10.0, "nothing was written for {gap} s");
    end_load(rig);
    assert_eq!(started(rig), before, "no PostgreSQL was restarted");
    let told = rig.on_fleet("doctor", &["--all", "-o", "json"]);
    assert!(told.out.contains("good for 824 more days"), "{}", told.out);
}

/// What `pgfleet certs` tells of each node, by name.
fn certificates(rig: &Rig) -> BTreeMap<String, Value> {
    let told = rig.on_fleet("certs", &["-o", "json"]).expect(0).out;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["authority"]["state"], "good", "{told:#}");
    let rows = told["nodes"].as_array().expect("rows").iter();
    rows.map(|row| (row["node"].as_str().expect("a name").to_owned(), row.clone())).collect()
}

fn rotate(rig: &Rig, arguments: &[&str]) -> Ran {
    let inventory = rig.inventory();
    rig.pgfleet(&[&["certs", "rotate", "-i", &inventory, "-o", "lines"], arguments].concat())
}

/// New keys and certificates while clients write; then of a new authority, whose first run dies in its middle.
pub(crate) fn rotated(rig: &Rig) {
    let (before, first) = (started(rig), certificates(rig));
    assert_eq!(first.len(), HOSTS.len());
    assert!(first.iter().all(|(node, row)| row["names"].to_string().contains(node.as_str()) && row["state"] == "good"), "{first:#?}");
    let keys = || HOSTS.map(|(host, _)| rig.said(host, "md5sum < /etc/pgfleet/tls/node.pub"));
    let (authority, key) = (rig.secret("pki/ca.crt"), keys());
    let old = rig.project().join("old_pki");
    assert!(
        Command::new("cp").arg("-a").args([rig.project().join("state/postgresql/pki"), old.clone()]).status().expect("cp runs").success()
    );
    rotate(rig, &["--authority", "--check"]).expect(0);
    assert_eq!((certificates(rig), keys(), rig.secret("pki/ca.crt")), (first.clone(), key.clone(), authority.clone()));
    begin_load(rig);
    rotate(rig, &[]).expect(0);
    let second = certificates(rig);
    assert!(keys().iter().zip(&key).all(|(now, before)| now != before), "every node has a new key");
    assert!(second.iter().all(|(node, row)| row["serial"] != first[node]["serial"] && row["state"] == "good"), "{second:#?}");
    assert_eq!(rig.secret("pki/ca.crt"), authority);

    assert!(rotate(rig, &["--authority"]).expect(6).err.contains("--yes"));
    let died = rig.interrupted(&["certs", "rotate", "--authority", "--yes"], "Put it in its place", "-KILL");
    assert_eq!(died.code, None, "{}", died.out);
    assert!(rig.deploy(&[]).expect(6).err.contains("certs rotate"));
    rotate(rig, &[]).expect(0);
    assert_ne!(rig.secret("pki/ca.crt"), authority);
    for (host, _) in HOSTS {
        assert_eq!(rig.said(host, "cat /etc/pgfleet/tls/ca.crt"), rig.secret("pki/ca.crt"), "{host}");
    }
    let third = certificates(rig);
    assert!(third.iter().all(|(node, row)| row["serial"] != second[node]["serial"] && row["state"] == "good"), "{third:#?}");
    assert_eq!(rest(rig), vec!["000 200"; HOSTS.len()]);
    assert_eq!(etcd(rig), vec!["ours ours"; 3]);
    let gap = longest_gap(rig);
    assert!(gap < 10.0, "nothing was written for {gap} s");
    end_load(rig);
    assert_eq!(started(rig), before, "no PostgreSQL was restarted");
    an_old_authority(rig, &old);
    rig.deploy(&[]).expect(0).expect_unchanged();
}

/// An authority that nobody trusts any more, from an old copy of state, signs nothing: the nodes would no longer know each other.
fn an_old_authority(rig: &Rig, old: &Path) {
    let (state, aside) = (rig.project().join("state/postgresql"), rig.project().join("new_pki"));
    let pki = state.join("pki");
    let new = rig.secret("pki/ca.crt");
    fs::rename(&pki, &aside).expect("moved away");
    fs::rename(old, &pki).expect("put back");
    let deployed = rig.deploy(&[]).expect(2);
    assert!(deployed.recap("changed").iter().all(|(_, changed)| *changed == 0), "{}", deployed.out);
    for ran in [deployed, rotate(rig, &["--authority", "--yes"]).expect(2)] {
        assert!(ran.out.contains("The certificate authority in state is not") && ran.out.contains("pgfleet state recover"), "{}", ran.out);
        assert!(!pki.join("next.crt").exists());
    }
    let inventory = rig.inventory();
    rig.pgfleet(&["state", "recover", "--from", "builder.lan", "--force", "-i", &inventory]).expect(0);
    assert_eq!(rig.secret("pki/ca.crt"), new);
    assert!(!pki.join("ca.key").exists(), "that is another authority's key");
    let deployed = rig.deploy(&[]).expect(0).expect_unchanged();
    assert!(deployed.out.contains("ca.key"), "{}", deployed.out);
    fs::remove_dir_all(&pki).expect("removed");
    fs::rename(&aside, &pki).expect("moved back");
    fs::remove_file(state.join("recovered.yml")).expect("removed");
}

/// Signs the certificate that a node has once more, with the same names, for a time that is over.
const SIGN: &str = "set -e; cd \"$0\"; cat > again.csr; sign() { openssl x509 -req -in again.csr -CA ca.crt -CAkey ca.key -copy_extensions copyall \"$@\" 2>&-; }; \
                    sign -days -1 || sign -not_before 20250101000000Z -not_after 20250102000000Z; rm again.csr";

/// A cluster that nobody looked after until its certificates had ended, and whose voters began anew since: they wait for each other.
pub(crate) fn ended(rig: &Rig) {
    begin_load(rig);
    for (host, _) in HOSTS {
        let request = "openssl x509 -x509toreq -copy_extensions copyall -in node.crt -key node.key 2>&-";
        let request = rig.said(host, &format!("cd /etc/pgfleet/tls; {request}"));
        let pki = rig.project().join("state/postgresql/pki");
        let mut sign =
            Command::new("sh").args(["-c", SIGN]).arg(pki).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        sign.stdin.take().expect("its input").write_all(request.as_bytes()).expect("read");
        let signed = sign.wait_with_output().expect("openssl ends");
        assert!(signed.status.success(), "openssl signs for {host}");
        let signed = String::from_utf8(signed.stdout).expect("PEM");
        assert_eq!(rig.on(host, "cat > /etc/pgfleet/tls/node.crt; systemctl reload patroni", &signed).code, Some(0));
    }
    for voter in ["controller.lan", "app-server-1.lan", "app-server-2.lan"] {
        rig.said(voter, "systemctl restart --no-block etcd");
    }
    let (_, view) = rig.status();
    let worst = view["findings"][0]["text"].to_string();
    assert!(worst.contains("certificates have ended") && HOSTS.iter().all(|(host, _)| worst.contains(host)), "{view:#}");

    rig.deploy(&[]).expect(0);
    let good = certificates(rig);
    assert!(good.values().all(|row| row["state"] == "good"), "{good:#?}");
    end_load(rig);
    rig.deploy(&[]).expect(0).expect_unchanged();
}
