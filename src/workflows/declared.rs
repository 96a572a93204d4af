//! Users and databases that the variables declare: read, checked, and given to the playbook with verifiers instead of passwords.

use pgfleet_protocol::Secret;
use pgfleet_state::{Secrets, StateError, make_password};
use pgfleet_template::{Problem, Raw, from_json, to_json};
use serde_json::{Map, Value, json};

use crate::WorkflowError;
use crate::credentials::{make_verifier, verifies};
use crate::play::{Additions, Prepared};

/// Roles that the cluster itself lives on.
const RESERVED: [&str; 3] = ["postgres", "replicator", "rewind"];
/// Databases that PostgreSQL itself brings.
const SYSTEM: [&str; 3] = ["postgres", "template0", "template1"];
const USER_KEYS: [&str; 5] = ["name", "password", "roles", "grants", "state"];
const DATABASE_KEYS: [&str; 4] = ["name", "owner", "extensions", "state"];
const PRIVILEGES: [&str; 3] = ["connect", "create", "temporary"];

/// What the variables declare, found right.
pub(crate) struct Declared {
    /// Each with its entry, which may have a password.
    users: Vec<(Value, Value)>,
    databases: Vec<Value>,
}

impl Declared {
    /// Reads what is declared.
    ///
    /// # Errors
    /// What is wrong with a declaration; a database that shall go, and is not named a second time.
    pub(crate) fn read(prepared: &Prepared) -> Result<Self, WorkflowError> {
        let own = |name: &str| prepared.global_text(name).map(Option::unwrap_or_default);
        let reserved: Vec<String> = RESERVED
            .iter()
            .map(|name| Ok((*name).to_owned()))
            .chain(["postgresql_app_user", "postgresql_readonly_user", "postgresql_backup_user"].map(own))
            .collect::<Result<_, WorkflowError>>()?;
        let (app_user, app_database) = (own("postgresql_app_user")?, own("postgresql_database")?);
        let mut problems = Vec::new();
        let mut users = Vec::new();
        for entry in list(prepared, "postgresql_users")? {
            match user(&entry, &reserved) {
                Ok(user) => users.push((user, entry)),
                Err(problem) => problems.push(problem),
            }
        }
        let mut databases = Vec::new();
        for entry in list(prepared, "postgresql_databases")? {
            match database(&entry, &app_user, &app_database) {
                Ok(database) => databases.push(database),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems.into());
        }
        refuse_to_drop(&databases, &list(prepared, "postgresql_drop_databases")?)?;
        Ok(Self { users, databases })
    }

    /// Adds it to the variables of a deploy. Passwords that are missing are made, and kept when `keep` says so.
    pub(crate) fn add(self, store: &Secrets, keep: bool, additions: &mut Additions) -> Result<(), WorkflowError> {
        let mut declared = Vec::new();
        for (mut user, entry) in self.users {
            if user["absent"] == false {
                let name = user["name"].as_str().unwrap_or_default().to_owned();
                let (password, verifier) = password(&name, entry.get("password").and_then(Value::as_str), store, keep)?;
                user["verifier"] = Value::from(verifier.reveal());
                additions.secrets.extend(password.into_iter().chain([verifier]));
            }
            declared.push(user);
        }
        for (name, value) in [("declared_users", Value::from(declared)), ("declared_databases", Value::from(self.databases))] {
            additions.vars.insert(name.to_owned(), Raw::from(from_json(&value)));
        }
        Ok(())
    }
}

fn list(prepared: &Prepared, name: &str) -> Result<Vec<Value>, WorkflowError> {
    match prepared.global_value(name)?.map(|value| to_json(&value)).transpose()? {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(entries)) => Ok(entries),
        Some(other) => Err(Problem::new(format!("{name} is {other}, and must be a list")).into()),
    }
}

/// The mapping of an entry with its name, all of its keys known.
fn entry<'a>(value: &'a Value, what: &str, keys: &[&str]) -> Result<(&'a Map<String, Value>, &'a str), Problem> {
    let Some(entry) = value.as_object() else { return Err(Problem::new(format!("{what}: {value} is no mapping with a name"))) };
    if let Some(unknown) = entry.keys().find(|key| !keys.contains(&key.as_str())) {
        return Err(Problem::new(format!("{what}: nothing reads '{unknown}'")).did_you_mean(unknown, keys.iter().copied()));
    }
    Ok((entry, plain(entry.get("name").and_then(Value::as_str).unwrap_or_default(), what)?))
}

