//! The inventory plugins `constructed` and `generator`: groups and variables that expressions make of what is there already.

use std::sync::Arc;

use pgfleet_template::{
    Condition, Disk, Expression, Language, Node, Problem, Raw, Scope, SourceFile, Text, Value, ValueKind, Vars, to_json,
};

use crate::load::Loader;
use crate::variables::VariableFolder;
use crate::{HostName, Origin};

impl Loader<'_> {
    /// Does what a file says that names a plugin; false for one that is not known.
    pub(crate) fn plugin(&mut self, name: &str, source: &SourceFile, document: &Node, origin: &Arc<Origin>) -> bool {
        let bare = name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name);
        let done = match bare {
            "constructed" => self.construct(document),
            "generator" => self.generate(document, origin),
            _ => return false,
        };
        if let Err(problem) = done {
            self.problems.push(source.explain(problem));
        }
        true
    }

    fn construct(&mut self, document: &Node) -> Result<(), Problem> {
        self.inventory.reconcile().map_err(|message| document.problem(message))?;
        let wish = Wish::read(document)?;
        if wish.use_vars_plugins {
            self.inventory.beside_sources =
                self.folders.iter().map(|folder| Arc::new(VariableFolder::read(self.files, folder, self.vault))).collect();
        }
        let hosts: Vec<HostName> = self.inventory.hosts.keys().cloned().collect();
        let done = hosts.iter().try_for_each(|host| self.construct_for(host, &wish));
        self.inventory.beside_sources.clear();
        done
    }

    fn construct_for(&mut self, host: &HostName, wish: &Wish<'_>) -> Result<(), Problem> {
        let scope = self.scope_of(host, wish)?;
        for (name, expression) in &wish.compose {
            let value = match expression.evaluate(&scope) {
                Ok(value) => value,
                Err(_) if !wish.strict => continue,
                Err(problem) => return Err(problem.within(format!("while setting '{name}' for host '{host}'"))),
            };
            self.inventory.set_host_variable(host, name, Raw::from(value));
        }
        let scope = self.scope_of(host, wish)?;
        for (name, place, condition) in &wish.groups {
            match condition.holds(&scope) {
                Ok(true) => self.put_into(host, name, place)?,
                Ok(false) => {}
                Err(_) if !wish.strict => {}
                Err(problem) => return Err(problem.within(format!("while adding host '{host}' to group '{name}'"))),
            }
        }
        wish.keyed.iter().try_for_each(|keyed| self.put_by_key(host, keyed, wish, &scope))
    }

    /// Puts a host into the groups that a value names.
    fn put_by_key(&mut self, host: &HostName, keyed: &Keyed<'_>, wish: &Wish<'_>, scope: &Scope) -> Result<(), Problem> {
        let key = match keyed.key.evaluate(scope) {
            Ok(key) => key,
            Err(_) if !wish.strict => return Ok(()),
            Err(problem) => return Err(problem.within(format!("while making groups of '{}' for host '{host}'", keyed.key.source()))),
        };
        let names = match keyed.names(&key) {
            Some(names) => names,
            None => {
                let problem = keyed.node.problem(format!("a key of groups is text, a list or a mapping, not {}", as_text(&key)));
                return if key.is_true() { Err(problem) } else { Ok(()) };
            }
        };
        let is_nothing = names.is_empty() && !matches!(key.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map);
        if is_nothing && wish.strict {
            return Err(keyed.node.problem(format!("'{}' is empty for host '{host}'", keyed.key.source())));
        }
        let parent = match keyed.parent.as_ref().map(|parent| parent.evaluate(scope)) {
            Some(Err(_)) if !wish.strict => return Ok(()),
            Some(parent) => Some(parent?).filter(|parent| parent.is_true()),
            None => None,
        };
        let separator = if keyed.prefix.is_empty() && !wish.leading_separator { "" } else { &keyed.separator };
        for name in names {
            let group = format!("{}{separator}{name}", keyed.prefix);
            self.put_into(host, &group, keyed.node)?;
            if let Some(parent) = &parent {
                self.inventory.add_parent(&group, &as_text(parent)).map_err(|problem| problem.at(&keyed.node.place))?;
            }
        }
        Ok(())
    }

    fn put_into(&mut self, host: &HostName, group: &str, node: &Node) -> Result<(), Problem> {
        let groups = [group.to_owned()];
        self.inventory.add_host(host.as_str(), &groups, Vars::new()).map(drop).map_err(|problem| problem.at(&node.place))
    }

    /// What expressions about a host may name.
    fn scope_of(&self, host: &HostName, wish: &Wish<'_>) -> Result<Scope, Problem> {
        let name = host.as_str();
        let (file, folder) = self.inventory.origin_of(name).unwrap_or_default();
        let text = |text: &str| Raw::from(Value::from(text));
        let groups: Vec<String> = self.inventory.groups_of(name).into_iter().map(str::to_owned).collect();
        let about = Vars::from_iter([
            ("inventory_hostname".to_owned(), text(name)),
            ("inventory_hostname_short".to_owned(), text(name.split('.').next().unwrap_or(name))),
            ("inventory_file".to_owned(), text(&file.display().to_string())),
            ("inventory_dir".to_owned(), text(&folder.display().to_string())),
            ("group_names".to_owned(), Raw::from(Value::from(groups))),
        ]);
        let language = Language::new(Arc::new(Disk));
        let scope = Scope::new(&language, vec![folder]).over_all(self.inventory.layers(host, None)?).over(Arc::new(about));
        Ok(if wish.use_extra_vars { scope.over(self.extra.clone()) } else { scope })
    }

    fn generate(&mut self, document: &Node, origin: &Arc<Origin>) -> Result<(), Problem> {
        let lacking = |what: &str| document.problem(format!("the plugin 'generator' needs '{what}'"));
        let layers = document.get("layers").and_then(Node::mapping).ok_or_else(|| lacking("layers"))?;
        let hosts = document.get("hosts").ok_or_else(|| lacking("hosts"))?;
        let mut rows: Vec<Vars> = vec![Vars::new()];
        for (name, values) in layers {
            let name = name.scalar_text().unwrap_or_default();
            let mut longer = Vec::new();
            for row in &rows {
                for value in values.sequence().unwrap_or_default() {
                    let mut row = row.clone();
                    row.insert(name.to_owned(), Raw::from_node(value, self.vault)?);
                    longer.push(row);
                }
            }
            rows = longer;
        }
        let language = Language::new(Arc::new(Disk));
        let ungrouped = crate::GroupName::known("ungrouped");
        for row in rows {
            let scope = Scope::new(&language, vec![origin.folder.clone()]).over(Arc::new(row));
            let name = hosts.get("name").ok_or_else(|| lacking("hosts: name"))?;
            let host = rendered(name, &scope)?.unwrap_or_default();
            let invalid = |error| name.problem(format!("'{host}' is no name for a host: {error}"));
            let host = self.inventory.ensure_host(&host, Some(&ungrouped), None, Some(origin)).map_err(invalid)?;
            self.parents(hosts, &Child::Host(&host), &scope)?;
        }
        Ok(())
    }

    /// Puts a host or group below the groups that stand under `parents`.
    fn parents(&mut self, node: &Node, child: &Child<'_>, scope: &Scope) -> Result<(), Problem> {
        for parent in node.get("parents").and_then(Node::sequence).unwrap_or_default() {
            let name = parent.get("name").map(|name| rendered(name, scope)).transpose()?.flatten();
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                return Err(parent.problem(format!("Element {} has a parent with no name.", child.name())));
            };
            match child {
                Child::Host(host) => self.put_into(host, &name, parent)?,
                Child::Group(group) => drop(self.inventory.add_parent(group, &name).map_err(|problem| problem.at(&parent.place))?),
            }
            let Some(group) = self.inventory.group(&name).map(|group| group.name.clone()) else { continue };
            for (key, value) in parent.get("vars").and_then(Node::mapping).unwrap_or_default() {
                // What is no text is left for the tasks to render.
                let raw = match rendered_value(value, scope)? {
                    Some(value) => Raw::from(value),
                    None => Raw::from_node(value, self.vault)?,
                };
                let set = self.inventory.set_group_variable(&group, key.scalar_text().unwrap_or_default(), raw);
                set.map_err(|message| value.problem(message))?;
            }
            self.parents(parent, &Child::Group(&name), scope)?;
        }
        Ok(())
    }
}

