//! A play and a playbook, as read.

use std::path::PathBuf;
use std::sync::Arc;

use pgfleet_template::{Condition, Place, Problem, Raw, Vars};

use crate::catalog::UNKNOWN;
use crate::{Role, Settings, Step, TagSelection, Task};

/// A playbook: its plays, those of imported playbooks among them.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// The plays.
    pub plays: Vec<Play>,
    /// What is wrong with tasks that may never run: unknown modules, arguments that do not fit.
    pub deferred: Vec<Problem>,
}

/// Whether facts are gathered before a play's tasks.
#[derive(Clone, Debug)]
pub enum Gather {
    /// As the run's settings say: yes.
    Default,
    /// As written.
    Written(Raw),
}

/// A variable that a person is asked for before a play begins.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Its name.
    pub name: String,
    /// The question.
    pub question: Raw,
    /// Do not show what is typed.
    pub private: bool,
    /// Ask twice.
    pub confirm: bool,
    /// Where nothing is typed, or nobody can be asked.
    pub default: Option<Raw>,
    /// How the answer is hashed.
    pub encrypt: Option<Hashing>,
    /// Where it stands.
    pub place: Place,
}

/// How an answer is hashed, in the words of the filter `password_hash`.
#[derive(Clone, Debug)]
pub struct Hashing {
    /// Its kind.
    pub kind: String,
    /// Its salt; a random one where there is none.
    pub salt: Option<String>,
    /// Signs of a random salt.
    pub salt_size: Option<u64>,
}

/// One play. Its tasks' settings already hold what they inherit from it.
#[derive(Clone, Debug)]
pub struct Play {
    /// As written; the hosts where there is none.
    pub name: Option<Raw>,
    /// Where it stands.
    pub place: Place,
    /// Which hosts, as written: a pattern, or a list of them.
    pub hosts: Raw,
    /// Whether facts are gathered.
    pub gather_facts: Gather,
    /// Which facts.
    pub gather_subset: Option<Raw>,
    /// Seconds that one group of facts may take.
    pub gather_timeout: Option<Raw>,
    /// The folder of the host's own facts.
    pub fact_path: Option<Raw>,
    /// Variables.
    pub vars: Arc<Vars>,
    /// Variables that a person is asked for.
    pub prompts: Vec<Prompt>,
    /// Files of variables, in order; a list stands for the first of them that exists.
    pub vars_files: Vec<(Place, Raw)>,
    /// Sizes of batches: numbers or percentages.
    pub serial: Vec<Raw>,
    /// `linear` or `free`, or a template.
    pub strategy: Option<String>,
    /// Failed hosts, in percent of a batch, beyond which the play ends.
    pub max_fail_percentage: Option<Raw>,
    /// Run notified handlers even after a failure.
    pub force_handlers: Option<Raw>,
    /// Order of hosts, or a template: `inventory`, `sorted`, `reverse_sorted`, `reverse_inventory`, `shuffle`.
    pub order: Option<String>,
    /// Own settings; `vars` stays empty here, play variables have a place of their own.
    pub settings: Settings,
    /// Before the tasks; handlers are flushed after them.
    pub pre_tasks: Vec<Step>,
    /// What its roles do, before the tasks.
    pub roles: Vec<Step>,
    /// The roles that it uses, those that its tasks import among them.
    pub used_roles: Vec<Arc<Role>>,
    /// Collections in which its roles are looked for.
    pub collections: Vec<String>,
    /// The tasks.
    pub tasks: Vec<Step>,
    /// After the tasks and their handlers.
    pub post_tasks: Vec<Step>,
    /// Handlers, in the order in which they run.
    pub handlers: Vec<Arc<Task>>,
    /// Conditions of the imports that led here; they hold for every task.
    pub import_when: Vec<Condition>,
    /// The folder of the playbook that it stands in.
    pub folder: Arc<PathBuf>,
}

impl Play {
    /// True where a task that cannot be done (with `only_unknown`: one whose module is not known) runs for certain once the play has
    /// hosts: it is chosen, has no condition, and nothing before it may end the play.
    #[must_use]
    pub fn fails_for_certain(&self, tags: &TagSelection, only_unknown: bool) -> bool {
        let sections = [&self.pre_tasks, &self.roles, &self.tasks, &self.post_tasks];
        sections.into_iter().find_map(|steps| certainty(steps, tags, only_unknown)).unwrap_or(false)
    }
}

/// Whether steps fail for certain; `None` where it depends on what follows them.
fn certainty(steps: &[Step], tags: &TagSelection, only_unknown: bool) -> Option<bool> {
    steps.iter().find_map(|step| match step {
        Step::Block(block) if !block.rescue.is_empty() => None,
        Step::Block(block) => certainty(&block.block, tags, only_unknown),
        Step::Task(task) if !tags.selects(&task.settings.tags) || task.settings.ignore_errors.is_some() => None,
        Step::Task(task) if task.module.name == "meta" => Some(false),
        Step::Task(task) => {
            let counts = task.refused.is_some() && (!only_unknown || task.module.name == UNKNOWN.name);
            (counts && task.settings.when.is_empty() && task.repeat.is_none()).then_some(true)
        }
    })
}
