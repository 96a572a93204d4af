//! What a restore reads: backups and dumps, roles, one database at a time.

mod plain;
mod roles;
mod source;

pub(crate) use roles::missing_roles;
pub(crate) use source::{Source, find};
