//! Plays on the real agent, in this process.

mod ahead;
mod blocks;
mod content;
mod failures;
mod golden;
mod habits;
mod handlers;
mod includes;
mod keywords;
mod lost;
mod modes;
mod rig;
mod roles;
mod several;
mod tasks;
mod variables;
