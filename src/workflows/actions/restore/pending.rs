//! What restores have kept beside: listed, removed, or brought back.

use serde_json::{Value, json};

use super::load::drop_database;
use super::sql::{Beside, Renaming, beside, parted};
use super::{Done, SHORT, Trouble, Work, change_names, leader};
use crate::nodes::Node;
use pgfleet_cluster::shown_bytes;

/// A database beside the one that has the name.
#[derive(Clone, Debug)]
struct Kept {
    name: String,
    of: String,
    what: Beside,
    id: String,
    bytes: u64,
}

impl Kept {
    fn told(&self) -> String {
        let what = match self.what {
            Beside::Restore => format!("a restore of {} that did not end", self.of),
            Beside::Before => format!("{} as it was before its restore", self.of),
            Beside::Undone => format!("{} as it was when its restore was undone", self.of),
        };
        format!("{}: {what} ({})", self.name, shown_bytes(self.bytes))
    }
}

/// What is kept, and the names of all databases.
async fn all(work: &Work, leader: &Node) -> Result<(Vec<Kept>, Vec<String>), Trouble> {
    let query = "SELECT datname AS name, pg_database_size(oid) AS bytes FROM pg_database ORDER BY 1";
    let rows = work.nodes.rows(leader, "postgres", query, SHORT).await?;
    let names: Vec<String> = rows.iter().filter_map(|row| row.get("name")?.as_str().map(str::to_owned)).collect();
    let kept = rows.iter().filter_map(|row| {
        let name = row.get("name")?.as_str()?;
        let (of, what, id) = parted(name)?;
        let bytes = row.get("bytes").and_then(Value::as_u64).unwrap_or_default();
        Some(Kept { name: name.to_owned(), of: of.to_owned(), what, id: id.to_owned(), bytes })
    });
    Ok((kept.collect(), names))
}

/// Those of one restore; where a person names none, there must be only one.
fn of_one(work: &Work, kept: Vec<Kept>) -> Result<Vec<Kept>, Trouble> {
    let named = work.argument::<String>("backup")?;
    let mut ids: Vec<String> = kept.iter().map(|one| one.id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let listed = ids.join(", ");
    let chosen: Vec<String> = ids.into_iter().filter(|id| named.as_ref().is_none_or(|named| id.starts_with(named.as_str()))).collect();
    match (chosen.as_slice(), named) {
        ([id], _) => Ok(kept.into_iter().filter(|one| one.id == *id).collect()),
        ([], None) => Err(Trouble::refused("no restore waits for a decision")),
        ([], Some(named)) => {
            let trouble = Trouble::refused(format!("no restore of {named} waits for a decision"));
            Err(trouble.hint(if listed.is_empty() { "none does".to_owned() } else { format!("these do: {listed}") }))
        }
        (several, _) => {
            Err(Trouble::refused(format!("several restores wait for a decision: {}", several.join(", "))).hint("name one of them"))
        }
    }
}

pub(super) async fn list(work: &Work) -> Result<Done, Trouble> {
    let (kept, _) = all(work, leader(work).await?).await?;
    let lines: Vec<String> = kept.iter().map(Kept::told).collect();
    let told = if kept.is_empty() { "no restore waits for a decision".to_owned() } else { lines.join("\n") };
    let listed: Vec<Value> = kept
        .iter()
        .map(|one| json!({"name": one.name, "database": one.of, "kind": one.what.word(), "backup": one.id, "bytes": one.bytes}))
        .collect();
    Ok(Done::unchanged().with("summary", told).with("pending", listed))
}

pub(super) async fn commit(work: &Work) -> Result<Done, Trouble> {
    let leader = leader(work).await?;
    let kept = of_one(work, all(work, leader).await?.0)?;
    let lines: Vec<String> = kept.iter().map(Kept::told).collect();
    if work.is_check() {
        return Ok(Done::changed().with("summary", format!("would remove:\n  {}", lines.join("\n  "))));
    }
    for one in &kept {
        work.step(&format!("removing {}", one.name), drop_database(work, leader, &one.name)).await?;
    }
    Ok(Done::changed().with("summary", format!("removed:\n  {}", lines.join("\n  "))))
}

pub(super) async fn undo(work: &Work) -> Result<Done, Trouble> {
    let leader = leader(work).await?;
    let (kept, names) = all(work, leader).await?;
    let before: Vec<Kept> = of_one(work, kept)?.into_iter().filter(|one| one.what == Beside::Before).collect();
    if before.is_empty() {
        return Err(Trouble::refused("nothing was kept that could be brought back").hint("see 'pgfleet restore list'"));
    }
    let (mut renamings, mut told) = (Vec::new(), Vec::new());
    for one in &before {
        let mut line = format!("{} is as it was before the restore", one.of);
        if names.contains(&one.of) {
            let aside = beside(&one.of, Beside::Undone, &one.id).map_err(Trouble::refused)?;
            line.push_str(&format!("; what was restored and written since then is in {aside}, until 'pgfleet restore commit'"));
            renamings.push(Renaming { from: one.of.clone(), to: aside, opens: false });
        }
        told.push(line);
        renamings.push(Renaming { from: one.name.clone(), to: one.of.clone(), opens: true });
    }
    let told = told.join("\n");
    if work.is_check() {
        return Ok(Done::changed().with("summary", format!("would be done, so that\n{told}")));
    }
    work.step("the names change hands", change_names(work, leader, &renamings)).await?;
    Ok(Done::changed().with("summary", told))
}
