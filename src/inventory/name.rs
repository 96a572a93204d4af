//! Names of hosts and groups, checked when they are made.

use std::fmt;

use indexmap::Equivalent;

/// Why a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is written.
    #[error("the name is empty")]
    Empty,
    /// A control character, which no terminal and no file should meet.
    #[error("the name contains a control character")]
    ControlCharacter,
}

fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// A checked name.
            ///
            /// # Errors
            /// When it is empty or contains a control character.
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                check(&name).map(|()| Self(name))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Equivalent<$name> for str {
            fn equivalent(&self, key: &$name) -> bool {
                self == key.0
            }
        }
    };
}

name!(
    /// The name of a host as the inventory has it; where to connect is another matter (`ansible_host`).
    HostName
);
name!(
    /// The name of a group.
    GroupName
);

impl GroupName {
    /// A name that the program itself gives.
    pub(crate) fn known(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{GroupName, HostName, NameError};

    #[test]
    fn names_are_checked() {
        assert_eq!(HostName::new(""), Err(NameError::Empty));
        assert_eq!(GroupName::new("a\u{7}b"), Err(NameError::ControlCharacter));
        assert_eq!(GroupName::new("pg-meta").map(|name| name.to_string()), Ok("pg-meta".to_owned()));
    }
}
