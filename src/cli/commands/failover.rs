//! `pgfleet failover`: what would be lost is looked up and told first, then agreed to, then done.

use pgfleet_engine::Stop;
use pgfleet_protocol::Mode;
use pgfleet_workflows::{Operation, Project, WorkflowError, cluster_name};
use serde_json::Value;

use super::look::{Looked, look};
use super::members::{operation, summary};
use super::operate::{self, Consent, agreed};
use crate::args::FailoverArgs;
use crate::exit::Exit;
use crate::settings;

pub(crate) async fn run(project: Project, args: FailoverArgs) -> Result<Exit, WorkflowError> {
    let variables = [("target_node", args.target.map(Value::from)), ("member_force", args.force.then_some(Value::Bool(true)))];
    let mut operation = operation("failover", variables);
    if !args.force && !args.run.check {
        let stop = Stop::default();
        let mut wish = settings::wish(project.clone(), &args.run, stop.clone())?;
        wish.mode = Mode::Check;
        let question = Operation { looks_only: true, ..operation.clone() };
        let found = match look(&wish, &question, &stop, |_| {}).await? {
            Looked::Found(operated) => operated.results.get("patroni_failover").cloned().unwrap_or_default(),
            Looked::Ended(exit) => return Ok(exit),
        };
        let text = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        agreed(&cluster_name(&wish)?, &format!("{} will lead. {}", text("candidate"), text("loss").trim_end_matches('.')), "--force")?;
        // The node that was agreed to, not whichever is best by then.
        operation.variables.insert("target_node".to_owned(), text("candidate").into());
        operation.variables.insert("failover_agreed".to_owned(), found.get("behind").cloned().unwrap_or_default());
    }
    operate::run(project, &args.run, operation, Consent::NotNeeded, |done| summary(done, "patroni_failover")).await
}
