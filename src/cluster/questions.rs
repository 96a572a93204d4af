//! What every node is asked for a status: templates that the node's own variables fill in.

use serde_json::{Value, json};

/// What openssl says of the life of a certificate that is in use, so many seconds from now; then of one that is over by then, what it says of now.
const CERTIFICATE: &str = "grep -qs \"$0\" /etc/patroni/config.yml /etc/default/etcd || exit 0; \
                           openssl x509 -in \"$0\" -noout -checkend $1 || openssl x509 -in \"$0\" -noout -checkend 0";
/// Twenty days, in seconds: ten after a deploy would have renewed it.
const NODES: &str = "1728000";
/// Ninety days, in seconds: nobody renews it by the way.
const AUTHORITYS: &str = "7776000";

/// Arguments of the module `probe`, with templates in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Questions {
    /// HTTP requests by name.
    pub http: Value,
    /// Commands by name.
    pub commands: Value,
    /// Units.
    pub units: Value,
}

/// What the run that has the cluster wrote of itself, with the host's time behind it; nothing where nobody has it. A file that can be locked
/// is one that nobody holds any more.
const LEASE: &str = "[ -r \"$0\" ] && ! flock -n -s \"$0\" true && cat \"$0\" && echo && date +%s || true";

/// How many commits of a PostgreSQL that takes writes have waited for a replica for five seconds, and how long the oldest has; nothing where none has.
const COMMITS: &str = r#"d=$(sed -n 's/^  data_dir: "\(.*\)"$/\1/p' /etc/patroni/config.yml 2> /dev/null)
[ -n "$d" ] && [ -r "$d/postmaster.pid" ] && [ ! -e "$d/standby.signal" ] || exit 0
timeout 3 runuser -u postgres -- env PGCONNECT_TIMEOUT=2 psql -X -q -A -t -F ' ' -p "$(sed -n 4p "$d/postmaster.pid")" -d postgres -c "
  SELECT count(*), max(extract(epoch FROM clock_timestamp() - query_start))::bigint FROM pg_stat_activity
  WHERE wait_event = 'SyncRep' AND query_start < clock_timestamp() - interval '5 s' HAVING count(*) > 0""#;

/// Whether who connects to the node's HAProxy comes to a PostgreSQL that takes writes: it asks whether TLS is spoken, which any answers with one letter,
/// and tries for some seconds, since HAProxy follows a new leader as late as that.
const WAY: &str = r#"[ -S /run/haproxy/admin.sock ] || exit 0
while [ $SECONDS -lt 4 ]; do
  { exec 3<> "/dev/tcp/$0/$1" && printf '\0\0\0\10\4\322\026\057' >&3 && IFS= read -r -t 1 -N 1 -u 3 said; } 2> /dev/null
  case $said in [SN]) exit;; esac
  exec 3>&-; sleep 0.5
done; echo nowhere"#;

/// Everything in one round trip: Patroni's and etcd's own words, and the state of the units.
#[must_use]
pub fn questions() -> Questions {
    let address = "{{ postgresql_address | default(ansible_host | default(inventory_hostname)) }}";
    let patroni = format!("patroni://{address}:{{{{ patroni_rest_port | default(8008) }}}}");
    let mut questions = questions_at(&patroni, &format!("etcd://{address}:{{{{ etcd_client_port | default(2379) }}}}"));
    questions.commands = json!({
        "commits": ["sh", "-c", COMMITS],
        "way": ["bash", "-c", WAY, address, "{{ haproxy_leader_port | default(5000) }}"],
        "certificate": ["sh", "-c", CERTIFICATE, "/etc/pgfleet/tls/node.crt", NODES],
        "authority": ["sh", "-c", CERTIFICATE, "/etc/pgfleet/tls/ca.crt", AUTHORITYS],
        "lease": ["sh", "-c", LEASE, "/run/pgfleet-{{ postgresql_cluster_name }}.lease"],
    });
    questions
}

/// Who leads, and nothing else: what [`crate::NodeAnswer::may_lead_both`] reads.
#[must_use]
pub fn leaders_at(patroni: &str, etcd: &str) -> Questions {
    let mut questions = questions_at(patroni, etcd);
    let all = questions.http.as_object_mut();
    all.into_iter().for_each(|http| http.retain(|name, _| matches!(name.as_str(), "patroni" | "etcd_status")));
    questions.units = json!([]);
    questions
}

/// The same questions for one node: the addresses of its Patroni and its etcd.
#[must_use]
pub fn questions_at(patroni: &str, etcd: &str) -> Questions {
    let post = |path: &str| json!({"url": format!("{etcd}{path}"), "method": "POST", "body": "{}"});
    Questions {
        http: json!({
            "patroni": format!("{patroni}/patroni"),
            "cluster": format!("{patroni}/cluster"),
            "config": format!("{patroni}/config"),
            "etcd_members": post("/v3/cluster/member/list"),
            "etcd_status": post("/v3/maintenance/status"),
            "etcd_health": format!("{etcd}/health"),
        }),
        commands: json!({}),
        units: json!(["etcd", "patroni", "haproxy", "pgfleet-agent"]),
    }
}
