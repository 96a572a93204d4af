//! Executable inventories: programs that print JSON for `--list` and `--host NAME`.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use indexmap::IndexSet;
use pgfleet_template::{Place, Problem, Raw, from_json};
use serde_json::{Map, Value as Json};

use crate::load::{Loader, absolute};
use crate::{GroupName, HostName, Origin};

/// The error that the operating system gives for a file that is executable but no program.
const NO_PROGRAM: i32 = 8;
/// A program that asks a cloud may take long; one that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(5);

impl Loader<'_> {
    /// Runs a program; false when the file is none, whatever its permission bits say.
    pub(crate) fn script(&mut self, path: &Path, origin: &Arc<Origin>) -> bool {
        let name = path.display().to_string();
        // A folder given by mistake may hold programs that are no inventories: after one that failed, none is started.
        if self.a_program_failed {
            return true;
        }
        let output = match run(path, &["--list"]) {
            Ok(answer) => {
                let shows = std::env::var("ANSIBLE_INVENTORY_PLUGIN_SCRIPT_STDERR")
                    .map_or(true, |word| !["0", "false", "no"].contains(&word.to_lowercase().as_str()));
                if shows && !answer.said.is_empty() {
                    self.inventory.warnings.push(Problem::new(format!("the inventory program {name} says: {}", answer.said)));
                }
                answer.output
            }
            Err(Failure::NoProgram) => return false,
            Err(Failure::Failed(message)) => {
                self.a_program_failed = true;
                self.problems.push(Problem::new(message));
                return true;
            }
        };
        match serde_json::from_str::<Map<String, Json>>(&output) {
            Ok(groups) => Reader { loader: self, path, place: Place::new(name, 1, 1), origin, hosts: IndexSet::new() }.groups(&groups),
            Err(error) => {
                self.a_program_failed = true;
                self.problems.push(Problem::new(format!("the inventory program {name} printed no JSON object: {error}")));
            }
        }
        true
    }
}

enum Failure {
    NoProgram,
    Failed(String),
}

/// All that a pipe gives, read beside the program.
fn gathered(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (done, waiting) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            drop(pipe.read_to_end(&mut bytes));
        }
        drop(done.send(bytes));
    });
    waiting
}

fn run(path: &Path, arguments: &[&str]) -> Result<Answer, Failure> {
    run_within(path, arguments, LIMIT)
}

fn run_within(path: &Path, arguments: &[&str], limit: Duration) -> Result<Answer, Failure> {
    let shown = format!("{} {}", path.display(), arguments.join(" "));
    let cannot = |error: io::Error| match error.raw_os_error() {
        Some(NO_PROGRAM) => Failure::NoProgram,
        _ => Failure::Failed(format!("the inventory program '{shown}' cannot be run: {error}")),
    };
    // Nobody answers its questions, and one that hangs is ended.
    let mut command = Command::new(absolute(path));
    let mut child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(cannot)?;
    let (stdout, stderr) = (gathered(child.stdout.take()), gathered(child.stderr.take()));
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(cannot)? {
            break status;
        }
        if begin.elapsed() > limit {
            // It may be gone by now, which is what was wanted.
            drop(child.kill());
            drop(child.wait());
            return Err(Failure::Failed(format!("the inventory program '{shown}' gave no answer in {} s", limit.as_secs())));
        }
        thread::sleep(PAUSE);
    };
    // What it left running may keep the pipes open.
    let rest = limit.saturating_sub(begin.elapsed());
    let (stdout, stderr) = (stdout.recv_timeout(rest).unwrap_or_default(), stderr.recv_timeout(rest).unwrap_or_default());
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        let said = said.trim().lines().last().unwrap_or("it printed no error");
        return Err(Failure::Failed(format!("the inventory program '{shown}' failed ({status}): {said}")));
    }
    let not_text = |_| Failure::Failed(format!("the inventory program '{shown}' printed something other than UTF-8"));
    Ok(Answer { output: String::from_utf8(stdout).map_err(not_text)?, said: String::from_utf8_lossy(&stderr).trim_end().to_owned() })
}

/// What a program printed that ended well.
struct Answer {
    output: String,
    /// On its standard error.
    said: String,
}

struct Reader<'r, 'l> {
    loader: &'r mut Loader<'l>,
    path: &'r Path,
    place: Place,
    origin: &'r Arc<Origin>,
    hosts: IndexSet<HostName>,
}

impl Reader<'_, '_> {
    fn problem(&mut self, message: String) {
        self.loader.problems.push(Problem::new(format!("{}: {message}", self.place.file)));
    }

