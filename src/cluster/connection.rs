//! The ways that lead an application to the database, and how the drivers of each language write them.

use serde::{Deserialize, Serialize};

use crate::ClusterView;

/// Whom a connection shall reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The node that takes writes.
    Leader,
    /// A node that only reads.
    Replica,
    /// Whichever answers.
    Any,
}

/// How a driver writes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A URI of libpq: psql, pg_dump and most drivers.
    Libpq,
    /// Java.
    Jdbc,
    /// tokio-postgres.
    Rust,
    /// psycopg.
    Python,
    /// pgx.
    Go,
}

/// What there is to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The nodes' addresses.
    pub addresses: Vec<String>,
    /// PostgreSQL's port.
    pub port: u16,
    /// HAProxy's port of the leader.
    pub leader_port: u16,
    /// HAProxy's port of the replicas.
    pub replica_port: u16,
    /// HAProxy's port of all nodes.
    pub any_port: u16,
    /// The service name; it leads to the leader on every node, and on hosts of `postgresql_clients`.
    pub service_name: String,
    /// The user.
    pub user: String,
    /// The database.
    pub database: String,
}

/// What a connection goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Through {
    /// The service name of a host of the cluster.
    Service,
    /// HAProxy of the nodes.
    Haproxy,
    /// Nothing: the driver tries the nodes until one has the role.
    Direct,
}

/// One way to the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// Whom it reaches.
    pub role: Role,
    /// What it goes through.
    pub through: Through,
    /// Hosts with their ports, in the order that a driver tries them.
    pub hosts: Vec<(String, u16)>,
}

/// All ways to what there is.
#[must_use]
pub fn ways(endpoints: &Endpoints) -> Vec<Way> {
    let all = |port: u16| endpoints.addresses.iter().map(|address| (address.clone(), port)).collect::<Vec<_>>();
    let ports = [(Role::Leader, endpoints.leader_port), (Role::Replica, endpoints.replica_port), (Role::Any, endpoints.any_port)];
    let service = Way { role: Role::Leader, through: Through::Service, hosts: vec![(endpoints.service_name.clone(), endpoints.port)] };
    let mut ways = vec![service];
    for (role, port) in ports {
        ways.push(Way { role, through: Through::Haproxy, hosts: all(port) });
        ways.push(Way { role, through: Through::Direct, hosts: all(endpoints.port) });
    }
    ways
}

/// A way as a driver writes it; with a password only where one is given.
#[must_use]
pub fn written(way: &Way, format: Format, user: &str, database: &str, password: Option<&str>) -> String {
    let direct = way.through == Through::Direct;
    let hosts: Vec<String> = way.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    let hosts = hosts.join(",");
    let (user_word, database_word) = (encoded(user), encoded(database));
    let uri = |scheme: &str, options: &str| {
        let password = password.map(|password| format!(":{}", encoded(password))).unwrap_or_default();
        format!("{scheme}://{user_word}{password}@{hosts}/{database_word}{options}")
    };
    // Every driver names the roles in its own way.
    let session = match way.role {
        _ if !direct => "",
        Role::Leader => "?target_session_attrs=read-write",
        Role::Replica => "?target_session_attrs=standby",
        Role::Any => "?target_session_attrs=any",
    };
    match format {
        Format::Libpq => uri("postgresql", session),
        Format::Python => format!("psycopg.connect({})", quoted(&uri("postgresql", session))),
        Format::Go => format!("pgx.Connect(ctx, {})", quoted(&uri("postgres", session))),
        Format::Jdbc => {
            let target = match way.role {
                _ if !direct => "",
                Role::Leader => "&targetServerType=primary",
                Role::Replica => "&targetServerType=secondary&loadBalanceHosts=true",
                Role::Any => "&targetServerType=any&loadBalanceHosts=true",
            };
            let password = password.map(|password| format!("&password={}", encoded(password))).unwrap_or_default();
            format!("jdbc:postgresql://{hosts}/{database_word}?user={user_word}{password}{target}")
        }
        Format::Rust => {
            let column = |pick: fn(&(String, u16)) -> String| way.hosts.iter().map(pick).collect::<Vec<_>>().join(",");
            let (names, ports) = (column(|(host, _)| host.clone()), column(|(_, port)| port.to_string()));
            let target = match way.role {
                _ if !direct => "",
                Role::Leader => " target_session_attrs=read-write",
                Role::Replica => " target_session_attrs=read-only",
                Role::Any => " target_session_attrs=any load_balance_hosts=random",
            };
            let password = password.map(|password| format!(" password={}", word(password))).unwrap_or_default();
            let text = format!("host={names} port={ports} user={} dbname={}{password}{target}", word(user), word(database));
            format!("tokio_postgres::connect({}, NoTls)", quoted(&text))
        }
    }
}

