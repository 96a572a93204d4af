//! Values, expressions, variables and rendering: the only user of minijinja and of YAML.

mod access;
mod backslash;
mod builtins;
mod compile;
mod evaluate;
mod expression;
mod files;
mod lazy;
mod limits;
mod node;
mod place;
mod problem;
mod raw;
mod rewrite;
mod scalar;
mod scope;
mod source;
mod template_file;
mod value;
mod vault;
mod yaml;

pub use expression::{Condition, Expression, Text};
pub use files::{Disk, Files, Opened, Overlay};
pub use minijinja::Value;
pub use minijinja::value::ValueKind;
pub use node::{Node, NodeKind};
pub use place::Place;
pub use problem::{Problem, closest};
pub use raw::{Raw, Vars};
pub use scope::{Delimiters, Language, Scope, TemplateOptions};
pub use source::SourceFile;
pub use value::{computed_map, from_json, is_omit, mapping, omit, to_json};
pub use vault::{Vault, VaultPassword};
