//! The SQL of a restore: names, the new database, its rights, and the exchange of names.

use crate::sql::{ident, literal};
use pgfleet_protocol::Map;
use pgfleet_state::Database;
use serde_json::Value;

/// PostgreSQL's limit of a name, in bytes.
const NAME: usize = 63;

/// What a database is beside the one that has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// It is being restored.
    Restore,
    /// It had the name before.
    Before,
    /// It had the name until the restore was undone.
    Undone,
}

impl Beside {
    const ALL: [Self; 3] = [Self::Restore, Self::Before, Self::Undone];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Before => "before",
            Self::Undone => "undone",
        }
    }
}

/// `application_before_20260101T000000Z`.
pub(super) fn beside(name: &str, what: Beside, id: &str) -> Result<String, String> {
    let made = format!("{name}_{}_{id}", what.word());
    if made.len() > NAME { Err(format!("the name '{name}' is too long: '{made}' would have more than {NAME} bytes")) } else { Ok(made) }
}

/// The name, the kind and the backup of a database that a restore made or kept; `None` for any other.
pub(super) fn parted(name: &str) -> Option<(&str, Beside, &str)> {
    Beside::ALL.into_iter().find_map(|what| {
        let (of, id) = name.rsplit_once(&format!("_{}_", what.word()))?;
        pgfleet_state::seconds_of(id).map(|_| (of, what, id))
    })
}

/// Makes the new database: like the one that it will replace, or else as the backup describes it.
pub(super) fn create(new: &str, like: Option<&Map>, database: &Database, owner: &str) -> String {
    let mut sql = format!("CREATE DATABASE {} TEMPLATE template0 OWNER {}", ident(new), ident(owner));
    let mut add = |words: &str, value: &str| {
        if !value.is_empty() {
            sql.push_str(&format!(" {words} {}", literal(value)));
        }
    };
    match like {
        Some(like) => {
            let text = |name: &str| like.get(name).and_then(Value::as_str).unwrap_or_default();
            add("ENCODING", text("encoding"));
            add("LC_COLLATE", text("datcollate"));
            add("LC_CTYPE", text("datctype"));
            let locale = if text("datlocale").is_empty() { text("daticulocale") } else { text("datlocale") };
            match text("datlocprovider") {
                "i" => {
                    add("LOCALE_PROVIDER", "icu");
                    add("ICU_LOCALE", locale);
                }
                "b" => {
                    add("LOCALE_PROVIDER", "builtin");
                    add("BUILTIN_LOCALE", locale);
                }
                _ => {}
            }
        }
        None => {
            add("ENCODING", &database.encoding);
            add("LOCALE", &database.collation);
        }
    }
    sql.push_str(";\n");
    sql
}

/// Gives a database the rights, limits and settings of another one.
pub(super) fn rights(from: &str, to: &str) -> String {
    let (name, other) = (literal(to), literal(from));
    // Lists are kept as they are written: quoted as a whole they would be one name.
    let lists = "('search_path', 'temp_tablespaces', 'session_preload_libraries', 'local_preload_libraries')";
    let value = format!(
        "CASE WHEN split_part(item, '=', 1) IN {lists} THEN substr(item, strpos(item, '=') + 1) ELSE quote_literal(substr(item, strpos(item, '=') + 1)) END"
    );
    format!(
        "SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', {name}) \\gexec\n\
         SELECT format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, {name}, \
           CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
           FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE datname = {other} \\gexec\n\
         SELECT format('ALTER DATABASE %I CONNECTION LIMIT %s', {name}, datconnlimit) FROM pg_database WHERE datname = {other} AND datconnlimit <> -1 \\gexec\n\
         SELECT CASE setrole WHEN 0 THEN format('ALTER DATABASE %I SET %I TO %s', {name}, split_part(item, '=', 1), {value}) \
           ELSE format('ALTER ROLE %I IN DATABASE %I SET %I TO %s', pg_get_userbyid(setrole), {name}, split_part(item, '=', 1), {value}) END \
           FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) AS item WHERE datname = {other} \\gexec\n"
    )
}

/// One renaming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Renaming {
    pub(super) from: String,
    pub(super) to: String,
    /// Applications may connect to it afterwards.
    pub(super) opens: bool,
}

/// Exchanges names in one go: nobody connects meanwhile, who is connected is sent away, and either all names change or none.
pub(super) fn exchange(renamings: &[Renaming]) -> String {
    let mut sql = String::new();
    for renaming in renamings {
        sql.push_str(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false;\n", ident(&renaming.from)));
    }
    let names: Vec<String> = renamings.iter().map(|renaming| literal(&renaming.from)).collect();
    sql.push_str(&format!("{}\nBEGIN;\n", send_away(&names)));
    for renaming in renamings {
        sql.push_str(&format!("ALTER DATABASE {} RENAME TO {};\n", ident(&renaming.from), ident(&renaming.to)));
    }
    for renaming in renamings.iter().filter(|renaming| renaming.opens) {
        sql.push_str(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true;\n", ident(&renaming.to)));
    }
    sql.push_str("COMMIT;\n");
    sql
}

/// Ends the sessions of databases.
pub(super) fn send_away(names: &[String]) -> String {
    format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname IN ({}) AND pid <> pg_backend_pid();",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::{Beside, Renaming, beside, exchange, ident, literal, parted};

    #[test]
    fn names_tell_what_a_database_is() {
        let id = "20260101T000000Z";
        let name = beside("my_before_db", Beside::Before, id).expect("short");
        assert_eq!(name, "my_before_db_before_20260101T000000Z");
        assert_eq!(parted(&name), Some(("my_before_db", Beside::Before, id)));
        assert_eq!(parted("my_before_db"), None);
        assert_eq!(parted("a_restore_soon"), None);
        assert!(beside(&"x".repeat(50), Beside::Restore, id).is_err());
    }

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(
            (ident("a\"b"), literal("it's"), literal("a\\b")),
            ("\"a\"\"b\"".to_owned(), "'it''s'".to_owned(), "E'a\\\\b'".to_owned())
        );
    }

    #[test]
    fn names_change_all_or_not_at_all() {
        let renaming = |from: &str, to: &str, opens| Renaming { from: from.to_owned(), to: to.to_owned(), opens };
        let sql = exchange(&[renaming("d", "d_before", false), renaming("d_restore", "d", true)]);
        let (before, inside) = sql.split_once("BEGIN;\n").expect("a transaction");
        assert!(before.contains("ALTER DATABASE \"d\" ALLOW_CONNECTIONS false;") && before.contains("pg_terminate_backend"));
        assert_eq!(
            inside,
            "ALTER DATABASE \"d\" RENAME TO \"d_before\";\nALTER DATABASE \"d_restore\" RENAME TO \"d\";\nALTER DATABASE \"d\" ALLOW_CONNECTIONS true;\nCOMMIT;\n"
        );
    }
}
