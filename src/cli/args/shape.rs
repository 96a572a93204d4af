//! Arguments of the commands that change what a cluster is made of.

use clap::Args as ClapArgs;

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
