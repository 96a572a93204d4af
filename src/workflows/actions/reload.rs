//! `patroni_reload`: Patroni and PostgreSQL read their configuration again. Patroni only promises it; PostgreSQL says when it was.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use super::{Done, Trouble, Work};

/// When PostgreSQL last read its configuration.
const READ_AT: &str = "SELECT extract(epoch FROM pg_conf_load_time());";

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let wanted: Option<String> = work.argument("node")?;
    if let Some(name) = &wanted {
        work.node(name)?;
    }
    let seen = work.look_at_members().await?;
    let chosen: Vec<_> = work.nodes.databases().filter(|node| wanted.as_ref().is_none_or(|name| *name == node.name)).collect();
    let speaking = seen.speaking();
    let silent: Vec<&str> = chosen.iter().map(|node| node.name.as_str()).filter(|name| !speaking.contains(name)).collect();
    if !silent.is_empty() {
        let trouble = Trouble::refused(format!("no Patroni answers on {}", silent.join(", ")));
        return Err(trouble.hint("name one node that shall reload, or bring it back with 'pgfleet start NODE'"));
    }
    let names: Vec<&str> = chosen.iter().map(|node| node.name.as_str()).collect();
    if work.is_check() {
        return Ok(Done::changed().with("summary", format!("Would reload: {}.", names.join(", "))));
    }
    let before: BTreeMap<String, String> = work.each_says(READ_AT).await.into_iter().collect();
    let none = json!({});
    let asked = join_all(chosen.iter().map(|node| work.nodes.patroni(node, "POST", "/reload", &none, Duration::from_secs(20)))).await;
    let limit = Duration::from_secs(chosen.first().map_or(10, |node| node.patroni_loop_wait) + 20);
    let waited = work.step("PostgreSQL has read its configuration again", async {
        work.until("reload", limit, async || {
            let now: BTreeMap<String, String> = work.each_says(READ_AT).await.into_iter().collect();
            let late: Vec<&str> =
                names.iter().copied().filter(|name| !now.contains_key(*name) || now.get(*name) == before.get(*name)).collect();
            if late.is_empty() { Ok(()) } else { Err(format!("not yet {}", late.join(", "))) }
        })
        .await
    });
    waited.await.map_err(|trouble| {
        let refusals = asked.iter().zip(&names).filter_map(|(asked, name)| match asked {
            Ok(answer) if answer.status == 202 => None,
            Ok(answer) => Some(format!("{name} answers {}: {}", answer.status, answer.body.trim())),
            Err(reason) => Some(reason.clone()),
        });
        let refusals: Vec<String> = refusals.collect();
        if refusals.is_empty() { trouble } else { Trouble::failed(refusals.join("; ")) }
    })?;
    let pending: Vec<String> =
        work.look().await.view.members.iter().filter(|member| member.pending_restart).map(|member| member.name.clone()).collect();
    let pending = match pending.as_slice() {
        [] => String::new(),
        names => format!(" {} wait for a restart: 'pgfleet restart --rolling --pending'.", names.join(", ")),
    };
    Ok(Done::changed().with("summary", format!("Reloaded: {}.{pending}", names.join(", "))))
}
