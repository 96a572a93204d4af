//! What was found, and how much it matters.

use pgfleet_template::{Place, closest};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The run would fail, or do something else than is written.
    Error,
    /// It may fail: where a condition holds, or a value comes.
    Warning,
    /// It works, and is worth a look.
    Hint,
}

impl Severity {
    /// As a person and a program read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Which kind of finding, a short word: `name`, `module`, `argument`.
    pub rule: &'static str,
    /// Where; line 0 is a file as a whole.
    pub place: Place,
    /// The piece of text that it is about.
    pub piece: String,
    /// What is wrong and why, one sentence.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The line as it stands in the file; passwords in it are masked.
    pub excerpt: Option<String>,
}

/// Something that pgfleet does not have, and who uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// `module`, `filter`, `lookup` ...
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Everywhere that it is used, in order.
    pub places: Vec<Place>,
    /// How many of these are reached in any run of this playbook on this inventory.
    pub certain: usize,
    /// The conditions that the others stand under, as written, each once.
    pub conditions: Vec<String>,
    /// Why, or what to use instead.
    pub reason: Option<String>,
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of files, lines and columns.
    pub findings: Vec<Finding>,
    /// What is not supported, most used first.
    pub unsupported: Vec<Unsupported>,
    /// How many files were read.
    pub files: usize,
    /// Names of variables were not checked, since there was no inventory.
    pub without_names: bool,
}

impl Report {
    /// How many findings matter so much.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// A hint where a word is almost one that is known.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    closest(word, known).map(|known| format!("did you mean '{known}'?"))
}
