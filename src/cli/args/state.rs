//! Arguments of what has to do with the project's state on this disk.

use clap::{Args as ClapArgs, Subcommand};

use super::{ConnectionArgs, InventorySource, TextOutput};

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  pgfleet state recover --from app-server-1.lan -i inventory/dev\n  pgfleet state recover --from 192.0.2.11 -i 192.0.2.11, -u root"
)]
pub(crate) struct StateArgs {
    #[command(subcommand)]
    pub(crate) command: StateCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Bring back what a node knows: passwords of the cluster's own roles, PostgreSQL's verifiers, the authority's certificate, who is in it.
    Recover {
        /// The node that is asked, as the inventory has it.
        #[arg(long, value_name = "HOST")]
        from: String,
        /// What is here and differs, or is damaged, makes room: it is kept beside, with .old- and the time behind its name.
        #[arg(long)]
        force: bool,
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t)]
        output: TextOutput,
        #[command(flatten)]
        source: InventorySource,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}
