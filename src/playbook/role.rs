//! A role as it is used in one place: where it is, the variables that it brings, and the roles that led to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_template::{Place, Vars};

/// A role by itself: its folder and its own variables, without those of the roles around it.
#[derive(Debug)]
pub struct RoleOrigin {
    /// As shown: with its collection, where it comes from one.
    pub name: String,
    /// Without the collection.
    pub short: String,
    /// The collection that it comes from.
    pub collection: Option<String>,
    /// Its folder.
    pub path: PathBuf,
    /// What `defaults/` says.
    pub defaults: Arc<Vars>,
    /// What `vars/` says.
    pub vars: Arc<Vars>,
    /// What stands under `vars` where the role is used.
    pub given: Arc<Vars>,
    /// What stands beside the role's name where it is used.
    pub parameters: Arc<Vars>,
}

/// A role in the place where it is used.
#[derive(Debug)]
pub struct Role {
    /// The role by itself.
    pub origin: Arc<RoleOrigin>,
    /// Where it is used.
    pub place: Place,
    /// The roles that led here, outermost first.
    pub parents: Vec<Arc<RoleOrigin>>,
    /// All that it depends on, in the order in which they run.
    pub dependencies: Vec<Arc<RoleOrigin>>,
    /// Runs again on a host on which it has run.
    pub allow_duplicates: bool,
    /// The other tasks of the play see its variables.
    pub public: bool,
    /// The same for two uses that are alike: name, folder, parameters, conditions, tags and files.
    pub identity: String,
}

impl Role {
    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.origin.path
    }

    /// Defaults that its tasks see.
    #[must_use]
    pub fn task_defaults(&self) -> Arc<Vars> {
        let around = self.dependencies.iter().chain(&self.parents).chain(std::iter::once(&self.origin));
        merged(around.map(|role| &role.defaults))
    }

    /// Variables that its tasks see.
    #[must_use]
    pub fn task_vars(&self) -> Arc<Vars> {
        let chain = self.parents.iter().chain(std::iter::once(&self.origin));
        let chain = chain.flat_map(|role| [&role.given, &role.vars]);
        let exported = self.dependencies.iter().chain(std::iter::once(&self.origin)).map(|role| &role.vars);
        merged(chain.chain(exported).chain(std::iter::once(&self.origin.given)))
    }

    /// Parameters that its tasks see.
    #[must_use]
    pub fn task_parameters(&self) -> Arc<Vars> {
        merged(self.parents.iter().chain(std::iter::once(&self.origin)).map(|role| &role.parameters))
    }

    /// Defaults that the other tasks of the play see.
    #[must_use]
    pub fn exported_defaults(&self) -> Arc<Vars> {
        merged(self.dependencies.iter().chain(std::iter::once(&self.origin)).map(|role| &role.defaults))
    }

    /// Variables that the other tasks of the play see.
    #[must_use]
    pub fn exported_vars(&self) -> Arc<Vars> {
        merged(self.dependencies.iter().chain(std::iter::once(&self.origin)).map(|role| &role.vars))
    }

    /// This role and those around it, innermost first: where its tasks look for files.
    pub fn chain(&self) -> impl Iterator<Item = &Arc<RoleOrigin>> {
        std::iter::once(&self.origin).chain(self.parents.iter().rev())
    }
}

/// Layers as one, the later above the earlier.
fn merged<'a>(layers: impl Iterator<Item = &'a Arc<Vars>>) -> Arc<Vars> {
    let mut layers = layers.filter(|layer| !layer.is_empty());
    let mut all = layers.next().cloned().unwrap_or_default();
    for layer in layers.filter(|layer| !layer.is_empty()) {
        if !Arc::ptr_eq(&all, layer) {
            Arc::make_mut(&mut all).extend(layer.iter().map(|(name, raw)| (name.clone(), raw.clone())));
        }
    }
    all
}

/// What `include_role` and `import_role` say of a role.
#[derive(Clone, Debug, Default)]
pub struct RoleChoice {
    /// Its name.
    pub name: String,
    /// The file of tasks, `main` where not said.
    pub tasks_from: Option<String>,
    /// The file of variables.
    pub vars_from: Option<String>,
    /// The file of defaults.
    pub defaults_from: Option<String>,
    /// The file of handlers.
    pub handlers_from: Option<String>,
    /// Runs again where it has run.
    pub allow_duplicates: Option<bool>,
    /// The other tasks of the play see its variables.
    pub public: Option<bool>,
    /// Its arguments are not checked against its own list of them.
    pub unchecked: bool,
}
