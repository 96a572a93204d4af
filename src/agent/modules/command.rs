//! `command`: runs a program without a shell. What it shares with `shell` is here too.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use pgfleet_protocol::modules::command::Command;
use pgfleet_protocol::{MAX_FRAME, Outcome};
use serde_json::Value;

use crate::module::{Context, Failure, Plan, Planned, WithContext, reason};
use crate::moment::Moment;
use crate::paths;
use crate::system::{Finished, Program, too_much};

pub(crate) fn plan(arguments: &Command, context: &Context) -> Planned {
    let mut argv = match (&arguments.argv, &arguments._raw_params) {
        (Some(argv), _) => argv.clone(),
        (None, line) => split(line.as_deref().unwrap_or_default())?,
    };
    if arguments.expand_argument_vars {
        argv = argv.iter().map(|word| expand(word, context)).collect::<Result<_, _>>()?;
    }
    if argv.first().is_none_or(String::is_empty) {
        return Err(Failure::new("no command given").with("rc", 256));
    }
    let invocation = Invocation {
        shown: Value::from(argv.clone()),
        argv,
        chdir: arguments.chdir.as_ref().map(|folder| paths::expand(context.system, folder.as_str())).transpose()?,
        stdin: input(arguments.stdin.as_deref(), arguments.stdin_add_newline),
        strip: arguments.strip_empty_ends,
    };
    let plan = invocation.plan(arguments.creates.as_deref(), arguments.removes.as_deref(), context)?;
    if arguments.executable.is_none() {
        return Ok(plan);
    }
    let warned = |outcome: Outcome| {
        let warning = "'executable' is no longer supported by 'command' and is not used; 'shell' takes it";
        outcome.with("warnings", vec![warning])
    };
    Ok(match plan {
        Plan::Done(outcome) => Plan::Done(warned(outcome)),
        Plan::Change(foretold, apply) => Plan::change(warned(foretold), move |context, outcome| apply(context, outcome).map(warned)),
    })
}

/// A program to run as a task.
pub(crate) struct Invocation {
    /// As the result's `cmd` tells it.
    pub(crate) shown: Value,
    pub(crate) argv: Vec<String>,
    pub(crate) chdir: Option<PathBuf>,
    pub(crate) stdin: Option<Vec<u8>>,
    /// Leave out newlines at the end of outputs.
    pub(crate) strip: bool,
}

impl Invocation {
    /// Decides by `creates` and `removes`; without them nobody can say beforehand whether the host would change.
    pub(crate) fn plan(self, creates: Option<&str>, removes: Option<&str>, context: &Context) -> Planned {
        let is_there = |pattern: &str| -> Result<bool, Failure> {
            let pattern = paths::expand(context.system, pattern)?;
            let pattern = self.chdir.as_deref().unwrap_or(Path::new("")).join(pattern);
            Ok(!context.system.glob(&pattern.to_string_lossy()).is_empty())
        };
        let idle = |pattern: &str, word: &str| {
            let outcome = Outcome::unchanged().saying(format!("Did not run command since '{pattern}' {word}"));
            let text = format!("skipped, since {pattern} {word}");
            Ok(Plan::Done(with_outputs(outcome, &self.shown, 0, &text, "")))
        };
        if let Some(pattern) = creates
            && is_there(pattern)?
        {
            return idle(pattern, "exists");
        }
        if let Some(pattern) = removes
            && !is_there(pattern)?
        {
            return idle(pattern, "does not exist");
        }
        let decided = creates.is_some() || removes.is_some();
        let message = "Command would have run if not in check mode";
        let foretold = if decided { Outcome::changed().saying(message) } else { Outcome::skipped(message) };
        let foretold = with_outputs(foretold, &self.shown, 0, "", "");
        Ok(Plan::change(foretold, move |context, _| self.run(context)))
    }

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if let Some(folder) = &self.chdir {
            let found = context.system.stat(folder);
            let found = found.context(format_args!("Unable to change directory before execution: {}", folder.display()))?;
            if !found.is_directory() {
                let message = format!("Unable to change directory before execution: {} is not a directory", folder.display());
                return Err(Failure::new(message));
            }
        }
        let start = context.system.now();
        let name = self.argv.first().cloned().unwrap_or_default();
        let line = self.argv.join(" ");
        let program = Program { argv: self.argv, stdin: self.stdin, cwd: self.chdir, ..Program::default() };
        let finished = match context.run(program) {
            Ok(finished) => finished,
            Err(error) if error.kind() == ErrorKind::FileTooLarge => return Err(Failure::new(format!("{name}: {error}"))),
            Err(error) => {
                let code = error.raw_os_error().unwrap_or(2);
                let failed = Outcome::failed(format!("[Errno {code}] {}: '{name}'", reason(&error)));
                return Ok(with_outputs(failed, &Value::from(line), code, "", ""));
            }
        };
        if result_size(&finished) > MAX_FRAME {
            let written = finished.stdout.len() + finished.stderr.len();
            return Err(Failure::new(format!("{name}: {}", too_much(written, finished.status))));
        }
        let end = context.system.now();
        let (stdout, stderr) = (finished.stdout_text(), finished.stderr_text());
        let stripped = |text: &str| if self.strip { text.trim_end_matches(['\r', '\n']).to_owned() } else { text.to_owned() };
        let outcome = if finished.is_success() { Outcome::changed() } else { Outcome::failed("non-zero return code") };
        Ok(with_outputs(outcome, &self.shown, finished.status, &stripped(&stdout), &stripped(&stderr))
            .with("start", timestamp(start))
            .with("end", timestamp(end))
            .with("msg", "")
            .with("delta", delta(end.duration_since(start).unwrap_or_default())))
    }
}

