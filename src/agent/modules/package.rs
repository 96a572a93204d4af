//! `package`: packages of the host's own package manager, which is apt here.

use std::path::Path;

use pgfleet_protocol::Arguments;
use pgfleet_protocol::modules::packages::{Apt, Package};
use serde_json::json;

use crate::module::{Context, Failure, Planned};
use crate::modules::apt;

pub(crate) fn plan(arguments: &Package, context: &Context) -> Planned {
    match arguments.r#use.as_str() {
        "auto" if context.system.exists(Path::new("/usr/bin/apt-get")) => {}
        "auto" => return Err(Failure::new("this host has no apt-get, and pgfleet knows no other package manager")),
        "apt" => {}
        other => return Err(Failure::new(format!("package manager '{other}' is not known; use auto or apt"))),
    }
    let wish = json!({
        "name": arguments.name,
        "state": arguments.state.word(),
        "update_cache": arguments.update_cache,
        "cache_valid_time": arguments.cache_valid_time,
    });
    let wish = Apt::read(wish.as_object().unwrap_or(&pgfleet_protocol::Map::new())).map_err(|problem| Failure::new(problem.to_string()))?;
    apt::plan(&wish, context)
}
