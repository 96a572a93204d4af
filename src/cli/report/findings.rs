//! What `lint` found, for people and for programs.

use console::Style;
use pgfleet_lint::{Finding, Report, Severity, Unsupported};
use pgfleet_template::{Place, Problem};
use serde_json::{Value, json};

use crate::screen;

/// Places that are shown of something that is used in many.
const PLACES: usize = 3;
/// Conditions that are shown.
const CONDITIONS: usize = 3;

/// Everything, with the lines that it is about.
pub(crate) fn show(report: &Report) {
    for finding in &report.findings {
        let style = style_of(finding.severity);
        let place = place(&finding.place).map(|place| format!("{}: ", Style::new().bold().apply_to(place))).unwrap_or_default();
        let message = screen::plain(&finding.message);
        let rule = Style::new().dim().apply_to(format!("[{}]", finding.rule));
        screen::line(&format!("{} {place}{message} {rule}", style.apply_to(format!("{}:", finding.severity.word()))));
        if let Some(text) = finding.excerpt.as_deref().filter(|_| finding.place.line > 0) {
            screen::excerpt(finding.place.line, finding.place.column, text, &style)
                .iter()
                .skip(1)
                .for_each(|line| screen::line(&format!("  {line}")));
        }
        if let Some(hint) = &finding.hint {
            screen::line(&format!("  {} {}", Style::new().cyan().apply_to("hint:"), screen::plain(hint)));
        }
    }
    if !report.findings.is_empty() {
        screen::line("");
    }
    show_unsupported(report);
    screen::line(&summary(report));
}

fn show_unsupported(report: &Report) {
    let all = &report.unsupported;
    if all.is_empty() {
        return;
    }
    screen::line(&unsupported_in_short(report).unwrap_or_default());
    for entry in all {
        let style = style_of(if entry.certain > 0 { Severity::Error } else { Severity::Warning });
        screen::line(&format!("  {} {}", style.apply_to(format!("{} '{}'", entry.kind, entry.name)), describe(entry)));
        for condition in entry.conditions.iter().take(CONDITIONS) {
            screen::line(&format!("      when: {}", screen::plain(&shortened(condition))));
        }
        if entry.conditions.len() > CONDITIONS {
            screen::line(&format!("      and {} more conditions", entry.conditions.len() - CONDITIONS));
        }
    }
    screen::line("");
}

fn describe(entry: &Unsupported) -> String {
    let shown: Vec<String> = entry.places.iter().take(PLACES).filter_map(place).collect();
    let more = if entry.places.len() > PLACES { format!(" and {} more", entry.places.len() - PLACES) } else { String::new() };
    let times = if entry.places.len() == 1 { "once".to_owned() } else { format!("{} times", entry.places.len()) };
    let always = match entry.certain {
        0 if entry.conditions.is_empty() => ", not in every run",
        0 => ", only under conditions",
        _ => "",
    };
    let reason = entry.reason.as_ref().map(|reason| format!(" ({})", screen::plain(reason))).unwrap_or_default();
    format!("{times} at {}{more}{always}{reason}", shown.join(", "))
}

/// One sentence on what is not supported; nothing where there is nothing to say.
pub(crate) fn unsupported_in_short(report: &Report) -> Option<String> {
    let (count, conditional) = (report.unsupported.len(), report.unsupported.iter().filter(|entry| entry.certain == 0).count());
    let things = if count == 1 { "1 thing".to_owned() } else { format!("{count} things") };
    let rest = match conditional {
        0 => String::new(),
        all if all == count => ", only under conditions".to_owned(),
        some => format!(", {some} of them only under conditions"),
    };
    (count > 0).then(|| format!("This playbook uses {things} that pgfleet does not have{rest}:"))
}

/// How much of what there is.
pub(crate) fn summary(report: &Report) -> String {
    let counted = |severity: Severity| {
        let count = report.count(severity);
        let plural = if count == 1 { "" } else { "s" };
        let text = format!("{count} {}{plural}", severity.word());
        if count == 0 { text } else { style_of(severity).apply_to(text).to_string() }
    };
    let names = if report.without_names { "; without an inventory, names of variables were not checked" } else { "" };
    let files = if report.files == 1 { "1 file".to_owned() } else { format!("{} files", report.files) };
    format!("{}, {}, {} in {files}{names}", counted(Severity::Error), counted(Severity::Warning), counted(Severity::Hint))
}

