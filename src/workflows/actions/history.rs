//! `patroni_history`: which node led since when, and why that changed.

use serde_json::{Value, json};

use super::{Done, Trouble, Work};

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let seen = work.look_at_members().await?;
    let node = work.speaker(&seen)?;
    let answer = work.nodes.get(node, &format!("{}/history", node.patroni_url)).await?;
    let Some(Value::Array(lines)) = answer.json() else {
        return Err(Trouble::failed(format!("Patroni on {} answers {} to /history", node.name, answer.status)));
    };
    let part = |line: &Value, index: usize| line.get(index).cloned().unwrap_or_default();
    let row = |line: &Value| {
        let position = part(line, 1).as_u64().map(|lsn| format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff));
        json!({"timeline": part(line, 0), "lsn": position, "reason": part(line, 2), "time": part(line, 3), "new_leader": part(line, 4)})
    };
    let rows: Vec<Value> = lines.iter().map(row).collect();
    let leader = seen.view.leader().map(|leader| json!({"name": leader.name, "timeline": leader.timeline}));
    Ok(Done::unchanged().with("history", rows).with("leader", leader.unwrap_or_default()))
}
