//! Runs plays on hosts: strategy, conditions, handlers, events. Knows no SSH, no disk, no screen.

mod actions;
mod argument_spec;
mod attempt;
mod call;
mod controller;
mod event;
mod fleet;
mod handlers;
mod hosts;
mod include;
mod items;
mod link;
mod play;
mod recap;
mod redact;
mod result;
mod roles;
mod run;
mod scopes;
mod steps;
mod task;
mod transfer;

pub use controller::{Action, ActionHost, Controller, Teller};
pub use event::{Event, Report};
pub use fleet::{Become, Contact, Content, Fleet, Incoming, Local, Outgoing, RawOutput, Unreachable};
pub use link::Link;
pub use recap::{Counts, Recap};
pub use redact::Redactor;
pub use result::{Ending, TaskResult};
pub use run::{Finished, Habits, Run, RunOptions, Stop, Verdict};