/// The errors, on standard error.
pub(crate) fn errors(report: &Report) {
    for finding in report.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        screen::problem(&Problem {
            message: finding.message.clone(),
            place: (finding.place.line > 0).then(|| finding.place.clone()),
            excerpt: finding.excerpt.clone().map(String::into_boxed_str),
            hint: finding.hint.clone(),
            trail: Vec::new(),
        });
    }
}

/// Warnings and what is not supported, in one line; nothing where there are none.
pub(crate) fn in_short(report: &Report) -> Option<String> {
    let warnings = report.count(Severity::Warning);
    let mut parts = Vec::new();
    if warnings > 0 {
        parts.push(if warnings == 1 { "1 warning".to_owned() } else { format!("{warnings} warnings") });
    }
    match report.unsupported.len() {
        0 => {}
        1 => parts.push("1 thing that pgfleet does not have, used only under conditions".to_owned()),
        count => parts.push(format!("{count} things that pgfleet does not have, used only under conditions")),
    }
    let word = Style::new().for_stderr().yellow().bold().apply_to("warning:");
    (!parts.is_empty()).then(|| format!("{word} {}; 'pgfleet lint' tells where", parts.join(", ")))
}

/// One line a finding, as compilers and editors know it.
pub(crate) fn lines(report: &Report) -> Vec<String> {
    let line = |finding: &Finding| {
        let hint = finding.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let Place { file, line, column } = &finding.place;
        screen::plain(&format!("{file}:{line}:{column}: {}: {}{hint} [{}]", finding.severity.word(), finding.message, finding.rule))
    };
    report.findings.iter().map(line).chain(report.unsupported.iter().flat_map(|entry| maybe_needed(entry, report))).collect()
}

/// The places of a thing that is not supported and that no finding tells, since a run may pass them by.
fn maybe_needed(entry: &Unsupported, report: &Report) -> Vec<String> {
    let is_told = |place: &Place| report.findings.iter().any(|finding| finding.rule == "unsupported" && finding.place == *place);
    let line = |place: &Place| {
        let reason = entry.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let message = format!("the {} '{}' is not supported{reason}; a run that needs it fails there", entry.kind, entry.name);
        screen::plain(&format!("{}:{}:{}: warning: {message} [unsupported]", place.file, place.line, place.column))
    };
    entry.places.iter().filter(|place| !is_told(place)).map(line).collect()
}

/// Everything, for programs.
pub(crate) fn json(report: &Report) -> Value {
    let place = |place: &Place| json!({"file": &*place.file, "line": place.line, "column": place.column});
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "severity": finding.severity.word(),
                "rule": finding.rule,
                "file": &*finding.place.file,
                "line": finding.place.line,
                "column": finding.place.column,
                "text": finding.piece,
                "message": finding.message,
                "suggestion": finding.hint,
            })
        })
        .collect();
    let unsupported: Vec<Value> = report
        .unsupported
        .iter()
        .map(|entry| {
            json!({
                "kind": entry.kind,
                "name": entry.name,
                "places": entry.places.iter().map(place).collect::<Vec<_>>(),
                "certain": entry.certain,
                "conditions": entry.conditions,
                "reason": entry.reason,
            })
        })
        .collect();
    json!({
        "findings": findings,
        "unsupported": unsupported,
        "summary": {
            "errors": report.count(Severity::Error),
            "warnings": report.count(Severity::Warning),
            "hints": report.count(Severity::Hint),
            "files": report.files,
            "names_checked": !report.without_names,
        },
    })
}

fn style_of(severity: Severity) -> Style {
    match severity {
        Severity::Error => Style::new().red().bold(),
        Severity::Warning => Style::new().yellow().bold(),
        Severity::Hint => Style::new().cyan(),
    }
}

/// A place as a person reads it; line 0 is the file as a whole.
fn place(place: &Place) -> Option<String> {
    match (place.file.is_empty(), place.line) {
        (true, _) => None,
        (false, 0) => Some(place.file.to_string()),
        (false, _) => Some(place.to_string()),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}
