//! `pgfleet lab`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use pgfleet_lab::{Cut, Direction, Lab, LabError, Settings, Slowness, Step};
use pgfleet_workflows::Project;

use crate::args::{LabArgs, LabCommand};
use crate::exit::Exit;
use crate::screen;
use crate::table::Table;

pub(crate) fn run(project: &Project, args: LabArgs) -> Exit {
    match act(project, args) {
        Ok(exit) => exit,
        Err(error) => {
            screen::mistake(&causes(&error));
            exit_of(&error)
        }
    }
}

fn exit_of(error: &LabError) -> Exit {
    match error {
        LabError::BadName { .. }
        | LabError::BadSubnet { .. }
        | LabError::BadSuite { .. }
        | LabError::BadPath { .. }
        | LabError::BadValue { .. }
        | LabError::UnknownHost { .. }
        | LabError::NoSnapshot { .. } => Exit::Input,
        _ => Exit::Error,
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn act(project: &Project, args: LabArgs) -> Result<Exit, LabError> {
    let mut settings = Settings::of_project(project.root())?;
    settings.name = args.name.parse()?;
    if args.name != pgfleet_lab::DEFAULT_NAME {
        settings.inventory_dir = None;
    }
    settings.state_dir = args.state.unwrap_or_else(|| project.state().join("lab").join(&args.name));
    if let LabCommand::Up { subnet, suite } = &args.command {
        // What is not said stays as it is.
        settings = Lab::existing(settings)?.settings().clone();
        if let Some(subnet) = subnet {
            settings.subnet = subnet.parse()?;
        }
        if let Some(suite) = suite {
            settings.suite = suite.parse()?;
        }
        let up = Lab::new(settings)?.up(&tell)?;
        screen::line(&format!("{} guests are up; inventory: {}", up.hosts.len(), up.inventory.display()));
        return Ok(Exit::Done);
    }
    let lab = Lab::existing(settings)?;
    match args.command {
        LabCommand::Up { .. } => {}
        LabCommand::Down => lab.down(&tell)?,
        LabCommand::Status => return status(&lab),
        LabCommand::Ssh { host, command } => return log_in(&lab, &host, &command),
        LabCommand::Start { hosts } => lab.start(&hosts, &tell)?,
        LabCommand::Partition { host, from, direction } => {
            let direction = match direction.as_str() {
                "sending" => Direction::Sending,
                "receiving" => Direction::Receiving,
                _ => Direction::Both,
            };
            let cut = if from.is_empty() { Cut::Cable } else { Cut::Peers { peers: from, direction } };
            lab.partition(&host, &cut)?;
        }
        LabCommand::Heal { host } => lab.heal(host.as_deref())?,
        LabCommand::Kill { hosts } => lab.kill(&hosts)?,
        LabCommand::PowerCut => lab.power_cut()?,
        LabCommand::Slow { host, rate, delay } => {
            let slowness = Slowness { rate, delay };
            lab.slow(&host, (slowness.rate.is_some() || slowness.delay.is_some()).then_some(&slowness))?;
        }
        LabCommand::Snapshot { name } => lab.snapshot(&name, &tell)?,
        LabCommand::Revert { name } => lab.revert(&name, &tell)?,
    }
    Ok(Exit::Done)
}

fn tell(step: Step) {
    match step {
        Step::Started(what) => screen::note(&format!("{what} ...")),
        Step::Detail(text) => screen::note(&format!("  {text}")),
        Step::Done(what, time) => screen::note(&format!("{what}: {:.1} s", time.as_secs_f64())),
        Step::Note(text) => screen::note(&text),
        _ => {}
    }
}

fn status(lab: &Lab) -> Result<Exit, LabError> {
    let guests = lab.status()?;
    if guests.is_empty() {
        screen::line("the lab is not up; 'pgfleet lab up' boots it");
        return Ok(Exit::NotHealthy);
    }
    let mut table = Table::new(&["Guest", "Address", "Runs", "SSH", "Cable", "Cut off from"]);
    let word = |flag: bool, yes: &str, no: &str| if flag { yes.to_owned() } else { no.to_owned() };
    for guest in &guests {
        let cells = [
            guest.name.to_string(),
            guest.address.to_string(),
            word(guest.running, "yes", "no"),
            word(guest.ssh, "answers", "-"),
            word(guest.cable, "in", "pulled"),
            guest.cut_from.join(" "),
        ];
        table.row(cells.to_vec());
    }
    table.lines().iter().for_each(|line| screen::line(line));
    Ok(if guests.iter().all(|guest| guest.running) { Exit::Done } else { Exit::NotHealthy })
}

fn log_in(lab: &Lab, host: &str, command: &[String]) -> Result<Exit, LabError> {
    let words = lab.ssh_command(host, command)?;
    let Some((program, arguments)) = words.split_first() else { return Ok(Exit::Error) };
    // ssh takes this program's place, so that the terminal is its own.
    let error = Command::new(program).args(arguments).exec();
    screen::note(&format!("error: {program} does not start: {error}"));
    Ok(Exit::Error)
}
