//! `postgresql_privs`: privileges on all kinds of objects.
//!
//! What a GRANT changes only the server knows. So it is tried in a transaction that is taken back, and the access lists before and after
//! are compared; when they differ it is done in earnest.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::postgresql::{PostgresqlPrivs, PrivilegeType};

use super::{Effect, Statement, ask, open, role_exists, settle, warn};
use crate::module::{Context, Failure, Planned};
use crate::postgres::{Client, array, identifier, literal, path};

const PRIVILEGES: [&str; 17] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "CREATE",
    "CONNECT",
    "TEMPORARY",
    "TEMP",
    "EXECUTE",
    "USAGE",
    "ALL",
    "SET",
    "ALTER_SYSTEM",
    "MAINTAIN",
];
/// Kinds of later objects, and the privileges that there are on each.
const DEFAULTS: [(&str, &[&str]); 5] = [
    ("TABLES", &["ALL", "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"]),
    ("SEQUENCES", &["ALL", "SELECT", "UPDATE", "USAGE"]),
    ("FUNCTIONS", &["ALL", "EXECUTE"]),
    ("TYPES", &["ALL", "USAGE"]),
    ("SCHEMAS", &["CREATE", "USAGE"]),
];
/// Roles that stand for others, which are written without quotes.
const IMPLICIT: [&str; 4] = ["PUBLIC", "CURRENT_USER", "SESSION_USER", "CURRENT_ROLE"];

pub(crate) fn plan(arguments: &PostgresqlPrivs, context: &Context) -> Planned {
    let kind = arguments.r#type;
    let schema = schema(arguments)?;
    let all_in_schema = arguments.objs.as_deref() == Some("ALL_IN_SCHEMA");
    let takes_all = matches!(kind, PrivilegeType::Table | PrivilegeType::Sequence | PrivilegeType::Function | PrivilegeType::Procedure);
    if all_in_schema && !takes_all {
        let message = "Argument \"objs\": ALL_IN_SCHEMA can be used only for type: table, sequence, function or procedure";
        return Err(Failure::new(format!("{message}, {} was passed.", kind.word())));
    }
    let objects = objects(arguments)?;
    let privileges = privileges(arguments)?;
    if kind == PrivilegeType::DefaultPrivs {
        check_defaults(&objects, &privileges)?;
    }
    let texts = [Some(arguments.roles.as_str()), arguments.target_roles.as_deref(), schema.as_deref()];
    let mut client = open(&arguments.connection(), Some(&arguments.login_db), &texts, context)?;
    let mut warnings = Vec::new();
    let roles = roles(arguments, &mut client, &mut warnings)?;
    if arguments.target_roles.is_some() && kind != PrivilegeType::DefaultPrivs {
        warnings.push(
            "\"target_roles\" will be ignored Argument \"type: default_privs\" is required for usage of \"target_roles\".".to_owned(),
        );
    }
    if let Some(schema) = schema.as_ref().filter(|_| all_in_schema)
        && ask(&mut client, &format!("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {}", literal(schema)))?.rows().is_empty()
    {
        return Err(Failure::new(format!("Schema \"{schema}\" does not exist.")));
    }
    let outcome = warn(Outcome::unchanged(), warnings);
    if roles.is_empty() || (objects.is_empty() && !all_in_schema) {
        return settle(client, Vec::new(), Effect::Together, outcome, "");
    }
    let wish = Wish { arguments, schema, objects, privileges, roles: roles.join(","), all_in_schema };
    let statement = Statement::new(wish.statement()?);
    let changed = wish.differs_after(&statement, &mut client)?;
    let mut outcome = outcome;
    if !changed {
        outcome = outcome.with("queries", vec![statement.told]);
        return Ok(crate::module::Plan::Done(outcome));
    }
    settle(client, vec![statement], Effect::Together, outcome, "Cannot execute SQL")
}

