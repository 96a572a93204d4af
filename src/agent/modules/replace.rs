//! `replace`: replaces all matches of a regular expression in a file.

use pgfleet_protocol::modules::content::Replace;

use crate::module::{Context, Failure, Planned};
use crate::python_regex::{self, Template};
use crate::text_file::{TextFile, not_there};

pub(crate) fn plan(arguments: &Replace, context: &Context) -> Planned {
    if !arguments.encoding.eq_ignore_ascii_case("utf-8") && !arguments.encoding.eq_ignore_ascii_case("utf8") {
        return Err(Failure::new(format!("encoding '{}' is not supported; utf-8 is", arguments.encoding)));
    }
    let file = TextFile::read(context, arguments.path.as_str(), false)?;
    if file.before.is_none() {
        return Err(Failure::new(format!("Path {} does not exist !", file.path.display())).with("rc", 257));
    }
    let text = file.text();
    let section = match section_pattern(arguments) {
        None => 0..text.len(),
        Some(pattern) => {
            let found = python_regex::captures(&python_regex::compile(&pattern, false, true)?, text)?;
            match found.and_then(|found| found.name("subsection").map(|section| section.range())) {
                Some(section) => section,
                None => return Ok(not_there(format!("Pattern for before/after params did not match the given file: {pattern}"))),
            }
        }
    };
    let regexp = python_regex::compile(&arguments.regexp, true, false)?;
    let replaced =
        Template::read(&arguments.replace).and_then(|replacement| python_regex::replace_all(&regexp, &text[section.clone()], &replacement));
    let (new, count) = replaced.map_err(|failure| Failure::new(format!("Unable to process replace due to error: {}", failure.message)))?;
    let message = if count > 0 && new != text[section.clone()] { format!("{count} replacements made") } else { String::new() };
    let after = format!("{}{new}{}", &text[..section.start], &text[section.end..]);
    let replacement = file.replaced(after).said(message);
    replacement
        .with_options(arguments.backup, arguments.validate.as_deref(), arguments.attributes())
        .plan(context)
        .map(|plan| plan.with("rc", 0))
}

fn section_pattern(arguments: &Replace) -> Option<String> {
    match (arguments.after.as_deref(), arguments.before.as_deref()) {
        (Some(after), Some(before)) => Some(format!("{after}(?P<subsection>.*?){before}")),
        (Some(after), None) => Some(format!("{after}(?P<subsection>.*)")),
        (None, Some(before)) => Some(format!("(?P<subsection>.*){before}")),
        (None, None) => None,
    }
}
