//! `apt_repository`: a one-line package source of apt.

use std::path::{Path, PathBuf};

use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::packages::Apt;
use pgfleet_protocol::modules::repositories::AptRepository;
use pgfleet_protocol::{Arguments, FileMode, Mode, Outcome};
use serde_json::json;

use crate::attributes::with_path_info;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::modules::apt;
use crate::replacement::content_diff;
use crate::system::Permissions;

const LIST: &str = "/etc/apt/sources.list";
const FOLDER: &str = "/etc/apt/sources.list.d";

pub(crate) fn plan(arguments: &AptRepository, context: &Context) -> Planned {
    let repo = arguments.repo.trim();
    if repo.starts_with("ppa:") {
        return Err(Failure::new(format!("'{repo}': ppa: sources are not supported; give the source's whole line and its key")));
    }
    let wished = Line::read(repo).ok_or_else(|| Failure::new(format!("Invalid repository string: {repo}")))?;
    let mut files = files(context)?;
    match arguments.state {
        Presence::Present => add(&wished, arguments, &mut files),
        Presence::Absent => files.iter_mut().for_each(|file| {
            file.lines.retain(|line| !Line::read(line).is_some_and(|line| line.is_enabled && line.source == wished.source))
        }),
    }
    let changed: Vec<File> = files.into_iter().filter(File::is_changed).collect();
    let names = |is_one: &dyn Fn(&File) -> bool| {
        changed.iter().filter(|file| is_one(file)).map(|file| file.path.to_string_lossy()).collect::<Vec<_>>()
    };
    let mut outcome = Outcome::changed_if(!changed.is_empty())
        .with("repo", arguments.repo.as_str())
        .with("state", arguments.state.word())
        .with("sources_added", names(&|file| file.before.is_none()))
        .with("sources_removed", names(&File::goes));
    if changed.is_empty() {
        return Ok(Plan::Done(outcome));
    }
    for file in &changed {
        let before = file.before.as_ref().map(String::as_bytes);
        outcome = outcome.showing(content_diff(&file.path, before, file.lines.concat().as_bytes()));
    }
    let mode = arguments.mode.clone();
    let update = if arguments.update_cache { Some(update(arguments)?) } else { None };
    Ok(Plan::change(outcome, move |context, mut outcome| {
        for file in &changed {
            file.write(mode.as_ref(), context)?;
        }
        if let Some(update) = update
            && let Err(failure) = fetch_lists(&update, context)
        {
            // A source that cannot be fetched would break every later apt; what was there comes back.
            for file in &changed {
                file.restore(context);
            }
            return Err(failure);
        }
        if let Some(file) = changed.iter().find(|file| !file.goes()) {
            outcome = with_path_info(outcome, context, &file.path).with("state", "present");
        }
        Ok(outcome)
    }))
}

fn update(arguments: &AptRepository) -> Result<Apt, Failure> {
    let wish = json!({"update_cache": true, "update_cache_retries": arguments.update_cache_retries});
    Apt::read(wish.as_object().unwrap_or(&pgfleet_protocol::Map::new())).map_err(|problem| Failure::new(problem.to_string()))
}

fn fetch_lists(wish: &Apt, context: &Context) -> Result<(), Failure> {
    match apt::plan(wish, context)? {
        Plan::Change(outcome, apply) if context.mode == Mode::Apply => apply(context, outcome).map(drop),
        _ => Ok(()),
    }
}

/// A source as a line has it: `deb ...` without its comment.
struct Line {
    is_enabled: bool,
    source: String,
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let line = line.trim();
        let (is_enabled, rest) = match line.strip_prefix('#') {
            Some(rest) => (false, rest.trim_start_matches('#')),
            None => (true, line),
        };
        let rest = rest.split_once('#').map_or(rest, |(source, _)| source);
        let words: Vec<&str> = rest.split_whitespace().collect();
        let is_source = matches!(words.first(), Some(&("deb" | "deb-src"))) && words.len() > 2;
        is_source.then(|| Self { is_enabled, source: words.join(" ") })
    }
}

/// A file of sources, as found and as it shall be.
struct File {
    path: PathBuf,
    before: Option<String>,
    lines: Vec<String>,
}

