//! Modules whose many arguments are alike: kept by name instead of one field each.

use serde_json::Value;

use crate::{Argument, ArgumentProblem, Items, Kind, Map, ModuleSpec};

/// Arguments by their canonical names, checked and typed; those that were not given are not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(Map);

impl Options {
    /// Checks names and converts values as the module declares them.
    ///
    /// # Errors
    /// The first problem, with the module's and the argument's name.
    pub fn read(spec: &ModuleSpec, given: &Map) -> Result<Self, ArgumentProblem> {
        let mut typed = Map::new();
        for argument in spec.arguments {
            let wrong = |reason| ArgumentProblem::Value { module: spec.name, name: argument.name, reason };
            if let Some(value) = given.get(argument.name) {
                typed.insert(argument.name.to_owned(), convert(argument.kind, value).map_err(wrong)?);
            }
        }
        Ok(Self(typed))
    }

    /// A text, where one was given.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A boolean, where one was given.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name).and_then(Value::as_bool)
    }

    /// A list; empty where none was given.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.0.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// All that were given, in the order in which the module declares them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

fn convert(kind: Kind, value: &Value) -> Result<Value, String> {
    Ok(match kind {
        Kind::Bool => bool::read(value)?.into(),
        Kind::Int => i64::read(value)?.into(),
        Kind::Float => f64::read(value)?.into(),
        Kind::List => Items::read(value)?.into(),
        Kind::Map => Map::read(value)?.into(),
        Kind::Choice(words) => {
            let word = String::read(value)?;
            if !words.contains(&word.as_str()) {
                return Err(format!("'{word}' is not one of {}", words.join(", ")));
            }
            word.into()
        }
        Kind::Text | Kind::Path | Kind::Mode => String::read(value)?.into(),
        Kind::Any => value.clone(),
    })
}

/// Declares a module whose arguments are [`Options`], one `"name" Kind "doc"` each, after typed fields as `arguments!` has them.
macro_rules! options {
    (
        $(#[doc = $module_doc:literal])+
        pub struct $type:ident = $module:literal {
            $( $kind:expr => $($name:literal $(as $alias:literal)?),+; )+
        }
        needs $required:tt
        $(rules [$($rule:expr),+])?
    ) => {
        $(#[doc = $module_doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $type {
            /// All arguments but those of files.
            pub options: $crate::Options,
            attributes: $crate::FileAttributes,
        }

        impl $type {
            /// Owner, group and mode as wished.
            #[must_use]
            pub fn attributes(&self) -> $crate::FileAttributes {
                self.attributes.clone()
            }
        }

        impl $crate::Arguments for $type {
            const SPEC: $crate::ModuleSpec = $crate::ModuleSpec {
                name: $module,
                doc: concat!($($module_doc),+).trim_ascii(),
                free_form: None,
                arguments: &[$($( $crate::ArgumentSpec {
                    name: $name,
                    aliases: &[$($alias)?],
                    kind: { use $crate::Kind::*; $kind },
                    required: $crate::options::among($name, &$required),
                    doc: "",
                } ),+),+],
                rules: &[$($($rule),+)?],
            };

            fn read(given: &$crate::Map) -> Result<Self, $crate::ArgumentProblem> {
                let given = Self::SPEC.canonical(given)?;
                let wrong = |name| move |reason| $crate::ArgumentProblem::Value { module: $module, name, reason };
                let text = |name: &'static str| {
                    let value = given.get(name).filter(|_| Self::SPEC.argument(name).is_some());
                    value.map(<String as $crate::Argument>::read).transpose().map_err(wrong(name))
                };
                let mode = given.get("mode").filter(|_| Self::SPEC.argument("mode").is_some());
                Ok(Self {
                    attributes: $crate::FileAttributes {
                        owner: text("owner")?,
                        group: text("group")?,
                        mode: mode.map(<$crate::FileMode as $crate::Argument>::read).transpose().map_err(wrong("mode"))?,
                    },
                    options: $crate::Options::read(&Self::SPEC, &given)?,
                })
            }
        }
    };
}

pub(crate) use options;

/// Whether a word is among others, where that must be known when compiling.
pub(crate) const fn among(word: &str, words: &[&str]) -> bool {
    let mut at = 0;
    while at < words.len() {
        if same(word.as_bytes(), words[at].as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}
