//! What the lab tells while it works: typed steps that go up to whoever draws them.

use std::time::Duration;

/// One thing that happened. Steps are told on the caller's thread, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Work on something began.
    Started(String),
    /// A line from within the work that began last, for a progress line.
    Detail(String),
    /// The work is done.
    Done(String, Duration),
    /// Something to know that is no error.
    Note(String),
}

/// Tells the start and the end of one piece of work, so that no call site forgets either.
pub(crate) fn step<T, E>(progress: &dyn Fn(Step), what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    progress(Step::Started(what.to_owned()));
    let began = std::time::Instant::now();
    let value = work()?;
    progress(Step::Done(what.to_owned(), began.elapsed()));
    Ok(value)
}
