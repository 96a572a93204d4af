//! What pgfleet's exit codes mean.

use std::process::ExitCode;

use pgfleet_engine::{Finished, Verdict};
use pgfleet_state::StateError;
use pgfleet_workflows::WorkflowError;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// An error.
    Error = 1,
    /// A task failed on a host.
    HostFailed = 2,
    /// Changes are pending (with --check --exit-code).
    ChangesPending = 3,
    /// A host could not be reached.
    Unreachable = 4,
    /// The input is wrong.
    Input = 5,
    /// Refused as unsafe; nothing was touched.
    Refused = 6,
    /// Another run holds the lock.
    Locked = 7,
    /// What was looked at is not as it should be.
    NotHealthy = 8,
    /// Interrupted, cleanly.
    Interrupted = 99,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&WorkflowError> for Exit {
    fn from(error: &WorkflowError) -> Self {
        match error {
            WorkflowError::Input(_) | WorkflowError::Ssh { .. } | WorkflowError::State(StateError::Secret { .. }) => Self::Input,
            WorkflowError::Refused { .. } => Self::Refused,
            WorkflowError::State(StateError::Locked(_)) => Self::Locked,
            _ => Self::Error,
        }
    }
}

impl Exit {
    /// How a run of a playbook ends the program.
    pub(crate) fn of_run(finished: &Finished, tell_changes: bool) -> Self {
        if let Some(verdict) = finished.verdict {
            match verdict {
                Verdict::Refused => Self::Refused,
                Verdict::Unverified => Self::NotHealthy,
                Verdict::Locked => Self::Locked,
            }
        } else if finished.interrupted {
            // What fails because a person broke it off is no failure of a host.
            Self::Interrupted
        } else if finished.failed_hosts().next().is_some() {
            Self::HostFailed
        } else if finished.unreachable_hosts().next().is_some() {
            Self::Unreachable
        } else if tell_changes && finished.recap.changed() > 0 {
            Self::ChangesPending
        } else {
            Self::Done
        }
    }
}
