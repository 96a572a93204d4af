//! What a piece of source names, found without running it: variables, filters, tests, functions, lookups, files.

mod reading;

use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};

use minijinja::machinery::{parse, parse_expr};
use minijinja::{Environment, ErrorKind};

use reading::Reading;

use crate::backslash::{in_file, in_yaml};
use crate::compile::{Shape, text_syntax};
use crate::scope::{environment, is_global};
use crate::{TemplateOptions, builtins};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UseKind {
    /// A variable.
    Name,
    /// A filter, also one that `map` is told to use.
    Filter,
    /// A test, also one that `select` and its like are told to use.
    Test,
    /// A function.
    Function,
    /// A lookup plugin.
    Lookup,
    /// A file that a template includes or imports; a missing one is an error.
    File,
    /// A file that may be missing.
    OptionalFile,
}

/// One name in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What it stands for.
    pub kind: UseKind,
    /// As written.
    pub name: String,
    /// Where it begins, in bytes of the source.
    pub offset: usize,
    /// Whether it may be passed over when the source runs: in a branch, a loop, or behind `and` and `or`.
    pub conditional: bool,
}

/// All names in a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// In the order of the source's tree; names that the source defines itself are left out.
    pub uses: Vec<Use>,
    /// Variables that `is defined`, `default` and the like ask about: they may be missing.
    pub tested: BTreeSet<String>,
}

/// Why a source cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the source.
    pub offset: usize,
    /// How many bytes of it are concerned.
    pub length: usize,
}

impl Inspection {
    /// Of an expression without braces.
    ///
    /// # Errors
    /// When it is none.
    pub fn of_expression(source: &str) -> Result<Self, Malformed> {
        let doubled = in_yaml(source, Shape::Expression);
        let tree = parse_expr(&doubled).map_err(|error| malformed(&error, source, &doubled))?;
        let mut reading = Reading::default();
        reading.expression(&tree);
        Ok(reading.finish(source, &doubled, 0))
    }

    /// Of text with templates in it.
    ///
    /// # Errors
    /// When a template in it is malformed.
    pub fn of_text(source: &str) -> Result<Self, Malformed> {
        let doubled = in_yaml(source, Shape::Template);
        let tree = parse(&doubled, "", text_syntax()).map_err(|error| malformed(&error, source, &doubled))?;
        let mut reading = Reading::default();
        reading.statement(&tree);
        Ok(reading.finish(source, &doubled, 0))
    }

    /// Of a template file.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn of_file(source: &str, options: &TemplateOptions) -> Result<Self, Malformed> {
        let (options, body) = crate::template_file::header(source, options).map_err(|problem| Malformed {
            message: problem.message,
            offset: 0,
            length: source.find('\n').unwrap_or(source.len()),
        })?;
        let skipped = source.len() - body.len();
        let syntax = crate::template_file::syntax(&options).map_err(|error| malformed(&error, body, body))?;
        let doubled = in_file(body);
        let tree = parse(&doubled, "", syntax).map_err(|error| {
            let problem = malformed(&error, body, &doubled);
            Malformed { offset: problem.offset + skipped, ..problem }
        })?;
        let mut reading = Reading::default();
        reading.statement(&tree);
        Ok(reading.finish(body, &doubled, skipped))
    }
}

/// Whether the language has it.
#[must_use]
pub fn is_known(kind: UseKind, name: &str) -> bool {
    static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(environment);
    static ASKED: LazyLock<Mutex<HashMap<(UseKind, String), bool>>> = LazyLock::new(Mutex::default);
    let short = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name);
    let key = (kind, name.to_owned());
    if let Some(known) = ASKED.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return *known;
    }
    let known = match kind {
        // Nothing but the call itself tells whether there is one; with no arguments it does nothing.
        UseKind::Filter => !is_kind(LANGUAGE.empty_state().apply_filter(name, &[]).err(), ErrorKind::UnknownFilter),
        UseKind::Test => !is_kind(LANGUAGE.empty_state().perform_test(name, &[]).err(), ErrorKind::UnknownTest),
        UseKind::Function => is_global(name),
        UseKind::Lookup => builtins::lookup_names().any(|known| known == short),
        UseKind::Name | UseKind::File | UseKind::OptionalFile => true,
    };
    ASKED.lock().unwrap_or_else(PoisonError::into_inner).insert(key, known);
    known
}

fn is_kind(error: Option<minijinja::Error>, kind: ErrorKind) -> bool {
    error.is_some_and(|error| error.kind() == kind)
}

