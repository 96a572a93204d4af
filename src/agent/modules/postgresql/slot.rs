//! `postgresql_slot`: replication slots.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::modules::postgresql::{PostgresqlSlot, SlotType};

use super::{Effect, Statement, ask, open, settle, warn};
use crate::module::{Context, Failure, Planned};
use crate::postgres::literal;

pub(crate) fn plan(arguments: &PostgresqlSlot, context: &Context) -> Planned {
    if arguments.immediately_reserve && arguments.slot_type == SlotType::Logical {
        return Err(Failure::new("Module parameters immediately_reserve and slot_type=logical are mutually exclusive"));
    }
    let name = literal(&arguments.name);
    let mut client = open(&arguments.connection(), arguments.login_db.as_deref(), &[], context)?;
    let found = ask(&mut client, &format!("SELECT slot_type FROM pg_catalog.pg_replication_slots WHERE slot_name = {name}"))?;
    let mut warnings = Vec::new();
    let statement = match (arguments.state, found.cell(0)) {
        (Presence::Absent, Some(_)) => Some(format!("SELECT pg_drop_replication_slot({name})")),
        (Presence::Present, None) => Some(match arguments.slot_type {
            SlotType::Physical => format!("SELECT pg_create_physical_replication_slot({name}, {})", arguments.immediately_reserve),
            SlotType::Logical => format!("SELECT pg_create_logical_replication_slot({name}, {})", literal(&arguments.output_plugin)),
        }),
        (Presence::Present, Some(kind)) if kind != arguments.slot_type.word() => {
            warnings.push(format!("slot with name '{}' already exists but has another type '{kind}'", arguments.name));
            None
        }
        _ => None,
    };
    let outcome = warn(Outcome::unchanged().with("name", arguments.name.as_str()), warnings);
    settle(client, statement.map(Statement::new).into_iter().collect(), Effect::OneByOne, outcome, "Cannot change the slot")
}
