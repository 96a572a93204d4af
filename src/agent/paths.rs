//! Paths as people write them: `~` becomes a home folder.

use std::path::PathBuf;

use crate::module::Failure;
use crate::system::System;

/// The path meant, without slashes at its end. `~` is the home of the user that the agent acts as, `~name` that user's.
pub(crate) fn expand(system: &dyn System, written: &str) -> Result<PathBuf, Failure> {
    let trimmed = written.trim_end_matches('/');
    let trimmed = if trimmed.is_empty() && !written.is_empty() { "/" } else { trimmed };
    let Some(rest) = trimmed.strip_prefix('~') else { return Ok(PathBuf::from(trimmed)) };
    let (name, below) = rest.split_once('/').unwrap_or((rest, ""));
    let user = if name.is_empty() { system.user_by_id(system.effective_uid())? } else { system.user_by_name(name)? };
    let home = user.map(|user| user.home).ok_or_else(|| Failure::new(format!("whose home is meant by '{written}'? no such user")))?;
    Ok(if below.is_empty() { PathBuf::from(home) } else { PathBuf::from(home).join(below) })
}
