//! Whether somebody would end PostgreSQL on a host whose Patroni stands still, and when somebody did.

use serde_json::Value;

use super::{Checks, Facts, Outcome};

impl Checks {
    pub(super) fn fence(&mut self, node: &str, facts: &Facts) {
        if !facts.lines.contains_key("fence") {
            return;
        }
        let (result, seen, todo) = match facts.text("fence") {
            "agent" => agents(facts),
            "watchdog" => (Outcome::Pass, "the host's own watchdog".to_owned(), ""),
            _ => (Outcome::Pass, "off (postgresql_fence)".to_owned(), ""),
        };
        self.add(node, "fence", result, seen, todo);
        let acted = facts.all("fence_acted");
        if let Some(last) = acted.last() {
            let times = if acted.len() == 1 { "once".to_owned() } else { format!("{} times", acted.len()) };
            let seen = format!("it has ended PostgreSQL {times}, the last time at {last}");
            self.add(node, "fence acted", Outcome::Warn, seen, "'pgfleet logs --unit patroni --since TIME' tells why Patroni stood still");
        }
    }
}

/// What the agent says of its fence. It is armed where Patroni leads, and nowhere else.
fn agents(facts: &Facts) -> (Outcome, String, &'static str) {
    let told: Value = serde_json::from_str(facts.text("agent")).unwrap_or_default();
    let fence = told.pointer("/sample/fence").unwrap_or(&Value::Null);
    let sql: Value = serde_json::from_str(facts.text("sql")).unwrap_or_default();
    match (fence["armed"].as_bool(), sql["replica"].as_bool()) {
        (None, _) if told.is_null() => (
            Outcome::Fail,
            "the agent that should fence does not answer".to_owned(),
            "'systemctl status pgfleet-agent' on the node; 'pgfleet deploy' starts it",
        ),
        (None, _) => (Outcome::Fail, "the agent that runs has no fence".to_owned(), "'pgfleet deploy' gives it one"),
        (Some(true), _) => (Outcome::Pass, "armed".to_owned(), ""),
        (Some(false), Some(false)) => (
            Outcome::Warn,
            "not armed, though this node leads".to_owned(),
            "Patroni asks for no watchdog while automatic failover is off; otherwise 'pgfleet deploy' and 'pgfleet reload'",
        ),
        (Some(false), _) => (Outcome::Pass, "ready; it is armed where a node leads".to_owned(), ""),
    }
}
