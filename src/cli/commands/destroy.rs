//! `pgfleet destroy`.

use pgfleet_workflows::{Operation, Project, WorkflowError};

use super::operate::{self, Consent};
use crate::args::DestroyArgs;
use crate::exit::Exit;

pub(crate) async fn run(project: Project, args: DestroyArgs) -> Result<Exit, WorkflowError> {
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
