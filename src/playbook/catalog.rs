//! Every module name that a task may use, and where its work is done.

use pgfleet_protocol::{ArgumentSpec, MODULES, ModuleSpec};
use pgfleet_template::closest;

use crate::controller::CONTROLLER;

/// Where a module's work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By the agent on the host.
    Host,
    /// By the agent, with content rendered or read by the controller.
    Transfer(Transfer),
    /// By the engine, without touching a host.
    Engine(Engine),
    /// A command line sent over SSH, without the agent.
    Raw,
    /// By the controller, once for all hosts of the play.
    Controller,
}

/// Modules that move content between controller and host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Content or a file of the controller to the host.
    Copy,
    /// A rendered template to the host.
    Template,
    /// A file of the host to the controller.
    Fetch,
    /// A program of the controller, run on the host.
    Script,
    /// An archive of the controller to the host.
    Unarchive,
}

/// Modules that the engine does itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Checks conditions.
    Assert,
    /// Shows a value.
    Debug,
    /// Fails.
    Fail,
    /// Adds hosts to groups named by a value.
    GroupBy,
    /// Adds a host.
    AddHost,
    /// Runs a role chosen at run time.
    IncludeRole,
    /// Runs a role, read beforehand.
    ImportRole,
    /// Runs the tasks of a file chosen at run time.
    IncludeTasks,
    /// Runs the tasks of a file, read beforehand.
    ImportTasks,
    /// Reads variables from a file.
    IncludeVars,
    /// Steers the run.
    Meta,
    /// Waits.
    Pause,
    /// Restarts a host and waits until it is back.
    Reboot,
    /// Waits until a host can be reached.
    WaitForConnection,
    /// Sets variables of a host.
    SetFact,
    /// Checks the arguments of a role.
    ValidateArgumentSpec,
    /// Says something about the run as a whole.
    SetStats,
}

/// The arguments of a module that hosts do not know, by their names; `!true` marks what must be there.
macro_rules! engine_spec {
    ($name:literal, $doc:literal, free $free:expr, [$($argument:literal $(as $alias:literal)* $(! $required:literal)?),*]) => {
        ModuleSpec {
            name: $name,
            doc: $doc,
            free_form: $free,
            arguments: &[$(ArgumentSpec {
                name: $argument,
                aliases: &[$($alias),*],
                kind: pgfleet_protocol::Kind::Any,
                required: false $(|| $required)?,
                doc: "",
            }),*],
            rules: &[],
        }
    };
}

pub(crate) use engine_spec;

/// Arguments of the modules that hosts do not know. `set_fact` takes any name and is checked by its reader.
const OWN: &[(Kind, ModuleSpec)] = &[
    (
        Kind::Engine(Engine::AddHost),
        engine_spec!("add_host", "Adds a host to the inventory in memory.", free None, ["name" as "host" as "hostname" !true, "groups" as "group" as "groupname"]),
    ),
    (
        Kind::Engine(Engine::Assert),
        engine_spec!("assert", "Checks that conditions hold.", free None, ["that" !true, "fail_msg" as "msg", "success_msg", "quiet"]),
    ),
    (Kind::Engine(Engine::Debug), engine_spec!("debug", "Shows a message or a variable.", free None, ["msg", "var", "verbosity"])),
    (Kind::Engine(Engine::Fail), engine_spec!("fail", "Fails with a message.", free None, ["msg"])),
    (Kind::Engine(Engine::GroupBy), engine_spec!("group_by", "Puts hosts into groups by a value.", free None, ["key" !true, "parents"])),
    (
        Kind::Engine(Engine::ImportRole),
        engine_spec!("import_role", "Runs a role, read beforehand.", free None, [
            "name" as "role" !true, "tasks_from", "vars_from", "defaults_from", "handlers_from", "public", "allow_duplicates",
            "rolespec_validate"
        ]),
    ),
    (
        Kind::Engine(Engine::IncludeRole),
        engine_spec!("include_role", "Runs a role chosen at run time.", free None, [
            "name" as "role" !true, "tasks_from", "vars_from", "defaults_from", "handlers_from", "apply", "public",
            "allow_duplicates", "rolespec_validate"
        ]),
    ),
    (
        Kind::Engine(Engine::ImportTasks),
        engine_spec!("import_tasks", "Runs the tasks of a file, read beforehand.", free Some("file"), ["file" as "_raw_params"]),
    ),
    (
        Kind::Engine(Engine::IncludeTasks),
        engine_spec!("include_tasks", "Runs the tasks of a file chosen at run time.", free Some("file"), ["file" as "_raw_params", "apply"]),
    ),
    (
        Kind::Engine(Engine::IncludeVars),
        engine_spec!("include_vars", "Reads variables from a file or folder.", free Some("file"), [
            "file" as "_raw_params", "dir", "name", "depth", "extensions", "files_matching", "hash_behaviour", "ignore_files",
            "ignore_unknown_extensions"
        ]),
    ),
    (Kind::Engine(Engine::Meta), engine_spec!("meta", "Steers the run.", free Some("_raw_params"), ["_raw_params"])),
    (Kind::Engine(Engine::Pause), engine_spec!("pause", "Waits for a time.", free None, ["seconds", "minutes", "prompt", "echo"])),
    (
        Kind::Raw,
        engine_spec!("raw", "Sends a command line over SSH, without the agent.", free Some("_raw_params"), ["_raw_params" as "cmd" !true, "executable"]),
    ),
    (
        Kind::Engine(Engine::Reboot),
        engine_spec!("reboot", "Restarts a host and waits until it is back.", free None, [
            "boot_time_command", "connect_timeout" as "connect_timeout_sec", "msg", "post_reboot_delay" as "post_reboot_delay_sec",
            "pre_reboot_delay" as "pre_reboot_delay_sec", "reboot_command", "reboot_timeout" as "reboot_timeout_sec",
            "search_paths", "test_command"
        ]),
    ),
    (
        Kind::Engine(Engine::WaitForConnection),
        engine_spec!("wait_for_connection", "Waits until a host can be reached.", free None, ["connect_timeout", "delay", "sleep", "timeout"]),
    ),
    (
        Kind::Transfer(Transfer::Script),
        engine_spec!("script", "Runs a program of the controller on the host.", free Some("_raw_params"), [
            "_raw_params" as "cmd", "chdir", "creates", "executable", "removes"
        ]),
    ),
    (Kind::Engine(Engine::SetFact), engine_spec!("set_fact", "Sets variables of a host.", free None, [])),
    (
        Kind::Engine(Engine::SetStats),
        engine_spec!("set_stats", "Says something about the run that is shown at its end.", free None, ["data", "per_host", "aggregate"]),
    ),
    (
        Kind::Engine(Engine::ValidateArgumentSpec),
        engine_spec!("validate_argument_spec", "Checks variables against a list of arguments.", free None, [
            "argument_spec" !true, "provided_arguments", "validate_args_context"
        ]),
    ),
    (
        Kind::Transfer(Transfer::Template),
        engine_spec!("template", "Renders a template on the controller and writes it on the host.", free None, [
            "src" !true, "dest" !true, "owner", "group", "mode", "validate", "backup", "force", "follow", "trim_blocks",
            "lstrip_blocks", "newline_sequence", "block_start_string", "block_end_string", "variable_start_string",
            "variable_end_string", "comment_start_string", "comment_end_string", "output_encoding"
        ]),
    ),
];