/// Where the objects are: `public` unless said otherwise, nowhere for those that are in no schema.
fn schema(arguments: &PostgresqlPrivs) -> Result<Option<String>, Failure> {
    use PrivilegeType::{DefaultPrivs, Function, Procedure, Sequence, Table, Type};
    let given = arguments.schema.as_deref().filter(|schema| !schema.is_empty());
    if matches!(arguments.r#type, Table | Sequence | Function | Procedure | Type | DefaultPrivs) {
        let is_none = arguments.objs.as_deref() == Some("schemas") || given == Some("not-specified");
        return Ok((!is_none).then(|| given.unwrap_or("public").to_owned()));
    }
    match given {
        Some(_) => Err(Failure::new(format!("Argument \"schema\" is not allowed for type \"{}\".", arguments.r#type.word()))),
        None => Ok(None),
    }
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The objects' names; none for all of a schema.
fn objects(arguments: &PostgresqlPrivs) -> Result<Vec<String>, Failure> {
    let given = arguments.objs.as_deref().filter(|objects| !objects.is_empty());
    let missing = || Failure::new(format!("Argument \"objs\" is required for type \"{}\".", arguments.r#type.word()));
    Ok(match (arguments.r#type, given) {
        (_, Some("ALL_IN_SCHEMA")) => Vec::new(),
        (PrivilegeType::Database, None) => vec![arguments.login_db.clone()],
        (_, None) => return Err(missing()),
        (PrivilegeType::DefaultPrivs, Some("ALL_DEFAULT")) => DEFAULTS[..4].iter().map(|(name, _)| (*name).to_owned()).collect(),
        (PrivilegeType::DefaultPrivs, Some(objects)) => split(&objects.to_ascii_uppercase()),
        // Commas in signatures are written as colons.
        (PrivilegeType::Function | PrivilegeType::Procedure, Some(objects)) => {
            split(objects).iter().map(|name| name.replace(':', ",")).collect()
        }
        (_, Some(objects)) => split(objects),
    })
}

fn privileges(arguments: &PostgresqlPrivs) -> Result<Vec<String>, Failure> {
    let given = arguments.privs.as_deref().filter(|privileges| !privileges.is_empty());
    match (arguments.r#type, given) {
        (PrivilegeType::Group, Some(_)) => Err(Failure::new("Argument \"privs\" is not allowed for type \"group\".")),
        (PrivilegeType::Group, None) => Ok(Vec::new()),
        (kind, None) => Err(Failure::new(format!("Argument \"privs\" is required for type \"{}\".", kind.word()))),
        (_, Some(privileges)) => {
            let privileges = split(&privileges.to_ascii_uppercase());
            let unknown: Vec<&str> = privileges.iter().map(String::as_str).filter(|name| !PRIVILEGES.contains(name)).collect();
            if unknown.is_empty() {
                Ok(privileges)
            } else {
                Err(Failure::new(format!("Invalid privileges specified: {}", unknown.join(", "))))
            }
        }
    }
}

fn check_defaults(objects: &[String], privileges: &[String]) -> Result<(), Failure> {
    for object in objects {
        let Some((_, known)) = DEFAULTS.iter().find(|(name, _)| name == object) else {
            return Err(Failure::new(format!("Invalid Object set specified: {object}")));
        };
        if let Some(wrong) = privileges.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(Failure::new(format!("Invalid priv specified. There is no {wrong} on {object}; valid are {}", known.join(", "))));
        }
    }
    Ok(())
}

/// The roles as they stand in statements.
fn roles(arguments: &PostgresqlPrivs, client: &mut Client, warnings: &mut Vec<String>) -> Result<Vec<String>, Failure> {
    let mut roles = Vec::new();
    for role in split(&arguments.roles) {
        if IMPLICIT.contains(&role.to_ascii_uppercase().as_str()) {
            roles.push(role.to_ascii_uppercase());
        } else if role_exists(client, &role)? {
            roles.push(identifier(&role));
        } else if arguments.fail_on_role {
            return Err(Failure::new(format!("Role '{role}' does not exist")));
        } else {
            warnings.push(format!("Role '{role}' does not exist, pass it"));
        }
    }
    if roles.is_empty() {
        warnings.push("No valid roles provided, nothing to do".to_owned());
    }
    Ok(roles)
}

struct Wish<'a> {
    arguments: &'a PostgresqlPrivs,
    schema: Option<String>,
    objects: Vec<String>,
    privileges: Vec<String>,
    roles: String,
    all_in_schema: bool,
}

impl Wish<'_> {
    fn statement(&self) -> Result<String, Failure> {
        if self.arguments.r#type == PrivilegeType::DefaultPrivs {
            return Ok(self.defaults());
        }
        let (what, roles, is_group) = (self.what()?, &self.roles, self.arguments.r#type == PrivilegeType::Group);
        if self.arguments.state == Presence::Absent {
            return Ok(format!("REVOKE {what} FROM {roles};"));
        }
        let option = if is_group { "ADMIN" } else { "GRANT" };
        Ok(match self.arguments.grant_option {
            Some(true) => format!("GRANT {what} TO {roles} WITH {option} OPTION;"),
            Some(false) => format!("GRANT {what} TO {roles};\nREVOKE {option} OPTION FOR {what} FROM {roles};"),
            None => format!("GRANT {what} TO {roles};"),
        })
    }

    /// What is granted: memberships, or privileges on objects.
    fn what(&self) -> Result<String, Failure> {
        let kind = self.arguments.r#type;
        let schema = self.schema.as_deref().map(identifier);
        let qualified = |name: String| schema.as_ref().map_or(name.clone(), |schema| format!("{schema}.{name}"));
        let privileges = self.privileges.join(",").replace('_', " ");
        if self.all_in_schema {
            return Ok(format!("{privileges} ON ALL {}S IN SCHEMA {}", kind.word().to_ascii_uppercase(), schema.unwrap_or_default()));
        }
        let mut names = Vec::new();
        for object in &self.objects {
            names.push(match kind {
                PrivilegeType::Function | PrivilegeType::Procedure => match object.split_once('(') {
                    Some((name, rest)) => qualified(format!("{}({rest}", identifier(name))),
                    None => return Err(Failure::new(format!("Illegal function / procedure signature: \"{object}\"."))),
                },
                PrivilegeType::Table | PrivilegeType::Sequence | PrivilegeType::Type => qualified(identifier(object)),
                // A setting may have a dot in it, which is no schema's.
                PrivilegeType::Parameter => path(object),
                _ => identifier(object),
            });
        }
        let names = names.join(",");
        Ok(if kind == PrivilegeType::Group { names } else { format!("{privileges} ON {} {names}", kind.word().replace('_', " ")) })
    }

    fn defaults(&self) -> String {
        let whose = self.arguments.target_roles.as_deref().map(split).filter(|roles| !roles.is_empty());
        let whose = whose.map(|roles| format!(" FOR ROLE {}", roles.iter().map(|role| identifier(role)).collect::<Vec<_>>().join(",")));
        let place = self.schema.as_ref().map(|schema| format!(" IN SCHEMA {}", identifier(schema))).unwrap_or_default();
        let start = format!("ALTER DEFAULT PRIVILEGES{}{place}", whose.unwrap_or_default());
        let roles = &self.roles;
        let revoke = |object: &str| format!("{start} REVOKE ALL ON {object} FROM {roles};");
        if self.arguments.state == Presence::Absent {
            return ["TABLES", "FUNCTIONS", "SEQUENCES", "TYPES"].map(revoke).join("\n");
        }
        let option = if self.arguments.grant_option == Some(true) { " WITH GRANT OPTION" } else { "" };
        let privileges = self.privileges.join(",");
        let grants = self.objects.iter().map(|object| format!("{start} GRANT {privileges} ON {object} TO {roles}{option};"));
        self.objects.iter().map(|object| revoke(object)).chain(grants).collect::<Vec<_>>().join("\n")
    }

    /// Whether the access lists are others after the statement, which is taken back.
    fn differs_after(&self, statement: &Statement, client: &mut Client) -> Result<bool, Failure> {
        ask(client, "BEGIN")?;
        let before = self.lists(client)?;
        ask(client, &statement.sql)?;
        let after = self.lists(client)?;
        ask(client, "ROLLBACK")?;
        Ok(before != after)
    }

    fn lists(&self, client: &mut Client) -> Result<Vec<Vec<Option<String>>>, Failure> {
        let names = array(&self.objects);
        let in_schema = self.schema.as_deref().map(|schema| format!(" AND n.nspname = {}", literal(schema))).unwrap_or_default();
        let named = |column: &str| if self.all_in_schema { "true".to_owned() } else { format!("{column} = ANY ({names})") };
        let relations = |kinds: &str| {
            format!(
                "SELECT c.oid, relacl::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE relkind IN ({kinds}) AND {}{in_schema} ORDER BY 1",
                named("relname")
            )
        };
        let global = |table: &str, prefix: &str| {
            format!("SELECT {prefix}name, {prefix}acl::text FROM pg_catalog.{table} WHERE {} ORDER BY 1", named(&format!("{prefix}name")))
        };
        let statement = match self.arguments.r#type {
            PrivilegeType::Table => relations("'r','p','v','m','f'"),
            PrivilegeType::Sequence => relations("'S'"),
            PrivilegeType::Function | PrivilegeType::Procedure => {
                let bare = array(self.objects.iter().map(|object| object.split('(').next().unwrap_or_default()));
                let named = if self.all_in_schema { "true".to_owned() } else { format!("proname = ANY ({bare})") };
                format!("SELECT p.oid, proacl::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE {named}{in_schema} ORDER BY 1")
            }
            PrivilegeType::Type => format!(
                "SELECT t.oid, typacl::text FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE {}{in_schema} ORDER BY 1",
                named("typname")
            ),
            PrivilegeType::Schema => global("pg_namespace", "nsp"),
            PrivilegeType::Language => global("pg_language", "lan"),
            PrivilegeType::Tablespace => global("pg_tablespace", "spc"),
            PrivilegeType::Database => global("pg_database", "dat"),
            PrivilegeType::ForeignDataWrapper => global("pg_foreign_data_wrapper", "fdw"),
            PrivilegeType::ForeignServer => global("pg_foreign_server", "srv"),
            PrivilegeType::Parameter if client.version() < 150_000 => {
                return Err(Failure::new("PostgreSQL version must be >= 15 for type=parameter. Exit"));
            }
            PrivilegeType::Parameter => global("pg_parameter_acl", "par"),
            PrivilegeType::Group => format!(
                "SELECT roleid, grantor, member, admin_option FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid WHERE {} ORDER BY 1, 2, 3",
                named("rolname")
            ),
            PrivilegeType::DefaultPrivs => "SELECT defaclrole, defaclnamespace, defaclobjtype, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(defaclacl) a)::text \
                                            FROM pg_catalog.pg_default_acl ORDER BY 1, 2, 3"
                .to_owned(),
        };
        Ok(ask(client, &statement)?.rows().to_vec())
    }
}
