//! PostgreSQL's own protocol, as far as modules need it: log in, send statements, read what comes back. No runtime, no threads.
//!
//! Messages and SCRAM are those of `postgres-protocol`; `docs/decisions/018-postgresql-in-the-agent.md` says why.

mod client;
#[cfg(test)]
pub(crate) mod fake;
mod login;
mod password;
mod sql;
mod tls;
mod value;

pub(crate) use client::{Answer, Client, ServerError};
pub(crate) use login::Login;
pub(crate) use password::{encoded, is_kept_by};
pub(crate) use sql::{Arguments, array, fill, identifier, is_dangerous, literal, path};
