//! `cluster_drill`: a failure made on purpose, while clients write and read; what they saw, and whether any promise was broken.

mod fault;
mod record;
mod scene;
mod watch;

use std::path::Path;
use std::time::{Duration, Instant};

use pgfleet_cluster::{ClusterView, DRILLS, drill_named};

use super::writes::Writes;
use super::{Done, Trouble, Work};
use record::Report;
use scene::Scene;
use watch::Watch;

/// How long clients work before the fault, and after all is well again.
const REST: Duration = Duration::from_secs(3);
/// A blow is watched for at least so long: what it breaks may not show at once.
const LEAST: Duration = Duration::from_secs(15);
/// So long the cluster must stay whole to be called so.
const STEADY: Duration = Duration::from_secs(3);
/// Until replicas that have just come back count for commits.
const COUNTED: Duration = Duration::from_secs(30);
/// Until the cluster is whole again.
const RECOVERY: Duration = Duration::from_secs(300);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let name: String = work.argument("name")?.unwrap_or_default();
    let drill = drill_named(&name).ok_or_else(|| {
        let names: Vec<&str> = DRILLS.iter().map(|drill| drill.name).collect();
        Trouble::refused(format!("'{name}' is no drill")).hint(format!("there are {}", names.join(", ")))
    })?;
    let seen = work.look_at_members().await?;
    may_begin(work, &seen.view).await?;
    let scene = Scene::of(work, &seen, drill).await?;
    fault::may_be_made(work, &scene).await?;
    if work.is_check() {
        return Ok(Done::changed().with("summary", scene.foretold()));
    }
    let port: u64 = work.argument("replica_port")?.unwrap_or_default();
    let port = u16::try_from(port).map_err(|_| Trouble::failed(format!("{port} is no port")))?;
    let longest = (scene.hold + RECOVERY + LEAST).as_secs();
    let began = pgfleet_state::time_now();
    let clocks = record::clocks(work).await;
    let writes = match drill.fault.takes_all() {
        true => Writes::from_here(work, &scene.leader, &scene.observer, port, longest).await?,
        false => Writes::everywhere(work, &scene.leader, &scene.observer, port, longest).await?,
    };
    let watch = Watch::new();
    let (told, performed) = tokio::join!(writes.go(work), async {
        let performed = tokio::select! {
            performed = perform(work, &scene, &writes, &watch) => performed,
            never = watch.look(work, &scene.leader) => match never {},
        };
        writes.end(work).await;
        performed
    });
    let leader = work.look().await.view.leader().map_or_else(|| scene.leader.name.clone(), |leader| leader.name.clone());
    let leader = work.node(&leader)?;
    let recovery = match performed {
        Ok(seconds) => Ok(seconds),
        // Nothing was done to the cluster: there is nothing to tell of.
        Err(trouble) if watch.zero().is_none() => {
            writes.clear(work, leader).await;
            return Err(trouble);
        }
        Err(trouble) => Err(trouble),
    };
    let rows = writes.rows(work, leader).await?;
    writes.clear(work, leader).await;
    let report = Report::made(&scene, &began, told, &rows, &clocks, &watch, &leader.name);
    let folder: Option<String> = work.argument("folder")?;
    report.judged(recovery, folder.as_deref().map(Path::new))
}

/// Whether a failure may be made on purpose now. A replica that has just come back may take a moment to count again.
async fn may_begin(work: &Work, view: &ClusterView) -> Result<(), Trouble> {
    let refused = |reason: String| {
        Trouble::refused(format!("the cluster is not healthy before the drill: {reason}")).hint("nothing was touched; see 'pgfleet status'")
    };
    healthy(view).map_err(refused)?;
    let counted = work.until("every replica counts for commits", COUNTED, async || whole(&work.look().await.view)).await;
    counted.map_err(|trouble| refused(trouble.to_string()))
}

/// Does it, and waits until the cluster is whole again; gives the seconds that took after the fault had ended.
async fn perform(work: &Work, scene: &Scene, writes: &Writes, watch: &Watch) -> Result<f64, Trouble> {
    writes.begun(work, &scene.leader).await?;
    tokio::time::sleep(REST).await;
    work.teller.say(&scene.deed());
    watch.begin(&scene.deed());
    let begin = Instant::now();
    if let Err(trouble) = fault::make(work, scene).await {
        // Part of it may have been made.
        let ended = fault::end(work, scene).await;
        let recovered = recovered(work, Instant::now()).await;
        return Err(match ended.and(recovered.map(drop)) {
            Ok(()) => trouble,
            Err(other) => Trouble::failed(format!("{trouble}; {other}")),
        });
    }
    if !scene.hold.is_zero() {
        while begin.elapsed() < scene.hold && !work.stop.is_asked() {
            work.teller.progress("the fault lasts", begin.elapsed().as_secs(), Some(scene.hold.as_secs()));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        watch.tell("drill", "the fault ends".to_owned());
        fault::end(work, scene).await?;
    }
    let ended = if scene.hold.is_zero() { begin } else { Instant::now() };
    let seconds = work.step("the cluster is whole again", recovered(work, ended)).await?;
    watch.tell("drill", "the cluster is whole again, and stays so".to_owned());
    tokio::time::sleep(REST).await;
    Ok(seconds)
}

async fn recovered(work: &Work, ended: Instant) -> Result<f64, Trouble> {
    let mut since: Option<Instant> = None;
    loop {
        let seen = whole(&work.look().await.view);
        match &seen {
            Ok(()) => _ = since.get_or_insert_with(Instant::now),
            Err(_) => since = None,
        }
        if let Some(since) = since
            && since.elapsed() >= STEADY
            && ended.elapsed() >= LEAST
        {
            return Ok((since - ended).as_secs_f64());
        }
        if let Err(reason) = seen {
            if ended.elapsed() > RECOVERY {
                return Err(Trouble::unverified(format!("after {} s the cluster is not whole: {reason}", RECOVERY.as_secs())));
            }
            work.teller.progress(&format!("the cluster is whole again: {reason}"), 0, None);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Whether nothing is wrong.
fn healthy(view: &ClusterView) -> Result<(), String> {
    let finding = view.findings.iter().find(|finding| finding.severity != pgfleet_cluster::Severity::Notice);
    finding.map_or(Ok(()), |finding| Err(finding.text.clone()))
}

/// Whether nothing is wrong, and every replica counts for commits.
fn whole(view: &ClusterView) -> Result<(), String> {
    healthy(view)?;
    let counts = |role: &str| matches!(role, "quorum_standby" | "sync_standby");
    let late = view.members.iter().find(|member| !member.is_leader() && !counts(&member.role) && !member.has_tag("nosync"));
    match late {
        Some(member) if view.synchronous_mode == "quorum" => Err(format!("{} is not in the quorum", member.name)),
        _ => Ok(()),
    }
}
