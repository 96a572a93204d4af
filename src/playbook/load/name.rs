//! Names that are needed while a playbook is read: imports may use variables of the play and of the command line.

use std::path::PathBuf;
use std::sync::Arc;

use pgfleet_template::{Language, Node, Place, Problem, Raw, Scope, Text, Value, Vars, to_json};

use super::Reading;
use crate::Settings;

impl Reading<'_> {
    /// The text of a name.
    pub(super) fn fixed_name(&mut self, node: &Node, settings: &Settings, what: &str) -> Option<String> {
        let raw = self.raw(node)?;
        self.fixed_value(&node.place, &raw, settings, what)
    }

    /// The text of a name as read.
    pub(super) fn fixed_value(&mut self, place: &Place, raw: &Raw, settings: &Settings, what: &str) -> Option<String> {
        let value = match raw {
            Raw::Value(value) => Ok(value.clone()),
            raw => raw.evaluate(&self.early_scope(settings)),
        };
        match value {
            Ok(value) if value.as_str().is_some() || value.as_i64().is_some() => Some(value.to_string()),
            Ok(value) => {
                self.problem(Problem::new(format!("{what} is text, not {value}")).at(place));
                None
            }
            Err(problem) => {
                let hint = "what is read before the run sees variables of the play, its roles and -e, but none of hosts";
                self.problem(problem.at(place).within(what.to_owned()).with_hint(hint));
                None
            }
        }
    }

    /// Tags that are templates give one tag, several with commas between them, or a list. Those that need a host stay as written.
    pub(super) fn render_tags(&mut self, own: &mut Settings, around: &Settings, place: &Place) {
        if !own.tags.iter().any(|tag| Text::is_template(tag)) {
            return;
        }
        let scope = self.early_scope(&around.around(own.clone()));
        let mut tags = Vec::new();
        for tag in std::mem::take(&mut own.tags) {
            let value = Text::parse(&tag, place).and_then(|text| text.evaluate(&scope)).and_then(|value| to_json(&value));
            let texts: Vec<String> = match value {
                Ok(serde_json::Value::Array(list)) => {
                    list.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
                }
                Ok(serde_json::Value::String(text)) => vec![text],
                Ok(serde_json::Value::Number(number)) => vec![number.to_string()],
                _ => {
                    tags.push(tag);
                    continue;
                }
            };
            tags.extend(texts.iter().flat_map(|text| text.split(',')).map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()));
        }
        own.tags = tags;
    }

    /// Variables that are known before any host is.
    fn early_scope(&mut self, settings: &Settings) -> Scope {
        let files = Arc::new(pgfleet_template::Opened::new(self.loader.files.clone(), self.loader.vault.clone()));
        let language = self.language.get_or_insert_with(|| Language::new(files)).clone();
        let mut scope = Scope::new(&language, vec![self.playbook_folder.to_path_buf()]);
        scope = scope.over_all(self.used_roles.iter().map(|role| role.exported_defaults()));
        scope = scope.over_all(settings.role.iter().map(|role| role.task_defaults()));
        scope = scope.over(self.play_vars.clone());
        scope = scope.over_all(self.used_roles.iter().map(|role| role.exported_vars()));
        scope = scope.over_all(settings.role.iter().map(|role| role.task_vars())).over_all(settings.vars.iter().cloned());
        scope = scope.over_all(settings.role.iter().map(|role| role.task_parameters())).over_all(settings.parameters.iter().cloned());
        let shown = |path: PathBuf| Raw::from(Value::from(std::path::absolute(&path).unwrap_or(path).display().to_string()));
        let mut magic = Vars::from_iter([("playbook_dir".to_owned(), shown(self.playbook_folder.to_path_buf()))]);
        if let Some(role) = &settings.role {
            magic.insert("role_path".to_owned(), shown(role.origin.path.clone()));
            magic.insert("role_name".to_owned(), Raw::from(Value::from(role.origin.short.clone())));
        }
        scope.over(self.loader.extra.clone()).over(Arc::new(magic))
    }
}
