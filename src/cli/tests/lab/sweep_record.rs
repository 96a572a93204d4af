//! What a sweep has tried: a line in a file for each cell (a fault at a step of a workflow), so that it can go on another day.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// How often a fault that is missed is tried at its step: the last ones of a run come too late now and then.
const TRIES: usize = 2;
/// Stands in the place of a fault where a line says how many steps a workflow has.
const STEPS: &str = "steps";

/// How a round of a cell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It happened, and all was well afterwards.
    Survived,
    /// It did not happen.
    Missed,
    /// It happened, and something was not well.
    Failed,
}

const WORDS: [(&str, Ending); 3] = [("survived", Ending::Survived), ("missed", Ending::Missed), ("failed", Ending::Failed)];

/// When a cell is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nobody has tried it.
    New,
    /// It was missed, or failed: when all others were tried.
    Again,
    /// No more.
    Done,
}

/// A fault at a step of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) workflow: String,
    pub(crate) step: usize,
    pub(crate) fault: String,
}

/// The file, and what it says.
pub(crate) struct Record {
    file: PathBuf,
    rounds: BTreeMap<Cell, Vec<Ending>>,
    steps: BTreeMap<String, usize>,
}

impl Record {
    /// What was tried before, by this file; none where there is no such file.
    pub(crate) fn of(file: PathBuf) -> Self {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut record = Self { file, rounds: BTreeMap::new(), steps: BTreeMap::new() };
        for line in text.lines() {
            let mut words = line.split('\t');
            let (Some(workflow), Some(step), Some(fault), Some(word)) = (words.next(), words.next(), words.next(), words.next()) else {
                panic!("{}: no cell of a sweep: {line}", record.file.display());
            };
            let step = step.parse().unwrap_or_else(|error| panic!("{}: {error}: {line}", record.file.display()));
            if fault == STEPS {
                record.steps.insert(workflow.to_owned(), step);
            } else if let Some((_, ending)) = WORDS.iter().find(|(known, _)| *known == word) {
                let cell = Cell { workflow: workflow.to_owned(), step, fault: fault.to_owned() };
                record.rounds.entry(cell).or_default().push(*ending);
            }
        }
        record
    }

    /// How many steps a workflow had when they were counted.
    pub(crate) fn steps(&self, workflow: &str) -> Option<usize> {
        self.steps.get(workflow).copied()
    }

    pub(crate) fn counted(&mut self, workflow: &str, steps: usize) {
        self.steps.insert(workflow.to_owned(), steps);
        self.append(&[workflow, &steps.to_string(), STEPS, "counted"]);
    }

    /// Keeps how a round ended, on which host, and what is to be told of it.
    pub(crate) fn note(&mut self, cell: &Cell, ending: Ending, host: &str, told: &str) {
        self.rounds.entry(cell.clone()).or_default().push(ending);
        let (word, _) = WORDS.iter().find(|(_, known)| *known == ending).expect("a word for each");
        self.append(&[&cell.workflow, &cell.step.to_string(), &cell.fault, word, host, &told.replace(['\t', '\n'], " ")]);
    }

    fn append(&self, words: &[&str]) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file).expect("the record of the sweep");
        file.write_all((words.join("\t") + "\n").as_bytes()).expect("the record is written");
    }

    /// When a cell is to be tried. What was missed too often is left as missed.
    pub(crate) fn turn(&self, cell: &Cell) -> Turn {
        match self.rounds.get(cell).map(Vec::as_slice).unwrap_or_default() {
            [] => Turn::New,
            rounds if rounds.contains(&Ending::Survived) => Turn::Done,
            rounds if rounds.iter().all(|ending| *ending == Ending::Missed) && rounds.len() >= TRIES => Turn::Done,
            _ => Turn::Again,
        }
    }

    /// How many cells ended so, by the best of their rounds: survived, failed, missed.
    pub(crate) fn summary(&self) -> String {
        let best = |rounds: &Vec<Ending>| {
            [Ending::Survived, Ending::Failed].into_iter().find(|ending| rounds.contains(ending)).unwrap_or(Ending::Missed)
        };
        let count = |ending| self.rounds.values().filter(|rounds| best(rounds) == ending).count();
        let (survived, failed, missed) = (count(Ending::Survived), count(Ending::Failed), count(Ending::Missed));
        format!("{survived} survived, {failed} failed, {missed} missed, by {}", self.file.display())
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Ending, Record, Turn};

    #[test]
    fn a_sweep_goes_on_where_it_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sweep.tsv");
        let cell = |step, fault: &str| Cell { workflow: "rolling restart".to_owned(), step, fault: fault.to_owned() };
        let mut record = Record::of(file.clone());
        assert_eq!((record.steps("rolling restart"), record.turn(&cell(1, "kill"))), (None, Turn::New));
        record.counted("rolling restart", 41);
        record.note(&cell(1, "kill"), Ending::Survived, "a.lan", "no exit code\n0.1 s\tafter it");
        record.note(&cell(2, "kill"), Ending::Missed, "a.lan", "");
        record.note(&cell(3, "kill"), Ending::Failed, "a.lan", "");
        for _ in 0..2 {
            record.note(&cell(4, "silence"), Ending::Missed, "a.lan", "");
        }
        let record = Record::of(file);
        let turns =
            [cell(1, "kill"), cell(2, "kill"), cell(3, "kill"), cell(4, "silence"), cell(1, "silence")].map(|cell| record.turn(&cell));
        assert_eq!(turns, [Turn::Done, Turn::Again, Turn::Again, Turn::Done, Turn::New]);
        assert_eq!(record.steps("rolling restart"), Some(41));
        assert!(record.summary().starts_with("1 survived, 1 failed, 2 missed"), "{}", record.summary());
    }
}
