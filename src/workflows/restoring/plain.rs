//! A dump in SQL, as `pg_dumpall` or `pg_dump` writes it and `gzip` packs it: what is in it, and one part of it at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use pgfleet_engine::{Content, Outgoing};
use pgfleet_state::Table;

use crate::streams::Meter;

const OF_ALL: &str = "-- PostgreSQL database cluster dump";
const OF_ONE: &str = "-- PostgreSQL database dump";
/// Lines that name the database itself. A copy of it under another name must not touch the one that has the name.
const OF_THE_DATABASE: [&str; 5] = ["ALTER DATABASE ", "ALTER ROLE ", "COMMENT ON DATABASE ", "GRANT ", "REVOKE "];

/// A database in a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlainDatabase {
    /// Its name; empty in a dump of one database, which does not say it.
    pub(crate) name: String,
    /// Its tables, with the rows that the dump has of them.
    pub(crate) tables: Vec<Table>,
    /// Bytes of SQL.
    pub(crate) bytes: u64,
}

/// What a dump has in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlainDump {
    /// It is of a whole cluster: with roles, and with a part for each database.
    pub(crate) is_of_all: bool,
    /// What comes before the databases: roles.
    pub(crate) globals: String,
    /// The databases.
    pub(crate) databases: Vec<PlainDatabase>,
    /// Bytes of SQL.
    pub(crate) bytes: u64,
}

/// Where in a dump a line is.
#[derive(Default)]
struct Place {
    in_rows: bool,
    /// What ends the name or text that goes on behind the last line: a quote, or `$tag$`.
    open: Option<String>,
    /// A statement that announces rows, as far as it was read.
    copy: String,
}

/// What a line means.
enum Line {
    /// A database's part begins.
    Database(String),
    /// Rows of a table follow.
    Rows(Table),
    /// One of these rows.
    Row,
    /// From here on it speaks to the database.
    Connect,
    /// It goes on with a name or a text, whatever it looks like.
    Text,
    Other,
}

impl Place {
    fn read(&mut self, line: &[u8]) -> Line {
        if self.in_rows {
            self.in_rows = line != b"\\.";
            return if self.in_rows { Line::Row } else { Line::Other };
        }
        let text = String::from_utf8_lossy(line);
        let begins = self.open.is_none();
        if begins && text.starts_with("--") {
            let name = text.strip_prefix("-- Database \"").and_then(|rest| rest.strip_suffix("\" dump"));
            return name.map_or(Line::Other, |name| Line::Database(name.to_owned()));
        }
        if begins && text.starts_with('\\') {
            return if text.starts_with("\\connect ") { Line::Connect } else { Line::Other };
        }
        if begins {
            self.copy = if text.starts_with("COPY ") { text.to_string() } else { String::new() };
        } else if !self.copy.is_empty() {
            self.copy = format!("{}\n{text}", self.copy);
        }
        self.open = open_behind(self.open.take(), &text);
        let announced = self.copy.strip_prefix("COPY ").filter(|rest| self.open.is_none() && rest.ends_with(" FROM stdin;"));
        if let Some(rest) = announced {
            self.in_rows = true;
            let (schema, name) = table(rest);
            return Line::Rows(Table { schema, name, rows: 0 });
        }
        if begins { Line::Other } else { Line::Text }
    }

    /// True where the next line is one of rows, or of a name or a text.
    fn is_inside(&self) -> bool {
        self.in_rows || self.open.is_some()
    }
}

/// What ends the name or text that is open behind a line of SQL. A quote that stands twice ends it and begins it anew.
fn open_behind(mut open: Option<String>, line: &str) -> Option<String> {
    let mut rest = line;
    let mut before = None;
    loop {
        if let Some(end) = &open {
            let Some((_, behind)) = rest.split_once(end.as_str()) else { return open };
            (open, rest, before) = (None, behind, None);
            continue;
        }
        let mut signs = rest.chars();
        let sign = signs.next()?;
        let is_in_word = before.is_some_and(|before: char| before.is_alphanumeric() || matches!(before, '_' | '$'));
        match sign {
            '\'' | '"' => open = Some(sign.to_string()),
            '$' if !is_in_word => open = dollar_quote(rest),
            '-' if rest.starts_with("--") => return None,
            _ => {}
        }
        rest = open.as_ref().map_or(signs.as_str(), |quote| &rest[quote.len()..]);
        before = Some(sign);
    }
}

