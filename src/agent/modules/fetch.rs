//! `fetch`: sends a file to the controller, unless it has the same already.

use std::io::Read;
use std::path::PathBuf;

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::files::Fetch;

use crate::attributes::octal;
use crate::digest::Summed;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::sums::{Summing, Sums, Wanted};

pub(crate) fn plan(arguments: &Fetch, context: &Context) -> Planned {
    let path = paths::expand(context.system, arguments.src.as_str())?;
    let reading = format!("cannot read {}", path.display());
    let Some(found) = context.system.stat_if_there(&path).context(&reading)? else {
        let outcome = Outcome::unchanged().with("src", path.to_string_lossy()).with("file", path.to_string_lossy());
        return if arguments.fail_on_missing {
            Err(Failure::new(format!("the remote file does not exist: {}", path.display())).with("file", path.to_string_lossy()))
        } else {
            Ok(Plan::Done(outcome.saying("the remote file does not exist, not transferring, ignored")))
        };
    };
    if found.is_directory() {
        return Err(Failure::new(format!("remote file is a directory, fetch cannot work on directories: {}", path.display())));
    }
    let file = HostFile { path, size: found.size, mode: found.mode };
    // Read beforehand only where perhaps nothing has to be sent.
    let known = match arguments._sha256.is_some() || context.mode.is_check() {
        true => Some(Sums::of_reader(&mut *file.open(context)?, Wanted::by(context)).context(&reading)?),
        false => None,
    };
    let same = known.as_ref().is_some_and(|sums| arguments._sha256.as_ref() == Some(&sums.sha256));
    let foretold = known.iter().fold(Outcome::changed_if(!same), |outcome, sums| file.told(outcome, sums));
    if same {
        return Ok(Plan::Done(foretold));
    }
    Ok(Plan::change(foretold, move |context, outcome| {
        let mut sent = Summed::with(file.open(context)?, Summing::new(Wanted::by(context)));
        context.channel.send(&mut sent).context(&reading)?;
        Ok(file.told(outcome, &sent.sum.finish()))
    }))
}

/// What is fetched.
struct HostFile {
    path: PathBuf,
    size: u64,
    mode: u32,
}

impl HostFile {
    fn open(&self, context: &Context) -> Result<Box<dyn Read>, Failure> {
        context.system.open_file(&self.path).context(format_args!("cannot read {}", self.path.display()))
    }

    fn told(&self, outcome: Outcome, sums: &Sums) -> Outcome {
        let outcome = sums.told.iter().fold(outcome, |outcome, told| {
            outcome
                .with("checksum", told.sha1.as_str())
                .with("remote_checksum", told.sha1.as_str())
                .with("remote_md5sum", serde_json::Value::Null)
                .with("md5sum", told.md5.as_str())
        });
        outcome
            .with("src", self.path.to_string_lossy())
            .with("sha256", sums.sha256.as_str())
            .with("size", self.size)
            .with("mode", octal(self.mode))
    }
}
