//! Expressions and templated text: compiled once, evaluated in many scopes.

use std::sync::Arc;

use minijinja::value::ValueKind;

use crate::builtins::type_name;
use crate::compile::{Compiled, Shape, compile};
use crate::evaluate::{run, syntax_problem};
use crate::{Node, NodeKind, Place, Problem, Scope, Value, Vault};

/// A Jinja expression without braces, as in `until`, `loop_control` or `that`.
#[derive(Clone, Debug)]
pub struct Expression {
    source: Arc<str>,
    place: Place,
    compiled: Arc<Compiled>,
}

impl Expression {
    /// Compiles an expression; strings in it have Ansible's doubled backslashes.
    ///
    /// # Errors
    /// When it is no expression; the problem has its place.
    pub fn parse(source: &str, place: &Place) -> Result<Self, Problem> {
        let compiled = compile(source.trim_end(), Shape::Expression).map_err(|error| syntax_problem(&error, source, place))?;
        Ok(Self { source: source.into(), place: place.clone(), compiled })
    }

    /// Compiles an expression that a value gave; one that is unsafe is refused.
    ///
    /// # Errors
    /// As [`Self::parse_rendered`].
    pub fn parse_given(value: &Value, place: &Place) -> Result<Self, Problem> {
        if is_unsafe(value) { Err(untrusted(place)) } else { Self::parse_rendered(&value.to_string(), place) }
    }

    /// Compiles an expression that a template gave. What it was made of may have come from a host, so that it may not look anything up.
    ///
    /// # Errors
    /// When it is no expression, or calls a lookup; the problem has its place.
    pub fn parse_rendered(source: &str, place: &Place) -> Result<Self, Problem> {
        let parsed = Self::parse(source, place)?;
        if parsed.compiled.names.iter().any(|name| ["lookup", "query", "q"].contains(&&**name)) {
            return Err(untrusted(place));
        }
        Ok(parsed)
    }

    /// The value in a scope, natively typed, lazily nested values not forced. Undefined is an error.
    ///
    /// # Errors
    /// With the expression's place and the name of what is undefined.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, Problem> {
        evaluate(&self.compiled, scope, &self.place)
    }

    /// The expression as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Variables that it names and does not define itself, for static checks.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        variables(&self.compiled)
    }
}

/// True for text that may not become an expression: it was written as `!unsafe`.
#[must_use]
pub fn is_unsafe(value: &Value) -> bool {
    value.is_safe()
}

fn untrusted(place: &Place) -> Problem {
    let problem = Problem::new("Encountered untrusted template or expression.").at(place);
    problem
        .with_hint("an expression that a template gives may call no lookup, and is no text that a template writes: say it without braces")
}

fn evaluate(compiled: &Compiled, scope: &Scope, place: &Place) -> Result<Value, Problem> {
    if let Some(name) = compiled.variable
        && !compiled.source.ends_with('\n')
        && let Some(value) = scope.get(name).map_err(|problem| problem.at(place))?
    {
        return Ok(value);
    }
    run(compiled, scope, place)
}

fn variables(compiled: &Compiled) -> Vec<String> {
    compiled.names.iter().filter(|name| !crate::scope::is_global(name)).map(|name| (*name).to_owned()).collect()
}

/// Text with `{{ }}` or `{% %}` in it. A single `{{ expression }}` keeps its type; everything else is text.
#[derive(Clone, Debug)]
pub struct Text {
    source: Arc<str>,
    place: Place,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Plain,
    Template(Arc<Compiled>),
    /// Encrypted; opened each time it is used, so that what it holds is not kept.
    Sealed(Arc<Vault>),
}

impl Text {
    /// True when the text holds template syntax at all.
    #[must_use]
    pub fn is_template(source: &str) -> bool {
        source.match_indices('{').any(|(at, _)| matches!(source.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')))
    }

    /// Compiles a text.
    ///
    /// # Errors
    /// When the template is malformed; the problem has its place.
    pub fn parse(source: &str, place: &Place) -> Result<Self, Problem> {
        let content = if Self::is_template(source) {
            Content::Template(compile(source, Shape::Template).map_err(|error| syntax_problem(&error, source, place))?)
        } else {
            Content::Plain
        };
        Ok(Self { source: source.into(), place: place.clone(), content })
    }

    /// Text that an expression cannot see before it is opened.
    pub(crate) fn sealed(source: &str, place: &Place, vault: &Arc<Vault>) -> Self {
        Self { source: source.into(), place: place.clone(), content: Content::Sealed(vault.clone()) }
    }

    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.content, Content::Sealed(_))
    }

