//! What names mean for one host at one moment: layers of variables, rendered lazily.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use crate::{Files, Problem, Raw, Value, Vars, computed_map};

/// Variables that need more steps than this to render are taken for a loop; a thread's stack holds about thrice as many.
const DEEPEST: usize = 40;

/// How the message about variables that need themselves begins.
const LOOP: &str = "recursive loop detected";

/// What `ansible.cfg` may change of the language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Mappings of one name are merged over all layers of variables, not replaced (`hash_behaviour = merge`).
    pub merges: bool,
    /// The truth of a value that is neither true nor false counts as a condition (`allow_broken_conditionals`).
    pub allows_broken_conditions: bool,
}

/// Filters, tests, functions and settings of the template language; made once a process.
pub struct Language {
    pub(crate) environment: Environment<'static>,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) dialect: Dialect,
    pub(crate) templates: crate::template_file::Templates,
}

impl fmt::Debug for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Language")
    }
}

impl Language {
    /// The language as Ansible has it. Lookups and includes read through `files`.
    #[must_use]
    pub fn new(files: Arc<dyn Files>) -> Arc<Self> {
        Self::speaking(files, Dialect::default())
    }

    /// The same with settings of its own.
    #[must_use]
    pub fn speaking(files: Arc<dyn Files>, dialect: Dialect) -> Arc<Self> {
        let mut environment = environment();
        crate::template_file::install(&mut environment, &files);
        Arc::new(Self { environment, files, dialect, templates: crate::template_file::Templates::default() })
    }
}

pub(crate) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_debug(false);
    environment.set_fuel(Some(crate::limits::MOST_STEPS));
    environment.set_recursion_limit(crate::limits::DEEPEST_CALL);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(crate::evaluate::write_value);
    environment.set_unknown_method_callback(crate::builtins::unknown_method);
    crate::builtins::install(&mut environment);
    crate::access::install(&mut environment);
    environment.add_global("omit", crate::omit());
    environment
}

/// True for the name of a function that the language itself has.
pub(crate) fn is_global(name: &str) -> bool {
    static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let environment = environment();
        environment.globals().map(|(name, _)| name.to_owned()).collect()
    });
    NAMES.contains(name)
}

/// How a template file is rendered.
#[derive(Clone, Debug)]
pub struct TemplateOptions {
    /// Remove the newline after a block tag.
    pub trim_blocks: bool,
    /// Remove white space before a block tag.
    pub lstrip_blocks: bool,
    /// Ending of the result's lines.
    pub newline_sequence: String,
    /// What begins and ends code.
    pub delimiters: Delimiters,
}

/// What begins and ends the code of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delimiters {
    /// Of statements, `{%` and `%}`.
    pub block: [String; 2],
    /// Of expressions, `{{` and `}}`.
    pub variable: [String; 2],
    /// Of comments, `{#` and `#}`.
    pub comment: [String; 2],
    /// Of lines that are statements as a whole; none when empty.
    pub line_statement: String,
    /// Of comments that end with the line; none when empty.
    pub line_comment: String,
}

impl Default for Delimiters {
    fn default() -> Self {
        let pair = |open: &str, close: &str| [open.to_owned(), close.to_owned()];
        let (block, variable, comment) = (pair("{%", "%}"), pair("{{", "}}"), pair("{#", "#}"));
        Self { block, variable, comment, line_statement: String::new(), line_comment: String::new() }
    }
}

impl Default for TemplateOptions {
    fn default() -> Self {
        Self { trim_blocks: true, lstrip_blocks: false, newline_sequence: "\n".to_owned(), delimiters: Delimiters::default() }
    }
}

/// Names and their values. A clone shares everything; a layer added hides the names below it, also for the
/// lazily rendered variables of lower layers.
#[derive(Clone)]
pub struct Scope {
    language: Arc<Language>,
    search: Arc<[PathBuf]>,
    top: Option<Arc<Layer>>,
    rendered: Arc<Rendered>,
}

type Rendered = Mutex<HashMap<String, Value>>;

/// A scope as the values that are rendered in it hold it: they do not keep what was rendered, which would keep them in turn.
pub(crate) struct Held {
    language: Arc<Language>,
    search: Arc<[PathBuf]>,
    top: Option<Arc<Layer>>,
    rendered: Weak<Rendered>,
    /// In place of what was rendered, once nobody else keeps that.
    own: OnceLock<Arc<Rendered>>,
}

impl Held {
    /// The scope itself.
    pub(crate) fn scope(&self) -> Scope {
        let rendered = self.rendered.upgrade().unwrap_or_else(|| self.own.get_or_init(Arc::default).clone());
        Scope { language: self.language.clone(), search: self.search.clone(), top: self.top.clone(), rendered }
    }
}

