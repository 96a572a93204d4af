//! `async_status`: what has become of a call that nobody waited for.

use pgfleet_protocol::modules::facts::{AsyncMode, AsyncStatus};
use pgfleet_protocol::{Outcome, Status};

use crate::detached::{Job, folder};
use crate::module::{Context, Failure, Plan, Planned, WithContext};

pub(crate) fn plan(arguments: &AsyncStatus, context: &Context) -> Planned {
    let job = arguments.jid.as_str();
    if job.is_empty() || job.contains('/') {
        return Err(Failure::new(format!("'{job}' is no name of a job")));
    }
    let path = folder(context.system, context.environment)?.join(job);
    let shown = path.to_string_lossy().into_owned();
    let Some(bytes) = context.system.read_if_there(&path).context(format!("cannot read {shown}"))? else {
        let failure = Failure::new("could not find job").with("ansible_job_id", job).with("results_file", shown);
        return Err(failure.with("started", true).with("finished", true).with("stdout", "").with("stderr", ""));
    };
    if arguments.mode == AsyncMode::Cleanup {
        let outcome = Outcome::unchanged().with("ansible_job_id", job).with("erased", shown);
        let outcome = outcome.with("started", false).with("finished", false).with("stdout", "").with("stderr", "");
        return Ok(Plan::change(outcome, move |context, outcome| {
            context.system.remove_file(&path).context(format!("cannot remove {}", path.display()))?;
            Ok(outcome)
        }));
    }
    let read: Job = serde_json::from_slice(&bytes).map_err(|error| Failure::new(format!("cannot read {shown}: {error}")))?;
    let finished = read.outcome.is_some();
    let mut outcome = read.outcome.unwrap_or_default();
    if outcome.status == Status::Skipped {
        outcome.status = Status::Unchanged;
    }
    for (name, value) in [("stdout", ""), ("stderr", "")] {
        outcome.data.entry(name).or_insert_with(|| value.into());
    }
    Ok(Plan::Done(outcome.with("ansible_job_id", job).with("results_file", shown).with("started", true).with("finished", finished)))
}
