//! `slurp`: reads a file, as base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::files::Slurp;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;

/// Larger files do not fit into an answer; `fetch` brings those.
const LARGEST: u64 = 11 * 1024 * 1024;

pub(crate) fn plan(arguments: &Slurp, context: &Context) -> Planned {
    let path = paths::expand(context.system, arguments.src.as_str())?;
    let reading = format!("unable to slurp file {}", path.display());
    match context.system.stat_if_there(&path).context(&reading)? {
        None => return Err(Failure::new(format!("file not found: {}", path.display()))),
        Some(found) if found.is_directory() => {
            return Err(Failure::new(format!("source is a directory and must be a file: {}", path.display())));
        }
        Some(found) if found.size > LARGEST => {
            return Err(Failure::new(format!("{} has {} bytes, too many for slurp; use fetch", path.display(), found.size)));
        }
        Some(_) => {}
    }
    let content = context.system.read_file(&path).context(&reading)?;
    let outcome = Outcome::unchanged().with("content", STANDARD.encode(content));
    Ok(Plan::Done(outcome.with("source", path.to_string_lossy()).with("encoding", "base64")))
}
