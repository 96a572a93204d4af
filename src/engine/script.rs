//! `script`: a program of the controller, brought to the host, run there and removed.

use std::path::Path;

use pgfleet_playbook::split_words;
use pgfleet_protocol::Map;
use pgfleet_template::{Problem, Scope};
use serde_json::Value;

use crate::attempt::Attempt;
use crate::shipment::Vaults;
use crate::{Contact, Ending, TaskResult};

impl Attempt<'_> {
    pub(crate) async fn script(&self, arguments: Map, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str).map(str::to_owned);
        let line = text("_raw_params").unwrap_or_default();
        let words = split_words(line.trim()).map_err(Problem::new)?;
        let Some(name) = words.first().map(|word| word.trim().trim_matches(['"', '\''])) else {
            return Ok(TaskResult::failed("one of the following is required: _raw_params, cmd"));
        };
        for (guard, wanted) in [("creates", true), ("removes", false)] {
            let Some(path) = text(guard) else { continue };
            let exists = self.exists(&path, contact, scope).await?;
            if exists == wanted {
                let how = if wanted { "exists" } else { "does not exist" };
                let skipped = TaskResult::new(Ending::Skipped).with("msg", format!("{path} {how}, matching {guard} option"));
                return Ok(skipped);
            }
        }
        let path = self.find("files", name)?;
        if self.mode(scope)?.is_check() {
            // What tells whether it would run was asked above; nothing else can tell what a script would change.
            return Ok(match ["creates", "removes"].iter().any(|guard| text(guard).is_some()) {
                true => TaskResult::new(Ending::Changed),
                false => TaskResult::new(Ending::Skipped).with("msg", "Check mode is not supported for this task."),
            });
        }
        let shipment = self.shipment(&path, Vaults::Opened)?;
        let basename = Path::new(name).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let there = format!("/tmp/.pgfleet-script-{}-{basename}", crate::detached::new_job());
        let mut copy = Map::new();
        copy.insert("dest".to_owned(), Value::from(there.clone()));
        copy.insert("mode".to_owned(), Value::from("0700"));
        copy.insert("_sha256".to_owned(), Value::from(shipment.sha256()));
        copy.insert("_size".to_owned(), Value::from(shipment.size()));
        copy.insert("_mode".to_owned(), Value::from(0o700));
        copy.insert("_basename".to_owned(), Value::from(basename));
        let brought = self.send("copy", copy, contact, scope, Some(shipment.content()), None).await?;
        if brought.is_bad() {
            return Ok(brought);
        }
        let ran = self.run_script(&line, name, &there, &arguments, contact, scope).await;
        let mut remove = Map::new();
        remove.insert("path".to_owned(), Value::from(there));
        remove.insert("state".to_owned(), Value::from("absent"));
        let removed = self.send("file", remove, contact, scope, None, None).await?;
        let ran = ran?;
        Ok(if removed.is_bad() && !ran.is_bad() { removed } else { ran })
    }

    async fn run_script(
        &self,
        line: &str,
        name: &str,
        there: &str,
        arguments: &Map,
        contact: &Contact,
        scope: &Scope,
    ) -> Result<TaskResult, Problem> {
        // What stands behind the name goes to the shell as it was written.
        let line = line.trim();
        let written = line.find(name).map_or("", |at| &line[at + name.len()..]);
        let rest = written.trim_start_matches(['"', '\'']);
        let program = match arguments.get("executable").and_then(Value::as_str) {
            Some(executable) => format!("{executable} {there}"),
            None => there.to_owned(),
        };
        let mut shell = Map::new();
        shell.insert("argv".to_owned(), Value::from(vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("{program}{rest}")]));
        shell.insert("strip_empty_ends".to_owned(), Value::Bool(false));
        if let Some(folder) = arguments.get("chdir") {
            shell.insert("chdir".to_owned(), folder.clone());
        }
        let ran = self.send("command", shell, contact, scope, None, None).await?;
        let kept = ["rc", "stdout", "stderr", "msg"];
        let mut result = TaskResult { hint: ran.hint.clone(), ..TaskResult::new(ran.ending) };
        let is_bad = result.is_bad();
        let said = ran.data.into_iter().filter(|(name, _)| kept.contains(&name.as_str()) && (is_bad || name != "msg"));
        result.data.extend(said);
        if result.ending != Ending::Unreachable {
            result.data.insert("changed".to_owned(), Value::Bool(true));
        }
        Ok(result)
    }

    async fn exists(&self, path: &str, contact: &Contact, scope: &Scope) -> Result<bool, Problem> {
        let mut stat = Map::new();
        stat.insert("path".to_owned(), Value::from(path));
        let found = self.send("stat", stat, contact, scope, None, None).await?;
        Ok(found.data.get("stat").and_then(|stat| stat.get("exists")).and_then(Value::as_bool).unwrap_or(false))
    }
}
