//! What plays, blocks and tasks inherit from each other.

use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_template::{Condition, Place, Raw, Vars};

/// Arguments by a module's short name.
pub type ModuleDefaults = IndexMap<String, IndexMap<String, (Place, Raw)>>;

use crate::Role;

/// Keywords that an inner thing takes from the outer one unless it sets them itself; `when`, `vars`, `environment`, `notify`
/// and `tags` add up instead. Values are as written: the engine renders them for each host.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// All must hold.
    pub when: Vec<Condition>,
    /// Variables, outermost first.
    pub vars: Vec<Arc<Vars>>,
    /// Variables that includes were given, outermost first. They stand above facts that were set.
    pub parameters: Vec<Arc<Vars>>,
    /// The role that it belongs to.
    pub role: Option<Arc<Role>>,
    /// Handlers to notify.
    pub notify: Vec<Raw>,
    /// Environment variables, outermost first.
    pub environment: Vec<Raw>,
    /// Tags.
    pub tags: Vec<String>,
    /// Arguments by module, for tasks that do not give them; the innermost that names a module counts.
    pub module_defaults: Arc<ModuleDefaults>,
    /// Act as another user.
    pub r#become: Option<Raw>,
    /// Which user.
    pub become_user: Option<Raw>,
    /// Which way.
    pub become_method: Option<Raw>,
    /// Go on after a failure.
    pub ignore_errors: Option<Raw>,
    /// Go on after losing a host.
    pub ignore_unreachable: Option<Raw>,
    /// Withhold effects, or not, whatever the run does.
    pub check_mode: Option<Raw>,
    /// Show diffs, or not, whatever the run does.
    pub diff: Option<Raw>,
    /// Show nothing of arguments and results.
    pub no_log: Option<Raw>,
    /// Do it on another host.
    pub delegate_to: Option<Raw>,
    /// Facts belong to that other host.
    pub delegate_facts: Option<Raw>,
    /// Do it once for all hosts.
    pub run_once: Option<Raw>,
    /// A failure ends the play for all.
    pub any_errors_fatal: Option<Raw>,
    /// `local` or `ssh`.
    pub connection: Option<Raw>,
    /// User to log in as.
    pub remote_user: Option<Raw>,
    /// Port to connect to.
    pub port: Option<Raw>,
    /// Hosts at a time.
    pub throttle: Option<Raw>,
    /// Seconds that the task may take.
    pub timeout: Option<Raw>,
}

impl Settings {
    /// What an inner thing with these settings of its own has, standing inside `self`.
    #[must_use]
    pub fn around(&self, inner: Self) -> Self {
        Self {
            when: joined(&self.when, inner.when),
            vars: joined(&self.vars, inner.vars),
            parameters: joined(&self.parameters, inner.parameters),
            role: inner.role.or_else(|| self.role.clone()),
            notify: joined(&self.notify, inner.notify),
            environment: joined(&self.environment, inner.environment),
            tags: joined(&self.tags, inner.tags),
            module_defaults: over(&self.module_defaults, inner.module_defaults),
            r#become: inner.r#become.or_else(|| self.r#become.clone()),
            become_user: inner.become_user.or_else(|| self.become_user.clone()),
            become_method: inner.become_method.or_else(|| self.become_method.clone()),
            ignore_errors: inner.ignore_errors.or_else(|| self.ignore_errors.clone()),
            ignore_unreachable: inner.ignore_unreachable.or_else(|| self.ignore_unreachable.clone()),
            check_mode: inner.check_mode.or_else(|| self.check_mode.clone()),
            diff: inner.diff.or_else(|| self.diff.clone()),
            no_log: inner.no_log.or_else(|| self.no_log.clone()),
            delegate_to: inner.delegate_to.or_else(|| self.delegate_to.clone()),
            delegate_facts: inner.delegate_facts.or_else(|| self.delegate_facts.clone()),
            run_once: inner.run_once.or_else(|| self.run_once.clone()),
            any_errors_fatal: inner.any_errors_fatal.or_else(|| self.any_errors_fatal.clone()),
            connection: inner.connection.or_else(|| self.connection.clone()),
            remote_user: inner.remote_user.or_else(|| self.remote_user.clone()),
            port: inner.port.or_else(|| self.port.clone()),
            throttle: inner.throttle.or_else(|| self.throttle.clone()),
            timeout: inner.timeout.or_else(|| self.timeout.clone()),
        }
    }
}

fn over(outer: &Arc<ModuleDefaults>, inner: Arc<ModuleDefaults>) -> Arc<ModuleDefaults> {
    match (outer.is_empty(), inner.is_empty()) {
        (_, true) => outer.clone(),
        (true, false) => inner,
        (false, false) => Arc::new(outer.iter().chain(inner.iter()).map(|(name, given)| (name.clone(), given.clone())).collect()),
    }
}

fn joined<T: Clone>(outer: &[T], inner: Vec<T>) -> Vec<T> {
    if outer.is_empty() {
        return inner;
    }
    let mut all = outer.to_vec();
    all.extend(inner);
    all
}
