//! `pgfleet config show`, `set` and `edit`.

use std::path::Path;
use std::process::Command;

use console::Style;
use pgfleet_cluster::patch_between;
use pgfleet_engine::Stop;
use pgfleet_protocol::Mode;
use pgfleet_workflows::{Operated, Operation, Project, Wish, WorkflowError};
use serde_json::Value;

use super::look::{Looked, look, print};
use super::members::{operation, summary};
use super::operate::{self, Consent};
use crate::args::{ConfigCommand, EditArgs, LookOutput, SetArgs, ShowArgs};
use crate::exit::Exit;
use crate::{prompt, screen, settings};

pub(crate) async fn run(project: Project, command: ConfigCommand) -> Result<Exit, WorkflowError> {
    match command {
        ConfigCommand::Show(args) => show(project, args).await,
        ConfigCommand::Set(args) => set(project, args).await,
        ConfigCommand::Edit(args) => edit(project, args).await,
    }
}

async fn show(project: Project, args: ShowArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let wish = settings::wish_to_look(project, &args.source, &args.connection, stop.clone())?;
    let config = match current(&wish, &stop).await? {
        Ok(config) => config,
        Err(exit) => return Ok(exit),
    };
    let output = if args.output == LookOutput::Table { LookOutput::Yaml } else { args.output };
    print(output, &config, Vec::new)?;
    Ok(Exit::Done)
}

async fn set(project: Project, args: SetArgs) -> Result<Exit, WorkflowError> {
    let operation = operation("config", [("config_set", Some(Value::from(args.settings)))]);
    operate::run(project, &args.run, operation, Consent::NotNeeded, lines).await
}

async fn edit(project: Project, args: EditArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let mut wish = settings::wish(project.clone(), &args.run, stop.clone())?;
    wish.mode = Mode::Apply;
    let before = match current(&wish, &stop).await? {
        Ok(config) => config,
        Err(exit) => return Ok(exit),
    };
    let after = edited(&before)?;
    let patch = patch_between(&before, &after);
    if patch.as_object().is_none_or(serde_json::Map::is_empty) {
        screen::line("Nothing was changed.");
        return Ok(Exit::Done);
    }
    let operation = operation("config", [("config_patch", Some(patch))]);
    if !args.yes && !args.run.check {
        wish.mode = Mode::Check;
        let question = Operation { looks_only: true, ..operation.clone() };
        let found = match look(&wish, &question, &stop, |_| {}).await? {
            Looked::Found(operated) => operated,
            Looked::Ended(exit) => return Ok(exit),
        };
        lines(&found).iter().for_each(|line| screen::line(line));
        let refused =
            |reason: &str| WorkflowError::Refused { reason: reason.to_owned(), hint: "give --yes to agree beforehand".to_owned() };
        let answer = prompt::line("Change it? [y/N] ").map_err(|_| refused("nobody is here to agree to the change"))?;
        if !answer.trim().eq_ignore_ascii_case("y") {
            return Err(refused("nobody agreed to the change"));
        }
    }
    operate::run(project, &args.run, operation, Consent::NotNeeded, lines).await
}

/// The settings that nodes share, or how the program ends without them.
async fn current(wish: &Wish, stop: &Stop) -> Result<Result<Value, Exit>, WorkflowError> {
    let operation = Operation { name: "config", looks_only: true, ..Operation::default() };
    Ok(match look(wish, &operation, stop, |_| {}).await? {
        Looked::Found(operated) => {
            Ok(operated.results.get("patroni_config").and_then(|found| found.get("config")).cloned().unwrap_or_default())
        }
        Looked::Ended(exit) => Err(exit),
    })
}

/// The person's editor on the settings, as YAML.
fn edited(before: &Value) -> Result<Value, WorkflowError> {
    let failed = |reason: String| WorkflowError::Failed(reason);
    let text = serde_yaml::to_string(before).map_err(|error| failed(error.to_string()))?;
    let path = std::env::temp_dir().join(format!("pgfleet-config-{}.yml", std::process::id()));
    let work = || {
        write_new(&path, &text).map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
        let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|editor| !editor.is_empty()));
        let editor = editor.unwrap_or_else(|| "vi".to_owned());
        // An editor may be written with arguments: the shell splits them, and the path is one word whatever it holds.
        let status = Command::new("sh").args(["-c", &format!("{editor} \"$1\""), "sh"]).arg(&path).status();
        let status = status.map_err(|error| failed(format!("cannot start the editor '{editor}': {error}")))?;
        if !status.success() {
            return Err(failed(format!("the editor '{editor}' ended with {status}; nothing was changed")));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?;
        let after: Value = serde_yaml::from_str(&text).map_err(|error| failed(format!("this is no YAML: {error}; nothing was changed")))?;
        if after.is_object() { Ok(after) } else { Err(failed("the settings must be a mapping; nothing was changed".to_owned())) }
    };
    let done = work();
    drop(std::fs::remove_file(&path));
    done
}

/// A file that was not there before, for its owner alone.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// What changes, in colour, and what that takes.
fn lines(operated: &Operated) -> Vec<String> {
    let difference = operated.results.get("patroni_config").and_then(|found| found.get("diff")?.as_array().cloned()).unwrap_or_default();
    let coloured = difference.iter().filter_map(Value::as_str).map(|line| {
        let style = if line.starts_with('-') { Style::new().red() } else { Style::new().green() };
        style.apply_to(screen::plain(line)).to_string()
    });
    coloured.chain(summary(operated, "patroni_config")).collect()
}