/// `$$` or `$tag$`, where a text begins with one.
fn dollar_quote(text: &str) -> Option<String> {
    let (tag, _) = text.strip_prefix('$')?.split_once('$')?;
    let is_tag = !tag.starts_with(|first: char| first.is_ascii_digit()) && tag.chars().all(|sign| sign.is_alphanumeric() || sign == '_');
    is_tag.then(|| format!("${tag}$"))
}

/// `"My schema".t (a, b) FROM stdin;`: the names.
fn table(text: &str) -> (String, String) {
    let (first, rest) = identifier(text);
    match rest.strip_prefix('.') {
        Some(rest) => (first, identifier(rest).0),
        None => ("public".to_owned(), first),
    }
}

/// The name that a text begins with, without its quotes, and what follows.
pub(crate) fn identifier(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '$')).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut name = String::new();
    let mut letters = quoted.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' if letters.peek().is_some_and(|(_, next)| *next == '"') => {
                letters.next();
                name.push('"');
            }
            '"' => return (name, &quoted[at + 1..]),
            other => name.push(other),
        }
    }
    (name, "")
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path)?);
    let is_packed = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_packed { Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(file))) } else { Box::new(file) })
}

/// Reads a line without its end; `false` at the end of the file.
fn next_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(reader.read_until(b'\n', line)? > 0)
}

fn bare(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

impl PlainDump {
    /// Reads all of it once.
    ///
    /// # Errors
    /// When it cannot be read, is no dump, or is not whole.
    pub(crate) fn scan(path: &Path) -> Result<Self, String> {
        let unreadable = |error: io::Error| format!("{} cannot be read: {error}", path.display());
        let mut reader = open(path).map_err(unreadable)?;
        let (mut dump, mut place, mut line, mut is_dump, mut is_whole) = (Self::default(), Place::default(), Vec::new(), false, false);
        while next_line(&mut *reader, &mut line).map_err(unreadable)? {
            let length = line.len() as u64;
            dump.bytes += length;
            let text = bare(&line);
            if !place.is_inside() && text.starts_with(b"-- PostgreSQL database ") {
                let text = String::from_utf8_lossy(text);
                if !is_dump {
                    (is_dump, dump.is_of_all) = (text == OF_ALL || text == OF_ONE, text == OF_ALL);
                    if is_dump && !dump.is_of_all {
                        dump.databases.push(PlainDatabase::default());
                    }
                }
                is_whole |= text == format!("{} complete", if dump.is_of_all { OF_ALL } else { OF_ONE });
            }
            match (place.read(text), dump.databases.last_mut()) {
                (Line::Database(name), _) => dump.databases.push(PlainDatabase { name, ..PlainDatabase::default() }),
                (Line::Rows(table), Some(database)) => database.tables.push(table),
                (Line::Row, Some(database)) => {
                    if let Some(table) = database.tables.last_mut() {
                        table.rows += 1;
                    }
                }
                (_, None) => dump.globals.push_str(&String::from_utf8_lossy(&line)),
                _ => {}
            }
            if let Some(database) = dump.databases.last_mut() {
                database.bytes += length;
            }
        }
        match (is_dump, is_whole) {
            (false, _) => Err(format!("{} is no dump of pg_dump or pg_dumpall in SQL", path.display())),
            (true, false) => Err(format!("{} is not whole: the line that ends a dump is missing", path.display())),
            (true, true) => Ok(dump),
        }
    }
}

/// What of a dump is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    All,
    /// All databases, without the roles before them.
    Databases,
    /// The inside of one database, for a database of any name.
    Inside(String),
}

