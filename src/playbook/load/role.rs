//! Reading roles: their variables, what they depend on, their tasks and handlers.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_template::{Node, Place, Problem, Raw, Value, Vars, to_json};

use super::{Reading, RoleSearch};
use crate::keywords::SHARED;
use crate::{Block, Role, RoleChoice, RoleOrigin, Settings, Step, Task};

/// Keywords of a role in `roles` or in `dependencies`; every other key is a parameter.
const OF_ROLES: &[&str] = &["when", "delegate_to", "delegate_facts", "role"];

/// A role where it is used.
pub(super) struct RoleUse {
    pub(super) choice: RoleChoice,
    pub(super) place: Place,
    /// What is said of it there, but for its variables.
    pub(super) own: Settings,
    /// What stands under `vars` there.
    pub(super) given: Arc<Vars>,
    /// What stands beside its name.
    pub(super) parameters: Arc<Vars>,
    /// By `include_role` or `import_role`.
    pub(super) from_include: bool,
}

/// A role as read.
pub(super) struct RoleSteps {
    pub(super) role: Arc<Role>,
    pub(super) steps: Vec<Step>,
    pub(super) handlers: Vec<Arc<Task>>,
}

/// What `meta/main.yml` says.
#[derive(Default)]
struct Meta {
    allow_duplicates: bool,
    dependencies: Vec<Node>,
    specs: Option<Node>,
}

