//! What a node has told, judged: a password that PostgreSQL does not have is of no use.

use std::collections::BTreeMap;

use pgfleet_protocol::Secret;
use serde::Deserialize;
use serde_json::Value;

use crate::WorkflowError;
use crate::credentials::verifies;
use crate::declared::verifier_file;

/// How PostgreSQL's verifiers begin.
const SCRAM: &str = "SCRAM-SHA-256$";

/// Something to keep.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Thing {
    /// Its file, below the secrets or, where `file` says so, below the folder of the cluster's state.
    pub(super) name: String,
    /// What it is, for a person.
    pub(super) what: String,
    pub(super) text: String,
    pub(super) file: bool,
}

/// What the playbook has put together.
#[derive(Deserialize)]
struct Said {
    patroni: Value,
    haproxy: String,
    authority: String,
    /// `NAME:PASSWORD`; empty where etcd asks nobody.
    etcd_admin: String,
    roles: BTreeMap<String, String>,
    roles_error: String,
    members: Vec<Value>,
    shared: Value,
    base: Value,
    app_user: String,
    readonly_user: String,
    backup_user: String,
}

/// What a node knows.
pub(super) struct Found {
    pub(super) host: String,
    /// Why its PostgreSQL told nothing.
    pub(super) silent: Option<String>,
    said: Said,
}

impl Found {
    pub(super) fn read(host: &str, said: Value) -> Result<Self, WorkflowError> {
        let said: Said = serde_json::from_value(said)
            .map_err(|error| WorkflowError::Failed(format!("{host}: what it tells is not as expected: {error}")))?;
        let silent = (!said.roles_error.is_empty()).then(|| said.roles_error.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(Self { host: host.to_owned(), silent, said })
    }

    /// Patroni's own configuration on the node.
    pub(super) fn patroni(&self, path: &str) -> &Value {
        self.said.patroni.pointer(path).unwrap_or(&Value::Null)
    }

    /// What all nodes share.
    pub(super) fn shared(&self) -> &Value {
        &self.said.shared
    }

    /// What pgfleet sets where nobody says otherwise.
    pub(super) fn base(&self) -> &Value {
        &self.said.base
    }

    /// The members with their addresses.
    pub(super) fn members(&self) -> Vec<(String, String)> {
        let text = |member: &Value, key: &str| member[key].as_str().map(str::to_owned);
        self.said.members.iter().filter_map(|member| Some((text(member, "name")?, text(member, "host")?))).collect()
    }

    /// Roles with a password that are neither the cluster's own nor the application's.
    pub(super) fn users(&self) -> Vec<&str> {
        let said = &self.said;
        let own = ["postgres", "replicator", "rewind", &said.app_user, &said.readonly_user, &said.backup_user];
        let others = said.roles.iter().filter(|(name, verifier)| !own.contains(&name.as_str()) && verifier.starts_with(SCRAM));
        others.map(|(name, _)| name.as_str()).filter(|name| is_plain(name)).collect()
    }

    /// All that can be kept.
    pub(super) fn things(&self) -> Result<Vec<Thing>, WorkflowError> {
        let mut things = Vec::new();
        let mut add = |name: &str, what: String, text: &str, file: bool| {
            if !text.is_empty() {
                things.push(Thing { name: name.to_owned(), what, text: text.to_owned(), file });
            }
        };
        for (name, role, path) in
            [("superuser", "postgres", "superuser"), ("replication", "replicator", "replication"), ("rewind", "rewind", "rewind")]
        {
            let password = self.patroni(&format!("/postgresql/authentication/{path}/password")).as_str().unwrap_or_default();
            let verifier = self.said.roles.get(role).filter(|verifier| verifier.starts_with(SCRAM));
            if verifier.is_some_and(|verifier| !verifies(verifier, &Secret::new(password))) {
                return Err(WorkflowError::Refused {
                    reason: format!(
                        "the password of the role {role} in Patroni's configuration on {} is not the one that PostgreSQL has",
                        self.host
                    ),
                    hint: "ask another node with --from; nothing was touched".to_owned(),
                });
            }
            add(name, format!("the password of the role {role}"), password, false);
        }
        let rest = self.patroni("/restapi/authentication/password").as_str().unwrap_or_default();
        add("patroni_rest", "the password of Patroni's REST API".to_owned(), rest, false);
        add("haproxy_stats", "the password of HAProxy's statistics".to_owned(), stats_password(&self.said.haproxy), false);
        let etcd = self.patroni("/etcd3/password").as_str().unwrap_or_default();
        add("etcd", "the password of Patroni in etcd".to_owned(), etcd, false);
        let admin = self.said.etcd_admin.split_once(':').map_or("", |(_, password)| password);
        add("etcd_admin", "the password of etcd's administrator".to_owned(), admin, false);
        for (name, user) in [("app_scram", &self.said.app_user), ("readonly_scram", &self.said.readonly_user)] {
            let verifier = self.said.roles.get(user).filter(|verifier| verifier.starts_with(SCRAM)).map_or("", String::as_str);
            add(name, format!("PostgreSQL's verifier of the password of {user}"), verifier, false);
        }
        for user in self.users() {
            add(&verifier_file(user), format!("PostgreSQL's verifier of the password of {user}"), &self.said.roles[user], false);
        }
        add("pki/ca.crt", "the certificate of the cluster's authority".to_owned(), &self.said.authority, true);
        Ok(things)
    }
}

/// A name that a file may have, as `postgresql_users` wants it.
fn is_plain(name: &str) -> bool {
    let plain = name.chars().all(|sign| sign.is_ascii_alphanumeric() || "_-.".contains(sign));
    plain && !name.is_empty() && !name.starts_with(['.', '-'])
}

fn stats_password(haproxy: &str) -> &str {
    let line = haproxy.lines().find_map(|line| line.trim().strip_prefix("stats auth "));
    line.and_then(|login| login.split_once(':')).map_or("", |(_, password)| password.trim())
}

#[cfg(test)]
pub(super) mod tests {
    use pgfleet_protocol::Secret;
    use serde_json::{Value, json};

