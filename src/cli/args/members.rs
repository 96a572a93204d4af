//! The arguments of the commands that act on the members of a cluster.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{ConnectionArgs, InventorySource, RunArgs, TextOutput};

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
pub(crate) struct UnlockArgs {
    /// Agree beforehand.
    #[arg(long)]
    pub(crate) yes: bool,
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

#[derive(Debug, ClapArgs)]
pub(crate) struct FailoverArgs {
    /// The node that shall lead; otherwise, where no leader works, the one that has most of the data.
    #[arg(long, value_name = "NODE")]
    pub(crate) target: Option<String>,
    /// Do not ask: what the node lacks is lost.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StartArgs {
    /// Only this node.
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StopArgs {
    /// Only this node; otherwise the whole cluster.
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Let another node lead first, where this one does.
    #[arg(long, requires = "node")]
    pub(crate) switchover: bool,
    /// A node: even the leader, or the last replica that commits can be safe on. The cluster: even when not every host can be reached.
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not ask for the cluster's name.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LogsArgs {
    /// Only this node.
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Only this service; may be given several times.
    #[arg(long, value_name = "UNIT", value_parser = ["etcd", "patroni", "postgresql", "haproxy", "pgfleet-agent"])]
    pub(crate) unit: Vec<String>,
    /// From when on, as journalctl has it: '10 min ago', '2030-01-01 03:00'. Otherwise the last lines.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// How many of the last lines [default: 100].
    #[arg(short = 'n', long, value_name = "COUNT", conflicts_with = "since")]
    pub(crate) lines: Option<u64>,
    /// Go on with what comes, until Ctrl-C.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How to print it; as JSON one object a line, `at` in microseconds since 1970.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: TextOutput,
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show the settings, as YAML.
    Show(ShowArgs),
    /// Change settings. What needs a restart waits for 'pgfleet restart'.
    Set(SetArgs),
    /// Change the settings in your editor ($VISUAL, $EDITOR, or vi).
    Edit(EditArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ShowArgs {
    /// How to print it; YAML otherwise.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: LookOutput,
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SetArgs {
    /// A path with dots or the name of a parameter, and its value; null takes it away.
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub(crate) settings: Vec<String>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct EditArgs {
    /// Do not ask before it is changed.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}
