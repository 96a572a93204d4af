//! The arguments that a person types.

mod adhoc;
pub(crate) mod backup;
mod drill;
mod secrets;
mod state;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub(crate) use adhoc::*;
pub(crate) use drill::*;
pub(crate) use secrets::*;
pub(crate) use state::*;

const EXAMPLES: &str = "\
Examples:
  pgfleet init my-cluster                 begin a project for your own hosts
  pgfleet deploy -i inventory/dev         make a cluster of bare hosts, or keep it as its variables say
  pgfleet deploy -i inventory/dev --check --diff
  pgfleet status -i inventory/dev --watch
  pgfleet playbook site.yml -i hosts.ini -l web
  pgfleet lab up                          four real Debian systems on this machine, to rehearse on

Exit codes:
  0 done   1 error   2 a host failed   3 changes pending (--check --exit-code)   4 a host unreachable
  5 bad input   6 refused as unsafe   7 locked by another run   8 not healthy   99 interrupted";

/// PostgreSQL high availability on a LAN of plain Linux hosts: deploy it, then operate it.
#[derive(Debug, Parser)]
#[command(name = "pgfleet", version, about = "PostgreSQL high availability on a LAN of plain Linux hosts: deploy it, then operate it", after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// The project's folder; otherwise the nearest folder upwards that has an inventory or playbooks.
    #[arg(long, global = true, value_name = "DIR", env = "PGFLEET_PROJECT")]
    pub(crate) project: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a PostgreSQL cluster of the hosts, or keep it as its variables say.
    #[command(
        after_help = "Examples:\n  pgfleet deploy -i inventory/dev\n  pgfleet deploy -i inventory/dev --check --diff\n  pgfleet deploy -i inventory/prod -e postgresql_restart=true -K"
    )]
    Deploy(DeployArgs),
    /// Show the cluster: members, lag, etcd, units. Exit code 0 only when it is healthy.
    #[command(after_help = "Examples:\n  pgfleet status -i inventory/dev\n  pgfleet status -i inventory/dev -o json | jq .members")]
    Status(StatusArgs),
    /// Let another node lead, with writes measured meanwhile.
    #[command(
        after_help = "Examples:\n  pgfleet switchover -i inventory/dev --target app-server-2.lan\n  pgfleet switchover -i inventory/dev --check\n  pgfleet switchover -i inventory/dev --target app-server-2.lan --at 2030-01-01T03:00:00Z"
    )]
    Switchover(SwitchoverArgs),
    /// Let a node take over where no leader works, or a named one in any case; what is lost is told first.
    #[command(
        after_help = "Examples:\n  pgfleet failover -i inventory/dev --check\n  pgfleet failover -i inventory/dev --target app-server-2.lan\n  pgfleet failover -i inventory/dev --target app-server-2.lan --force"
    )]
    Failover(FailoverArgs),
    /// Make a failure on purpose while clients write and read, and tell what they saw.
    #[command(
        after_help = "Examples:\n  pgfleet drill --list\n  pgfleet drill leader-killed -i inventory/dev --check\n  pgfleet drill leader-killed -i inventory/dev\n  pgfleet drill leader-partitioned -i inventory/dev --seconds 60 --yes"
    )]
    Drill(DrillArgs),
    /// Start the cluster, or one node: etcd, PostgreSQL under Patroni, HAProxy.
    #[command(after_help = "Examples:\n  pgfleet start -i inventory/dev\n  pgfleet start app-server-2.lan -i inventory/dev")]
    Start(StartArgs),
    /// Stop the cluster, or one node: HAProxy, PostgreSQL under Patroni, etcd.
    #[command(
        after_help = "Examples:\n  pgfleet stop app-server-2.lan -i inventory/dev --check\n  pgfleet stop app-server-2.lan -i inventory/dev --switchover\n  pgfleet stop -i inventory/dev --yes"
    )]
    Stop(StopArgs),
    /// Restart PostgreSQL: replicas first, then the leader after it has handed over.
    #[command(
        after_help = "Examples:\n  pgfleet restart --rolling -i inventory/dev\n  pgfleet restart --rolling --pending -i inventory/dev\n  pgfleet restart app-server-2.lan -i inventory/dev"
    )]
    Restart(RestartArgs),
    /// Let Patroni and PostgreSQL read their configuration again.
    #[command(after_help = "Examples:\n  pgfleet reload -i inventory/dev\n  pgfleet reload app-server-2.lan -i inventory/dev")]
    Reload(ReloadArgs),
    /// Let a replica throw its data away and copy the leader's.
    #[command(
        after_help = "Examples:\n  pgfleet reinit app-server-2.lan -i inventory/dev\n  pgfleet reinit app-server-2.lan -i inventory/dev --check"
    )]
    Reinit(ReinitArgs),
    /// Switch automatic failover off.
    #[command(after_help = "Example:\n  pgfleet pause -i inventory/dev")]
    Pause(MemberArgs),
    /// Switch automatic failover on again.
    #[command(after_help = "Example:\n  pgfleet resume -i inventory/dev")]
    Resume(MemberArgs),
    /// End another run that has the cluster and hangs, from whichever controller.
    #[command(after_help = "Examples:\n  pgfleet unlock -i inventory/dev --check\n  pgfleet unlock -i inventory/dev")]
    Unlock(UnlockArgs),
    /// Show and change the settings that all nodes share: Patroni's, and PostgreSQL's parameters.
    #[command(
        after_help = "Examples:\n  pgfleet config show -i inventory/dev\n  pgfleet config set work_mem=9MB max_connections=120 -i inventory/dev --check\n  pgfleet config set postgresql.parameters.work_mem=null -i inventory/dev\n  EDITOR=nano pgfleet config edit -i inventory/dev"
    )]
    Config(ConfigArgs),
    /// Show what the services of the nodes write, merged by time.
    #[command(
        mut_arg("forks", |forks| forks.short(None)),
        after_help = "Examples:\n  pgfleet logs -i inventory/dev -f\n  pgfleet logs app-server-2.lan -i inventory/dev --unit patroni --unit postgresql\n  pgfleet logs -i inventory/dev --since '10 min ago' -o json"
    )]
    Logs(LogsArgs),
    /// Show which node led since when, and why that changed.
    #[command(after_help = "Examples:\n  pgfleet history -i inventory/dev\n  pgfleet history -i inventory/dev -o json | jq .")]
    History(HistoryArgs),
    /// Print what applications connect with: for libpq, JDBC, Rust, Python and Go.
    Connection(WaysArgs),
    /// Open psql on the leader or a replica.
    Connect(ConnectArgs),
    /// Make a backup from a replica; list, show, verify and prune backups.
    #[command(
        after_help = "Examples:\n  pgfleet backup -i inventory/dev\n  pgfleet backup list -i inventory/dev\n  pgfleet backup verify latest -i inventory/dev --restore\n  pgfleet backup -i inventory/dev --format plain\n  pgfleet backup prune -i inventory/dev --keep 7"
    )]
    Backup(backup::BackupArgs),
    /// Look at every host and at the cluster, and tell what is wrong and what to do. Exit code 0 when nothing failed.
    Doctor(DoctorArgs),
    /// The cluster's passwords: list them, show one, give the cluster new ones.
    Secrets(SecretsArgs),
    /// The cluster's certificates: what they say, new ones, a new authority.
    Certs(CertsArgs),
    /// What is kept of the cluster on this disk: bring back from a node what was lost.
    State(StateArgs),
    /// Take a node out of the cluster for good.
    #[command(
        name = "scale-in",
        after_help = "Examples:\n  pgfleet scale-in builder.lan -i inventory/dev --check\n  pgfleet scale-in controller.lan -i inventory/dev --switchover\n  pgfleet scale-in app-server-2.lan -i inventory/dev --dead --yes"
    )]
    ScaleIn(ScaleInArgs),
    /// Restore databases of a backup onto the running cluster; what is there now is kept until 'restore commit'.
    #[command(
        after_help = "Examples:\n  pgfleet restore --backup latest -i inventory/dev --check\n  pgfleet restore --backup 20260101T000000Z --database application -i inventory/dev\n  pgfleet restore undo -i inventory/dev\n  pgfleet restore commit -i inventory/dev"
    )]
    Restore(RestoreArgs),
    /// Remove the cluster from its hosts: services, configuration, data. Secrets and backups stay in state.
    #[command(
        after_help = "Examples:\n  pgfleet destroy -i inventory/dev --check\n  pgfleet destroy -i inventory/dev --backup\n  pgfleet destroy -i inventory/dev --packages --yes"
    )]
    Destroy(DestroyArgs),
    /// Run a playbook.
    #[command(
        after_help = "Examples:\n  pgfleet playbook site.yml -i hosts.ini\n  pgfleet playbook site.yml -i hosts.ini --syntax-check\n  pgfleet playbook site.yml -i hosts.ini -l 'web:!web3' -t config --check --diff"
    )]
    Playbook(PlaybookArgs),
    /// Run one task on the hosts of a pattern.
    Run(TaskArgs),
    /// Run a command on the hosts of a pattern, and show its output as it comes.
    Exec(ExecArgs),
    /// Encrypt and decrypt files and values in ansible-vault's format.
    Vault(VaultArgs),
    /// Make links by which this program answers as ansible-playbook, ansible, ansible-inventory and ansible-vault.
    #[command(name = "install-links")]
    InstallLinks(LinksArgs),
    /// Look at everything that playbooks reach, and tell all that is wrong; connect to nothing.
    #[command(
        after_help = "Examples:\n  pgfleet lint site.yml -i hosts.ini\n  pgfleet lint site.yml -i hosts.ini -o json | jq '.findings[].message'\n\nExit codes: 0 no errors, 5 errors (with --strict: or warnings)"
    )]
    Lint(LintArgs),
    /// Show what an inventory contains.
    Inventory(InventoryArgs),
    /// The local fleet: real Debian systems in namespaces on this machine.
    Lab(LabArgs),
    /// Begin a project for your own hosts.
    Init(InitArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  pgfleet completions bash > /etc/bash_completion.d/pgfleet")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunOutput {
    /// A live screen on a terminal, Ansible's lines elsewhere.
    #[default]
    Auto,
    /// Ansible's lines.
    Lines,
    /// One event a line, JSON.
    Json,
}

