//! What arguments a module takes: one declaration gives the typed struct, the checks and the documentation.

use serde_json::Value;

use crate::Map;

/// A problem with the arguments of one call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentProblem {
    /// The module has no such argument; `known` lists those it has.
    #[error("Unsupported parameters for ({module}) module: {name}")]
    Unknown {
        /// The module.
        module: &'static str,
        /// The name as written.
        name: String,
        /// Canonical names and aliases, for a suggestion.
        known: Vec<&'static str>,
    },
    /// A required argument is not there.
    #[error("module '{module}': missing required arguments: {name}")]
    Missing {
        /// The module.
        module: &'static str,
        /// The canonical name.
        name: &'static str,
    },
    /// The value does not fit.
    #[error("argument '{name}' of module '{module}': {reason}")]
    Value {
        /// The module.
        module: &'static str,
        /// The canonical name.
        name: &'static str,
        /// Why the value does not fit, in words.
        reason: String,
    },
    /// Arguments that do not go together, or of which one is needed.
    #[error("module '{module}': {reason}")]
    Together {
        /// The module.
        module: &'static str,
        /// The rule that is broken.
        reason: String,
    },
}

/// The kind of value that an argument takes, for messages and documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// `true`, `yes`, `on`, `1` and their opposites.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A list; a comma-separated text is split.
    List,
    /// A mapping.
    Map,
    /// A path on the host.
    Path,
    /// File permissions, `0644` or `u=rw,g=r`.
    Mode,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Anything.
    Any,
}

/// How arguments of one module depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// At most one of these may be given.
    AtMostOne(&'static [&'static str]),
    /// At least one of these is needed.
    AtLeastOne(&'static [&'static str]),
    /// These are needed together.
    Together(&'static [&'static str]),
}

/// One argument of a module.
#[derive(Clone, Copy, Debug)]
pub struct ArgumentSpec {
    /// The canonical name.
    pub name: &'static str,
    /// Other names it may be written under.
    pub aliases: &'static [&'static str],
    /// What it takes.
    pub kind: Kind,
    /// True when a call without it is wrong.
    pub required: bool,
    /// One line for a person.
    pub doc: &'static str,
}

/// What a module is called and takes.
#[derive(Clone, Copy, Debug)]
pub struct ModuleSpec {
    /// The short name, `file`.
    pub name: &'static str,
    /// One line for a person.
    pub doc: &'static str,
    /// The argument that takes free-form text (`command: ls -l`), where the module has one.
    pub free_form: Option<&'static str>,
    /// The arguments.
    pub arguments: &'static [ArgumentSpec],
    /// How they depend on each other.
    pub rules: &'static [Rule],
}

/// Arguments of all modules that make files.
const OF_FILES: &[ArgumentSpec] = &[
    ArgumentSpec { aliases: &["attr"], doc: "Flags of the inode, as chattr takes them.", ..of_files("attributes", Kind::Text) },
    of_files("selevel", Kind::Text),
    of_files("serole", Kind::Text),
    of_files("setype", Kind::Text),
    of_files("seuser", Kind::Text),
    of_files("unsafe_writes", Kind::Bool),
];

const fn of_files(name: &'static str, kind: Kind) -> ArgumentSpec {
    ArgumentSpec { name, aliases: &[], kind, required: false, doc: "Accepted for hosts with SELinux and file systems without renaming." }
}

