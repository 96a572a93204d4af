//! The crate against a real sshd, ssh-agent and sudo. Run as root: `cargo test -p pgfleet-ssh --features lab`.

#![expect(clippy::unwrap_used, reason = "a fixture that fails has to fail its test loudly")]

mod delivery;
mod habits;
mod host_keys;
mod login;
mod server;
mod streams;
mod trouble;
