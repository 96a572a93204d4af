//! Roles of a dump that a cluster lacks. Those that it has stay as they are, with their passwords.

use super::plain::identifier;

/// The roles that are missing, and the SQL that makes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MissingRoles {
    /// Their names.
    pub(crate) names: Vec<String>,
    /// Statements of the dump that concern them.
    pub(crate) sql: String,
}

/// Picks from the SQL of `pg_dumpall --globals-only` what concerns roles that are not among `existing`.
pub(crate) fn missing_roles(globals: &str, existing: &[String]) -> MissingRoles {
    let mut names = Vec::new();
    for line in globals.lines() {
        if let Some(rest) = line.strip_prefix("CREATE ROLE ") {
            let (name, _) = identifier(rest);
            if !existing.contains(&name) {
                names.push(name);
            }
        }
    }
    let is_missing = |name: &String| names.contains(name);
    let is_known = |name: &String| is_missing(name) || existing.contains(name) || name.starts_with("pg_");
    let concerns = |line: &str| {
        for words in ["CREATE ROLE ", "ALTER ROLE ", "COMMENT ON ROLE "] {
            if let Some(rest) = line.strip_prefix(words) {
                let (name, rest) = identifier(rest);
                // A database that is not there yet has no settings.
                return is_missing(&name) && !rest.starts_with(" IN DATABASE ");
            }
        }
        let Some(rest) = line.strip_prefix("GRANT ") else { return false };
        let (group, rest) = identifier(rest);
        let Some(rest) = rest.strip_prefix(" TO ") else { return false };
        let (member, _) = identifier(rest);
        (is_missing(&group) || is_missing(&member)) && is_known(&group) && is_known(&member)
    };
    let sql = globals.lines().filter(|line| concerns(line)).map(|line| format!("{line}\n")).collect();
    MissingRoles { names, sql }
}

#[cfg(test)]
mod tests {
    use super::missing_roles;

    #[test]
    fn only_what_is_missing_is_made() {
        let globals = "CREATE ROLE app;\nALTER ROLE app WITH LOGIN PASSWORD 'SCRAM-SHA-256$x';\nCREATE ROLE postgres;\nALTER ROLE postgres WITH SUPERUSER;\n\
            CREATE ROLE \"Re porter\";\nALTER ROLE \"Re porter\" SET work_mem TO '1MB';\nALTER ROLE app IN DATABASE x SET a TO 'b';\n\
            GRANT pg_read_all_data TO \"Re porter\" WITH INHERIT TRUE GRANTED BY postgres;\nGRANT pg_monitor TO postgres;\nGRANT gone TO app;\n";
        let missing = missing_roles(globals, &["postgres".to_owned(), "app".to_owned()]);
        assert_eq!(missing.names, ["Re porter"]);
        assert_eq!(
            missing.sql,
            "CREATE ROLE \"Re porter\";\nALTER ROLE \"Re porter\" SET work_mem TO '1MB';\nGRANT pg_read_all_data TO \"Re porter\" WITH INHERIT TRUE GRANTED BY postgres;\n"
        );
        let all = missing_roles(globals, &["postgres".to_owned()]);
        assert!(all.sql.contains("PASSWORD 'SCRAM") && !all.sql.contains("GRANT gone") && !all.sql.contains("IN DATABASE"));
    }
}
