//! `pgfleet scale-in`.

use pgfleet_workflows::{Operated, Operation, Project, WorkflowError};

use super::operate::{self, Consent};
use crate::args::ScaleInArgs;
use crate::exit::Exit;

pub(crate) async fn run(project: Project, args: ScaleInArgs) -> Result<Exit, WorkflowError> {
    let mut operation = Operation { name: "scale-in", ..Operation::default() };
    operation.variables.insert("leaving_node".to_owned(), args.node.clone().into());
    operation.variables.insert("leaving_dead".to_owned(), args.dead.into());
    operation.variables.insert("leaving_switchover".to_owned(), args.switchover.into());
    let consent = Consent::Typed { given: args.yes, because: "the node leaves the cluster for good; its data stay on its disk" };
    let (node, check) = (args.node.clone(), args.run.check);
    operate::run(project, &args.run, operation, consent, |operated| summary(operated, &node, check)).await
}

fn summary(operated: &Operated, node: &str, check: bool) -> Vec<String> {
    let text = operated.results.get("cluster_leave").and_then(|result| result.get("summary")?.as_str());
    let mut lines: Vec<String> = text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default();
    if !lines.is_empty() && !check {
        lines.push(format!("Now take {node} out of the inventory: the next deploy would bring it back. Its data are still on its disk."));
    }
    lines
}
