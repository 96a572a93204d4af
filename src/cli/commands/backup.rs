//! `pgfleet backup`: make, list, show, verify and prune backups.

use std::time::{Duration, SystemTime};

use pgfleet_cluster::shown_bytes;
use pgfleet_engine::Stop;
use pgfleet_state::{Backups, Entry, Lock, Manifest, Retention, Status, seconds_of, surplus};
use pgfleet_workflows::{Operated, Operation, Project, Wish, WorkflowError, backups, cluster_name, verify_files};
use serde_json::{Value, json};

use super::operate::{self, Consent};
use crate::args::backup::{
    BackupArgs, BackupCommand, BackupCreateArgs, BackupFormat, BackupListArgs, BackupPruneArgs, BackupShowArgs, BackupVerifyArgs,
};
use crate::args::{RunOutput, TextOutput};
use crate::exit::Exit;
use crate::table::Table;
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: BackupArgs) -> Result<Exit, WorkflowError> {
    match args.command {
        None => create(project, args.create).await,
        Some(BackupCommand::Create(create_args)) => create(project, create_args).await,
        Some(BackupCommand::List(list_args)) => list(project, &list_args),
        Some(BackupCommand::Show(show_args)) => show(project, &show_args),
        Some(BackupCommand::Verify(verify_args)) => verify(project, verify_args).await,
        Some(BackupCommand::Prune(prune_args)) => prune(project, &prune_args),
    }
}

async fn create(project: Project, args: BackupCreateArgs) -> Result<Exit, WorkflowError> {
    let mut operation = Operation { name: "backup", ..Operation::default() };
    let format = match (args.format, args.jobs) {
        (BackupFormat::Custom, None) => None,
        (BackupFormat::Custom, Some(_)) | (BackupFormat::Directory, _) => Some("directory"),
        (BackupFormat::Plain, _) => Some("plain"),
    };
    let mut set = |name: &str, value: Option<Value>| value.map(|value| operation.variables.insert(name.to_owned(), value));
    set("backup_from", args.from.map(Value::from));
    set("backup_format", format.map(Value::from));
    set("backup_jobs", args.jobs.map(Value::from));
    set("backup_lanes", args.lanes.map(Value::from));
    set("backup_count_rows", args.no_counts.then_some(Value::Bool(false)));
    operate::run(project, &args.run, operation, Consent::NotNeeded, |operated| summary(operated, "postgresql_dump")).await
}

fn summary(operated: &Operated, module: &str) -> Vec<String> {
    let text = operated.results.get(module).and_then(|result| result.get("summary")?.as_str());
    text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
}

fn wish_of(project: Project, args: &BackupListArgs) -> Result<Wish, WorkflowError> {
    settings::wish_to_look(project, &args.source, &args.connection, Stop::default())
}

fn list(project: Project, args: &BackupListArgs) -> Result<Exit, WorkflowError> {
    let entries = backups(&wish_of(project, args)?)?.list()?;
    if args.output == TextOutput::Json {
        return printed(&entries.iter().map(as_json).collect::<Vec<_>>());
    }
    if entries.is_empty() {
        screen::line("there is no backup yet: pgfleet backup makes one");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["Backup", "Age", "State", "Format", "Databases", "Size", "Source", "Proven", "Notes"]);
    for entry in entries.iter().rev() {
        let manifest = entry.manifest.as_ref().ok();
        let text = |tell: fn(&Manifest) -> String| manifest.filter(|_| entry.good().is_some()).map(tell).unwrap_or_default();
        table.row(vec![
            entry.id.clone(),
            age_of(&entry.id),
            state(entry).to_owned(),
            text(|manifest| word(&manifest.format)),
            text(|manifest| manifest.databases.len().to_string()),
            text(|manifest| shown_bytes(manifest.bytes())),
            text(|manifest| manifest.source.clone()),
            text(|manifest| manifest.proven.as_ref().map_or_else(|| "-".to_owned(), |proof| proof.at.clone())),
            manifest.and_then(|manifest| manifest.failure.clone()).map(|failure| failure.chars().take(90).collect()).unwrap_or_default(),
        ]);
    }
    table.lines().iter().for_each(|line| screen::line(line));
    Ok(Exit::Done)
}

