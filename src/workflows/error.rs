//! Why a workflow ended early.

use pgfleet_state::StateError;
use pgfleet_template::Problem;

/// What stops a workflow before or beside its tasks. Failed tasks are no errors: they are in the recap.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// Something that a person wrote is wrong; all that was found.
    #[error("{} in what was given", if .0.len() == 1 { "a problem".to_owned() } else { format!("{} problems", .0.len()) })]
    Input(Vec<Problem>),
    /// It would be unsafe, and nothing was touched.
    #[error("refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// State on disk.
    #[error(transparent)]
    State(#[from] StateError),
    /// The ssh configuration.
    #[error("{message}")]
    Ssh {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The program carries no agent.
    #[error("this pgfleet was built without its agent")]
    NoAgent,
    /// A workflow's own play failed before it had its answer.
    #[error("{0}")]
    Failed(String),
}

impl WorkflowError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { hint, .. } => Some(hint.clone()),
            Self::Ssh { hint, .. } => hint.clone(),
            Self::NoAgent => Some("build it with 'make build', or with 'cargo install --path src/cli'".to_owned()),
            Self::State(error) => error.hint(),
            Self::Input(_) | Self::Failed(_) => None,
        }
    }
}

impl From<Problem> for WorkflowError {
    fn from(problem: Problem) -> Self {
        Self::Input(vec![problem])
    }
}

impl From<Vec<Problem>> for WorkflowError {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Input(problems)
    }
}
