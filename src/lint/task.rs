//! Tasks.

use pgfleet_playbook::keywords::{SHARED, TASK};
use pgfleet_playbook::{Engine, Kind, Transfer, lookup_module, module_names};
use pgfleet_template::{Node, Place, Text, UseKind, Value, closest, is_known, known_names};

use crate::context::Context;
use crate::files::Found;
use crate::names::is_reserved;
use crate::roles::Parts;
use crate::sources::tidy;
use crate::step::is_keyword;
use crate::walk::Walk;
use crate::{Finding, Severity};

/// Names of `ansible.builtin`: one of these is no slip of the pen for another.
const BUILTIN: &str = " add_host apt apt_key apt_repository assemble assert async_status blockinfile command copy cron deb822_repository \
    debconf debug dnf dnf5 dpkg_selections expect fail fetch file find gather_facts get_url getent git group group_by hostname \
    import_playbook import_role import_tasks include_role include_tasks include_vars iptables known_hosts lineinfile meta mount_facts \
    package package_facts pause ping pip raw reboot replace rpm_key script service service_facts set_fact set_stats setup shell slurp \
    stat subversion systemd systemd_service sysvinit tempfile template unarchive uri user validate_argument_spec wait_for \
    wait_for_connection yum yum_repository include ";

const META: [&str; 11] = [
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

/// A module as a task names it.
pub(crate) struct Called {
    pub(crate) name: String,
    /// The node that names it.
    pub(crate) key: Node,
    pub(crate) value: Option<Node>,
}

impl Walk<'_> {
    pub(crate) fn task(&mut self, node: &Node, outside: &Context) {
        if self.handlers.is_reading {
            self.handler(node);
        }
        let called = self.called(node);
        let mut context = self.inner(node, outside);
        context.is_certain &= self.request.tags.selects(&context.tags);
        let mut looped = context.clone();
        self.repetition(node, &context, &mut looped);
        self.results(node, &looped);
        self.shared_values(node, &looped);
        for key in ["async", "poll"] {
            node.get(key).into_iter().for_each(|value| self.value(value, &looped));
        }
        self.old_keywords(node, &looped);
        if let Some(args) = node.get("args") {
            self.value(args, &looped);
        }
        if let Some(called) = called {
            self.call(node, &called, &looped);
        }
    }

    fn old_keywords(&mut self, node: &Node, context: &Context) {
        let Some(entries) = node.mapping() else { return };
        for (key, value) in entries {
            let Some(name) = key.scalar_text() else { continue };
            if is_keyword(name)
                && let Some(reason) = pgfleet_playbook::keywords::not_yet(name)
                && !(name == "async" && value.scalar_text() == Some("0"))
            {
                self.lacking("keyword", name, &key.place, context, Some(reason.to_owned()));
            }
        }
    }

    /// Loops, `until` and their kind.
    fn repetition(&mut self, node: &Node, context: &Context, looped: &mut Context) {
        let loops = node
            .mapping()
            .unwrap_or_default()
            .iter()
            .filter(|(key, _)| key.scalar_text().is_some_and(|key| key == "loop" || key.starts_with("with_")));
        for (number, (key, items)) in loops.enumerate() {
            let name = key.scalar_text().unwrap_or_default();
            if number > 0 {
                self.found(Severity::Error, "task", &key.place, name, "a second loop; a task has one");
            }
            if let Some(lookup) = name.strip_prefix("with_")
                && !is_known(UseKind::Lookup, lookup)
            {
                match closest(lookup, known_names(UseKind::Lookup)) {
                    Some(known) => {
                        let hint = Some(format!("did you mean 'with_{known}'?"));
                        self.with_hint(Severity::Error, "keyword", &key.place, name, format!("there is no loop '{name}'"), hint);
                    }
                    None => self.lacking("lookup", lookup, &key.place, context, None),
                }
            }
            // Files that are looked for may have names that no variable gives.
            let surely = if name == "with_first_found" { context.unsure() } else { context.clone() };
            self.value(items, &surely);
            looped.in_loop = true;
            looped.is_certain &= items.sequence().is_some_and(|items| !items.is_empty());
        }
        if let Some(control) = node.get("loop_control") {
            let known: [&[&str]; 1] = [&["loop_var", "index_var", "label", "pause", "extended", "extended_allitems", "break_when"]];
            self.keywords(control, &known, "part of loop_control", context);
            for key in ["loop_var", "index_var"] {
                control.get(key).and_then(Node::scalar_text).into_iter().for_each(|name| self.define(name));
            }
            for key in ["label", "pause"] {
                control.get(key).into_iter().for_each(|value| self.value(value, looped));
            }
            control.get("break_when").into_iter().for_each(|value| self.conditions(value, looped));
        }
        for key in ["retries", "delay"] {
            node.get(key).into_iter().for_each(|value| self.value(value, context));
        }
    }

    /// What is done with the result, and who is told.
    fn results(&mut self, node: &Node, context: &Context) {
        if let Some(register) = node.get("register").filter(|register| !register.is_null())
            && let Some(name) = register.scalar_text()
        {
            self.define(name);
            if is_reserved(name) {
                let message = format!("'register: {name}' hides the variable of that name that every run has");
                self.found(Severity::Warning, "register", &register.place, name, message);
            } else {
                self.registered.entry(name.to_owned()).or_insert_with(|| register.place.clone());
            }
        }
        for key in ["changed_when", "failed_when", "until"] {
            if let Some(condition) = node.get(key) {
                let tested = self.tested_in(condition);
                self.conditions(condition, &context.guarded(&tested));
            }
        }
        node.get("notify").into_iter().for_each(|notify| self.notify(notify, context));
    }

    /// The module of a task; what is wrong with its keys is told.
    fn called(&mut self, node: &Node) -> Option<Called> {
        let mut candidates = Vec::new();
        for (key, value) in node.mapping()? {
            match key.scalar_text() {
                Some(name) if is_keyword(name) => {}
                Some(name) => candidates.push(Called { name: name.to_owned(), key: key.clone(), value: Some(value.clone()) }),
                None => self.found(Severity::Error, "keyword", &key.place, "", "a task's keys are text"),
            }
        }
        for key in ["action", "local_action"] {
            let entry = node.mapping()?.iter().find(|(name, _)| name.scalar_text() == Some(key));
            if let Some((key, value)) = entry {
                candidates.extend(old_action(key, value));
            }
        }
        if candidates.len() == 1 {
            return candidates.pop();
        }
        let words = || SHARED.iter().chain(TASK).copied().chain(module_names());
        if candidates.is_empty() {
            let hint = "write the module's name as a key, 'ansible.builtin.copy:' say".to_owned();
            let slip = node.mapping()?.iter().any(|(key, _)| key.scalar_text() == Some("args"));
            if !slip || node.get("action").is_none() {
                self.with_hint(Severity::Error, "module", &node.place, "", "this task has no module", Some(hint));
            }
            return None;
        }
        let (known, unknown): (Vec<Called>, Vec<Called>) = candidates.into_iter().partition(|called| is_module(&called.name));
        if let Some(second) = known.get(1) {
            let names: Vec<String> = known.iter().map(|called| format!("'{}'", called.name)).collect();
            let message = format!("this task has {} modules: {}", names.len(), names.join(", "));
            self.with_hint(Severity::Error, "module", &second.key.place, &second.name, message, Some("one task, one module".to_owned()));
        }
        for called in &unknown {
            let message = format!("'{}' is neither a keyword of a task nor a module", called.name);
            self.unknown(Severity::Error, "keyword", &called.key, message, words());
        }
        known.into_iter().next()
    }

    /// The module, its arguments, and what it reaches.
    fn call(&mut self, task: &Node, called: &Called, context: &Context) {
        if Text::is_template(&called.name) {
            return called.value.iter().for_each(|value| self.value(value, context));
        }
        let (kind, module) = match lookup_module(&called.name) {
            Ok(found) => found,
            Err((message, suggestion)) => {
                self.unknown_module(called, context, &message, suggestion);
                // Roles and files are followed, whoever runs them.
                self.reach(task, called, context);
                self.module_values(called, context);
                return;
            }
        };
        self.module_values(called, context);
        self.check_arguments(task, called, kind, &module, context);
        self.reach(task, called, context);
        let writes = matches!(kind, Kind::Host | Kind::Transfer(_) | Kind::Raw);
        self.writes_locally |= context.is_local && writes || kind == Kind::Transfer(Transfer::Fetch);
        if kind == Kind::Engine(Engine::Assert) || short(&called.name) == "fail" {
            let conditions = called.value.as_ref().and_then(|value| value.get("that")).into_iter().chain(task.get("when"));
            let tested: Vec<String> = conditions.flat_map(|node| self.tested_in(node)).collect();
            self.assured.extend(tested);
        }
    }

    fn unknown_module(&mut self, called: &Called, context: &Context, message: &str, suggestion: Option<&'static str>) {
        let name = called.name.as_str();
        let is_foreign = name.matches('.').count() >= 2 && !name.starts_with("ansible.");
        let is_ansibles = BUILTIN.contains(&format!(" {} ", short(name)));
        // What it would find becomes variables.
        self.is_open |= name.ends_with("_facts") && is_foreign;
        let reaches = ["include_role", "import_role", "import_playbook"].contains(&short(name));
        match suggestion.filter(|_| !is_foreign && !is_ansibles) {
            Some(known) => {
                let severity = if context.is_certain { Severity::Error } else { Severity::Warning };
                self.with_hint(severity, "module", &called.key.place, name, message, Some(format!("did you mean '{known}'?")));
            }
            None => {
                let reason = message.split_once("': ").map(|(_, reason)| reason.to_owned());
                let kind = if reaches { "action" } else { "module" };
                self.lacking(kind, name, &called.key.place, context, reason);
            }
        }
    }

    /// Templates in the arguments.
    fn module_values(&mut self, called: &Called, context: &Context) {
        let Some(value) = &called.value else { return };
        match short(&called.name) {
            "debug" => {
                value.get("var").into_iter().for_each(|var| self.bare_expression(var, &context.unsure()));
                value.get("msg").into_iter().for_each(|msg| self.value(msg, context));
                if value.mapping().is_none() {
                    self.value(value, context);
                }
            }
            "assert" => {
                if let Some(that) = value.get("that") {
                    let tested = self.tested_in(that);
                    self.conditions(that, &context.guarded(&tested));
                }
                for key in ["fail_msg", "msg", "success_msg"] {
                    value.get(key).into_iter().for_each(|text| self.value(text, &context.unsure()));
                }
            }
            _ => self.value(value, context),
        }
    }

    /// Files, roles and names that a task brings.
    fn reach(&mut self, task: &Node, called: &Called, context: &Context) {
        let empty = Node { place: called.key.place.clone(), tag: None, kind: pgfleet_template::NodeKind::Mapping(Vec::new()) };
        let value = called.value.as_ref().unwrap_or(&empty);
        let args = task.get("args").unwrap_or(&empty);
        let argument = |key: &str| value.get(key).or_else(|| args.get(key)).cloned().or_else(|| pair(value, key));
        match short(&called.name) {
            "include_tasks" | "import_tasks" | "include" => {
                let file =
                    argument("file").or_else(|| argument("_raw_params")).or_else(|| value.scalar_text().is_some().then(|| value.clone()));
                if let Some(file) = file {
                    self.other_tasks(&file, value, context);
                }
            }
            "include_role" | "import_role" => self.other_role(&argument, value, context),
            "include_vars" => self.include_vars(task, value, context),
            "set_fact" => self.set_facts(value, args),
            "add_host" => {
                value.mapping().unwrap_or_default().iter().filter_map(|(key, _)| key.scalar_text()).for_each(|name| self.define(name));
                match value.mapping() {
                    Some(_) => {
                        for key in ["groups", "group", "groupname"] {
                            value.get(key).into_iter().for_each(|groups| self.made(groups));
                        }
                    }
                    None => drop(self.made_groups.insert(None)),
                }
                if let Some(text) = value.scalar_text() {
                    pairs(text).iter().for_each(|(name, _)| self.define(name));
                }
            }
            "group_by" => drop(self.made_groups.insert(None)),
            "meta" => self.meta(task, value),
            "template" => {
                if let Some(source) = argument("src") {
                    self.template_source(&source, context);
                }
            }
            "copy" | "script" | "unarchive" => self.local_source(called, value, &argument, context),
            _ => {}
        }
    }

    fn made(&mut self, groups: &Node) {
        let single = std::slice::from_ref(groups);
        for group in groups.sequence().unwrap_or(single).iter().filter_map(Node::scalar_text) {
            match Text::is_template(group) {
                true => drop(self.made_groups.insert(None)),
                false => self.made_groups.extend(group.split(',').map(|group| Some(group.trim().to_owned()))),
            }
        }
    }

    fn set_facts(&mut self, value: &Node, args: &Node) {
        for (key, _) in value.mapping().unwrap_or_default().iter().chain(args.mapping().unwrap_or_default()) {
            key.scalar_text().into_iter().for_each(|name| self.define(name));
        }
        if let Some(text) = value.scalar_text() {
            if text.trim().starts_with("{{") {
                self.is_open = true;
            }
            pairs(text).iter().for_each(|(name, _)| self.define(name));
        }
    }

    fn meta(&mut self, task: &Node, value: &Node) {
        let Some(text) = value.scalar_text() else { return };
        let word = text.split_whitespace().next().unwrap_or_default();
        if !META.contains(&word) && !Text::is_template(text) {
            let message = format!("'{word}' is no action of 'meta'");
            return self.unknown(Severity::Error, "argument", value, message, META);
        }
        if ["end_host", "end_play", "end_batch"].contains(&word) {
            self.may_have_ended = true;
            let tested = task.get("when").map(|when| self.tested_in(when)).unwrap_or_default();
            self.assured.extend(tested);
        }
    }

    fn other_tasks(&mut self, file: &Node, value: &Node, context: &Context) {
        let Some(text) = file.scalar_text() else { return };
        let name = text.trim().strip_prefix("file=").unwrap_or(text.trim()).to_owned();
        if let Some(apply) = value.get("apply") {
            let applied = self.inner(apply, context);
            self.shared_values(apply, &applied);
        }
        let name = match Text::is_template(&name) {
            true => name,
            false => name.split_whitespace().next().unwrap_or_default().to_owned(),
        };
        match self.find(&name, "tasks", context) {
            Found::File(path) => self.task_file(&path, context),
            Found::Some(paths) => paths.iter().for_each(|path| self.task_file(path, &context.unsure())),
            Found::Unknown => (self.is_open, self.tags_open) = (true, true),
            Found::Missing => {
                let severity = if context.is_certain { Severity::Error } else { Severity::Warning };
                (self.is_open, self.tags_open) = (true, true);
                let hint = self.neighbour(&name, context);
                self.with_hint(severity, "file", &file.place, &name, format!("there is no file of tasks '{name}'"), hint);
            }
        }
    }

    fn neighbour(&self, name: &str, context: &Context) -> Option<String> {
        let paths = self.request.files.list(&context.folder).ok()?;
        let names: Vec<String> = paths.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
        closest(name, names.iter().map(String::as_str)).map(|known| format!("did you mean '{known}'?"))
    }

    fn other_role(&mut self, argument: &dyn Fn(&str) -> Option<Node>, value: &Node, context: &Context) {
        let Some(name) = argument("name").or_else(|| argument("role")) else { return };
        let from = |key: &str| {
            let text = argument(key)?.scalar_text()?.to_owned();
            Some([".yml", ".yaml"].iter().find_map(|ending| text.strip_suffix(ending)).unwrap_or(&text).to_owned())
        };
        let main = || "main".to_owned();
        let parts = Parts {
            tasks: from("tasks_from").unwrap_or_else(main),
            vars: from("vars_from").unwrap_or_else(main),
            defaults: from("defaults_from").unwrap_or_else(main),
            handlers: from("handlers_from").unwrap_or_else(main),
        };
        if let Some(apply) = value.get("apply") {
            let applied = self.inner(apply, context);
            self.shared_values(apply, &applied);
        }
        self.role(&name, &parts, context);
    }

    fn template_source(&mut self, source: &Node, context: &Context) {
        let Some(name) = source.scalar_text().map(str::to_owned) else { return };
        match self.find(&name, "templates", context) {
            Found::File(path) => self.template_file(&tidy(&path), context),
            Found::Some(paths) => paths.iter().for_each(|path| self.template_file(path, &context.unsure())),
            Found::Unknown => {}
            Found::Missing => {
                let severity = if context.is_certain { Severity::Error } else { Severity::Warning };
                self.found(severity, "file", &source.place, &name, format!("there is no template '{name}'"));
            }
        }
    }

    /// A file of the controller that is sent to hosts.
    fn local_source(&mut self, called: &Called, value: &Node, argument: &dyn Fn(&str) -> Option<Node>, context: &Context) {
        let name = match short(&called.name) {
            "script" => argument("cmd").or_else(|| value.scalar_text().is_some().then(|| value.clone())),
            _ => argument("src"),
        };
        let Some(name) = name else { return };
        let is_remote =
            argument("remote_src").is_some_and(|remote| remote.scalar_text().is_some_and(|text| !matches!(text, "no" | "false" | "False")));
        let Some(text) = name.scalar_text().filter(|_| !is_remote) else { return };
        let file = if short(&called.name) == "script" { text.split_whitespace().next().unwrap_or_default() } else { text };
        if Text::is_template(text) || file.contains("://") || file.is_empty() {
            return;
        }
        if matches!(self.find(file, "files", context), Found::Missing) {
            self.missing_files.push(Finding {
                severity: Severity::Warning,
                rule: "file",
                place: name.place.clone(),
                piece: file.to_owned(),
                message: format!("there is no file '{file}' here to send"),
                hint: None,
                excerpt: None,
            });
        }
    }
}

