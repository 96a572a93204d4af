//! Who hears the events of a run: the screen, and the journal on disk.

pub(crate) mod ansible;
mod diff;
pub(crate) mod findings;
mod json;
mod lines;
mod live;
mod place;
mod words;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use console::Term;
use pgfleet_engine::{Event, Report};
use pgfleet_state::{Journal, RunId};
use pgfleet_workflows::Project;

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
    journal: Option<Arc<LateJournal>>,
}

/// A journal that begins with the first event: what ends before that leaves nothing behind.
struct LateJournal {
    state: PathBuf,
    id: RunId,
    open: OnceLock<Option<Journal>>,
    /// It was told that something is missing in it.
    told: AtomicBool,
}

impl LateJournal {
    fn add(&self, event: &Event) {
        let journal = self.open.get_or_init(|| {
            let begun = Journal::begin(&self.state, &self.id);
            begun.map_err(|error| screen::note(&format!("warning: this run has no journal: {error}"))).ok()
        });
        // A full disk is full for every event.
        if let Some(Err(error)) = journal.as_ref().map(|journal| journal.add(event))
            && !self.told.swap(true, Ordering::Relaxed)
        {
            screen::note(&format!("warning: the journal is incomplete: {error}"));
        }
    }
}

impl Reporting {
    /// Chooses how to show a run, and where its journal will be.
    pub(crate) fn begin(project: &Project, what: &str, run: &RunArgs) -> Self {
        let live = run.output == RunOutput::Auto && Term::stdout().is_term() && Term::stderr().is_term();
        let places = || place::Places::new(project.files());
        let reporter: Box<dyn Reporter> = match run.output {
            RunOutput::Json => Box::new(json::Json),
            _ if live => Box::new(live::Live::new(run.verbose, places())),
            _ => Box::new(lines::Lines::new(run.verbose, places())),
        };
        let journal = LateJournal { state: project.state(), id: RunId::new(what), open: OnceLock::new(), told: AtomicBool::default() };
        Self { reporter: Arc::new(Mutex::new(reporter)), journal: Some(Arc::new(journal)) }
    }

    /// Shows a run as one of Ansible's programs does. They keep no journal.
    pub(crate) fn as_ansible(view: ansible::View, project: &Project) -> Self {
        Self { reporter: Arc::new(Mutex::new(ansible::reporter(view, project.files()))), journal: None }
    }

    /// The closure that the engine tells its events.
    pub(crate) fn report(&self) -> Report {
        let (reporter, journal) = (self.reporter.clone(), self.journal.clone());
        Arc::new(move |event| {
            if let Some(journal) = journal.as_ref().filter(|_| !matches!(event, Event::Progress { .. })) {
                journal.add(event);
            }
            reporter.lock().unwrap_or_else(PoisonError::into_inner).event(event);
        })
    }

    /// Ends the showing.
    pub(crate) fn end(&self) {
        self.reporter.lock().unwrap_or_else(PoisonError::into_inner).end();
    }
}
