//! From source to compiled source, once for each text.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::machinery::{Instructions, ast, parse, parse_expr};
use minijinja::syntax::SyntaxConfig;

use crate::backslash::{in_file, in_yaml};
use crate::rewrite::Rewriter;

/// How a source is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// An expression without braces.
    Expression,
    /// Text with templates in it.
    Template,
}

/// Compiled source, shared by all places that have the same text.
pub(crate) struct Compiled {
    /// The source that was compiled.
    pub(crate) source: &'static str,
    pub(crate) shape: Shape,
    pub(crate) instructions: Instructions<'static>,
    pub(crate) blocks: BTreeMap<&'static str, Instructions<'static>>,
    /// Names that it looks up and does not define itself, functions among them.
    pub(crate) names: Vec<&'static str>,
    /// The only thing in it is this variable.
    pub(crate) variable: Option<&'static str>,
    /// It builds lists or mappings, which may have undefined members.
    pub(crate) has_literals: bool,
    /// The files that it was made from; one for everything that is no template file.
    pub(crate) pieces: Vec<Piece>,
}

/// One file of a template, and where its lines and offsets begin in the numbering of the whole.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    pub(crate) first_line: u16,
    pub(crate) first_offset: u32,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compiled").field("shape", &self.shape).field("source", &self.source).finish()
    }
}

/// Gives the text of a template that another one includes.
pub(crate) trait Includes {
    /// Its path and its text, `None` when there is no such file.
    fn find(&self, name: &str, from: &str) -> Option<(PathBuf, String)>;
    /// The syntax of template files.
    fn syntax(&self) -> &SyntaxConfig;
}

/// A text that lives as long as the process. Sources of templates are few and are needed until the end.
pub(crate) fn intern(text: &str) -> &'static str {
    static TEXTS: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(text) {
        return known;
    }
    let kept: &'static str = Box::leak(text.to_owned().into_boxed_str());
    texts.insert(kept);
    kept
}

type Cache = Mutex<HashMap<(&'static str, Shape), Arc<Compiled>>>;

/// Compiles text of a YAML file.
pub(crate) fn compile(source: &str, shape: Shape) -> Result<Arc<Compiled>, minijinja::Error> {
    static CACHE: LazyLock<Cache> = LazyLock::new(Mutex::default);
    let source = intern(&in_yaml(source, shape));
    if let Some(known) = CACHE.lock().unwrap_or_else(PoisonError::into_inner).get(&(source, shape)) {
        return Ok(known.clone());
    }
    crate::limits::source(source, shape == Shape::Expression)?;
    let mut rewriter = Rewriter::new("", source, None);
    let mut shape_found = shape;
    let mut variable = None;
    let blocks = match shape {
        Shape::Expression => {
            let expression = parse_expr(source)?;
            variable = only_variable(&expression);
            rewriter.expression(source, &expression);
            BTreeMap::new()
        }
        Shape::Template => {
            let tree = parse(source, "", text_syntax())?;
            match single_expression(&tree) {
                Some(expression) => {
                    shape_found = Shape::Expression;
                    variable = only_variable(expression);
                    rewriter.expression(source, expression);
                    BTreeMap::new()
                }
                None => rewriter.template("", source, &tree),
            }
        }
    };
    let compiled = Arc::new(rewriter.finish(source, shape_found, blocks, variable));
    CACHE.lock().unwrap_or_else(PoisonError::into_inner).insert((source, shape), compiled.clone());
    Ok(compiled)
}

/// Compiles a template file; what it includes by a constant name becomes part of it.
pub(crate) fn compile_file(name: &str, source: &str, includes: &dyn Includes) -> Result<Compiled, minijinja::Error> {
    let (name, source) = (intern(name), intern(&in_file(source)));
    crate::limits::source(source, false)?;
    let tree = parse(source, name, includes.syntax().clone())?;
    let mut rewriter = Rewriter::new(name, source, Some(includes));
    let blocks = rewriter.template(name, source, &tree);
    if let Some(error) = rewriter.error.take() {
        return Err(error);
    }
    Ok(rewriter.finish(source, Shape::Template, blocks, None))
}

/// A last newline is no part of a text: it comes back where the result is text.
pub(crate) fn text_syntax() -> SyntaxConfig {
    static SYNTAX: LazyLock<Option<SyntaxConfig>> = LazyLock::new(|| SyntaxConfig::builder().trim_blocks(true).build().ok());
    SYNTAX.clone().unwrap_or_default()
}

fn single_expression<'t>(tree: &'t ast::Stmt<'static>) -> Option<&'t ast::Expr<'static>> {
    let ast::Stmt::Template(template) = tree else { return None };
    match template.children.as_slice() {
        [ast::Stmt::EmitExpr(emit)] => Some(&emit.expr),
        _ => None,
    }
}

fn only_variable(expression: &ast::Expr<'static>) -> Option<&'static str> {
    match expression {
        ast::Expr::Var(variable) => Some(variable.id),
        _ => None,
    }
}