/// A name that PostgreSQL, psql and files take for nothing else.
fn plain<'a>(name: &'a str, what: &str) -> Result<&'a str, Problem> {
    let is_plain = name.chars().all(|sign| sign.is_ascii_alphanumeric() || "_-.".contains(sign)) && !name.starts_with(['.', '-']);
    if name.is_empty() || !is_plain || name.len() > 63 {
        return Err(Problem::new(format!("{what}: '{name}' is no name of letters, digits, '_', '-' and '.'")));
    }
    Ok(name)
}

fn is_absent(entry: &Map<String, Value>, what: &str) -> Result<bool, Problem> {
    match entry.get("state").and_then(Value::as_str) {
        None if entry.get("state").is_none_or(Value::is_null) => Ok(false),
        Some("present") => Ok(false),
        Some("absent") => Ok(true),
        _ => Err(Problem::new(format!("{what}: state is 'present' or 'absent'"))),
    }
}

fn user(value: &Value, reserved: &[String]) -> Result<Value, Problem> {
    let (entry, name) = entry(value, "postgresql_users", &USER_KEYS)?;
    let what = format!("postgresql_users, {name}");
    if reserved.iter().any(|role| role == name) || name.starts_with("pg_") {
        return Err(Problem::new(format!("{what}: this role is one of the cluster's own")));
    }
    let roles = match entry.get("roles") {
        None | Some(Value::Null) => Value::Null,
        Some(Value::Array(roles)) if roles.iter().all(Value::is_string) => Value::Array(roles.clone()),
        Some(other) => return Err(Problem::new(format!("{what}: roles is {other}, and must be a list of names"))),
    };
    let mut grants = Vec::new();
    for grant in entry.get("grants").and_then(Value::as_array).into_iter().flatten() {
        let Some(database) = grant.get("database").and_then(Value::as_str) else {
            return Err(Problem::new(format!("{what}: a grant names its database: {grant}")));
        };
        let given = grant.get("privileges").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![Value::from("connect")]);
        for privilege in given {
            let privilege = privilege.as_str().unwrap_or_default().to_ascii_lowercase();
            if !PRIVILEGES.contains(&privilege.as_str()) {
                let problem =
                    Problem::new(format!("{what}: '{privilege}' is no privilege of a database; these are {}", PRIVILEGES.join(", ")));
                return Err(problem.with_hint("rights on tables come with roles, as pg_read_all_data, or from postgresql_init_sql"));
            }
            grants.push(json!({"database": database, "privilege": privilege}));
        }
    }
    Ok(json!({"name": name, "roles": roles, "grants": grants, "absent": is_absent(entry, &what)?}))
}

fn database(value: &Value, app_user: &str, app_database: &str) -> Result<Value, Problem> {
    let (entry, name) = entry(value, "postgresql_databases", &DATABASE_KEYS)?;
    let what = format!("postgresql_databases, {name}");
    let absent = is_absent(entry, &what)?;
    if SYSTEM.contains(&name) || (absent && name == app_database) {
        return Err(Problem::new(format!("{what}: this database is one of the cluster's own")));
    }
    let listed = format!("{what}, extensions");
    let mut extensions = Vec::new();
    for extension in entry.get("extensions").and_then(Value::as_array).into_iter().flatten() {
        let (name, gone) = match extension {
            Value::String(name) => (plain(name, &listed)?, false),
            other => {
                let (entry, name) = self::entry(other, &listed, &["name", "state"])?;
                (name, is_absent(entry, &what)?)
            }
        };
        extensions.push(json!({"name": name, "absent": gone}));
    }
    let owner = entry.get("owner").and_then(Value::as_str).unwrap_or(app_user);
    Ok(json!({"name": name, "owner": owner, "absent": absent, "extensions": extensions}))
}

/// A database goes only when it is named twice.
fn refuse_to_drop(databases: &[Value], named: &[Value]) -> Result<(), WorkflowError> {
    let doomed = databases.iter().filter(|database| database["absent"] == true && !named.contains(&database["name"]));
    let doomed: Vec<&str> = doomed.filter_map(|database| database["name"].as_str()).collect();
    if doomed.is_empty() {
        return Ok(());
    }
    Err(WorkflowError::Refused {
        reason: format!("these databases are declared absent, and would be dropped with all their data: {}", doomed.join(", ")),
        hint: format!(
            "give -e '{{\"postgresql_drop_databases\": {}}}' as well, if that is meant; nothing was touched",
            serde_json::to_string(&doomed).unwrap_or_default()
        ),
    })
}

