//! The walk over the tree of a source.

use std::collections::BTreeSet;

use minijinja::machinery::ast;

use super::{Inspection, Use, UseKind, original};
use crate::Value;
use crate::scope::is_global;

/// A walk over a tree.
#[derive(Default)]
pub(super) struct Reading {
    uses: Vec<Use>,
    tested: BTreeSet<String>,
    stored: BTreeSet<String>,
    branches: usize,
}

impl Reading {
    pub(super) fn finish(mut self, source: &str, doubled: &str, skipped: usize) -> Inspection {
        let own = ["self", "loop", "super", "caller", "varargs", "kwargs"];
        let stored = &self.stored;
        self.uses.retain(|found| match found.kind {
            UseKind::Name => !own.contains(&found.name.as_str()) && !stored.contains(&found.name) && !is_global(&found.name),
            UseKind::Function => !own.contains(&found.name.as_str()) && !stored.contains(&found.name),
            _ => true,
        });
        for found in &mut self.uses {
            found.offset = original(source, doubled, found.offset) + skipped;
        }
        Inspection { uses: self.uses, tested: self.tested }
    }

    fn note(&mut self, kind: UseKind, name: &str, offset: u32) {
        self.uses.push(Use { kind, name: name.to_owned(), offset: offset as usize, conditional: self.branches > 0 });
    }

    fn in_branch(&mut self, walk: impl FnOnce(&mut Self)) {
        self.branches += 1;
        walk(self);
        self.branches -= 1;
    }

