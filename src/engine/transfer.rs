//! Content on its way between controller and host: templates, files, folders.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_protocol::Map;
use pgfleet_template::{Problem, Raw, Scope, TemplateOptions, from_json, wide};
use serde_json::Value;

use crate::attempt::Attempt;
use crate::shipment::{Shipment, Vaults};
use crate::{Contact, DiffShape, Ending, Incoming, TaskResult};

/// What a template may know of its file and of the controller; found out only where one asks.
const ABOUT_TEMPLATES: &[(&str, &str)] = &[
    ("template_host", "{{ lookup('file', '/proc/sys/kernel/hostname') }}"),
    ("template_uid", "{{ lookup('pipe', 'stat -c %U ' ~ (template_fullpath | quote)) }}"),
    (
        "template_mtime",
        "{{ '%Y-%m-%d %H:%M:%S' | strftime(lookup('pipe', 'stat -c %Y ' ~ (template_fullpath | quote)) | int) | to_datetime }}",
    ),
    ("template_run_date", "{{ now() }}"),
];

impl Attempt<'_> {
    pub(crate) async fn template(&self, arguments: Map, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let (arguments, path) = self.template_arguments(arguments, scope)?;
        let mut result = self.send("copy", arguments, contact, scope, None, None).await?;
        for diff in &mut result.diff {
            diff.after_header = path.display().to_string();
        }
        Ok(result)
    }

    /// The arguments of the copy that a template ends in, and the template's path.
    pub(crate) fn template_arguments(&self, mut arguments: Map, scope: &Scope) -> Result<(Map, PathBuf), Problem> {
        let source = text(&arguments, "src").ok_or_else(|| Problem::new("module 'template': missing required arguments: src"))?;
        let path = self.find("templates", &source)?;
        let bytes = self.opened(&path)?;
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
        let pgfleet_template::Delimiters { block: [block, block_end], variable: [open, close], comment: [comment, comment_end], .. } =
            &mut options.delimiters;
        for (name, field) in [
            ("block_start_string", block),
            ("block_end_string", block_end),
            ("variable_start_string", open),
            ("variable_end_string", close),
            ("comment_start_string", comment),
            ("comment_end_string", comment_end),
        ] {
            if let Some(given) = arguments.shift_remove(name).as_ref().and_then(Value::as_str) {
                given.clone_into(field);
            }
        }
        let dest = text(&arguments, "dest").unwrap_or_default();
        let shown = std::path::absolute(&path).unwrap_or_else(|_| path.clone()).display().to_string();
        let names = crate::scopes::vars([
            ("template_path", pgfleet_template::Value::from(shown.clone())),
            ("template_fullpath", pgfleet_template::Value::from(shown)),
            ("template_destpath", pgfleet_template::Value::from(dest)),
        ]);
        let mut names = names;
        for (name, written) in ABOUT_TEMPLATES {
            names.insert((*name).to_owned(), Raw::from_text(written, &self.task.place)?);
        }
        let scope_here = scope.over(Arc::new(names));
        let managed = || scope_here.with("ansible_managed", pgfleet_template::Value::from("Ansible managed"));
        let scope_here = if scope.defines("ansible_managed") { scope_here } else { managed() };
        let rendered = scope_here.render(&path.display().to_string(), &template, &options)?;
        for unused in ["src", "output_encoding"] {
            arguments.shift_remove(unused);
        }
        let basename = Path::new(&source).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        arguments.insert("_basename".to_owned(), Value::from(basename.strip_suffix(".j2").unwrap_or(&basename)));
        arguments.insert("content".to_owned(), Value::from(rendered));
        Ok((arguments, path))
    }

    pub(crate) async fn copy(&self, arguments: Map, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let Some(source) = source_here(&arguments) else {
            return self.send("copy", arguments, contact, scope, None, None).await;
        };
        let path = self.find("files", &source)?;
        let files = self.run.options.loader.files().clone();
        if !files.is_folder(&path) {
            let basename = Path::new(&source).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            return self.copy_file(arguments, &path, &basename, contact, scope).await;
        }
        self.copy_folder(arguments, &path, &source, contact, scope).await
    }

    /// The arguments of the one call that a copy makes; `None` where there are several.
    pub(crate) fn copy_arguments(&self, arguments: Map) -> Result<Option<Map>, Problem> {
        let Some(source) = source_here(&arguments) else { return Ok(Some(arguments)) };
        let path = self.find("files", &source)?;
        if self.run.options.loader.files().is_folder(&path) {
            return Ok(None);
        }
        let basename = Path::new(&source).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.file_arguments(arguments, &path, &basename).map(|(arguments, _)| Some(arguments))
    }

    /// Makes the folders of a tree, then copies its files. A trailing slash means what is in the folder, none the folder itself.
    async fn copy_folder(
        &self,
        arguments: Map,
        path: &Path,
        source: &str,
        contact: &Contact,
        scope: &Scope,
    ) -> Result<TaskResult, Problem> {
        let files = self.run.options.loader.files().clone();
        let name = path.file_name().filter(|_| !source.ends_with('/')).map(PathBuf::from).unwrap_or_default();
        let root = PathBuf::from(text(&arguments, "dest").unwrap_or_default()).join(name);
        let there = |here: &Path| here.strip_prefix(path).map_or_else(|_| root.clone(), |relative| root.join(relative));
        let checking = self.mode(scope)?.is_check();
        let mut results = Vec::new();
        let mut absent = BTreeSet::new();
        let (folders, contents) = below(&*files, path);
        for folder in std::iter::once(path.to_owned()).chain(folders) {
            let dest = there(&folder);
            let result = self.make_folder(&arguments, &dest, contact, scope).await?;
            if result.is_bad() {
                return Ok(result);
            }
            if checking && result.ending == Ending::Changed {
                absent.insert(dest);
            }
            results.push(result);
        }
        for file in contents {
            let dest = there(&file);
            // A check would only find that the folder is missing, which it would not be.
            if dest.parent().is_some_and(|folder| absent.contains(folder)) {
                results.push(TaskResult::new(Ending::Changed));
                continue;
            }
            let mut arguments = arguments.clone();
            arguments.insert("dest".to_owned(), Value::from(dest.display().to_string()));
            let basename = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let result = self.copy_file(arguments, &file, &basename, contact, scope).await?;
            if result.is_bad() {
                return Ok(result);
            }
            results.push(result);
        }
        let changed = results.iter().any(|result| result.ending == Ending::Changed);
        let ending = if changed { Ending::Changed } else { Ending::Ok };
        let diff = results.into_iter().flat_map(|result| result.diff).collect();
        Ok(TaskResult { diff, ..TaskResult::new(ending) }.with("dest", root.display().to_string()))
    }

    /// `directory_mode` is for folders that were not there before.
    async fn make_folder(&self, of_copy: &Map, dest: &Path, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let mut arguments = Map::new();
        arguments.insert("path".to_owned(), Value::from(dest.display().to_string()));
        arguments.insert("state".to_owned(), Value::from("directory"));
        for name in ["owner", "group"] {
            if let Some(value) = of_copy.get(name) {
                arguments.insert(name.to_owned(), value.clone());
            }
        }
        let result = self.send("file", arguments.clone(), contact, scope, None, None).await?;
        match of_copy.get("directory_mode") {
            Some(mode) if result.ending == Ending::Changed => {
                arguments.insert("mode".to_owned(), mode.clone());
                let second = self.send("file", arguments, contact, scope, None, None).await?;
                Ok(if second.is_bad() { second } else { result })
            }
            _ => Ok(result),
        }
    }

    async fn copy_file(
        &self,
        arguments: Map,
        path: &Path,
        basename: &str,
        contact: &Contact,
        scope: &Scope,
    ) -> Result<TaskResult, Problem> {
        let (arguments, shipment) = self.file_arguments(arguments, path, basename)?;
        self.send("copy", arguments, contact, scope, Some(shipment.content()), None).await
    }

    /// The arguments for the copy of a file of the controller, and its content.
    fn file_arguments(&self, mut arguments: Map, path: &Path, basename: &str) -> Result<(Map, Arc<Shipment>), Problem> {
        let decrypt = arguments.shift_remove("decrypt");
        let opens = decrypt.is_none_or(|decrypt| pgfleet_protocol::Argument::read(&decrypt).unwrap_or(true));
        let shipment = self.shipment(path, if opens { Vaults::Opened } else { Vaults::AsTheyAre })?;
        arguments.shift_remove("src");
        arguments.insert("_sha256".to_owned(), Value::from(shipment.sha256()));
        arguments.insert("_size".to_owned(), Value::from(shipment.size()));
        arguments.insert("_mode".to_owned(), Value::from(self.run.options.loader.files().permissions(path).unwrap_or(0o644)));
        arguments.insert("_basename".to_owned(), Value::from(basename));
        Ok((arguments, shipment))
    }

    /// Fragments of the controller are put together here; the host's are by its agent.
    pub(crate) async fn assemble(&self, mut arguments: Map, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let flag = |name: &str, otherwise| {
            arguments.get(name).map_or(otherwise, |value| pgfleet_protocol::Argument::read(value).unwrap_or(otherwise))
        };
        if flag("remote_src", true) {
            return self.send("assemble", arguments, contact, scope, None, None).await;
        }
        let vaults = if flag("decrypt", true) { Vaults::Opened } else { Vaults::AsTheyAre };
        let hides = flag("ignore_hidden", false);
        let source = text(&arguments, "src").unwrap_or_default();
        let folder = self.find("files", &source)?;
        let files = self.run.options.loader.files().clone();
        if !files.is_folder(&folder) {
            return Ok(TaskResult::failed(format!("Source ({}) is not a directory", folder.display())));
        }
        let pattern = text(&arguments, "regexp");
        let mut fragments = Vec::new();
        for path in files.list(&folder).map_err(|error| Problem::new(format!("cannot read {}: {error}", folder.display())))? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let is_chosen = pattern.as_ref().map_or(Ok(true), |pattern| crate::variables::has(&name, pattern, scope, &self.task.place))?;
            if is_chosen && files.is_file(&path) && !(hides && name.starts_with('.')) {
                fragments.push(self.shipment(&path, vaults)?.bytes().to_vec());
            }
        }
        let shipment = Shipment::new(pgfleet_protocol::joined(&fragments, text(&arguments, "delimiter").as_deref()));
        for own in ["src", "remote_src", "delimiter", "regexp", "ignore_hidden", "decrypt"] {
            arguments.shift_remove(own);
        }
        arguments.insert("_sha256".to_owned(), Value::from(shipment.sha256()));
        arguments.insert("_size".to_owned(), Value::from(shipment.size()));
        arguments.insert("_mode".to_owned(), Value::from(0o644));
        arguments.insert("_basename".to_owned(), Value::from("src"));
        let result = self.send("copy", arguments, contact, scope, Some(shipment.content()), None).await?;
        Ok(TaskResult { diff_shape: DiffShape::of("assemble"), ..result.with("src", source) })
    }

    pub(crate) async fn unarchive(&self, mut arguments: Map, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let flag = |name: &str, otherwise| {
            arguments.get(name).map_or(otherwise, |value| pgfleet_protocol::Argument::read(value).unwrap_or(otherwise))
        };
        let source = text(&arguments, "src").unwrap_or_default();
        if flag("remote_src", false) || !flag("copy", true) || source.contains("://") {
            return self.send("unarchive", arguments, contact, scope, None, None).await;
        }
        let path = self.find("files", &source)?;
        let shipment = self.shipment(&path, Vaults::Opened)?;
        arguments.insert("_sha256".to_owned(), Value::from(shipment.sha256()));
        arguments.insert("_size".to_owned(), Value::from(shipment.size()));
        self.send("unarchive", arguments, contact, scope, Some(shipment.content()), None).await
    }

    pub(crate) async fn fetch(&self, mut arguments: Map, contact: &Contact, scope: &Scope) -> Result<TaskResult, Problem> {
        let source = text(&arguments, "src").unwrap_or_default();
        let dest = text(&arguments, "dest").unwrap_or_default();
        let flat = arguments.get("flat").is_some_and(|value| pgfleet_protocol::Argument::read(value).unwrap_or(false));
        let basename = Path::new(&source).file_name().map(PathBuf::from).unwrap_or_default();
        let path = match flat {
            true if dest.ends_with('/') => Path::new(&dest).join(basename),
            true => PathBuf::from(&dest),
            false => Path::new(&dest).join(below_of(&self.host.name, &source)?),
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
    pub(crate) fn find(&self, kind: &str, name: &str) -> Result<PathBuf, Problem> {
        let path = Path::new(name);
        let files = self.run.options.loader.files();
        let exists = |path: &Path| files.is_file(path) || files.is_folder(path);
        if path.is_absolute() {
            return if exists(path) { Ok(path.to_owned()) } else { Err(Problem::new(format!("there is no file {name}"))) };
        }
        let folders = self.run.folders(self.playing, Some(self.task));
        let candidates = folders.iter().flat_map(|folder| [folder.join(kind).join(path), folder.join(path)]);
        let candidates: Vec<PathBuf> = candidates.collect();
        candidates.iter().find(|path| exists(path)).cloned().ok_or_else(|| {
            let looked: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
            Problem::new(format!("there is no file '{name}'")).with_hint(format!("looked for it at {}", looked.join(", ")))
        })
    }
}

/// Where a fetched file goes below its folder. The names may be what a host said or a strange inventory has: they lead nowhere else.
fn below_of(host: &str, source: &str) -> Result<PathBuf, Problem> {
    let mut path: Vec<&str> = host.split('/').filter(|part| !part.is_empty()).collect();
    let own = path.len();
    let mut leads_out = path.contains(&"..");
    for part in source.split('/') {
        match part {
            "" | "." => {}
            ".." if path.len() > own => drop(path.pop()),
            ".." => leads_out = true,
            part => path.push(part),
        }
    }
    if leads_out {
        let message = format!("fetch would write outside of the host's folder: '{host}/{source}'");
        return Err(Problem::new(message).with_hint("with 'flat: true' the file goes to 'dest' as it is written"));
    }
    Ok(path.iter().collect())
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

/// The file or folder of the controller that a copy names.
fn source_here(arguments: &Map) -> Option<String> {
    let remote = arguments.get("remote_src").is_some_and(|value| pgfleet_protocol::Argument::read(value).unwrap_or(false));
    text(arguments, "src").filter(|_| !remote)
}

/// Arguments of a copy, whose content becomes text.
pub(crate) fn with_content(mut arguments: Map, scope: &Scope) -> Result<Map, Problem> {
    if let Some(content @ (Value::Object(_) | Value::Array(_))) = arguments.get("content").cloned() {
        // As Python writes it, so that a file made by Ansible stays as it is.
        let json = scope.with("content", from_json(&content)).render("content", "{{ content | to_json }}", &TemplateOptions::default())?;
        arguments.insert("content".to_owned(), Value::from(json));
    }
    arguments.values_mut().for_each(wide::spell_out);
    Ok(arguments)
}

fn text(arguments: &Map, name: &str) -> Option<String> {
    arguments.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// The folders and the files below a folder, outer ones first.
fn below(files: &dyn pgfleet_template::Files, folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut folders, mut contents) = (Vec::new(), Vec::new());
    for entry in files.list(folder).unwrap_or_default() {
        if files.is_folder(&entry) {
            let (inner, more) = below(files, &entry);
            folders.push(entry);
            folders.extend(inner);
            contents.extend(more);
        } else {
            contents.push(entry);
        }
    }
    (folders, contents)
}