/// A part of a dump as content for a program, counted in a meter.
pub(crate) struct PlainSource {
    path: PathBuf,
    part: Part,
    meter: Meter,
}

impl PlainSource {
    #[expect(clippy::new_ret_no_self, reason = "it is only of use as content")]
    pub(crate) fn new(path: &Path, part: Part, meter: Meter) -> Content {
        Content::Pieces(Arc::new(Self { path: path.to_owned(), part, meter }))
    }
}

impl Outgoing for PlainSource {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let is_wanted = self.part == Part::All;
        Ok(Box::new(PartReader {
            reader: open(&self.path)?,
            part: self.part.clone(),
            place: Place::default(),
            is_inside: is_wanted,
            is_wanted,
            is_over: false,
            line: Vec::new(),
            sent: 0,
            meter: self.meter.clone(),
        }))
    }
}

struct PartReader {
    reader: Box<dyn BufRead + Send>,
    part: Part,
    place: Place,
    /// In the part of the database.
    is_inside: bool,
    /// Lines are sent.
    is_wanted: bool,
    /// Nothing that follows is sent.
    is_over: bool,
    line: Vec<u8>,
    sent: usize,
    meter: Meter,
}

impl PartReader {
    /// Reads on to the next line that is wanted.
    fn advance(&mut self) -> io::Result<bool> {
        loop {
            if self.is_over || !next_line(&mut *self.reader, &mut self.line)? {
                self.is_over = true;
                return Ok(false);
            }
            self.sent = 0;
            let text = bare(&self.line);
            let meaning = self.place.read(text);
            match (&self.part, meaning) {
                (Part::All, _) => return Ok(true),
                (Part::Databases, Line::Database(_)) => self.is_wanted = true,
                (Part::Databases, _) if self.is_wanted => return Ok(true),
                (Part::Inside(name), Line::Database(other)) => {
                    self.is_over = self.is_inside && other != *name;
                    self.is_inside = other == *name;
                }
                // The dump connects again and again, always to the database that has the name.
                (Part::Inside(_), Line::Connect) => self.is_wanted |= self.is_inside,
                (Part::Inside(_), Line::Other) if self.is_wanted && speaks_of_the_database(text) => {}
                (Part::Inside(_), _) if self.is_wanted => return Ok(true),
                _ => {}
            }
        }
    }
}

