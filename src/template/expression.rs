//! Expressions and templated text: compiled once, evaluated in many scopes.

use crate::{Node, Place, Problem, Scope, Value};

/// A Jinja expression without braces, as in `until`, `loop_control` or `that`.
#[derive(Clone, Debug)]
pub struct Expression {}

impl Expression {
    /// Compiles an expression; strings in it have Ansible's doubled backslashes.
    ///
    /// # Errors
    /// When it is no expression; the problem has its place.
    pub fn parse(_source: &str, _place: &Place) -> Result<Self, Problem> {
        todo!()
    }

    /// The value in a scope, natively typed, lazily nested values not forced. Undefined is an error.
    ///
    /// # Errors
    /// With the expression's place and the name of what is undefined.
    pub fn evaluate(&self, _scope: &Scope) -> Result<Value, Problem> {
        todo!()
    }

    /// The expression as written.
    #[must_use]
    pub fn source(&self) -> &str {
        todo!()
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        todo!()
    }

    /// Variables that it names and does not define itself, for static checks.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        todo!()
    }
}

/// Text with `{{ }}` or `{% %}` in it. A single `{{ expression }}` keeps its type; everything else is text.
#[derive(Clone, Debug)]
pub struct Text {}

impl Text {
    /// True when the text holds template syntax at all.
    #[must_use]
    pub fn is_template(_source: &str) -> bool {
        todo!()
    }

    /// Compiles a text.
    ///
    /// # Errors
    /// When the template is malformed; the problem has its place.
    pub fn parse(_source: &str, _place: &Place) -> Result<Self, Problem> {
        todo!()
    }

    /// Its value in a scope, natively typed.
    ///
    /// # Errors
    /// With place and the name of what is undefined.
    pub fn evaluate(&self, _scope: &Scope) -> Result<Value, Problem> {
        todo!()
    }

    /// The text as written.
    #[must_use]
    pub fn source(&self) -> &str {
        todo!()
    }

    /// Variables that it names and does not define itself.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        todo!()
    }
}

/// One condition: `when`, `changed_when`, `failed_when`, `until`, `that`.
#[derive(Clone, Debug)]
pub enum Condition {
    /// `true` or `false` as written.
    Always(bool),
    /// An expression whose truth counts.
    Expression(Expression),
    /// Text with braces that gives an expression or a boolean.
    Text(Text),
}

impl Condition {
    /// Reads a condition; a list is for the caller.
    ///
    /// # Errors
    /// When it is a mapping or list, or does not compile.
    pub fn read(_node: &Node) -> Result<Self, Problem> {
        todo!()
    }

    /// Whether it holds. Values that are not boolean count by their truth.
    ///
    /// # Errors
    /// With place and the name of what is undefined.
    pub fn holds(&self, _scope: &Scope) -> Result<bool, Problem> {
        todo!()
    }

    /// As written, for reporting which condition was false.
    #[must_use]
    pub fn source(&self) -> String {
        todo!()
    }

    /// Variables that it names.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        todo!()
    }
}
