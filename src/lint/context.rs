//! Where the walk stands: what is known of the things around.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;

use crate::Severity;
use crate::roles::Role;

/// What stands around a task.
#[derive(Clone)]
pub(crate) struct Context {
    /// The folder of the file.
    pub(crate) folder: Rc<PathBuf>,
    /// The folder of the playbook.
    pub(crate) playbook: Rc<PathBuf>,
    /// The role that the file belongs to.
    pub(crate) role: Option<Rc<Role>>,
    /// Roles that led here, the outermost first.
    pub(crate) outer_roles: Rc<Vec<Rc<Role>>>,
    /// Collections in which the play looks for roles.
    pub(crate) collections: Rc<Vec<String>>,
    /// Variables that conditions around ask about: they may be missing.
    pub(crate) guards: Rc<BTreeSet<String>>,
    /// Reached in any run of this playbook on this inventory.
    pub(crate) is_certain: bool,
    /// Inside a loop.
    pub(crate) in_loop: bool,
    /// Arguments may come from `module_defaults`.
    pub(crate) has_defaults: bool,
    /// The nearest conditions around, as written.
    pub(crate) when: Option<Rc<str>>,
    /// Tags of what stands around.
    pub(crate) tags: Rc<Vec<String>>,
    /// How many files deep.
    pub(crate) depth: usize,
    /// The variable whose value is looked at: what it names is asked for only when it is.
    pub(crate) owner: Option<Rc<str>>,
    /// What is done there is done on the controller.
    pub(crate) is_local: bool,
}

impl Context {
    /// At the top of a playbook in that folder.
    pub(crate) fn of_playbook(folder: PathBuf) -> Self {
        let folder = Rc::new(folder);
        Self {
            folder: folder.clone(),
            playbook: folder,
            role: None,
            outer_roles: Rc::default(),
            collections: Rc::default(),
            guards: Rc::default(),
            is_certain: true,
            in_loop: false,
            has_defaults: false,
            when: None,
            tags: Rc::default(),
            depth: 0,
            owner: None,
            is_local: false,
        }
    }

    /// In variables that nothing has asked for yet.
    pub(crate) fn of_variables() -> Self {
        Self { is_certain: false, in_loop: true, ..Self::of_playbook(PathBuf::from(".")) }
    }

    /// The same where it may not come to it.
    pub(crate) fn unsure(&self) -> Self {
        Self { is_certain: false, ..self.clone() }
    }

    /// How grave it is what fails here when it is reached.
    pub(crate) fn severity(&self) -> Severity {
        if self.is_certain { Severity::Error } else { Severity::Warning }
    }

    /// The same with more variables that may be missing.
    pub(crate) fn guarded(&self, names: &BTreeSet<String>) -> Self {
        if names.iter().all(|name| self.guards.contains(name)) {
            return self.clone();
        }
        Self { guards: Rc::new(self.guards.union(names).cloned().collect()), ..self.clone() }
    }
}
