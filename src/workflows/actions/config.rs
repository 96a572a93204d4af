//! `patroni_config`: the settings that all nodes share. Shown, judged, or changed by one patch and followed until every node has read it.

use std::time::Duration;

use pgfleet_cluster::{Change, Parameter, Takes, Wrong, changes, joined, may_be_shared, merged, plain, read_assignment};
use pgfleet_protocol::Items;
use pgfleet_template::Problem;
use serde_json::{Map, Value, json};

use super::parameters::{late, parameters, readings, takes};
use super::seen::Seen;
use super::{Done, Trouble, Work};

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let assignments: Items = work.argument("set")?.unwrap_or_default();
    let patch: Map<String, Value> = work.argument("patch")?.unwrap_or_default();
    if let Some(node) = work.argument::<String>("judged_on")? {
        return judge_unborn(work, &node, &patch).await;
    }
    let seen = work.look_at_members().await?;
    let before = seen.config().ok_or_else(|| Trouble::failed("no Patroni tells the settings that nodes share"))?;
    if assignments.is_empty() && patch.is_empty() {
        return Ok(Done::unchanged().with("config", before));
    }
    let leader = work.node(&seen.view.working_leader()?.name)?;
    seen.view.may_decide()?;
    let parameters = parameters(work, leader).await?;
    let mut patch = Value::Object(patch);
    if work.argument("only_judges")?.unwrap_or(false) {
        let judged = changes(&json!({}), &patch, &parameters).map_err(|wrong| refused(&wrong))?;
        takes(work, leader, &values(&judged), &parameters).await?;
        return Ok(Done::unchanged());
    }
    for assignment in &assignments {
        patch = joined(&patch, &read_assignment(assignment, &parameters).map_err(|wrong| refused(&[wrong]))?);
    }
    let after = merged(&before, &patch);
    let changes = changes(&before, &after, &parameters).map_err(|wrong| refused(&wrong))?;
    if changes.is_empty() {
        return Ok(Done::unchanged().with("summary", "All of it is so already."));
    }
    takes(work, leader, &values(&changes), &parameters).await?;
    let owned: Map<String, Value> = work.argument("owned")?.unwrap_or_default();
    let difference: Vec<String> = changes.iter().flat_map(difference).collect();
    let mut notes = notes(&changes);
    notes.extend(of_deploy(&changes, &owned));
    let done = |text: Vec<String>| Done::changed().with("diff", difference.clone()).with("summary", text.join("\n"));
    if work.is_check() {
        return Ok(done(notes));
    }
    apply(work, &seen, &patch, &after, &changes, &parameters).await?;
    Ok(done(notes))
}

/// The new values of PostgreSQL's parameters.
fn values(changes: &[Change]) -> Vec<(&str, &Value)> {
    changes.iter().filter_map(|change| Some((change.parameter.as_deref()?, &change.after))).collect()
}

/// Judges what a cluster is to begin with, by the programs of the node that will lead it.
async fn judge_unborn(work: &Work, node: &str, patch: &Map<String, Value>) -> Result<Done, Trouble> {
    let parameters = patch.get("postgresql").and_then(|shared| shared["parameters"].as_object()).cloned().unwrap_or_default();
    let own: Vec<Wrong> = parameters.keys().filter_map(|name| may_be_shared(name).err()).collect();
    if !own.is_empty() {
        return Err(refused(&own));
    }
    let values: Vec<(&str, &Value)> = parameters.iter().map(|(name, value)| (name.as_str(), value)).collect();
    takes(work, work.node(node)?, &values, &[]).await?;
    Ok(Done::unchanged())
}

/// All that is wrong, with the names that were perhaps meant.
fn refused(wrong: &[Wrong]) -> Trouble {
    let reasons: Vec<&str> = wrong.iter().map(|wrong| wrong.reason.as_str()).collect();
    let trouble = Trouble::refused(reasons.join("; "));
    let near = wrong.iter().find_map(|wrong| {
        let name = wrong.reason.rsplit('\'').nth(1)?;
        let name = name.strip_prefix("postgresql.parameters.").unwrap_or(name);
        Problem::new("").did_you_mean(name, wrong.known.iter().map(String::as_str)).hint
    });
    trouble.hint(near.unwrap_or_else(|| "no setting was changed; 'pgfleet config show' shows what is set".to_owned()))
}

fn difference(change: &Change) -> Vec<String> {
    let line = |mark: char, value: &Value| match value {
        Value::Null => None,
        Value::Array(items) => Some(items.iter().map(|item| format!("{mark}{}: - {}", change.path, plain(item))).collect::<Vec<_>>()),
        other => Some(vec![format!("{mark}{}: {}", change.path, plain(other))]),
    };
    let (before, after) = (line('-', &change.before).unwrap_or_default(), line('+', &change.after).unwrap_or_default());
    // Of a list, only the lines that differ.
    let same = |other: &[String], text: &String| other.iter().any(|line| line[1..] == text[1..]);
    let old = before.iter().filter(|text| !same(&after, text)).cloned();
    old.chain(after.iter().filter(|text| !same(&before, text)).cloned()).collect()
}

