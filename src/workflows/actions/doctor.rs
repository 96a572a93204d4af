//! `cluster_doctor`: one look at every host and at the cluster, and what is wrong with them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures::future::{join, join_all};
use pgfleet_cluster::{Examined, Kept, Outcome, doctor, worst};
use pgfleet_protocol::Map;
use serde_json::{Value, json};

use super::{Done, Trouble, Work};
use crate::nodes::Node;

const LIMIT: Duration = Duration::from_secs(45);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let Some(script) = work.argument::<String>("script")? else { return Err(Trouble::failed("argument 'script' is missing")) };
    let days = work.argument::<Map>("passwords")?.unwrap_or_default();
    let seconds = |name: &str, usual: f64| -> Result<f64, Box<Trouble>> { Ok(work.argument(name).map_err(Box::new)?.unwrap_or(usual)) };
    let kept = Kept {
        password_days: days.into_iter().filter_map(|(name, days)| Some((name, days.as_u64()?))).collect::<BTreeMap<_, _>>(),
        old_password: work.argument("old_password")?.unwrap_or(365),
        interrupted: work.argument::<Vec<String>>("interrupted")?.unwrap_or_default(),
        exposed: work.argument::<Vec<String>>("exposed")?.unwrap_or_default(),
        clock: (seconds("clock_warn", 1.0).map_err(|trouble| *trouble)?, seconds("clock_fail", 10.0).map_err(|trouble| *trouble)?),
    };
    // Both at once, in lanes of their own.
    let examining = join_all(work.nodes.all().iter().map(|node| examine(work, node, &script)));
    let ((view, _), hosts) = join(work.nodes.view(), examining).await;
    let checks = doctor(&view, &hosts, &kept);
    let count = |result: Outcome| checks.iter().filter(|check| check.result == result).count();
    let summary = format!("{} passed, {} to look at, {} failed", count(Outcome::Pass), count(Outcome::Warn), count(Outcome::Fail));
    let done = Done::unchanged().with("healthy", worst(&checks) != Outcome::Fail);
    Ok(done.with("cluster", view.name.as_str()).with("checks", json!(checks)).with("summary", summary))
}

async fn examine(work: &Work, node: &Node, script: &str) -> Examined {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut words = vec!["env".to_owned()];
    words.extend(node.inspect.iter().map(|(name, value)| format!("{name}={}", text(value))));
    words.extend(["bash", "-c", script].map(str::to_owned));
    let begin = now();
    let said = work.nodes.run_beside(node, 2, &words.iter().map(String::as_str).collect::<Vec<_>>(), "", LIMIT).await;
    let said = said.and_then(|ended| match ended.stdout.is_empty() {
        false => Ok(ended.stdout),
        true => Err(format!("{}: it could not be looked at: {}", node.name, ended.stderr.trim())),
    });
    Examined { node: node.name.clone(), said, asked: (begin, now()) }
}

/// The controller's clock.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(|time| time.as_secs_f64()).unwrap_or_default()
}
