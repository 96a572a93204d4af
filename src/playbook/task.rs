//! A task and a block, as read.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_protocol::ModuleSpec;
use pgfleet_template::{Condition, Node, Place, Problem, Raw, Text};

use crate::{Kind, Role, Settings};

/// One step of a play: a task or a block of steps.
#[derive(Clone, Debug)]
pub enum Step {
    /// A task.
    Task(Arc<Task>),
    /// A block.
    Block(Arc<Block>),
}

/// Steps that fail together, with what to do then and what to do always.
#[derive(Clone, Debug)]
pub struct Block {
    /// As written.
    pub name: Option<Raw>,
    /// Where it stands.
    pub place: Place,
    /// The steps.
    pub block: Vec<Step>,
    /// For hosts that failed in them.
    pub rescue: Vec<Step>,
    /// For all hosts, afterwards.
    pub always: Vec<Step>,
    /// The role whose tasks these are, all of them.
    pub role: Option<Arc<Role>>,
}

/// A module with its arguments and everything said about them. Settings hold what it inherits too.
#[derive(Clone, Debug)]
pub struct Task {
    /// As written; the module's name where there is none.
    pub name: Option<Raw>,
    /// Where it stands.
    pub place: Place,
    /// Where its module's work is done.
    pub kind: Kind,
    /// Its module.
    pub module: ModuleSpec,
    /// The module's name as written.
    pub module_name: String,
    /// Its arguments.
    pub arguments: Arguments,
    /// Own and inherited settings.
    pub settings: Settings,
    /// What it is repeated over.
    pub repeat: Option<Loop>,
    /// Repetition until a condition holds.
    pub until: Option<Repeat>,
    /// Do it detached, within so many seconds.
    pub detached: Option<Raw>,
    /// Seconds between looks at a detached task; zero does not wait for it.
    pub poll: Option<Raw>,
    /// Variable for the result.
    pub register: Option<String>,
    /// For handlers: further names that they answer to.
    pub listen: Vec<String>,
    /// When the result counts as changed; all must hold. `None` leaves it to the module.
    pub changed_when: Option<Vec<Condition>>,
    /// When the result counts as failed; all must hold.
    pub failed_when: Option<Vec<Condition>>,
    /// Why it cannot be done: an unknown module, arguments that do not fit. It matters only where the task would run.
    pub refused: Option<Box<Problem>>,
    /// For a module whose name is a template: what the task is made of once the name is known.
    pub late: Option<Arc<Late>>,
    /// For includes: what the tasks of the file inherit, which is what stands around the include, what it says
    /// under `apply` and its variables, but none of its own keywords.
    pub included: Option<Arc<Settings>>,
    /// The folder of the file that it stands in; files that it names are looked for there first.
    pub folder: Arc<PathBuf>,
}

/// A task whose module is the value of a template.
#[derive(Clone, Debug)]
pub struct Late {
    /// The template.
    pub name: Text,
    pub(crate) node: Node,
    pub(crate) inherited: Settings,
    pub(crate) folder: Arc<PathBuf>,
}

/// A module's arguments as written.
#[derive(Clone, Debug)]
pub enum Arguments {
    /// By name, names checked.
    Named(IndexMap<String, (Place, Raw)>),
    /// A template that gives them, and those that are written beside it and stand above.
    Whole(Place, Raw, IndexMap<String, (Place, Raw)>),
}

/// What a task is repeated over.
#[derive(Clone, Debug)]
pub struct Loop {
    /// Which way.
    pub kind: LoopKind,
    /// The items as written.
    pub items: Raw,
    /// Where it stands.
    pub place: Place,
    /// Name of the item's variable.
    pub variable: String,
    /// Name of the index variable.
    pub index_variable: Option<String>,
    /// What to show for an item.
    pub label: Option<Raw>,
    /// Seconds between items.
    pub pause: Option<Raw>,
    /// Offer `ansible_loop`.
    pub extended: Option<Raw>,
    /// Leave `allitems` out of `ansible_loop` where this is false.
    pub extended_allitems: Option<Raw>,
    /// Ends the loop after an item for which all of these hold.
    pub break_when: Vec<Condition>,
}

/// How items become a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoopKind {
    /// `loop`: a list as it is.
    List,
    /// `with_x`: what the lookup `x` makes of them.
    Lookup(String),
}

/// `until`, `retries` and `delay`.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// All must hold; none means: until it does not fail.
    pub until: Vec<Condition>,
    /// Tries after the first.
    pub retries: Option<Raw>,
    /// Seconds between tries.
    pub delay: Option<Raw>,
}
