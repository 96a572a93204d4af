//! `service`: services of the host's own service manager, which is systemd here.

use std::path::Path;

use pgfleet_protocol::modules::services::Service;

use crate::module::{Context, Failure, Planned};
use crate::modules::systemd;

pub(crate) fn plan(arguments: &Service, context: &Context) -> Planned {
    match arguments.r#use.as_str() {
        "auto" if context.system.exists(Path::new("/run/systemd/system")) => {}
        "auto" => return Err(Failure::new("this host is not managed by systemd, the only service manager that pgfleet knows")),
        "systemd" => {}
        other => return Err(Failure::new(format!("service manager '{other}' is not known; use auto or systemd"))),
    }
    let wish = systemd::wish(&arguments.name, arguments.state, arguments.enabled, arguments.daemon_reload)?;
    systemd::plan(&wish, context)
}
