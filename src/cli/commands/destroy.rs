//! `pgfleet destroy`.

use pgfleet_workflows::{Operation, Project, WorkflowError};

use super::operate::{self, Consent};
use crate::args::DestroyArgs;
use crate::exit::Exit;
use crate::screen;

pub(crate) async fn run(project: Project, args: DestroyArgs) -> Result<Exit, WorkflowError> {
    if args.backup {
        let made = backup(&project, &args).await?;
        if !matches!(made, Exit::Done | Exit::ChangesPending) {
            screen::hint("no backup, so nothing was destroyed");
            return Ok(made);
        }
    }
    let mut operation = Operation { name: "destroy", ..Operation::default() };
    operation.variables.insert("destroy_packages".to_owned(), args.packages.into());
    let consent = Consent::Typed { given: args.yes, because: "the cluster is removed from its hosts, with all its data" };
    let check = args.run.check;
    operate::run(project, &args.run, operation, consent, |operated| {
        let recap = &operated.finished.recap;
        let is_done = recap.failed_hosts().chain(recap.unreachable_hosts()).next().is_none() && !operated.finished.interrupted && !check;
        if is_done {
            vec!["The cluster is gone. Its secrets and backups are still in the state folder; 'pgfleet deploy' makes a new one.".to_owned()]
        } else {
            Vec::new()
        }
    })
    .await
}

/// The last backup.
async fn backup(project: &Project, args: &DestroyArgs) -> Result<Exit, WorkflowError> {
    let operation = Operation { name: "backup", ..Operation::default() };
    operate::run(project.clone(), &args.run, operation, Consent::NotNeeded, |operated| {
        let text = operated.results.get("postgresql_dump").and_then(|result| result.get("summary")?.as_str());
        text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
    })
    .await
}
