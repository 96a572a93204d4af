//! Values as written: templates in them are compiled but not yet rendered.

use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;

use crate::lazy::LazyMap;
use crate::{Node, NodeKind, Problem, Scope, Text, Value, Vault, is_omit};

/// Variables of one place: a file, a `vars:` block, a host.
pub type Vars = IndexMap<String, Raw>;

/// A value whose templates are not yet rendered. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Raw {
    /// Nothing to render in it.
    Value(Value),
    /// Text with templates, or encrypted text.
    Text(Arc<Text>),
    /// A list of which some part has templates.
    List(Arc<Vec<Raw>>),
    /// A mapping of which some part has templates.
    Map(Arc<Vec<(Raw, Raw)>>),
    /// A value that is made when it is first asked for.
    Late(Arc<Late>),
}

/// A value to come.
pub type Late = LazyLock<Value, Box<dyn FnOnce() -> Value + Send>>;

impl Raw {
    /// Reads a node: `!unsafe` text is never a template, `!vault` text is opened with the vault's passwords
    /// when it is used, not before.
    ///
    /// # Errors
    /// A malformed template, with its place.
    pub fn from_node(node: &Node, vault: &Arc<Vault>) -> Result<Self, Problem> {
        Self::read(node, vault, false)
    }

    fn read(node: &Node, vault: &Arc<Vault>, literal: bool) -> Result<Self, Problem> {
        let literal = literal || node.tag.as_deref() == Some("!unsafe");
        match &node.kind {
            NodeKind::Scalar { text, .. } if node.tag.as_deref() == Some("!vault") => {
                Ok(Self::Text(Arc::new(Text::sealed(text, &node.place, vault))))
            }
            NodeKind::Scalar { text, value } if !literal && value.as_str().is_some() && Text::is_template(text) => {
                Text::parse(text, &node.place).map(|text| Self::Text(Arc::new(text)))
            }
            // The mark of what may not become an expression, whatever it comes through.
            NodeKind::Scalar { value, .. } if literal && value.as_str().is_some() => {
                Ok(Self::Value(Value::from_safe_string(value.to_string())))
            }
            NodeKind::Scalar { value, .. } => Ok(Self::Value(value.clone())),
            NodeKind::Sequence(items) => {
                items.iter().map(|item| Self::read(item, vault, literal)).collect::<Result<Vec<_>, _>>().map(Self::list)
            }
            NodeKind::Mapping(entries) => entries
                .iter()
                .map(|(key, value)| Ok((Self::read(key, vault, literal)?, Self::read(value, vault, literal)?)))
                .collect::<Result<Vec<_>, Problem>>()
                .map(Self::map),
        }
    }

