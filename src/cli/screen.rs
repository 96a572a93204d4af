//! Writing to standard output and standard error, with colour where it is wanted.

use std::io::{self, Write};

use console::Style;
use pgfleet_template::Problem;
use pgfleet_workflows::WorkflowError;

/// Writes a line to standard output. A reader that went away (`| head`) is no error.
pub(crate) fn line(text: &str) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Writes text to standard output as it is.
pub(crate) fn text(text: &str) {
    drop(io::stdout().lock().write_all(text.as_bytes()));
}

/// Writes a line to standard error.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Shows a problem: where, the line itself, what is wrong, what to do.
pub(crate) fn problem(problem: &Problem) {
    let red = Style::new().for_stderr().red().bold();
    note(&format!("{} {problem}", red.apply_to("error:")));
    if let (Some(place), Some(excerpt)) = (&problem.place, &problem.excerpt) {
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        note(&format!("{margin} |"));
        note(&format!("{number} | {excerpt}"));
        note(&format!("{margin} | {}{}", " ".repeat(place.column.saturating_sub(1)), red.apply_to("^")));
    }
    if let Some(text) = &problem.hint {
        hint(text);
    }
}

/// Shows the next step.
pub(crate) fn hint(text: &str) {
    note(&format!("{} {text}", Style::new().for_stderr().cyan().apply_to("hint:")));
}

/// Shows why a workflow ended.
pub(crate) fn error(error: &WorkflowError) {
    match error {
        WorkflowError::Input(problems) => problems.iter().for_each(problem),
        other => {
            let mut message = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                message = format!("{message}: {cause}");
                source = cause.source();
            }
            note(&format!("{} {message}", Style::new().for_stderr().red().bold().apply_to("error:")));
            if let Some(text) = other.hint() {
                hint(&text);
            }
        }
    }
}