struct Layer {
    content: Content,
    below: Option<Arc<Layer>>,
}

enum Content {
    /// Several at once, the lowest first.
    Vars(Vec<Arc<Vars>>),
    One(Box<str>, Value),
    /// What holds where nothing says otherwise: it is seen, but nobody has said it.
    Assumed(Arc<Vars>),
}

impl Content {
    fn raw(&self, name: &str) -> Option<&Raw> {
        match self {
            Self::One(..) => None,
            Self::Vars(layers) => layers.iter().rev().find_map(|vars| vars.get(name)),
            Self::Assumed(vars) => vars.get(name),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scope").field("names", &self.names()).finish_non_exhaustive()
    }
}

impl Scope {
    /// An empty scope. `search` are folders in which lookups and includes look for files, first match counts
    /// (each tried as is and with `templates/`, `files/` below it by those who need that).
    #[must_use]
    pub fn new(language: &Arc<Language>, search: impl Into<Arc<[PathBuf]>>) -> Self {
        Self { language: language.clone(), search: search.into(), top: None, rendered: Arc::default() }
    }

    fn above(&self, content: Content) -> Self {
        let top = Some(Arc::new(Layer { content, below: self.top.clone() }));
        Self { language: self.language.clone(), search: self.search.clone(), top, rendered: Arc::default() }
    }

    /// The scope with values that are seen like others, though nobody has said them.
    #[must_use]
    pub fn assuming(&self, vars: Arc<Vars>) -> Self {
        self.above(Content::Assumed(vars))
    }

    /// True when something defines the name that is not merely assumed.
    #[must_use]
    pub fn says(&self, name: &str) -> bool {
        self.layers().any(|layer| match &layer.content {
            Content::One(known, _) => **known == *name,
            Content::Vars(layers) => layers.iter().any(|vars| vars.contains_key(name)),
            Content::Assumed(_) => false,
        })
    }

    /// The scope with one more layer above the others.
    #[must_use]
    pub fn over(&self, vars: Arc<Vars>) -> Self {
        self.over_all([vars])
    }

    /// The scope with several more layers, lowest first.
    #[must_use]
    pub fn over_all(&self, layers: impl IntoIterator<Item = Arc<Vars>>) -> Self {
        let layers: Vec<Arc<Vars>> = layers.into_iter().filter(|vars| !vars.is_empty()).collect();
        if layers.is_empty() { self.clone() } else { self.above(Content::Vars(layers)) }
    }

    /// The scope with one more name above the others.
    #[must_use]
    pub fn with(&self, name: &str, value: Value) -> Self {
        self.above(Content::One(name.into(), value))
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::successors(self.top.as_deref(), |layer| layer.below.as_deref())
    }

    /// The value of a name, rendered when first asked for; `None` when nothing defines it.
    ///
    /// # Errors
    /// When rendering fails, with the trail of variables; a cycle is an error that names it.
    pub fn get(&self, name: &str) -> Result<Option<Value>, Problem> {
        if self.language.dialect.merges
            && let Some(raw) = self.merged(name)
        {
            return self.rendered(name, &raw).map(Some);
        }
        for layer in self.layers() {
            match &layer.content {
                Content::One(known, value) if **known == *name => return Ok(Some(value.clone())),
                Content::One(..) => {}
                Content::Vars(_) | Content::Assumed(_) => match layer.content.raw(name) {
                    Some(Raw::Value(value)) => return Ok(Some(value.clone())),
                    Some(Raw::Late(value)) => return Ok(Some((***value).clone())),
                    Some(raw) => return self.rendered(name, raw).map(Some),
                    None => {}
                },
            }
        }
        Ok((name == "vars").then(|| self.all_variables()))
    }

    /// The mappings that layers give a name, as one; `None` where fewer than two do so before something else hides the rest.
    fn merged(&self, name: &str) -> Option<Raw> {
        let mut found: Option<Raw> = None;
        let mut several = false;
        for layer in self.layers() {
            let layers = match &layer.content {
                Content::One(known, _) if **known == *name => break,
                Content::One(..) | Content::Assumed(_) => continue,
                Content::Vars(layers) => layers,
            };
            for raw in layers.iter().rev().filter_map(|vars| vars.get(name)) {
                match &found {
                    None if raw.entries().is_some() => found = Some(raw.clone()),
                    None => return None,
                    Some(above) => match raw.merged_with(above) {
                        Some(merged) => (found, several) = (Some(merged), true),
                        None => return found.filter(|_| several),
                    },
                }
            }
        }
        found.filter(|_| several)
    }

