//! `blockinfile`: manages a marked block of lines in a text file.

use pgfleet_protocol::modules::content::{Blockinfile, Presence};

use crate::module::{Context, Failure, Planned};
use crate::python_regex;
use crate::text_file::{self, TextFile, lines, without_end};

pub(crate) fn plan(arguments: &Blockinfile, context: &Context) -> Planned {
    let present = arguments.state == Presence::Present;
    let file = TextFile::read(context, arguments.path.as_str(), arguments.create)?;
    if file.before.is_none() && !present {
        return Ok(text_file::not_there(format!("File {} not present", file.path.display())));
    }
    if file.before.is_none() && !arguments.create {
        return Err(Failure::new(format!("Path {} does not exist !", file.path.display())).with("rc", 257));
    }
    let after = edit(arguments, file.text())?;
    let message = match &file.before {
        Some(before) if *before == after => "",
        None => "File created",
        Some(_) if !present || arguments.block.is_empty() => "Block removed",
        Some(_) => "Block inserted",
    };
    let replacement = file.replaced(after).said(message);
    replacement.with_options(arguments.backup, arguments.validate.as_deref(), arguments.attributes()).plan(context)
}

fn edit(arguments: &Blockinfile, before: &str) -> Result<String, Failure> {
    let marker = |mark: &str| arguments.marker.replace("{mark}", mark);
    let (begin, end) = (marker(&arguments.marker_begin), marker(&arguments.marker_end));
    if begin == end {
        return Err(Failure::new("marker must contain {mark}, else the block's end cannot be told from its beginning"));
    }
    let mut all: Vec<String> = lines(before).map(str::to_owned).collect();
    let present = arguments.state == Presence::Present && !arguments.block.is_empty();
    let mut block = Vec::new();
    if present {
        block.push(format!("{begin}\n"));
        block.extend(lines(&arguments.block).map(|line| if line.ends_with('\n') { line.to_owned() } else { format!("{line}\n") }));
        block.push(format!("{end}\n"));
    }
    let found = |marker: &str| all.iter().rposition(|line| without_end(line) == marker);
    let at = match (found(&begin), found(&end)) {
        (Some(first), Some(last)) => {
            let (first, last) = (first.min(last), first.max(last));
            all.drain(first..=last);
            first
        }
        _ if !present => return Ok(before.to_owned()),
        _ => place(arguments, before, &all)?,
    };
    if !present {
        return Ok(all.concat());
    }
    let mut at = at;
    if let Some(previous) = at.checked_sub(1).and_then(|at| all.get_mut(at))
        && !previous.ends_with('\n')
    {
        previous.push('\n');
    }
    if arguments.prepend_newline && at != 0 && all[at - 1] != "\n" {
        all.insert(at, "\n".to_owned());
        at += 1;
    }
    let after = at + block.len();
    all.splice(at..at, block);
    if arguments.append_newline && all.get(after).is_some_and(|line| line != "\n") {
        all.insert(after, "\n".to_owned());
    }
    Ok(all.concat())
}

/// Before which line a new block goes.
fn place(arguments: &Blockinfile, text: &str, all: &[String]) -> Result<usize, Failure> {
    let (pattern, after) = match (arguments.insertafter.as_deref(), arguments.insertbefore.as_deref()) {
        (_, Some("BOF")) => return Ok(0),
        (None | Some("EOF"), None) => return Ok(all.len()),
        (Some(pattern), _) => (pattern, true),
        (None, Some(pattern)) => (pattern, false),
    };
    let regex = python_regex::compile(pattern, false, false)?;
    // A pattern that asks for lines itself is looked for in the whole text.
    if pattern.starts_with("(?") && pattern.split(')').next().is_some_and(|flags| flags.contains('m')) {
        let count = |end: usize| text[..end].matches('\n').count();
        let found = python_regex::captures(&regex, text)?.and_then(|found| found.get(0));
        return Ok(found.map_or(all.len(), |found| if after { count(found.end()) + 1 } else { count(found.start()) }.min(all.len())));
    }
    let mut last = None;
    for (at, line) in all.iter().enumerate() {
        if python_regex::is_match(&regex, line.trim_end_matches('\n'))? {
            last = Some(at);
        }
    }
    Ok(last.map_or(all.len(), |at| at + usize::from(after)))
}
