//! The arguments of `pgfleet backup`.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{ConnectionArgs, InventorySource, RunArgs, TextOutput};

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BackupArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BackupCommand>,
    #[command(flatten)]
    pub(crate) create: BackupCreateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Make a backup; the same as no subcommand.
    Create(BackupCreateArgs),
    /// Show what backups there are.
    #[command(visible_alias = "ls")]
    List(BackupListArgs),
    /// Show what is in a backup.
    Show(BackupShowArgs),
    /// Check a backup: its files, and with --restore that it can be restored.
    #[command(
        after_help = "Examples:\n  pgfleet backup verify latest -i inventory/dev\n  pgfleet backup verify 20261121T193000Z -i inventory/dev --restore"
    )]
    Verify(BackupVerifyArgs),
    /// Remove old backups. The newest stays, and so does the last one that was proven.
    #[command(
        after_help = "Examples:\n  pgfleet backup prune -i inventory/dev --keep 7 --check\n  pgfleet backup prune -i inventory/dev --keep 7 --older-than 30 --yes"
    )]
    Prune(BackupPruneArgs),
}

/// What the dumps are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackupFormat {
    /// A file a database, compressed, restored in part or in whole.
    #[default]
    Custom,
    /// One compressed file of SQL for everything: postgres_backup_YYYYMMDD.sql.gz.
    Plain,
    /// A folder a database, read by several processes; staged in /var/tmp of the node.
    Directory,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BackupCreateArgs {
    /// The node to read; otherwise the healthiest replica, never the leader.
    #[arg(long, value_name = "NODE")]
    pub(crate) from: Option<String>,
    /// What the dumps are.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: BackupFormat,
    /// Processes that read one database, for large ones; implies --format directory.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) jobs: Option<u64>,
    /// Databases at a time.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=6))]
    pub(crate) lanes: Option<u64>,
    /// Do not count the rows of the tables.
    #[arg(long)]
    pub(crate) no_counts: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Which cluster's catalogue. No host is asked.
#[derive(Debug, ClapArgs)]
pub(crate) struct BackupListArgs {
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: TextOutput,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BackupShowArgs {
    /// The backup: its id, the beginning of it, or latest.
    #[arg(default_value = "latest")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) list: BackupListArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BackupVerifyArgs {
    /// The backup: its id, the beginning of it, or latest.
    #[arg(default_value = "latest")]
    pub(crate) id: String,
    /// Restore it into a server of its own on a replica's host, compare the rows, check the indexes, and remove it again.
    #[arg(long)]
    pub(crate) restore: bool,
    /// The node whose host it is restored on; otherwise the healthiest replica's.
    #[arg(long, value_name = "NODE", requires = "restore")]
    pub(crate) on: Option<String>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BackupPruneArgs {
    /// The newest so many stay.
    #[arg(long, value_name = "COUNT", required_unless_present = "older_than")]
    pub(crate) keep: Option<usize>,
    /// What is not older than so many days stays. With --keep, both rules keep.
    #[arg(long, value_name = "DAYS")]
    pub(crate) older_than: Option<u64>,
    /// Only show what would be removed.
    #[arg(short = 'C', long)]
    pub(crate) check: bool,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) list: BackupListArgs,
}
