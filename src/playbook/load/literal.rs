//! Values of keywords that are no templates: of the right kind, or refused with the rest of what is wrong.

use pgfleet_template::{Node, Text};

use super::Reading;

const FLAGS: [&str; 11] = [
    "any_errors_fatal",
    "become",
    "check_mode",
    "delegate_facts",
    "diff",
    "force_handlers",
    "gather_facts",
    "ignore_errors",
    "ignore_unreachable",
    "no_log",
    "run_once",
];
const NUMBERS: [&str; 7] = ["delay", "gather_timeout", "max_fail_percentage", "port", "retries", "throttle", "timeout"];
const TEXTS: [&str; 5] = ["become_method", "become_user", "connection", "delegate_to", "remote_user"];
/// What a switch takes.
const FLAG: &str = "true or false";
/// What Ansible takes for true or false, in any case.
const FLAG_WORDS: [&str; 14] = ["true", "false", "yes", "no", "on", "off", "y", "n", "t", "f", "1", "0", "1.0", "0.0"];

impl Reading<'_> {
    /// Reports literal values that no keyword of this name can take.
    pub(super) fn refuse_wrong_literals(&mut self, node: &Node) {
        for (key, value) in node.mapping().unwrap_or_default() {
            let Some(name) = key.scalar_text() else { continue };
            let is_template = value.as_text().is_some_and(Text::is_template);
            let Some(wanted) = wanted(name, value).filter(|_| !is_template && !value.is_null()) else { continue };
            let written = value.scalar_text().map_or_else(|| value.kind_name().to_owned(), |text| format!("'{text}'"));
            let message = match wanted {
                FLAG => format!("Error processing keyword '{name}': The value {written} could not be converted to 'bool'."),
                _ => format!("'{name}' takes {wanted}, not {written}"),
            };
            let problem = value.problem(message);
            self.problem(problem);
        }
    }
}

/// What the keyword takes, where the value is something else.
fn wanted(name: &str, value: &Node) -> Option<&'static str> {
    let text = value.scalar_text();
    match name {
        _ if FLAGS.contains(&name) => {
            let fits = text.is_some_and(|text| FLAG_WORDS.contains(&text.to_ascii_lowercase().as_str()));
            (!fits).then_some(FLAG)
        }
        _ if NUMBERS.contains(&name) => {
            let fits = text.is_some_and(|text| text.trim().parse::<f64>().is_ok_and(f64::is_finite));
            (!fits).then_some("a number")
        }
        _ if TEXTS.contains(&name) => text.is_none().then_some("text"),
        "serial" => (!one_or_more(value, is_batch)).then_some("numbers or percentages"),
        "environment" => (!one_or_more(value, |item| item.mapping().is_some() || item.is_null() || item.as_text().is_some()))
            .then_some("a mapping of variables"),
        "notify" => (!one_or_more(value, |item| item.as_text().is_some())).then_some("names of handlers"),
        "loop" => value.sequence().is_none().then_some("a list"),
        _ => None,
    }
}

fn one_or_more(value: &Node, fits: impl Fn(&Node) -> bool) -> bool {
    value.sequence().unwrap_or(std::slice::from_ref(value)).iter().all(fits)
}

fn is_open(node: &Node) -> bool {
    node.is_null() || node.as_text().is_some_and(Text::is_template)
}

fn is_batch(node: &Node) -> bool {
    let number = node.scalar_text().map(|text| text.trim().trim_end_matches('%'));
    is_open(node) || number.is_some_and(|number| number.parse::<f64>().is_ok_and(|number| number >= 0.0))
}
