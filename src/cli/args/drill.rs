//! The arguments of `pgfleet drill`.

use clap::Args as ClapArgs;

use super::RunArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct DrillArgs {
    /// The drill; --list has them.
    #[arg(value_name = "NAME", required_unless_present = "list")]
    pub(crate) name: Option<String>,
    /// List the drills.
    #[arg(long, conflicts_with = "name")]
    pub(crate) list: bool,
    /// How long a fault lasts that lasts.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: Option<u64>,
    /// Do not ask for the cluster's name.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}
