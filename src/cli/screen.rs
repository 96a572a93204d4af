//! Writing to standard output and standard error, with colour where it is wanted.

use std::io::{self, Write};

use console::Style;
use pgfleet_template::Problem;
use pgfleet_workflows::WorkflowError;

/// Columns of a line that are shown around a problem.
const WIDEST: usize = 100;

/// Writes a line to standard output. A reader that went away (`| head`) is no error.
pub(crate) fn line(text: &str) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Writes text to standard output as it is.
pub(crate) fn text(text: &str) {
    drop(io::stdout().lock().write_all(text.as_bytes()));
}

/// Writes bytes to standard output at once, whatever they are.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    drop(out.write_all(bytes).and_then(|()| out.flush()));
}

/// Writes bytes to standard error, whatever they are.
pub(crate) fn error_bytes(bytes: &[u8]) {
    drop(io::stderr().lock().write_all(bytes));
}

/// Writes a line to standard error.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Shows a problem: where, the line itself, what is wrong, what to do.
pub(crate) fn problem(problem: &Problem) {
    let red = Style::new().for_stderr().red().bold();
    note(&format!("{} {}", red.apply_to("error:"), plain(&problem.to_string())));
    if let (Some(place), Some(text)) = (&problem.place, &problem.excerpt) {
        excerpt(place.line, place.column, text, &red).iter().for_each(|line| note(line));
    }
    if let Some(text) = &problem.hint {
        hint(text);
    }
}

/// A line of a file, with a mark under a column.
pub(crate) fn excerpt(line: usize, column: usize, text: &str, mark: &Style) -> [String; 3] {
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let (shown, column) = window(text, column);
    [format!("{margin} |"), format!("{number} | {shown}"), format!("{margin} | {}{}", " ".repeat(column - 1), mark.apply_to("^"))]
}

/// The part of a line around a column, and the column in that part. Every sign takes one place on the screen.
fn window(line: &str, column: usize) -> (String, usize) {
    let signs: Vec<char> = line.chars().map(visible).collect();
    let column = column.clamp(1, signs.len() + 1);
    let start = if column > WIDEST { column - WIDEST / 2 } else { 0 };
    let end = signs.len().min(start + WIDEST);
    let cut = |is_cut: bool| if is_cut { "..." } else { "" };
    let text: String = signs[start.min(end)..end].iter().collect();
    (format!("{}{text}{}", cut(start > 0), cut(end < signs.len())), column - start + cut(start > 0).len())
}

/// Signs that would move the cursor or speak to the terminal, made visible.
fn visible(sign: char) -> char {
    match sign {
        '\t' => '\u{2192}',
        sign if sign.is_control() => '\u{fffd}',
        sign => sign,
    }
}

/// A message for a person: no number of the operating system's error behind its words, nothing that speaks to the terminal.
pub(crate) fn plain(message: &str) -> String {
    let mut rest: String = message.chars().map(|sign| if matches!(sign, '\n' | '\t') { sign } else { visible(sign) }).collect();
    while let Some(start) = rest.find(" (os error ") {
        let Some(length) = rest[start..].find(')') else { break };
        rest.replace_range(start..=start + length, "");
    }
    rest
}

/// Shows the next step.
pub(crate) fn hint(text: &str) {
    note(&format!("{} {}", Style::new().for_stderr().cyan().apply_to("hint:"), plain(text)));
}

/// Shows an error without a place.
pub(crate) fn mistake(message: &str) {
    note(&format!("{} {}", Style::new().for_stderr().red().bold().apply_to("error:"), plain(message)));
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
            mistake(&message);
            if let Some(text) = other.hint() {
                hint(&text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{plain, window};

    #[test]
    fn long_lines_are_shown_around_the_place() {
        assert_eq!(window("a: b", 4), ("a: b".to_owned(), 4));
        assert_eq!(window("\tx", 1), ("\u{2192}x".to_owned(), 1));
        assert_eq!(window("", 7), (String::new(), 1));
        let line = format!("{}!{}", "x".repeat(300), "y".repeat(300));
        let (shown, column) = window(&line, 301);
        assert_eq!(shown.chars().nth(column - 1), Some('!'));
        assert!(shown.chars().count() <= 106 && shown.starts_with("...x") && shown.ends_with("y..."), "{shown}");
    }

    #[test]
    fn messages_are_for_people() {
        assert_eq!(plain("cannot read x: No such file (os error 2), sorry"), "cannot read x: No such file, sorry");
        assert_eq!(plain("\u{1b}[31mred"), "\u{fffd}[31mred");
    }
}
