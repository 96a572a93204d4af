//! The program on every host: modules (inspect, plan, apply), the loop that runs them, and the daemon.
//!
//! It knows the host only through [`System`], and the controller only through `pgfleet_protocol`.

mod attributes;
#[cfg(test)]
mod cases;
pub mod defect;
pub mod detached;
mod digest;
mod dpkg;
mod exec;
mod facts;
mod http;
mod module;
mod modules;
mod moment;
mod paths;
mod postgres;
mod python_regex;
mod replacement;
mod run;
mod serve;
mod sums;
pub mod system;
mod tcp_table;
mod text_file;
mod timeline;

pub use exec::{exec, exec_again};
pub use serve::{run as serve, status};
pub use system::{Linux, System};
pub use timeline::claim as claim_timeline;
