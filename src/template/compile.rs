//! From source to instructions of minijinja, changed so that access on something undefined gives undefined, while
//! every other use of it is an error, as Ansible has it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::machinery::{CodeGenerator, Instruction, Instructions, ast, parse, parse_expr};
use minijinja::syntax::SyntaxConfig;

use crate::Value;
use crate::access::{Attribute, Checked};

/// Filters that take something undefined; all others refuse it.
const TOLERANT_FILTERS: [&str; 4] = ["default", "d", "mandatory", "type_debug"];
/// Tests that take something undefined.
const TOLERANT_TESTS: [&str; 2] = ["defined", "undefined"];
/// Includes deeper than this are left to the run, which has a limit of its own.
const INLINE_DEPTH: usize = 20;

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
    /// The source that was compiled: strings' backslashes already doubled.
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

/// Compiles text of a YAML file: strings in its expressions have their backslashes doubled.
pub(crate) fn compile(source: &str, shape: Shape) -> Result<Arc<Compiled>, minijinja::Error> {
    static CACHE: LazyLock<Cache> = LazyLock::new(Mutex::default);
    let source = intern(&double_backslashes(source, shape));
    if let Some(known) = CACHE.lock().unwrap_or_else(PoisonError::into_inner).get(&(source, shape)) {
        return Ok(known.clone());
    }
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
    let (name, source) = (intern(name), intern(source));
    let tree = parse(source, name, includes.syntax().clone())?;
    let mut rewriter = Rewriter::new(name, source, Some(includes));
    let blocks = rewriter.template(name, source, &tree);
    if let Some(error) = rewriter.error.take() {
        return Err(error);
    }
    Ok(rewriter.finish(source, Shape::Template, blocks, None))
}

/// Texts of playbooks keep their trailing newline and know no `trim_blocks`.
fn text_syntax() -> SyntaxConfig {
    static SYNTAX: LazyLock<Option<SyntaxConfig>> =
        LazyLock::new(|| SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).build().ok());
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

struct Rewriter<'r> {
    out: Instructions<'static>,
    length: u32,
    looked_up: BTreeSet<&'static str>,
    stored: BTreeSet<&'static str>,
    has_literals: bool,
    pieces: Vec<Piece>,
    includes: Option<&'r dyn Includes>,
    depth: usize,
    error: Option<minijinja::Error>,
}

/// Code that is copied, and what differs in the copy.
struct Origin<'c> {
    code: &'c Instructions<'static>,
    piece: Piece,
    /// Numbers of filters and tests belong to one code only; a copy into another one does without.
    keep_local_ids: bool,
}

impl<'r> Rewriter<'r> {
    fn new(name: &'static str, source: &'static str, includes: Option<&'r dyn Includes>) -> Self {
        Self {
            out: Instructions::new(name, source),
            length: 0,
            looked_up: BTreeSet::new(),
            stored: BTreeSet::new(),
            has_literals: false,
            pieces: vec![Piece { name, source, first_line: 0, first_offset: 0 }],
            includes,
            depth: 0,
            error: None,
        }
    }

    fn finish(
        self,
        source: &'static str,
        shape: Shape,
        blocks: BTreeMap<&'static str, Instructions<'static>>,
        variable: Option<&'static str>,
    ) -> Compiled {
        let own = ["self", "loop", "super", "caller", "varargs", "kwargs"];
        let names = self.looked_up.difference(&self.stored).filter(|name| !own.contains(name)).copied().collect();
        Compiled { source, shape, instructions: self.out, blocks, names, variable, has_literals: self.has_literals, pieces: self.pieces }
    }

    fn expression(&mut self, source: &'static str, expression: &ast::Expr<'static>) {
        let mut generator = CodeGenerator::new("", source);
        generator.compile_expr(expression);
        let (code, _) = generator.finish();
        let piece = self.pieces[0].clone();
        self.append(&Origin { code: &code, piece, keep_local_ids: true });
    }

