//! Modules that run a program.

use crate::arguments::arguments;
use crate::{HostPath, Items, Rule};

arguments! {
    /// Runs a program without a shell.
    pub struct Command = "command" free "_raw_params" {
        /// The command line, split as a shell would, but expanding nothing else.
        _raw_params: Option<String> as ["cmd"];
        /// Program and arguments as a list.
        argv: Option<Items>;
        /// Folder to run in.
        chdir: Option<HostPath>;
        /// Skip when this path (a shell pattern) exists.
        creates: Option<String>;
        /// Skip unless this path (a shell pattern) exists.
        removes: Option<String>;
        /// Text for standard input.
        stdin: Option<String>;
        /// End the standard input's text with a newline.
        stdin_add_newline: bool = true;
        /// Leave out trailing newlines of the output.
        strip_empty_ends: bool = true;
        /// Expand `$VARIABLES` in the arguments.
        expand_argument_vars: bool = true;
        /// Without a shell it means nothing; a warning says so.
        executable: Option<HostPath>;
    }
    rules [Rule::AtMostOne(&["_raw_params", "argv"]), Rule::AtLeastOne(&["_raw_params", "argv"])]
}

arguments! {
    /// Runs a command line in a shell.
    pub struct Shell = "shell" free "_raw_params" {
        /// The command line.
        _raw_params: String as ["cmd"];
        /// Folder to run in.
        chdir: Option<HostPath>;
        /// The shell.
        executable: HostPath = HostPath::from("/bin/sh");
        /// Skip when this path (a shell pattern) exists.
        creates: Option<String>;
        /// Skip unless this path (a shell pattern) exists.
        removes: Option<String>;
        /// Text for standard input.
        stdin: Option<String>;
        /// End the standard input's text with a newline.
        stdin_add_newline: bool = true;
    }
}
