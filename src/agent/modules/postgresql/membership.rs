//! `postgresql_membership`: which roles are members of which.

use pgfleet_protocol::modules::postgresql::{MembershipState, PostgresqlMembership};
use pgfleet_protocol::{Map, Outcome};
use serde_json::{Value, json};

use super::role::existing;
use super::{Effect, Statement, ask, open, settle, warn};
use crate::module::{Context, Failure, Planned};
use crate::postgres::{Client, identifier, literal};

pub(crate) fn plan(arguments: &PostgresqlMembership, context: &Context) -> Planned {
    let texts: Vec<Option<&str>> = arguments.groups.iter().chain(&arguments.target_roles).map(|name| Some(name.as_str())).collect();
    let mut client = open(&arguments.connection(), arguments.login_db.as_deref(), &texts, context)?;
    let mut warnings = Vec::new();
    let groups = known(&mut client, &arguments.groups, arguments.fail_on_role, &mut warnings)?;
    let members = known(&mut client, &arguments.target_roles, arguments.fail_on_role, &mut warnings)?;
    let (mut statements, mut granted, mut revoked) = (Vec::new(), Map::new(), Map::new());
    let note = |map: &mut Map, group: &str, member: &str| {
        if let Value::Array(list) = map.entry(group).or_insert_with(|| json!([])) {
            list.push(Value::from(member));
        }
    };
    let listed = |map: &mut Map| groups.iter().for_each(|group| drop(map.insert(group.clone(), json!([]))));
    match arguments.state {
        MembershipState::Present => listed(&mut granted),
        MembershipState::Absent => listed(&mut revoked),
        MembershipState::Exact => {}
    }
    for member in &members {
        let current = groups_of(&mut client, member)?;
        if arguments.state != MembershipState::Present {
            let unwanted = |group: &&String| groups.contains(group) != (arguments.state == MembershipState::Exact);
            for group in current.iter().filter(unwanted) {
                statements.push(Statement::new(format!("REVOKE {} FROM {}", identifier(group), identifier(member))));
                note(&mut revoked, group, member);
            }
        }
        if arguments.state != MembershipState::Absent {
            for group in groups.iter().filter(|group| !current.contains(group)) {
                statements.push(Statement::new(format!("GRANT {} TO {}", identifier(group), identifier(member))));
                note(&mut granted, group, member);
            }
        }
    }
    let mut outcome =
        Outcome::unchanged().with("state", arguments.state.word()).with("groups", groups.clone()).with("target_roles", members);
    if arguments.state != MembershipState::Absent {
        outcome = outcome.with("granted", granted);
    }
    if arguments.state != MembershipState::Present {
        outcome = outcome.with("revoked", revoked);
    }
    settle(client, statements, Effect::Together, warn(outcome, warnings), "Cannot change memberships")
}

/// Those names that are roles; one that is not ends it, or is told.
fn known(client: &mut Client, names: &[String], must: bool, warnings: &mut Vec<String>) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
    let there = existing(client, &names)?;
    if let Some(missing) = names.iter().find(|name| !there.contains(name)).filter(|_| must) {
        return Err(Failure::new(format!("Role {missing} does not exist")));
    }
    warnings.extend(names.iter().filter(|name| !there.contains(name)).map(|name| format!("Role {name} does not exist, pass")));
    names.retain(|name| there.contains(name));
    Ok(names)
}

fn groups_of(client: &mut Client, member: &str) -> Result<Vec<String>, Failure> {
    let statement = "SELECT DISTINCT g.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid JOIN pg_catalog.pg_roles r ON r.oid = m.member";
    Ok(ask(client, &format!("{statement} WHERE r.rolname = {} ORDER BY 1", literal(member)))?.column())
}
