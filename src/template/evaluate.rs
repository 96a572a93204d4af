//! Runs compiled source in a scope, and says in a person's words what went wrong.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::machinery::{ast, eval, make_string_output, parse_expr};
use minijinja::value::{Enumerator, Object};
use minijinja::{AutoEscape, Error, ErrorKind, Output, State};

use crate::compile::{Compiled, Piece, Shape};
use crate::{Place, Problem, Scope, Value};

/// The name under which functions find the scope that they are called in.
const SCOPE: &str = "__scope__";

/// What a piece of source looks names up in.
#[derive(Debug)]
pub(crate) struct Root {
    scope: Scope,
    undefined: Mutex<Vec<Undefined>>,
}

/// A name or access that gave nothing.
#[derive(Debug)]
struct Undefined {
    path: String,
    /// Set when the name is defined, but by something undefined.
    cause: Option<Problem>,
    /// What lacks it, where it is an attribute: said as Ansible says it, since playbooks look for the words.
    lacking: Option<String>,
}

impl Root {
    fn note(&self, path: &str, cause: Option<Problem>, lacking: Option<String>) {
        let mut undefined = self.undefined.lock().unwrap_or_else(PoisonError::into_inner);
        undefined.push(Undefined { path: path.to_owned(), cause, lacking });
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match self.scope.get(key) {
            Ok(Some(value)) => Some(value),
            Ok(None) if key == SCOPE => Some(Value::from_dyn_object(self.clone())),
            Ok(None) => {
                self.note(key, None, None);
                None
            }
            Err(problem) if is_undefined(&problem) => {
                self.note(key, Some(problem), None);
                Some(Value::UNDEFINED)
            }
            Err(problem) => Some(Value::from(into_error(problem))),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.scope.names().into_iter().map(Value::from).collect())
    }
}

/// Remembers that an access gave nothing, so that an error can name it.
pub(crate) fn note_undefined(state: &State<'_, '_>, path: &str, cause: Option<Problem>, lacking: Option<String>) {
    if let Some(root) = state.lookup(SCOPE).and_then(|root| root.downcast_object::<Root>()) {
        root.note(path, cause, lacking);
    }
}

/// The scope that a function or filter is called in.
pub(crate) fn scope_of(state: &State<'_, '_>) -> Option<Scope> {
    state.lookup(SCOPE)?.downcast_object_ref::<Root>().map(|root| root.scope.clone())
}

/// True for the problem that something is undefined, which `default` and `is defined` catch.
pub(crate) fn is_undefined(problem: &Problem) -> bool {
    problem.is_undefined()
}

/// A problem as minijinja carries it; `problem_of` takes it out again.
pub(crate) fn into_error(problem: Problem) -> Error {
    let kind = if is_undefined(&problem) { ErrorKind::UndefinedError } else { ErrorKind::InvalidOperation };
    Error::new(kind, problem.to_string()).with_source(problem)
}

/// The outputs of one run, to tell a text from a value that stands alone.
#[derive(Debug, Default)]
struct Emitted {
    count: usize,
    /// Bytes of the last one, and of all.
    bytes: usize,
    total: usize,
    value: Value,
}

/// Writes a value into a text: nothing for null, Python's notation for everything that is no text.
pub(crate) fn write_value(output: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let bytes = if value.is_none() || value.is_undefined() || crate::is_omit(value) {
        0
    } else if let Some(text) = value.as_str() {
        output.write_str(text)?;
        text.len()
    } else {
        if has_undefined(value, 0) {
            return Err(ErrorKind::UndefinedError.into());
        }
        let text = crate::value::as_output(value)?;
        output.write_str(&text)?;
        text.len()
    };
    let emitted = state.get_or_insert_extension_with(Emitted::default);
    emitted.count += 1;
    emitted.total += bytes;
    crate::limits::text(emitted.total)?;
    emitted.bytes = bytes;
    emitted.value = value.clone();
    Ok(())
}