enum Child<'c> {
    Host(&'c HostName),
    Group(&'c str),
}

impl Child<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Host(host) => host.as_str(),
            Self::Group(group) => group,
        }
    }
}

/// The value of a text; `None` for what is none.
fn rendered_value(node: &Node, scope: &Scope) -> Result<Option<Value>, Problem> {
    node.as_text().map(|text| Text::parse(text, &node.place)?.evaluate(scope)).transpose()
}

fn rendered(node: &Node, scope: &Scope) -> Result<Option<String>, Problem> {
    Ok(rendered_value(node, scope)?.map(|value| as_text(&value)))
}

/// A value as it stands in a name.
fn as_text(value: &Value) -> String {
    match (value.as_str(), to_json(value)) {
        (Some(text), _) => text.to_owned(),
        (None, Ok(serde_json::Value::Null)) => "None".to_owned(),
        (None, Ok(serde_json::Value::Bool(flag))) => (if flag { "True" } else { "False" }).to_owned(),
        (None, _) => value.to_string(),
    }
}

/// What a file of the plugin `constructed` asks for.
struct Wish<'n> {
    strict: bool,
    leading_separator: bool,
    use_vars_plugins: bool,
    use_extra_vars: bool,
    compose: Vec<(String, Expression)>,
    groups: Vec<(String, &'n Node, Condition)>,
    keyed: Vec<Keyed<'n>>,
}