/// Whether it is the name of a module, of ours or of Ansible's.
fn is_module(name: &str) -> bool {
    lookup_module(name).is_ok() || BUILTIN.contains(&format!(" {} ", short(name))) || name.matches('.').count() >= 2
}

/// The name without a collection that is built in.
pub(crate) fn short(name: &str) -> &str {
    name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name)
}

fn pairs(text: &str) -> Vec<(String, String)> {
    pgfleet_playbook::parse_pairs(text, None).map(|(pairs, _)| pairs.into_iter().collect()).unwrap_or_default()
}

/// One argument of a line `a=b c=d`.
fn pair(value: &Node, key: &str) -> Option<Node> {
    let text = value.scalar_text()?;
    let (_, found) = pairs(text).into_iter().find(|(name, _)| name == key)?;
    Some(scalar(&value.place, &found))
}

pub(crate) fn scalar(place: &Place, text: &str) -> Node {
    Node { place: place.clone(), tag: None, kind: pgfleet_template::NodeKind::Scalar { text: text.to_owned(), value: Value::from(text) } }
}

/// `action: module arguments` or `action: {module: name, ...}`.
fn old_action(key: &Node, value: &Node) -> Option<Called> {
    if let Some(text) = value.as_text() {
        let (name, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        return Some(Called { name: name.to_owned(), key: key.clone(), value: Some(scalar(&value.place, rest)) });
    }
    let name = value.get("module").and_then(Node::as_text)?.to_owned();
    let entries = value.mapping()?.iter().filter(|(key, _)| key.scalar_text() != Some("module")).cloned().collect();
    Some(Called {
        name,
        key: key.clone(),
        value: Some(Node { place: value.place.clone(), tag: None, kind: pgfleet_template::NodeKind::Mapping(entries) }),
    })
}
