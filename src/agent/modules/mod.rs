//! All modules, and which call goes to which.

use pgfleet_protocol::Call;

use crate::module::{Context, Planned};

mod apt;
mod blockinfile;
pub(crate) mod command;
mod copy;
mod cron;
mod diagnose;
mod dpkg_selections;
mod fetch;
mod file;
mod get_url;
mod group;
mod hostname;
mod lineinfile;
mod mount;
mod package;
mod ping;
pub(crate) mod probe;
mod replace;
mod service;
mod setup;
mod shell;
mod slurp;
mod stat;
mod stream;
mod sysctl;
mod systemd;
mod uri;
mod user;
mod wait_for;
mod write_probe;

/// Lets the call's module look at the host and say what is to be done.
pub(crate) fn plan(call: &Call, context: &Context) -> Planned {
    match call {
        Call::Apt(arguments) => apt::plan(arguments, context),
        Call::Blockinfile(arguments) => blockinfile::plan(arguments, context),
        Call::Command(arguments) => command::plan(arguments, context),
        Call::Copy(arguments) => copy::plan(arguments, context),
        Call::Cron(arguments) => cron::plan(arguments, context),
        Call::Diagnose(arguments) => diagnose::plan(arguments, context),
        Call::DpkgSelections(arguments) => dpkg_selections::plan(arguments, context),
        Call::Fetch(arguments) => fetch::plan(arguments, context),
        Call::File(arguments) => file::plan(arguments, context),
        Call::GetUrl(arguments) => get_url::plan(arguments, context),
        Call::Group(arguments) => group::plan(arguments, context),
        Call::Hostname(arguments) => hostname::plan(arguments, context),
        Call::Lineinfile(arguments) => lineinfile::plan(arguments, context),
        Call::Mount(arguments) => mount::plan(arguments, context),
        Call::Package(arguments) => package::plan(arguments, context),
        Call::Ping(arguments) => ping::plan(arguments),
        Call::Probe(arguments) => probe::plan(arguments, context),
        Call::Replace(arguments) => replace::plan(arguments, context),
        Call::Service(arguments) => service::plan(arguments, context),
        Call::Setup(arguments) => setup::plan(arguments, context),
        Call::Shell(arguments) => shell::plan(arguments, context),
        Call::Slurp(arguments) => slurp::plan(arguments, context),
        Call::Stat(arguments) => stat::plan(arguments, context),
        Call::StreamIn(arguments) => stream::plan_in(arguments),
        Call::StreamOut(arguments) => stream::plan_out(arguments),
        Call::Sysctl(arguments) => sysctl::plan(arguments, context),
        Call::Systemd(arguments) => systemd::plan(arguments, context),
        Call::Uri(arguments) => uri::plan(arguments, context),
        Call::User(arguments) => user::plan(arguments, context),
        Call::WaitFor(arguments) => wait_for::plan(arguments, context),
        Call::WriteProbe(arguments) => write_probe::plan(arguments, context),
    }
}