    fn template(
        &mut self,
        name: &'static str,
        source: &'static str,
        tree: &ast::Stmt<'static>,
    ) -> BTreeMap<&'static str, Instructions<'static>> {
        let mut generator = CodeGenerator::new(name, source);
        generator.compile_stmt(tree);
        let (code, blocks) = generator.finish();
        let piece = self.pieces[0].clone();
        self.append(&Origin { code: &code, piece: piece.clone(), keep_local_ids: true });
        let mut rewritten = BTreeMap::new();
        for (block, code) in blocks {
            let outer = (std::mem::replace(&mut self.out, Instructions::new(name, source)), std::mem::replace(&mut self.length, 0));
            self.append(&Origin { code: &code, piece: piece.clone(), keep_local_ids: true });
            rewritten.insert(block, std::mem::replace(&mut self.out, outer.0));
            self.length = outer.1;
        }
        rewritten
    }

    fn append(&mut self, origin: &Origin<'_>) {
        let targets = jump_targets(origin.code);
        let mut moved: Vec<u32> = Vec::new();
        let mut jumps: Vec<u32> = Vec::new();
        let mut index = 0;
        while let Some(instruction) = origin.code.get(index) {
            moved.push(self.length);
            self.note_names(instruction);
            if target(instruction).is_some() {
                jumps.push(self.length);
            }
            let included = match instruction {
                Instruction::Include(ignore_missing) if !targets.contains(&index) => self.include(origin, index, *ignore_missing),
                _ => false,
            };
            if !included {
                self.rewrite(origin, index, instruction);
            }
            index += 1;
        }
        moved.push(self.length);
        for jump in jumps {
            if let Some(instruction) = self.out.get_mut(jump)
                && let Some(target) = target_mut(instruction)
                && let Some(new) = moved.get(*target as usize)
            {
                *target = *new;
            }
        }
    }

    fn rewrite(&mut self, origin: &Origin<'_>, index: u32, instruction: &Instruction<'static>) {
        match instruction {
            Instruction::GetAttr(name) => {
                let attribute = Attribute::new(name, self.text_of(origin, index));
                self.call_with_top(origin, index, Value::from_object(attribute));
            }
            Instruction::GetItem => {
                let path = self.text_of(origin, index);
                self.push(origin, index, Instruction::LoadConst(Value::from(path)));
                self.push(origin, index, Instruction::ApplyFilter("__item__", Some(3), !0));
            }
            Instruction::Rem => self.push(origin, index, Instruction::CallFunction("__mod__", Some(2))),
            Instruction::ApplyFilter(name, count, id) => {
                let id = if origin.keep_local_ids { *id } else { !0 };
                match count {
                    Some(1) if !TOLERANT_FILTERS.contains(name) => {
                        self.call_with_top(origin, index, Value::from_object(Checked));
                        self.push(origin, index, Instruction::ApplyFilter(name, Some(1), id));
                    }
                    Some(count) if !TOLERANT_FILTERS.contains(name) => {
                        self.push(origin, index, Instruction::LoadConst(Value::from(*name)));
                        self.push(origin, index, Instruction::ApplyFilter("__filter__", Some(count + 1), !0));
                    }
                    count => self.push(origin, index, Instruction::ApplyFilter(name, *count, id)),
                }
            }
            Instruction::PerformTest(name, count, id) => {
                let id = if origin.keep_local_ids { *id } else { !0 };
                match count {
                    Some(1) if !TOLERANT_TESTS.contains(name) => {
                        self.call_with_top(origin, index, Value::from_object(Checked));
                        self.push(origin, index, Instruction::PerformTest(name, Some(1), id));
                    }
                    Some(count) if !TOLERANT_TESTS.contains(name) => {
                        self.push(origin, index, Instruction::LoadConst(Value::from(*name)));
                        self.push(origin, index, Instruction::ApplyFilter("__test__", Some(count + 1), !0));
                    }
                    count => self.push(origin, index, Instruction::PerformTest(name, *count, id)),
                }
            }
            // An inline `if` without `else` gives a silent undefined in minijinja, a loud one in Ansible.
            Instruction::LoadConst(value) if value.is_undefined() => {
                self.push(origin, index, Instruction::LoadConst(Value::UNDEFINED));
            }
            other => {
                if matches!(other, Instruction::BuildList(_) | Instruction::BuildMap(_) | Instruction::BuildTuple(_)) {
                    self.has_literals = true;
                }
                self.push(origin, index, other.clone());
            }
        }
    }