/// The declared users for whom a deploy would make a password.
pub(crate) fn without_password(prepared: &Prepared, store: &Secrets) -> Result<Vec<String>, WorkflowError> {
    let mut found = Vec::new();
    for value in list(prepared, "postgresql_users")? {
        // What is wrong with a declaration is told where it is read.
        let Ok((entry, name)) = entry(&value, "postgresql_users", &USER_KEYS) else { continue };
        let is_given = entry.get("password").and_then(Value::as_str).is_some();
        if is_given || is_absent(entry, name).unwrap_or(true) {
            continue;
        }
        if store.read(&password_file(name))?.is_none() && store.read(&verifier_file(name))?.is_none() {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

pub(crate) fn password_file(user: &str) -> String {
    format!("users/{user}")
}

/// A hidden file: the verifier is kept so that it stays the same, and nobody needs to see it.
pub(crate) fn verifier_file(user: &str) -> String {
    format!("users/.{user}.scram")
}

/// A user's password, as given or kept, and a verifier of it. Where only the verifier is known, it goes on to count.
fn password(name: &str, given: Option<&str>, store: &Secrets, keep: bool) -> Result<(Option<Secret>, Secret), StateError> {
    let file = password_file(name);
    let kept = store.read(&verifier_file(name))?;
    let password = match given {
        Some(password) => Secret::new(password),
        None => match (store.read(&file)?, &kept) {
            (Some(password), _) => password,
            (None, Some(verifier)) => return Ok((None, verifier.clone())),
            (None, None) if keep => store.read_or_make(&file)?,
            (None, None) => make_password()?,
        },
    };
    if let Some(verifier) = kept.filter(|kept| verifies(kept.reveal(), &password)) {
        return Ok((Some(password), verifier));
    }
    let verifier = make_verifier(&password)?;
    if keep {
        store.store(&verifier_file(name), &verifier)?;
    }
    Ok((Some(password), verifier))
}

#[cfg(test)]
mod tests {
    use super::{database, refuse_to_drop, user};
    use serde_json::{Value, json};

    #[test]
    fn declarations_are_checked() {
        let reserved = ["postgres".to_owned(), "app_user".to_owned()];
        let says = |result: Result<Value, pgfleet_template::Problem>, expect: &str| match result {
            Ok(value) => assert_eq!(expect, "", "{value}"),
            Err(problem) => assert!(!expect.is_empty() && problem.to_string().contains(expect), "{problem}, not '{expect}'"),
        };
        says(user(&json!({"name": "report"}), &reserved), "");
        says(
            user(
                &json!({"name": "report", "roles": ["pg_monitor"], "grants": [{"database": "shop", "privileges": ["CONNECT"]}]}),
                &reserved,
            ),
            "",
        );
        says(user(&json!("report"), &reserved), "no mapping");
        says(user(&json!({"name": "a'b"}), &reserved), "no name");
        says(user(&json!({"name": "app_user"}), &reserved), "one of the cluster's own");
        says(user(&json!({"name": "report", "role": []}), &reserved), "nothing reads 'role'");
        says(user(&json!({"name": "report", "state": "gone"}), &reserved), "present");
        says(
            user(&json!({"name": "report", "grants": [{"database": "x", "privileges": ["select"]}]}), &reserved),
            "no privilege of a database",
        );
        says(
            database(&json!({"name": "shop", "extensions": ["hstore", {"name": "pg_trgm", "state": "absent"}]}), "app_user", "application"),
            "",
        );
        // psql would run what stands in backquotes.
        says(
            database(&json!({"name": "shop", "extensions": ["x' `touch /tmp/pwn` '"]}), "app_user", "application"),
            "shop, extensions: 'x' `",
        );
        says(database(&json!({"name": "shop", "extensions": [{"name": "x`id`"}]}), "app_user", "application"), "no name");
        says(database(&json!({"name": "shop", "extensions": ["uuid-ossp"]}), "app_user", "application"), "");
        says(database(&json!({"name": "application", "state": "absent"}), "app_user", "application"), "one of the cluster's own");
        let gone = database(&json!({"name": "shop", "state": "absent"}), "app_user", "application").expect("right");
        assert!(refuse_to_drop(std::slice::from_ref(&gone), &[]).is_err());
        assert!(refuse_to_drop(&[gone], &[json!("shop")]).is_ok());
    }
}
