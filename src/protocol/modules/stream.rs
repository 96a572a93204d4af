//! Modules that connect a program of the host with the controller, nothing of it staged on the host's disk.

use crate::arguments::arguments;
use crate::{HostPath, Items};

arguments! {
    /// Runs a program that reads what the controller sends.
    pub struct StreamIn = "stream_in" {
        /// Program and arguments.
        argv: Items;
        /// Folder to run in.
        chdir: HostPath = HostPath::from("/");
    }
}

arguments! {
    /// Runs a program and sends what it prints to the controller.
    pub struct StreamOut = "stream_out" {
        /// Program and arguments.
        argv: Items;
        /// Folder to run in.
        chdir: HostPath = HostPath::from("/");
        /// Text for standard input.
        stdin: Option<String>;
    }
}