/// When the changes count.
fn notes(changes: &[Change]) -> Vec<String> {
    let of = |wanted: &[Takes]| {
        let chosen = changes.iter().filter(|change| wanted.contains(&change.takes));
        chosen.map(|change| change.parameter.clone().unwrap_or_else(|| change.path.clone())).collect::<Vec<_>>().join(", ")
    };
    let mut notes = Vec::new();
    let now = of(&[Takes::Patroni, Takes::Reload]);
    if !now.is_empty() {
        notes.push(format!("Counts at once: {now}."));
    }
    let later = of(&[Takes::Restart, Takes::RestartReplicasFirst, Takes::RestartLeaderFirst]);
    if !later.is_empty() {
        notes.push(format!("Counts after a restart: {later}. When it suits: 'pgfleet restart --rolling --pending'."));
    }
    let (raised, lowered) = (of(&[Takes::RestartReplicasFirst]), of(&[Takes::RestartLeaderFirst]));
    if !raised.is_empty() {
        notes.push(format!("Raised, and replicas must not have less than their leader: {raised}. They restart first."));
    }
    if !lowered.is_empty() {
        notes.push(format!(
            "Lowered, and replicas must not have less than their leader: {lowered}. The leader restarts first, where it is."
        ));
    }
    notes
}

/// Which of them a deploy would set back, and where they are to be written so that it does not.
fn of_deploy(changes: &[Change], owned: &Map<String, Value>) -> Option<String> {
    let variable = |change: &Change| {
        let first = change.path.split('.').next().unwrap_or_default();
        let place = match (first, change.parameter.as_deref()) {
            (_, Some(name)) => {
                let parameters = owned.get("postgresql")?.get("parameters")?;
                return parameters
                    .get(name)
                    .filter(|value| plain(value) != plain(&change.after))
                    .map(|_| "postgresql_parameters".to_owned());
            }
            ("synchronous_mode", _) => return Some("postgresql_synchronous_mode".to_owned()),
            ("postgresql", _) if change.path == "postgresql.pg_hba" => return Some("postgresql_allowed_networks".to_owned()),
            ("postgresql", _) => return None,
            (name, _) => name,
        };
        let differs = owned.get(place).is_some_and(|value| plain(value) != plain(&change.after));
        let prefix = if place.starts_with("maximum_") { "" } else { "patroni_" };
        differs.then(|| format!("{prefix}{place}"))
    };
    let set_back: Vec<(String, String)> = changes.iter().filter_map(|change| Some((change.path.clone(), variable(change)?))).collect();
    if set_back.is_empty() {
        return None;
    }
    let paths: Vec<&str> = set_back.iter().map(|(path, _)| path.as_str()).collect();
    let mut variables: Vec<&str> = set_back.iter().map(|(_, variable)| variable.as_str()).collect();
    variables.sort_unstable();
    variables.dedup();
    let paths = paths.join(", ");
    Some(format!("The next deploy brings back what the inventory says of {paths}; to keep it, set {} there.", variables.join(", ")))
}

/// One patch; then waits until every node has it.
async fn apply(work: &Work, seen: &Seen, patch: &Value, after: &Value, changes: &[Change], known: &[Parameter]) -> Result<(), Trouble> {
    let node = work.speaker(seen)?;
    let limit = Duration::from_secs(2 * node.patroni_loop_wait + 15);
    let answer = work.nodes.patroni(node, "PATCH", "/config", patch, Duration::from_secs(20)).await;
    let begin = std::time::Instant::now();
    let kept = work.until("the settings are kept", Duration::from_secs(10), async || {
        if work.look().await.config().as_ref() == Some(after) { Ok(()) } else { Err("not yet".to_owned()) }
    });
    kept.await.map_err(|trouble| match &answer {
        Ok(answer) if answer.status == 200 => trouble,
        Ok(answer) => Trouble::failed(format!("Patroni on {} answers {}: {}", node.name, answer.status, answer.body.trim())),
        Err(reason) => Trouble::failed(reason.clone()),
    })?;
    let what = "every node has read the change";
    let names: Vec<&str> = changes.iter().filter_map(|change| change.parameter.as_deref()).collect();
    let query = readings(&names);
    let read = work.until(what, limit, async || {
        if names.is_empty() {
            return Ok(());
        }
        let seen = work.look().await;
        let told = work.each_says(&query).await;
        let late: Vec<String> = told.iter().filter_map(|(name, told)| late(&seen, name, told, changes, known)).collect();
        if late.is_empty() { Ok(()) } else { Err(late.join("; ")) }
    });
    let hint = "is it set otherwise there: by ALTER SYSTEM, or in the node's patroni.yml?";
    let read = read.await.map_err(|trouble| trouble.hint(hint));
    work.teller.say(&format!("{what}{} ({:.1} s)", if read.is_ok() { "" } else { ": failed" }, begin.elapsed().as_secs_f64()));
    read
}
