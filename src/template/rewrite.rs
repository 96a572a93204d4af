//! Instructions of minijinja, changed so that access on something undefined gives undefined, while every other use
//! of it is an error, as Ansible has it; included files become part of the whole.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use minijinja::machinery::{CodeGenerator, Instruction, Instructions, ast, parse};
use minijinja::value::ValueKind;

use crate::Value;
use crate::access::{Attribute, Checked, nothing};
use crate::compile::{Compiled, Includes, Piece, Shape, intern};

/// Filters that take something undefined; all others refuse it.
const TOLERANT_FILTERS: [&str; 4] = ["default", "d", "mandatory", "type_debug"];
/// Tests that take something undefined.
const TOLERANT_TESTS: [&str; 2] = ["defined", "undefined"];
/// Includes deeper than this are left to the run, which has a limit of its own.
const INLINE_DEPTH: usize = 20;

/// Gathers instructions, and what is to be known about them.
pub(crate) struct Rewriter<'r> {
    out: Instructions<'static>,
    length: u32,
    looked_up: BTreeSet<&'static str>,
    stored: BTreeSet<&'static str>,
    has_literals: bool,
    pieces: Vec<Piece>,
    includes: Option<&'r dyn Includes>,
    depth: usize,
    pub(crate) error: Option<minijinja::Error>,
}

/// Methods that change a list or mapping in place.
const CHANGES: [&str; 11] = [
    ".append(",
    ".extend(",
    ".insert(",
    ".pop(",
    ".popitem(",
    ".remove(",
    ".clear(",
    ".sort(",
    ".update(",
    ".setdefault(",
    ".__setitem__(",
];

/// Code that is copied, and what differs in the copy.
struct Origin<'c> {
    code: &'c Instructions<'static>,
    piece: Piece,
    /// Numbers of filters and tests belong to one code only; a copy into another one does without.
    keep_local_ids: bool,
}

