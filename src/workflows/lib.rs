//! What a person asks for: deploy, status, a playbook. One file each, on top of everything but the screen.

mod actions;
mod backups;
mod carried;
mod connection;
mod credentials;
mod deploy;
mod doctor;
mod error;
mod fleet;
mod groups;
mod local;
mod nodes;
mod operate;
mod play;
mod project;
mod reach;
mod rotation;
mod secrets;
mod settings;
mod sizes;
mod slot;
mod status;
mod streams;

pub use backups::{backups, verify_files};
pub use carried::{carried_agent, carried_files};
pub use connection::{Connection, READY, Session, SessionWish, Tried, connection, session};
pub use deploy::deploy;
pub use doctor::{Diagnosis, diagnosis};
pub use error::WorkflowError;
pub use operate::{Operated, Operation, cluster_name, operate};
pub use play::{Additions, Wish, check_playbook, load_inventory, run_playbook};
pub use project::Project;
pub use secrets::{Known, Rotated, rotate, secret, secrets};
pub use sizes::bytes as shown_bytes;
pub use status::status;