/// Names for suggestions.
#[must_use]
pub fn known_names(kind: UseKind) -> Vec<&'static str> {
    match kind {
        UseKind::Filter => builtins::filter_names().collect(),
        UseKind::Test => builtins::test_names().collect(),
        UseKind::Lookup => builtins::lookup_names().collect(),
        UseKind::Function => builtins::function_names().filter(|name| !name.starts_with('_')).collect(),
        UseKind::Name | UseKind::File | UseKind::OptionalFile => Vec::new(),
    }
}

fn malformed(error: &minijinja::Error, source: &str, doubled: &str) -> Malformed {
    let range = error.range().unwrap_or_else(|| {
        let line = error.line().unwrap_or(1);
        let start = doubled.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        start..start
    });
    let offset = original(source, doubled, range.start);
    let end = original(source, doubled, range.end).max(offset);
    Malformed { message: error.detail().unwrap_or("it cannot be read").to_owned(), offset, length: end - offset }
}

/// Where a place of the text with doubled backslashes and plain newlines is in the original.
fn original(source: &str, doubled: &str, offset: usize) -> usize {
    if source.len() == doubled.len() && !source.contains('\r') {
        return offset.min(source.len());
    }
    let run = |text: &[u8], from: usize| text[from..].iter().take_while(|byte| **byte == b'\\').count();
    let (source, doubled) = (source.as_bytes(), doubled.as_bytes());
    let (mut at, mut there) = (0, 0);
    while there < offset && at < source.len() && there < doubled.len() {
        if source[at] == b'\\' {
            at += run(source, at);
            there += run(doubled, there);
        } else if source[at..].starts_with(b"\r\n") {
            at += 1;
        } else {
            at += 1;
            there += 1;
        }
    }
    at.min(source.len())
}

#[cfg(test)]
mod tests {
    use super::{Inspection, UseKind, is_known};

    #[test]
    fn names_are_found_where_they_stand() {
        let found = Inspection::of_text(r"a {{ x.y | regex_replace('\.', z) | map('uper') }} {{ w is defined and w == lookup('fil', v) }}")
            .expect("reads");
        let names: Vec<_> = found.uses.iter().map(|found| (found.kind, found.name.as_str(), found.offset)).collect();
        for expect in [
            (UseKind::Name, "x", 5),
            (UseKind::Filter, "regex_replace", 11),
            (UseKind::Name, "z", 31),
            (UseKind::Filter, "map", 36),
            (UseKind::Filter, "uper", 41),
            (UseKind::Lookup, "fil", 84),
        ] {
            assert!(names.contains(&expect), "{expect:?} in {names:?}");
        }
        assert!(found.tested.contains("w"));
    }

    #[test]
    fn places_are_right_after_newlines_of_all_kinds() {
        let source = "a\r\n{{ '\\d' ~ x }}\r\n{{ y }}";
        let found = Inspection::of_text(source).expect("reads");
        for name in ["x", "y"] {
            let place = found.uses.iter().find(|found| found.name == name).map(|found| found.offset);
            assert_eq!(place, source.find(name), "{name}");
        }
    }

    #[test]
    fn what_a_template_defines_is_no_variable_of_others() {
        let source = "{% macro m(a) %}{{ a }}{% endmacro %}{% set s = 1 %}{% for k, v in d.items() %}{{ m(k) }}{{ loop.index }}{{ v }}{{ s }}{{ u }}{% endfor %}";
        let found = Inspection::of_text(source).expect("reads");
        let names: Vec<_> = found.uses.iter().filter(|found| found.kind == UseKind::Name).map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["d", "u"]);
    }

    #[test]
    fn syntax_errors_say_where() {
        let problem = Inspection::of_expression(r"a == '\d' and and b").expect_err("malformed");
        assert_eq!(problem.offset, 18, "{problem:?}");
    }

    #[test]
    fn the_language_knows_its_own() {
        for (kind, name, expect) in [
            (UseKind::Filter, "default", true),
            (UseKind::Filter, "ansible.builtin.to_json", true),
            (UseKind::Filter, "to_jsn", false),
            (UseKind::Filter, "upper", true),
            (UseKind::Test, "match", true),
            (UseKind::Test, "matches", false),
            (UseKind::Lookup, "ansible.builtin.env", true),
            (UseKind::Lookup, "hashi_vault", false),
            (UseKind::Function, "range", true),
            (UseKind::Function, "rang", false),
        ] {
            assert_eq!(is_known(kind, name), expect, "{kind:?} {name}");
        }
    }
}
