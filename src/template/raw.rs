//! Values as written: templates in them are compiled but not yet rendered.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::{Node, Problem, Scope, Text, Value, Vault};

/// Variables of one place: a file, a `vars:` block, a host.
pub type Vars = IndexMap<String, Raw>;

/// A value whose templates are not yet rendered. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Raw {
    /// Nothing to render in it.
    Value(Value),
    /// Text with templates.
    Text(Arc<Text>),
    /// A list of which some part has templates.
    List(Arc<Vec<Raw>>),
    /// A mapping of which some part has templates.
    Map(Arc<Vec<(Raw, Raw)>>),
}

impl Raw {
    /// Reads a node: `!unsafe` text is never a template, `!vault` text is opened with the vault's passwords
    /// when it is used, not before.
    ///
    /// # Errors
    /// A malformed template, with its place.
    pub fn from_node(_node: &Node, _vault: &Arc<Vault>) -> Result<Self, Problem> {
        todo!()
    }

    /// Reads a mapping of variables; names must be valid.
    ///
    /// # Errors
    /// When the node is no mapping, or a name or a template is malformed.
    pub fn vars_from_node(_node: &Node, _vault: &Arc<Vault>) -> Result<Vars, Problem> {
        todo!()
    }

    /// Text that may hold templates (from INI, `-e key=value`).
    ///
    /// # Errors
    /// A malformed template.
    pub fn from_text(_text: &str, _place: &crate::Place) -> Result<Self, Problem> {
        todo!()
    }

    /// The value in a scope, everything in it rendered; keys whose value is `omit` are left out.
    ///
    /// # Errors
    /// The first problem, with place.
    pub fn evaluate(&self, _scope: &Scope) -> Result<Value, Problem> {
        todo!()
    }

    /// Variables that its templates name.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        todo!()
    }

    /// As written, unrendered, for listings (`pgfleet inventory`): templates show as their text.
    #[must_use]
    pub fn as_written(&self) -> Value {
        todo!()
    }
}

impl From<Value> for Raw {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}
