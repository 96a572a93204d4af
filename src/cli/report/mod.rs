//! Who hears the events of a run: the screen, and the journal on disk.

mod diff;
mod json;
mod lines;
mod live;
mod words;

use std::sync::{Arc, Mutex, PoisonError};

use console::Term;
use pgfleet_engine::{Event, Report};
use pgfleet_state::{Journal, RunId};
use pgfleet_workflows::{Project, WorkflowError};

use crate::args::{RunArgs, RunOutput};
use crate::screen;

/// Shows events.
pub(crate) trait Reporter: Send {
    /// Shows one.
    fn event(&mut self, event: &Event);
    /// Shows what is still held back, and leaves the terminal clean.
    fn end(&mut self) {}
}

/// The reporters of one run.
pub(crate) struct Reporting {
    reporter: Arc<Mutex<Box<dyn Reporter>>>,
    journal: Option<Arc<Journal>>,
}

impl Reporting {
    /// Chooses how to show a run, and begins its journal.
    pub(crate) fn begin(project: &Project, what: &str, run: &RunArgs) -> Result<Self, WorkflowError> {
        let live = run.output == RunOutput::Auto && Term::stdout().is_term() && Term::stderr().is_term();
        let reporter: Box<dyn Reporter> = match run.output {
            RunOutput::Json => Box::new(json::Json),
            _ if live => Box::new(live::Live::new(run.verbose)),
            _ => Box::new(lines::Lines::new(run.verbose)),
        };
        let journal = Journal::begin(&project.state(), &RunId::new(what)).map_err(|error| {
            screen::note(&format!("warning: this run has no journal: {error}"));
        });
        Ok(Self { reporter: Arc::new(Mutex::new(reporter)), journal: journal.ok().map(Arc::new) })
    }

    /// The closure that the engine tells its events.
    pub(crate) fn report(&self) -> Report {
        let (reporter, journal) = (self.reporter.clone(), self.journal.clone());
        Arc::new(move |event| {
            if let Some(journal) = &journal
                && let Err(error) = journal.add(event)
            {
                screen::note(&format!("warning: the journal is incomplete: {error}"));
            }
            reporter.lock().unwrap_or_else(PoisonError::into_inner).event(event);
        })
    }

    /// Ends the showing.
    pub(crate) fn end(&self) {
        self.reporter.lock().unwrap_or_else(PoisonError::into_inner).end();
    }
}