    fn store(&mut self, target: &ast::Expr<'_>) {
        match target {
            ast::Expr::Var(variable) => drop(self.stored.insert(variable.id.to_owned())),
            ast::Expr::List(list) => list.items.iter().for_each(|item| self.store(item)),
            ast::Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.store(item)),
            other => self.expression(other),
        }
    }

    fn body(&mut self, statements: &[ast::Stmt<'_>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    pub(super) fn statement(&mut self, statement: &ast::Stmt<'_>) {
        use ast::Stmt;
        match statement {
            Stmt::Template(template) => self.body(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
            Stmt::ForLoop(each) => {
                self.store(&each.target);
                self.expression(&each.iter);
                self.in_branch(|walk| {
                    each.filter_expr.iter().for_each(|filter| walk.expression(filter));
                    walk.body(&each.body);
                    walk.body(&each.else_body);
                });
            }
            Stmt::IfCond(choice) => {
                self.expression(&choice.expr);
                self.in_branch(|walk| {
                    walk.body(&choice.true_body);
                    walk.body(&choice.false_body);
                });
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    self.store(target);
                    self.expression(value);
                }
                self.body(&with.body);
            }
            Stmt::Set(set) => {
                self.store(&set.target);
                self.expression(&set.expr);
            }
            Stmt::SetBlock(set) => {
                self.store(&set.target);
                set.filter.iter().for_each(|filter| self.expression(filter));
                self.body(&set.body);
            }
            Stmt::AutoEscape(escape) => self.body(&escape.body),
            Stmt::FilterBlock(filter) => {
                self.expression(&filter.filter);
                self.body(&filter.body);
            }
            Stmt::Block(block) => self.body(&block.body),
            Stmt::Import(import) => {
                self.store(&import.name);
                self.file(&import.expr, UseKind::File);
            }
            Stmt::FromImport(import) => {
                import.names.iter().for_each(|(name, alias)| self.store(alias.as_ref().unwrap_or(name)));
                self.file(&import.expr, UseKind::File);
            }
            Stmt::Extends(extends) => self.file(&extends.name, UseKind::File),
            Stmt::Include(include) => {
                self.file(&include.name, if include.ignore_missing { UseKind::OptionalFile } else { UseKind::File });
            }
            Stmt::Macro(declared) => self.declared(declared),
            Stmt::CallBlock(call) => {
                self.call(&call.call.expr, &call.call.args);
                self.declared(&call.macro_decl);
            }
            Stmt::Do(call) => self.call(&call.call.expr, &call.call.args),
        }
    }

    fn declared(&mut self, declared: &ast::Macro<'_>) {
        self.stored.insert(declared.name.to_owned());
        declared.args.iter().for_each(|argument| self.store(argument));
        self.in_branch(|walk| {
            declared.defaults.iter().for_each(|value| walk.expression(value));
            walk.body(&declared.body);
        });
    }

    fn file(&mut self, name: &ast::Expr<'_>, kind: UseKind) {
        match name.as_const() {
            Some(value) => {
                if let Some(file) = value.as_str() {
                    self.note(kind, file, name.span().start_offset);
                }
            }
            None => self.expression(name),
        }
    }

    fn arguments(&mut self, arguments: &[ast::CallArg<'_>]) {
        for argument in arguments {
            match argument {
                ast::CallArg::Pos(value)
                | ast::CallArg::Kwarg(_, value)
                | ast::CallArg::PosSplat(value)
                | ast::CallArg::KwargSplat(value) => self.expression(value),
            }
        }
    }

    fn call(&mut self, function: &ast::Expr<'_>, arguments: &[ast::CallArg<'_>]) {
        match function {
            ast::Expr::Var(name) => {
                self.note(UseKind::Function, name.id, name.span().start_offset);
                if ["lookup", "query", "q"].contains(&name.id) {
                    self.named_by(arguments, 0, UseKind::Lookup);
                }
            }
            ast::Expr::GetAttr(method) => self.expression(&method.expr),
            other => self.expression(other),
        }
        self.arguments(arguments);
    }

    /// A plugin that an argument names.
    fn named_by(&mut self, arguments: &[ast::CallArg<'_>], index: usize, kind: UseKind) {
        if let Some(ast::CallArg::Pos(argument)) = arguments.get(index)
            && let Some(name) = argument.as_const().as_ref().and_then(Value::as_str)
        {
            // The quote stands before the name.
            self.note(kind, name, argument.span().start_offset + 1);
        }
    }

    /// The variable at the root of `a.b[0]`, which asking about the whole does not need.
    fn ask(&mut self, expression: &ast::Expr<'_>) {
        match expression {
            ast::Expr::Var(variable) => drop(self.tested.insert(variable.id.to_owned())),
            ast::Expr::GetAttr(access) => self.ask(&access.expr),
            ast::Expr::GetItem(access) => {
                self.ask(&access.expr);
                self.expression(&access.subscript_expr);
            }
            ast::Expr::Filter(filter) => {
                filter.expr.iter().for_each(|inner| self.ask(inner));
                self.expression(expression);
            }
            ast::Expr::Call(call) => {
                if let ast::Expr::GetAttr(method) = &call.expr {
                    self.ask(&method.expr);
                }
                self.expression(expression);
            }
            other => self.expression(other),
        }
    }

    pub(super) fn expression(&mut self, expression: &ast::Expr<'_>) {
        use ast::Expr;
        match expression {
            Expr::Var(variable) => self.note(UseKind::Name, variable.id, variable.span().start_offset),
            Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                [&slice.start, &slice.stop, &slice.step].into_iter().flatten().for_each(|part| self.expression(part));
            }
            Expr::UnaryOp(unary) => self.expression(&unary.expr),
            Expr::BinOp(binary) => {
                self.expression(&binary.left);
                match binary.op {
                    ast::BinOpKind::ScAnd | ast::BinOpKind::ScOr => self.in_branch(|walk| walk.expression(&binary.right)),
                    _ => self.expression(&binary.right),
                }
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                compare.ops.iter().for_each(|part| self.expression(&part.expr));
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr);
                self.in_branch(|walk| {
                    walk.expression(&choice.true_expr);
                    choice.false_expr.iter().for_each(|part| walk.expression(part));
                });
            }
            Expr::Filter(filter) => self.filter(filter, filter.span().start_offset),
            Expr::Test(test) => {
                self.note(UseKind::Test, test.name, test.span().start_offset);
                match ["defined", "undefined"].contains(&test.name) {
                    true => self.ask(&test.expr),
                    false => self.expression(&test.expr),
                }
                self.arguments(&test.args);
            }
            Expr::GetAttr(access) => self.expression(&access.expr),
            Expr::GetItem(access) => {
                self.expression(&access.expr);
                self.expression(&access.subscript_expr);
            }
            Expr::Call(call) => self.call(&call.expr, &call.args),
            Expr::List(list) => list.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(|item| self.expression(item)),
        }
    }

    fn filter(&mut self, filter: &ast::Filter<'_>, offset: u32) {
        self.note(UseKind::Filter, filter.name, offset);
        let short = filter.name.rsplit('.').next().unwrap_or(filter.name);
        match short {
            "map" => self.named_by(&filter.args, 0, UseKind::Filter),
            "select" | "reject" => self.named_by(&filter.args, 0, UseKind::Test),
            "selectattr" | "rejectattr" => self.named_by(&filter.args, 1, UseKind::Test),
            _ => {}
        }
        if let Some(inner) = &filter.expr {
            match ["default", "d", "mandatory", "type_debug"].contains(&short) {
                true => self.ask(inner),
                false => self.expression(inner),
            }
        }
        match ["default", "d"].contains(&short) {
            // What stands in for a missing value is asked for only then.
            true => self.in_branch(|walk| walk.arguments(&filter.args)),
            false => self.arguments(&filter.args),
        }
    }
}
