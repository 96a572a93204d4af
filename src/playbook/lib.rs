//! Plays, tasks, blocks and handlers as read, each with its place in the file.
//!
//! A task exists only with a known module and known argument names: what is parsed is checked. Nothing is rendered here.

mod catalog;
mod controller;
pub mod keywords;
mod load;
mod play;
mod role;
mod settings;
mod split;
mod tags;
mod task;

pub use catalog::{Engine, Kind, Transfer, lookup_module, module_names};
pub use load::{FoundRole, Included, Loader, MAX_INCLUDE_DEPTH, RoleSearch, first_word, misfit};
pub use play::{Gather, Hashing, Play, Playbook, Prompt};
pub use role::{Role, RoleChoice, RoleOrigin};
pub use settings::{ModuleDefaults, Settings};
pub use split::{BESIDE_COMMANDS, parse_pairs, split_words};
pub use tags::TagSelection;
pub use task::{Arguments, Block, Late, Loop, LoopKind, Repeat, Step, Task};
