//! `pgfleet switchover`.

use pgfleet_workflows::{Operated, Operation, Project, WorkflowError};

use super::operate::{self, Consent};
use crate::args::SwitchoverArgs;
use crate::exit::Exit;

pub(crate) async fn run(project: Project, args: SwitchoverArgs) -> Result<Exit, WorkflowError> {
    let mut operation = Operation { name: "switchover", ..Operation::default() };
    for (name, value) in [("target_node", args.target), ("switchover_at", args.at)] {
        if let Some(value) = value {
            operation.variables.insert(name.to_owned(), value.into());
        }
    }
    for (name, value) in [("switchover_cancel", args.cancel), ("switchover_force", args.force), ("switchover_no_probe", args.no_probe)] {
        if value {
            operation.variables.insert(name.to_owned(), true.into());
        }
    }
    operate::run(project, &args.run, operation, Consent::NotNeeded, summary).await
}

fn summary(operated: &Operated) -> Vec<String> {
    let text = operated.results.get("patroni_switchover").and_then(|result| result.get("summary")?.as_str());
    text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}
