//! `patroni_switchover`: another node leads. Patroni does it; the cluster's own state says whether it is done.

use std::time::{Duration, Instant};

use pgfleet_cluster::ClusterView;
use serde_json::{Value, json};

use super::absence::Absence;
use super::hold::Sign;
use super::writes::{Witness, Writes};
use super::{Done, Trouble, Work, routers, voters};
use crate::nodes::{Answer, Node};

/// Patroni itself gives up before that.
const REQUEST: Duration = Duration::from_secs(60);
/// Until the candidate leads.
const PROMOTION: Duration = Duration::from_secs(90);
/// Until the old leader streams from the new one.
const RETURN: Duration = Duration::from_secs(180);
/// Until a scheduled switchover is seen by all.
const SCHEDULE: Duration = Duration::from_secs(15);

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let leader = work.node(&work.argument::<String>("leader")?.unwrap_or_default())?;
    let name = work.argument::<String>("candidate")?.unwrap_or_default();
    if work.argument("cancel")?.unwrap_or(false) {
        return cancel(work, leader).await;
    }
    let candidate = work.node(&name)?;
    let at: Option<String> = work.argument("at")?;
    if work.is_check() {
        let when = at.map(|at| format!(" at {at}")).unwrap_or_default();
        return Ok(Done::changed().with("summary", format!("{name} would lead instead of {}{when}.", leader.name)));
    }
    match at {
        Some(at) => schedule(work, leader, candidate, &at).await,
        None => now(work, leader, candidate).await,
    }
}

async fn now(work: &Work, leader: &Node, candidate: &Node) -> Result<Done, Trouble> {
    let timeline: u64 = work.argument("timeline")?.unwrap_or_default();
    if !work.argument("probe")?.unwrap_or(true) {
        let handed = hand_over(work, leader, candidate, timeline).await?;
        voters::keep_apart(work).await;
        return Ok(Done::changed().with("summary", handed.told(candidate)).with("seconds", handed.seconds));
    }
    let writes = Writes::prepare(work, leader, candidate).await?;
    let (told, handed) = tokio::join!(writes.go(work), async {
        let handed = match writes.begun(work, leader).await {
            Ok(()) => hand_over(work, leader, candidate, timeline).await,
            Err(trouble) => Err(trouble),
        };
        writes.end(work).await;
        handed
    });
    let handed = match handed {
        Ok(handed) => handed,
        Err(trouble) => {
            let leads = work.nodes.view().await.0.leader().and_then(|now| work.nodes.find(&now.name));
            writes.clear(work, leads.unwrap_or(leader)).await;
            return Err(trouble);
        }
    };
    let witnesses = writes.compare(work, told, candidate).await?;
    voters::keep_apart(work).await;
    judged(candidate, &handed, &witnesses)
}

/// What came of a switchover.
pub(super) struct Handed {
    /// Seconds from the request until the candidate led.
    seconds: f64,
    /// The timeline that it began.
    timeline: u64,
}

