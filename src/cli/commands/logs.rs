//! `pgfleet logs`.

use std::sync::{Mutex, PoisonError};

use console::{Color, Style};
use pgfleet_engine::Stop;
use pgfleet_workflows::{Operation, Project, WorkflowError};
use serde_json::Value;

use super::look::{Looked, look};
use super::members::operation;
use crate::args::{LogsArgs, TextOutput};
use crate::exit::Exit;
use crate::{screen, settings};

/// One colour a node.
const COLOURS: [Color; 6] = [Color::Cyan, Color::Green, Color::Magenta, Color::Yellow, Color::Blue, Color::Red];

pub(crate) async fn run(project: Project, args: LogsArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let wish = settings::wish_to_look(project, &args.source, &args.connection, stop.clone())?;
    let variables = [
        ("target_node", args.node.map(Value::from)),
        ("log_units", (!args.unit.is_empty()).then(|| Value::from(args.unit))),
        ("log_since", args.since.map(Value::from)),
        ("log_lines", args.lines.map(Value::from)),
        ("log_follow", args.follow.then_some(Value::Bool(true))),
    ];
    let operation = Operation { looks_only: true, ..operation("logs", variables) };
    let shown = Lines::default();
    let output = args.output;
    let looked = look(&wish, &operation, &stop, move |text| match output {
        TextOutput::Json => screen::line(text),
        TextOutput::Text => shown.show(text),
    });
    match looked.await? {
        // Whoever ends what follows for ever has not interrupted anything.
        Looked::Ended(Exit::Interrupted) if args.follow => Ok(Exit::Done),
        Looked::Ended(exit) => Ok(exit),
        Looked::Found(_) => Ok(Exit::Done),
    }
}

/// Lines as a person reads them, each node in its colour.
#[derive(Default)]
struct Lines {
    nodes: Mutex<Vec<String>>,
}

impl Lines {
    fn show(&self, text: &str) {
        let Ok(line) = serde_json::from_str::<Value>(text) else { return };
        let word = |name: &str| line[name].as_str().unwrap_or_default();
        if line["at"].is_null() {
            return screen::note(&format!("{}: {}", word("node"), screen::plain(word("text"))));
        }
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let index = nodes.iter().position(|node| node == word("node")).unwrap_or_else(|| {
            nodes.push(word("node").to_owned());
            nodes.len() - 1
        });
        let style = Style::new().fg(COLOURS[index % COLOURS.len()]);
        let head = style.apply_to(format!("{:<16} {:<10}", word("node"), word("unit")));
        let time = Style::new().dim().apply_to(time(line["at"].as_u64().unwrap_or_default()));
        for part in word("text").lines() {
            screen::line(&format!("{time} {head} {part}"));
        }
    }
}

/// The date and time of day in UTC, to the millisecond.
fn time(microseconds: u64) -> String {
    let (days, rest) = (microseconds / 86_400_000_000, microseconds % 86_400_000_000);
    let (year, month, day) = date(days);
    let (seconds, millis) = (rest / 1_000_000, rest % 1_000_000 / 1000);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{millis:03}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The date of a day since 1970: the calendar counted in eras of 400 years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01 00:00:00.000Z");
        assert_eq!(time(951_827_696_789_000), "2000-02-29 12:34:56.789Z");
        assert_eq!(time(1_795_289_431_313_201), "2026-11-21 19:30:31.313Z");
    }
}