/// What to print where nothing runs on hosts for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextOutput {
    /// For a person.
    #[default]
    #[value(alias = "table")]
    Text,
    /// JSON.
    Json,
}

/// Which hosts and variables.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct InventorySource {
    /// Inventory file, folder, or list of hosts ('a,b,'); may be given several times.
    #[arg(short, long = "inventory", value_name = "INVENTORY", env = "PGFLEET_INVENTORY")]
    pub(crate) inventory: Vec<String>,
    /// Only these hosts.
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) limit: Option<String>,
    /// Passwords of vaults: a file that holds one; may be given several times, also as label@file.
    #[arg(long = "vault-password-file", visible_alias = "vault-id", value_name = "FILE", env = "PGFLEET_VAULT_PASSWORD_FILE")]
    pub(crate) vault_password_files: Vec<String>,
    /// Ask for the vault's password.
    #[arg(short = 'J', long, visible_alias = "ask-vault-password")]
    pub(crate) ask_vault_pass: bool,
}

/// How hosts are reached.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct ConnectionArgs {
    /// Extra variables: name=value, @file, or a mapping.
    #[arg(short = 'e', long = "extra-vars", value_name = "VARS")]
    pub(crate) extra: Vec<String>,
    /// User to log in as.
    #[arg(short = 'u', long = "user", value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Private key to log in with.
    #[arg(long = "private-key", visible_alias = "key-file", value_name = "FILE")]
    pub(crate) private_key: Option<PathBuf>,
    /// Arguments as for the ssh command: `-J gate`, `-o ProxyCommand=...`; what an inventory says about a host comes first.
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub(crate) ssh_common_args: Option<String>,
    /// More of them.
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub(crate) ssh_extra_args: Option<String>,
    /// Ask for the password of sudo.
    #[arg(short = 'K', long = "ask-become-pass")]
    pub(crate) ask_become_pass: bool,
    /// Read the password of sudo from a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) become_password_file: Option<PathBuf>,
    /// Accept the key of a host that was never met, and keep it in state/known_hosts.
    #[arg(long)]
    pub(crate) accept_new_host_keys: bool,
    /// Seconds that connecting may take.
    #[arg(short = 'T', long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Hosts at a time.
    #[arg(short, long, value_name = "COUNT", default_value_t = 50)]
    pub(crate) forks: usize,
}