    fn groups(mut self, groups: &Map<String, Json>) {
        for (name, body) in groups.iter().filter(|(name, _)| *name != "_meta") {
            self.group(name, body);
        }
        let listed = groups.get("_meta").and_then(|meta| meta.get("hostvars"));
        for host in std::mem::take(&mut self.hosts) {
            match listed {
                Some(listed) => self.host_vars(&host, listed.get(host.as_str())),
                None => match run(self.path, &["--host", host.as_str()]) {
                    Ok(answer) if answer.output.trim().is_empty() => {}
                    Ok(answer) => match serde_json::from_str::<Json>(&answer.output) {
                        Ok(vars) => self.host_vars(&host, Some(&vars)),
                        Err(error) => self.problem(format!("printed no JSON for --host {host}: {error}")),
                    },
                    Err(Failure::NoProgram) => {}
                    Err(Failure::Failed(message)) => self.loader.problems.push(Problem::new(message)),
                },
            }
        }
    }

    fn host_vars(&mut self, host: &HostName, vars: Option<&Json>) {
        match vars {
            None | Some(Json::Null) => {}
            Some(Json::Object(vars)) => {
                for (name, value) in vars {
                    if let Some(value) = self.value(name, value) {
                        self.loader.inventory.set_host_variable(host, name, value);
                    }
                }
            }
            Some(_) => self.problem(format!("the variables of host '{host}' are no object")),
        }
    }

    fn value(&mut self, name: &str, value: &Json) -> Option<Raw> {
        match raw(value, &self.place) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.loader.problems.push(problem.within(format!("in the variable '{name}'")));
                None
            }
        }
    }

    fn group(&mut self, name: &str, body: &Json) {
        let group = match self.loader.inventory.ensure_group(name) {
            Ok(group) => group,
            Err(error) => return self.problem(format!("'{name}' is no name for a group: {error}")),
        };
        match body {
            Json::Array(_) => self.hosts(&group, body),
            Json::Object(sections) if ["hosts", "vars", "children"].iter().any(|key| sections.contains_key(*key)) => {
                if let Some(hosts) = sections.get("hosts") {
                    self.hosts(&group, hosts);
                }
                if let Some(vars) = sections.get("vars") {
                    self.group_vars(&group, vars);
                }
                if let Some(children) = sections.get("children") {
                    self.children(&group, children);
                }
            }
            // The oldest form: the group is a host, and this its variables.
            Json::Object(sections) => {
                self.hosts(&group, &Json::from(vec![name]));
                self.group_vars(&group, &Json::Object(sections.clone()));
            }
            _ => self.problem(format!("group '{group}' is neither an object nor a list")),
        }
    }

    fn hosts(&mut self, group: &GroupName, hosts: &Json) {
        let Some(hosts) = names(hosts) else { return self.problem(format!("the hosts of group '{group}' are no list of names")) };
        for name in hosts {
            match self.loader.inventory.ensure_host(name, Some(group), None, Some(self.origin)) {
                Ok(host) => drop(self.hosts.insert(host)),
                Err(error) => self.problem(format!("'{name}' is no name for a host: {error}")),
            }
        }
    }

    fn group_vars(&mut self, group: &GroupName, vars: &Json) {
        let Some(vars) = vars.as_object() else { return self.problem(format!("the variables of group '{group}' are no object")) };
        for (name, value) in vars {
            let Some(value) = self.value(name, value) else { continue };
            if let Err(message) = self.loader.inventory.set_group_variable(group, name, value) {
                self.problem(message);
            }
        }
    }

    fn children(&mut self, group: &GroupName, children: &Json) {
        let Some(children) = names(children) else { return self.problem(format!("the children of group '{group}' are no list of names")) };
        for name in children {
            let child = self.loader.inventory.ensure_group(name).map_err(|error| format!("'{name}' is no name for a group: {error}"));
            if let Err(message) = child.and_then(|child| self.loader.inventory.add_child(group, &child)) {
                self.problem(message);
            }
        }
    }
}

fn names(list: &Json) -> Option<Vec<&str>> {
    list.as_array()?.iter().map(Json::as_str).collect()
}

/// Strings may be templates, unless they are marked as unsafe.
fn raw(value: &Json, place: &Place) -> Result<Raw, Problem> {
    Ok(match value {
        Json::String(text) => Raw::from_text(text, place)?,
        Json::Array(items) => Raw::list(items.iter().map(|item| raw(item, place)).collect::<Result<_, _>>()?),
        Json::Object(entries) => match (entries.len(), entries.get("__ansible_unsafe")) {
            (1, Some(text)) => Raw::Value(from_json(text)),
            _ => {
                let entry = |(key, value): (&String, &Json)| Ok((Raw::Value(from_json(&Json::from(key.as_str()))), raw(value, place)?));
                Raw::map(entries.iter().map(entry).collect::<Result<_, Problem>>()?)
            }
        },
        other => Raw::Value(from_json(other)),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{Failure, run_within};

    #[test]
    fn a_program_that_hangs_is_ended_and_one_that_asks_gets_no_answer() {
        let outcome = run_within(Path::new("/bin/sleep"), &["60"], Duration::from_millis(50));
        assert!(matches!(outcome, Err(Failure::Failed(message)) if message.contains("gave no answer")));
        let outcome = run_within(Path::new("/bin/cat"), &[], Duration::from_secs(10));
        assert!(matches!(outcome, Ok(answer) if answer.output.is_empty()));
    }
}
