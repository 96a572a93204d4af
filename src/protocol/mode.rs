//! File permissions as people write them, and the attributes that all file-like modules share.

use serde_json::Value;

use crate::{Argument, Kind};

/// A mode text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a file mode; write it as \"0644\" or u=rw,g=r,o=r")]
pub struct ModeError(String);

/// Wished file permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// All twelve bits, `0644`.
    Octal(u32),
    /// Clauses as chmod takes them, `u=rw,g=r,o+X`.
    Symbolic(Vec<Clause>),
    /// As the source file has it (`mode: preserve`).
    Preserve,
}

/// One clause of a symbolic mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    who: u32,
    operator: char,
    permissions: String,
}

impl FileMode {
    /// Reads a mode as written.
    ///
    /// # Errors
    /// When the text is neither octal nor symbolic.
    pub fn parse(text: &str) -> Result<Self, ModeError> {
        let text = text.trim();
        if text == "preserve" {
            return Ok(Self::Preserve);
        }
        let digits = text.strip_prefix("0o").unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) && digits.len() <= 5 {
            return u32::from_str_radix(digits, 8)
                .ok()
                .filter(|bits| *bits <= 0o7777)
                .map(Self::Octal)
                .ok_or_else(|| ModeError(text.to_owned()));
        }
        text.split(',').map(Clause::parse).collect::<Option<Vec<_>>>().map(Self::Symbolic).ok_or_else(|| ModeError(text.to_owned()))
    }

    /// The twelve permission bits wished for, where the thing now has `current` and is a directory or not.
    #[must_use]
    pub fn bits(&self, current: u32, is_directory: bool) -> u32 {
        match self {
            Self::Octal(bits) => *bits,
            Self::Preserve => current,
            Self::Symbolic(clauses) => clauses.iter().fold(current, |bits, clause| clause.apply(bits, is_directory)),
        }
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let at = text.find(['=', '+', '-'])?;
        let (who, rest) = text.split_at(at);
        let mut mask = 0;
        for letter in who.chars() {
            mask |= match letter {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o1007,
                'a' => 0o7777,
                _ => return None,
            };
        }
        let operator = rest.chars().next()?;
        let permissions = &rest[1..];
        if !permissions.chars().all(|letter| "rwxXstugo".contains(letter)) {
            return None;
        }
        Some(Self { who: if who.is_empty() { 0o7777 } else { mask }, operator, permissions: permissions.to_owned() })
    }

    fn apply(&self, current: u32, is_directory: bool) -> u32 {
        let mut wished = 0;
        for letter in self.permissions.chars() {
            wished |= match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if is_directory || current & 0o111 != 0 => 0o111,
                's' => 0o6000,
                't' => 0o1000,
                'u' => spread(current >> 6),
                'g' => spread(current >> 3),
                'o' => spread(current),
                _ => 0,
            };
        }
        wished &= self.who;
        match self.operator {
            '+' => current | wished,
            '-' => current & !wished,
            _ => (current & !(self.who & 0o777) & !special(self.who, is_directory)) | wished,
        }
    }
}

/// The three bits of one class, copied to all three.
fn spread(bits: u32) -> u32 {
    let bits = bits & 0o7;
    bits << 6 | bits << 3 | bits
}

/// The special bits that `=` clears: on directories setuid and setgid stay, as chmod has it.
fn special(who: u32, is_directory: bool) -> u32 {
    if is_directory { who & 0o1000 } else { who & 0o7000 }
}

impl Argument for FileMode {
    const KIND: Kind = Kind::Mode;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Self::parse(text).map_err(|error| error.to_string()),
            // YAML 1.1 has already read 0644 as octal.
            Value::Number(number) => number
                .as_u64()
                .and_then(|bits| u32::try_from(bits).ok())
                .filter(|bits| *bits <= 0o7777)
                .map(Self::Octal)
                .ok_or_else(|| ModeError(number.to_string()).to_string()),
            other => Err(ModeError(other.to_string()).to_string()),
        }
    }
}

/// Owner, group and mode of a file-like thing, as [`crate::modules`] that write files share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileAttributes {
    /// Name or number of the owner.
    pub owner: Option<String>,
    /// Name or number of the group.
    pub group: Option<String>,
    /// Permissions.
    pub mode: Option<FileMode>,
}

#[cfg(test)]
mod tests {
    use super::FileMode;

    #[test]
    fn modes_are_read_as_chmod_reads_them() {
        for (text, current, directory, expect) in [
            ("0644", 0o777, false, 0o644),
            ("u=rw,g=r,o=", 0o777, false, 0o640),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o644, true, 0o755),
            ("g=u", 0o750, false, 0o770),
            ("u+s", 0o755, false, 0o4755),
            ("o-rwx", 0o777, false, 0o770),
            ("+t", 0o777, true, 0o1777),
        ] {
            let mode = FileMode::parse(text).expect(text);
            assert_eq!(format!("{:o}", mode.bits(current, directory)), format!("{expect:o}"), "{text} on {current:o}");
        }
        assert!(FileMode::parse("rwxr-xr-x").is_err());
        assert!(FileMode::parse("99").is_err());
    }
}
