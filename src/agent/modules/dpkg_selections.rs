//! `dpkg_selections`: holds above all.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::packages::{DpkgSelections, Selection};

use crate::dpkg::{Installed, Want};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::modules::apt;
use crate::system::Program;

pub(crate) fn plan(arguments: &DpkgSelections, context: &Context) -> Planned {
    let status = apt::database(context)?;
    let installed = Installed::parse(&status);
    let found = installed.find(&arguments.name).map_or(Want::Unknown, |entry| entry.want);
    let wished = match arguments.selection {
        Selection::Install => Want::Install,
        Selection::Hold => Want::Hold,
        Selection::Deinstall => Want::Deinstall,
        Selection::Purge => Want::Purge,
    };
    let outcome = Outcome::changed_if(found != wished).with("before", found.word()).with("after", wished.word());
    if found == wished {
        return Ok(Plan::Done(outcome));
    }
    let line = format!("{} {}\n", arguments.name, wished.word());
    Ok(Plan::change(outcome, move |context, outcome| {
        let finished = context.run(Program::new(["dpkg", "--set-selections"]).stdin(line)).context("cannot run dpkg")?;
        if finished.is_success() {
            return Ok(outcome);
        }
        Err(Failure::new(format!("dpkg --set-selections failed: {}", finished.stderr_text().trim())).with("rc", finished.status))
    }))
}
