//! `cron`: jobs and variables of crontabs, marked as Ansible marks them.

use std::path::{Path, PathBuf};

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::system::Cron;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::replacement::{back_up, content_diff};
use crate::system::Permissions;

const SPOOL: &str = "/var/spool/cron/crontabs";
const MARK: &str = "#Ansible: ";

pub(crate) fn plan(arguments: &Cron, context: &Context) -> Planned {
    let table = Table::find(arguments, context)?;
    let before = context.system.read_if_there(&table.path).context(format_args!("cannot read {}", table.path.display()))?;
    let text = String::from_utf8_lossy(before.as_deref().unwrap_or_default()).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if arguments.env {
        change_variable(arguments, &mut lines)?;
    } else {
        change_job(arguments, &table, &mut lines)?;
    }
    let mut after: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    if after.trim_end_matches('\n') == text.trim_end_matches('\n') {
        after = text;
    }
    // A file of /etc/cron.d that holds nothing any more goes.
    let goes = before.is_some() && after.trim().is_empty() && arguments.cron_file.is_some() && arguments.state == Presence::Absent;
    let changed = goes || before.as_deref().unwrap_or_default() != after.as_bytes();
    let mut outcome = Outcome::changed_if(changed).with("jobs", names(&lines)).with("envs", variables(&lines));
    if let Some(file) = &arguments.cron_file {
        outcome = outcome.with("cron_file", file.as_str()).with("state", arguments.state.word());
    }
    if !changed {
        return Ok(Plan::Done(outcome));
    }
    if let Some(problem) = table.problem {
        return Err(Failure::new(problem));
    }
    let outcome = outcome.showing(content_diff(&table.path, before.as_deref(), after.as_bytes()));
    let backup = arguments.backup && before.is_some();
    Ok(Plan::change(outcome, move |context, mut outcome| {
        if backup {
            outcome = outcome.with("backup_file", back_up(context, &table.path)?.to_string_lossy());
        }
        if goes {
            context.system.remove_file(&table.path).context(format_args!("cannot remove {}", table.path.display()))?;
            return Ok(outcome);
        }
        let permissions = if before.is_none() { table.permissions } else { Permissions::default() };
        let written = context.system.write_file_atomically(&table.path, after.as_bytes(), &permissions);
        written.context(format_args!("cannot write {}", table.path.display()))?;
        Ok(outcome)
    }))
}

/// Which file, and what a new one shall be like.
struct Table {
    path: PathBuf,
    /// Jobs of `/etc/cron.d` name their user.
    user: Option<String>,
    permissions: Permissions,
    /// Why nothing can be written there.
    problem: Option<String>,
}

impl Table {
    fn find(wish: &Cron, context: &Context) -> Result<Self, Failure> {
        let system = context.system;
        if let Some(file) = &wish.cron_file {
            if file.is_empty() || file.contains('\n') {
                return Err(Failure::new("cron_file must be a file's name or path"));
            }
            let path = Path::new("/etc/cron.d").join(file);
            let problem = match path.parent() {
                Some(folder) if !system.exists(folder) && !context.mode.is_check() => {
                    Some(format!("{} is not there; install cron first", folder.display()))
                }
                _ => None,
            };
            let permissions = Permissions { mode: Some(0o644), ..Permissions::default() };
            return Ok(Self { path, user: Some(wish.user.clone().unwrap_or_else(|| "root".to_owned())), permissions, problem });
        }
        let user = match &wish.user {
            Some(name) => system.user_by_name(name)?.ok_or_else(|| Failure::new(format!("user {name} does not exist")))?,
            None => {
                let uid = system.effective_uid();
                system.user_by_id(uid)?.ok_or_else(|| Failure::new(format!("the user number {uid} has no name")))?
            }
        };
        let there = system.exists(Path::new(SPOOL)) || context.mode.is_check();
        Ok(Self {
            path: Path::new(SPOOL).join(&user.name),
            user: None,
            permissions: Permissions {
                uid: Some(user.uid),
                gid: system.group_by_name("crontab")?.map(|group| group.gid),
                mode: Some(0o600),
            },
            problem: (!there).then(|| format!("{SPOOL} is not there; install cron first")),
        })
    }
}

