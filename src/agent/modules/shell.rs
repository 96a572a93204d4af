//! `shell`: runs a command line in a shell.

use pgfleet_protocol::modules::command::Shell;
use serde_json::Value;

use super::command::{Invocation, input};
use crate::module::{Context, Failure, Planned};
use crate::paths;

pub(crate) fn plan(arguments: &Shell, context: &Context) -> Planned {
    let line = arguments._raw_params.as_str();
    if line.trim().is_empty() {
        return Err(Failure::new("no command given").with("rc", 256));
    }
    let invocation = Invocation {
        shown: Value::from(line),
        argv: vec![arguments.executable.to_string(), "-c".to_owned(), line.to_owned()],
        chdir: arguments.chdir.as_ref().map(|folder| paths::expand(context.system, folder.as_str())).transpose()?,
        stdin: input(arguments.stdin.as_deref(), arguments.stdin_add_newline),
        strip: true,
    };
    invocation.plan(arguments.creates.as_deref(), arguments.removes.as_deref(), context)
}