/// `GRANT ... ON DATABASE d TO x;` and the like.
fn speaks_of_the_database(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let names_it = [" ON DATABASE ", " IN DATABASE ", "ALTER DATABASE "].iter().any(|words| text.contains(words));
    text.ends_with(';') && names_it && OF_THE_DATABASE.iter().any(|words| text.starts_with(words))
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.sent == self.line.len() && !self.advance()? {
                self.line.clear();
                self.sent = 0;
                break;
            }
            let count = (self.line.len() - self.sent).min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&self.line[self.sent..self.sent + count]);
            self.sent += count;
            filled += count;
        }
        self.meter.add(filled);
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{Part, PlainDump, PlainSource, identifier};
    use crate::streams::Meter;
    use pgfleet_engine::Content;
    use pgfleet_state::Table;

    const DUMP: &str = "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE app;\n--\n-- Database \"postgres\" dump\n--\n\\connect postgres\nSET a = b;\n\
        --\n-- Database \"My app\" dump\n--\nCREATE DATABASE \"My app\";\n\\connect \"My app\"\nALTER ROLE app IN DATABASE \"My app\" SET a TO b;\n\\connect \"My app\"\nGRANT CONNECT ON DATABASE \"My app\" TO app;\n\
        COPY public.kept (n) FROM stdin;\n1\n-- Database \"x\" dump\n\\.\nCOPY \"S\".\"t\"\"1\" (n) FROM stdin;\n\\.\n\
        --\n-- Database \"z\" dump\n--\nCREATE DATABASE z;\n\\connect z\nSET z = 1;\n--\n-- PostgreSQL database cluster dump complete\n--\n";

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    fn part(text: &str, part: Part) -> String {
        let file = written(text);
        let Content::Pieces(pieces) = PlainSource::new(file.path(), part, Meter::default()) else { panic!("pieces") };
        let mut read = String::new();
        pieces.open().expect("open").read_to_string(&mut read).expect("read");
        read
    }

    #[test]
    fn a_dump_says_what_is_in_it() {
        let dump = PlainDump::scan(written(DUMP).path()).expect("whole");
        let names: Vec<&str> = dump.databases.iter().map(|database| database.name.as_str()).collect();
        assert_eq!((dump.is_of_all, names), (true, vec!["postgres", "My app", "z"]));
        let table = |schema: &str, name: &str, rows| Table { schema: schema.to_owned(), name: name.to_owned(), rows };
        assert_eq!(dump.databases[1].tables, [table("public", "kept", 2), table("S", "t\"1", 0)]);
        assert!(dump.globals.contains("CREATE ROLE app;") && !dump.globals.contains("SET a"));
        let cut = DUMP.replace("dump complete", "dump");
        assert!(PlainDump::scan(written(&cut).path()).is_err_and(|reason| reason.contains("not whole")));
        assert!(PlainDump::scan(written("hello\n").path()).is_err_and(|reason| reason.contains("no dump")));
    }

    #[test]
    fn one_database_is_taken_out_of_it() {
        let inside = part(DUMP, Part::Inside("My app".to_owned()));
        assert!(inside.starts_with("COPY public.kept (n) FROM stdin;\n1\n-- Database \"x\" dump\n\\.\n"), "{inside}");
        assert!(!inside.contains("SET z") && !inside.contains("connect") && !inside.contains("GRANT"), "{inside}");
        let all = part(DUMP, Part::Databases);
        assert!(all.contains("CREATE DATABASE \"My app\"") && all.contains("GRANT CONNECT") && !all.contains("CREATE ROLE"), "{all}");
        assert_eq!(part(DUMP, Part::All), DUMP);
    }

    #[test]
    fn what_looks_like_a_part_in_a_text_is_none() {
        let text = "\\connect postgres\n-- Database \"x\" dump\nGRANT CONNECT ON DATABASE \"My app\" TO x;\nCOPY public.t (a) FROM stdin;\n-- it's\n";
        let inside = format!(
            "CREATE FUNCTION a() AS $f$\n{text}$f$;\nCREATE FUNCTION b(text) AS $$\n{text}$$;\nCOMMENT ON TABLE t IS 'it''s\n{}';\n-- Name: it's; Type: TABLE\n\
             CREATE VIEW v AS SELECT $1, a$b AS \"c\"\"'\" FROM t; -- it's\nCOPY public.\"two\nCOPY lines\" (n) FROM stdin;\nit's\n$x$\n\\.\nSET last = 1;\n",
            text.replace('\'', "''")
        );
        let dump = DUMP.replace("COPY public.kept (n)", &format!("{inside}COPY public.kept (n)"));
        let scanned = PlainDump::scan(written(&dump).path()).expect("whole");
        let names: Vec<&str> = scanned.databases.iter().map(|database| database.name.as_str()).collect();
        assert_eq!(names, ["postgres", "My app", "z"]);
        let tables: Vec<(&str, u64)> = scanned.databases[1].tables.iter().map(|table| (table.name.as_str(), table.rows)).collect();
        assert_eq!(tables, [("two\nCOPY lines", 2), ("kept", 2), ("t\"1", 0)]);
        let taken = part(&dump, Part::Inside("My app".to_owned()));
        assert!(taken.starts_with(&inside), "{taken}");
    }

    #[test]
    fn names_lose_their_quotes() {
        assert_eq!(identifier("a_b.c"), ("a_b".to_owned(), ".c"));
        assert_eq!(identifier("\"a \"\"b\"\"\" TO x"), ("a \"b\"".to_owned(), " TO x"));
    }
}