/// The node to open a session on.
///
/// # Errors
/// Why there is none.
pub fn node_for(view: &ClusterView, role: Role) -> Result<String, String> {
    let leader = view.leader().filter(|leader| leader.state == "running").map(|leader| leader.name.clone());
    // The replica that is least behind.
    let well = view.members.iter().filter(|member| !member.is_leader() && member.is_well());
    let replica = well.min_by_key(|member| member.lag.unwrap_or(u64::MAX)).map(|member| member.name.clone());
    match role {
        Role::Leader => leader.ok_or_else(|| "the cluster has no leader that runs".to_owned()),
        Role::Replica => replica.ok_or_else(|| "no replica streams".to_owned()),
        Role::Any => leader.or(replica).ok_or_else(|| "no node's PostgreSQL runs".to_owned()),
    }
}

/// Percent-encoded, for a URI.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A value among `name=value`.
fn word(text: &str) -> String {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || "-._~".contains(sign);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A text of a program.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::{Endpoints, Format, Role, Through, ways, written};

    fn endpoints() -> Endpoints {
        Endpoints {
            addresses: vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()],
            port: 5432,
            leader_port: 5000,
            replica_port: 5001,
            any_port: 5002,
            service_name: "db.example".to_owned(),
            user: "app".to_owned(),
            database: "shop".to_owned(),
        }
    }

    #[test]
    fn each_way_is_written_as_its_driver_reads_it() {
        let check = |through: Through, role: Role, format: Format, password: Option<&str>, expect: &str| {
            let ways = ways(&endpoints());
            let way = ways.iter().find(|way| way.through == through && way.role == role).expect("a way");
            assert_eq!(written(way, format, "app", "shop", password), expect);
        };
        use Format::{Go, Jdbc, Libpq, Python, Rust};
        use Role::{Any, Leader, Replica};
        check(Through::Service, Leader, Libpq, None, "postgresql://app@db.example:5432/shop");
        check(Through::Haproxy, Replica, Libpq, None, "postgresql://app@10.0.0.1:5001,10.0.0.2:5001/shop");
        check(
            Through::Direct,
            Leader,
            Libpq,
            Some("a/b c"),
            "postgresql://app:a%2Fb%20c@10.0.0.1:5432,10.0.0.2:5432/shop?target_session_attrs=read-write",
        );
        check(
            Through::Direct,
            Any,
            Python,
            None,
            "psycopg.connect(\"postgresql://app@10.0.0.1:5432,10.0.0.2:5432/shop?target_session_attrs=any\")",
        );
        check(Through::Haproxy, Any, Go, None, "pgx.Connect(ctx, \"postgres://app@10.0.0.1:5002,10.0.0.2:5002/shop\")");
        check(
            Through::Direct,
            Replica,
            Jdbc,
            Some("x&y"),
            "jdbc:postgresql://10.0.0.1:5432,10.0.0.2:5432/shop?user=app&password=x%26y&targetServerType=secondary&loadBalanceHosts=true",
        );
        check(
            Through::Direct,
            Leader,
            Rust,
            Some("it's"),
            "tokio_postgres::connect(\"host=10.0.0.1,10.0.0.2 port=5432,5432 user=app dbname=shop password='it\\\\'s' target_session_attrs=read-write\", NoTls)",
        );
    }
}
