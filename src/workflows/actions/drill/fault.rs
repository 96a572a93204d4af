//! Faults as they are made on hosts. Whatever lasts is ended by the host itself, should the controller be gone by then.

use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use pgfleet_cluster::Fault;
use pgfleet_protocol::Items;

use super::scene::Scene;
use crate::actions::{Trouble, Work, restart, switchover};
use crate::nodes::Node;

/// A host ends a fault by itself so long after the controller would have.
const GRACE: u64 = 10;
/// Of a short script on a host.
const LIMIT: Duration = Duration::from_secs(30);
/// The lane of these calls: others are asked by clients and watchers meanwhile.
const LANE: u8 = 7;
/// The unit that ends a fault.
const UNIT: &str = "pgfleet-drill-end";
/// What SSH listens on; the controller must not be cut off.
const PORTS: &str = "\
ports=$( { echo 22; echo \"${SSH_CONNECTION##* }\"; ss -Htlnp | sed -n '/\"sshd\"/s/^[^ ]* *[^ ]* *[^ ]* *[^ ]*:\\([0-9]*\\) .*/\\1/p'; } | grep -x '[0-9][0-9]*' | sort -u | paste -sd, )";

/// Makes sure that the hosts have what the fault needs.
pub(super) async fn may_be_made(work: &Work, scene: &Scene) -> Result<(), Trouble> {
    if scene.drill.fault.needs_power() && work.argument::<Items>("power")?.unwrap_or_default().is_empty() {
        let trouble = Trouble::refused(format!("'{}' switches hosts off, and nobody here could switch them on again", scene.drill.name));
        return Err(trouble.hint("'pgfleet lab up' makes a lab, which can; 'leader-partitioned' is near to the loss of one host"));
    }
    if scene.drill.fault.takes_all() {
        let here = scene.observer.here();
        if !work.nodes.run(&here, &["psql", "--version"], "", LIMIT).await.is_ok_and(|ended| ended.rc == 0) {
            let trouble = Trouble::refused("'psql' is not on this machine, and only here a client outlives this drill");
            return Err(trouble.hint("install the package postgresql-client on this machine"));
        }
    }
    if !matches!(scene.drill.fault, Fault::CutLeader | Fault::CutLeaderFromEtcd) {
        return Ok(());
    }
    for node in &scene.victims {
        let found = work.nodes.run(node, &["sh", "-c", "command -v nft"], "", LIMIT).await?;
        if found.rc != 0 {
            let trouble = Trouble::refused(format!("{}: 'nft' is not there, and this drill cuts the network with it", node.name));
            return Err(trouble.hint(format!("install the package nftables on {}", node.name)));
        }
    }
    Ok(())
}

/// Makes the fault.
pub(super) async fn make(work: &Work, scene: &Scene) -> Result<(), Trouble> {
    match scene.drill.fault {
        Fault::Switchover => hand_over(work, scene).await,
        Fault::RollingRestart => roll(work, scene).await,
        fault if fault.needs_power() => power(work, scene, "kill").await,
        _ => everywhere(work, &scene.victims, |node| begin(scene, node)).await,
    }
}

/// Ends one that lasts.
pub(super) async fn end(work: &Work, scene: &Scene) -> Result<(), Trouble> {
    let fault = scene.drill.fault;
    if fault.needs_power() {
        return power(work, scene, "start").await;
    }
    everywhere(work, &scene.victims, |_| format!("systemctl stop {UNIT}.timer 2> /dev/null || true\n{}", undo(fault))).await
}

/// Asks the lab to switch the victims off or on, all at once: a program of this machine that takes `kill HOST...` and `start HOST...`.
async fn power(work: &Work, scene: &Scene, verb: &str) -> Result<(), Trouble> {
    let program: Items = work.argument("power")?.unwrap_or_default();
    let Some((name, arguments)) = program.split_first() else { return Err(Trouble::failed("nothing switches hosts off and on")) };
    let victims: Vec<&str> = scene.victims.iter().map(|node| node.name.as_str()).collect();
    let mut command = tokio::process::Command::new(name);
    let ended = command.args(arguments).arg(verb).args(&victims).stdin(Stdio::null()).output().await;
    let ended = ended.map_err(|error| Trouble::failed(format!("{name}: {error}")))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(Trouble::failed(format!("{verb} {}: {}", victims.join(" "), String::from_utf8_lossy(&ended.stderr).trim())))
}

