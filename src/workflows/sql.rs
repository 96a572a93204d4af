//! Names and texts as SQL has them.

/// A name.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text, whatever `standard_conforming_strings` says.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// A database as `psql -d` and `pg_restore -d` are told it: a name that looks like a connection, `host=elsewhere`, would otherwise be one.
pub(crate) fn naming(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::{ident, literal, naming};

    #[test]
    fn nothing_ends_what_is_quoted() {
        assert_eq!([ident("a\"b"), literal("it's"), literal("a\\b")], ["\"a\"\"b\"", "'it''s'", "E'a\\\\b'"]);
        assert_eq!(literal("'\\"), "E'''\\\\'");
        assert_eq!(naming("host=a'b\\"), r"dbname='host=a\'b\\'");
    }
}