/// How filters and tests differ.
struct Plugin {
    make: fn(&'static str, Option<u16>, u8) -> Instruction<'static>,
    /// The filter that checks several arguments, then calls the plugin.
    checked: &'static str,
    tolerant: bool,
}

impl<'r> Rewriter<'r> {
    pub(crate) fn new(name: &'static str, source: &'static str, includes: Option<&'r dyn Includes>) -> Self {
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

    pub(crate) fn finish(
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

    pub(crate) fn expression(&mut self, source: &'static str, expression: &ast::Expr<'static>) {
        let mut generator = CodeGenerator::new("", source);
        generator.compile_expr(expression);
        let (code, _) = generator.finish();
        let piece = self.pieces[0].clone();
        self.append(&Origin { code: &code, piece, keep_local_ids: true });
    }

    pub(crate) fn template(
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
        let changes = CHANGES.iter().any(|method| origin.piece.source.contains(method));
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
            if changes && is_assignment(origin.code, index) {
                self.push(origin, index, Instruction::CallFunction("__own__", Some(1)));
            }
            let plain = !targets.contains(&index) && is_scalar(origin.code, index);
            match instruction {
                _ if included => {}
                // What is compared with a literal is compared at once.
                Instruction::Eq | Instruction::Ne if plain => self.push(origin, index, instruction.clone()),
                _ => self.rewrite(origin, index, instruction),
            }
            if changes {
                if let Some(maker) = maker(instruction) {
                    self.push(origin, index, Instruction::CallFunction(maker, Some(1)));
                }
            } else if let Some(maker) = stored_literal(origin.code, index).filter(|_| !targets.contains(&(index + 1))) {
                self.push(origin, index, Instruction::CallFunction(maker, Some(1)));
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
            Instruction::StringConcat => self.push(origin, index, Instruction::ApplyFilter("__concat__", Some(2), !0)),
            Instruction::Eq => self.push(origin, index, Instruction::ApplyFilter("__eq__", Some(2), !0)),
            Instruction::Ne => self.push(origin, index, Instruction::ApplyFilter("__ne__", Some(2), !0)),
            Instruction::CompareAndPreserve(_) => {
                self.push(origin, index, Instruction::ApplyFilter("__bounded__", Some(1), !0));
                self.push(origin, index, instruction.clone());
            }
            Instruction::Gt => self.push(origin, index, Instruction::ApplyFilter("__gt__", Some(2), !0)),
            Instruction::Gte => self.push(origin, index, Instruction::ApplyFilter("__ge__", Some(2), !0)),
            Instruction::Lt => self.push(origin, index, Instruction::ApplyFilter("__lt__", Some(2), !0)),
            Instruction::Lte => self.push(origin, index, Instruction::ApplyFilter("__le__", Some(2), !0)),
            Instruction::In => self.push(origin, index, Instruction::ApplyFilter("__in__", Some(2), !0)),
            Instruction::Sub => self.push(origin, index, Instruction::ApplyFilter("__sub__", Some(2), !0)),
            Instruction::Rem => self.push(origin, index, Instruction::CallFunction("__mod__", Some(2))),
            Instruction::ApplyFilter(name, count, id) => {
                let plugin = Plugin { make: Instruction::ApplyFilter, checked: "__filter__", tolerant: TOLERANT_FILTERS.contains(name) };
                self.call_plugin(origin, index, &plugin, (name, *count, *id));
            }
            Instruction::PerformTest(name, count, id) => {
                let plugin = Plugin { make: Instruction::PerformTest, checked: "__test__", tolerant: TOLERANT_TESTS.contains(name) };
                self.call_plugin(origin, index, &plugin, (name, *count, *id));
            }
            // An inline `if` without `else` gives something that writes as nothing and is false.
            Instruction::LoadConst(value) if value.is_undefined() => {
                self.push(origin, index, Instruction::LoadConst(nothing()));
            }
            other => {
                if matches!(other, Instruction::BuildList(_) | Instruction::BuildMap(_) | Instruction::BuildTuple(_)) {
                    self.has_literals = true;
                }
                self.push(origin, index, other.clone());
            }
        }
    }

    /// Calls a filter or a test; undefined arguments are errors unless it can bear them.
    fn call_plugin(&mut self, origin: &Origin<'_>, index: u32, plugin: &Plugin, (name, count, id): (&'static str, Option<u16>, u8)) {
        let id = if origin.keep_local_ids { id } else { !0 };
        match count {
            Some(1) if !plugin.tolerant => {
                self.call_with_top(origin, index, Value::from_object(Checked));
                self.push(origin, index, (plugin.make)(name, Some(1), id));
            }
            Some(count) if !plugin.tolerant => {
                self.push(origin, index, Instruction::LoadConst(Value::from(name)));
                self.push(origin, index, Instruction::ApplyFilter(plugin.checked, Some(count + 1), !0));
            }
            count => self.push(origin, index, (plugin.make)(name, count, id)),
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
        let (file, source) = (intern(&path.to_string_lossy()), intern(&crate::backslash::in_file(&text)));
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

/// The function that makes a literal changeable: `{% set l = [] %}` is followed by `l.append(x)`.
fn stored_literal(code: &Instructions<'static>, index: u32) -> Option<&'static str> {
    if !matches!(code.get(index + 1), Some(Instruction::StoreLocal(_))) {
        return None;
    }
    maker(code.get(index)?)
}

/// True where the instruction before loads a literal that has no parts.
fn is_scalar(code: &Instructions<'static>, index: u32) -> bool {
    let before = index.checked_sub(1).and_then(|before| code.get(before));
    matches!(before, Some(Instruction::LoadConst(value)) if value.as_object().is_none() && !value.is_undefined())
}

/// What makes the list or mapping of an instruction changeable, and those in it.
fn maker(instruction: &Instruction<'static>) -> Option<&'static str> {
    match instruction {
        Instruction::BuildList(_) => Some("__list__"),
        Instruction::BuildMap(_) => Some("__dict__"),
        Instruction::LoadConst(value) if matches!(value.kind(), ValueKind::Seq | ValueKind::Map) => Some("__own__"),
        _ => None,
    }
}

/// True for `{% set x = .. %}`, false for the variables of loops: their values belong to what is looped over.
fn is_assignment(code: &Instructions<'static>, index: u32) -> bool {
    let before = index.checked_sub(1).and_then(|before| code.get(before));
    matches!(code.get(index), Some(Instruction::StoreLocal(_)))
        && !matches!(before, Some(Instruction::Iterate(_) | Instruction::UnpackList(_) | Instruction::StoreLocal(_)))
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
