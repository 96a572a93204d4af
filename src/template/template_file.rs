//! Template files: includes and imports found beside them, a header with options, line endings.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;

use crate::backslash::in_file;
use crate::compile::{Compiled, Includes, compile_file, intern};
use crate::evaluate::run;
use crate::{Files, Place, Problem, Scope, TemplateOptions, tidy};

/// What a compiled template depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    name: &'static str,
    source: &'static str,
    trim_blocks: bool,
    lstrip_blocks: bool,
    delimiters: crate::Delimiters,
    search: Vec<PathBuf>,
}

/// Compiled templates of this process.
#[derive(Debug, Default)]
pub(crate) struct Templates(Mutex<HashMap<Key, Arc<Compiled>>>);

thread_local! {
    /// The scope of the template that is being rendered, for includes whose name is computed.
    static RENDERING: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
    /// Templates that it loaded by name so far.
    static LOADED: Cell<usize> = const { Cell::new(0) };
}

/// Lets includes find their files at run time, too.
pub(crate) fn install(environment: &mut Environment<'static>, files: &Arc<dyn Files>) {
    let files = files.clone();
    environment.set_loader(move |path| {
        let path = Path::new(path);
        if !path.is_absolute() && !files.is_file(path) {
            return Ok(None);
        }
        let bytes = files.read(path).map_err(|error| {
            minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, format!("cannot read {}: {error}", path.display()))
        })?;
        Ok(Some(in_file(&String::from_utf8_lossy(&bytes)).into_owned()))
    });
    environment.set_path_join_callback(|name, parent| {
        let loaded = LOADED.get() + 1;
        LOADED.set(loaded);
        if loaded > crate::limits::MOST_LOADED {
            // A template that extends itself would do so for ever; no template of this name is found.
            return Cow::Owned(format!("{name}, after {} other templates", crate::limits::MOST_LOADED));
        }
        let found = RENDERING.with_borrow(|stack| stack.last().and_then(|scope| find(scope, name, parent)));
        found.map_or(Cow::Borrowed(name), |path| Cow::Owned(path.to_string_lossy().into_owned()))
    });
    if let Ok(syntax) = syntax(&TemplateOptions::default()) {
        environment.set_syntax(syntax);
    }
}

/// Beside the including template first, then in the search path.
fn find(scope: &Scope, name: &str, from: &str) -> Option<PathBuf> {
    let beside = Path::new(from).parent().map(|folder| tidy(&folder.join(name))).filter(|path| scope.files().is_file(path));
    beside.or_else(|| scope.find_file(name, "templates"))
}

pub(crate) fn syntax(options: &TemplateOptions) -> Result<SyntaxConfig, minijinja::Error> {
    let mut builder = SyntaxConfig::builder();
    builder.trim_blocks(options.trim_blocks).lstrip_blocks(options.lstrip_blocks);
    let delimiters = &options.delimiters;
    if *delimiters != crate::Delimiters::default() {
        let [open, close] = delimiters.block.clone();
        builder.block_delimiters(open, close);
        let [open, close] = delimiters.variable.clone();
        builder.variable_delimiters(open, close);
        let [open, close] = delimiters.comment.clone();
        builder.comment_delimiters(open, close);
        builder.line_statement_prefix(delimiters.line_statement.clone());
        builder.line_comment_prefix(delimiters.line_comment.clone());
    }
    builder.build()
}

struct Folder<'s> {
    scope: &'s Scope,
    syntax: SyntaxConfig,
}

impl Includes for Folder<'_> {
    fn find(&self, name: &str, from: &str) -> Option<(PathBuf, String)> {
        let path = find(self.scope, name, from)?;
        let text = String::from_utf8(self.scope.files().read(&path).ok()?).ok()?;
        Some((path, text))
    }

    fn syntax(&self) -> &SyntaxConfig {
        &self.syntax
    }
}

