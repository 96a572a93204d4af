//! One file a command: its arguments become a wish, its result an exit code.

mod adhoc;
mod backup;
mod certs;
mod completions;
mod config;
mod connect;
mod connection;
mod deploy;
mod destroy;
mod doctor;
mod drill;
mod failover;
mod history;
mod init;
mod inventory;
mod lab;
mod links;
pub(crate) mod lint;
mod logs;
mod look;
mod members;
mod operate;
pub(crate) mod playbook;
mod restore;
mod scale_in;
mod secrets;
mod state;
mod status;
mod switchover;
pub(crate) mod vault;

use pgfleet_workflows::WorkflowError;

use crate::args::{Args, Command};
use crate::exit::Exit;
use crate::{screen, settings};

/// Runs a command.
pub(crate) fn run(args: Args) -> Exit {
    let project = settings::project(args.project.as_ref());
    let result = match args.command {
        Command::Deploy(deploy) => with_runtime(deploy::run(project, deploy)),
        Command::Status(status) => with_runtime(status::run(project, status)),
        Command::Switchover(switchover) => with_runtime(switchover::run(project, switchover)),
        Command::Failover(failover) => with_runtime(failover::run(project, failover)),
        Command::Drill(drill) => with_runtime(drill::run(project, drill)),
        Command::Start(start) => with_runtime(members::start(project, start)),
        Command::Stop(stop) => with_runtime(members::stop(project, stop)),
        Command::Restart(restart) => with_runtime(members::restart(project, restart)),
        Command::Reload(reload) => with_runtime(members::reload(project, reload)),
        Command::Reinit(reinit) => with_runtime(members::reinit(project, reinit)),
        Command::Unlock(unlock) => with_runtime(members::unlock(project, unlock)),
        Command::Pause(pause) => with_runtime(members::pause(project, pause)),
        Command::Resume(resume) => with_runtime(members::resume(project, resume)),
        Command::Config(config) => with_runtime(config::run(project, config.command)),
        Command::Logs(logs) => with_runtime(logs::run(project, logs)),
        Command::History(history) => with_runtime(history::run(project, history)),
        Command::Connection(connection) => with_runtime(connection::run(project, connection)),
        Command::Doctor(doctor) => with_runtime(doctor::run(project, doctor)),
        Command::Certs(certs) => with_runtime(certs::run(project, certs)),
        Command::Secrets(secrets) => with_runtime(secrets::run(project, secrets)),
        Command::State(state) => with_runtime(state::run(project, state)),
        Command::Connect(connect) => with_runtime(connect::run(project, connect)),
        Command::Backup(backup) => with_runtime(backup::run(project, backup)),
        Command::ScaleIn(scale_in) => with_runtime(scale_in::run(project, scale_in)),
        Command::Restore(restore) => with_runtime(restore::run(project, restore)),
        Command::Destroy(destroy) => with_runtime(destroy::run(project, destroy)),
        Command::Playbook(playbook) => with_runtime(playbook::run(project, playbook)),
        Command::Run(task) => with_runtime(adhoc::run(project, task)),
        Command::Exec(exec) => with_runtime(adhoc::stream(project, exec)),
        Command::Vault(vault) => vault::run(vault.command),
        Command::InstallLinks(links) => links::run(&links),
        Command::Lint(lint) => lint::run(project, &lint),
        Command::Inventory(inventory) => inventory::run(project, &inventory),
        Command::Lab(lab) => Ok(lab::run(&project, lab)),
        Command::Init(init) => Ok(init::run(&init)),
        Command::Completions { shell } => Ok(completions::run(shell)),
    };
    result.unwrap_or_else(|error| {
        screen::error(&error);
        Exit::from(&error)
    })
}

/// Does work that waits for others.
pub(crate) fn with_runtime<T>(work: impl Future<Output = Result<T, WorkflowError>>) -> Result<T, WorkflowError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| WorkflowError::Failed(format!("no threads to run on: {error}")))?;
    let result = runtime.block_on(work);
    // Sessions that still wait for a host that is gone must not keep the person waiting.
    runtime.shutdown_background();
    result
}
