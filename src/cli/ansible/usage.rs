//! Usage and help of Ansible's programs.

use super::grammar::{Flag, Grammar};

/// Columns of a line.
const WIDTH: usize = 78;
/// Column at which the help says what an option does.
const ABOUT: usize = 24;

/// `usage: program [-h] ...`, as wide as the programs show it.
pub(super) fn usage(grammar: &Grammar) -> String {
    let lead = format!("usage: {} ", grammar.program);
    let indent = " ".repeat(lead.len());
    let mut lines: Vec<String> = Vec::new();
    // Options fill lines; the words stand on a line of their own.
    fill(&mut lines, &parts(grammar), lead.len());
    fill(&mut lines, &[grammar.words.to_owned()], lead.len());
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        text += if number == 0 { &lead } else { &indent };
        text += line;
        text += "\n";
    }
    text
}

fn parts(grammar: &Grammar) -> Vec<String> {
    let mut parts = Vec::new();
    let mut open = String::new();
    for flag in &grammar.flags {
        open += &if open.is_empty() { String::from("[") } else { String::from(" | ") };
        open += &shown(flag);
        if !flag.or_next {
            parts.push(std::mem::take(&mut open) + "]");
        }
    }
    parts
}

fn shown(flag: &Flag) -> String {
    let name = flag.names.first().copied().unwrap_or_default();
    flag.takes.value_name().map_or_else(|| name.to_owned(), |value| format!("{name} {value}"))
}

fn fill(lines: &mut Vec<String>, parts: &[String], indent: usize) {
    let mut line = String::new();
    for part in parts {
        if !line.is_empty() && indent + line.len() + 1 + part.len() > WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line += " ";
        }
        line += part;
    }
    lines.push(line);
}

/// Usage, what the program does, and its options by name.
pub(super) fn help(grammar: &Grammar) -> String {
    let mut text = format!("{}\n{}\n\noptions:\n", usage(grammar), grammar.about);
    for flag in &grammar.flags {
        let names: Vec<String> = flag
            .names
            .iter()
            .map(|name| flag.takes.value_name().map_or_else(|| (*name).to_owned(), |value| format!("{name} {value}")))
            .collect();
        let names = format!("  {}", names.join(", "));
        let gap = if names.len() + 2 > ABOUT { format!("\n{}", " ".repeat(ABOUT)) } else { " ".repeat(ABOUT - names.len()) };
        text += &format!("{names}{gap}{}\n", flag.about);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::flags;
    use super::usage;

    #[test]
    fn the_usage_is_broken_where_the_programs_break_it() {
        let text = usage(&flags::inventory());
        let expect = "usage: ansible-inventory [-h] [--version] [-v] [-i INVENTORY] [-l SUBSET]\n                         [--flush-cache] [--vault-id VAULT_IDS]\n";
        assert!(text.starts_with(expect), "{text}");
        assert!(text.ends_with("[--export] [--output OUTPUT_FILE]\n                         [group]\n"), "{text}");
    }
}