    fn rendered(&self, name: &str, raw: &Raw) -> Result<Value, Problem> {
        if let Some(value) = self.rendered.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(value.clone());
        }
        let guard = Resolving::enter(std::ptr::from_ref(raw) as usize, self.identity(), || name.to_owned())?;
        let value = raw.evaluate_lazily(self).map_err(|problem| match problem.message.starts_with(LOOP) {
            // The loop names the variables that it goes through.
            true => problem,
            false => problem.within(format!("while resolving variable '{name}'")),
        })?;
        drop(guard);
        self.rendered.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.clone());
        Ok(value)
    }

    /// `vars`: all of them, each rendered when asked for.
    fn all_variables(&self) -> Value {
        let (values, names) = (self.held(), self.held());
        computed_map(move |name| values.scope().get(name), move || names.scope().names().into_iter().map(Arc::from).collect())
    }

    /// True when something defines the name.
    #[must_use]
    pub fn defines(&self, name: &str) -> bool {
        self.layers().any(|layer| match &layer.content {
            Content::One(known, _) => **known == *name,
            Content::Vars(_) | Content::Assumed(_) => layer.content.raw(name).is_some(),
        })
    }

    /// All names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for layer in self.layers() {
            match &layer.content {
                Content::One(known, _) => drop(names.insert(&**known)),
                Content::Vars(layers) => names.extend(layers.iter().flat_map(|vars| vars.keys()).map(String::as_str)),
                Content::Assumed(vars) => names.extend(vars.keys().map(String::as_str)),
            }
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// Renders a template file's text; `name` is its path, for messages and relative includes.
    ///
    /// # Errors
    /// With file, line and the name of what is undefined.
    pub fn render(&self, name: &str, source: &str, options: &TemplateOptions) -> Result<String, Problem> {
        crate::template_file::render(self, name, source, options)
    }

    pub(crate) fn environment(&self) -> &Environment<'static> {
        &self.language.environment
    }

    /// True where conditions may be neither true nor false.
    pub(crate) fn allows_broken_conditions(&self) -> bool {
        self.language.dialect.allows_broken_conditions
    }

    pub(crate) fn language(&self) -> &Language {
        &self.language
    }

    /// Where files come from.
    #[must_use]
    pub fn files(&self) -> &dyn Files {
        &*self.language.files
    }

    /// Folders in which lookups and includes look for files.
    #[must_use]
    pub fn search(&self) -> &[PathBuf] {
        &self.search
    }

    /// The first file of that name: absolute as it is, else in the folders of the search path, in each with
    /// and without the sub-folder (`templates`, `files`).
    #[must_use]
    pub fn find_file(&self, name: &str, folder: &str) -> Option<PathBuf> {
        let path = Path::new(name);
        if path.is_absolute() {
            return self.files().is_file(path).then(|| path.to_owned());
        }
        let candidates = self.search.iter().flat_map(|root| [root.join(folder).join(path), root.join(path)]);
        candidates.into_iter().find(|candidate| self.files().is_file(candidate))
    }

    /// For values that are rendered in it.
    pub(crate) fn held(&self) -> Held {
        let (language, search, top) = (self.language.clone(), self.search.clone(), self.top.clone());
        Held { language, search, top, rendered: Arc::downgrade(&self.rendered), own: OnceLock::new() }
    }

    /// The same for all clones of a scope.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.rendered) as usize
    }
}

thread_local! {
    /// What is being rendered on this thread, outermost first.
    static STACK: RefCell<Vec<(usize, usize, String)>> = const { RefCell::new(Vec::new()) };
}

/// One variable that is being rendered, until dropped.
pub(crate) struct Resolving;

impl Resolving {
    /// Fails when the same is being rendered already.
    pub(crate) fn enter(raw: usize, scope: usize, name: impl FnOnce() -> String) -> Result<Self, Problem> {
        let name = name();
        STACK.with_borrow_mut(|stack| {
            let first = stack.iter().position(|(known, within, _)| *known == raw && *within == scope);
            let first = first.or_else(|| (stack.len() >= DEEPEST).then(|| stack.len().saturating_sub(6)));
            if let Some(first) = first {
                let mut chain: Vec<&str> = stack[first..].iter().map(|(_, _, name)| name.as_str()).collect();
                chain.push(&name);
                return Err(Problem::new(format!("{LOOP} in variable '{name}': {}", chain.join(" -> "))));
            }
            stack.push((raw, scope, name));
            Ok(Self)
        })
    }
}

impl Drop for Resolving {
    fn drop(&mut self) {
        STACK.with_borrow_mut(|stack| drop(stack.pop()));
    }
}
