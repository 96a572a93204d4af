//! `package`: packages of the host's own package manager, apt or dnf.

use pgfleet_protocol::modules::packages::Package;
use pgfleet_protocol::{Arguments, Map};
use serde_json::{Value, json};

use crate::module::{Context, Failure, Planned};
use crate::modules::{apt, dnf};

pub(crate) fn plan(arguments: &Package, context: &Context) -> Planned {
    let has = |name: &str| context.system.find_program(name).is_some();
    match arguments.r#use.as_str() {
        "auto" if has("apt-get") => with_apt(arguments, context),
        "auto" if has("dnf") || has("dnf5") || has("yum") => with_dnf(arguments, context),
        "auto" => Err(Failure::new("this host has neither apt-get nor dnf, and pgfleet knows no other package manager")),
        "apt" => with_apt(arguments, context),
        "dnf" | "dnf5" | "yum" => with_dnf(arguments, context),
        other => Err(Failure::new(format!("package manager '{other}' is not known; use auto, apt or dnf"))),
    }
}

fn with_apt(arguments: &Package, context: &Context) -> Planned {
    let wish = json!({
        "name": arguments.name,
        "state": arguments.state.word(),
        "update_cache": arguments.update_cache,
        "cache_valid_time": arguments.cache_valid_time,
    });
    apt::plan(&read(&wish)?, context)
}

fn with_dnf(arguments: &Package, context: &Context) -> Planned {
    let wish = json!({
        "name": arguments.name,
        "state": arguments.state.word(),
        "update_cache": arguments.update_cache,
        "disable_gpg_check": arguments.disable_gpg_check,
        "disablerepo": arguments.disablerepo,
        "enablerepo": arguments.enablerepo,
    });
    dnf::plan(&read(&wish)?, context)
}

fn read<T: Arguments>(wish: &Value) -> Result<T, Failure> {
    T::read(wish.as_object().unwrap_or(&Map::new())).map_err(|problem| Failure::new(problem.to_string()))
}