impl Reading<'_> {
    /// The roles of a play: what they do, in order. Their handlers are kept for the play.
    pub(super) fn play_roles(&mut self, node: &Node, inherited: &Settings) -> Vec<Step> {
        let Some(items) = node.sequence() else {
            let written = node.scalar_text().unwrap_or(node.kind_name());
            let problem = node.problem(format!("A malformed role declaration was encountered: '{written}' is not a list of roles"));
            self.problem(problem);
            return Vec::new();
        };
        let mut steps = Vec::new();
        for item in items {
            let Some(usage) = self.role_use(item, inherited) else { continue };
            if let Some(read) = self.role(usage, inherited, None) {
                self.used_roles.push(read.role);
                self.role_handlers.extend(read.handlers);
                steps.extend(read.steps);
            }
        }
        steps
    }

    /// A role as an entry of `roles` or `dependencies` names it.
    fn role_use(&mut self, node: &Node, around: &Settings) -> Option<RoleUse> {
        if node.mapping().is_none() {
            let name = self.fixed_name(node, around, "a role's name")?;
            if name.contains(',') {
                let problem = node
                    .problem(format!("Invalid old style role requirement: {name}"))
                    .with_hint("write its settings as keys beside 'role'");
                self.problem(problem);
                return None;
            }
            let choice = RoleChoice { name, ..RoleChoice::default() };
            return Some(RoleUse {
                choice,
                place: node.place.clone(),
                own: Settings::default(),
                given: Arc::default(),
                parameters: Arc::default(),
                from_include: false,
            });
        }
        let Some(named) = node.get("role").or_else(|| node.get("name")).or_else(|| node.get("src")) else {
            let problem = node.problem("role definitions must contain a role name").with_hint("write it as 'role: NAME'");
            self.problem(problem);
            return None;
        };
        let name = self.fixed_name(named, around, "a role's name")?;
        let mut own = self.settings(node);
        self.render_tags(&mut own, around, &node.place);
        let given = own.vars.pop().unwrap_or_default();
        let mut parameters = Vars::new();
        for (key, value) in node.mapping().unwrap_or_default() {
            let Some(key) = key.scalar_text().filter(|key| !SHARED.contains(key) && !OF_ROLES.contains(key)) else { continue };
            if let Some(raw) = self.raw(value) {
                parameters.insert(key.to_owned(), raw);
            }
        }
        let choice = RoleChoice { name, ..RoleChoice::default() };
        Some(RoleUse { choice, place: named.place.clone(), own, given, parameters: Arc::new(parameters), from_include: false })
    }

    /// Reads a role and all that it depends on.
    pub(super) fn role(&mut self, usage: RoleUse, inherited: &Settings, parent: Option<&Arc<Role>>) -> Option<RoleSteps> {
        let RoleUse { choice, place, own, given, parameters, from_include } = usage;
        let own_collection = parent.and_then(|role| role.origin.collection.as_deref());
        let named = self.collections.iter().chain(&self.default_collection).map(String::as_str);
        let collections: Vec<&str> = own_collection.into_iter().chain(named).collect();
        let search = RoleSearch {
            playbook_folder: &self.playbook_folder,
            collections: &collections,
            parent: parent.map(|role| role.origin.path.as_path()),
        };
        let found = match self.loader.find_role(&choice.name, &search) {
            Ok(found) => found,
            Err(folders) => {
                let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
                let problem = Problem::new(format!("there is no role '{}' in {}", choice.name, looked.join(", "))).at(&place);
                let names = self.loader.role_names(&folders);
                self.problem(problem.did_you_mean(&choice.name, names.iter().map(String::as_str)));
                return None;
            }
        };
        let identity = identity(&choice, &found.path, &own, &given, &parameters, from_include);
        let vars = self.role_variables(&found.path, "vars", choice.vars_from.as_deref(), &place);
        let defaults = self.role_variables(&found.path, "defaults", choice.defaults_from.as_deref(), &place);
        let meta = self.role_meta(&found.path);
        let origin = Arc::new(RoleOrigin {
            name: found.collection.iter().chain(std::iter::once(&found.name)).cloned().collect::<Vec<_>>().join("."),
            short: found.name,
            collection: found.collection,
            path: found.path,
            defaults,
            vars,
            given,
            parameters,
        });
        let parents: Vec<_> =
            parent.into_iter().flat_map(|role| role.parents.iter().chain(std::iter::once(&role.origin))).cloned().collect();
        let mut role = Role {
            origin,
            place,
            parents,
            dependencies: Vec::new(),
            allow_duplicates: choice.allow_duplicates.unwrap_or(from_include || meta.allow_duplicates),
            public: choice.public.unwrap_or(true),
            identity,
        };
        let settings = inherited.around(own);
        let (mut steps, mut handlers) = (Vec::new(), Vec::new());
        self.dependencies(&mut role, &meta, &settings, &mut steps, &mut handlers);
        let role = Arc::new(role);
        let mut settings = settings;
        settings.role = Some(role.clone());
        let block = self.role_tasks(&role, &choice, &meta, &settings);
        steps.push(Step::Block(Arc::new(Block {
            name: None,
            place: role.place.clone(),
            block,
            rescue: Vec::new(),
            always: Vec::new(),
            role: Some(role.clone()),
        })));
        handlers.extend(self.role_handlers_of(&role, &choice, &settings));
        Some(RoleSteps { role, steps, handlers })
    }

    fn dependencies(&mut self, role: &mut Role, meta: &Meta, settings: &Settings, steps: &mut Vec<Step>, handlers: &mut Vec<Arc<Task>>) {
        if meta.dependencies.is_empty() {
            return;
        }
        // Dependencies see this role as their parent; what it depends on itself is no matter to them.
        let parent = Arc::new(Role {
            origin: role.origin.clone(),
            place: role.place.clone(),
            parents: role.parents.clone(),
            dependencies: Vec::new(),
            allow_duplicates: role.allow_duplicates,
            public: role.public,
            identity: role.identity.clone(),
        });
        let path = role.origin.path.join("meta");
        let read = self.inside(&path, |reading| {
            let uses: Vec<_> = meta.dependencies.iter().filter_map(|item| reading.role_use(item, settings)).collect();
            uses.into_iter().filter_map(|usage| reading.role(usage, settings, Some(&parent))).collect::<Vec<_>>()
        });
        for dependency in read.unwrap_or_default() {
            role.dependencies.extend(dependency.role.dependencies.iter().cloned());
            role.dependencies.push(dependency.role.origin.clone());
            steps.extend(dependency.steps);
            handlers.extend(dependency.handlers);
        }
    }

    fn role_tasks(&mut self, role: &Arc<Role>, choice: &RoleChoice, meta: &Meta, settings: &Settings) -> Vec<Step> {
        let mut steps = Vec::new();
        if !choice.unchecked {
            steps.extend(self.argument_check(role, choice, meta.specs.as_ref(), settings));
        }
        let folder = role.origin.path.join("tasks");
        if let Some(path) = self.role_file(&folder, choice.tasks_from.as_deref(), &role.place) {
            steps.extend(self.task_file(&path, settings));
        }
        steps
    }

    fn role_handlers_of(&mut self, role: &Arc<Role>, choice: &RoleChoice, settings: &Settings) -> Vec<Arc<Task>> {
        let folder = role.origin.path.join("handlers");
        let Some(path) = self.role_file(&folder, choice.handlers_from.as_deref(), &role.place) else { return Vec::new() };
        let read = self.inside(&path, |reading| match reading.document(&path) {
            Some(document) if !document.is_null() => reading.handlers(&document, settings, &Arc::new(folder)),
            _ => Vec::new(),
        });
        read.unwrap_or_default()
    }

    /// A role's file of tasks or handlers. That `main` is missing is no problem.
    fn role_file(&mut self, folder: &Path, wanted: Option<&str>, place: &Place) -> Option<std::path::PathBuf> {
        let found = self.loader.role_files(folder, wanted, false).into_iter().next();
        if let (None, Some(name)) = (&found, wanted)
            && self.loader.files().is_folder(folder)
        {
            self.problem(Problem::new(format!("there is no file '{name}' in {}", folder.display())).at(place));
        }
        found
    }

    fn role_variables(&mut self, role: &Path, sub: &str, wanted: Option<&str>, place: &Place) -> Arc<Vars> {
        let folder = role.join(sub);
        let paths = self.loader.role_files(&folder, wanted, true);
        if let (true, Some(name)) = (paths.is_empty() && self.loader.files().is_folder(&folder), wanted) {
            self.problem(Problem::new(format!("there is no file '{name}' in {}", folder.display())).at(place));
        }
        let mut vars = Vars::new();
        for path in paths {
            let Some(document) = self.document(&path).filter(|document| !document.is_null()) else { continue };
            let read = Raw::vars_from_node(&document, &self.loader.vault);
            vars.extend(self.keep(read).unwrap_or_default());
        }
        Arc::new(vars)
    }

    fn role_meta(&mut self, role: &Path) -> Meta {
        let folder = role.join("meta");
        let mut meta = Meta::default();
        if let Some(path) = self.loader.role_files(&folder, None, false).into_iter().next()
            && let Some(document) = self.document(&path).filter(|document| !document.is_null())
        {
            meta.allow_duplicates = document.get("allow_duplicates").and_then(Node::scalar).is_some_and(Value::is_true);
            meta.specs = document.get("argument_specs").cloned();
            match document.get("dependencies").filter(|list| !list.is_null()) {
                Some(list) if list.sequence().is_some() => meta.dependencies = list.sequence().unwrap_or_default().to_vec(),
                Some(other) => {
                    let problem = other.problem(format!("'dependencies' is a list of roles, but this is {}", other.kind_name()));
                    self.problem(problem);
                }
                None => {}
            }
        }
        let specs = self.loader.role_files(&folder, Some("argument_specs"), false).into_iter().next();
        if let Some(document) = specs.and_then(|path| self.document(&path)) {
            meta.specs = document.get("argument_specs").cloned();
        }
        meta
    }

    /// Roles named by `import_role`; their handlers and variables become the play's.
    pub(super) fn import_role(&mut self, arguments: &IndexMap<String, (Place, Raw)>, given: Arc<Vars>, settings: &Settings) -> Vec<Step> {
        let Some((place, _)) = arguments.get("name") else { return Vec::new() };
        let place = place.clone();
        let Some(choice) = self.role_choice(arguments, settings) else { return Vec::new() };
        let usage = RoleUse { choice, place, own: Settings::default(), given, parameters: Arc::default(), from_include: true };
        let parent = settings.role.clone();
        let settings = with_parent_names(settings.clone(), parent.as_deref());
        let Some(read) = self.role(usage, &settings, parent.as_ref()) else { return Vec::new() };
        self.used_roles.push(read.role);
        self.imported_handlers.extend(read.handlers);
        read.steps
    }

    fn role_choice(&mut self, arguments: &IndexMap<String, (Place, Raw)>, settings: &Settings) -> Option<RoleChoice> {
        let before = self.problems.len();
        let mut text = |key: &str| {
            let (place, raw) = arguments.get(key)?;
            self.fixed_value(place, raw, settings, &format!("'{key}' of import_role"))
        };
        let mut choice = RoleChoice {
            name: text("name").unwrap_or_default(),
            tasks_from: text("tasks_from"),
            vars_from: text("vars_from"),
            defaults_from: text("defaults_from"),
            handlers_from: text("handlers_from"),
            ..RoleChoice::default()
        };
        let flag = |key: &str| {
            use pgfleet_protocol::Argument;
            let (_, raw) = arguments.get(key)?;
            bool::read(&to_json(&raw.as_written()).ok()?).ok()
        };
        choice.allow_duplicates = flag("allow_duplicates");
        choice.public = flag("public");
        choice.unchecked = flag("rolespec_validate") == Some(false);
        (self.problems.len() == before).then_some(choice)
    }
}

