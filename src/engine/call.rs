//! Tasks that touch a host: arguments rendered and typed, content read or rendered, the call sent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_inventory::Inventory;
use pgfleet_playbook::{Arguments, Kind, lookup_module};
use pgfleet_protocol::{Call, Map, Mode, Request, Secret};
use pgfleet_template::{Problem, Scope, TemplateOptions, is_omit, to_json};
use serde_json::Value;

use crate::attempt::Attempt;
use crate::play::truth;
use crate::{Become, Contact, Content, Ending, Incoming, TaskResult};

/// Variables that say how a host is reached, under their first name and the others they go by.
const CONNECTION: &[(&str, &[&str])] = &[
    ("ansible_host", &["ansible_ssh_host"]),
    ("ansible_port", &["ansible_ssh_port"]),
    ("ansible_user", &["ansible_ssh_user"]),
    ("ansible_password", &["ansible_ssh_pass", "ansible_ssh_password"]),
    ("ansible_ssh_private_key_file", &["ansible_private_key_file"]),
    ("ansible_ssh_common_args", &[]),
    ("ansible_ssh_extra_args", &[]),
    ("ansible_connection", &[]),
];

impl Attempt<'_> {
    /// Sends the task's call.
    pub(crate) async fn call(&self, kind: Kind, scope: &Scope, delegate: Option<&str>) -> Result<TaskResult, Problem> {
        let arguments = self.arguments(scope)?;
        let contact = self.contact(scope, delegate)?;
        match kind {
            Kind::Raw => self.raw(&contact, &arguments).await,
            Kind::Host => self.send(self.task.module.name, arguments, &contact, scope, None, None).await,
            Kind::Transfer(_) if self.task.module.name == "template" => self.template(arguments, &contact, scope).await,
            Kind::Transfer(_) if self.task.module.name == "fetch" => self.fetch(arguments, &contact, scope).await,
            Kind::Transfer(_) => self.copy(arguments, &contact, scope).await,
            Kind::Engine(_) => Err(Problem::new("this module touches no host")),
        }
    }

    /// The task's arguments, rendered; those that are `omit` are left out.
    pub(crate) fn arguments(&self, scope: &Scope) -> Result<Map, Problem> {
        match &self.task.arguments {
            Arguments::Named(named) => {
                let mut rendered = Map::new();
                for (name, (place, raw)) in named {
                    let value = raw.evaluate(scope).map_err(|problem| problem.at(place))?;
                    if !is_omit(&value) {
                        rendered.insert(name.clone(), to_json(&value).map_err(|problem| problem.at(place))?);
                    }
                }
                Ok(rendered)
            }
            Arguments::Whole(place, raw) => match to_json(&raw.evaluate(scope).map_err(|problem| problem.at(place))?)? {
                Value::Object(map) => Ok(map),
                other => Err(Problem::new(format!("the arguments are a mapping, but this gives {other}")).at(place)),
            },
        }
    }

    /// Where the work is done, and as whom.
    fn contact(&self, scope: &Scope, delegate: Option<&str>) -> Result<Contact, Problem> {
        let (name, outside) = match delegate {
            None => (self.host.name.as_str(), None),
            Some(name) => match self.run.host(name)? {
                Some(host) => (name, Some(self.run.outside_scope(&host)?)),
                None => {
                    let inventory = self.run.inventory.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                    let problem = Problem::new(format!("'delegate_to' names '{name}', which the inventory does not know"));
                    return Err(problem.did_you_mean(name, known_hosts(&inventory).iter().map(String::as_str)));
                }
            },
        };
        let there = outside.as_ref().unwrap_or(scope);
        let mut variables = Map::new();
        for (first, others) in CONNECTION {
            for variable in std::iter::once(first).chain(others.iter()) {
                if let Some(value) = there.get(variable)? {
                    variables.insert((*first).to_owned(), to_json(&value)?);
                    break;
                }
            }
        }
        let settings = &self.task.settings;
        let mut otherwise = |variable: &str, written: &Option<pgfleet_template::Raw>, option: Option<&str>| -> Result<(), Problem> {
            if !variables.contains_key(variable) {
                if let Some(raw) = written {
                    variables.insert(variable.to_owned(), to_json(&raw.evaluate(scope)?)?);
                } else if let Some(option) = option {
                    variables.insert(variable.to_owned(), Value::from(option));
                }
            }
            Ok(())
        };
        otherwise("ansible_user", &settings.remote_user, self.run.options.remote_user.as_deref())?;
        otherwise("ansible_port", &settings.port, None)?;
        otherwise("ansible_connection", &settings.connection, crate::scopes::is_controller(name).then_some("local"))?;
        Ok(Contact { host: name.to_owned(), variables, r#become: self.become_of(scope, there)? })
    }

    fn become_of(&self, scope: &Scope, there: &Scope) -> Result<Option<Become>, Problem> {
        let settings = &self.task.settings;
        let variable = |name: &str| -> Result<Option<Value>, Problem> { there.get(name)?.map(|value| to_json(&value)).transpose() };
        let wanted = match (variable("ansible_become")?, &settings.r#become) {
            (Some(value), _) => {
                pgfleet_protocol::Argument::read(&value).map_err(|reason: String| Problem::new(format!("ansible_become: {reason}")))?
            }
            (None, Some(raw)) => truth(raw, scope)?,
            (None, None) => self.run.options.r#become,
        };
        if !wanted {
            return Ok(None);
        }
        let text = |value: Option<Value>, written: &Option<pgfleet_template::Raw>, otherwise: &str| -> Result<String, Problem> {
            let value = match (value, written) {
                (Some(value), _) => Some(value),
                (None, Some(raw)) => Some(to_json(&raw.evaluate(scope)?)?),
                (None, None) => None,
            };
            Ok(value.as_ref().and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or(otherwise).to_owned())
        };
        let password = match (variable("ansible_become_password")?, variable("ansible_become_pass")?) {
            (Some(value), _) | (None, Some(value)) => value.as_str().map(Secret::new).or_else(|| Some(Secret::new(value.to_string()))),
            (None, None) => self.run.options.become_password.clone(),
        };
        Ok(Some(Become {
            user: text(variable("ansible_become_user")?, &settings.become_user, "root")?,
            method: text(variable("ansible_become_method")?, &settings.become_method, "sudo")?,
            password,
        }))
    }

    async fn send(
        &self,
        module: &str,
        arguments: Map,
        contact: &Contact,
        scope: &Scope,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> Result<TaskResult, Problem> {
        let arguments = match lookup_module(module) {
            Ok((_, spec)) => spec.canonical(&arguments).map_err(|problem| Problem::new(problem.to_string()))?,
            Err((message, _)) => return Err(Problem::new(message)),
        };
        if let Some(Err(problem)) = Call::read(module, &arguments) {
            return Err(Problem::new(problem.to_string()));
        }
        let request = Request {
            id: 0,
            module: module.to_owned(),
            arguments,
            mode: self.mode(scope)?,
            diff: self.wants_diff(scope)?,
            environment: self.environment(scope)?,
        };
        match self.run.fleet.call(contact, request, content, sink).await {
            Ok(outcome) => Ok(TaskResult::from(outcome)),
            Err(unreachable) => {
                Ok(TaskResult { hint: unreachable.hint, ..TaskResult::new(Ending::Unreachable).with("msg", unreachable.message) })
            }
        }
    }

    fn mode(&self, scope: &Scope) -> Result<Mode, Problem> {
        match &self.task.settings.check_mode {
            Some(raw) if truth(raw, scope)? => Ok(Mode::Check),
            Some(_) => Ok(Mode::Apply),
            None => Ok(self.run.options.mode),
        }
    }

    fn wants_diff(&self, scope: &Scope) -> Result<bool, Problem> {
        let hidden = self.task.settings.no_log.as_ref().map_or(Ok(false), |raw| truth(raw, scope))?;
        let wanted = self.task.settings.diff.as_ref().map_or(Ok(self.run.options.diff), |raw| truth(raw, scope))?;
        Ok(wanted && !hidden)
    }

    fn environment(&self, scope: &Scope) -> Result<Vec<(String, String)>, Problem> {
        let mut environment: Vec<(String, String)> = Vec::new();
        for raw in &self.task.settings.environment {
            match to_json(&raw.evaluate(scope)?)? {
                Value::Object(map) => {
                    for (name, value) in map {
                        environment.retain(|(known, _)| *known != name);
                        environment.push((name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
                    }
                }
                Value::Null => {}
                other => return Err(Problem::new(format!("'environment' is a mapping, not {other}"))),
            }
        }
        Ok(environment)
    }

    async fn raw(&self, contact: &Contact, arguments: &Map) -> Result<TaskResult, Problem> {
        if self.run.options.mode.is_check() {
            return Ok(TaskResult::skipped("raw commands are not run in check mode"));
        }
        let command = arguments.get("_raw_params").and_then(Value::as_str).unwrap_or_default();
        let command = match arguments.get("executable").and_then(Value::as_str) {
            Some(shell) => format!("{shell} -c '{}'", command.replace('\'', r"'\''")),
            None => command.to_owned(),
        };
        match self.run.fleet.raw(contact, &command).await {
            Ok(output) => {
                let ending = if output.status == 0 { Ending::Changed } else { Ending::Failed };
                let result = TaskResult::new(ending).with("rc", output.status).with("stdout", output.stdout).with("stderr", output.stderr);
                Ok(if ending == Ending::Failed { result.with("msg", "non-zero return code") } else { result })
            }
            Err(unreachable) => {
                Ok(TaskResult { hint: unreachable.hint, ..TaskResult::new(Ending::Unreachable).with("msg", unreachable.message) })
            }
        }
    }

    async fn template(&self, mut arguments: Map, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let source = text(&arguments, "src").ok_or_else(|| Problem::new("module 'template' needs the argument 'src'"))?;
        let path = self.find("templates", &source)?;
        let bytes = self
            .run
            .options
            .loader
            .files()
            .read(&path)
            .map_err(|error| Problem::new(format!("cannot read {}: {error}", path.display())))?;
        let template = String::from_utf8(bytes).map_err(|_| Problem::new(format!("{} is not UTF-8 text", path.display())))?;
        let mut options = TemplateOptions::default();
        for (name, field) in [("trim_blocks", &mut options.trim_blocks), ("lstrip_blocks", &mut options.lstrip_blocks)] {
            if let Some(value) = arguments.shift_remove(name) {
                *field = pgfleet_protocol::Argument::read(&value)
                    .map_err(|reason: String| Problem::new(format!("argument '{name}': {reason}")))?;
            }
        }
        if let Some(sequence) = arguments.shift_remove("newline_sequence") {
            options.newline_sequence = sequence.as_str().unwrap_or("\n").replace("\\n", "\n").replace("\\r", "\r");
        }
        let dest = text(&arguments, "dest").unwrap_or_default();
        let shown = std::path::absolute(&path).unwrap_or_else(|_| path.clone()).display().to_string();
        let names = crate::scopes::vars([
            ("template_path", pgfleet_template::Value::from(shown.clone())),
            ("template_fullpath", pgfleet_template::Value::from(shown)),
            ("template_destpath", pgfleet_template::Value::from(dest)),
            ("ansible_managed", pgfleet_template::Value::from("Ansible managed")),
        ]);
        let scope_here = if scope.defines("ansible_managed") { scope.clone() } else { scope.over(Arc::new(names)) };
        let rendered = scope_here.render(&path.display().to_string(), &template, &options)?;
        for unused in [
            "src",
            "output_encoding",
            "block_start_string",
            "block_end_string",
            "variable_start_string",
            "variable_end_string",
            "comment_start_string",
            "comment_end_string",
        ] {
            arguments.shift_remove(unused);
        }
        let basename = Path::new(&source).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        arguments.insert("_basename".to_owned(), Value::from(basename.strip_suffix(".j2").unwrap_or(&basename)));
        arguments.insert("content".to_owned(), Value::from(rendered));
        let mut result = self.send("copy", arguments, contact, scope, None, None).await?;
        for diff in &mut result.diff {
            diff.after_header = path.display().to_string();
        }
        Ok(result)
    }

    async fn copy(&self, mut arguments: Map, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let remote = arguments.get("remote_src").is_some_and(|value| pgfleet_protocol::Argument::read(value).unwrap_or(false));
        let Some(source) = text(&arguments, "src").filter(|_| !remote) else {
            if let Some(content @ (Value::Object(_) | Value::Array(_))) = arguments.get("content").cloned() {
                arguments.insert("content".to_owned(), Value::from(content.to_string()));
            }
            return self.send("copy", arguments, contact, scope, None, None).await;
        };
        let path = self.find("files", &source)?;
        let files = self.run.options.loader.files().clone();
        if !files.is_folder(&path) {
            let basename = Path::new(&source).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            return self.copy_file(arguments, &path, &basename, contact, scope).await;
        }
        // A trailing slash means what is in the folder, none the folder itself.
        let dest = PathBuf::from(text(&arguments, "dest").unwrap_or_default());
        let name = path.file_name().filter(|_| !source.ends_with('/')).map(PathBuf::from).unwrap_or_default();
        let mut results = Vec::new();
        for file in below(&*files, &path) {
            let relative = file.strip_prefix(&path).unwrap_or(&file).to_owned();
            let mut arguments = arguments.clone();
            arguments.insert("dest".to_owned(), Value::from(dest.join(&name).join(&relative).display().to_string()));
            let basename = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let result = self.copy_file(arguments, &file, &basename, contact, scope).await?;
            let bad = result.is_bad();
            results.push(result);
            if bad {
                break;
            }
        }
        let bad = results.iter().position(TaskResult::is_bad).map(|index| results.swap_remove(index));
        let changed = results.iter().any(|result| result.ending == Ending::Changed);
        let ending = if changed { Ending::Changed } else { Ending::Ok };
        Ok(bad.unwrap_or_else(|| TaskResult {
            diff: results.into_iter().flat_map(|result| result.diff).collect(),
            ..TaskResult::new(ending)
        }))
    }

    async fn copy_file(
        &self,
        mut arguments: Map,
        path: &Path,
        basename: &str,
        contact: &Contact,
        scope: &Scope,
    ) -> Result<TaskResult, Problem> {
        let files = self.run.options.loader.files();
        let bytes = files.read(path).map_err(|error| Problem::new(format!("cannot read {}: {error}", path.display())))?;
        let content = Content { sha256: sha256(&bytes), bytes: bytes.into() };
        arguments.shift_remove("src");
        arguments.insert("_sha256".to_owned(), Value::from(content.sha256.clone()));
        arguments.insert("_size".to_owned(), Value::from(content.bytes.len()));
        arguments.insert("_mode".to_owned(), Value::from(files.permissions(path).unwrap_or(0o644)));
        arguments.insert("_basename".to_owned(), Value::from(basename));
        self.send("copy", arguments, contact, scope, Some(content), None).await
    }

    async fn fetch(&self, mut arguments: Map, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let source = text(&arguments, "src").unwrap_or_default();
        let dest = text(&arguments, "dest").unwrap_or_default();
        let flat = arguments.get("flat").is_some_and(|value| pgfleet_protocol::Argument::read(value).unwrap_or(false));
        let basename = Path::new(&source).file_name().map(PathBuf::from).unwrap_or_default();
        let path = match flat {
            true if dest.ends_with('/') => Path::new(&dest).join(basename),
            true => PathBuf::from(&dest),
            false => Path::new(&dest).join(&self.host.name).join(source.trim_start_matches('/')),
        };
        let path = if path.is_absolute() { path } else { self.run.options.project.join(path) };
        if let Some(known) = self.run.local.sha256(&path) {
            arguments.insert("_sha256".to_owned(), Value::from(known));
        }
        let sink: Box<dyn Incoming> = if self.mode(scope)?.is_check() {
            Box::new(Nowhere)
        } else {
            self.run.local.create(&path).map_err(|error| Problem::new(format!("cannot write {}: {error}", path.display())))?
        };
        let result = self.send("fetch", arguments, contact, scope, None, Some(sink)).await?;
        Ok(result.with("dest", path.display().to_string()))
    }

    /// The controller's file of that name: as is, or below `kind` of the task's folder, the play's and the project's.
    fn find(&self, kind: &str, name: &str) -> Result<PathBuf, Problem> {
        let path = Path::new(name);
        let files = self.run.options.loader.files();
        let exists = |path: &Path| files.is_file(path) || files.is_folder(path);
        if path.is_absolute() {
            return if exists(path) { Ok(path.to_owned()) } else { Err(Problem::new(format!("there is no file {name}"))) };
        }
        let folders = [self.task.folder.as_path(), self.playing.play.folder.as_path(), self.run.options.project.as_path()];
        let candidates = folders.iter().flat_map(|folder| [folder.join(kind).join(path), folder.join(path)]);
        let candidates: Vec<PathBuf> = candidates.collect();
        candidates.iter().find(|path| exists(path)).cloned().ok_or_else(|| {
            let looked: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
            Problem::new(format!("there is no file '{name}'")).with_hint(format!("looked for it at {}", looked.join(", ")))
        })
    }
}

/// Takes what a fetch would bring in check mode.
struct Nowhere;

impl Incoming for Nowhere {
    fn write(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> std::io::Result<()> {
        Ok(())
    }
}

fn text(arguments: &Map, name: &str) -> Option<String> {
    arguments.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn below(files: &dyn pgfleet_template::Files, folder: &Path) -> Vec<PathBuf> {
    let entries = files.list(folder).unwrap_or_default();
    entries.into_iter().flat_map(|entry| if files.is_folder(&entry) { below(files, &entry) } else { vec![entry] }).collect()
}

fn known_hosts(inventory: &Inventory) -> Vec<String> {
    inventory.hosts().map(|host| host.name.to_string()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    pgfleet_protocol::sha256(bytes)
}
