//! What each variable of a cluster may hold. Most of them end up in a configuration file, a unit, SQL or a command of some host: here is decided
//! which signs may go there, so that none of them says more than a value.

use serde_json::Value as Json;

/// What a variable must be.
pub(crate) enum Kind {
    /// A whole number within these bounds.
    Whole(i64, i64),
    /// A number from this one on.
    Number(f64),
    /// Yes or no.
    Flag,
    /// One of these words; yes and no are words too.
    Word(&'static [&'static str]),
    /// The same, in small or capital letters.
    WordOfAnyCase(&'static [&'static str]),
    /// A name that becomes part of paths and keys.
    Name,
    /// Text of this shape; a number is text too.
    Text(&'static Shape),
    /// A list of texts of this shape.
    Texts(&'static Shape),
    /// A list of ports.
    Ports,
    /// A list whose entries are judged one by one, in `declared.rs`.
    Declared,
    /// PostgreSQL's settings: names with plain values.
    Parameters,
}

/// Which signs a text may have.
pub(crate) struct Shape {
    wanted: &'static str,
    is: fn(&str) -> bool,
}

impl Shape {
    /// What is wrong with a text that `name` has.
    pub(crate) fn wrong(&self, name: &str, text: &str) -> Option<String> {
        (!(self.is)(text)).then(|| format!("{name} is {}, and must be {}", Json::from(text), self.wanted))
    }
}

/// The name of a host of the cluster: in etcd's settings, in HAProxy's configuration, in /etc/hosts.
pub(crate) const MEMBER: Shape = Shape {
    wanted: "letters, digits, '.', '_', '-' and ':' alone: it stands in the configuration of etcd, Patroni and HAProxy",
    is: |text| begins(text, "") && all(text, |sign| sign.is_ascii_alphanumeric() || "._-:".contains(sign)),
};
/// Where a host is reached.
pub(crate) const ADDRESS: Shape =
    Shape { wanted: "a name or an address, without blanks, quotes and the like", is: |text| begins(text, ":[_") && holds(text, "._-:%[]") };
const LISTEN: Shape = Shape {
    wanted: "a name, an address or '*', without blanks, quotes and the like",
    is: |text| begins(text, ":[_*") && holds(text, "._-:%[]*,"),
};
/// Blanks and signs of the shell are not let in: the folder is part of units, and `backup verify` removes what it made beside the data.
const FOLDER: Shape = Shape {
    wanted: "an absolute path of letters, digits and '/', '.', '_', '-', '+', '@', ':', '=', '~', without '..'",
    is: |text| text.starts_with('/') && holds(text, "/._-+@:=~") && text.split('/').all(|part| part != ".."),
};
/// It becomes an option of initdb's. Empty is the host's own.
const LOCALE: Shape = Shape {
    wanted: "a locale such as C.UTF-8 or de_DE.UTF-8@euro",
    is: |text| all(text, |sign| sign.is_ascii_alphanumeric() || "._-@".contains(sign)),
};
/// psql takes a database's name with '=' or '://' for more than a name.
const SQL_NAME: Shape = Shape {
    wanted: "a name of letters, digits, blanks and '_', '-', '.', '@', '$', '+', '#', '~'",
    is: |text| begins(text, "_") && holds(text, " _-.@$+#~") && text.len() <= 63,
};
/// In pg_hba.conf, where blanks, commas, '#', '+' and '@' mean something, and `all` means everybody.
const HBA_NAME: Shape = Shape {
    wanted: "a name of letters, digits and '_', '-', '.', '$' (and not 'all'): it stands in pg_hba.conf",
    is: |text| begins(text, "_") && holds(text, "_-.$") && text.len() <= 63 && text != "all",
};
const STATS_NAME: Shape = Shape {
    wanted: "a name of letters, digits and '_', '-', '.', '@', '$', '+', '!', '%', '~'",
    is: |text| !text.is_empty() && holds(text, "_-.@$+!%~"),
};
const NETWORK: Shape =
    Shape { wanted: "a list of texts, each samenet, samehost, all, an address, a network such as 192.0.2.0/24, or a name", is: is_network };
const RULE: Shape = Shape {
    wanted: "a list of texts, each one line of pg_hba.conf, which does not end in '\\'",
    is: |text| all(text, |sign| !sign.is_control() || sign == '\t') && !text.trim_end().ends_with('\\'),
};
const LINE: Shape = Shape { wanted: "one line of text", is: is_line };
const LINES: Shape = Shape { wanted: "a list of texts, each of one line", is: is_line };
const CERTIFIED: Shape =
    Shape { wanted: "a list of texts, each a name or an address", is: |text| !text.is_empty() && holds(text, "._-:*%[]") };
/// apt puts the architecture where a source says `$(ARCH)`.
const URL: Shape = Shape {
    wanted: "a URL without blanks, quotes, '#' and '\\'",
    is: |text| {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        begins(scheme, "")
            && all(scheme, |sign| sign.is_ascii_alphanumeric() || "+.-".contains(sign))
            && all(text, |sign| !sign.is_whitespace() && !sign.is_control() && !"\"'`#\\{}".contains(sign))
    },
};
const OPTIONAL_NAME: Shape =
    Shape { wanted: "a name of letters, digits, '.', '_' and '-', or nothing", is: |text| text.is_empty() || is_name(text) };
const ROLE: Shape = Shape { wanted: "leader or replica", is: |text| holds(text, "_-") };

const PORT: Kind = Kind::Whole(1, 65_535);

/// Every variable of `playbooks/postgresql/vars/defaults.yml`. The bounds of Patroni's and etcd's numbers are their own.
pub(crate) const KINDS: &[(&str, Kind)] = &[
    ("postgresql_hostname", Kind::Name),
    ("postgresql_cluster_name", Kind::Name),
    ("postgresql_version", Kind::Whole(10, 99)),
    ("postgresql_port", PORT),
    ("postgresql_data_folder", Kind::Text(&FOLDER)),
    ("postgresql_locale", Kind::Text(&LOCALE)),
    ("postgresql_role", Kind::Text(&ROLE)),
    ("postgresql_address", Kind::Text(&ADDRESS)),
    ("postgresql_database", Kind::Text(&SQL_NAME)),
    ("postgresql_app_user", Kind::Text(&SQL_NAME)),
    ("postgresql_readonly_user", Kind::Text(&SQL_NAME)),
    ("postgresql_backup_user", Kind::Text(&HBA_NAME)),
    // It is read here, and its name is an argument of psql.
    ("postgresql_init_sql", Kind::Text(&LINE)),
    ("postgresql_users", Kind::Declared),
    ("postgresql_databases", Kind::Declared),
    ("postgresql_drop_databases", Kind::Texts(&LINES)),
    ("postgresql_hba_rules", Kind::Texts(&RULE)),
    ("postgresql_allowed_networks", Kind::Texts(&NETWORK)),
    ("postgresql_superuser_remote", Kind::Flag),
    ("postgresql_firewall", Kind::Word(&["nftables", "off", "false"])),
    ("postgresql_firewall_ports", Kind::Ports),
    ("postgresql_firewall_trial", Kind::Whole(5, 3600)),
    ("postgresql_tls", Kind::Word(&["required", "on", "off", "true", "false"])),
    ("postgresql_tls_days", Kind::Whole(1, 36_500)),
    ("postgresql_tls_renew_days", Kind::Whole(0, 36_500)),
    ("postgresql_tls_names", Kind::Texts(&CERTIFIED)),
    ("postgresql_synchronous_mode", Kind::Word(&["quorum", "on", "off", "true", "false"])),
    ("postgresql_profile", Kind::Word(&["default", "fast"])),
    ("patroni_ttl", Kind::Whole(20, i64::MAX)),
    ("patroni_loop_wait", Kind::Whole(1, i64::MAX)),
    ("patroni_retry_timeout", Kind::Whole(3, i64::MAX)),
    ("postgresql_fence", Kind::WordOfAnyCase(&["agent", "watchdog", "off", "false"])),
    ("maximum_lag_on_failover", Kind::Whole(0, i64::MAX)),
    ("patroni_failsafe_mode", Kind::Flag),
    ("postgresql_parameters", Kind::Parameters),
    ("postgresql_restart", Kind::Flag),
    ("postgresql_replica_timeout", Kind::Whole(1, i64::MAX)),
    ("switchover_maximum_lag", Kind::Whole(0, i64::MAX)),
    ("switchover_maximum_transaction", Kind::Whole(0, i64::MAX)),
    ("cluster_lease_seconds", Kind::Whole(1, 86_400)),
    ("etcd_client_port", PORT),
    ("etcd_peer_port", PORT),
    ("patroni_rest_port", PORT),
    ("patroni_rest_listen", Kind::Text(&LISTEN)),
    ("haproxy_leader_port", PORT),
    ("haproxy_replica_port", PORT),
    ("haproxy_any_port", PORT),
    ("haproxy_stats_port", PORT),
    ("haproxy_stats_user", Kind::Text(&STATS_NAME)),
    ("postgresql_service_address", Kind::Text(&ADDRESS)),
    ("etcd_users", Kind::Flag),
    ("etcd_heartbeat_interval", Kind::Whole(1, 10_000)),
    ("etcd_election_timeout", Kind::Whole(5, 50_000)),
    ("postgresql_leftovers", Kind::Word(&["stop", "adopt", "wipe"])),
    ("postgresql_wipe", Kind::Text(&OPTIONAL_NAME)),
    // preflight.sh counts with these, and bash does what stands in the place of a number.
    ("preflight_disk_mb", Kind::Whole(0, i64::MAX)),
    ("preflight_disk_warn_mb", Kind::Whole(0, i64::MAX)),
    ("preflight_memory_mb", Kind::Whole(0, i64::MAX)),
    ("preflight_memory_warn_mb", Kind::Whole(0, i64::MAX)),
    ("preflight_clock_warn", Kind::Number(0.0)),
    ("preflight_clock_fail", Kind::Number(0.0)),
    ("doctor_password_days", Kind::Whole(0, i64::MAX)),
    ("doctor_fence_days", Kind::Whole(0, i64::MAX)),
    ("pgdg_url", Kind::Text(&URL)),
    ("pgdg_key_url", Kind::Text(&URL)),
];

impl Kind {
    /// What is wrong with a value.
    pub(crate) fn wrong(&self, name: &str, value: &Json) -> Option<String> {
        let wanted = match self {
            Self::Whole(least, i64::MAX) if whole(value).is_none_or(|number| number < *least) => format!("a whole number from {least} on"),
            Self::Whole(least, most) if whole(value).is_none_or(|number| number < *least || number > *most) => {
                format!("a whole number from {least} to {most}")
            }
            Self::Number(least) if number(value).is_none_or(|number| number < *least) => format!("a number from {least} on"),
            // The text 'false' would count as yes.
            Self::Flag if !value.is_boolean() => "true or false, without quotes".to_owned(),
            Self::Word(words) if !words.contains(&word(value).as_str()) => format!("one of {}", words.join(", ")),
            Self::WordOfAnyCase(words) if !words.contains(&word(value).to_ascii_lowercase().as_str()) => {
                format!("one of {}", words.join(", "))
            }
            Self::Name if !value.as_str().is_some_and(is_name) => "a name of letters, digits, '.', '_' and '-'".to_owned(),
            Self::Text(shape) if !fits(shape, value) => shape.wanted.to_owned(),
            Self::Texts(shape) if !value.as_array().is_some_and(|items| items.iter().all(|item| item.is_string() && fits(shape, item))) => {
                shape.wanted.to_owned()
            }
            Self::Ports if !value.as_array().is_some_and(|items| items.iter().all(|item| PORT.wrong(name, item).is_none())) => {
                "a list of ports, each from 1 to 65535".to_owned()
            }
            Self::Declared if !value.is_array() => "a list".to_owned(),
            Self::Parameters => wrong_parameters(value)?,
            _ => return None,
        };
        Some(format!("{name} is {value}, and must be {wanted}"))
    }

    /// What is wrong with a value, where it could become more than a value; bounds and words are for a deploy to judge.
    pub(crate) fn harm(&self, name: &str, value: &Json) -> Option<String> {
        match self {
            Self::Whole(..) => {
                Self::Whole(i64::MIN, i64::MAX).wrong(name, value).map(|_| format!("{name} is {value}, and must be a whole number"))
            }
            Self::Flag | Self::Word(_) | Self::WordOfAnyCase(_) | Self::Declared => None,
            _ => self.wrong(name, value),
        }
    }
}

pub(crate) fn whole(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn number(value: &Json) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
}

fn word(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A text, or a number, of this shape.
fn fits(shape: &Shape, value: &Json) -> bool {
    (value.is_string() || value.is_number()) && (shape.is)(&word(value))
}

fn begins(text: &str, also: &str) -> bool {
    text.starts_with(|first: char| first.is_alphanumeric() || also.contains(first))
}

/// Letters and digits of any language, and these signs.
fn holds(text: &str, signs: &str) -> bool {
    all(text, |sign| sign.is_alphanumeric() || signs.contains(sign))
}

fn all(text: &str, may: impl Fn(char) -> bool) -> bool {
    text.chars().all(may)
}

fn is_line(text: &str) -> bool {
    !text.contains(char::is_control)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && all(text, |letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
}

/// One word of pg_hba.conf, or an address and its mask: what came behind would be a way to log in.
fn is_network(text: &str) -> bool {
    let is_address = |word: &&str| word.parse::<std::net::IpAddr>().is_ok();
    let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    match &words[..] {
        [word] => holds(word, "._-:/%"),
        [address, mask] => is_address(address) && is_address(mask),
        _ => false,
    }
}

/// Patroni writes each as a line of postgresql.conf.
fn wrong_parameters(value: &Json) -> Option<String> {
    let Some(entries) = value.as_object().filter(|entries| entries.values().all(|entry| !entry.is_array() && !entry.is_object())) else {
        return Some("a mapping of names to plain values".to_owned());
    };
    let is_parameter = |name: &str| !name.is_empty() && holds(name, "_.$");
    if let Some(name) = entries.keys().find(|name| !is_parameter(name)) {
        return Some(format!("a mapping of names to plain values; {} is no name of a parameter", Json::from(name.as_str())));
    }
    let (name, _) = entries.iter().find(|(_, entry)| entry.as_str().is_some_and(|text| !is_value(text)))?;
    Some(format!("a mapping of names to plain values; that of {name} must be one line"))
}

/// A tab may stand in a value.
fn is_value(text: &str) -> bool {
    all(text, |sign| !sign.is_control() || sign == '\t')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::{KINDS, Kind};

    const DEFAULTS: &str = include_str!("../../playbooks/postgresql/vars/defaults.yml");
    /// What would be a line of its own, a command, a way to another folder or a template, if something took it for more than a value.
    const PAYLOADS: [&str; 8] =
        ["\n[Service]\nExecStartPre=/bin/touch /tmp/x", "\r\nlisten x", "'; touch /tmp/x; '", "\"\nx", "$(id)", "`id`", "../", "{{ 1 }}"];

    /// The variables, and their values where these are plain text.
    fn defaults() -> Vec<(&'static str, &'static str)> {
        let is_variable = |line: &&str| line.starts_with(|first: char| first.is_ascii_lowercase());
        let parted = DEFAULTS.lines().filter(is_variable).map(|line| line.split_once(':').expect("a variable"));
        parted.map(|(name, value)| (name, value.trim())).collect()
    }

    /// What may hold a payload, since it stays what it is there.
    fn stays_data(name: &str, kind: &Kind, payload: &str) -> bool {
        let is_line = !payload.contains(['\n', '\r']);
        match name {
            // An argument of psql, which is quoted where SQL needs it, and the name of a file on the controller.
            "postgresql_init_sql" => is_line,
            // They are compared, and go nowhere.
            "postgresql_drop_databases" => is_line,
            // A line of pg_hba.conf is anybody's to write who may set this; it is one line.
            "postgresql_hba_rules" => is_line,
            // Patroni quotes values.
            "postgresql_parameters" => is_line,
            // apt asks for a URL with them, and makes the architecture of `$(ARCH)`; nothing else reads it.
            "pgdg_url" | "pgdg_key_url" => ["../", "$(id)"].contains(&payload),
            // One word of pg_hba.conf, which PostgreSQL takes for a host's name.
            "postgresql_allowed_networks" => payload == "../",
            // A path below the folder that is named.
            "postgresql_data_folder" => payload == "../",
            _ => matches!(kind, Kind::Declared),
        }
    }

    #[test]
    fn every_variable_is_judged() {
        let known: BTreeSet<&str> = KINDS.iter().map(|(name, _)| *name).filter(|name| *name != "postgresql_address").collect();
        let all: BTreeSet<&str> = defaults().into_iter().map(|(name, _)| name).collect();
        assert!(all.len() > 60, "{all:?}");
        assert_eq!(known, all, "what a variable of defaults.yml may hold is said in KINDS");
        assert_eq!(KINDS.len(), all.len() + 1, "each once");
    }

    #[test]
    fn no_value_becomes_more_than_a_value() {
        for (name, default) in defaults() {
            let kind = &KINDS.iter().find(|(known, _)| *known == name).expect("known").1;
            let base = if default.starts_with(['"', '[', '{']) { "" } else { default };
            for payload in PAYLOADS {
                let text = format!("{base}{payload}");
                let values: Vec<Value> = match kind {
                    Kind::Texts(_) | Kind::Ports => vec![json!([text]), json!(["x", text]), json!([format!("samenet{payload}")])],
                    Kind::Parameters => vec![json!({"archive_command": text})],
                    _ => vec![json!(text)],
                };
                for value in values {
                    let (told, harm) = (kind.wrong(name, &value), kind.harm(name, &value));
                    if stays_data(name, kind, payload) && !matches!(kind, Kind::Declared) {
                        assert_eq!((told, harm), (None, None), "{name} may hold {payload:?}");
                        continue;
                    }
                    let told = told.unwrap_or_else(|| panic!("{name} takes {value}"));
                    assert!(told.starts_with(&format!("{name} is ")) && told.contains(", and must be "), "{told}");
                    // Words and flags are compared alone; entries are judged where they are read.
                    let is_compared = matches!(kind, Kind::Word(_) | Kind::WordOfAnyCase(_) | Kind::Flag | Kind::Declared);
                    assert!(is_compared || harm.is_some(), "{name} takes {value} outside of a deploy");
                }
            }
        }
        let parameters = &KINDS.iter().find(|(known, _)| *known == "postgresql_parameters").expect("known").1;
        for payload in PAYLOADS {
            assert!(parameters.harm("postgresql_parameters", &json!({format!("work_mem{payload}"): 1})).is_some(), "{payload}");
        }
    }

    #[test]
    fn what_works_is_taken() {
        for (name, values) in [
            ("postgresql_data_folder", vec!["/", "/srv/Daten_1/pg-16.x", "/mnt/größe/a+b@c:d=e~f", "/var/lib/postgresql/"]),
            ("postgresql_locale", vec!["", "C", "POSIX", "en_US.UTF-8", "de_DE.UTF-8@euro", "sr_RS@latin"]),
            ("postgresql_role", vec!["leader", "primary", "master", "replica", "standby-1"]),
            (
                "postgresql_address",
                vec!["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "[2001:db8::1]", "::1", "pg_1.example.com", "größe.example"],
            ),
            ("postgresql_service_address", vec!["127.0.54.32", "::1"]),
            ("patroni_rest_listen", vec!["*", "0.0.0.0", "::", "[::]", "192.0.2.1", "localhost"]),
            ("postgresql_database", vec!["application", "My app", "_x", "größe", "a$b", "app@example.com", "2026", "shop-1.x"]),
            ("postgresql_app_user", vec!["app_user", "App User", "app@example.com"]),
            ("postgresql_backup_user", vec!["backup", "_backup", "back-up.1", "backup$", "Größe"]),
            ("haproxy_stats_user", vec!["admin", "admin@example.com", "a$b"]),
            ("postgresql_init_sql", vec!["", "/home/o'brien/My files/$x.sql", "sql/init.sql"]),
            ("postgresql_wipe", vec!["", "coolify_postgres"]),
            ("postgresql_fence", vec!["agent", "Agent", "watchdog", "off"]),
            ("preflight_clock_warn", vec!["0.5", "2"]),
            ("preflight_disk_mb", vec!["0", "500"]),
            ("pgdg_url", vec!["https://user:pw@mirror.example/$(ARCH)/apt?x=1", "file:/srv/mirror", "mirror+http://x/y"]),
        ] {
            let kind = &KINDS.iter().find(|(known, _)| *known == name).expect("known").1;
            for value in values {
                assert_eq!((kind.wrong(name, &json!(value)), kind.harm(name, &json!(value))), (None, None));
            }
        }
        for (name, value) in [
            (
                "postgresql_allowed_networks",
                json!([
                    "samenet",
                    "samehost",
                    "all",
                    "192.0.2.0/24",
                    "192.0.2.0 255.255.255.0",
                    "2001:db8::/32",
                    ".example.com",
                    "db_1.lan"
                ]),
            ),
            (
                "postgresql_hba_rules",
                json!(["host all \"My user\" 192.0.2.0/24 reject", "local\tall all peer # why", "", "host all /^a\\d+$ 0.0.0.0/0 md5"]),
            ),
            ("postgresql_tls_names", json!(["*.example.com", "192.0.2.1", "2001:db8::1"])),
            ("postgresql_firewall_ports", json!([80, "443"])),
            (
                "postgresql_parameters",
                json!({"archive_command": "cp \"%p\" '/srv/o''brien/%f' && `true`", "my.setting": "a\tb", "work_mem": 4, "ssl": true, "x": null}),
            ),
            ("postgresql_fence", json!(false)),
            ("postgresql_database", json!(2026)),
            ("preflight_clock_warn", json!(0.5)),
        ] {
            let kind = &KINDS.iter().find(|(known, _)| *known == name).expect("known").1;
            assert_eq!((kind.wrong(name, &value), kind.harm(name, &value)), (None, None));
        }
    }

    #[test]
    fn what_means_something_elsewhere_is_not_taken() {
        for (name, value) in [
            ("postgresql_allowed_networks", json!(["samenet trust #"])),
            ("postgresql_allowed_networks", json!(["192.0.2.0/24 trust"])),
            ("postgresql_allowed_networks", json!(["192.0.2.0 255.255.255.0 trust"])),
            ("postgresql_allowed_networks", json!(["@/etc/passwd"])),
            ("postgresql_hba_rules", json!(["host all x samenet reject \\"])),
            ("postgresql_backup_user", json!("all")),
            ("postgresql_backup_user", json!("+postgres")),
            ("postgresql_backup_user", json!("a b")),
            ("postgresql_database", json!("host=elsewhere dbname=x")),
            ("postgresql_database", json!("postgresql://elsewhere/x")),
            ("postgresql_data_folder", json!("var/lib/postgresql")),
            ("postgresql_data_folder", json!("/srv/my data")),
            ("postgresql_data_folder", json!("/srv/x/../../etc")),
            ("postgresql_data_folder", json!("/srv/%i")),
            ("haproxy_stats_user", json!("a:b")),
            ("haproxy_stats_user", json!("a b")),
            ("haproxy_stats_user", json!("")),
            ("postgresql_service_address", json!("unix@/run/x")),
            ("preflight_disk_mb", json!("a[$(touch /tmp/x)]")),
            ("preflight_clock_warn", json!("NaN")),
            ("pgdg_url", json!("https://x/y main\ndeb")),
            ("pgdg_url", json!("https://x/y main #")),
            ("postgresql_firewall_ports", json!(["80 }"])),
            ("postgresql_address", json!(["192.0.2.1"])),
        ] {
            let kind = &KINDS.iter().find(|(known, _)| *known == name).expect("known").1;
            assert!(kind.harm(name, &value).is_some(), "{name} takes {value}");
        }
    }

    #[test]
    fn values_are_what_they_must_be() {
        for (name, good, bad) in [
            ("postgresql_port", vec![json!(5432), json!("5432")], vec![json!("abc"), json!(0), json!(70_000), json!([1]), json!(true)]),
            ("patroni_ttl", vec![json!(20)], vec![json!(10), json!(-1), json!("30s")]),
            (
                "postgresql_synchronous_mode",
                vec![json!("quorum"), json!(true), json!("off"), json!(false)],
                vec![json!("sometimes"), json!(1)],
            ),
            (
                "postgresql_firewall",
                vec![json!("nftables"), json!("off"), json!(false)],
                vec![json!("ufw"), json!(true), json!(["nftables"])],
            ),
            ("postgresql_restart", vec![json!(true)], vec![json!("false"), json!("yes"), json!(1)]),
            ("postgresql_cluster_name", vec![json!("a_b-c.d")], vec![json!("a b"), json!("../x"), json!(""), json!(7)]),
            ("postgresql_parameters", vec![json!({}), json!({"work_mem": "4MB"})], vec![json!([]), json!({"a": [1]})]),
            ("postgresql_allowed_networks", vec![json!(["samenet"])], vec![json!("samenet"), json!([1])]),
        ] {
            let kind = &KINDS.iter().find(|(known, _)| *known == name).expect("known").1;
            good.iter().for_each(|value| assert_eq!(kind.wrong(name, value), None));
            bad.iter().for_each(|value| assert!(kind.wrong(name, value).is_some(), "{name}: {value}"));
        }
    }
}