/// Asks for it and waits until the cluster says that it is done.
pub(super) async fn hand_over(work: &Work, leader: &Node, candidate: &Node, timeline: u64) -> Result<Handed, Trouble> {
    let begin = Instant::now();
    let body = json!({"leader": leader.name, "candidate": candidate.name});
    let request = work.nodes.patroni(leader, "POST", "/switchover", &body, REQUEST);
    tokio::pin!(request);
    let mut answer: Option<Result<Answer, String>> = None;
    let title = format!("{} takes over", candidate.name);
    let bystanders: Vec<&Node> = work.nodes.databases().filter(|node| node.name != leader.name && node.name != candidate.name).collect();
    let promoted = work.step(&title, async {
        let promotion = leads(work, candidate);
        tokio::pin!(promotion);
        loop {
            tokio::select! {
                said = &mut request, if answer.is_none() => {
                    refusal(&said)?;
                    answer = Some(said);
                }
                led = &mut promotion => break led,
            }
        }
    });
    let sign = Sign::new();
    let (promoted, ()) = tokio::join!(
        async {
            let promoted = promoted.await;
            if promoted.is_ok() {
                tokio::join!(sign.release(work, &bystanders), routers::turn_to(work, &candidate.name, &leader.name));
            } else {
                sign.release(work, &bystanders).await;
            }
            promoted
        },
        sign.hold(work, &bystanders),
    );
    if let Err(trouble) = promoted {
        let words = answer.map(|answer| answer.map_or_else(|reason| reason, |answer| answer.body)).unwrap_or_default();
        return Err(instead(work, candidate, trouble, &words).await);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let timeline = work.step(&format!("{} follows the new leader", leader.name), settled(work, leader, candidate, timeline)).await?;
    if answer.is_none() {
        // Its words change nothing any more, but the next request shall find the way free.
        let _ = request.await;
    }
    Ok(Handed { seconds, timeline })
}

/// Whether Patroni has refused; what is neither a refusal nor done may still be in progress.
fn refusal(said: &Result<Answer, String>) -> Result<(), Trouble> {
    match said {
        Ok(Answer { status: 400 | 401 | 403 | 409 | 412 | 422, body }) => {
            Err(Trouble::refused(format!("Patroni refuses: {}", body.trim()))
                .hint("nothing was changed; 'pgfleet status' shows the cluster"))
        }
        _ => Ok(()),
    }
}

/// Looks at the candidate until its Patroni says that it leads.
async fn leads(work: &Work, candidate: &Node) -> Result<(), Trouble> {
    let url = format!("{}/primary", candidate.patroni_url);
    let begin = Instant::now();
    loop {
        let seen = match work.nodes.get(candidate, &url).await {
            Ok(Answer { status: 200, .. }) => return Ok(()),
            Ok(_) => format!("{} does not lead yet", candidate.name),
            Err(reason) => reason,
        };
        if begin.elapsed() > PROMOTION {
            return Err(Trouble::unverified(format!("after {} s: {seen}", PROMOTION.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The trouble, with who leads in place of the candidate.
async fn instead(work: &Work, candidate: &Node, trouble: Trouble, words: &str) -> Trouble {
    let (view, _) = work.nodes.view().await;
    let words = if words.is_empty() { String::new() } else { format!("; Patroni said: {}", words.trim()) };
    match view.leader() {
        _ if trouble.is_refusal() => trouble,
        Some(leader) if leader.name == candidate.name => trouble,
        Some(leader) => Trouble::unverified(format!("{} leads, not {}: {trouble}{words}", leader.name, candidate.name))
            .hint("the cluster works; 'pgfleet status' shows it, and the switchover can be asked for again"),
        None => Trouble::unverified(format!("the cluster has no leader at the moment: {trouble}{words}"))
            .hint("'pgfleet status --watch' shows what becomes of it"),
    }
}

/// Waits until the old leader streams from the new one, and no router leads to it any more; answers the new timeline.
async fn settled(work: &Work, leader: &Node, candidate: &Node, timeline: u64) -> Result<u64, Trouble> {
    let absence = Absence::default();
    let ended = work.until("the cluster is whole again", RETURN, || async {
        let seen = work.look().await;
        if let Some(reason) = absence.lost(&seen, &[&candidate.name]) {
            return Ok(Err(lost_again(&candidate.name, timeline + 1, &seen.view, &reason)));
        }
        if let Some(reason) = absence.lost(&seen, &[&leader.name]) {
            return Ok(Err(out_of_reach(candidate, &reason)));
        }
        if absence.is_not_ending(&seen, &leader.name) {
            return Ok(Err(not_ending(candidate, leader, &work.cause(leader).await)));
        }
        if let Some(reason) = [candidate, leader].into_iter().find_map(|node| seen.unreachable(&node.name)) {
            return Err(reason.to_owned());
        }
        let view = &seen.view;
        let new = view.leader().filter(|new| new.name == candidate.name && new.timeline.unwrap_or_default() > timeline);
        let new = new.ok_or_else(|| format!("{} does not lead on a new timeline", candidate.name))?;
        let old = view.members.iter().find(|member| member.name == leader.name).ok_or_else(|| format!("{} is no member", leader.name))?;
        if !old.is_well() || old.timeline != new.timeline {
            return Err(format!("{} is {}", old.name, old.state));
        }
        // Only then is the next switchover, or the loss of a node, as safe as it was before.
        if view.synchronous_mode == "quorum" && old.role != "quorum_standby" && !old.has_tag("nosync") {
            return Err(format!("{} is not in the quorum yet", old.name));
        }
        if view.scheduled_switchover.is_some() {
            return Err("a switchover is still scheduled".to_owned());
        }
        match routers::sessions_to(work, &leader.name).await.first() {
            None => Ok(Ok(new.timeline.unwrap_or_default())),
            Some((router, count)) => Err(format!("{count} sessions on {router} still go to {}", leader.name)),
        }
    });
    ended.await?
}

fn out_of_reach(candidate: &Node, reason: &str) -> Trouble {
    Trouble::unverified(format!("{} leads now; the node that led before is out of reach: {reason}", candidate.name))
        .hint("the cluster works without it; when its host is back, it follows by itself, see 'pgfleet status --watch'")
}

fn not_ending(candidate: &Node, leader: &Node, cause: &str) -> Trouble {
    let (candidate, leader) = (&candidate.name, &leader.name);
    Trouble::unverified(format!("{candidate} leads now; {leader}, which led before, has not stopped within a minute: {cause}"))
        .hint(format!("the cluster works without it, and it follows by itself once it has stopped: end on {leader} what it waits for"))
}

/// The new leader's host is gone, before the others had all of its timeline.
fn lost_again(candidate: &str, timeline: u64, view: &ClusterView, reason: &str) -> Trouble {
    let next = view.leader().filter(|leader| leader.name != candidate);
    let now = next.map_or_else(|| "nobody else leads yet".to_owned(), |leader| format!("{} leads now", leader.name));
    let trouble = Trouble::unverified(format!("{candidate} took over, and its host is out of reach since: {reason}; {now}"));
    trouble.hint(match next {
        // PostgreSQL takes them for one timeline, and rewinds nothing.
        Some(leader) if leader.timeline == Some(timeline) => format!(
            "{} began timeline {timeline} too, so the data on {candidate} are not the cluster's: when its host is back, 'pgfleet reinit {candidate}' copies them anew",
            leader.name
        ),
        Some(_) => "the cluster works without it; when its host is back, it follows by itself, see 'pgfleet status --watch'".to_owned(),
        None => "what was acknowledged may be on that host alone: bring it back, see 'pgfleet status --watch'".to_owned(),
    })
}

impl Handed {
    fn told(&self, candidate: &Node) -> String {
        format!("{} leads on timeline {}, {:.1} s after it was asked for.", candidate.name, self.timeline, self.seconds)
    }
}

/// The summary; lost rows are the one thing that must not be.
fn judged(candidate: &Node, handed: &Handed, witnesses: &[Witness]) -> Result<Done, Trouble> {
    let mut lines = vec![handed.told(candidate)];
    for Witness { way, longest_gap_ms, errors, acknowledged, unsure, missing, first_error } in witnesses {
        let unsure = if *unsure > 0 { format!(", {unsure} without a clear answer") } else { String::new() };
        let first = if first_error.is_empty() { String::new() } else { format!(" ({first_error})") };
        lines.push(format!(
            "Writes through the {way}: longest gap {longest_gap_ms} ms, {errors} failed{first}, {acknowledged} acknowledged{unsure}, {missing} of them missing."
        ));
    }
    let missing: usize = witnesses.iter().map(|witness| witness.missing).sum();
    let longest = witnesses.iter().map(|witness| witness.longest_gap_ms).max().unwrap_or_default();
    let summary = lines.join("\n");
    let ways: Value = witnesses
        .iter()
        .map(|one| {
            let told = json!({
                "longest_gap_ms": one.longest_gap_ms, "errors": one.errors, "acknowledged": one.acknowledged,
                "unsure": one.unsure, "missing": one.missing,
            });
            (one.way.clone(), told)
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    if missing > 0 {
        let trouble = Trouble::unverified(format!("{missing} acknowledged rows are missing on the new leader"));
        return Err(trouble
            .hint("is synchronous_mode off? Then writes acknowledged just before may be lost")
            .with("summary", summary)
            .with("ways", ways));
    }
    Ok(Done::changed()
        .with("summary", summary)
        .with("seconds", handed.seconds)
        .with("longest_gap_ms", longest)
        .with("missing", missing)
        .with("ways", ways))
}

async fn schedule(work: &Work, leader: &Node, candidate: &Node, at: &str) -> Result<Done, Trouble> {
    let body = json!({"leader": leader.name, "candidate": candidate.name, "scheduled_at": at});
    let said = work.nodes.patroni(leader, "POST", "/switchover", &body, REQUEST).await;
    if let Ok(Answer { status: 400 | 422, body }) = &said {
        let hint = "give a time to come with its zone, as 2030-01-01T03:00:00Z";
        return Err(Trouble::refused(format!("Patroni does not take the time '{at}': {}", body.trim())).hint(hint));
    }
    refusal(&said)?;
    let scheduled = work.until("the switchover is scheduled", SCHEDULE, || async {
        let (view, _) = work.nodes.view().await;
        view.scheduled_switchover.ok_or_else(|| said.as_ref().map_or_else(Clone::clone, |answer| answer.body.clone()))
    });
    let scheduled = scheduled.await?;
    let summary = format!(
        "{} will lead instead of {} at {}. 'pgfleet switchover --cancel' takes it back.",
        candidate.name, leader.name, scheduled.at
    );
    Ok(Done::changed().with("summary", summary).with("at", scheduled.at))
}

async fn cancel(work: &Work, leader: &Node) -> Result<Done, Trouble> {
    let (view, _) = work.nodes.view().await;
    let Some(scheduled) = view.scheduled_switchover else {
        return Ok(Done::unchanged().with("summary", "No switchover is scheduled."));
    };
    let summary = format!("The switchover of {} is taken back.", scheduled.at);
    if !work.is_check() {
        refusal(&work.nodes.patroni(leader, "DELETE", "/switchover", &Value::Null, REQUEST).await)?;
        let gone = || async {
            let (view, _) = work.nodes.view().await;
            view.scheduled_switchover.map_or(Ok(()), |scheduled| Err(format!("it is still scheduled for {}", scheduled.at)))
        };
        work.until("nothing is scheduled any more", SCHEDULE, gone).await?;
    }
    Ok(Done::changed().with("summary", summary))
}

#[cfg(test)]
mod tests {
    use pgfleet_cluster::ClusterView;
    use pgfleet_engine::TaskResult;
    use serde_json::json;

    use super::lost_again;

    #[test]
    fn a_new_leader_that_is_lost_is_told_with_what_follows() {
        let told = |leads: &str, timeline: u64| {
            let mut view = ClusterView::from_answers(&[]);
            let leader = json!({"name": leads, "host": "", "port": 5432, "role": "leader", "state": "running", "timeline": timeline,
                "lag": null, "pending_restart": false, "scheduled_restart": null, "tags": {}, "patroni": null});
            view.members = vec![serde_json::from_value(leader).expect("a member")];
            let result = TaskResult::from(lost_again("b", 9, &view, "b does not answer"));
            (result.message().unwrap_or_default().to_owned(), result.hint.unwrap_or_default())
        };
        let (message, hint) = told("c", 9);
        assert_eq!(message, "b took over, and its host is out of reach since: b does not answer; c leads now");
        assert!(hint.contains("'pgfleet reinit b'"), "two began one timeline: {hint}");
        assert!(told("c", 10).1.contains("follows by itself"));
        let (message, hint) = told("b", 9);
        assert!(message.ends_with("nobody else leads yet") && hint.contains("that host alone"), "{message} {hint}");
    }
}
