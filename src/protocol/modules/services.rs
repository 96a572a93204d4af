//! Modules that manage services.

use crate::Rule;
use crate::arguments::{arguments, choice};

choice! {
    /// What a service shall do.
    pub enum ServiceState {
        /// Run; start it if it does not.
        Started = "started",
        /// Rest; stop it if it runs.
        Stopped = "stopped",
        /// Be restarted, always.
        Restarted = "restarted",
        /// Read its configuration again, always.
        Reloaded = "reloaded",
    }
}

arguments! {
    /// Manages systemd units.
    pub struct Systemd = "systemd" {
        /// The unit.
        name: Option<String> as ["service", "unit"];
        /// What it shall do.
        state: Option<ServiceState>;
        /// Start at boot.
        enabled: Option<bool>;
        /// Be impossible to start.
        masked: Option<bool>;
        /// Read unit files again first.
        daemon_reload: bool as ["daemon-reload"] = false;
        /// Run systemd itself anew first.
        daemon_reexec: bool as ["daemon-reexec"] = false;
        /// Change links even where they conflict.
        force: bool = false;
        /// Do not wait for the job to end.
        no_block: bool = false;
        /// `system`, `user` or `global`.
        scope: String = "system".to_owned();
    }
    rules [Rule::AtLeastOne(&["name", "daemon_reload", "daemon_reexec"])]
}

arguments! {
    /// Manages services with the host's own service manager.
    pub struct Service = "service" {
        /// The service.
        name: String;
        /// What it shall do.
        state: Option<ServiceState>;
        /// Start at boot.
        enabled: Option<bool>;
        /// Read unit files again first.
        daemon_reload: bool as ["daemon-reload"] = false;
        /// Seconds between stop and start of a restart.
        sleep: Option<u64>;
        /// Accepted for old managers' sake.
        pattern: Option<String>;
        /// Accepted for old managers' sake.
        runlevel: Option<String>;
        /// Accepted for old managers' sake.
        arguments: Option<String> as ["args"];
        /// Which manager; `auto` finds it.
        r#use: String = "auto".to_owned();
    }
    rules [Rule::AtLeastOne(&["state", "enabled"])]
}
