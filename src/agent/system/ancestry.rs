//! Which process serves the connection that another one came over.

use std::path::Path;

use super::System;

/// Between an agent and its server stand a shell and what raises its rights, each of which may fork.
const GENERATIONS: usize = 12;

/// The nearest ancestor that is an SSH server's process for one connection; `None` where there is none (the controller itself, say).
pub(crate) fn server_of(system: &dyn System, process: u32) -> Option<u32> {
    let mut process = process;
    for _ in 0..GENERATIONS {
        let (name, parent) = name_and_parent(system, process)?;
        if name.starts_with("sshd") || name == "dropbear" {
            return Some(process);
        }
        process = parent;
    }
    None
}

/// Of `/proc/PID/stat`: the name stands in parentheses and may hold any of them.
fn name_and_parent(system: &dyn System, process: u32) -> Option<(String, u32)> {
    let text = system.read_text(Path::new(&format!("/proc/{process}/stat"))).ok()?;
    let (front, rest) = text.rsplit_once(')')?;
    let name = front.split_once('(')?.1.to_owned();
    let parent = rest.split_whitespace().nth(1)?.parse().ok()?;
    Some((name, parent))
}