    /// Calls a function with what is on top of the stack.
    fn call_with_top(&mut self, origin: &Origin<'_>, index: u32, function: Value) {
        self.push(origin, index, Instruction::LoadConst(function));
        self.push(origin, index, Instruction::Swap);
        self.push(origin, index, Instruction::CallObject(Some(2)));
    }

    fn push(&mut self, origin: &Origin<'_>, index: u32, instruction: Instruction<'static>) {
        match origin.code.get_span(index) {
            Some(mut span) => {
                span.start_line = span.start_line.saturating_add(origin.piece.first_line);
                span.end_line = span.end_line.saturating_add(origin.piece.first_line);
                span.start_offset = span.start_offset.saturating_add(origin.piece.first_offset);
                span.end_offset = span.end_offset.saturating_add(origin.piece.first_offset);
                self.out.add_with_span(instruction, span);
            }
            None => {
                let line = origin.code.get_line(index).and_then(|line| u16::try_from(line).ok()).unwrap_or(1);
                self.out.add_with_line(instruction, line.saturating_add(origin.piece.first_line));
            }
        }
        self.length += 1;
    }

    fn text_of(&self, origin: &Origin<'_>, index: u32) -> &'static str {
        let Some(span) = origin.code.get_span(index) else { return "" };
        let start = access_start(origin.code, index).min(span.start_offset) as usize;
        origin.piece.source.get(start..span.end_offset as usize).unwrap_or("")
    }

    fn note_names(&mut self, instruction: &Instruction<'static>) {
        match instruction {
            Instruction::Lookup(name) | Instruction::CallFunction(name, _) | Instruction::Enclose(name) => {
                self.looked_up.insert(name);
            }
            Instruction::StoreLocal(name) => {
                self.stored.insert(name);
            }
            _ => {}
        }
    }

    /// Puts the included file's own instructions where the include stands; false leaves it to the run.
    fn include(&mut self, origin: &Origin<'_>, index: u32, ignore_missing: bool) -> bool {
        let Some(includes) = self.includes.filter(|_| self.depth < INLINE_DEPTH) else { return false };
        let Some(Instruction::LoadConst(name)) = index.checked_sub(1).and_then(|before| origin.code.get(before)) else { return false };
        let choices: Vec<String> = match name.as_str() {
            Some(name) => vec![name.to_owned()],
            None => name.try_iter().map(|names| names.filter_map(|name| name.as_str().map(str::to_owned)).collect()).unwrap_or_default(),
        };
        let Some((path, text)) = choices.iter().find_map(|name| includes.find(name, origin.piece.name)) else {
            if ignore_missing {
                self.push(origin, index, Instruction::DiscardTop);
            }
            return ignore_missing;
        };
        let (file, source) = (intern(&path.to_string_lossy()), intern(&text));
        let tree = match parse(source, file, includes.syntax().clone()) {
            Ok(tree) => tree,
            Err(error) => {
                self.error.get_or_insert(error);
                return false;
            }
        };
        let mut generator = CodeGenerator::new(file, source);
        generator.compile_stmt(&tree);
        let (code, blocks) = generator.finish();
        if !blocks.is_empty() || (0..).map_while(|at| code.get(at)).any(|instruction| matches!(instruction, Instruction::LoadBlocks)) {
            return false;
        }
        let last = self.pieces.last().map_or((0, 0), |piece| {
            let lines = u16::try_from(piece.source.lines().count() + 1).unwrap_or(u16::MAX);
            (piece.first_line.saturating_add(lines), piece.first_offset.saturating_add(u32::try_from(piece.source.len() + 1).unwrap_or(0)))
        });
        let piece = Piece { name: file, source, first_line: last.0, first_offset: last.1 };
        self.pieces.push(piece.clone());
        self.push(origin, index, Instruction::DiscardTop);
        self.depth += 1;
        self.append(&Origin { code: &code, piece, keep_local_ids: false });
        self.depth -= 1;
        true
    }
}

/// Where `a` of `a.b[0].c` begins: the span of an access begins at the access before it.
fn access_start(code: &Instructions<'static>, index: u32) -> u32 {
    let own = code.get_span(index).map_or(u32::MAX, |span| span.start_offset);
    let before = |steps: u32| index.checked_sub(steps).map_or(u32::MAX, |index| access_start(code, index));
    match code.get(index) {
        Some(Instruction::Lookup(_)) => own,
        Some(Instruction::GetAttr(_)) => own.min(before(1)),
        Some(Instruction::GetItem) => match index.checked_sub(1).and_then(|index| code.get(index)) {
            Some(Instruction::LoadConst(_)) => own.min(before(2)),
            _ => own,
        },
        _ => u32::MAX,
    }
}

fn target(instruction: &Instruction<'_>) -> Option<u32> {
    match instruction {
        Instruction::Jump(target)
        | Instruction::JumpIfFalse(target)
        | Instruction::JumpIfFalseOrPop(target)
        | Instruction::JumpIfTrueOrPop(target)
        | Instruction::Iterate(target)
        | Instruction::BuildMacro(_, target, _) => Some(*target),
        _ => None,
    }
}

fn target_mut<'i>(instruction: &'i mut Instruction<'_>) -> Option<&'i mut u32> {
    match instruction {
        Instruction::Jump(target)
        | Instruction::JumpIfFalse(target)
        | Instruction::JumpIfFalseOrPop(target)
        | Instruction::JumpIfTrueOrPop(target)
        | Instruction::Iterate(target)
        | Instruction::BuildMacro(_, target, _) => Some(target),
        _ => None,
    }
}

fn jump_targets(code: &Instructions<'static>) -> HashSet<u32> {
    (0..).map_while(|index| code.get(index)).filter_map(target).collect()
}

/// Doubles the backslashes in strings of expressions, so that `'\1'` in YAML means what a regular expression wants.
fn double_backslashes(source: &str, shape: Shape) -> Cow<'_, str> {
    if !source.contains('\\') {
        return Cow::Borrowed(source);
    }
    let mut result = String::with_capacity(source.len() + 8);
    let mut rest = source;
    if shape == Shape::Expression {
        copy_code(&mut result, &mut rest, None);
        return Cow::Owned(result);
    }
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        result.push_str(before);
        rest = after;
        match after.as_bytes().get(1) {
            Some(b'{') => copy_code(&mut result, &mut rest, Some("}}")),
            Some(b'%') => copy_code(&mut result, &mut rest, Some("%}")),
            Some(b'#') => {
                let end = after.find("#}").map_or(after.len(), |end| end + 2);
                result.push_str(&after[..end]);
                rest = &after[end..];
            }
            _ => {
                result.push('{');
                rest = &after[1..];
            }
        }
    }
    result.push_str(rest);
    Cow::Owned(result)
}

