//! `pgfleet lint`.

use std::path::{Path, PathBuf};

use pgfleet_engine::Stop;
use pgfleet_lint::Severity;
use pgfleet_playbook::TagSelection;
use pgfleet_template::Place;
use pgfleet_workflows::{Project, Wish, WorkflowError, lint_playbooks};

use crate::args::{ConnectionArgs, LintArgs, LintOutput, PlaybookArgs, RunArgs};
use crate::exit::Exit;
use crate::report::findings;
use crate::{screen, settings};

pub(crate) fn run(project: Project, args: &LintArgs) -> Result<Exit, WorkflowError> {
    let connection = ConnectionArgs { extra: args.extra.clone(), ..ConnectionArgs::default() };
    let mut wish = settings::wish_to_look(project, &args.source, &connection, Stop::default())?;
    wish.tags = TagSelection::new(args.tags.clone(), args.skip_tags.clone());
    let mut report = lint_playbooks(&wish, &args.playbooks);
    if args.quiet {
        report.findings.retain(|finding| finding.severity != Severity::Hint);
    }
    match args.output {
        LintOutput::Text => findings::show(&report),
        LintOutput::Lines => findings::lines(&report).iter().for_each(|line| screen::line(line)),
        LintOutput::Json => screen::line(&findings::json(&report).to_string()),
    }
    let is_wrong = report.count(Severity::Error) > 0 || args.strict && report.count(Severity::Warning) > 0;
    Ok(if is_wrong { Exit::Input } else { Exit::Done })
}

/// What else is wrong with playbooks that cannot be read.
pub(crate) fn beside(wish: &Wish, args: &PlaybookArgs, error: &WorkflowError) {
    let WorkflowError::Input(told) = error else { return };
    if args.run.no_lint {
        return;
    }
    let mut report = lint_playbooks(wish, &args.playbooks);
    let line = |place: &Place| (place.file.clone(), place.line);
    let is_told = |place: &Place| told.iter().filter_map(|problem| problem.place.as_ref()).any(|known| line(known) == line(place));
    report.findings.retain(|finding| finding.severity == Severity::Error && finding.place.line > 0 && !is_told(&finding.place));
    findings::errors(&report);
}

/// Before a run under the names of Ansible's programs, where more words are wanted: errors and warnings, as its own warnings look.
pub(crate) fn as_warnings(wish: &Wish, playbook: &Path) {
    let mut report = lint_playbooks(wish, &[playbook.to_owned()]);
    report.findings.retain(|finding| finding.severity != Severity::Hint);
    findings::lines(&report).iter().for_each(|line| screen::note(&format!("[WARNING]: {line}")));
}

/// Before a run: errors end it, and of all else there is one line.
pub(crate) fn before_run(wish: &Wish, playbooks: &[PathBuf], run: &RunArgs) -> Option<Exit> {
    if run.no_lint {
        return None;
    }
    let report = lint_playbooks(wish, playbooks);
    if report.count(Severity::Error) > 0 {
        findings::errors(&report);
        screen::hint("nothing was touched; 'pgfleet lint' tells more, and --no-lint runs it all the same");
        return Some(Exit::Input);
    }
    if let Some(line) = findings::in_short(&report) {
        screen::note(&line);
    }
    None
}
