//! Tasks that touch a host: arguments rendered and typed, content read or rendered, the call sent.

use indexmap::IndexMap;
use pgfleet_playbook::{Arguments, Kind, Task, lookup_module};
use pgfleet_protocol::{Call, Map, Mode, Request, Secret};
use pgfleet_template::{Place, Problem, Raw, Scope, Text, from_json, is_omit, to_exact_json, to_json};
use serde_json::Value;

use crate::attempt::Attempt;
use crate::play::truth;
use crate::{Become, Contact, Content, DiffShape, Ending, Incoming, TaskResult};

/// Variables that say how a host is reached, under their first name and the others they go by.
const CONNECTION: &[(&str, &[&str])] = &[
    ("ansible_host", &["ansible_ssh_host"]),
    ("ansible_port", &["ansible_ssh_port"]),
    ("ansible_user", &["ansible_ssh_user"]),
    ("ansible_password", &["ansible_ssh_pass", "ansible_ssh_password"]),
    ("ansible_ssh_private_key_file", &["ansible_private_key_file"]),
    ("ansible_ssh_args", &[]),
    ("ansible_ssh_common_args", &[]),
    ("ansible_ssh_extra_args", &[]),
    ("ansible_ssh_timeout", &["ansible_timeout"]),
    ("ansible_ssh_host_key_checking", &["ansible_host_key_checking"]),
    ("ansible_connection", &[]),
];

/// A way from values to JSON.
type ToJson = fn(&pgfleet_template::Value) -> Result<Value, Problem>;

