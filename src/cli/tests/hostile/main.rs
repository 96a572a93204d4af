//! Hostile input: every parser is fed mutations of small files and must neither panic nor hang nor take all memory.
//!
//! Each parser runs in a process of its own, with limits on memory and stack, and a clock for every single input. What an input
//! is, its seed and number say: a failure names both. `PGFLEET_HOSTILE_SECONDS` gives each parser more time than its second,
//! `PGFLEET_HOSTILE_SEED` another beginning, `PGFLEET_HOSTILE_TARGET` one parser alone, `PGFLEET_HOSTILE_ROUND` with a seed one input alone.

mod inputs;
mod targets;
mod worker;

use std::time::Duration;

use inputs::Inputs;
use targets::TARGETS;

/// More bad inputs than these are not told.
const MOST_TOLD: usize = 20;
/// How long each parser is tried where nothing else is said, and with how many inputs: those are the same on every machine.
const USUAL_ROUNDS: u64 = 400;
const USUAL_TIME: Duration = Duration::from_millis(1200);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text}")))
}

#[test]
fn no_input_breaks_a_parser() {
    let seed = number("PGFLEET_HOSTILE_SEED").unwrap_or(1);
    let usual = worker::Budget { time: USUAL_TIME, rounds: USUAL_ROUNDS };
    let longer = |seconds| worker::Budget { time: Duration::from_secs(seconds), rounds: u64::MAX };
    let budget = number("PGFLEET_HOSTILE_SECONDS").map_or(usual, longer);
    let mut broken = Vec::new();
    let only = std::env::var("PGFLEET_HOSTILE_TARGET").ok();
    for (name, _) in TARGETS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)) {
        let mut from = 0;
        // What comes after a bad input may be bad too: all of it is told at once.
        while let (Err(failure), true) = (worker::watch(name, seed, from, budget), broken.len() < MOST_TOLD) {
            from = failure.round + 1;
            let input = Inputs::new(name, seed).input(failure.round);
            let shown: String = String::from_utf8_lossy(&input).chars().take(600).collect();
            let round = failure.round;
            broken.push(format!(
                "{name}: {}\n  again: PGFLEET_HOSTILE_SEED={seed} PGFLEET_HOSTILE_ROUND={round}, input of {} bytes: {shown:?}\n  it said: {}",
                failure.reason,
                input.len(),
                failure.said
            ));
        }
    }
    assert!(broken.is_empty(), "seed {seed}:\n{}", broken.join("\n"));
}

/// The process that tries one parser; the test above starts it.
#[test]
#[ignore = "started by the other test"]
fn worker() {
    let Ok(name) = std::env::var(worker::TARGET_OF_WORKER) else { return };
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a known target");
    worker::work(&Inputs::new(&name, number("PGFLEET_HOSTILE_SEED").unwrap_or(1)), *target);
}

#[test]
fn inputs_are_the_same_for_one_seed() {
    let (one, two, other) = (Inputs::new("ini", 7), Inputs::new("ini", 7), Inputs::new("ini", 8));
    let all = |inputs: &Inputs| (0..200).map(|round| inputs.input(round)).collect::<Vec<_>>();
    assert_eq!(all(&one), all(&two));
    assert_ne!(all(&one), all(&other));
}
