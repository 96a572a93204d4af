//! A role's own list of its arguments, checked by a task before its others.

use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_template::{Node, Raw, Value};

use super::Reading;
use crate::catalog::lookup_module;
use crate::{Arguments, Role, RoleChoice, Settings, Step, Task};

impl Reading<'_> {
    /// The task that checks the role's arguments, where `meta/argument_specs.yml` or `meta/main.yml` lists them.
    pub(super) fn argument_check(
        &mut self,
        role: &Arc<Role>,
        choice: &RoleChoice,
        specs: Option<&Node>,
        settings: &Settings,
    ) -> Option<Step> {
        let entry = choice.tasks_from.as_deref().unwrap_or("main");
        let spec = specs?.get(entry).filter(|spec| !spec.is_null() && spec.mapping().is_some_and(|keys| !keys.is_empty()))?;
        let (kind, module) = lookup_module("validate_argument_spec").ok()?;
        let mut name = format!("Validating arguments against arg spec '{entry}'");
        if let Some(short) = spec.get("short_description").and_then(Node::scalar_text) {
            name = format!("{name} - {short}");
        }
        let options = match spec.get("options") {
            Some(options) => self.raw(options)?,
            None => Raw::map(Vec::new()),
        };
        let place = spec.place.clone();
        let folder = std::path::absolute(&role.origin.path).unwrap_or_else(|_| role.origin.path.clone());
        let about = [
            ("argument_spec_name", entry.to_owned()),
            ("name", role.origin.short.clone()),
            ("path", folder.display().to_string()),
            ("type", "role".to_owned()),
        ];
        let about = about.into_iter().map(|(name, text)| (Raw::from(Value::from(name)), Raw::from(Value::from(text)))).collect();
        let mut settings = settings.clone();
        settings.tags.push("always".to_owned());
        Some(Step::Task(Arc::new(Task {
            name: Some(Raw::from(Value::from(name))),
            place: place.clone(),
            kind,
            module,
            module_name: "ansible.builtin.validate_argument_spec".to_owned(),
            arguments: Arguments::Named(IndexMap::from([
                ("argument_spec".to_owned(), (place.clone(), options)),
                ("validate_args_context".to_owned(), (place, Raw::map(about))),
            ])),
            settings,
            repeat: None,
            until: None,
            detached: None,
            poll: None,
            register: None,
            listen: Vec::new(),
            changed_when: None,
            failed_when: None,
            refused: None,
            late: None,
            included: None,
            folder: Arc::new(role.origin.path.join("tasks")),
        })))
    }
}
