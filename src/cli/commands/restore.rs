//! `pgfleet restore`, and what is decided about it later.

use pgfleet_workflows::{Operated, Operation, Project, WorkflowError};

use super::operate::{self, Consent};
use crate::args::{PendingArgs, RestoreArgs, RestoreCommand, RunArgs};
use crate::exit::Exit;
use crate::prompt;

pub(crate) async fn run(project: Project, args: RestoreArgs) -> Result<Exit, WorkflowError> {
    match args.command {
        None => restore(project, args).await,
        Some(RestoreCommand::List(list)) => {
            let operation = Operation { looks_only: true, ..operation("list", list.backup) };
            operate::run(project, &list.run, operation, Consent::NotNeeded, summary).await
        }
        Some(RestoreCommand::Commit(commit)) => decide(project, commit, "commit", "what the restore has kept is removed").await,
        Some(RestoreCommand::Undo(undo)) => decide(project, undo, "undo", "the databases from before the restore come back").await,
    }
}

async fn restore(project: Project, args: RestoreArgs) -> Result<Exit, WorkflowError> {
    let mut operation = operation("restore", args.backup);
    operation.variables.insert("restore_databases".to_owned(), args.databases.into());
    operation.variables.insert("restore_project".to_owned(), project.root().display().to_string().into());
    if !args.yes && !args.run.check && prompt::is_possible() {
        // First what would be done, then the question.
        let preview = RunArgs { check: true, ..args.run.clone() };
        let seen = operate::run(project.clone(), &preview, operation.clone(), Consent::NotNeeded, summary).await?;
        if seen != Exit::Done {
            return Ok(seen);
        }
    }
    let consent = Consent::Typed { given: args.yes, because: "these databases are replaced, and those of now are kept under another name" };
    operate::run(project, &args.run, operation, consent, summary).await
}

async fn decide(project: Project, args: PendingArgs, action: &str, because: &'static str) -> Result<Exit, WorkflowError> {
    let consent = Consent::Typed { given: args.yes, because };
    operate::run(project, &args.run, operation(action, args.backup), consent, summary).await
}

fn operation(action: &str, backup: Option<String>) -> Operation {
    let mut operation = Operation { name: "restore", ..Operation::default() };
    operation.variables.insert("restore_action".to_owned(), action.into());
    if let Some(backup) = backup {
        operation.variables.insert("backup_id".to_owned(), backup.into());
    }
    operation
}

fn summary(operated: &Operated) -> Vec<String> {
    let text = operated.results.get("postgresql_restore").and_then(|result| result.get("summary")?.as_str());
    text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}