fn copy_code(result: &mut String, rest: &mut &str, end: Option<&str>) {
    let mut quote = None;
    let mut characters = rest.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if quote.is_none()
            && let Some(end) = end
            && rest[at..].starts_with(end)
        {
            result.push_str(end);
            *rest = &rest[at + end.len()..];
            return;
        }
        result.push(character);
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (Some(open), '\\') => match characters.peek() {
                // An escaped quote stays one, or the string would end here.
                Some((_, next)) if *next == open => result.extend(characters.next().map(|(_, next)| next)),
                next => {
                    result.push('\\');
                    // `\\` is two backslashes: both are doubled, and the second escapes nothing.
                    if next.is_some_and(|(_, next)| *next == '\\') {
                        characters.next();
                        result.push_str("\\\\");
                    }
                }
            },
            _ => {}
        }
    }
    *rest = "";
}

#[cfg(test)]
mod tests {
    use super::{Shape, double_backslashes};

    #[test]
    fn backslashes_double_in_strings_only() {
        for (source, expect) in [
            (r"a \ {{ x | regex_replace('^\S+', '\1') }} \n", r"a \ {{ x | regex_replace('^\\S+', '\\1') }} \n"),
            (r"{{ 'a\'b' }}", r"{{ 'a\'b' }}"),
            (r"{% if a == '\\' %}\{% endif %}", r"{% if a == '\\\\' %}\{% endif %}"),
            (r"{# '\' #}{{ '\d' }}", r"{# '\' #}{{ '\\d' }}"),
        ] {
            assert_eq!(double_backslashes(source, Shape::Template), expect);
        }
        assert_eq!(double_backslashes(r"x is match('\d')", Shape::Expression), r"x is match('\\d')");
    }
}
