//! Rendering that must have no effect: lookups that run programs, write files or reach over the network are refused meanwhile.

use std::cell::Cell;

use minijinja::Error;

use crate::builtins::fail;

/// Lookups that do something besides looking.
const REACHING_OUT: &[&str] = &["lines", "password", "pipe", "url"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Free,
    Harmless,
    /// Harmless, and something was refused.
    Refused,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Free) };
}

/// What is true on this thread while it is held; the mode before comes back when it is dropped.
struct Restored(Mode);

impl Drop for Restored {
    fn drop(&mut self) {
        MODE.set(self.0);
    }
}

/// Renders something ahead of its time. `None` where that asked for a lookup that has effects, which then was not done.
pub fn without_effects<T>(render: impl FnOnce() -> T) -> Option<T> {
    let _restored = Restored(MODE.replace(Mode::Harmless));
    let rendered = render();
    (MODE.get() != Mode::Refused).then_some(rendered)
}

/// Refuses a lookup with effects where there may be none.
pub(crate) fn may_look_up(name: &str) -> Result<(), Error> {
    if MODE.get() == Mode::Free || !REACHING_OUT.contains(&name) {
        return Ok(());
    }
    MODE.set(Mode::Refused);
    Err(fail(format!("the lookup '{name}' is not done ahead of its time")))
}
