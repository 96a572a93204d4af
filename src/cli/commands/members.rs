//! `pgfleet start`, `stop`, `restart`, `reload`, `reinit`, `pause`, `resume`, `unlock`: what is done to the members of a cluster.

use pgfleet_workflows::{Operated, Operation, Project, WorkflowError};
use serde_json::Value;

use super::operate::{self, Consent};
use crate::args::{MemberArgs, ReinitArgs, ReloadArgs, RestartArgs, StartArgs, StopArgs, UnlockArgs};
use crate::exit::Exit;

pub(crate) async fn restart(project: Project, args: RestartArgs) -> Result<Exit, WorkflowError> {
    let variables = [
        ("target_node", args.node.map(Value::from)),
        ("restart_pending", args.pending.then_some(Value::Bool(true))),
        ("restart_in_place", args.in_place.then_some(Value::Bool(true))),
        ("member_force", args.force.then_some(Value::Bool(true))),
    ];
    operate::run(project, &args.run, operation("restart", variables), Consent::NotNeeded, |done| summary(done, "patroni_restart")).await
}

pub(crate) async fn start(project: Project, args: StartArgs) -> Result<Exit, WorkflowError> {
    let operation = operation("start", [("target_node", args.node.map(Value::from))]);
    operate::run(project, &args.run, operation, Consent::NotNeeded, |done| summary(done, "cluster_start")).await
}

pub(crate) async fn stop(project: Project, args: StopArgs) -> Result<Exit, WorkflowError> {
    let consent = match &args.node {
        Some(_) => Consent::NotNeeded,
        None => Consent::Typed { given: args.yes, because: "The whole cluster will be stopped: nobody can read or write" },
    };
    let variables = [
        ("target_node", args.node.map(Value::from)),
        ("stop_switchover", args.switchover.then_some(Value::Bool(true))),
        ("member_force", args.force.then_some(Value::Bool(true))),
    ];
    operate::run(project, &args.run, operation("stop", variables), consent, |done| summary(done, "cluster_stop")).await
}

pub(crate) async fn reload(project: Project, args: ReloadArgs) -> Result<Exit, WorkflowError> {
    let operation = operation("reload", [("target_node", args.node.map(Value::from))]);
    operate::run(project, &args.run, operation, Consent::NotNeeded, |done| summary(done, "patroni_reload")).await
}

pub(crate) async fn reinit(project: Project, args: ReinitArgs) -> Result<Exit, WorkflowError> {
    let variables = [("target_node", Some(Value::from(args.node))), ("member_force", args.force.then_some(Value::Bool(true)))];
    let consent = Consent::Typed { given: args.yes, because: "The replica's data will be deleted and copied anew from the leader" };
    operate::run(project, &args.run, operation("reinit", variables), consent, |done| summary(done, "patroni_reinit")).await
}

pub(crate) async fn pause(project: Project, args: MemberArgs) -> Result<Exit, WorkflowError> {
    operate::run(project, &args.run, operation("pause", []), Consent::NotNeeded, |done| summary(done, "patroni_pause")).await
}

pub(crate) async fn resume(project: Project, args: MemberArgs) -> Result<Exit, WorkflowError> {
    operate::run(project, &args.run, operation("resume", []), Consent::NotNeeded, |done| summary(done, "patroni_pause")).await
}

pub(crate) async fn unlock(project: Project, args: UnlockArgs) -> Result<Exit, WorkflowError> {
    let because = "The run that has the cluster will be cut off wherever it is";
    // The lock of this project may be what hangs.
    let operation = Operation { looks_only: true, ..operation("unlock", []) };
    let consent = Consent::Typed { given: args.yes, because };
    operate::run(project, &args.run, operation, consent, |done| summary(done, "cluster_unlock")).await
}

/// An operation with those of the variables that were given.
pub(super) fn operation<const N: usize>(name: &'static str, variables: [(&str, Option<Value>); N]) -> Operation {
    let given = variables.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Operation { name, variables: given.collect(), ..Operation::default() }
}

/// The last lines: what the module says of its work.
pub(super) fn summary(operated: &Operated, module: &str) -> Vec<String> {
    let text = operated.results.get(module).and_then(|result| result.get("summary")?.as_str());
    text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}
