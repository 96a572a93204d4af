//! What bad input gets: the real program, its exit code and its words; no connection, nothing left behind.

mod files;
mod help;
mod hosts;
mod playbooks;
mod rig;
mod secrets;
mod sizes;
mod state;
mod values;