impl ModuleSpec {
    /// The argument of that name or alias.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&'static ArgumentSpec> {
        let own = self.arguments.iter().find(|argument| argument.name == name || argument.aliases.contains(&name));
        // What every module that makes files takes, and what has no effect here: files are replaced atomically, and a host
        // without SELinux has no contexts.
        own.or_else(|| {
            self.makes_files().then(|| OF_FILES.iter().find(|argument| argument.name == name || argument.aliases.contains(&name))).flatten()
        })
    }

    /// True for modules that set owner, group and mode of what they make.
    fn makes_files(&self) -> bool {
        let has = |name: &str| self.arguments.iter().any(|argument| argument.name == name);
        has("owner") && has("group") && has("mode")
    }

    /// All names under which an argument may be written.
    #[must_use]
    pub fn known_names(&self) -> Vec<&'static str> {
        self.arguments.iter().flat_map(|argument| std::iter::once(argument.name).chain(argument.aliases.iter().copied())).collect()
    }

    /// What can be said of arguments before their values are known: names, required ones, rules. With each name goes whether it is sure
    /// to be given: a template may turn out to be `omit`.
    #[must_use]
    pub fn check_given<'a>(&self, given: impl IntoIterator<Item = (&'a str, bool)>) -> Vec<ArgumentProblem> {
        let mut problems = Vec::new();
        let (mut present, mut sure) = (Vec::new(), Vec::new());
        for (name, is_sure) in given {
            match self.argument(name) {
                Some(argument) => {
                    present.push(argument.name);
                    sure.extend(is_sure.then_some(argument.name));
                }
                None => problems.push(ArgumentProblem::Unknown { module: self.name, name: name.to_owned(), known: self.known_names() }),
            }
        }
        for argument in self.arguments.iter().filter(|argument| argument.required && !present.contains(&argument.name)) {
            problems.push(ArgumentProblem::Missing { module: self.name, name: argument.name });
        }
        problems.extend(
            self.rules
                .iter()
                .filter_map(|rule| rule.broken_by(&present, &sure))
                .map(|reason| ArgumentProblem::Together { module: self.name, reason }),
        );
        problems
    }

    /// The same arguments under their canonical names, nulls dropped.
    ///
    /// # Errors
    /// The first problem that [`Self::check_given`] finds.
    pub fn canonical(&self, given: &Map) -> Result<Map, ArgumentProblem> {
        let given = given.iter().filter(|(_, value)| !value.is_null());
        if let Some(problem) = self.check_given(given.clone().map(|(name, _)| (name.as_str(), true))).into_iter().next() {
            return Err(problem);
        }
        Ok(given.filter_map(|(name, value)| Some((self.argument(name)?.name.to_owned(), value.clone()))).collect())
    }
}

impl Rule {
    /// Why arguments of which these are present, and some of them for sure, cannot be right.
    fn broken_by(&self, present: &[&str], sure: &[&str]) -> Option<String> {
        let count = |names: &[&str]| names.iter().filter(|name| present.contains(name)).count();
        let count_sure = |names: &[&str]| names.iter().filter(|name| sure.contains(name)).count();
        match self {
            Self::AtMostOne(names) if count_sure(names) > 1 => Some(format!("parameters are mutually exclusive: {}", names.join("|"))),
            Self::AtLeastOne(names) if count(names) == 0 => Some(format!("one of the following is required: {}", names.join(", "))),
            Self::Together(names) if count_sure(names) != 0 && count(names) != names.len() => {
                Some(format!("parameters are required together: {}", names.join(", ")))
            }
            _ => None,
        }
    }
}

/// A type that an argument's value can be read as.
pub trait Argument: Sized {
    /// What it takes.
    const KIND: Kind;

    /// Reads a rendered value.
    ///
    /// # Errors
    /// Why the value does not fit, in words.
    fn read(value: &Value) -> Result<Self, String>;

    /// The value when the argument is not given; `None` when it is required.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Argument> Argument for Option<T> {
    const KIND: Kind = T::KIND;