/// How a playbook runs.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Only tasks with these tags.
    #[arg(short, long, value_name = "TAGS", value_delimiter = ',')]
    pub(crate) tags: Vec<String>,
    /// No tasks with these tags.
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub(crate) skip_tags: Vec<String>,
    /// Change nothing; show what would change.
    #[arg(short = 'C', long)]
    pub(crate) check: bool,
    /// Show what changes in files.
    #[arg(short = 'D', long)]
    pub(crate) diff: bool,
    /// With --check: exit code 3 when something would change.
    #[arg(long, requires = "check")]
    pub(crate) exit_code: bool,
    /// Act as another user (root, where nothing says which).
    #[arg(short = 'b', long = "become")]
    pub(crate) become_user: bool,
    /// Do not look for mistakes before the run ('pgfleet lint' tells more of them).
    #[arg(long)]
    pub(crate) no_lint: bool,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: RunOutput,
    /// Say more; -vv and -vvv say still more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SwitchoverArgs {
    /// The node that shall lead; otherwise the replica that is best for it.
    #[arg(long, value_name = "NODE")]
    pub(crate) target: Option<String>,
    /// Not now but then: a time with its zone, as 2030-01-01T03:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Take a scheduled switchover back.
    #[arg(long, conflicts_with_all = ["target", "at", "force"])]
    pub(crate) cancel: bool,
    /// Break off long transactions, and do not wait for a failing archive.
    #[arg(long)]
    pub(crate) force: bool,
    /// Write no rows meanwhile: the gap is not measured then.
    #[arg(long)]
    pub(crate) no_probe: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

