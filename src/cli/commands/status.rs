//! `pgfleet status`.

use std::time::Duration;

use console::Style;
use pgfleet_cluster::{ClusterView, Finding, Severity, shown_bytes};
use pgfleet_engine::Stop;
use pgfleet_state::time_of;
use pgfleet_workflows::{Project, Wish, WorkflowError, backups, status};
use serde::Serialize;

use super::backup::{age_in_seconds, age_of};
use crate::args::{StatusArgs, StatusOutput};
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::table::Table;
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: StatusArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let mut wish = settings::wish_to_look(project, &args.source, &args.connection, stop.clone())?;
    // A host that is gone shall be a row soon, not a wait.
    wish.connect_timeout = wish.connect_timeout.or(Some(Duration::from_secs(4)));
    loop {
        let Some(view) = until_done(status(&wish), &stop).await else { return Ok(Exit::Interrupted) };
        let mut view = view?;
        let last_backup = look_at_backups(&wish, &mut view.findings)?;
        let view = Shown { view, last_backup };
        let shown = show(&view, args.output)?;
        let view = view.view;
        if args.watch.is_some() && console::Term::stdout().is_term() {
            screen::clear();
        }
        screen::text(&shown);
        let Some(seconds) = args.watch else { return Ok(if view.is_healthy() { Exit::Done } else { Exit::NotHealthy }) };
        if stop.is_asked() || until_done(tokio::time::sleep(Duration::from_secs(seconds.max(1))), &stop).await.is_none() || stop.is_asked()
        {
            return Ok(if view.is_healthy() { Exit::Done } else { Exit::NotHealthy });
        }
    }
}

/// The cluster, and what this machine knows of it beside.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    view: ClusterView,
    last_backup: Option<LastBackup>,
}

/// The newest backup that is good.
#[derive(Serialize)]
struct LastBackup {
    id: String,
    bytes: u64,
    source: String,
    proven_at: Option<String>,
}

/// A day, and some time for the backup itself.
const OLD: u64 = 26 * 3600;

/// The newest good backup; what a person should know of the others becomes notices, since the cluster itself is none the worse.
fn look_at_backups(wish: &Wish, findings: &mut Vec<Finding>) -> Result<Option<LastBackup>, WorkflowError> {
    let entries = backups(wish)?.list()?;
    let newest = entries.iter().rposition(|entry| entry.good().is_some());
    let mut notice = |text: String, hint: &str| findings.push(Finding { severity: Severity::Notice, text, hint: Some(hint.to_owned()) });
    if let Some(last) = entries.last().filter(|last| last.good().is_none()) {
        let reason = last.manifest.as_ref().ok().and_then(|manifest| manifest.failure.clone());
        let reason = reason.unwrap_or_else(|| "it is not complete: it is being made, or its making was cut off".to_owned());
        notice(format!("the backup {} is of no use: {reason}", last.id), "pgfleet backup makes another one");
    }
    let Some(entry) = newest.and_then(|at| entries.get(at)) else { return Ok(None) };
    if age_in_seconds(&entry.id).is_some_and(|age| age > OLD) {
        notice(
            format!("the last good backup is {} old", age_of(&entry.id)),
            "pgfleet backup makes a new one; what was written since would be lost with all nodes",
        );
    }
    Ok(entry.good().map(|manifest| LastBackup {
        id: manifest.id.clone(),
        bytes: manifest.bytes(),
        source: manifest.source.clone(),
        proven_at: manifest.proven.as_ref().map(|proof| proof.at.clone()),
    }))
}

fn show(view: &Shown, output: StatusOutput) -> Result<String, WorkflowError> {
    match output {
        StatusOutput::Table => Ok(tables(view, false)),
        StatusOutput::Wide => Ok(tables(view, true)),
        StatusOutput::Json => {
            serde_json::to_string_pretty(view).map(|text| text + "\n").map_err(|error| WorkflowError::Failed(error.to_string()))
        }
        StatusOutput::Yaml => serde_yaml::to_string(view).map_err(|error| WorkflowError::Failed(error.to_string())),
    }
}

fn tables(shown: &Shown, wide: bool) -> String {
    let view = &shown.view;
    let mut lines = vec![headline(view), String::new()];
    lines.extend(members(view, wide).lines());
    lines.push(String::new());
    let (healthy, all, needed) = view.quorum();
    let leader = view.etcd.iter().find(|member| member.leader).map_or("none", |member| member.name.as_str());
    lines.push(format!("etcd: {healthy} of {all} voters healthy, {needed} needed; leader {leader}"));
    if wide {
        let mut table = Table::new(&["  Voter", "Health", "Version"]);
        for member in &view.etcd {
            let health = if member.healthy { good("healthy") } else { bad(member.error.as_deref().unwrap_or("not healthy")) };
            table.row(vec![format!("  {}", member.name), health, member.version.clone().unwrap_or_default()]);
        }
        lines.extend(table.lines());
    }
    lines.push(shown.last_backup.as_ref().map_or_else(
        || "last backup: none".to_owned(),
        |last| {
            let proven = last.proven_at.as_ref().map_or_else(|| "not proven".to_owned(), |at| format!("proven {at}"));
            format!("last backup: {} ({} old), {}, from {}, {proven}", last.id, age_of(&last.id), shown_bytes(last.bytes), last.source)
        },
    ));
    if let Some(lease) = &view.lease {
        let on = format!("on {} of {} hosts", lease.hosts.len(), view.nodes.len());
        lines.push(format!("changed now by: {}, since {} ({} s), {on}", screen::plain(&lease.who), time_of(lease.since), lease.age));
    }
    if !view.findings.is_empty() {
        lines.push(String::new());
    }
    for finding in &view.findings {
        let mark = match finding.severity {
            Severity::Critical => bad("critical:"),
            Severity::Warning => Style::new().yellow().apply_to("warning:").to_string(),
            Severity::Notice => Style::new().cyan().apply_to("notice:").to_string(),
        };
        lines.push(format!("{mark} {}", screen::plain(&finding.text)));
        if let Some(hint) = &finding.hint {
            lines.push(format!("  {hint}"));
        }
    }
    screen::coloured(&lines.join("\n")).into_owned() + "\n"
}