impl Attempt<'_> {
    /// Sends the task's call.
    pub(crate) async fn call(&self, kind: Kind, scope: &Scope, delegate: Option<&str>) -> Result<TaskResult, Problem> {
        let arguments = self.arguments(scope)?;
        let contact = self.contact(scope, delegate)?;
        match kind {
            Kind::Raw => self.raw(&contact, &arguments, scope).await,
            Kind::Host if self.task.module.name == "assemble" => self.assemble(arguments, &contact, scope).await,
            Kind::Host => self.send(self.task.module.name, arguments, &contact, scope, None, None).await,
            Kind::Transfer(_) if self.task.module.name == "template" => self.template(arguments, &contact, scope).await,
            Kind::Transfer(_) if self.task.module.name == "fetch" => self.fetch(arguments, &contact, scope).await,
            Kind::Transfer(_) if self.task.module.name == "script" => self.script(arguments, &contact, scope).await,
            Kind::Transfer(_) if self.task.module.name == "unarchive" => self.unarchive(arguments, &contact, scope).await,
            Kind::Transfer(_) => self.copy(arguments, &contact, scope).await,
            Kind::Engine(_) | Kind::Controller => Err(Problem::new("this module touches no host")),
        }
    }

    /// The task's arguments, rendered; those that are `omit` are left out.
    pub(crate) fn arguments(&self, scope: &Scope) -> Result<Map, Problem> {
        match self.task.module.name {
            "copy" => crate::transfer::with_content(self.exact_arguments(scope)?, scope),
            _ => self.arguments_as(to_json, scope),
        }
    }

    /// The same for what stays on the controller: numbers of any size are what they are.
    pub(crate) fn exact_arguments(&self, scope: &Scope) -> Result<Map, Problem> {
        self.arguments_as(to_exact_json, scope)
    }

    fn arguments_as(&self, to_json: ToJson, scope: &Scope) -> Result<Map, Problem> {
        match &self.task.arguments {
            Arguments::Named(named) => rendered(named, to_json, scope),
            Arguments::Whole(place, raw, beside) => match to_json(&raw.evaluate(scope).map_err(|problem| problem.at(place))?)? {
                Value::Object(mut map) => {
                    map.extend(rendered(beside, to_json, scope)?);
                    Ok(map)
                }
                other => Err(Problem::new(not_a_mapping(self.task, &other)).at(place)),
            },
        }
    }

    /// The same as values, whose keys and numbers are what they are in templates.
    pub(crate) fn values(&self, scope: &Scope) -> Result<IndexMap<String, pgfleet_template::Value>, Problem> {
        match &self.task.arguments {
            Arguments::Named(named) => {
                let settle = |(name, (place, value)): (String, (&Place, _))| {
                    Ok((name, pgfleet_template::settled(&value).map_err(|problem| problem.at(place))?))
                };
                evaluated(named, scope)?.into_iter().map(settle).collect()
            }
            Arguments::Whole(..) => Ok(self.exact_arguments(scope)?.iter().map(|(name, value)| (name.clone(), from_json(value))).collect()),
        }
    }

    /// Where the work is done, and as whom.
    pub(crate) fn contact(&self, scope: &Scope, delegate: Option<&str>) -> Result<Contact, Problem> {
        let (name, outside) = match delegate {
            None => (self.host.name.as_str(), None),
            Some(name) => (name, Some(self.run.outside_scope(&*self.run.delegate_host(name)?)?)),
        };
        let there = outside.as_ref().unwrap_or(scope);
        let mut variables = Map::new();
        for (first, others) in CONNECTION {
            for variable in std::iter::once(first).chain(others.iter()) {
                if there.says(variable)
                    && let Some(value) = there.get(variable)?
                {
                    variables.insert((*first).to_owned(), to_json(&value)?);
                    break;
                }
            }
        }
        let settings = &self.task.settings;
        let fallbacks = &self.run.options.habits.fallbacks;
        let fallback = |name: &str| fallbacks.get(name).and_then(Value::as_str);
        let mut otherwise = |variable: &str, written: &Option<pgfleet_template::Raw>, option: Option<&str>| -> Result<(), Problem> {
            if !variables.contains_key(variable) {
                if let Some(raw) = written {
                    variables.insert(variable.to_owned(), to_json(&raw.evaluate(scope)?)?);
                } else if let Some(option) = option {
                    variables.insert(variable.to_owned(), Value::from(option));
                }
            }
            Ok(())
        };
        otherwise("ansible_user", &settings.remote_user, self.run.options.remote_user.as_deref())?;
        otherwise("ansible_port", &settings.port, None)?;
        let here = crate::scopes::is_controller(name).then_some("local");
        otherwise("ansible_connection", &settings.connection, here.or_else(|| fallback("ansible_connection")))?;
        otherwise("ansible_password", &None, fallback("ansible_password"))?;
        Ok(Contact { host: name.to_owned(), variables, r#become: self.become_of(scope, there)?, lane: 0 })
    }

    fn become_of(&self, scope: &Scope, there: &Scope) -> Result<Option<Become>, Problem> {
        let settings = &self.task.settings;
        let fallback = |name: &str| self.run.options.habits.fallbacks.get(name).and_then(Value::as_str);
        let variable = |name: &str| -> Result<Option<Value>, Problem> { there.get(name)?.map(|value| to_json(&value)).transpose() };
        let wanted = match (variable("ansible_become")?, &settings.r#become) {
            (Some(value), _) => {
                pgfleet_protocol::Argument::read(&value).map_err(|reason: String| Problem::new(format!("ansible_become: {reason}")))?
            }
            (None, Some(raw)) => truth(raw, scope)?,
            (None, None) => self.run.options.r#become,
        };
        if !wanted {
            return Ok(None);
        }
        let text = |value: Option<Value>, written: &Option<pgfleet_template::Raw>, otherwise: &str| -> Result<String, Problem> {
            let value = match (value, written) {
                (Some(value), _) => Some(value),
                (None, Some(raw)) => Some(to_json(&raw.evaluate(scope)?)?),
                (None, None) => None,
            };
            Ok(value.as_ref().and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or(otherwise).to_owned())
        };
        let password = match (variable("ansible_become_password")?, variable("ansible_become_pass")?) {
            (Some(value), _) | (None, Some(value)) => value.as_str().map(Secret::new).or_else(|| Some(Secret::new(value.to_string()))),
            (None, None) => self.run.options.become_password.clone(),
        };
        let chosen = |name: &str| -> Result<Option<String>, Problem> {
            let value = variable(name)?.and_then(|value| value.as_str().map(str::to_owned));
            Ok(value.or_else(|| fallback(name).map(str::to_owned)).filter(|text| !text.trim().is_empty()))
        };
        Ok(Some(Become {
            exe: chosen("ansible_become_exe")?,
            flags: chosen("ansible_become_flags")?,
            user: text(variable("ansible_become_user")?, &settings.become_user, fallback("ansible_become_user").unwrap_or("root"))?,
            method: text(variable("ansible_become_method")?, &settings.become_method, fallback("ansible_become_method").unwrap_or("sudo"))?,
            password,
        }))
    }

    pub(crate) async fn send(
        &self,
        module: &str,
        arguments: Map,
        contact: &Contact,
        scope: &Scope,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> Result<TaskResult, Problem> {
        let request = self.request(module, arguments, scope)?;
        self.call_of(contact, request, content, sink).await
    }

    /// The call with the module's arguments checked.
    pub(crate) fn request(&self, module: &str, arguments: Map, scope: &Scope) -> Result<Request, Problem> {
        let arguments = match lookup_module(module) {
            Ok((_, spec)) => spec.canonical(&arguments).map_err(|problem| Problem::new(problem.to_string()))?,
            Err((message, _)) => return Err(Problem::new(message)),
        };
        if let Some(Err(problem)) = Call::read(module, &arguments) {
            return Err(Problem::new(problem.to_string()));
        }
        Ok(Request {
            id: 0,
            module: module.to_owned(),
            arguments,
            mode: self.mode(scope)?,
            diff: self.wants_diff(scope)?,
            brief: self.run.options.habits.brief && self.task.register.is_none(),
            environment: self.environment(scope)?,
            detached: None,
        })
    }

    pub(crate) async fn call_of(
        &self,
        contact: &Contact,
        request: Request,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> Result<TaskResult, Problem> {
        let diff_shape = DiffShape::of(&request.module);
        match self.ask(contact, request, content, sink).await {
            Ok(outcome) => Ok(TaskResult { diff_shape, ..TaskResult::from(outcome) }),
            Err(unreachable) => {
                Ok(TaskResult { hint: unreachable.hint, ..TaskResult::new(Ending::Unreachable).with("msg", unreachable.message) })
            }
        }
    }

    pub(crate) fn mode(&self, scope: &Scope) -> Result<Mode, Problem> {
        match &self.task.settings.check_mode {
            Some(raw) if truth(raw, scope)? => Ok(Mode::Check),
            Some(_) => Ok(Mode::Apply),
            None => Ok(self.run.options.mode),
        }
    }

    fn wants_diff(&self, scope: &Scope) -> Result<bool, Problem> {
        let hidden = self.task.settings.no_log.as_ref().map_or(Ok(false), |raw| truth(raw, scope))?;
        let wanted = self.task.settings.diff.as_ref().map_or(Ok(self.run.options.diff), |raw| truth(raw, scope))?;
        Ok(wanted && !hidden)
    }

    fn environment(&self, scope: &Scope) -> Result<Vec<(String, String)>, Problem> {
        let mut environment: Vec<(String, String)> = Vec::new();
        for raw in &self.task.settings.environment {
            let given = match raw {
                Raw::Map(entries) => {
                    environment_of(entries, scope, &mut environment)?;
                    continue;
                }
                raw => raw.evaluate(scope)?,
            };
            if is_omit(&given) {
                continue;
            }
            match to_json(&given)? {
                Value::Object(map) => {
                    for (name, value) in map {
                        set_variable(&mut environment, name, &value);
                    }
                }
                Value::Null => {}
                other => return Err(Problem::new(format!("'environment' is a mapping, not {other}"))),
            }
        }
        Ok(environment)
    }

    async fn raw(&self, contact: &Contact, arguments: &Map, scope: &Scope) -> Result<TaskResult, Problem> {
        if self.mode(scope)?.is_check() {
            return Ok(TaskResult::skipped("raw commands are not run in check mode"));
        }
        let command = arguments.get("_raw_params").and_then(Value::as_str).unwrap_or_default();
        let command = match arguments.get("executable").and_then(Value::as_str) {
            Some(shell) => format!("{shell} -c '{}'", command.replace('\'', r"'\''")),
            None => command.to_owned(),
        };
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let environment: Vec<String> = self.environment(scope)?.iter().map(|(name, value)| format!("{name}={} ", quoted(value))).collect();
        let command = environment.concat() + &command;
        self.run.had_effect();
        match self.run.fleet.raw(contact, &command).await {
            Ok(output) => {
                let ending = if output.status == 0 { Ending::Changed } else { Ending::Failed };
                let result = TaskResult::new(ending).with("rc", output.status).with("stdout", output.stdout).with("stderr", output.stderr);
                Ok(if ending == Ending::Failed { result.with("msg", "non-zero return code").with("changed", true) } else { result })
            }
            Err(unreachable) => {
                Ok(TaskResult { hint: unreachable.hint, ..TaskResult::new(Ending::Unreachable).with("msg", unreachable.message) })
            }
        }
    }
}

fn rendered(named: &IndexMap<String, (Place, Raw)>, to_json: ToJson, scope: &Scope) -> Result<Map, Problem> {
    let json = |(name, (place, value)): (String, (&Place, _))| Ok((name, to_json(&value).map_err(|problem| problem.at(place))?));
    evaluated(named, scope)?.into_iter().map(json).collect()
}

/// Arguments in a scope; those that are `omit` are left out. Names may be templates, as with `set_fact`.
fn evaluated<'a>(
    named: &'a IndexMap<String, (Place, Raw)>,
    scope: &Scope,
) -> Result<IndexMap<String, (&'a Place, pgfleet_template::Value)>, Problem> {
    let mut rendered = IndexMap::new();
    for (name, (place, raw)) in named {
        let value = raw.evaluate(scope).map_err(|problem| problem.at(place))?;
        if is_omit(&value) {
            continue;
        }
        let name = match Text::is_template(name) {
            true => name_of(&Text::parse(name, place)?.evaluate(scope).map_err(|problem| problem.at(place))?)?,
            false => name.clone(),
        };
        rendered.insert(name, (place, value));
    }
    Ok(rendered)
}

/// The name that a template gives; what is no text is the name of nothing.
fn name_of(value: &pgfleet_template::Value) -> Result<String, Problem> {
    match (value.as_str(), to_json(value)?) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, other) => {
            let kind = match &other {
                Value::Bool(_) => "bool",
                Value::Number(number) if number.is_f64() => "float",
                Value::Number(_) => "int",
                Value::Array(_) => "list",
                Value::Object(_) => "dict",
                Value::Null | Value::String(_) => "NoneType",
            };
            Err(Problem::new(format!("Invalid variable name '{value}' of type '{kind}'.")))
        }
    }
}

/// The variables of a mapping. One that needs the host's own environment is left out while that is not known.
fn environment_of(entries: &[(Raw, Raw)], scope: &Scope, environment: &mut Vec<(String, String)>) -> Result<(), Problem> {
    for (name, raw) in entries {
        let value = match raw.evaluate(scope) {
            Err(problem) if problem.is_undefined() && problem.message.contains("'ansible_env") => continue,
            value => value?,
        };
        if !is_omit(&value) {
            set_variable(environment, name.evaluate(scope)?.to_string(), &to_json(&value)?);
        }
    }
    Ok(())
}

fn set_variable(environment: &mut Vec<(String, String)>, name: String, value: &Value) {
    environment.retain(|(known, _)| *known != name);
    environment.push((name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
}

/// That a template gave something else than arguments, in the words that playbooks look for.
pub(crate) fn not_a_mapping(task: &Task, given: &Value) -> String {
    let kind = match given {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    let module = task.module.name;
    format!("Finalization of task args for 'ansible.builtin.{module}' failed: Task args must resolve to a 'dict' not '{kind}'.")
}
