//! The package lists that apt fetched: how old they are, and whether they are good enough.

use std::path::Path;
use std::time::UNIX_EPOCH;

use pgfleet_protocol::modules::packages::Apt;

use crate::module::{Context, Failure, WithContext};
use crate::system::{System, Time};

const LISTS: &str = "/var/lib/apt/lists";
/// Touched by the distribution's own update job, where there is one.
const STAMP: &str = "/var/lib/apt/periodic/update-success-stamp";

/// The package lists as found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists {
    /// When they were fetched, in seconds since 1970.
    pub(super) time: i64,
    /// The call wants them fetched again.
    pub(super) stale: bool,
}

impl Lists {
    pub(super) fn look(wish: &Apt, system: &dyn System) -> Self {
        let time = fetched(system);
        let wanted = wish.update_cache || wish.cache_valid_time > 0;
        let valid = i64::try_from(wish.cache_valid_time).unwrap_or(i64::MAX);
        let fresh = time.saturating_add(valid) >= now(system) && valid > 0 && !is_empty(system) && time >= sources_changed(system);
        Self { time, stale: wanted && !fresh }
    }
}

fn now(system: &dyn System) -> i64 {
    system.now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs().cast_signed())
}

fn changed(system: &dyn System, path: &str) -> i64 {
    system.stat(Path::new(path)).map_or(0, |found| found.mtime.seconds)
}

fn fetched(system: &dyn System) -> i64 {
    changed(system, LISTS).max(changed(system, STAMP))
}

/// Images are shipped with young but empty lists.
fn is_empty(system: &dyn System) -> bool {
    !system.list_dir(Path::new(LISTS)).unwrap_or_default().iter().any(|name| name.to_string_lossy().contains("_Packages"))
}

/// A repository that was added since makes lists old, however young they are.
fn sources_changed(system: &dyn System) -> i64 {
    let folder = "/etc/apt/sources.list.d";
    let names = system.list_dir(Path::new(folder)).unwrap_or_default();
    let files = names.iter().map(|name| format!("{folder}/{}", name.display()));
    files.map(|path| changed(system, &path)).max().unwrap_or(0).max(changed(system, "/etc/apt/sources.list"))
}

/// Remembers that the lists were fetched just now: apt leaves the folder alone when the server had nothing new.
pub(super) fn touch(context: &Context) -> Result<i64, Failure> {
    let now = now(context.system);
    let time = Time { seconds: now, nanoseconds: 0 };
    context.system.set_times(Path::new(LISTS), None, Some(time)).context(format_args!("cannot touch {LISTS}"))?;
    Ok(now)
}