    use super::{Found, stats_password};
    use crate::credentials::make_verifier;

    pub(crate) fn said() -> Value {
        let verifier = |password: &str| make_verifier(&Secret::new(password)).expect("random").reveal().to_owned();
        json!({
            "patroni": {
                "scope": "c1", "name": "a",
                "etcd3": {"hosts": ["192.0.2.1:2379", "192.0.2.9:2379"], "username": "patroni-1", "password": "e"},
                "restapi": {"connect_address": "192.0.2.1:8008", "authentication": {"password": "rest"}},
                "postgresql": {
                    "connect_address": "192.0.2.1:5433", "data_dir": "/srv/pg/17/c1", "bin_dir": "/usr/lib/postgresql/17/bin",
                    "authentication": {"superuser": {"password": "s"}, "replication": {"password": "r"}, "rewind": {"password": "w"}},
                },
            },
            "haproxy": "listen stats\n    stats auth admin:page\n",
            "etcd_admin": "pgfleet-1:all",
            "authority": "-----BEGIN CERTIFICATE-----\n",
            "roles": {"postgres": verifier("s"), "replicator": verifier("r"), "rewind": verifier("w"), "app": verifier("x"),
                "report": verifier("y"), "old": "md5abc", "../odd": verifier("z")},
            "roles_error": "",
            "members": [{"name": "a", "host": "192.0.2.1", "role": "leader"}, {"name": "b", "host": "192.0.2.2", "role": "replica"}],
            "shared": {"ttl": 20, "loop_wait": 5, "synchronous_mode": "quorum", "postgresql": {"parameters": {"ssl": "on", "work_mem": "9MB", "max_connections": 100}}},
            "base": {"max_connections": 100},
            "app_user": "app", "readonly_user": "ro", "backup_user": "backup",
        })
    }

    #[test]
    fn what_a_node_knows_is_kept_by_name() {
        let found = Found::read("a", said()).expect("as expected");
        let names: Vec<String> = found.things().expect("they fit").into_iter().map(|thing| thing.name).collect();
        let wanted = [
            "superuser",
            "replication",
            "rewind",
            "patroni_rest",
            "haproxy_stats",
            "etcd",
            "etcd_admin",
            "app_scram",
            "users/.report.scram",
            "pki/ca.crt",
        ];
        assert_eq!(names, wanted);
        assert_eq!(found.users(), ["report"]);
        assert_eq!(stats_password("    stats auth admin:a:b\n"), "a:b");
    }

    #[test]
    fn a_password_that_postgresql_does_not_have_is_not_kept() {
        let mut said = said();
        said["patroni"]["postgresql"]["authentication"]["replication"]["password"] = json!("older");
        let error = Found::read("a", said).expect("as expected").things().expect_err("it is another one");
        assert!(error.to_string().contains("replicator") && !error.to_string().contains("older"), "{error}");
    }
}