fn headline(view: &ClusterView) -> String {
    let name = if view.name.is_empty() { "PostgreSQL cluster" } else { view.name.as_str() };
    let state = if view.is_healthy() { good("healthy") } else { bad("not healthy") };
    let paused = if view.paused { ", paused" } else { "" };
    format!("{}: {state}{paused}, synchronous mode {}", Style::new().bold().apply_to(name), view.synchronous_mode)
}

fn members(view: &ClusterView, wide: bool) -> Table {
    let mut header = vec!["Member", "Host", "Role", "State", "TL", "Lag", "Services"];
    if wide {
        header.extend(["Port", "Patroni", "Tags"]);
    }
    header.push("Notes");
    let mut table = Table::new(&header);
    for member in &view.members {
        let node = view.nodes.iter().find(|node| node.name == member.name);
        let state = if member.is_well() { good(&member.state) } else { bad(&member.state) };
        let lag = match (member.is_leader(), member.lag) {
            (true, _) => "-".to_owned(),
            (false, Some(lag)) => shown_bytes(lag),
            (false, None) => "unknown".to_owned(),
        };
        let role = if member.is_leader() { Style::new().bold().apply_to(&member.role).to_string() } else { member.role.clone() };
        let mut cells = vec![
            member.name.clone(),
            member.host.clone(),
            role,
            state,
            member.timeline.map(|timeline| timeline.to_string()).unwrap_or_default(),
            lag,
            services(node),
        ];
        if wide {
            let tags: Vec<String> = member.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
            cells.extend([member.port.to_string(), member.patroni.clone().unwrap_or_default(), tags.join(" ")]);
        }
        let mut notes = Vec::new();
        if member.pending_restart {
            notes.push("restart pending".to_owned());
        }
        if let Some(at) = &member.scheduled_restart {
            notes.push(format!("restart scheduled for {at}"));
        }
        cells.push(notes.join(", "));
        table.row(cells);
    }
    for node in view.nodes.iter().filter(|node| !view.members.iter().any(|member| member.name == node.name)) {
        let state = if node.unreachable.is_some() { bad("unreachable") } else { "no member".to_owned() };
        table.row(vec![node.name.clone(), String::new(), "-".to_owned(), state, String::new(), String::new(), services(Some(node))]);
    }
    table
}

/// The units of a node: those that run by name, others marked.
fn services(node: Option<&pgfleet_cluster::Node>) -> String {
    let Some(node) = node else { return String::new() };
    if node.unreachable.is_some() {
        return bad("unreachable");
    }
    let known = node.units.iter().filter(|(_, unit)| !unit.active.is_empty() && unit.active != "inactive");
    let shown = known.map(|(name, unit)| if unit.is_active() { name.clone() } else { bad(&format!("{name}:{}", unit.active)) });
    shown.collect::<Vec<_>>().join(" ")
}

fn good(text: &str) -> String {
    Style::new().green().apply_to(text).to_string()
}

fn bad(text: &str) -> String {
    Style::new().red().bold().apply_to(text).to_string()
}

#[cfg(test)]
mod tests {
    use pgfleet_cluster::{ClusterView, EtcdMember};
    use serde_json::json;

    use super::{Shown, tables};

    /// Names are what nodes say of themselves.
    #[test]
    fn names_do_not_speak_to_the_terminal() {
        let nasty = "a\x1b]52;c;aGk=\x07\x1b[2Jb\rc";
        let mut view = ClusterView::from_answers(&[]);
        view.name = nasty.to_owned();
        let member = json!({"name": nasty, "host": nasty, "port": 5432, "role": nasty, "state": nasty, "timeline": 1, "lag": 0,
                            "pending_restart": false, "scheduled_restart": nasty, "tags": {nasty: nasty}, "patroni": nasty});
        view.members.push(serde_json::from_value(member).expect("a member"));
        let voter =
            EtcdMember { name: nasty.to_owned(), healthy: false, leader: true, version: None, error: Some(nasty.to_owned()), alarm: None };
        view.etcd.push(voter);
        let shown = tables(&Shown { view, last_backup: None }, true);
        let expect = nasty.replace(['\x1b', '\x07', '\r'], "\u{fffd}");
        assert_eq!(shown.matches(&expect).count(), 11, "{shown:?}");
        assert!(!shown.contains(['\x07', '\r']) && !shown.contains("\x1b[2J") && !shown.contains("\x1b]"), "{shown:?}");
    }
}