/// About how many bytes a result of these outputs has: each of them twice, the second time as a list of lines.
fn result_size(finished: &Finished) -> usize {
    let lines = |output: &[u8]| output.iter().filter(|byte| **byte == b'\n').count();
    2 * (finished.stdout.len() + finished.stderr.len()) + 3 * (lines(&finished.stdout) + lines(&finished.stderr))
}

/// Text for standard input, with the newline that Ansible adds.
pub(crate) fn input(text: Option<&str>, add_newline: bool) -> Option<Vec<u8>> {
    text.map(|text| if add_newline { format!("{text}\n") } else { text.to_owned() }.into_bytes())
}

fn with_outputs(outcome: Outcome, shown: &Value, rc: i32, stdout: &str, stderr: &str) -> Outcome {
    let lines = |text: &str| text.lines().map(Value::from).collect::<Vec<_>>();
    outcome
        .with("cmd", shown.clone())
        .with("rc", rc)
        .with("stdout", stdout)
        .with("stdout_lines", lines(stdout))
        .with("stderr", stderr)
        .with("stderr_lines", lines(stderr))
}

fn timestamp(time: SystemTime) -> String {
    let passed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let Moment { year, month, day, hour, minute, second } = Moment::at(passed.as_secs().cast_signed());
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:06}", passed.subsec_micros())
}

fn delta(passed: std::time::Duration) -> String {
    let seconds = passed.as_secs();
    format!("{}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, passed.subsec_micros())
}

/// Puts in `$NAME`, `${NAME}` and a leading `~`, as Python's `expandvars` and `expanduser`; what is not set stays as written.
fn expand(word: &str, context: &Context) -> Result<String, Failure> {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let end = after.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        let set = context.environment.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        match set.or_else(|| context.system.variable(name)).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..=at + length]),
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    if out.starts_with('~')
        && let Ok(path) = paths::expand(context.system, &out)
    {
        return Ok(path.to_string_lossy().into_owned());
    }
    Ok(out)
}

/// Splits a command line as a POSIX shell would, expanding nothing.
pub(crate) fn split(line: &str) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(letter) => word.push(letter),
                        None => return Err(Failure::new(format!("no closing quotation in: {line}"))),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('"') => break,
                        Some('\\') if matches!(letters.peek(), Some('"' | '\\')) => word.extend(letters.next()),
                        Some(letter) => word.push(letter),
                        None => return Err(Failure::new(format!("no closing quotation in: {line}"))),
                    }
                }
            }
            '\\' => match letters.next() {
                Some(letter) => word.get_or_insert_default().push(letter),
                None => return Err(Failure::new(format!("nothing follows the last backslash in: {line}"))),
            },
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn lines_are_split_as_a_shell_does() {
        for (line, expect) in [
            ("ls -l  /tmp", vec!["ls", "-l", "/tmp"]),
            (r#"echo 'a b' "c \"d\"" e\ f '' "#, vec!["echo", "a b", "c \"d\"", "e f", ""]),
            (r#"a"b"'c'd "\n""#, vec!["abcd", r"\n"]),
        ] {
            assert_eq!(split(line).expect(line), expect);
        }
        assert!(split("echo 'a").is_err());
    }
}