/// Settings of tasks in a role that another role includes: they see the names of the roles around theirs.
pub(super) fn with_parent_names(mut settings: Settings, parent: Option<&Role>) -> Settings {
    if let Some(parent) = parent {
        let names: Vec<String> = parent.chain().map(|role| role.name.clone()).collect();
        let paths: Vec<String> = parent.chain().map(|role| absolute(&role.path)).collect();
        settings.parameters.push(Arc::new(Vars::from_iter([
            ("ansible_parent_role_names".to_owned(), Raw::from(Value::from(names))),
            ("ansible_parent_role_paths".to_owned(), Raw::from(Value::from(paths))),
        ])));
    }
    settings
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// A text that is the same for two uses of a role that are alike.
fn identity(choice: &RoleChoice, path: &Path, own: &Settings, given: &Vars, parameters: &Vars, from_include: bool) -> String {
    let written = |vars: &Vars| {
        let mut entries: Vec<String> = vars.iter().map(|(name, raw)| format!("{name}={}", raw.as_written())).collect();
        entries.sort();
        entries.join(",")
    };
    let conditions: Vec<String> = own.when.iter().map(|condition| condition.source().to_string()).collect();
    let mut tags = own.tags.clone();
    tags.sort();
    let files = [&choice.tasks_from, &choice.vars_from, &choice.defaults_from, &choice.handlers_from];
    format!(
        "{} {} ({}) ({}) ({}) ({}) {files:?} {from_include}",
        choice.name,
        path.display(),
        written(parameters),
        written(given),
        conditions.join(" and "),
        tags.join(",")
    )
}
