//! Why a task failed and where it stands, in the form that ansible-core shows errors in.

use std::path::Path;
use std::sync::Arc;

use pgfleet_template::{Files, SourceFile, Vault};

/// Lines shown before the one that is meant.
const CONTEXT: usize = 2;
/// Columns of such a line, its number among them.
const WIDEST: usize = 120;

/// `[ERROR]: message`, the place as an absolute path, and the lines of the file up to it.
pub(crate) fn error(message: &str, place: &str, files: &Arc<dyn Files>) -> String {
    format!("[ERROR]: {message}{}", of(place, files))
}

/// The place as an absolute path, and the lines of the file up to it.
pub(super) fn of(place: &str, files: &Arc<dyn Files>) -> String {
    if place.is_empty() {
        return String::new();
    }
    let lines = excerpt(place, &**files).map(|lines| format!("\n{lines}\n")).unwrap_or_default();
    format!("\nOrigin: {}\n{lines}", absolute(place))
}

/// `file:line:column`, the file absolute; without the column where asked for a task's path.
pub(crate) fn absolute(place: &str) -> String {
    let Some((file, line, column)) = parts(place) else { return place.to_owned() };
    let path = std::path::absolute(file).unwrap_or_else(|_| file.into());
    format!("{}:{line}:{column}", plain(&path))
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> String {
    let mut kept = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    kept.display().to_string()
}

fn parts(place: &str) -> Option<(&str, usize, usize)> {
    let mut parts = place.rsplitn(3, ':');
    let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((parts.next()?, line, column))
}

fn excerpt(place: &str, files: &dyn Files) -> Option<String> {
    let (file, line, column) = parts(place)?;
    let source = SourceFile::read(files, Path::new(file), &Vault::none()).ok()?;
    let first = line.saturating_sub(CONTEXT + 1);
    let width = line.to_string().len();
    let most = WIDEST - width - 1;
    let mut shown: Vec<String> = Vec::new();
    for (index, text) in source.text.lines().enumerate().take(line).skip(first) {
        let mut text = text.replace('\t', " ");
        if text.chars().count() > most {
            text = text.chars().take(most - 3).collect::<String>() + "...";
        }
        let gap = if text.is_empty() { "" } else { " " };
        shown.push(format!("{:>width$}{gap}{text}", index + 1));
    }
    if column >= 1 && column <= most {
        let word = format!("column {column}");
        let mark = if column + 1 + word.len() > most {
            format!("{}{word} ^", " ".repeat((column - 1).saturating_sub(word.len() + 1)))
        } else {
            format!("{}^ {word}", " ".repeat(column - 1))
        };
        shown.push(format!("{} {mark}", " ".repeat(width)));
    }
    Some(shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn places_are_absolute() {
        assert_eq!(absolute("/a/../b/./c.yml:3:7"), "/b/c.yml:3:7");
        assert_eq!(absolute("nothing"), "nothing");
    }
}
