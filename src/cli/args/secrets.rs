//! Arguments of what has to do with logging in: connections and secrets.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{ConnectionArgs, InventorySource, RunArgs, TextOutput};

/// Whom a connection shall reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// The node that takes writes.
    Leader,
    /// A node that only reads.
    Replica,
    /// Whichever answers.
    Any,
}

/// Whose way of writing a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// A URI of libpq.
    Libpq,
    /// Java.
    Jdbc,
    /// tokio-postgres.
    Rust,
    /// psycopg.
    Python,
    /// pgx.
    Go,
    /// All of them.
    All,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  pgfleet connection -i inventory/dev\n  pgfleet connection -i inventory/dev --format jdbc --role leader\n  pgfleet connection -i inventory/dev --test"
)]
pub(crate) struct WaysArgs {
    /// Whose way of writing it.
    #[arg(long, value_enum, default_value = "libpq")]
    pub(crate) format: FormatArg,
    /// Whom it shall reach; otherwise all are shown.
    #[arg(long, value_enum)]
    pub(crate) role: Option<RoleArg>,
    /// Write the password into it.
    #[arg(long)]
    pub(crate) show_password: bool,
    /// Try each way with psql from a node, and say which node answered.
    #[arg(long)]
    pub(crate) test: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: TextOutput,
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  pgfleet connect -i inventory/dev\n  pgfleet connect -i inventory/dev --role replica -c 'SELECT now()'\n  pgfleet connect -i inventory/dev -U postgres < changes.sql\n  pgfleet connect -i inventory/dev -- --csv -f -"
)]
pub(crate) struct ConnectArgs {
    /// The node to open it on.
    #[arg(long, value_enum, default_value = "leader")]
    pub(crate) role: RoleArg,
    /// The database's user; the application's otherwise. `postgres` needs root or sudo on the node.
    #[arg(short = 'U', long = "username", value_name = "NAME")]
    pub(crate) database_user: Option<String>,
    /// The database; the application's otherwise.
    #[arg(short = 'd', long = "dbname", value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Run this and end.
    #[arg(short = 'c', long, value_name = "SQL")]
    pub(crate) command: Vec<String>,
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// What else psql is told.
    #[arg(last = true, value_name = "PSQL-ARGUMENTS")]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  pgfleet secrets list -i inventory/dev\n  pgfleet secrets show app -i inventory/dev\n  pgfleet secrets rotate -i inventory/dev\n  pgfleet secrets rotate app -i inventory/dev\n  pgfleet secrets encrypt -i inventory/dev --vault-password-file ~/.vault"
)]
pub(crate) struct SecretsArgs {
    #[command(subcommand)]
    pub(crate) command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Show which secrets there are, how old they are and who uses them; never their values.
    List {
        #[command(flatten)]
        source: InventorySource,
        #[command(flatten)]
        connection: ConnectionArgs,
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t)]
        output: TextOutput,
    },
    /// Print one secret.
    Show {
        /// Its name.
        name: String,
        #[command(flatten)]
        source: InventorySource,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Seal them on this disk with the vault's password, in ansible-vault's format; every later command needs it.
    Encrypt {
        #[command(flatten)]
        source: InventorySource,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Keep them in the clear again, readable by their owner alone.
    Decrypt {
        #[command(flatten)]
        source: InventorySource,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Give the cluster new passwords while it works, proven on every node; a failure brings the old ones back.
    Rotate {
        /// Which; otherwise all that only the cluster itself uses (superuser, replication, rewind, patroni_rest, haproxy_stats, etcd, etcd_admin).
        names: Vec<String>,
        #[command(flatten)]
        run: RunArgs,
    },
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  pgfleet doctor -i inventory/dev\n  pgfleet doctor -i inventory/dev --all\n  pgfleet doctor -i inventory/dev -o json | jq '.checks[] | select(.result == \"Fail\")'"
)]
pub(crate) struct DoctorArgs {
    /// Show what is well, too.
    #[arg(long)]
    pub(crate) all: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: TextOutput,
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  pgfleet certs -i inventory/dev\n  pgfleet certs -i inventory/dev -o json | jq '.nodes[].days_left'\n  pgfleet certs rotate -i inventory/dev --check\n  pgfleet certs rotate -i inventory/dev\n  pgfleet certs rotate --authority -i inventory/dev"
)]
pub(crate) struct CertsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CertsCommand>,
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: TextOutput,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Give every node a new key and a new certificate while the cluster works; one that was interrupted is begun anew.
    Rotate {
        /// Make a new authority too: both are trusted first, and in the end the new one alone.
        #[arg(long)]
        authority: bool,
        /// Agree beforehand to a new authority, which clients that verify the server must be given.
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        run: RunArgs,
    },
}
