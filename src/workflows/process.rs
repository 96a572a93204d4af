//! This process among those of all controllers.

use std::fmt;
use std::fs;

use pgfleet_state::user;

/// Who this process is.
pub(crate) struct Myself {
    machine: String,
    host: String,
    process: u32,
    started: String,
}

impl Myself {
    pub(crate) fn new() -> Self {
        let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let process = std::process::id();
        // Containers of one image may share the machine's identity, but not the boot's and the namespace's.
        let namespace = fs::read_link("/proc/self/ns/pid").map(|path| path.display().to_string()).unwrap_or_default();
        let machine = format!("{} {namespace}", line("/proc/sys/kernel/random/boot_id"));
        Self { machine, host: line("/proc/sys/kernel/hostname"), process, started: started(process).unwrap_or_default() }
    }

    /// Unlike that of any other process on any machine.
    pub(crate) fn token(&self) -> String {
        format!("{}/{}/{}", self.machine, self.process, self.started)
    }

    /// True for the token of a process that was on this machine and has ended.
    pub(crate) fn knows_dead(&self, token: &str) -> bool {
        let Some(rest) = token.strip_prefix(&self.machine).and_then(|rest| rest.strip_prefix('/')) else { return false };
        let Some((process, began)) = rest.split_once('/') else { return false };
        process.parse().is_ok_and(|process| started(process).as_deref() != Some(began))
    }
}

impl fmt::Display for Myself {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} on {} (process {})", user(), self.host, self.process)
    }
}

/// When a process began, in ticks since the machine did; `None` when there is no such process.
fn started(process: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Fields are counted behind the name, which may hold anything: state is the first, the start the twentieth.
    text.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::Myself;

    #[test]
    fn only_a_process_of_this_machine_is_known_to_be_dead() {
        let myself = Myself::new();
        assert!(!myself.knows_dead(&myself.token()), "it lives");
        assert!(myself.knows_dead(&format!("{}/{}/1", myself.machine, myself.process)), "its number was another's once");
        assert!(!myself.knows_dead("another machine/1/1"));
        assert!(!myself.knows_dead(""));
    }
}
