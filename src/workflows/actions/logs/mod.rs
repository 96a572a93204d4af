//! `cluster_logs`: what the services of all nodes have written, merged by time. Each line is told as JSON, for whoever shows it.

mod files;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use pgfleet_protocol::Items;
use serde_json::{Map, Value, json};

use super::{Done, Trouble, Work};
use crate::nodes::Node;

/// The services whose lines are shown.
const UNITS: [&str; 5] = ["etcd", "patroni", "postgresql", "haproxy", "pgfleet-agent"];
/// How long a host may take to read its journal.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a journal is asked for more.
const BEAT: Duration = Duration::from_millis(700);

/// One line of a log.
struct Line {
    /// Microseconds since 1970, in UTC.
    at: u64,
    node: String,
    unit: &'static str,
    text: String,
}

/// What is asked for.
struct Wish {
    units: Vec<String>,
    since: Option<String>,
    lines: u64,
}

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let names: Items = work.argument("nodes")?.unwrap_or_default();
    let units: Items = work.argument("units")?.unwrap_or_default();
    if let Some(unknown) = units.iter().find(|unit| !UNITS.contains(&unit.as_str())) {
        return Err(
            Trouble::refused(format!("'{unknown}' is no service of a cluster")).hint(format!("its services are {}", UNITS.join(", ")))
        );
    }
    let nodes: Vec<&Node> = match names.as_slice() {
        [] => work.nodes.all().iter().collect(),
        names => names.iter().map(|name| work.node(name)).collect::<Result<_, _>>()?,
    };
    let wish = Wish { units, since: work.argument("since")?, lines: work.argument("lines")?.unwrap_or(100) };
    let follow: bool = work.argument("follow")?.unwrap_or(false);
    let mut cursors: BTreeMap<String, String> = BTreeMap::new();
    let mut places: Vec<files::Place> = vec![files::Place::default(); nodes.len()];
    let mut silent: BTreeMap<String, String> = BTreeMap::new();
    let mut told = 0;
    loop {
        let read = join_all(nodes.iter().map(|node| read(work, node, &wish, cursors.get(&node.name).map(String::as_str)))).await;
        let mut lines = Vec::new();
        for (node, read) in nodes.iter().zip(read) {
            match read {
                Ok((found, cursor)) => {
                    if silent.remove(&node.name).is_some() {
                        tell_of(work, node, "it answers again");
                    }
                    lines.extend(found);
                    if let Some(cursor) = cursor {
                        cursors.insert(node.name.clone(), cursor);
                    }
                }
                Err(reason) if silent.contains_key(&node.name) => drop(reason),
                Err(reason) => {
                    tell_of(work, node, &reason);
                    silent.insert(node.name.clone(), reason);
                }
            }
        }
        let is_wanted = |node: &Node| node.is_node && !silent.contains_key(&node.name);
        if wish.units.is_empty() || wish.units.iter().any(|unit| unit == "postgresql") {
            let own = nodes.iter().zip(&mut places).filter(|(node, _)| is_wanted(node));
            lines.extend(join_all(own.map(|(node, place)| files::read(work, node, &wish, place))).await.into_iter().flatten());
        }
        lines.sort_by_key(|line| line.at);
        // Of many nodes' last lines, the last of all.
        let surplus = if wish.since.is_none() && told == 0 {
            lines.len().saturating_sub(usize::try_from(wish.lines).unwrap_or(usize::MAX))
        } else {
            0
        };
        for line in lines.into_iter().skip(surplus) {
            told += 1;
            work.teller.say(&json!({"at": line.at, "node": line.node, "unit": line.unit, "text": line.text}).to_string());
        }
        if !follow || work.stop.is_asked() {
            break;
        }
        tokio::time::sleep(BEAT).await;
        if work.stop.is_asked() {
            break;
        }
    }
    if silent.len() == nodes.len() {
        return Err(Trouble::failed(silent.into_values().collect::<Vec<_>>().join("; ")));
    }
    Ok(Done::unchanged().with("lines", told))
}

/// Tells about a node instead of for it.
fn tell_of(work: &Work, node: &Node, what: &str) {
    let what = what.strip_prefix(&format!("{}: ", node.name)).unwrap_or(what);
    work.teller.say(&json!({"at": null, "node": node.name, "unit": "pgfleet", "text": what}).to_string());
}

/// The lines of a node that are new since a place in its journal, and the place after them.
async fn read(work: &Work, node: &Node, wish: &Wish, cursor: Option<&str>) -> Result<(Vec<Line>, Option<String>), String> {
    let mut argv: Vec<String> =
        "journalctl --no-pager --quiet --output=json --output-fields=MESSAGE,_COMM,UNIT,_SYSTEMD_UNIT --show-cursor"
            .split(' ')
            .map(str::to_owned)
            .collect();
    for unit in UNITS.iter().filter(|unit| wish.units.is_empty() || wish.units.iter().any(|wanted| wanted == *unit)) {
        // PostgreSQL runs as Patroni's child and writes to the same journal.
        argv.push(format!("--unit={}", if *unit == "postgresql" { "patroni" } else { *unit }));
    }
    match (cursor, &wish.since) {
        (Some(cursor), _) => argv.push(format!("--after-cursor={cursor}")),
        (None, Some(since)) => argv.push(format!("--since={since}")),
        (None, None) => argv.push(format!("--lines={}", wish.lines)),
    }
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let ended = work.nodes.run(node, &argv, "", LIMIT).await?;
    if ended.rc != 0 && ended.stdout.is_empty() {
        return Err(format!("{}: journalctl: {}", node.name, ended.stderr.trim()));
    }
    let mut lines = Vec::new();
    let mut place = None;
    for text in ended.stdout.lines() {
        if let Some(cursor) = text.strip_prefix("-- cursor: ") {
            place = Some(cursor.to_owned());
        } else if let Ok(Value::Object(entry)) = serde_json::from_str(text) {
            place = entry.get("__CURSOR").and_then(Value::as_str).map(str::to_owned).or(place);
            lines.extend(line(node, &entry).filter(|line| wish.units.is_empty() || wish.units.iter().any(|unit| unit == line.unit)));
        }
    }
    Ok((lines, place))
}

fn line(node: &Node, entry: &Map<String, Value>) -> Option<Line> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let message = match entry.get("MESSAGE")? {
        Value::String(text) => text.clone(),
        // What is no UTF-8 comes as numbers.
        Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => return None,
    };
    let unit = text("UNIT").or_else(|| text("_SYSTEMD_UNIT")).unwrap_or_default().trim_end_matches(".service");
    let is_postgres = text("_COMM").is_some_and(|program| program.starts_with("postgres") || program.starts_with("pg_"));
    let unit = match unit {
        "patroni" if is_postgres => "postgresql",
        other => UNITS.iter().find(|unit| **unit == other).copied().unwrap_or("systemd"),
    };
    Some(Line { at: text("__REALTIME_TIMESTAMP")?.parse().ok()?, node: node.name.clone(), unit, text: message })
}
