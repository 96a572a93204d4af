//! `lineinfile`: manages one line of a text file.

use fancy_regex::Regex;
use pgfleet_protocol::modules::content::{Lineinfile, Presence};

use crate::module::{Context, Failure, Plan, Planned};
use crate::python_regex::{self, Template};
use crate::text_file::{self, TextFile, lines, without_end};

pub(crate) fn plan(arguments: &Lineinfile, context: &Context) -> Planned {
    let file = TextFile::read(context, arguments.path.as_str(), arguments.create && arguments.state == Presence::Present)?;
    let edit = Edit::read(arguments)?;
    match arguments.state {
        Presence::Present => {
            if file.before.is_none() && !arguments.create {
                return Err(Failure::new(format!("Destination {} does not exist !", file.path.display())).with("rc", 257));
            }
            let line = arguments.line.as_deref().ok_or_else(|| Failure::new("line is required with state=present"))?;
            let (after, message) = edit.present(file.text(), line)?;
            file.replaced(after)
                .said(message)
                .with_options(arguments.backup, arguments.validate.as_deref(), arguments.attributes())
                .plan(context)
                .map(|plan| warned(plan.with("backup", ""), arguments))
        }
        Presence::Absent => {
            if file.before.is_none() {
                return Ok(text_file::not_there("file not present"));
            }
            let (after, found) = edit.absent(file.text())?;
            let message = if found > 0 { format!("{found} line(s) removed") } else { String::new() };
            let planned = file
                .replaced(after)
                .said(message)
                .with_options(arguments.backup, arguments.validate.as_deref(), arguments.attributes())
                .plan(context);
            planned.map(|plan| warned(plan.with("found", found).with("backup", ""), arguments))
        }
    }
}

/// Says that an expression which every line has may not be meant so.
fn warned(plan: Plan, arguments: &Lineinfile) -> Plan {
    let (what, instead) = match (arguments.regexp.as_deref(), arguments.search_string.as_deref()) {
        (Some(""), _) => ("regular expression", "If this is desired, use '^' to match every line in the file and avoid this warning."),
        (_, Some("")) => ("search string", ""),
        _ => return plan,
    };
    let warning = format!(
        "The {what} is an empty string, which will match every line in the file. This may have unintended consequences, \
         such as replacing the last line in the file rather than appending. {instead}"
    );
    plan.with("warnings", vec![warning.trim_end().to_owned()])
}

/// Where a new line goes when nothing is to be replaced.
enum Place {
    Begin,
    End,
    After(Regex),
    Before(Regex),
}

struct Edit<'a> {
    arguments: &'a Lineinfile,
    regexp: Option<Regex>,
    place: Place,
}

impl<'a> Edit<'a> {
    fn read(arguments: &'a Lineinfile) -> Result<Self, Failure> {
        if arguments.state == Presence::Present && arguments.backrefs && arguments.regexp.is_none() {
            return Err(Failure::new("regexp is required with backrefs=true"));
        }
        if arguments.state == Presence::Absent
            && arguments.regexp.is_none()
            && arguments.search_string.is_none()
            && arguments.line.is_none()
        {
            return Err(Failure::new("one of line, search_string, or regexp is required with state=absent"));
        }
        let compile = |pattern: &str| python_regex::compile(pattern, false, false);
        let place = match (arguments.insertafter.as_deref(), arguments.insertbefore.as_deref()) {
            (_, Some("BOF")) | (Some("BOF"), _) => Place::Begin,
            (None | Some("EOF"), None) => Place::End,
            (Some(pattern), _) => Place::After(compile(pattern)?),
            (None, Some(pattern)) => Place::Before(compile(pattern)?),
        };
        Ok(Self { arguments, regexp: arguments.regexp.as_deref().map(compile).transpose()?, place })
    }

    /// Whether the line is one that `regexp` or `search_string` means.
    fn selects(&self, line: &str) -> Result<bool, Failure> {
        match (&self.regexp, &self.arguments.search_string) {
            (Some(regexp), _) => python_regex::is_match(regexp, line.trim_end_matches('\n')),
            (None, Some(text)) => Ok(line.contains(text.as_str())),
            (None, None) => Ok(false),
        }
    }

    fn present(&self, before: &str, line: &str) -> Result<(String, &'static str), Failure> {
        let mut all: Vec<String> = lines(before).map(str::to_owned).collect();
        let first = self.arguments.firstmatch;
        let mut selected = None;
        for (at, found) in all.iter().enumerate() {
            if self.selects(found)? {
                selected = Some(at);
                if first {
                    break;
                }
            }
        }
        let exact = || all.iter().rposition(|found| without_end(found) == line);
        if let Some(at) = selected.or_else(exact) {
            let mut new = line.to_owned();
            if let (true, Some(regexp), Some(_)) = (self.arguments.backrefs, &self.regexp, selected)
                && let Some(found) = python_regex::captures(regexp, all[at].trim_end_matches('\n'))?
            {
                new.clear();
                Template::read(line)?.expand(&found, &mut new)?;
            }
            // The last line may lack its end; adding only that is no change that anybody asked for.
            if without_end(&all[at]) == new && selected.is_none() {
                return Ok((before.to_owned(), ""));
            }
            if !new.ends_with('\n') {
                new.push('\n');
            }
            if all[at] == new {
                return Ok((before.to_owned(), ""));
            }
            all[at] = new;
            return Ok((all.concat(), "line replaced"));
        }
        if self.arguments.backrefs {
            return Ok((before.to_owned(), ""));
        }
        let at = match &self.place {
            Place::Begin => 0,
            Place::End => all.len(),
            Place::After(regexp) => find(regexp, &all, first)?.map_or(all.len(), |at| at + 1),
            Place::Before(regexp) => find(regexp, &all, first)?.unwrap_or(all.len()),
        };
        if let Some(previous) = at.checked_sub(1).and_then(|at| all.get_mut(at))
            && !previous.ends_with(['\n', '\r'])
        {
            previous.push('\n');
        }
        all.insert(at, format!("{line}\n"));
        Ok((all.concat(), "line added"))
    }

    fn absent(&self, before: &str) -> Result<(String, usize), Failure> {
        let (mut kept, mut found) = (String::with_capacity(before.len()), 0);
        let literal = self.regexp.is_none() && self.arguments.search_string.is_none();
        for line in lines(before) {
            if if literal { self.arguments.line.as_deref() == Some(without_end(line)) } else { self.selects(line)? } {
                found += 1;
            } else {
                kept.push_str(line);
            }
        }
        Ok((kept, found))
    }
}

/// The last line that matches, or the first.
fn find(regexp: &Regex, all: &[String], first: bool) -> Result<Option<usize>, Failure> {
    let mut last = None;
    for (at, line) in all.iter().enumerate() {
        if python_regex::is_match(regexp, line.trim_end_matches('\n'))? {
            last = Some(at);
            if first {
                break;
            }
        }
    }
    Ok(last)
}