/// Groups named by a value.
struct Keyed<'n> {
    node: &'n Node,
    key: Expression,
    prefix: String,
    separator: String,
    parent: Option<Text>,
    default: Option<String>,
    /// Keep the separator before a value that is empty.
    trailing_separator: bool,
}

impl<'n> Wish<'n> {
    fn read(document: &'n Node) -> Result<Self, Problem> {
        let entries = |key: &str| document.get(key).and_then(Node::mapping).unwrap_or_default();
        let mut compose = Vec::new();
        for (name, expression) in entries("compose") {
            let text = expression.scalar_text().ok_or_else(|| expression.problem("an expression is text"))?;
            compose.push((name.scalar_text().unwrap_or_default().to_owned(), Expression::parse(text.trim(), &expression.place)?));
        }
        let mut groups = Vec::new();
        for (name, condition) in entries("groups") {
            groups.push((name.scalar_text().unwrap_or_default().to_owned(), name, Condition::read(condition)?));
        }
        let keyed = document.get("keyed_groups").filter(|list| !list.is_null());
        let keyed = keyed.map(|list| list.sequence().ok_or_else(|| list.problem("'keyed_groups' is a list"))).transpose()?;
        Ok(Self {
            strict: flag(document, "strict", false),
            leading_separator: flag(document, "leading_separator", true),
            use_vars_plugins: flag(document, "use_vars_plugins", false),
            use_extra_vars: flag(document, "use_extra_vars", false),
            compose,
            groups,
            keyed: keyed.unwrap_or_default().iter().map(Keyed::read).collect::<Result<_, _>>()?,
        })
    }
}

impl<'n> Keyed<'n> {
    fn read(node: &'n Node) -> Result<Self, Problem> {
        if node.mapping().is_none() {
            return Err(node.problem(format!("an entry of 'keyed_groups' is a mapping, not {}", node.kind_name())));
        }
        let text = |key: &str| node.get(key).filter(|value| !value.is_null()).and_then(Node::scalar_text).map(str::to_owned);
        let key = node.get("key").and_then(Node::scalar_text).ok_or_else(|| node.problem("an entry of 'keyed_groups' needs a 'key'"))?;
        let default = text("default_value");
        let trailing = node.get("trailing_separator").filter(|value| !value.is_null());
        if default.is_some() && trailing.is_some() {
            return Err(node.problem("parameters are mutually exclusive for keyed groups: default_value|trailing_separator"));
        }
        Ok(Self {
            node,
            key: Expression::parse(key, &node.place)?,
            prefix: text("prefix").unwrap_or_default(),
            separator: text("separator").unwrap_or_else(|| "_".to_owned()),
            parent: text("parent_group").map(|parent| Text::parse(&parent, &node.place)).transpose()?,
            default,
            trailing_separator: flag(node, "trailing_separator", true),
        })
    }

    /// The names that a value gives, without prefix; `None` for a value that can give none.
    fn names(&self, key: &Value) -> Option<Vec<String>> {
        let is_empty = |value: &Value| value.is_none() || value.as_str() == Some("");
        if is_empty(key) {
            return Some(self.default.iter().cloned().collect());
        }
        if let Some(text) = key.as_str() {
            return Some(vec![text.to_owned()]);
        }
        let named = |value: &Value| match &self.default {
            Some(default) if is_empty(value) => default.clone(),
            _ => as_text(value),
        };
        let items: Vec<Value> = key.try_iter().ok()?.collect();
        match key.kind() {
            ValueKind::Seq | ValueKind::Iterable => Some(items.iter().map(named).collect()),
            ValueKind::Map => {
                let of_entry = |name: &Value| {
                    let value = key.get_item(name).unwrap_or_default();
                    match is_empty(&value) && self.default.is_none() && !self.trailing_separator {
                        true => as_text(name),
                        // Nothing at all stands as nothing where only its emptiness counts.
                        false => format!("{}{}{}", as_text(name), self.separator, named(&value)),
                    }
                };
                Some(items.iter().map(of_entry).collect())
            }
            _ => None,
        }
    }
}

fn flag(node: &Node, key: &str, otherwise: bool) -> bool {
    let value = node.get(key).and_then(Node::scalar_text);
    value.map_or(otherwise, |text| ["true", "yes", "on", "1"].contains(&text.to_lowercase().as_str()))
}