fn show(project: Project, args: &BackupShowArgs) -> Result<Exit, WorkflowError> {
    let catalogue = backups(&wish_of(project, &args.list)?)?;
    let entry = any(&catalogue, &args.id)?;
    if args.list.output == TextOutput::Json {
        return printed(&as_json(&entry));
    }
    let manifest = match &entry.manifest {
        Ok(manifest) => manifest,
        Err(reason) => {
            screen::line(&format!("backup {}: {}, {reason}", entry.id, state(&entry)));
            return Ok(Exit::NotHealthy);
        }
    };
    described(&entry, manifest).iter().for_each(|line| screen::line(line));
    Ok(if entry.good().is_some() { Exit::Done } else { Exit::NotHealthy })
}

/// A backup in whatever state: one that failed tells why.
fn any(catalogue: &Backups, wanted: &str) -> Result<Entry, WorkflowError> {
    let failed = catalogue.list()?.into_iter().find(|entry| entry.id == wanted);
    Ok(failed.map_or_else(|| catalogue.find(wanted), Ok)?)
}

fn described(entry: &Entry, manifest: &Manifest) -> Vec<String> {
    let mut lines = vec![format!(
        "backup {} of {}: {}, {}, {} old",
        entry.id,
        manifest.cluster,
        state(entry),
        word(&manifest.format),
        age_of(&entry.id)
    )];
    if let Some(failure) = &manifest.failure {
        lines.push(format!("  failed: {failure}"));
    }
    lines.push(format!("  in {}", entry.folder.display()));
    lines.push(format!(
        "  from {} ({}), timeline {}, {}, {} bytes behind; PostgreSQL {}, system {}",
        manifest.source,
        manifest.source_role,
        manifest.timeline,
        manifest.lsn,
        manifest.lag_bytes,
        manifest.server_version,
        manifest.system_identifier
    ));
    lines.push(format!("  began {}, took {:.1} s, {}", manifest.started, manifest.duration, shown_bytes(manifest.bytes())));
    lines.push(match &manifest.proven {
        Some(proof) => format!(
            "  proven at {}: restored on {} in {:.1} s, {} tables with {} rows are the same",
            proof.at, proof.node, proof.seconds, proof.tables, proof.rows
        ),
        None => "  not proven yet: pgfleet backup verify --restore".to_owned(),
    });
    let mut table = Table::new(&["  Database", "Owner", "Size", "Dump", "Tables", "Rows", "Snapshot", "File"]);
    for database in &manifest.databases {
        let dump = database.dump.as_ref();
        table.row(vec![
            format!("  {}", database.name),
            database.owner.clone(),
            shown_bytes(database.size_bytes),
            dump.map(|dump| shown_bytes(dump.bytes)).unwrap_or_default(),
            database.tables.len().to_string(),
            database.tables.iter().map(|table| table.rows).sum::<u64>().to_string(),
            database.snapshot_at.clone().unwrap_or_default(),
            dump.map(|dump| dump.file.clone()).unwrap_or_default(),
        ]);
    }
    lines.extend(table.lines());
    lines.extend(manifest.notes.iter().map(|note| format!("  note: {note}")));
    lines
}