/// The line of the wished job.
fn job_line(wish: &Cron, table: &Table) -> Result<String, Failure> {
    let job = wish.job.as_deref().map(|job| job.trim_end_matches(['\r', '\n'])).filter(|job| !job.is_empty());
    let job = job.ok_or_else(|| Failure::new("You must specify 'job' to install a new cron job or variable"))?;
    if job.contains('\n') {
        return Err(Failure::new("a cron job is one line; put several commands into a script"));
    }
    let times = [&wish.minute, &wish.hour, &wish.day, &wish.month, &wish.weekday];
    let when = match wish.special_time.as_deref() {
        Some(_) if times.iter().any(|time| *time != "*") => {
            return Err(Failure::new("You must specify time and date fields or special time."));
        }
        Some(special @ ("reboot" | "yearly" | "annually" | "monthly" | "weekly" | "daily" | "hourly")) => format!("@{special}"),
        Some(other) => return Err(Failure::new(format!("special_time: '{other}' is not known"))),
        None => {
            if let Some(wrong) = times.iter().find(|time| time.is_empty() || time.contains(char::is_whitespace)) {
                return Err(Failure::new(format!("'{wrong}' is no time of a cron job")));
            }
            times.map(String::as_str).join(" ")
        }
    };
    let disabled = if wish.disabled { "#" } else { "" };
    let user = table.user.as_deref().map(|user| format!(" {user}")).unwrap_or_default();
    Ok(format!("{disabled}{when}{user} {job}"))
}

fn change_job(wish: &Cron, table: &Table, lines: &mut Vec<String>) -> Result<(), Failure> {
    if wish.name.contains('\n') {
        return Err(Failure::new("a cron job's name is one line"));
    }
    let mark = format!("{MARK}{}", wish.name);
    let at = lines.iter().position(|line| *line == mark);
    if wish.state == Presence::Absent {
        if let Some(at) = at {
            // The mark and its job, if one follows.
            let end = if lines.get(at + 1).is_some_and(|line| !line.starts_with(MARK)) { at + 2 } else { at + 1 };
            lines.drain(at..end);
        }
        return Ok(());
    }
    let line = job_line(wish, table)?;
    match at {
        Some(at) if lines.get(at + 1).is_some_and(|line| !line.starts_with(MARK)) => lines[at + 1] = line,
        Some(at) => lines.insert(at + 1, line),
        None => match lines.iter().position(|known| *known == line) {
            // The same job, written by hand: it gets its name.
            Some(at) if at == 0 || !lines[at - 1].starts_with(MARK) => lines.insert(at, mark),
            _ => lines.extend([mark, line]),
        },
    }
    Ok(())
}

fn change_variable(wish: &Cron, lines: &mut Vec<String>) -> Result<(), Failure> {
    let name = wish.name.as_str();
    if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter == '=') {
        return Err(Failure::new("Invalid name for environment variable"));
    }
    let at = lines.iter().position(|line| variable_of(line) == Some(name));
    if wish.state == Presence::Absent {
        if let Some(at) = at {
            lines.remove(at);
        }
        return Ok(());
    }
    let value = wish.job.as_deref().ok_or_else(|| Failure::new("You must specify 'job' to install a new cron job or variable"))?;
    let line = format!("{name}=\"{value}\"");
    if let Some(at) = at {
        lines[at] = line;
        return Ok(());
    }
    let place = match (&wish.insertafter, &wish.insertbefore) {
        (Some(other), _) => Some((other, 1)),
        (_, Some(other)) => Some((other, 0)),
        _ => None,
    };
    let at = match place {
        None => 0,
        Some((other, offset)) => match lines.iter().position(|line| variable_of(line) == Some(other)) {
            Some(at) => at + offset,
            None => return Err(Failure::new(format!("Variable named '{other}' not found."))),
        },
    };
    lines.insert(at, line);
    Ok(())
}

fn variable_of(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && !name.is_empty()).then_some(name)
}

fn names(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.strip_prefix(MARK)).collect()
}

fn variables(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| variable_of(line)).collect()
}
