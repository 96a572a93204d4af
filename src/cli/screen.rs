//! Writing to standard output and standard error, with colour where it is wanted. On a terminal nothing but text and colours comes out,
//! whatever a host said; into files and pipes goes what there is.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use console::Style;
use pgfleet_template::Problem;
use pgfleet_workflows::{Output, WorkflowError};

/// Columns of a line that are shown around a problem.
const WIDEST: usize = 100;

/// Writes a line to standard output. A reader that went away (`| head`) is no error.
pub(crate) fn line(text: &str) {
    put(io::stdout().lock(), text, "\n");
}

/// Writes text to standard output without an end of its own.
pub(crate) fn text(text: &str) {
    put(io::stdout().lock(), text, "");
}

/// Empties the screen; standard output is a terminal.
pub(crate) fn clear() {
    bytes(b"\x1b[2J\x1b[H");
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
    put(io::stderr().lock(), text, "\n");
}

fn put(mut out: impl Write + IsTerminal, text: &str, end: &str) {
    let (text, end) = if out.is_terminal() { (coloured(text), closed(text, end)) } else { (text.into(), end.into()) };
    drop(write!(out, "{text}{end}"));
}

/// The end of a line whose colours end with it.
fn closed<'a>(text: &str, end: &'a str) -> Cow<'a, str> {
    if text.contains('\x1b') { format!("\x1b[0m{end}").into() } else { end.into() }
}

/// Writes a line that a program on a host printed, with its bytes as they are where no terminal shows them.
pub(crate) fn printed(output: Output, head: &str, line: &[u8]) {
    match output {
        Output::Standard => put_line(io::stdout().lock(), head, line),
        Output::Error => put_line(io::stderr().lock(), head, line),
    }
}

fn put_line(mut out: impl Write + IsTerminal, head: &str, line: &[u8]) {
    if out.is_terminal() {
        let text = String::from_utf8_lossy(line);
        return put(out, &format!("{head}{}", text.strip_suffix('\r').unwrap_or(&text)), "\n");
    }
    drop(out.write_all(&[head.as_bytes(), line, b"\n"].concat()));
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

/// Text from elsewhere with nothing in it that speaks to a terminal, no colours either. Ends of lines and tabs stay.
pub(crate) fn harmless(text: &str) -> String {
    let mut signs = text.chars().peekable();
    let mut shown = String::with_capacity(text.len());
    while let Some(sign) = signs.next() {
        let stays = matches!(sign, '\n' | '\t') || (sign == '\r' && signs.peek() == Some(&'\n'));
        shown.push(if stays { sign } else { visible(sign) });
    }
    shown
}

/// The same for text that is coloured already: colours (`ESC [ 1 ; 31 m`) stay.
pub(crate) fn coloured(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split("\x1b[");
    let mut shown = harmless(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|sign: char| !sign.is_ascii_digit() && sign != ';');
        let is_colour = end.is_some_and(|end| part[end..].starts_with('m'));
        shown.push(if is_colour { '\x1b' } else { visible('\x1b') });
        shown.push('[');
        shown += &harmless(part);
    }
    Cow::Owned(shown)
}

/// A message for a person: no number of the operating system's error behind its words, nothing that speaks to the terminal.
pub(crate) fn plain(message: &str) -> String {
    let mut rest = harmless(message);
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
    use super::{coloured, harmless, plain, window};

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

    /// What a host says, what is left of it, and what is left where colours stay.
    #[test]
    fn nothing_speaks_to_the_terminal() {
        let table = [
            ("a\tb\nc\r\n", "a\tb\nc\r\n", "a\tb\nc\r\n"),
            ("\x1b]52;c;aGk=\x07", "?]52;c;aGk=?", "?]52;c;aGk=?"),
            ("\x1b[2J\x1b[H", "?[2J?[H", "?[2J?[H"),
            ("failed\rok", "failed?ok", "failed?ok"),
            ("end\r", "end?", "end?"),
            ("\u{9b}2J\x08\x7f", "?2J??", "?2J??"),
            ("\x1b[1;31mred\x1b[0m\x1b[m", "?[1;31mred?[0m?[m", "\x1b[1;31mred\x1b[0m\x1b[m"),
            ("\x1b[31", "?[31", "?[31"),
            ("\x1b[?25l\x1b\x1b[0m", "?[?25l??[0m", "?[?25l?\x1b[0m"),
        ];
        for (said, expect, expect_coloured) in table {
            let mark = |text: &str| text.replace('\u{fffd}', "?");
            assert_eq!((mark(&harmless(said)).as_str(), mark(&coloured(said)).as_str()), (expect, expect_coloured), "{said:?}");
        }
    }
}
