//! `fetch`: sends a file to the controller, unless it has the same already.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::files::Fetch;

use crate::attributes::octal;
use crate::digest::Algorithm;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;

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
    let sum = |algorithm: Algorithm| context.system.open_file(&path).and_then(|mut file| algorithm.of_reader(&mut file)).context(&reading);
    let sha256 = sum(Algorithm::Sha256)?;
    let result = |outcome: Outcome| -> Result<Outcome, Failure> {
        Ok(outcome
            .with("src", path.to_string_lossy())
            .with("checksum", sum(Algorithm::Sha1)?)
            .with("remote_checksum", sum(Algorithm::Sha1)?)
            .with("remote_md5sum", serde_json::Value::Null)
            .with("md5sum", sum(Algorithm::Md5)?)
            .with("sha256", sha256.as_str())
            .with("size", found.size)
            .with("mode", octal(found.mode)))
    };
    if arguments._sha256.as_ref() == Some(&sha256) {
        return result(Outcome::unchanged()).map(Plan::Done);
    }
    let outcome = result(Outcome::changed())?;
    Ok(Plan::change(outcome, move |context, outcome| {
        let mut file = context.system.open_file(&path).context(&reading)?;
        context.channel.send(&mut file).context(&reading)?;
        Ok(outcome)
    }))
}
