//! May another node lead now, and which? Judged from one view of the cluster and what its leader says of itself.

use serde::{Deserialize, Serialize};

use crate::{ClusterView, Member, Objection};

/// A standby as the leader sees it, in bytes behind the leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standby {
    /// Its name.
    pub name: String,
    /// `streaming`, `catchup` ...
    pub state: String,
    /// Not yet written.
    pub write_lag: u64,
    /// Not yet on disk.
    pub flush_lag: u64,
    /// Not yet replayed.
    pub replay_lag: u64,
}

/// What the leader's own PostgreSQL says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LeaderFacts {
    /// Who streams from it.
    pub standbys: Vec<Standby>,
    /// Seconds that the oldest transaction of a client is open.
    pub oldest_transaction: f64,
    /// Transactions that were prepared and not yet decided.
    pub prepared: u64,
    /// The file whose archiving failed last, where nothing was archived since.
    pub archive_failure: Option<String>,
    /// What waits to be archived.
    pub archive_backlog: Option<Backlog>,
}

/// Files of the log that wait to be archived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Backlog {
    /// How many.
    pub files: u64,
    /// The first of them.
    pub first: String,
    /// How many seconds it has waited.
    pub seconds: f64,
}

/// Seconds. An `archive_command` that takes longer for one file hangs, or is too slow.
pub(crate) const ARCHIVED: f64 = 60.0;

impl LeaderFacts {
    /// The query that gives them: one row, one column, JSON.
    pub const QUERY: &str = "\
SELECT json_build_object(
  'standbys', (SELECT coalesce(json_agg(json_build_object('name', application_name, 'state', state,
      'write_lag', coalesce(greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), write_lsn), 0)::bigint, 0),
      'flush_lag', coalesce(greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn), 0)::bigint, 0),
      'replay_lag', coalesce(greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint, 0))), '[]') FROM pg_stat_replication),
  'oldest_transaction', (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()),
  'prepared', (SELECT count(*) FROM pg_prepared_xacts),
  'archive_failure', (SELECT last_failed_wal FROM pg_stat_archiver
      WHERE last_failed_time > coalesce(last_archived_time, '-infinity') AND current_setting('archive_mode') <> 'off'),
  'archive_backlog', (SELECT json_build_object('files', count(*), 'first', left(min(name), -6),
      'seconds', extract(epoch FROM clock_timestamp() - min(modification))::float8)
      FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready' AND current_setting('archive_mode') <> 'off' HAVING count(*) > 0));";
}

/// What is borne without a person's word for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwitchoverLimits {
    /// Bytes that the next leader may be behind in replaying.
    pub lag: u64,
    /// Seconds that a transaction may be open already: it will be broken off.
    pub transaction: f64,
    /// Broken-off transactions and a failing archive are borne.
    pub forced: bool,
}

/// A switchover that may be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switchover {
    /// Who leads now.
    pub leader: String,
    /// Who shall lead.
    pub candidate: String,
    /// The leader's timeline now.
    pub timeline: u64,
    /// Bytes that the candidate is behind in replaying.
    pub lag: u64,
    /// What a person should know and has accepted.
    pub warnings: Vec<String>,
}

/// Judges a switchover, to the node wanted or to the best one.
///
/// # Errors
/// All reasons against it.
pub fn may_switch_over(
    view: &ClusterView,
    facts: &LeaderFacts,
    wanted: Option<&str>,
    limits: &SwitchoverLimits,
) -> Result<Switchover, Vec<Objection>> {
    let Some(leader) = view.leader() else {
        return Err(vec![Objection::new(
            "the cluster has no leader",
            "'pgfleet status' says why; without a leader it is a failover: 'pgfleet failover'",
        )]);
    };
    let mut reasons = whole_cluster(view, leader);
    let mut warnings = Vec::new();
    for reason in interrupted_work(facts, limits) {
        if limits.forced { warnings.push(reason.reason) } else { reasons.push(reason) }
    }
    let candidate = match wanted {
        Some(name) if name == leader.name => {
            return Err(vec![Objection::new(format!("{name} leads already"), "name another node, or none")]);
        }
        Some(name) => match view.member(name) {
            None => return Err(vec![view.no_member(name)]),
            Some(member) => match unfit(view, facts, member, limits) {
                Some(reason) => {
                    reasons.push(reason);
                    None
                }
                None => Some(member),
            },
        },
        None => {
            let best = view
                .members
                .iter()
                .filter(|member| !member.is_leader() && unfit(view, facts, member, limits).is_none())
                .min_by_key(|member| (-priority(member), replay_lag(facts, &member.name), member.name.clone()));
            if best.is_none() {
                reasons.push(none_is_fit(view, facts, limits));
            }
            best
        }
    };
    match candidate {
        Some(candidate) if reasons.is_empty() => Ok(Switchover {
            leader: leader.name.clone(),
            candidate: candidate.name.clone(),
            timeline: leader.timeline.unwrap_or_default(),
            lag: replay_lag(facts, &candidate.name).unwrap_or_default(),
            warnings,
        }),
        _ => Err(reasons),
    }
}

