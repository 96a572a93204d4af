//! The program on every host: modules (inspect, plan, apply), the loop that runs them, and the daemon.
//!
//! It knows the host only through [`System`], and the controller only through `pgfleet_protocol`.

mod attributes;
mod digest;
mod dpkg;
mod exec;
mod facts;
mod module;
mod modules;
mod moment;
mod replacement;
mod run;
mod serve;
pub mod system;

pub use exec::exec;
pub use serve::{run as serve, status};
pub use system::{Linux, System};
