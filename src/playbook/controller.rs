//! The modules that the controller does itself, for all hosts of a play at once: what a cluster is asked and told.

use pgfleet_protocol::{ArgumentSpec, ModuleSpec};

use crate::catalog::engine_spec;

/// Their names and arguments. `src/workflows/actions` does them.
pub(crate) const CONTROLLER: &[ModuleSpec] = &[
    engine_spec!(
        "cluster_certificates",
        "Lets the cluster's authority sign the keys of nodes whose certificates may not stay, or tells what these say.",
        free None,
        ["nodes" !true, "ca_key", "ca_certificate", "days", "renew_days", "all", "look_only"]
    ),
    engine_spec!(
        "cluster_doctor",
        "Looks at every host and at the cluster, and tells what is wrong.",
        free None,
        ["script" !true, "passwords", "old_password", "interrupted", "exposed", "clock_warn", "clock_fail"]
    ),
    engine_spec!(
        "cluster_drill",
        "Makes a failure on purpose while clients write and read, and tells what they saw.",
        free None,
        ["name" !true, "seconds", "replica_port", "folder", "power"]
    ),
    engine_spec!("cluster_leave", "Takes a node out of the cluster for good.", free None, ["node" !true, "dead", "switchover", "look_only"]),
    engine_spec!(
        "cluster_leftovers",
        "Tells apart what an earlier try left on the hosts, and adopts or wipes it where that is said.",
        free None,
        ["found" !true, "policy", "wipe"]
    ),
    engine_spec!("cluster_lease", "Keeps the cluster for this run; ends where another run has it.", free None, ["work" !true, "seconds"]),
    engine_spec!("cluster_logs", "Tells what the services of the nodes have written, merged by time.", free None, ["nodes", "units", "since", "lines", "follow"]),
    engine_spec!("cluster_start", "Starts a node, or the whole cluster: etcd, Patroni, HAProxy.", free None, ["node"]),
    engine_spec!("cluster_stop", "Stops a node, or the whole cluster: HAProxy, Patroni, etcd.", free None, ["node", "force", "switchover", "look_only"]),
    engine_spec!("cluster_unlock", "Ends another run's lease of the cluster, and cuts that run off.", free None, []),
    engine_spec!("cluster_vacant", "Makes sure that no host holds data of a cluster; empties those that do only when told so.", free None, ["wipe"]),
    engine_spec!("etcd_move_leader", "Lets etcd be led from another host than the database.", free None, []),
    engine_spec!("patroni_checkpoint", "Writes out what is in memory, on one node after the other.", free None, ["nodes" !true]),
    engine_spec!("patroni_config", "Shows, judges or changes the settings that all nodes share.", free None, ["set", "patch", "only_judges", "judged_on", "owned"]),
    engine_spec!("patroni_failover", "Lets a node take over without the leader's help.", free None, ["candidate", "force", "agreed"]),
    engine_spec!("patroni_history", "Tells which node led since when, and why that changed.", free None, []),
    engine_spec!("patroni_may_switch_over", "Looks whether another node may lead now, and which.", free None, ["candidate", "maximum_lag", "maximum_transaction", "force"]),
    engine_spec!("patroni_pause", "Switches automatic failover off or on, and waits until every member has seen it.", free None, ["paused" !true]),
    engine_spec!("patroni_reinit", "Lets a replica throw its data away and copy the leader's.", free None, ["node" !true, "force"]),
    engine_spec!("patroni_reload", "Lets Patroni and PostgreSQL read their configuration again.", free None, ["node"]),
    engine_spec!("patroni_restart", "Restarts PostgreSQL on one node after the other.", free None, ["node", "pending", "in_place", "force", "restarted", "since"]),
    engine_spec!("patroni_switchover", "Lets another node lead, and waits until the cluster says that it does.", free None, ["leader" !true, "candidate", "timeline", "at", "cancel", "probe"]),
    engine_spec!(
        "postgresql_connection",
        "Tells what applications connect to, tries the ways, and chooses a node to open a session on.",
        free None,
        ["replica_port", "any_port", "service_name", "user", "test", "choose"]
    ),
    engine_spec!("postgresql_dump", "Dumps every database into a folder of this machine.", free None, ["folder" !true, "from", "format", "jobs", "lanes", "compress", "count_rows"]),
    engine_spec!("postgresql_prove", "Restores a backup beside the cluster and compares it.", free None, ["folder" !true, "backup", "node"]),
    engine_spec!("postgresql_refill", "Restores everything of a backup into a cluster that has nothing yet.", free None, ["folder" !true, "project", "backup" !true]),
    engine_spec!("postgresql_restore", "Restores databases of a backup beside those that have their names, and exchanges the names.", free None, ["action", "folder", "project", "backup", "databases"]),
    engine_spec!("secrets_set", "Gives roles their new passwords, and tries each from every node.", free None, ["rotation" !true, "users", "back", "resumed", "only_look"]),
    engine_spec!(
        "secrets_use",
        "Lets Patroni and HAProxy take up new passwords that their files have, and proves on every node that they do.",
        free None,
        ["rotation" !true, "stats_port", "stats_user"]
    ),
];