fn whole_cluster(view: &ClusterView, leader: &Member) -> Vec<Objection> {
    let mut reasons = Vec::new();
    if leader.state != "running" {
        reasons.push(Objection::new(
            format!("the leader {} is {}", leader.name, leader.state),
            "wait until it runs; 'pgfleet status' shows it",
        ));
    }
    if view.paused {
        reasons.push(Objection::new("the cluster is paused", "'pgfleet resume' ends the pause"));
    }
    if let Some(scheduled) = &view.scheduled_switchover {
        let text = format!("a switchover is scheduled for {} already", scheduled.at);
        reasons.push(Objection::new(text, "'pgfleet switchover --cancel' takes it back"));
    }
    reasons.extend(view.may_decide().err());
    reasons
}

/// What a switchover would break off or leave behind.
fn interrupted_work(facts: &LeaderFacts, limits: &SwitchoverLimits) -> Vec<Objection> {
    let mut reasons = Vec::new();
    if facts.oldest_transaction > limits.transaction {
        let text = format!(
            "a transaction is open for {:.0} s, and would be broken off (limit {:.0} s)",
            facts.oldest_transaction, limits.transaction
        );
        reasons.push(Objection::new(text, "wait for it to end, or break it off with --force"));
    }
    if facts.prepared > 0 {
        let text =
            format!("{} prepared transactions wait for their decision, and would move to the new leader with their locks", facts.prepared);
        reasons.push(Objection::new(text, "COMMIT PREPARED or ROLLBACK PREPARED them, or go on with --force"));
    }
    if let Some(file) = &facts.archive_failure {
        reasons.push(Objection::new(
            format!("the leader cannot archive its log: {file} failed, and a shutdown would wait for it"),
            "mend archive_command first; pg_stat_archiver on the leader has the details; --force goes on all the same",
        ));
    } else if let Some(Backlog { files, first, seconds }) = facts.archive_backlog.as_ref().filter(|backlog| backlog.seconds > ARCHIVED) {
        let text = format!("the leader has not archived {first} for {seconds:.0} s ({files} wait), and a shutdown would wait for it");
        reasons.push(Objection::new(
            text,
            "does archive_command hang? Mend it first, or wait until it is through; --force goes on all the same",
        ));
    }
    reasons
}

/// Why a member cannot lead.
fn unfit(view: &ClusterView, facts: &LeaderFacts, member: &Member, limits: &SwitchoverLimits) -> Option<Objection> {
    let name = &member.name;
    let because = |text: String, hint: &str| Some(Objection::new(text, hint));
    if !member.is_well() {
        return because(
            format!("{name} is {}, not streaming", member.state),
            "look at its log with 'pgfleet logs', or choose another node",
        );
    }
    if member.has_tag("nofailover") || priority(member) == 0 {
        return because(format!("{name} is tagged to never lead"), "choose another node, or take its tag 'nofailover' away");
    }
    if view.synchronous_mode == "on" && member.role != "sync_standby" {
        return because(format!("{name} is not the synchronous standby, so it may lack acknowledged writes"), "choose the one that is");
    }
    if view.synchronous_mode == "quorum" && member.role != "quorum_standby" {
        return because(
            format!("{name} is not in the quorum of synchronous standbys, so it may lack acknowledged writes"),
            "choose one that is",
        );
    }
    let leader = view.leader().and_then(|leader| leader.timeline);
    if member.timeline.is_some() && member.timeline != leader {
        return because(format!("{name} is on another timeline than the leader"), "wait until it has followed, or 'pgfleet reinit' it");
    }
    let Some(standby) = facts.standbys.iter().find(|standby| standby.name == *name) else {
        return because(format!("{name} does not stream from the leader"), "look at its log with 'pgfleet logs', or choose another node");
    };
    if standby.state != "streaming" {
        return because(format!("{name} is in state '{}', not streaming", standby.state), "wait until it has caught up");
    }
    if standby.replay_lag > limits.lag {
        let Standby { write_lag, flush_lag, replay_lag, .. } = standby;
        return because(
            format!(
                "{name} is behind: {replay_lag} bytes to replay ({flush_lag} to flush, {write_lag} to write); at most {} are borne",
                limits.lag
            ),
            "wait until it has caught up, or raise switchover_maximum_lag",
        );
    }
    None
}

fn none_is_fit(view: &ClusterView, facts: &LeaderFacts, limits: &SwitchoverLimits) -> Objection {
    let whys: Vec<String> = view
        .members
        .iter()
        .filter(|member| !member.is_leader())
        .filter_map(|member| unfit(view, facts, member, limits).map(|reason| reason.reason))
        .collect();
    let text = if whys.is_empty() { "there is no other member".to_owned() } else { whys.join("; ") };
    Objection::new(format!("no member can take over: {text}"), "'pgfleet status' shows them")
}

/// Patroni's `failover_priority`: the highest goes first, 0 never.
fn priority(member: &Member) -> i64 {
    member.tags.get("failover_priority").and_then(serde_json::Value::as_i64).unwrap_or(1)
}

fn replay_lag(facts: &LeaderFacts, name: &str) -> Option<u64> {
    facts.standbys.iter().find(|standby| standby.name == name).map(|standby| standby.replay_lag)
}
