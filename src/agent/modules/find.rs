//! `find`: files by name, age, size and content.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use fancy_regex::Regex;
use pgfleet_protocol::modules::search::{Find, Sought, Stamp};
use pgfleet_protocol::{Map, Outcome};
use serde_json::Value;

use crate::digest::Algorithm;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::modules::stat;
use crate::paths;
use crate::python_regex;
use crate::system::glob::matches;
use crate::system::{Kind, Metadata};

/// What `stat` tells and `find` does not.
const NOT_TOLD: [&str; 7] = ["exists", "blocks", "block_size", "device_type", "readable", "writeable", "executable"];

pub(crate) fn plan(arguments: &Find, context: &Context) -> Planned {
    let search = Search::new(arguments, context)?;
    let (mut files, mut examined, mut skipped) = (Vec::new(), 0, Map::new());
    for written in &arguments.paths {
        let root = paths::expand(context.system, written)?;
        if !context.system.stat_if_there(&root).ok().flatten().is_some_and(|found| found.is_directory()) {
            skipped.insert(written.clone(), format!("'{}' is not a directory", root.display()).into());
            continue;
        }
        search.walk(&root, 1, &mut files, &mut examined)?;
    }
    let message = if skipped.is_empty() { "All paths examined" } else { "Not all paths examined, check warnings for details" };
    Ok(Plan::Done(
        Outcome::unchanged()
            .saying(message)
            .with("matched", files.len())
            .with("examined", examined)
            .with("files", files)
            .with("skipped_paths", skipped),
    ))
}

/// Names that are meant, by shell patterns or expressions.
enum Names {
    Shell(Vec<String>),
    Expressions(Vec<Regex>),
}

impl Names {
    fn read(patterns: &[String], use_regex: bool) -> Result<Self, Failure> {
        if !use_regex {
            return Ok(Self::Shell(patterns.to_vec()));
        }
        // As Python's `match`, which is anchored only at the beginning.
        let compiled = patterns.iter().map(|pattern| python_regex::compile(&format!(r"\A(?:{pattern})"), false, false));
        Ok(Self::Expressions(compiled.collect::<Result<_, _>>()?))
    }