async fn hand_over(work: &Work, scene: &Scene) -> Result<(), Trouble> {
    let Some(successor) = &scene.successor else { return Err(Trouble::failed("nobody was chosen to lead")) };
    for node in [&scene.leader, successor] {
        work.nodes.sql(node, "postgres", "CHECKPOINT;", Duration::from_secs(60)).await?;
    }
    switchover::hand_over(work, &scene.leader, successor, scene.timeline).await.map(drop)
}

async fn roll(work: &Work, scene: &Scene) -> Result<(), Trouble> {
    for node in work.nodes.databases().filter(|node| node.name != scene.leader.name) {
        work.step(&format!("restart of {}", node.name), restart::restart(work, &node.name, false)).await?;
    }
    hand_over(work, scene).await?;
    work.step(&format!("restart of {}", scene.leader.name), restart::restart(work, &scene.leader.name, false)).await
}

async fn everywhere(work: &Work, nodes: &[Node], script: impl Fn(&Node) -> String) -> Result<(), Trouble> {
    let told = join_all(nodes.iter().map(async |node| {
        let text = script(node);
        let ended = work.nodes.run_beside(node, LANE, &["sh", "-ec", &text], "", LIMIT).await?;
        if ended.rc == 0 { Ok(()) } else { Err(format!("{}: {}", node.name, ended.stderr.trim())) }
    }));
    told.await.into_iter().collect::<Result<Vec<()>, String>>()?;
    Ok(())
}

/// The script that begins a fault: first what ends it by itself, then the fault.
fn begin(scene: &Scene, node: &Node) -> String {
    let fault = scene.drill.fault;
    let deed = deed(fault, node);
    if scene.hold.is_zero() {
        return deed;
    }
    let seconds = scene.hold.as_secs() + GRACE;
    format!(
        "systemctl stop {UNIT}.timer 2>/dev/null || true\n\
         systemd-run --quiet --collect --unit={UNIT} --on-active={seconds}s --timer-property=AccuracySec=1s sh -c '{}'\n{deed}",
        undo(fault)
    )
}

fn deed(fault: Fault, node: &Node) -> String {
    match fault {
        Fault::KillPostgres => format!("kill -9 \"$(head -n 1 '{}/postmaster.pid')\"", node.data_dir),
        Fault::KillPatroni => "systemctl kill --kill-whom=main --signal=KILL patroni".to_owned(),
        Fault::FreezePatroni => "systemctl kill --kill-whom=main --signal=STOP patroni".to_owned(),
        Fault::LoseReplica => "systemctl kill --kill-whom=all --signal=KILL patroni; systemctl stop patroni".to_owned(),
        Fault::LoseQuorum => "systemctl kill --kill-whom=all --signal=KILL etcd; systemctl stop etcd".to_owned(),
        Fault::CutLeader => format!(
            "{PORTS}\nnft -f - <<end\n\
             table inet pgfleet_drill {{\n\
             chain i {{ type filter hook input priority -300; iif lo accept; meta l4proto ipv6-icmp accept; tcp dport {{ $ports }} accept; drop; }}\n\
             chain o {{ type filter hook output priority -300; oif lo accept; meta l4proto ipv6-icmp accept; tcp sport {{ $ports }} accept; drop; }}\n\
             }}\nend"
        ),
        Fault::CutLeaderFromEtcd => format!(
            "nft -f - <<end\n\
             table inet pgfleet_drill {{\n\
             chain o {{ type filter hook output priority -300; tcp dport {} drop; }}\n\
             }}\nend",
            node.etcd_url.rsplit(':').next().unwrap_or_default().trim_end_matches('/')
        ),
        Fault::Switchover | Fault::RollingRestart | Fault::PowerOffLeader | Fault::PowerCutAll => "false".to_owned(),
    }
}

fn undo(fault: Fault) -> &'static str {
    match fault {
        Fault::FreezePatroni => "systemctl kill --kill-whom=main --signal=CONT patroni",
        Fault::LoseReplica => "systemctl start --no-block patroni",
        Fault::LoseQuorum => "systemctl start --no-block etcd",
        Fault::CutLeader | Fault::CutLeaderFromEtcd => {
            "if nft list table inet pgfleet_drill > /dev/null 2>&1; then nft delete table inet pgfleet_drill; fi"
        }
        _ => "true",
    }
}
