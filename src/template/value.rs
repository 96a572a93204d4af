//! Values across the border: JSON in and out, computed mappings, `omit`.

use std::sync::Arc;

use crate::{Problem, Value};

/// A value as JSON, everything lazy in it rendered.
///
/// # Errors
/// When something in it is undefined, or rendering fails.
pub fn to_json(_value: &Value) -> Result<serde_json::Value, Problem> {
    todo!()
}

/// A JSON value.
#[must_use]
pub fn from_json(_value: &serde_json::Value) -> Value {
    todo!()
}

/// The sentinel that makes an argument absent.
#[must_use]
pub fn omit() -> Value {
    todo!()
}

/// True for the sentinel.
#[must_use]
pub fn is_omit(_value: &Value) -> bool {
    todo!()
}

/// A mapping whose values are computed when asked for (`hostvars`). `get` gives `None` for an unknown key.
pub fn computed_map(
    _get: impl Fn(&str) -> Result<Option<Value>, Problem> + Send + Sync + 'static,
    _keys: impl Fn() -> Vec<Arc<str>> + Send + Sync + 'static,
) -> Value {
    todo!()
}
