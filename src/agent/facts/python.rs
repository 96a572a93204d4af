//! The host's Python, where it has one: programs and playbooks of other people ask for it, pgfleet needs none.

use std::time::Duration;

use pgfleet_protocol::Map;
use serde_json::json;

use super::Source;
use crate::system::Program;

/// Where it is looked for, in this order; a bare name on `PATH`.
const PLACES: [&str; 4] = ["/usr/bin/python3", "python3", "/usr/bin/python", "python"];

/// Five parts of the version, the name of the implementation, its path, and whether it has TLS; each on a line.
const QUESTION: &str = "import sys; v = sys.version_info; i = sys.implementation.name
try:
    import _ssl; t = hasattr(_ssl, '_SSLContext')
except ImportError:
    t = False
print(v[0], v[1], v[2], v[3], v[4], i, sys.executable, t, sep=chr(10))";

/// Adds `python`; nothing where no interpreter answers.
pub(super) fn gather(source: &Source<'_>, facts: &mut Map) {
    let Some(program) = PLACES.iter().find_map(|place| source.system.find_program(place)) else { return };
    let program = program.to_string_lossy().into_owned();
    let asked = Program::new([program.as_str(), "-I", "-S", "-c", QUESTION]).timeout(Duration::from_secs(5));
    let Some(answer) = source.system.run(&asked).ok().filter(|finished| finished.is_success()) else { return };
    let answer = answer.stdout_text();
    let lines: Vec<&str> = answer.lines().collect();
    let [major, minor, micro, level, serial, kind, executable, tls] = lines.as_slice() else { return };
    let number = |text: &str| text.parse::<u32>().unwrap_or_default();
    let (major, minor, micro, serial) = (number(major), number(minor), number(micro), number(serial));
    let python = json!({
        "version": {"major": major, "minor": minor, "micro": micro, "releaselevel": level, "serial": serial},
        "version_info": [major, minor, micro, level, serial],
        "executable": executable,
        "has_sslcontext": *tls == "True",
        "type": kind,
    });
    facts.insert("python".to_owned(), python);
    facts.insert("python_version".to_owned(), json!(format!("{major}.{minor}.{micro}")));
}
