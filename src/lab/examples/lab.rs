//! The lab by itself, without the command line of pgfleet: `cargo run -p pgfleet-lab --example lab -- up --name x --subnet 172.28.9.0/24`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example is a program of its own")]

use std::error::Error;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use pgfleet_lab::{Cut, Direction, Lab, Settings, Slowness, Step, default_cache_dir};

const USAGE: &str = "usage: lab VERB [ARGUMENTS] [--name N] [--subnet S] [--suite S] [--state DIR] [--cache DIR]
  up | down | status | ssh HOST [COMMAND..] | start HOST | kill HOST | power-cut | heal [HOST]
  partition HOST [--from A,B] [--direction sending|receiving] | slow HOST [--rate R] [--delay D]
  snapshot NAME | revert NAME";

fn main() -> ExitCode {
    match act(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                eprintln!("  because: {inner}");
                cause = inner.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn act(mut words: Vec<String>) -> Result<(), Box<dyn Error>> {
    let name = option(&mut words, "--name").unwrap_or_else(|| "dev".to_owned());
    let subnet = option(&mut words, "--subnet");
    let suite = option(&mut words, "--suite");
    let state = option(&mut words, "--state").map_or_else(|| PathBuf::from("state/lab").join(&name), PathBuf::from);
    let cache = option(&mut words, "--cache").map_or_else(default_cache_dir, PathBuf::from);
    let given = subnet.is_some() || suite.is_some();
    let settings = Settings {
        name: name.parse()?,
        subnet: subnet.as_deref().unwrap_or(pgfleet_lab::DEFAULT_SUBNET).parse()?,
        suite: suite.as_deref().unwrap_or("trixie").parse()?,
        state_dir: state,
        cache_dir: cache,
        inventory_dir: None,
    };
    let lab = if given { Lab::new(settings)? } else { Lab::existing(settings)? };
    let (from, direction) = (option(&mut words, "--from"), option(&mut words, "--direction"));
    let slowness = Slowness { rate: option(&mut words, "--rate"), delay: option(&mut words, "--delay") };
    let mut words = words.into_iter();
    let (verb, host, rest) = (words.next().unwrap_or_default(), words.next(), words.collect::<Vec<_>>());
    let need = || host.clone().ok_or(USAGE);
    match verb.as_str() {
        "up" => {
            let up = lab.up(&show)?;
            println!("inventory: {}\nkey: {}", up.inventory.display(), up.key.display());
        }
        "down" => lab.down(&show)?,
        "status" => {
            for guest in lab.status()? {
                println!("{guest:?}");
            }
        }
        "ssh" => {
            let command = lab.ssh_command(&need()?, &rest)?;
            return Err(Command::new(&command[0]).args(&command[1..]).exec().into());
        }
        "start" => lab.start(&[need()?], &show)?,
        "kill" => lab.kill(&[need()?])?,
        "power-cut" => lab.power_cut()?,
        "heal" => lab.heal(host.as_deref())?,
        "partition" => {
            let direction = match direction.as_deref() {
                Some("sending") => Direction::Sending,
                Some("receiving") => Direction::Receiving,
                _ => Direction::Both,
            };
            let peers = |from: String| Cut::Peers { peers: from.split(',').map(str::to_owned).collect(), direction };
            lab.partition(&need()?, &from.map_or(Cut::Cable, peers))?;
        }
        "slow" => lab.slow(&need()?, Some(&slowness).filter(|slowness| **slowness != Slowness::default()))?,
        "snapshot" => lab.snapshot(&need()?, &show)?,
        "revert" => lab.revert(&need()?, &show)?,
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// Takes `name VALUE` out of the words.
fn option(words: &mut Vec<String>, name: &str) -> Option<String> {
    let at = words.iter().position(|word| word == name)?;
    let value = words.get(at + 1).cloned();
    words.drain(at..(at + 2).min(words.len()));
    value
}

fn show(step: Step) {
    match step {
        Step::Started(what) => eprintln!("{what} ..."),
        Step::Detail(what) => eprintln!("  {what}"),
        Step::Done(what, elapsed) => eprintln!("{what}: {:.1} s", elapsed.as_secs_f32()),
        other => eprintln!("{other:?}"),
    }
}