pub(crate) fn render(scope: &Scope, name: &str, source: &str, options: &TemplateOptions) -> Result<String, Problem> {
    let place = Place::new(name, 1, 1);
    let (options, body) = header(source, options).map_err(|problem| problem.at(&place))?;
    let skipped = usize::from(body.len() != source.len());
    let moved = |mut problem: Problem| {
        if let Some(place) = problem.place.as_mut().filter(|place| *place.file == *name) {
            place.line += skipped;
        }
        problem
    };
    let compiled = compiled(scope, name, body, &options).map_err(moved)?;
    if RENDERING.with_borrow(Vec::len) > crate::limits::DEEPEST_LOOKUP {
        let problem = Problem::new(format!("templates that look each other up, over {} deep", crate::limits::DEEPEST_LOOKUP));
        return Err(problem.at(&place));
    }
    if RENDERING.with_borrow(Vec::is_empty) {
        LOADED.set(0);
    }
    RENDERING.with_borrow_mut(|stack| stack.push(scope.clone()));
    let result = run(&compiled, scope, &place);
    RENDERING.with_borrow_mut(|stack| drop(stack.pop()));
    let value = result.map_err(moved)?;
    let text = match value.as_str() {
        None if value.is_none() => String::new(),
        Some(text) => text.to_owned(),
        None => crate::value::as_output(&value).map_err(|error| Problem::new(error.to_string()).at(&place))?,
    };
    if options.newline_sequence == "\n" {
        return Ok(text);
    }
    Ok(text.replace("\r\n", "\n").replace('\n', &options.newline_sequence))
}

fn compiled(scope: &Scope, name: &str, source: &str, options: &TemplateOptions) -> Result<Arc<Compiled>, Problem> {
    let templates = &scope.language().templates.0;
    let key = Key {
        name: intern(name),
        source: intern(source),
        trim_blocks: options.trim_blocks,
        lstrip_blocks: options.lstrip_blocks,
        delimiters: options.delimiters.clone(),
        search: scope.search().to_vec(),
    };
    if let Some(known) = templates.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(known.clone());
    }
    let problem = |error: minijinja::Error| {
        let place = Place::new(error.name().unwrap_or(name), error.line().unwrap_or(1), 1);
        let hint = error.range().and_then(|range| source.get(range)).map(|text| format!("near '{}'", text.trim()));
        let problem = Problem::new(format!("malformed template: {}", error.detail().unwrap_or("it cannot be read"))).at(&place);
        match hint.filter(|_| error.name() == Some(name)) {
            Some(hint) => problem.with_hint(hint),
            None => problem,
        }
    };
    let folder = Folder { scope, syntax: syntax(options).map_err(problem)? };
    let compiled = Arc::new(compile_file(name, source, &folder).map_err(problem)?);
    templates.lock().unwrap_or_else(PoisonError::into_inner).insert(key, compiled.clone());
    Ok(compiled)
}

/// Options of a first line `#jinja2: trim_blocks: True, lstrip_blocks: True`, and the text after it.
pub(crate) fn header<'s>(source: &'s str, options: &TemplateOptions) -> Result<(TemplateOptions, &'s str), Problem> {
    let mut options = options.clone();
    let Some(rest) = source.strip_prefix("#jinja2:") else { return Ok((options, source)) };
    let wrong = |why: String| Problem::new(format!("malformed template: the '#jinja2:' line {why}"));
    let (line, body) = rest.split_once('\n').ok_or_else(|| wrong("ends the template".to_owned()))?;
    for pair in line.split(',') {
        let (name, value) = pair.split_once(':').ok_or_else(|| wrong(format!("has '{}' without a ':'", pair.trim())))?;
        let (name, value) = (name.trim(), value.trim());
        let text = value.trim_matches(['"', '\'']).replace("\\n", "\n").replace("\\r", "\r");
        // Text is true as any text is, also `"False"`.
        let holds = if value.starts_with(['"', '\'']) { !text.is_empty() } else { matches!(value, "True" | "1") };
        let delimiters = &mut options.delimiters;
        match name {
            "trim_blocks" => options.trim_blocks = holds,
            "lstrip_blocks" => options.lstrip_blocks = holds,
            "newline_sequence" => options.newline_sequence = text,
            "block_start_string" => delimiters.block[0] = text,
            "block_end_string" => delimiters.block[1] = text,
            "variable_start_string" => delimiters.variable[0] = text,
            "variable_end_string" => delimiters.variable[1] = text,
            "comment_start_string" => delimiters.comment[0] = text,
            "comment_end_string" => delimiters.comment[1] = text,
            "line_statement_prefix" => delimiters.line_statement = text,
            "line_comment_prefix" => delimiters.line_comment = text,
            "keep_trailing_newline" => {}
            other => return Err(wrong(format!("has '{other}', which is no option"))),
        }
    }
    Ok((options, body))
}