    /// Its value in a scope, natively typed.
    ///
    /// # Errors
    /// With place and the name of what is undefined.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, Problem> {
        match &self.content {
            Content::Plain => Ok(Value::from(self.source.clone())),
            Content::Template(compiled) => evaluate(compiled, scope, &self.place),
            Content::Sealed(vault) => {
                let secret = vault.open(&self.source).map_err(|problem| problem.at(&self.place))?;
                if Self::is_template(secret.reveal()) {
                    return Self::parse(secret.reveal(), &self.place)?.evaluate(scope);
                }
                Ok(Value::from(secret.reveal()))
            }
        }
    }

    /// The text as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Variables that it names and does not define itself.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        match &self.content {
            Content::Template(compiled) => variables(compiled),
            Content::Plain | Content::Sealed(_) => Vec::new(),
        }
    }

    /// True for one expression that names no variable.
    fn is_constant(&self) -> bool {
        matches!(&self.content, Content::Template(compiled) if compiled.shape == Shape::Expression && compiled.names.is_empty())
    }

    /// True when it may give the sentinel that makes an argument absent.
    pub(crate) fn may_omit(&self) -> bool {
        match &self.content {
            // A variable of its own may hold the sentinel, too.
            Content::Template(compiled) => compiled.shape == Shape::Expression && !compiled.names.is_empty(),
            Content::Plain | Content::Sealed(_) => false,
        }
    }
}

/// What a condition came to.
fn outcome(value: &Value, scope: &Scope, place: &Place) -> Result<bool, Problem> {
    if value.kind() == ValueKind::Bool || scope.allows_broken_conditions() {
        return Ok(value.is_true());
    }
    let truth = if value.is_true() { "True" } else { "False" };
    let kind = type_name(value);
    Err(broken(
        &format!("Conditional result ({truth}) was derived from value of type '{kind}'. Conditionals must have a boolean result."),
        place,
    ))
}

fn broken(message: &str, place: &Place) -> Problem {
    let hint =
        "say what is asked, as with '| length > 0', '| bool' or 'is truthy'; ALLOW_BROKEN_CONDITIONALS has the truth of a value count";
    Problem::new(message).at(place).with_hint(hint)
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
    /// Text that may not be evaluated.
    Unsafe(Arc<str>, Place),
    /// Nothing at all, or a value that is neither text nor true or false.
    Broken(Value, Place),
}

impl Condition {
    /// Reads a condition; a list is for the caller.
    ///
    /// # Errors
    /// When it is a mapping or list, or does not compile.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let NodeKind::Scalar { text, value } = &node.kind else {
            return Err(node
                .problem(format!("a condition is an expression, not {}", node.kind_name()))
                .with_hint("a condition that begins with '{{' must be quoted; conditions need no braces at all"));
        };
        if value.as_str().is_some_and(|text| text.trim().is_empty()) {
            return Ok(Self::Broken(Value::from(()), node.place.clone()));
        }
        if value.kind() == ValueKind::Bool {
            return Ok(Self::Always(value.is_true()));
        }
        if value.as_str().is_none() {
            return Ok(Self::Broken(value.clone(), node.place.clone()));
        }
        if node.tag.as_deref() == Some("!unsafe") || is_unsafe(value) {
            return Ok(Self::Unsafe(text.as_str().into(), node.place.clone()));
        }
        if Text::is_template(text) {
            return Text::parse(text, &node.place).map(Self::Text);
        }
        Expression::parse(text, &node.place).map(Self::Expression)
    }

    /// Whether it holds. Values that are not boolean are refused, or count by their truth where the language allows that.
    ///
    /// # Errors
    /// With place and the name of what is undefined, or the type of what is not boolean.
    pub fn holds(&self, scope: &Scope) -> Result<bool, Problem> {
        match self {
            Self::Always(holds) => Ok(*holds),
            Self::Unsafe(_, place) => Err(untrusted(place)),
            Self::Broken(value, _) if scope.allows_broken_conditions() => Ok(value.is_none() || value.is_true()),
            Self::Broken(value, place) if value.is_none() => Err(broken("Empty conditional expressions are not allowed.", place)),
            Self::Broken(_, place) => Err(broken("Conditional expressions must be strings.", place)),
            Self::Expression(expression) => outcome(&expression.evaluate(scope)?, scope, expression.place()),
            Self::Text(text) => {
                let value = text.evaluate(scope)?;
                match value.as_str() {
                    Some(_) if text.is_constant() || is_unsafe(&value) => Err(untrusted(text.place())),
                    Some(written) if !written.trim().is_empty() => {
                        outcome(&Expression::parse_rendered(written, text.place())?.evaluate(scope)?, scope, text.place())
                    }
                    None if !value.is_none() => outcome(&value, scope, text.place()),
                    _ => Self::Broken(Value::from(()), text.place().clone()).holds(scope),
                }
            }
        }
    }

    /// As written, for reporting which condition was false.
    #[must_use]
    pub fn source(&self) -> String {
        match self {
            Self::Always(holds) => holds.to_string(),
            Self::Expression(expression) => expression.source().to_owned(),
            Self::Text(text) => text.source().to_owned(),
            Self::Unsafe(text, _) => text.to_string(),
            Self::Broken(value, _) => value.to_string(),
        }
    }

    /// Variables that it names.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        match self {
            Self::Always(_) | Self::Unsafe(..) | Self::Broken(..) => Vec::new(),
            Self::Expression(expression) => expression.variables(),
            Self::Text(text) => text.variables(),
        }
    }
}
