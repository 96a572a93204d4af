//! Arguments of the commands that change what a cluster is made of.

use clap::{Args as ClapArgs, Subcommand};

use super::RunArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct ScaleInArgs {
    /// The node.
    pub(crate) node: String,
    /// Where it leads, let another node lead first.
    #[arg(long)]
    pub(crate) switchover: bool,
    /// Its host is gone: do not connect to it.
    #[arg(long, conflicts_with = "switchover")]
    pub(crate) dead: bool,
    /// Agree beforehand.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DestroyArgs {
    /// Make a backup first, and destroy nothing when it fails.
    #[arg(long)]
    pub(crate) backup: bool,
    /// Remove the packages too.
    #[arg(long)]
    pub(crate) packages: bool,
    /// Agree beforehand.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct RestoreArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RestoreCommand>,
    /// The backup: its id, the beginning of it, latest, or a file .sql.gz.
    #[arg(long, value_name = "ID", required = true)]
    pub(crate) backup: Option<String>,
    /// Only this database; may be given several times.
    #[arg(short, long = "database", value_name = "DATABASE")]
    pub(crate) databases: Vec<String>,
    /// Agree beforehand.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RestoreCommand {
    /// Show what restores have kept, and what waits for a decision.
    List(PendingArgs),
    /// Remove what a restore has kept.
    #[command(after_help = "Example:\n  pgfleet restore commit -i inventory/dev")]
    Commit(PendingArgs),
    /// Bring back what a restore has kept.
    #[command(after_help = "Example:\n  pgfleet restore undo -i inventory/dev")]
    Undo(PendingArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PendingArgs {
    /// The backup whose restore is meant, where there are several.
    pub(crate) backup: Option<String>,
    /// Agree beforehand.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}
