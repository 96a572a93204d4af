//! `group`: groups of this host.

use pgfleet_protocol::modules::account::Group;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::{Diff, Outcome};

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::Program;

pub(crate) fn plan(arguments: &Group, context: &Context) -> Planned {
    let name = arguments.name.as_str();
    if name.is_empty() || name.contains([':', '\n', ',']) || name.starts_with('-') {
        return Err(Failure::new(format!("'{name}' cannot be a group's name")));
    }
    let groups = context.system.groups().context("cannot read /etc/group")?;
    let found = groups.into_iter().find(|group| group.name == name);
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let mut argv = match (arguments.state, &found) {
        (Presence::Absent, Some(_)) if arguments.force => words(&["groupdel", "-f"]),
        (Presence::Absent, Some(_)) => words(&["groupdel"]),
        (Presence::Present, None) => words(if arguments.system { &["groupadd", "-r"] } else { &["groupadd"] }),
        (Presence::Present, Some(group)) if arguments.gid.is_some_and(|gid| gid != group.gid) => words(&["groupmod"]),
        _ => return Ok(Plan::Done(describe(arguments, found.as_ref().map(|group| group.gid), Outcome::unchanged()))),
    };
    if let Some(gid) = arguments.gid.filter(|_| arguments.state == Presence::Present) {
        argv.extend(["-g".to_owned(), gid.to_string()]);
        if arguments.non_unique {
            argv.push("-o".to_owned());
        }
    }
    if found.is_none() {
        for (name, limit) in [("GID_MIN", arguments.gid_min), ("GID_MAX", arguments.gid_max)] {
            argv.extend(limit.into_iter().flat_map(|limit| ["-K".to_owned(), format!("{name}={limit}")]));
        }
    }
    argv.push(name.to_owned());
    let text = |gid: Option<u32>, present: bool| match (present, gid) {
        (false, _) => "state: absent\n".to_owned(),
        (true, None) => "state: present\n".to_owned(),
        (true, Some(gid)) => format!("state: present\ngid: {gid}\n"),
    };
    let before = found.as_ref().map(|group| group.gid);
    let header = format!("group {name}");
    let diff = Diff {
        before_header: header.clone(),
        after_header: header,
        before: text(before, found.is_some()),
        after: text(arguments.gid, arguments.state == Presence::Present),
        attributes: None,
    };
    let outcome = describe(arguments, arguments.gid.or(before), Outcome::changed().showing(diff));
    let wish = arguments.clone();
    Ok(Plan::change(outcome, move |context, outcome| {
        let finished = context.run(Program::new(argv.clone()).env("LC_ALL", "C.UTF-8")).context(format_args!("cannot run {}", argv[0]))?;
        if !finished.is_success() {
            return Err(Failure::new(format!("{} failed: {}", argv[0], finished.stderr_text().trim())).with("name", wish.name));
        }
        let made = context.system.groups()?.into_iter().find(|group| group.name == wish.name);
        Ok(describe(&wish, made.map(|group| group.gid), outcome))
    }))
}

fn describe(wish: &Group, gid: Option<u32>, outcome: Outcome) -> Outcome {
    let outcome = outcome.with("name", wish.name.as_str()).with("state", wish.state.word());
    match gid.filter(|_| wish.state == Presence::Present) {
        Some(gid) => outcome.with("gid", gid).with("system", wish.system),
        None => outcome,
    }
}
