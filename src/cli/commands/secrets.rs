//! `pgfleet secrets`.

use std::time::SystemTime;

use pgfleet_engine::Stop;
use pgfleet_workflows::{Known, Project, Rotated, WorkflowError, rotate, seal_secrets, secret, secrets};
use serde_json::json;

use crate::args::{RunArgs, RunOutput, SecretsArgs, SecretsCommand, TextOutput};
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::report::Reporting;
use crate::table::Table;
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: SecretsArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    match args.command {
        SecretsCommand::List { source, connection, output } => {
            let known = secrets(&settings::wish_to_look(project, &source, &connection, stop)?)?;
            list(&known, output);
            Ok(Exit::Done)
        }
        SecretsCommand::Show { name, source, connection } => {
            let secret = secret(&settings::wish_to_look(project, &source, &connection, stop)?, &name)?;
            screen::line(secret.reveal());
            Ok(Exit::Done)
        }
        SecretsCommand::Encrypt { source, connection } => {
            let names = seal_secrets(&settings::wish_to_look(project, &source, &connection, stop)?, true)?;
            screen::line(&format!("{} secrets are sealed; from now on every command needs the vault's password.", names.len()));
            Ok(Exit::Done)
        }
        SecretsCommand::Decrypt { source, connection } => {
            let names = seal_secrets(&settings::wish_to_look(project, &source, &connection, stop)?, false)?;
            screen::line(&format!("{} secrets are in the clear again, readable by their owner alone.", names.len()));
            Ok(Exit::Done)
        }
        SecretsCommand::Rotate { names, run } => {
            let wish = settings::wish(project, &run, stop.clone())?;
            let reporting = Reporting::begin(&wish.project, "secrets-rotate", &run);
            let rotated = until_done(rotate(&wish, &names, reporting.report()), &stop).await;
            reporting.end();
            let Some(rotated) = rotated else { return Ok(Exit::Interrupted) };
            Ok(ended(&rotated?, &run))
        }
    }
}

/// Says what came of a rotation.
pub(super) fn ended(rotated: &Rotated, run: &RunArgs) -> Exit {
    if run.output != RunOutput::Json {
        rotated.lines.iter().for_each(|line| screen::line(line));
    }
    Exit::of_run(&rotated.finished, run.exit_code)
}

fn list(known: &[Known], output: TextOutput) {
    if output == TextOutput::Json {
        let rows = known.iter().map(|secret| {
            let made = secret.made.duration_since(SystemTime::UNIX_EPOCH).map(|time| time.as_secs()).unwrap_or_default();
            json!({"name": secret.name, "file": secret.file, "made": made, "used_by": secret.used_by, "staged": secret.staged})
        });
        return screen::line(&serde_json::Value::Array(rows.collect()).to_string());
    }
    let mut table = Table::new(&["Name", "Age", "Used by", "File"]);
    for secret in known {
        let age = SystemTime::now().duration_since(secret.made).unwrap_or_default().as_secs();
        let age = match age {
            0..3_600 => format!("{} min", age / 60),
            3_600..172_800 => format!("{} h", age / 3_600),
            _ => format!("{} days", age / 86_400),
        };
        let name = if secret.staged { format!("{} (rotation interrupted)", secret.name) } else { secret.name.clone() };
        table.row(vec![name, age, secret.used_by.clone(), secret.file.display().to_string()]);
    }
    table.lines().iter().for_each(|line| screen::line(line));
}