/// The value of compiled source in a scope, natively typed.
pub(crate) fn run(compiled: &Compiled, scope: &Scope, place: &Place) -> Result<Value, Problem> {
    let root = Arc::new(Root { scope: scope.clone(), undefined: Mutex::default() });
    let result = run_in(compiled, &root);
    result.map_err(|error| problem_of(&error, compiled, Some(&root), place))
}

fn run_in(compiled: &Compiled, root: &Arc<Root>) -> Result<Value, Error> {
    let mut text = String::new();
    let (value, state) = eval(
        root.scope.environment(),
        &compiled.instructions,
        Value::from_dyn_object(root.clone()),
        &compiled.blocks,
        &mut make_string_output(&mut text),
        AutoEscape::None,
    )?;
    let value = match compiled.shape {
        Shape::Expression => value.unwrap_or_default(),
        Shape::Template => match state.get_extension::<Emitted>() {
            // A single output and nothing around it: the value itself.
            Some(emitted) if emitted.count == 1 && emitted.bytes == text.len() && !emitted.value.is_none() => emitted.value.clone(),
            _ => Value::from(text),
        },
    };
    crate::limits::text(value.as_str().map_or(0, str::len))?;
    let value = with_last_newlines(value, compiled.source);
    if value.is_undefined() || crate::access::is_nothing(&value) || compiled.has_literals && has_undefined(&value, 0) {
        return Err(ErrorKind::UndefinedError.into());
    }
    Ok(value)
}

/// Text ends with as many newlines as its template, or more.
fn with_last_newlines(value: Value, source: &str) -> Value {
    let newlines = |text: &str| text.len() - text.trim_end_matches('\n').len();
    let wanted = newlines(source);
    match value.as_str() {
        Some(text) if wanted > newlines(text) => Value::from(format!("{text}{}", "\n".repeat(wanted - newlines(text)))),
        _ => value,
    }
}

/// Lists and mappings that were written in the expression itself are plain; everything else was checked before.
fn has_undefined(value: &Value, depth: usize) -> bool {
    if depth > 8 {
        return false;
    }
    if let Some(items) = value.downcast_object_ref::<Vec<Value>>() {
        return items.iter().any(|item| item.is_undefined() || has_undefined(item, depth + 1));
    }
    value
        .downcast_object_ref::<indexmap::IndexMap<Value, Value>>()
        .is_some_and(|entries| entries.values().any(|value| value.is_undefined() || has_undefined(value, depth + 1)))
}

/// What went wrong, with place. A problem from further in comes out as it was.
pub(crate) fn problem_of(error: &Error, compiled: &Compiled, root: Option<&Root>, place: &Place) -> Problem {
    if let Some(problem) = inner_problem(error) {
        return problem.at(&error_place(error, &compiled.pieces, place));
    }
    let error = innermost(error);
    let problem = match root {
        Some(root) if about_undefined(error) => match undefined_name(error, compiled, root) {
            Named::Cause(problem) => problem,
            Named::Path(path, lacking) => not_there(&path, lacking, error, &root.scope),
            Named::Unknown => without_name(error),
        },
        Some(root) if error.kind() == ErrorKind::UnknownFunction => {
            unknown_name(error.detail().unwrap_or_default().trim_end_matches(" is unknown"), &root.scope)
        }
        _ => Problem::new(plain_message(error)),
    };
    problem.at(&error_place(error, &compiled.pieces, place))
}

/// A name or an access that gave nothing; what looked for it may say more.
fn not_there(path: &str, lacking: Option<String>, error: &Error, scope: &Scope) -> Problem {
    let said = error.detail().unwrap_or_default();
    if said.starts_with("object of type") {
        return without_name(error);
    }
    let problem = unknown_name(path, scope);
    match lacking {
        _ if said.starts_with("No variable named") => Problem { message: format!("{}: {said}", problem.message), ..problem },
        Some(lacking) => problem.within(format!("since {lacking}")),
        None => problem,
    }
}