async fn verify(project: Project, args: BackupVerifyArgs) -> Result<Exit, WorkflowError> {
    let wish = settings::wish(project.clone(), &args.run, Stop::default())?;
    let catalogue = backups(&wish)?;
    let entry = catalogue.find(&args.id)?;
    let tell = |file: &str, bytes: u64| {
        if args.run.output != RunOutput::Json {
            screen::note(&format!("reading {file}, {}", shown_bytes(bytes)));
        }
    };
    let problems = verify_files(&entry, tell);
    let json = args.run.output == RunOutput::Json;
    if !problems.is_empty() {
        if json {
            printed(&json!({"backup": entry.id, "good": false, "problems": problems}))?;
        } else {
            screen::line(&format!("backup {} is not as it was written:", entry.id));
            problems.iter().for_each(|problem| screen::line(&format!("  {problem}")));
        }
        return Ok(Exit::NotHealthy);
    }
    let manifest = entry.good();
    let (files, bytes) = (manifest.map_or(0, |manifest| manifest.files().count()), manifest.map_or(0, Manifest::bytes));
    if !json {
        screen::line(&format!("backup {}: {files} files, {}, each as it was written", entry.id, shown_bytes(bytes)));
    } else if !args.restore {
        printed(&json!({"backup": entry.id, "good": true, "files": files, "bytes": bytes}))?;
    }
    if !args.restore {
        return Ok(Exit::Done);
    }
    let mut operation = Operation { name: "backup-verify", ..Operation::default() };
    operation.variables.insert("backup_id".to_owned(), entry.id.clone().into());
    if let Some(node) = args.on {
        operation.variables.insert("verify_on".to_owned(), node.into());
    }
    operate::run(project, &args.run, operation, Consent::NotNeeded, |operated| summary(operated, "postgresql_prove")).await
}

fn prune(project: Project, args: &BackupPruneArgs) -> Result<Exit, WorkflowError> {
    let wish = wish_of(project, &args.list)?;
    let catalogue = backups(&wish)?;
    let _lock = if args.check { None } else { Some(Lock::take(&wish.project.state(), "backup-prune")?) };
    let retention = Retention { keep: args.keep, older_than: args.older_than.map(|days| days * 86_400) };
    let doomed = surplus(&catalogue.list()?, retention, now());
    let json = args.list.output == TextOutput::Json;
    if !json {
        let word = if args.check { "would go" } else { "goes" };
        doomed.iter().for_each(|entry| screen::line(&format!("{} ({}, {} old) {word}", entry.id, state(entry), age_of(&entry.id))));
    }
    if !doomed.is_empty() && !args.check {
        if !args.yes {
            operate::agreed(&cluster_name(&wish)?, "these backups will be removed for good", "--yes")?;
        }
        for entry in &doomed {
            catalogue.delete(entry)?;
        }
    }
    let ids: Vec<&str> = doomed.iter().map(|entry| entry.id.as_str()).collect();
    if json {
        return printed(&json!({"removed": ids, "check": args.check}));
    }
    screen::line(&format!("{} of them{}", ids.len(), if args.check { " would be removed" } else { " removed" }));
    Ok(Exit::Done)
}

fn as_json(entry: &Entry) -> Value {
    let problem = entry.manifest.as_ref().err();
    json!({"id": entry.id, "folder": entry.folder, "status": entry.status, "good": entry.good().is_some(),
        "manifest": entry.manifest.as_ref().ok(), "problem": problem})
}

fn printed(value: &impl serde::Serialize) -> Result<Exit, WorkflowError> {
    screen::line(&serde_json::to_string_pretty(value).map_err(|error| WorkflowError::Failed(error.to_string()))?);
    Ok(Exit::Done)
}

fn state(entry: &Entry) -> &'static str {
    match (entry.status, entry.good().is_some()) {
        (_, true) => "good",
        (Status::Failed, _) => "failed",
        (Status::Partial, _) => "incomplete",
        (Status::Good, false) => "damaged",
    }
}

fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Seconds since a backup was begun.
pub(crate) fn age_in_seconds(id: &str) -> Option<u64> {
    seconds_of(id).map(|made| now().saturating_sub(made))
}

/// How long ago a backup was begun, for a person.
pub(crate) fn age_of(id: &str) -> String {
    let Some(seconds) = age_in_seconds(id) else { return "unknown".to_owned() };
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
