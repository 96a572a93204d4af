//! A YAML document as written: every node with its place.

use crate::{Place, Problem, Value};

/// One node of a YAML document. Aliases and merge keys are already resolved, of keys that stand twice the last value is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// An explicit tag, `!vault` or `!unsafe`; YAML's own `!!str` and the like are resolved away.
    pub tag: Option<String>,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// A scalar: its text, and its value under YAML 1.1's rules (text when quoted or tagged).
    Scalar {
        /// As written, unquoted.
        text: String,
        /// As PyYAML reads it.
        value: Value,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping, in the order written.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a scalar that is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            // A date is text to everything that asks for text.
            NodeKind::Scalar { text, value } if value.kind() == minijinja::value::ValueKind::Plain => Some(text),
            NodeKind::Scalar { value, .. } => value.as_str(),
            _ => None,
        }
    }

    /// The text of any scalar but null, as written.
    #[must_use]
    pub fn scalar_text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, value } if !value.is_none() => Some(text),
            _ => None,
        }
    }

    /// The value of a scalar.
    #[must_use]
    pub fn scalar(&self) -> Option<&Value> {
        match &self.kind {
            NodeKind::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The elements of a list.
    #[must_use]
    pub fn sequence(&self) -> Option<&[Node]> {
        match &self.kind {
            NodeKind::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a mapping.
    #[must_use]
    pub fn mapping(&self) -> Option<&[(Node, Node)]> {
        match &self.kind {
            NodeKind::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under a text key of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.mapping()?.iter().find(|(name, _)| name.scalar_text() == Some(key)).map(|(_, value)| value)
    }

    /// True for null, also for nothing at all after `key:`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(Value::is_none)
    }

    /// What it is, in a person's words: `a list`, `text`.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            NodeKind::Sequence(_) => "a list",
            NodeKind::Mapping(_) => "a mapping",
            NodeKind::Scalar { value, .. } if value.is_none() => "nothing",
            NodeKind::Scalar { value, .. } if value.as_str().is_some() => "text",
            NodeKind::Scalar { value, .. } if value.is_number() => "a number",
            NodeKind::Scalar { value, .. } if value.kind() == minijinja::value::ValueKind::Plain => "a date",
            NodeKind::Scalar { .. } => "true or false",
        }
    }

    /// A problem at this node.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(message).at(&self.place)
    }
}