fn without_name(error: &Error) -> Problem {
    let problem = Problem::new("a value that is used here is undefined");
    match error.detail().filter(|said| said.starts_with("object of type")) {
        Some(said) => problem.within(format!("since {said}")),
        None => problem,
    }
}

fn unknown_name(path: &str, scope: &Scope) -> Problem {
    let problem = Problem::new(format!("'{path}' is undefined"));
    let name = path.split(['.', '[']).next().unwrap_or(path);
    if scope.defines(name) {
        return problem;
    }
    let names = scope.names();
    problem.did_you_mean(name, names.iter().map(String::as_str))
}

/// A problem of source that does not compile.
pub(crate) fn syntax_problem(error: &Error, source: &str, place: &Place) -> Problem {
    let problem = Problem::new(format!("malformed template: {}", error.detail().unwrap_or("it cannot be read"))).at(place);
    let hint = match error.range().and_then(|range| source.get(range)).map(str::trim) {
        Some(text) if !text.is_empty() => format!("near '{}' in '{}'", shortened(text), shortened(source)),
        _ => format!("in '{}'", shortened(source)),
    };
    problem.with_hint(hint)
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

pub(crate) fn inner_problem(error: &Error) -> Option<Problem> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(problem) = error.downcast_ref::<Problem>() {
            return Some(problem.clone());
        }
        cause = error.source();
    }
    None
}

fn innermost(error: &Error) -> &Error {
    match error.source().and_then(|source| source.downcast_ref::<Error>()) {
        Some(source) => innermost(source),
        None => error,
    }
}

fn about_undefined(error: &Error) -> bool {
    error.kind() == ErrorKind::UndefinedError
        || matches!(error.kind(), ErrorKind::InvalidOperation | ErrorKind::UnknownMethod | ErrorKind::CannotUnpack)
            && error.detail().is_some_and(|detail| detail.contains("undefined"))
}

fn plain_message(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::UnknownFilter | ErrorKind::UnknownTest, Some(detail)) => {
            let (what, name) = detail.trim_end_matches(" is unknown").split_once(' ').unwrap_or(("name", detail));
            format!("there is no {what} '{name}'")
        }
        (ErrorKind::InvalidOperation, Some(detail)) if detail.starts_with("unable to calculate") && detail.ends_with(" 0") => {
            "division by zero".to_owned()
        }
        (ErrorKind::InvalidOperation | ErrorKind::UnknownMethod | ErrorKind::TemplateNotFound, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}

fn piece_of<'p>(error: &Error, pieces: &'p [Piece]) -> Option<&'p Piece> {
    let line = error.line()?;
    pieces.iter().rev().find(|piece| usize::from(piece.first_line) < line)
}