    /// A list; a plain value when nothing in it is to be rendered.
    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        match items.iter().map(Self::plain).collect::<Option<Vec<_>>>() {
            Some(values) => Self::Value(Value::from(values)),
            None => Self::List(Arc::new(items)),
        }
    }

    /// A mapping; a plain value when nothing in it is to be rendered.
    #[must_use]
    pub fn map(entries: Vec<(Self, Self)>) -> Self {
        match entries.iter().map(|(key, value)| Some((key.plain()?, value.plain()?))).collect::<Option<Vec<_>>>() {
            Some(pairs) => Self::Value(Value::from_pairs(pairs)),
            None => Self::Map(Arc::new(entries)),
        }
    }

    /// A value that costs much to make and may not be asked for.
    pub fn late(make: impl FnOnce() -> Value + Send + 'static) -> Self {
        Self::Late(Arc::new(LazyLock::new(Box::new(make))))
    }

    /// The entries of a mapping; `None` for what is none as written.
    pub(crate) fn entries(&self) -> Option<Vec<(Self, Self)>> {
        match self {
            Self::Map(entries) => Some(entries.to_vec()),
            Self::Value(value) if value.kind() == crate::ValueKind::Map => {
                let entry = |key: Value| Some((Self::Value(key.clone()), Self::Value(value.get_item(&key).ok()?)));
                value.try_iter().ok()?.map(entry).collect()
            }
            _ => None,
        }
    }

    /// A mapping with another one over it, key by key and as deep as both have mappings; `None` where one of them is none.
    #[must_use]
    pub fn merged_with(&self, above: &Self) -> Option<Self> {
        let (mut entries, above) = (self.entries()?, above.entries()?);
        for (key, value) in above {
            let written = key.as_written();
            match entries.iter_mut().find(|(known, _)| known.as_written() == written) {
                Some((_, below)) => *below = below.merged_with(&value).unwrap_or(value),
                None => entries.push((key, value)),
            }
        }
        Some(Self::map(entries))
    }

    fn plain(&self) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value.clone()),
            _ => None,
        }
    }

    /// Reads a mapping of variables.
    ///
    /// # Errors
    /// When the node is no mapping, or a name or a template is malformed.
    pub fn vars_from_node(node: &Node, vault: &Arc<Vault>) -> Result<Vars, Problem> {
        if node.is_null() {
            return Ok(Vars::new());
        }
        let entries = node.mapping().ok_or_else(|| node.problem(format!("variables are a mapping, not {}", node.kind_name())))?;
        entries
            .iter()
            .map(|(key, value)| {
                let name = key.scalar_text().ok_or_else(|| key.problem(format!("a variable's name is text, not {}", key.kind_name())))?;
                Ok((name.to_owned(), Self::from_node(value, vault)?))
            })
            .collect()
    }

    /// Text that may hold templates (from INI, `-e key=value`).
    ///
    /// # Errors
    /// A malformed template.
    pub fn from_text(text: &str, place: &crate::Place) -> Result<Self, Problem> {
        if Text::is_template(text) {
            return Text::parse(text, place).map(|text| Self::Text(Arc::new(text)));
        }
        Ok(Self::Value(Value::from(text)))
    }

    /// The value in a scope, everything in it rendered; keys whose value is `omit` are left out.
    ///
    /// # Errors
    /// The first problem, with place.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, Problem> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Late(value) => Ok((***value).clone()),
            Self::Text(text) => text.evaluate(scope).and_then(crate::value::forced),
            Self::List(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items.iter() {
                    let value = item.evaluate(scope)?;
                    if !is_omit(&value) {
                        values.push(value);
                    }
                }
                Ok(Value::from(values))
            }
            Self::Map(entries) => {
                let mut pairs = Vec::with_capacity(entries.len());
                for (key, value) in entries.iter() {
                    let value = value.evaluate(scope)?;
                    if !is_omit(&value) {
                        pairs.push((key.evaluate(scope)?, value));
                    }
                }
                Ok(Value::from_pairs(pairs))
            }
        }
    }

    /// The value in a scope; mappings in it are rendered when something in them is asked for.
    pub(crate) fn evaluate_lazily(&self, scope: &Scope) -> Result<Value, Problem> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Late(value) => Ok((***value).clone()),
            Self::Text(text) => text.evaluate(scope),
            Self::List(items) => {
                let values = items.iter().map(|item| item.evaluate_lazily(scope)).collect::<Result<Vec<_>, _>>()?;
                Ok(values.into_iter().filter(|value| !is_omit(value)).collect())
            }
            Self::Map(entries) => LazyMap::new(entries.clone(), scope).map(Value::from_object),
        }
    }

    /// Variables that its templates name.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.collect_variables(&mut names);
        names.sort();
        names.dedup();
        names
    }

    fn collect_variables(&self, names: &mut Vec<String>) {
        match self {
            Self::Value(_) | Self::Late(_) => {}
            Self::Text(text) => names.extend(text.variables()),
            Self::List(items) => items.iter().for_each(|item| item.collect_variables(names)),
            Self::Map(entries) => entries.iter().for_each(|(key, value)| {
                key.collect_variables(names);
                value.collect_variables(names);
            }),
        }
    }

    /// As written, unrendered, for listings (`pgfleet inventory`): templates show as their text, encrypted
    /// text as `{"__ansible_vault": ...}`.
    #[must_use]
    pub fn as_written(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Late(value) => (***value).clone(),
            Self::Text(text) if text.is_sealed() => Value::from_pairs([("__ansible_vault", text.source())]),
            Self::Text(text) => Value::from(text.source()),
            Self::List(items) => items.iter().map(Self::as_written).collect(),
            Self::Map(entries) => Value::from_pairs(entries.iter().map(|(key, value)| (key.as_written(), value.as_written()))),
        }
    }
}

impl From<Value> for Raw {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}
