//! The words that controller and agent share: calls and their arguments, outcomes, facts and frames.
//!
//! Nothing here performs input or output; both programs bring their own streams.

mod arguments;
mod call;
mod convert;
mod digest;
mod fragments;
mod frame;
mod mode;
pub mod modules;
mod options;
mod outcome;
mod reading;
mod secret;

pub use arguments::{Argument, ArgumentProblem, ArgumentSpec, Arguments, Kind, ModuleSpec, Rule};
pub use call::{Call, MODULES, module_spec};
pub use convert::{HostPath, Items};
pub use digest::sha256;
pub use fragments::joined;
pub use frame::{Chunk, Decoder, Detached, Frame, FrameError, FromAgent, MAX_FRAME, Request, ToAgent, VERSION, encode};
pub use mode::{FileAttributes, FileMode, ModeError};
pub use options::Options;
pub use outcome::{Diff, Outcome, Status};
pub use reading::only_reads;
pub use secret::Secret;

/// A JSON object whose keys keep their order: arguments on their way out, results on their way back.
pub type Map = serde_json::Map<String, serde_json::Value>;

/// Whether a call may change the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Inspect, plan and apply.
    #[default]
    Apply,
    /// Inspect and plan only: report what would change.
    Check,
}

impl Mode {
    /// True when effects are withheld.
    #[must_use]
    pub fn is_check(self) -> bool {
        self == Self::Check
    }
}