impl File {
    fn is_changed(&self) -> bool {
        self.before.as_deref().unwrap_or_default() != self.lines.concat()
    }

    /// Files of the folder that say nothing any more go; the main one stays.
    fn goes(&self) -> bool {
        self.lines.concat().trim().is_empty() && self.path != Path::new(LIST)
    }

    fn write(&self, mode: Option<&FileMode>, context: &Context) -> Result<(), Failure> {
        let writing = format!("cannot write {}", self.path.display());
        if self.goes() {
            return context.system.remove_file(&self.path).context(writing);
        }
        if let Some(folder) = self.path.parent() {
            context.system.make_dirs(folder).context(&writing)?;
        }
        let bits = mode.map(|mode| mode.bits(0o644, false)).or_else(|| self.before.is_none().then_some(0o644));
        let permissions = Permissions { mode: bits, ..Permissions::default() };
        context.system.write_file_atomically(&self.path, self.lines.concat().as_bytes(), &permissions).context(writing)
    }

    fn restore(&self, context: &Context) {
        // The failure that led here is the one to tell.
        let _ = match &self.before {
            Some(text) => context.system.write_file_atomically(&self.path, text.as_bytes(), &Permissions::default()),
            None => context.system.remove_file(&self.path),
        };
    }
}

fn files(context: &Context) -> Result<Vec<File>, Failure> {
    let names = context.system.list_dir(Path::new(FOLDER)).unwrap_or_default();
    let lists = names.into_iter().filter(|name| name.extension().is_some_and(|end| end == "list")).map(|name| Path::new(FOLDER).join(name));
    let mut files = Vec::new();
    for path in std::iter::once(PathBuf::from(LIST)).chain(lists) {
        let bytes = context.system.read_if_there(&path).context(format_args!("cannot read {}", path.display()))?;
        if let Some(bytes) = bytes {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            files.push(File { path, lines: text.split_inclusive('\n').map(str::to_owned).collect(), before: Some(text) });
        }
    }
    Ok(files)
}

fn add(wished: &Line, arguments: &AptRepository, files: &mut Vec<File>) {
    let mut is_there = false;
    for line in files.iter_mut().flat_map(|file| &mut file.lines) {
        if let Some(found) = Line::read(line).filter(|found| found.source == wished.source) {
            if !found.is_enabled {
                *line = format!("{}\n", wished.source);
            }
            is_there = true;
        }
    }
    if is_there {
        return;
    }
    let line = match arguments.repo.split_once('#') {
        Some((_, comment)) => format!("{} # {}\n", wished.source, comment.trim()),
        None => format!("{}\n", wished.source),
    };
    let name = arguments.filename.clone().unwrap_or_else(|| name_of(&wished.source));
    let path = Path::new(FOLDER).join(format!("{name}.list"));
    match files.iter_mut().find(|file| file.path == path) {
        Some(file) => {
            if let Some(last) = file.lines.last_mut().filter(|last| !last.ends_with('\n')) {
                last.push('\n');
            }
            file.lines.push(line);
        }
        None => files.push(File { path, before: None, lines: vec![line] }),
    }
}

/// The address with `_` for all that is no letter or digit; options, kind and login left out.
fn name_of(source: &str) -> String {
    let without_options = match (source.find('['), source.find(']')) {
        (Some(start), Some(end)) if start < end => format!("{}{}", &source[..start], &source[end + 1..]),
        _ => source.to_owned(),
    };
    let address = without_options.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let address = address.split_once("://").map_or(address.as_str(), |(_, rest)| rest);
    let address = address.split_once('@').map_or(address, |(_, rest)| rest);
    let parts: Vec<&str> = address.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    parts.join("_")
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn files_are_named_after_the_address() {
        for (source, expect) in [
            ("deb http://apt.postgresql.org/pub/repos/apt trixie-pgdg main", "apt_postgresql_org_pub_repos_apt"),
            ("deb [arch=amd64 signed-by=/k.asc] https://u:p@x.example/deb/ stable main", "x_example_deb"),
        ] {
            assert_eq!(name_of(source), expect);
        }
    }
}