/// Where in the template file; for text of a YAML file, where that begins.
fn error_place(error: &Error, pieces: &[Piece], place: &Place) -> Place {
    let error = innermost(error);
    let Some(piece) = piece_of(error, pieces).filter(|piece| !piece.name.is_empty()) else { return place.clone() };
    let line = error.line().unwrap_or(1) - usize::from(piece.first_line);
    let column = error
        .range()
        .and_then(|range| piece.source.get(..range.start.checked_sub(piece.first_offset as usize)?))
        .map_or(1, |before| before.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
    Place::new(piece.name, line, column)
}

enum Named {
    Cause(Problem),
    Path(String, Option<String>),
    Unknown,
}

/// Which of the accesses that gave nothing is the one that was used: the first operand of the failing part.
fn undefined_name(error: &Error, compiled: &Compiled, root: &Root) -> Named {
    let undefined = root.undefined.lock().unwrap_or_else(PoisonError::into_inner);
    let part = piece_of(error, &compiled.pieces).or(compiled.pieces.first()).and_then(|piece| {
        let range = error.range()?;
        let first = piece.first_offset as usize;
        let (start, end) = (range.start.checked_sub(first)?, range.end.checked_sub(first)?);
        // The name of a filter is no variable.
        let is_filter = piece.source.get(..start)?.trim_end().ends_with('|');
        if is_filter { Some("") } else { piece.source.get(start..end) }
    });
    let part = part.or((compiled.shape == Shape::Expression).then_some(compiled.source)).unwrap_or_default();
    let mut paths = Vec::new();
    if let Ok(expression) = parse_expr(part) {
        operands(&expression, part, &mut paths);
    }
    let begins = |path: &str, noted: &str| path.strip_prefix(noted).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let used = paths.iter().find_map(|path| undefined.iter().rev().find(|noted| begins(path, &noted.path)));
    let is_global = |name: &str| root.scope.environment().globals().any(|(global, _)| global == name);
    let used = used.or_else(|| undefined.iter().rev().find(|noted| noted.cause.is_some() || !is_global(&noted.path)));
    match (used, paths.first()) {
        (Some(Undefined { cause: Some(cause), .. }), _) => Named::Cause(cause.clone()),
        (Some(noted), _) => Named::Path(noted.path.clone(), noted.lacking.clone()),
        (None, Some(path)) => Named::Path((*path).to_owned(), None),
        (None, None) => Named::Unknown,
    }
}

/// Names and accesses in an expression, in the order in which they are evaluated.
fn operands<'s>(expression: &ast::Expr<'_>, source: &'s str, paths: &mut Vec<&'s str>) {
    let arguments = |args: &[ast::CallArg<'_>], paths: &mut Vec<&'s str>| {
        for argument in args {
            match argument {
                ast::CallArg::Pos(value)
                | ast::CallArg::Kwarg(_, value)
                | ast::CallArg::PosSplat(value)
                | ast::CallArg::KwargSplat(value) => {
                    operands(value, source, paths);
                }
            }
        }
    };
    match expression {
        ast::Expr::Var(_) | ast::Expr::GetAttr(_) | ast::Expr::GetItem(_) => {
            let end = expression.span().end_offset;
            paths.extend(source.get(first_offset(expression) as usize..end as usize));
            if let ast::Expr::GetItem(access) = expression {
                operands(&access.subscript_expr, source, paths);
            }
        }
        ast::Expr::Const(_) => {}
        ast::Expr::Slice(slice) => operands(&slice.expr, source, paths),
        ast::Expr::UnaryOp(unary) => operands(&unary.expr, source, paths),
        ast::Expr::BinOp(binary) => {
            operands(&binary.left, source, paths);
            operands(&binary.right, source, paths);
        }
        ast::Expr::Compare(compare) => {
            operands(&compare.expr, source, paths);
            compare.ops.iter().for_each(|part| operands(&part.expr, source, paths));
        }
        ast::Expr::IfExpr(choice) => {
            operands(&choice.test_expr, source, paths);
            operands(&choice.true_expr, source, paths);
            choice.false_expr.iter().for_each(|part| operands(part, source, paths));
        }
        ast::Expr::Filter(filter) => {
            filter.expr.iter().for_each(|part| operands(part, source, paths));
            arguments(&filter.args, paths);
        }
        ast::Expr::Test(test) => {
            operands(&test.expr, source, paths);
            arguments(&test.args, paths);
        }
        ast::Expr::Call(call) => {
            if let ast::Expr::GetAttr(method) = &call.expr {
                operands(&method.expr, source, paths);
            }
            arguments(&call.args, paths);
        }
        ast::Expr::List(list) => list.items.iter().for_each(|item| operands(item, source, paths)),
        ast::Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| operands(item, source, paths)),
        ast::Expr::Map(map) => map.values.iter().for_each(|value| operands(value, source, paths)),
    }
}

fn first_offset(expression: &ast::Expr<'_>) -> u32 {
    let own = expression.span().start_offset;
    match expression {
        ast::Expr::GetAttr(access) => own.min(first_offset(&access.expr)),
        ast::Expr::GetItem(access) => own.min(first_offset(&access.expr)),
        _ => own,
    }
}
