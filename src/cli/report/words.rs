//! Results in words, for both ways of showing a run. What hosts said is harmless in them, wherever they are shown.

use console::{Color, Style};
use pgfleet_engine::{Counts, Ending, Recap, TaskResult};
use pgfleet_template::wide::{self, Layout};
use serde_json::Value;

use super::place::Places;
use crate::screen;
use crate::table::Table;

/// Keys that say nothing to a person, or that are said otherwise.
const SILENT: [&str; 12] = [
    "changed",
    "failed",
    "skipped",
    "unreachable",
    "msg",
    "stdout_lines",
    "stderr_lines",
    "diff",
    "ansible_loop_var",
    "results",
    "invocation",
    "attempts",
];

/// The colour of an ending.
pub(super) fn style(ending: Ending, ignored: bool) -> Style {
    let color = match ending {
        Ending::Ok => Color::Green,
        Ending::Changed => Color::Yellow,
        Ending::Skipped => Color::Cyan,
        Ending::Failed | Ending::Unreachable if ignored => Color::Cyan,
        Ending::Failed | Ending::Unreachable => Color::Red,
    };
    Style::new().fg(color)
}

/// Why a task failed, in lines: the message, what the program printed, where it stands, what to do.
pub(super) fn failure(result: &TaskResult, places: &Places) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(message) = result.data.get("msg") {
        lines.extend(screen::plain(&plain(message)).lines().map(str::to_owned));
    }
    if let Some(found) = result.data.get("diagnosis").and_then(Value::as_array) {
        lines.extend(found.iter().map(|line| format!("  {}", screen::plain(&plain(line)))));
    }
    for (name, title) in [("cmd", "command"), ("rc", "exit code"), ("stderr", "stderr"), ("stdout", "stdout"), ("assertion", "assertion")] {
        let Some(value) = result.data.get(name).filter(|value| !value.is_null() && *value != &Value::from("")) else { continue };
        let text = screen::harmless(&plain(value));
        let kept: Vec<&str> = text.trim_end().lines().collect();
        let kept = &kept[kept.len().saturating_sub(20)..];
        match kept {
            [one] => lines.push(format!("{title}: {one}")),
            several => {
                lines.push(format!("{title}:"));
                lines.extend(several.iter().map(|line| format!("  {line}")));
            }
        }
    }
    if lines.is_empty() {
        lines.push(result.data.get("censored").and_then(Value::as_str).unwrap_or("no reason was given").to_owned());
    }
    if result.ending != Ending::Unreachable {
        lines.extend(places.lines(result));
    }
    if let Some(hint) = &result.hint {
        lines.push(format!("hint: {}", screen::plain(hint)));
    }
    lines
}

/// The results that a person asked to see with -v.
pub(super) fn details(result: &TaskResult) -> Option<String> {
    let shown: serde_json::Map<String, Value> = result
        .data
        .iter()
        .filter(|(name, _)| !SILENT.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if shown.is_empty() { None } else { wide::to_text(&shown, Layout::Line).ok().map(|text| screen::harmless(&text)) }
}

/// What a debug task shows: its message or its variable. Lists of lines stay lines, lists of rows become tables.
pub(super) fn said(result: &TaskResult) -> Vec<String> {
    let own = result.data.iter().filter(|(name, _)| !SILENT.contains(&name.as_str()) || *name == "msg");
    own.flat_map(|(name, value)| match (name.as_str(), value) {
        ("msg", Value::Array(items)) if items.iter().all(Value::is_object) && !items.is_empty() => rows(items),
        ("msg", Value::Array(items)) => items.iter().map(|item| screen::harmless(&plain(item))).collect(),
        ("msg", value) => screen::harmless(&plain(value)).lines().map(str::to_owned).collect(),
        (name, value) => screen::harmless(&format!("{name}: {}", pretty(value))).lines().map(str::to_owned).collect(),
    })
    .collect()
}

fn rows(items: &[Value]) -> Vec<String> {
    let header: Vec<&str> =
        items.iter().filter_map(Value::as_object).flat_map(|row| row.keys().map(String::as_str)).fold(Vec::new(), |mut names, name| {
            if !names.contains(&name) {
                names.push(name);
            }
            names
        });
    let mut table = Table::new(&header);
    for item in items {
        table.row(header.iter().map(|name| item.get(*name).map(|value| screen::harmless(&plain(value))).unwrap_or_default()).collect());
    }
    table.lines()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => wide::written(value).unwrap_or(text).to_owned(),
        Value::Array(items) if items.iter().all(Value::is_string) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => wide::to_text(other, Layout::Line).unwrap_or_default(),
    }
}