mod members;
mod shape;

pub(crate) use members::*;
pub(crate) use shape::*;

#[derive(Debug, ClapArgs)]
pub(crate) struct PlaybookArgs {
    /// The playbooks.
    #[arg(required = true)]
    pub(crate) playbooks: Vec<PathBuf>,
    /// Check playbook, inventory and variables; connect to nothing.
    #[arg(long)]
    pub(crate) syntax_check: bool,
    /// List the hosts of each play; connect to nothing.
    #[arg(long)]
    pub(crate) list_hosts: bool,
    /// List the tasks of each play; connect to nothing.
    #[arg(long)]
    pub(crate) list_tasks: bool,
    /// List the tags of each play; connect to nothing.
    #[arg(long)]
    pub(crate) list_tags: bool,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintOutput {
    /// For a person.
    #[default]
    Text,
    /// One finding a line: `file:line:column: error: ...`.
    Lines,
    /// JSON.
    Json,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LintArgs {
    /// The playbooks.
    #[arg(required = true)]
    pub(crate) playbooks: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) source: InventorySource,
    /// Extra variables: name=value, @file, or a mapping.
    #[arg(short = 'e', long = "extra-vars", value_name = "VARS")]
    pub(crate) extra: Vec<String>,
    /// Only tasks with these tags would run.
    #[arg(short, long, value_name = "TAGS", value_delimiter = ',')]
    pub(crate) tags: Vec<String>,
    /// No tasks with these tags would run.
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub(crate) skip_tags: Vec<String>,
    /// Warnings count as errors.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Leave out hints.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: LintOutput,
}

/// How a status is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusOutput {
    /// A table.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) source: InventorySource,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: StatusOutput,
    /// Look again and again, every so many seconds.
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    pub(crate) watch: Option<u64>,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  pgfleet inventory --list -i inventory/dev\n  pgfleet inventory --graph -i hosts.ini\n  pgfleet inventory --host app-server-1.lan -i inventory/dev"
)]
#[group(required = true, multiple = false)]
pub(crate) struct InventoryMode {
    /// Everything, as JSON.
    #[arg(long)]
    pub(crate) list: bool,
    /// The groups and hosts as a tree.
    #[arg(long)]
    pub(crate) graph: bool,
    /// The variables of a host, as JSON.
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InventoryArgs {
    #[command(flatten)]
    pub(crate) mode: InventoryMode,
    #[command(flatten)]
    pub(crate) source: InventorySource,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  sudo pgfleet lab up\n  sudo pgfleet lab ssh app-server-1.lan\n  sudo pgfleet lab kill controller.lan\n  sudo pgfleet lab partition builder.lan --from controller.lan\n  sudo pgfleet lab snapshot deployed\n  sudo pgfleet lab down"
)]
pub(crate) struct LabArgs {
    /// The lab's name.
    #[arg(id = "lab_name", long = "name", global = true, default_value = "dev", value_name = "NAME")]
    pub(crate) name: String,
    /// Folder of the lab's state; state/lab/NAME of the project otherwise.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: LabCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Boot the guests that do not run.
    Up {
        /// The network; each lab has its own.
        #[arg(long, value_name = "NET/24")]
        subnet: Option<String>,
        /// trixie or bookworm.
        #[arg(long)]
        suite: Option<String>,
    },
    /// End the guests, discard their disks and leave nothing behind.
    Down,
    /// Show the guests.
    Status,
    /// Log in to a guest, or run a command there.
    Ssh {
        /// The guest.
        host: String,
        /// The command.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Boot guests that were killed.
    Start {
        /// The guests.
        #[arg(value_name = "HOST", required = true)]
        hosts: Vec<String>,
    },
    /// Pull a guest's cable, or cut it off from some others.
    Partition {
        /// The guest.
        host: String,
        /// Only from these guests.
        #[arg(long, value_delimiter = ',', value_name = "HOSTS")]
        from: Vec<String>,
        /// Only what it sends, or only what it receives.
        #[arg(long, value_parser = ["both", "sending", "receiving"], default_value = "both")]
        direction: String,
    },
    /// Undo cuts and slowness, of one guest or of all.
    Heal {
        /// The guest.
        host: Option<String>,
    },
    /// Crash guests: no shutdown, their cables pulled first.
    Kill {
        /// The guests.
        #[arg(value_name = "HOST", required = true)]
        hosts: Vec<String>,
    },
    /// Crash all guests at once.
    PowerCut,
    /// Make a guest's network thin or far.
    Slow {
        /// The guest.
        host: String,
        /// Bits a second, as tc writes them: 1mbit.
        #[arg(long)]
        rate: Option<String>,
        /// Delay of what it sends, as tc writes it: 50ms.
        #[arg(long)]
        delay: Option<String>,
    },
    /// Keep the disks of all guests as they are now.
    Snapshot {
        /// The snapshot's name.
        #[arg(id = "snapshot", value_name = "NAME")]
        name: String,
    },
    /// Bring the disks of all guests back.
    Revert {
        /// The snapshot's name.
        #[arg(id = "snapshot", value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  pgfleet init my-cluster --host pg1=192.0.2.11 --host pg2=192.0.2.12 --host pg3=192.0.2.13")]
pub(crate) struct InitArgs {
    /// The folder; it is made, or must be empty.
    pub(crate) folder: PathBuf,
    /// A host: its name, or name=address; may be given several times.
    #[arg(long = "host", value_name = "NAME[=ADDRESS]")]
    pub(crate) hosts: Vec<String>,
    /// User to log in as.
    #[arg(long, default_value = "root")]
    pub(crate) user: String,
}
