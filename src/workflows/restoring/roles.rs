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
    let statements = statements(globals);
    let mut names = Vec::new();
    for rest in statements.iter().filter_map(|statement| statement.strip_prefix("CREATE ROLE ")) {
        let (name, _) = identifier(rest);
        if !existing.contains(&name) {
            names.push(name);
        }
    }
    let is_missing = |name: &String| names.contains(name);
    let is_known = |name: &String| is_missing(name) || existing.contains(name) || name.starts_with("pg_");
    let concerns = |statement: &str| {
        for words in ["CREATE ROLE ", "ALTER ROLE ", "COMMENT ON ROLE "] {
            if let Some(rest) = statement.strip_prefix(words) {
                let (name, rest) = identifier(rest);
                // A database that is not there yet has no settings.
                return is_missing(&name) && !rest.starts_with(" IN DATABASE ");
            }
        }
        let Some(rest) = statement.strip_prefix("GRANT ") else { return false };
        let (group, rest) = identifier(rest);
        let Some(rest) = rest.strip_prefix(" TO ") else { return false };
        let (member, _) = identifier(rest);
        (is_missing(&group) || is_missing(&member)) && is_known(&group) && is_known(&member)
    };
    let sql = statements.iter().filter(|statement| concerns(statement)).map(|statement| format!("{statement}\n")).collect();
    MissingRoles { names, sql }
}

/// The statements of SQL as pg_dumpall writes it, each with its semicolon. A name or a text may have lines that look like statements.
fn statements(sql: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = sql.trim_start();
    while !rest.is_empty() {
        let is_of_psql = rest.starts_with("--") || rest.starts_with('\\');
        let end = if is_of_psql { rest.find('\n') } else { end_of_statement(rest) };
        let (statement, behind) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        if !is_of_psql {
            found.push(statement);
        }
        rest = behind.trim_start();
    }
    found
}

/// Where the first semicolon outside of quotes is. A quote that stands twice ends and begins.
fn end_of_statement(sql: &str) -> Option<usize> {
    let mut quote = None;
    sql.char_indices().find_map(|(at, sign)| {
        match (sign, quote) {
            ('\'' | '"', None) => quote = Some(sign),
            (sign, Some(open)) if sign == open => quote = None,
            (';', None) => return Some(at),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::{missing_roles, statements};

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

    #[test]
    fn what_a_name_has_of_lines_is_no_statement() {
        let nasty = "x\"\"\nCREATE ROLE evil;\nALTER ROLE evil WITH SUPERUSER;\n\\! touch /tmp/x\ny";
        let globals = format!(
            "--\n-- it's a dump\n--\n\\restrict a'b\nSET x = 'a;b';\nCREATE ROLE \"{nasty}\";\nALTER ROLE \"{nasty}\" WITH PASSWORD 'it''s;\nCREATE ROLE other;';\nCREATE ROLE app;\n"
        );
        let missing = missing_roles(&globals, &["app".to_owned()]);
        assert_eq!(missing.names, [nasty.replace("\"\"", "\"")]);
        let made = format!("CREATE ROLE \"{nasty}\";\nALTER ROLE \"{nasty}\" WITH PASSWORD 'it''s;\nCREATE ROLE other;';\n");
        assert_eq!(missing.sql, made);
        assert_eq!(statements("CREATE ROLE \"open"), ["CREATE ROLE \"open"]);
    }
}