fn pretty(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => wide::to_text(value, Layout::Indented).unwrap_or_default(),
        other => plain(other),
    }
}

/// Ansible's recap.
pub(super) fn recap(recap: &Recap) -> Vec<String> {
    let width = recap.hosts.keys().map(String::len).max().unwrap_or_default().max(26);
    recap.hosts.iter().map(|(host, counts)| recap_line(host, counts, width).trim_end().to_owned()).collect()
}

/// One line of it.
pub(super) fn recap_line(host: &str, counts: &Counts, width: usize) -> String {
    let cell = |name: &str, count: usize, color: Color| {
        let text = format!("{name}={count:<4}");
        if count > 0 { Style::new().fg(color).apply_to(text).to_string() } else { text }
    };
    let color = match counts {
        Counts { failed, unreachable, .. } if failed + unreachable > 0 => Color::Red,
        Counts { changed, .. } if *changed > 0 => Color::Yellow,
        _ => Color::Green,
    };
    let name = Style::new().fg(color).apply_to(format!("{host:<width$}"));
    format!(
        "{name} : {} {} {} {} {} {} {}",
        cell("ok", counts.ok, Color::Green),
        cell("changed", counts.changed, Color::Yellow),
        cell("unreachable", counts.unreachable, Color::Red),
        cell("failed", counts.failed, Color::Red),
        cell("skipped", counts.skipped, Color::Cyan),
        cell("rescued", counts.rescued, Color::Yellow),
        cell("ignored", counts.ignored, Color::Blue)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pgfleet_engine::{Ending, TaskResult};
    use pgfleet_template::Disk;
    use serde_json::json;

    use super::{details, failure, said};
    use crate::report::place::Places;

    /// The clipboard, an empty screen, a line over another, and colours.
    const NASTY: &str = "a\x1b]52;c;aGk=\x07\x1b[2Jb\rc\x1b[31m";
    const SHOWN: &str = "a?]52;c;aGk=??[2Jb?c?[31m";

    fn marked(lines: Vec<String>) -> Vec<String> {
        lines.iter().map(|line| line.replace('\u{fffd}', "?")).collect()
    }

    #[test]
    fn what_hosts_say_is_harmless() {
        let mut failed = TaskResult::failed(NASTY).with("diagnosis", json!([NASTY])).with("cmd", json!(["x", NASTY])).with("rc", 1);
        failed = failed.with("stderr", format!("{NASTY}\r\n\tmore\n")).with("stdout", NASTY).with("assertion", NASTY);
        failed.hint = Some(NASTY.to_owned());
        let expect = [
            SHOWN.to_owned(),
            format!("  {SHOWN}"),
            format!("command: x {SHOWN}"),
            "exit code: 1".to_owned(),
            "stderr:".to_owned(),
            format!("  {SHOWN}"),
            "  \tmore".to_owned(),
            format!("stdout: {SHOWN}"),
            format!("assertion: {SHOWN}"),
            format!("hint: {SHOWN}"),
        ];
        assert_eq!(marked(failure(&failed, &Places::new(Arc::new(Disk)))), expect);
        let ok = |name: &str, value: serde_json::Value| TaskResult::new(Ending::Ok).with(name, value);
        assert_eq!(marked(said(&ok("msg", json!(NASTY)))), [SHOWN]);
        assert_eq!(marked(said(&ok("msg", json!(["x", NASTY])))), ["x", SHOWN]);
        assert_eq!(marked(said(&ok("found", json!(NASTY)))), [format!("found: {SHOWN}")]);
        let rows = marked(said(&ok("msg", json!([{"name": NASTY}, {"name": "two\nlines"}]))));
        assert_eq!(rows[1..], [SHOWN, "two lines"]);
        // What JSON leaves as it is.
        assert_eq!(details(&ok("x", json!("\u{9b}2J\u{7f}"))).as_deref(), Some("{\"x\":\"\u{fffd}2J\u{fffd}\"}"));
    }
}