/// Stands for a module that nobody knows, in a task that may never run.
pub(crate) const UNKNOWN: ModuleSpec = engine_spec!("unknown", "A module that is not known here.", free Some("_raw_params"), []);

/// Names that only later versions can do, with what to say.
const NOT_YET: &[(&str, &str)] = &[
    ("rpm_key", "rpm_key is not supported; run rpm --import as a command"),
    ("archive", "archive is not supported; run tar as a command, with creates"),
    (
        "synchronize",
        "synchronize is not supported, since it needs rsync on both sides; use copy (with remote_src where both folders are on the host), \
         or run rsync as a command with delegate_to: localhost",
    ),
    ("firewalld", "firewalld is not supported; run firewall-cmd as a command"),
    ("ufw", "ufw is not supported; run ufw as a command"),
    ("selinux", "SELinux is not supported; run setenforce as a command"),
    ("seboolean", "SELinux is not supported; run setsebool as a command"),
    ("selinux_permissive", "SELinux is not supported; run semanage as a command"),
];

/// The module of a name as written in a task: short, `ansible.builtin.` or of a collection that it comes from.
///
/// # Errors
/// What to say about an unknown name: message, and a suggestion where one is close.
pub fn lookup_module(name: &str) -> Result<(Kind, ModuleSpec), (String, Option<&'static str>)> {
    let short = short_name(name);
    if let Some((_, reason)) = NOT_YET.iter().find(|(known, _)| *known == short) {
        return Err((format!("module '{name}': {reason}"), None));
    }
    if let Some((kind, spec)) = OWN.iter().find(|(_, spec)| spec.name == short) {
        return Ok((*kind, *spec));
    }
    if let Some(spec) = CONTROLLER.iter().find(|spec| spec.name == short) {
        return Ok((Kind::Controller, *spec));
    }
    if let Some(spec) = MODULES.iter().find(|spec| spec.name == short) {
        let kind = match spec.name {
            "copy" => Kind::Transfer(Transfer::Copy),
            "fetch" => Kind::Transfer(Transfer::Fetch),
            "unarchive" => Kind::Transfer(Transfer::Unarchive),
            _ => Kind::Host,
        };
        return Ok((kind, *spec));
    }
    Err((format!("no module is called '{name}'"), closest(short, module_names())))
}

/// Short names of all modules.
pub fn module_names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|spec| spec.name).chain(OWN.iter().map(|(_, spec)| spec.name)).chain(CONTROLLER.iter().map(|spec| spec.name))
}

/// The name without its collection, where that is one whose modules are known here.
pub(crate) fn short_name(name: &str) -> &str {
    let short =
        ["ansible.builtin.", "ansible.legacy.", "ansible.posix.", "community.general.", "community.postgresql.", "community.crypto."]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name);
    match short {
        "systemd_service" => "systemd",
        "yum" | "dnf5" => "dnf",
        "openssl_certificate" => "x509_certificate",
        "openssl_certificate_info" => "x509_certificate_info",
        "include" => "include_tasks",
        "gather_facts" => "setup",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, lookup_module, module_names};

    #[test]
    fn modules_are_found_under_all_their_names() {
        for name in
            ["file", "ansible.builtin.file", "ansible.posix.sysctl", "systemd_service", "community.general.ini_file", "ansible.builtin.yum"]
        {
            assert_eq!(lookup_module(name).map(|(kind, _)| kind), Ok(Kind::Host), "{name}");
        }
        assert_eq!(
            lookup_module("ansible.builtin.tempalte").map(|_| ()),
            Err(("no module is called 'ansible.builtin.tempalte'".to_owned(), Some("template")))
        );
    }

    #[test]
    fn no_name_is_there_twice() {
        let mut names: Vec<_> = module_names().collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
