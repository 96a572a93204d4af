//! What is worth knowing about a cluster, judged from one view of it.

use serde::{Deserialize, Serialize};

use crate::{CertificateLife, ClusterView, EtcdMember, EtcdMove, NodeAnswer, Objection, etcd_move};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Data cannot be written, or could be lost.
    Critical,
    /// The next failure would hurt.
    Warning,
    /// Worth knowing.
    Notice,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What, one sentence.
    pub text: String,
    /// The next step.
    pub hint: Option<String>,
}

/// Lag beyond which a replica is worth a warning, in bytes; Patroni's own default for failover.
const LAG: u64 = 1_048_576;

/// Everything found, worst first.
pub(crate) fn find(view: &ClusterView, answers: &[NodeAnswer]) -> Vec<Finding> {
    let mut findings = Findings::default();
    findings.certificates(answers);
    // Then that is why others do not answer, and what is to be done about it.
    let ended = answers.iter().any(|answer| [answer.certificate(), answer.authority()].contains(&CertificateLife::Ended));
    if !answers.is_empty() && answers.iter().all(|answer| answer.probe.is_err()) {
        let hint = "below it says why, host by host: is it down, is there no way to it from here, or does it not let this machine in?";
        findings.add(Severity::Critical, "no host of the cluster can be reached", Some(hint));
    } else {
        findings.members(view, answers, ended);
        findings.commits(view, answers);
        findings.missing(view, answers);
        findings.etcd(view, ended);
    }
    findings.nodes(view, answers);
    findings.switches(view);
    findings.0.sort_by_key(|finding| finding.severity);
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, severity: Severity, text: impl Into<String>, hint: Option<&str>) {
        self.0.push(Finding { severity, text: text.into(), hint: hint.map(str::to_owned) });
    }

    fn members(&mut self, view: &ClusterView, answers: &[NodeAnswer], ended: bool) {
        if view.members.is_empty() && ended {
            return self.add(Severity::Critical, "no Patroni can be asked: whether the cluster works is not known", None);
        } else if view.members.is_empty() {
            let hint = "'pgfleet logs --unit patroni' says why; 'pgfleet start' starts what does not run";
            return self.add(Severity::Critical, "no Patroni answers: the cluster is down, or was never deployed", Some(hint));
        }
        let leaders: Vec<_> = view.members.iter().filter(|member| member.is_leader()).collect();
        match leaders.as_slice() {
            [] => self.add(Severity::Critical, "the cluster has no leader: nothing can be written", Some(&way_to_a_leader(view))),
            [leader] if leader.state != "running" => {
                self.add(Severity::Critical, format!("the leader {} is {}", leader.name, leader.state), None)
            }
            [_] => {}
            several => {
                let names: Vec<_> = several.iter().map(|member| member.name.as_str()).collect();
                self.add(Severity::Critical, format!("several members claim to lead: {}", names.join(", ")), None);
            }
        }
        let timeline = leaders.first().and_then(|leader| leader.timeline);
        for member in view.members.iter().filter(|member| !member.is_leader()) {
            if member.state.contains("creating replica") {
                let hint = "'pgfleet status --watch' shows when it streams";
                self.add(Severity::Warning, format!("{} copies the leader's data", member.name), Some(hint));
            } else if leaders.is_empty() && member.state == "running" {
                // There is nobody that it could stream from.
            } else if member.state == "stopping" {
                let hint = format!(
                    "it follows the leader by itself then; if it does not end, 'pgfleet logs {} --unit patroni' says why",
                    member.name
                );
                self.add(Severity::Warning, format!("{} is stopping", member.name), Some(&hint));
            } else if answers.iter().any(|answer| answer.node == member.name && answer.silent_patroni().is_some()) {
                // What the others know of it may be old; that it says nothing is told below.
            } else if !member.is_well() {
                let copy = if view.working_leader().is_ok_and(|leader| !view.is_out_of_reach(&leader.name)) {
                    format!("; 'pgfleet reinit {}' copies it anew", member.name)
                } else {
                    String::new()
                };
                let hint = format!("'pgfleet logs {} --unit patroni' says why{copy}", member.name);
                self.add(Severity::Warning, format!("{} is {}, not streaming", member.name, member.state), Some(&hint));
            } else if member.lag.is_some_and(|lag| lag > LAG) {
                let lag = member.lag.unwrap_or_default();
                self.add(Severity::Warning, format!("{} is {lag} bytes behind the leader", member.name), None);
            }
            if let (Some(own), Some(leaders)) = (member.timeline, timeline)
                && own != leaders
            {
                self.add(Severity::Warning, format!("{} is on timeline {own}, the leader on {leaders}", member.name), None);
            }
        }
        for member in view.members.iter().filter(|member| member.pending_restart) {
            self.add(
                Severity::Notice,
                format!("{} waits for a restart to take up changed settings", member.name),
                Some("'pgfleet restart --rolling --pending' when it suits"),
            );
        }
    }

    fn certificates(&mut self, answers: &[NodeAnswer]) {
        let is_so = |life| answers.iter().any(|answer| answer.authority() == life);
        if is_so(CertificateLife::Ended) {
            let hint = "sign its certificate anew and bring it to all hosts by hand: docs/reliability.md says how";
            self.add(Severity::Critical, "the certificate authority has ended: nobody in the cluster trusts anybody any more", Some(hint));
        } else if is_so(CertificateLife::EndsSoon) {
            let hint = "'pgfleet certs rotate --authority' makes a new one, as long as this one is good";
            self.add(Severity::Warning, "the certificate authority ends within 90 days", Some(hint));
        }
        let of = |life| answers.iter().filter(move |answer| answer.certificate() == life).map(|answer| answer.node.as_str());
        let ended: Vec<_> = of(CertificateLife::Ended).collect();
        if !ended.is_empty() {
            let hint = "'pgfleet deploy' signs new ones, and brings up what waits for them";
            let text = format!("certificates have ended: Patroni, etcd and HAProxy do not trust {} any more", ended.join(", "));
            self.add(Severity::Critical, text, Some(hint));
        }
        for node in of(CertificateLife::EndsSoon) {
            let hint = "'pgfleet certs' says when; 'pgfleet certs rotate', or a deploy, renews it";
            self.add(Severity::Warning, format!("the certificate of {node} ends within 20 days"), Some(hint));
        }
    }

    fn missing(&mut self, view: &ClusterView, answers: &[NodeAnswer]) {
        if view.members.is_empty() {
            return;
        }
        for member in view.members.iter().filter(|member| !answers.iter().any(|answer| answer.node == member.name)) {
            let hint = format!("put it back; 'pgfleet scale-in {}' takes it out for good", member.name);
            let text = format!("{} is a member of the cluster, and in no inventory given: nobody is led to it", member.name);
            self.add(Severity::Warning, text, Some(&hint));
        }
        for answer in answers.iter().filter(|answer| answer.is_database && answer.probe.is_ok()) {
            if answer.without_etcd().is_none()
                && answer.silent_patroni().is_none()
                && !view.members.iter().any(|member| member.name == answer.node)
            {
                self.add(Severity::Warning, format!("{} is no member of the cluster", answer.node), Some("'pgfleet deploy' makes it one"));
            }
        }
    }

    fn etcd(&mut self, view: &ClusterView, ended: bool) {
        let (healthy, all, needed) = view.quorum();
        let alarm = view.etcd_alarm();
        if let Some(Objection { reason, hint }) = &alarm {
            self.add(Severity::Critical, format!("{reason}: no other node can take over"), Some(hint));
        } else if all == 0 || healthy < needed {
            let hint =
                "start etcd on the other voters ('pgfleet start NODE'); until then Patroni keeps the leader only while all nodes answer";
            self.add(
                Severity::Critical,
                format!("etcd has no quorum: {healthy} of {all} voters are healthy, {needed} are needed"),
                Some(hint).filter(|_| !ended),
            );
        }
        let is_told = |voter: &EtcdMember| alarm.is_some() && voter.error.as_deref().is_some_and(|error| error.starts_with("ALARM"));
        for member in view.etcd.iter().filter(|voter| !voter.healthy && !is_told(voter) && !view.is_out_of_reach(&voter.name)) {
            let reason = member.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
            self.add(Severity::Warning, format!("etcd on {} is not healthy{reason}", member.name), None);
        }
        if let Some(EtcdMove { from, .. }) = etcd_move(view) {
            let text = format!("{from} leads both the database and etcd: losing that host would take the longest to get over");
            self.add(Severity::Notice, text, Some("'pgfleet deploy' lets another voter lead etcd"));
        }
        if all > 0 && all % 2 == 0 {
            self.add(Severity::Notice, format!("etcd has {all} voters; an odd number bears the same failures with one host less"), None);
        }
    }

    fn nodes(&mut self, view: &ClusterView, answers: &[NodeAnswer]) {
        for node in &view.nodes {
            if let Some(reason) = &node.unreachable {
                let reason = reason.strip_prefix(&format!("{}: ", node.name)).unwrap_or(reason);
                self.add(Severity::Warning, format!("{} cannot be reached: {reason}", node.name), None);
                continue;
            }
            let answer = answers.iter().find(|answer| answer.node == node.name);
            // Where etcd has no quorum, nobody hears of it.
            let silence = answer.and_then(NodeAnswer::without_etcd).filter(|_| view.may_decide().is_ok());
            if let Some(seconds) = silence {
                let hint =
                    format!("'pgfleet logs {} --unit patroni' says why; 'pgfleet deploy' puts certificates and logins right", node.name);
                let text = format!("Patroni on {} has heard nothing of etcd for {seconds} s: it could not take over", node.name);
                self.add(Severity::Warning, text, Some(&hint));
            }
            if let Some(reason) = answer.and_then(NodeAnswer::silent_patroni) {
                let hint = format!(
                    "'pgfleet logs {} --unit patroni' says why; one that stands still ends by 'systemctl kill --kill-whom=main -s KILL patroni' there, and is started anew",
                    node.name
                );
                self.add(Severity::Warning, format!("Patroni on {} does not answer: {reason}", node.name), Some(&hint));
            }
            if view.working_leader().is_ok() && answer.is_some_and(NodeAnswer::leads_nowhere) {
                let hint = format!(
                    "'pgfleet connection --test' says what is there; 'pgfleet logs {} --unit haproxy' which nodes it finds",
                    node.name
                );
                self.add(
                    Severity::Warning,
                    format!("HAProxy on {} leads to no leader: who connects there cannot write", node.name),
                    Some(&hint),
                );
            }
            let leader = view.leader().map(|leader| leader.name.as_str());
            if leader.is_some_and(|leader| leader != node.name) && answer.is_some_and(NodeAnswer::is_primary) {
                let text = format!("{} says that it leads too, beside {}", node.name, leader.unwrap_or_default());
                self.add(Severity::Critical, text, Some("is it cut off from etcd? Patroni demotes it when its time is over"));
            }
            let expected = |unit: &str| match unit {
                "etcd" => answer.is_some_and(|answer| answer.is_voter),
                "patroni" | "haproxy" => answer.is_some_and(|answer| answer.is_database),
                _ => true,
            };
            for (name, unit) in node.units.iter().filter(|(name, unit)| expected(name) && !unit.is_active()) {
                let state = if unit.active.is_empty() { "missing" } else { unit.active.as_str() };
                let hint = format!("'pgfleet logs {0} --unit {name}' says why; 'pgfleet start {0}' starts it", node.name);
                self.add(Severity::Warning, format!("{name} on {} is {state}", node.name), Some(&hint));
            }
        }
    }

    /// Commits that nobody acknowledges, and what becomes of them where no replica is left that could.
    fn commits(&mut self, view: &ClusterView, answers: &[NodeAnswer]) {
        for (answer, (count, seconds)) in answers.iter().filter_map(|answer| Some((answer, answer.waiting_commits()?))) {
            let hint = "do replicas get what is written there? See 'pgfleet doctor', and the way between the nodes' PostgreSQL ports";
            let text = format!("commits wait for a replica on {}: {count}, the oldest for {seconds} s", answer.node);
            self.add(Severity::Critical, text, Some(hint));
        }
        let Some(leader) = view.leader().filter(|leader| leader.state == "running" && view.synchronous_mode != "off") else { return };
        if view.members.iter().any(|member| !member.is_leader() && member.is_well() && !member.has_tag("nosync")) {
            return;
        }
        let (text, hint) = if view.synchronous_mode_strict {
            (
                "commits wait: no replica is there to acknowledge them".to_owned(),
                "bring one back; 'pgfleet config set synchronous_mode_strict=false' lets the leader go on alone",
            )
        } else {
            (
                format!("what is committed now is on {} alone: no replica is there to acknowledge it", leader.name),
                "bring one back; 'pgfleet config set synchronous_mode_strict=true' lets commits wait instead",
            )
        };
        self.add(Severity::Warning, text, Some(hint));
    }

    fn switches(&mut self, view: &ClusterView) {
        if view.paused {
            self.add(Severity::Warning, "the cluster is paused: no automatic failover", Some("'pgfleet resume' ends the pause"));
        }
        if let Some(scheduled) = &view.scheduled_switchover {
            let to = scheduled.to.as_deref().map(|to| format!(" to {to}")).unwrap_or_default();
            self.add(Severity::Notice, format!("a switchover{to} is scheduled for {}", scheduled.at), None);
        }
    }
}

/// What is to be done where nobody leads.
fn way_to_a_leader(view: &ClusterView) -> String {
    if view.may_decide().is_err() {
        return "etcd needs its quorum for an election; see etcd below".to_owned();
    }
    let lost: Vec<&str> = view.nodes.iter().map(|node| node.name.as_str()).filter(|name| view.is_out_of_reach(name)).collect();
    match (lost.is_empty(), view.synchronous_mode.as_str()) {
        (false, "on" | "quorum") => format!(
            "the others elect one only where they are sure to have all that was acknowledged: bring one of {} back; 'pgfleet failover' goes on without, and says what may be lost",
            lost.join(", ")
        ),
        _ => "an election takes seconds; after that 'pgfleet logs --unit patroni' says why there is none, and 'pgfleet failover' makes a new one".to_owned(),
    }
}