    fn take(&self, name: &str) -> Result<bool, Failure> {
        match self {
            Self::Shell(patterns) => Ok(patterns.iter().any(|pattern| matches(pattern, name))),
            Self::Expressions(expressions) => {
                for expression in expressions {
                    if python_regex::is_match(expression, name)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

struct Search<'a> {
    wish: &'a Find,
    context: &'a Context<'a>,
    patterns: Option<Names>,
    excludes: Option<Names>,
    /// In seconds.
    age: Option<i64>,
    /// In bytes.
    size: Option<i64>,
    contains: Option<Regex>,
    algorithm: Algorithm,
    now: f64,
}

impl<'a> Search<'a> {
    fn new(wish: &'a Find, context: &'a Context<'a>) -> Result<Self, Failure> {
        let names = |patterns: &[String]| Names::read(patterns, wish.use_regex);
        let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86400), ('w', 604_800)];
        let age = wish.age.as_deref().map(|text| amount(text, &units).ok_or_else(|| Failure::new("failed to process age"))).transpose()?;
        let units = [('b', 1), ('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30), ('t', 1 << 40)];
        let size =
            wish.size.as_deref().map(|text| amount(text, &units).ok_or_else(|| Failure::new("failed to process size"))).transpose()?;
        let contains = wish.contains.as_deref().map(|pattern| match wish.read_whole_file {
            true => python_regex::compile(pattern, false, false),
            false => python_regex::compile(&format!(r"\A(?:{pattern})"), false, false),
        });
        Ok(Self {
            wish,
            context,
            patterns: if wish.patterns.is_empty() { None } else { Some(names(&wish.patterns)?) },
            excludes: wish.excludes.as_deref().map(names).transpose()?,
            age,
            size,
            contains: contains.transpose()?,
            algorithm: Algorithm::named(&wish.checksum_algorithm)
                .ok_or_else(|| Failure::new(format!("the checksum algorithm '{}' is not known", wish.checksum_algorithm)))?,
            now: context.system.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        })
    }

    /// Looks at all that is in a folder, then in those below.
    fn walk(&self, folder: &Path, depth: i64, files: &mut Vec<Value>, examined: &mut u64) -> Result<(), Failure> {
        if self.wish.depth.is_some_and(|most| depth > most) || self.is_enough(files) {
            return Ok(());
        }
        // A folder that cannot be read has nothing to find.
        let Ok(names) = self.context.system.list_dir(folder) else { return Ok(()) };
        let mut below: Vec<PathBuf> = Vec::new();
        for name in names {
            let path = folder.join(&name);
            let Ok(found) = self.context.system.lstat(&path) else { continue };
            let leads_on = found.is_directory()
                || self.wish.follow && found.is_link() && self.context.system.stat(&path).is_ok_and(|target| target.is_directory());
            *examined += 1;
            if !self.is_enough(files) && self.is_meant(&name.to_string_lossy(), &path, &found)? {
                files.push(self.describe(&path, &found)?);
            }
            if leads_on {
                below.push(path);
            }
        }
        if self.wish.recurse {
            for path in below {
                self.walk(&path, depth + 1, files, examined)?;
            }
        }
        Ok(())
    }

    fn is_enough(&self, files: &[Value]) -> bool {
        self.wish.limit.is_some_and(|limit| files.len() as u64 >= limit)
    }

    fn is_meant(&self, name: &str, path: &Path, found: &Metadata) -> Result<bool, Failure> {
        let kind = match self.wish.file_type {
            Sought::Any => true,
            Sought::Directory => found.is_directory(),
            Sought::File => found.is_file(),
            Sought::Link => found.is_link(),
        };
        if !kind || (name.starts_with('.') && !self.wish.hidden) {
            return Ok(false);
        }
        if !self.patterns.as_ref().map_or(Ok(true), |names| names.take(name))? {
            return Ok(false);
        }
        if self.excludes.as_ref().map_or(Ok(false), |names| names.take(name))? {
            return Ok(false);
        }
        let time = match self.wish.age_stamp {
            Stamp::Access => found.atime,
            Stamp::Inode => found.ctime,
            Stamp::Content => found.mtime,
        };
        #[expect(clippy::cast_precision_loss, reason = "ages and sizes below 2^53")]
        let fits = |limit: Option<i64>, value: f64| {
            limit.is_none_or(|limit| if limit >= 0 { value >= limit as f64 } else { value <= limit.unsigned_abs() as f64 })
        };
        #[expect(clippy::cast_precision_loss, reason = "sizes below 2^53")]
        let size_fits =
            !found.is_file() || !matches!(self.wish.file_type, Sought::Any | Sought::File) || fits(self.size, found.size as f64);
        if !fits(self.age, self.now - time.as_f64()) || !size_fits || !self.mode_fits(found) {
            return Ok(false);
        }
        if self.wish.file_type == Sought::File { self.content_fits(path) } else { Ok(true) }
    }

    fn mode_fits(&self, found: &Metadata) -> bool {
        let Some(mode) = &self.wish.mode else { return true };
        if self.wish.exact_mode {
            return found.mode == mode.bits(if matches!(mode, pgfleet_protocol::FileMode::Octal(_)) { found.mode } else { 0 }, false);
        }
        let bits = mode.bits(0, false);
        found.mode & bits != 0
    }

    fn content_fits(&self, path: &Path) -> Result<bool, Failure> {
        let Some(expression) = &self.contains else { return Ok(true) };
        // What cannot be read does not contain it.
        let Ok(bytes) = self.context.system.read_file(path) else { return Ok(false) };
        let text = String::from_utf8_lossy(&bytes);
        if self.wish.read_whole_file {
            return python_regex::is_match(expression, &text);
        }
        for line in text.split_inclusive('\n') {
            if python_regex::is_match(expression, line)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn describe(&self, path: &Path, found: &Metadata) -> Result<Value, Failure> {
        let mut told = stat::describe(path, found, self.context);
        for name in NOT_TOLD {
            told.shift_remove(name);
        }
        if self.wish.get_checksum && found.kind == Kind::File {
            let sum = self.context.system.open_file(path).and_then(|mut file| self.algorithm.of_reader(&mut file));
            told.insert("checksum".to_owned(), sum.context(format_args!("cannot read {}", path.display()))?.into());
        }
        Ok(Value::Object(told))
    }
}

/// `-2d` as a number of the smallest unit.
fn amount(text: &str, units: &[(char, i64)]) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: i64 = digits.parse().ok()?;
    let factor = match text[digits.len()..].chars().next() {
        None => 1,
        Some(unit) => units.iter().find(|(letter, _)| *letter == unit)?.1,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::amount;

    #[test]
    fn amounts_have_units_and_signs() {
        let units = [('s', 1), ('d', 86400)];
        for (text, expect) in [("2d", Some(172_800)), ("-30", Some(-30)), ("5S", Some(5)), ("d", None), ("1y", None)] {
            assert_eq!(amount(text, &units), expect, "{text}");
        }
    }
}