    fn read(value: &Value) -> Result<Self, String> {
        T::read(value).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// The typed arguments of one module.
pub trait Arguments: Sized {
    /// The module's name and arguments.
    const SPEC: ModuleSpec;

    /// Checks and converts rendered arguments.
    ///
    /// # Errors
    /// The first problem, with the module's and the argument's name.
    fn read(given: &Map) -> Result<Self, ArgumentProblem>;
}

/// Declares the arguments of a module: the struct, its [`ModuleSpec`] and the conversion, from one list.
///
/// A field is `name: Type as ["alias"] = default;` where alias and default may be left out. A field whose type is not
/// an `Option` and that has no default is required.
macro_rules! arguments {
    (
        $(#[doc = $module_doc:literal])+
        pub struct $type:ident = $module:literal $(free $free:literal)? {
            $( $(#[doc = $doc:literal])+ $field:ident : $field_type:ty $(as [$($alias:literal),+])? $(= $default:expr)? ; )*
        }
        $(rules [$($rule:expr),+])?
    ) => {
        $(#[doc = $module_doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $type {
            $( $(#[doc = $doc])+ pub $field: $field_type, )*
        }

        impl $crate::Arguments for $type {
            const SPEC: $crate::ModuleSpec = $crate::ModuleSpec {
                name: $module,
                doc: concat!($($module_doc),+).trim_ascii(),
                free_form: $crate::arguments::first(&[$($free)?]),
                arguments: &[$( $crate::ArgumentSpec {
                    name: $crate::arguments::bare(stringify!($field)),
                    aliases: &[$($($alias),+)?],
                    kind: <$field_type as $crate::Argument>::KIND,
                    required: !$crate::arguments::is_optional(stringify!($field_type)) && !$crate::arguments::given(&[$(stringify!($default))?]),
                    doc: concat!($($doc),+).trim_ascii(),
                } ),*],
                rules: &[$($($rule),+)?],
            };

            #[allow(unused_variables, reason = "a module without arguments reads none")]
            fn read(given: &$crate::Map) -> Result<Self, $crate::ArgumentProblem> {
                let given = Self::SPEC.canonical(given)?;
                // Found out before anything is built: if each field could fail, each would need to drop all those before it, and
                // with hundreds of fields that was a tenth of the agent.
                $crate::arguments::check(&given, $module, &[
                    $( ($crate::arguments::bare(stringify!($field)), $crate::arguments::fits::<$field_type>) ),*
                ])?;
                Ok(Self {
                    $( $field: $crate::arguments::taken!(&given, $crate::arguments::bare(stringify!($field)), $field_type, $($default)?), )*
                })
            }
        }
    };
}

/// A checked argument's value; the default where one is declared, else what the type says of absence.
macro_rules! taken {
    ($given:expr, $name:expr, $type:ty, ) => {
        $crate::arguments::one_or_absent::<$type>($given, $name)
    };
    ($given:expr, $name:expr, $type:ty, $default:expr) => {
        match $crate::arguments::one::<$type>($given, $name) {
            Some(value) => value,
            None => $default,
        }
    };
}

/// Declares an argument type that is one of a few words: `pub enum State { Present = "present", .. }`.
macro_rules! choice {
    ($(#[doc = $type_doc:literal])+ pub enum $type:ident { $( $(#[doc = $doc:literal])+ $variant:ident = $word:literal ),+ $(,)? }) => {
        $(#[doc = $type_doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $( $(#[doc = $doc])+ $variant ),+ }

        impl $type {
            /// The word that a person writes for it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $( Self::$variant => $word ),+ }
            }
        }

        impl $crate::Argument for $type {
            const KIND: $crate::Kind = $crate::Kind::Choice(&[$($word),+]);

            fn read(value: &serde_json::Value) -> Result<Self, String> {
                match $crate::convert::word(value).as_str() {
                    $( $word => Ok(Self::$variant), )+
                    other => Err(format!("'{other}' is not one of {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

pub(crate) use {arguments, choice, taken};

/// Whether a value fits an argument, or why it does not.
pub(crate) type Fit = fn(&Value) -> Result<(), String>;

/// See [`Fit`].
pub(crate) fn fits<T: Argument>(value: &Value) -> Result<(), String> {
    T::read(value).map(drop)
}

/// Checks the value of every argument that is given.
pub(crate) fn check(given: &Map, module: &'static str, fits: &[(&'static str, Fit)]) -> Result<(), ArgumentProblem> {
    for (name, fits) in fits {
        let fit = given.get(*name).map_or(Ok(()), fits);
        fit.map_err(|reason| ArgumentProblem::Value { module, name, reason })?;
    }
    Ok(())
}

/// One argument's value, checked before. Not part of every reader: there are hundreds of arguments and a dozen types.
#[inline(never)]
pub(crate) fn one<T: Argument>(given: &Map, name: &str) -> Option<T> {
    given.get(name).and_then(|value| T::read(value).ok())
}

/// The same for an argument without a default.
#[inline(never)]
pub(crate) fn one_or_absent<T: Argument>(given: &Map, name: &str) -> T {
    let value = one(given, name).or_else(T::absent);
    value.unwrap_or_else(|| unreachable!("the required argument '{name}' was found before"))
}

/// The first of at most one text.
pub(crate) const fn first(texts: &[&'static str]) -> Option<&'static str> {
    match texts {
        [text, ..] => Some(text),
        [] => None,
    }
}

/// True when a default was declared.
pub(crate) const fn given(texts: &[&str]) -> bool {
    !texts.is_empty()
}

/// True for the text of an `Option<..>` type.
pub(crate) const fn is_optional(type_text: &str) -> bool {
    matches!(type_text.as_bytes(), [b'O', b'p', b't', b'i', b'o', b'n', ..])
}

/// A field's name without the `r#` of a raw identifier.
pub(crate) const fn bare(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}
