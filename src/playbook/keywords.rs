//! The keywords of plays, blocks and tasks.

/// Keywords that plays, blocks and tasks share and inherit.
pub const SHARED: &[&str] = &[
    "any_errors_fatal",
    "become",
    "become_exe",
    "become_flags",
    "become_method",
    "become_user",
    "check_mode",
    "collections",
    "connection",
    "debugger",
    "diff",
    "environment",
    "ignore_errors",
    "ignore_unreachable",
    "module_defaults",
    "name",
    "no_log",
    "port",
    "remote_user",
    "run_once",
    "tags",
    "throttle",
    "timeout",
    "vars",
];

/// Keywords of plays alone.
pub const PLAY: &[&str] = &[
    "fact_path",
    "force_handlers",
    "gather_facts",
    "gather_subset",
    "gather_timeout",
    "handlers",
    "hosts",
    "max_fail_percentage",
    "order",
    "post_tasks",
    "pre_tasks",
    "roles",
    "serial",
    "strategy",
    "tasks",
    "vars_files",
    "vars_prompt",
];

/// Keywords of blocks alone.
pub const BLOCK: &[&str] = &["always", "block", "delegate_facts", "delegate_to", "notify", "rescue", "when"];

/// Keywords of tasks alone.
pub const TASK: &[&str] = &[
    "action",
    "args",
    "async",
    "changed_when",
    "delay",
    "delegate_facts",
    "delegate_to",
    "failed_when",
    "listen",
    "local_action",
    "loop",
    "loop_control",
    "notify",
    "poll",
    "register",
    "retries",
    "until",
    "when",
];

/// Keywords that `include_tasks` and `include_role` take.
pub const OF_INCLUDES: &[&str] = &[
    "action",
    "args",
    "collections",
    "debugger",
    "ignore_errors",
    "listen",
    "loop",
    "loop_control",
    "name",
    "no_log",
    "register",
    "run_once",
    "tags",
    "timeout",
    "vars",
    "when",
];

/// Keywords of tasks whose values are templates through and through, and say nothing else.
pub fn templated() -> impl Iterator<Item = &'static str> {
    let own = ["delegate_facts", "delegate_to"];
    SHARED.iter().copied().filter(|word| !["collections", "debugger", "name", "tags", "timeout", "vars"].contains(word)).chain(own)
}

/// Words that `meta` takes.
pub const META: &[&str] = &[
    "clear_facts",
    "clear_host_errors",
    "end_batch",
    "end_host",
    "end_play",
    "end_role",
    "flush_handlers",
    "noop",
    "refresh_inventory",
    "reset_connection",
    "role_complete",
];

/// Words that `strategy` takes.
pub const STRATEGIES: &[&str] =
    &["linear", "free", "host_pinned", "ansible.builtin.linear", "ansible.builtin.free", "ansible.builtin.host_pinned"];

/// Words that `order` takes.
pub const ORDERS: &[&str] = &["inventory", "sorted", "reverse_sorted", "reverse_inventory", "shuffle"];

/// Names beside the keywords that the language uses itself.
const OWN_NAMES: &[&str] = &[
    "async_val",
    "cycler",
    "dict",
    "joiner",
    "lipsum",
    "lookup",
    "loop_with",
    "namespace",
    "now",
    "omit",
    "q",
    "query",
    "range",
    "undef",
    "with_",
];

/// True for a name that the language uses itself, so that a variable of that name surprises.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let is_keyword = [SHARED, PLAY, BLOCK, TASK].iter().any(|words| words.contains(&name));
    OWN_NAMES.contains(&name) || is_keyword && !["gather_subset", "listen", "vars"].contains(&name)
}
