//! The arguments of the commands that act on the members of a cluster.

use clap::{Args as ClapArgs, ValueEnum};

use super::{ConnectionArgs, InventorySource, RunArgs};

/// What a command that only looks prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LookOutput {
    /// For a person.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct MemberArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RestartArgs {
    /// Only this node.
    #[arg(value_name = "NODE", conflicts_with = "rolling")]
    pub(crate) node: Option<String>,
    /// Every node, one after the other; so it is without NODE.
    #[arg(long)]
    pub(crate) rolling: bool,
    /// Only where a changed setting waits for it.
    #[arg(long)]
    pub(crate) pending: bool,
    /// Restart the leader where it is, instead of letting another lead first: nothing can be written meanwhile.
    #[arg(long)]
    pub(crate) in_place: bool,
    /// Also the last replica that commits can be safe on: writes may wait until it is back.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReloadArgs {
    /// Only this node.
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReinitArgs {
    /// The replica.
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Also the last replica that commits can be safe on: writes may wait until it is back.
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not ask for the cluster's name.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: LookOutput,
}
