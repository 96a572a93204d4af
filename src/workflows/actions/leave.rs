//! `cluster_leave`: takes a node out of the cluster: leadership, services, etcd member, Patroni's member key, slot.

use std::time::Duration;

use pgfleet_cluster::{ClusterView, Leaving, no_slots_kept, slot_of, slots_kept_again};
use serde_json::{Value, json};

use super::{Done, Trouble, Work};
use crate::nodes::Node;

/// A clean stop of PostgreSQL writes a checkpoint, which may take its time.
const STOP: Duration = Duration::from_secs(330);
/// Patroni's key of a member lives this long without it, and etcd's own changes are quicker.
const FORGOTTEN: Duration = Duration::from_secs(90);
/// Patroni drops a slot in one of its rounds.
const UNSLOTTED: Duration = Duration::from_secs(45);
/// Patroni takes no change while etcd elects.
const TAKEN: Duration = Duration::from_secs(30);
/// A question.
const SHORT: Duration = Duration::from_secs(15);

/// One member of etcd, as it lists them itself.
struct EtcdEntry {
    id: String,
    name: String,
}

pub(crate) async fn run(work: &Work) -> Result<Done, Trouble> {
    let name: String = work.argument("node")?.ok_or_else(|| Trouble::refused("no node was named"))?;
    let flag = |argument: &str| work.argument::<bool>(argument).map(Option::unwrap_or_default);
    let how = match (flag("dead")?, flag("switchover")?) {
        (true, _) => Leaving::Dead,
        (false, true) => Leaving::AfterSwitchover,
        (false, false) => Leaving::InOrder,
    };
    let node = if how == Leaving::Dead { None } else { Some(work.node(&name)?) };
    let view = work.look_at_members().await?.view;
    view.may_leave(&name, how)?;
    let leaver = Leaver { work, name: &name, node };
    let voters = leaver.etcd_entries(&view).await.map_err(Trouble::untouched)?;
    // A leader whose host has just come back still has its key, and no PostgreSQL yet.
    let slots = leaver.slots(&view).await.map_err(Trouble::untouched)?;
    let is_known =
        view.members.iter().any(|member| member.name == name) || voters.iter().any(|voter| voter.name == name) || !slots.is_empty();
    if !is_known && how == Leaving::Dead {
        return Err(Trouble::refused(format!("the cluster knows no '{name}' (any more)")).hint("take it out of the inventory"));
    }
    if work.is_check() || work.argument("look_only")?.unwrap_or(false) {
        let done = if work.is_check() { Done::changed() } else { Done::unchanged() };
        return Ok(done.with("summary", leaver.intention(&view, voters.len())).with("hand_over", leaver.leads(&view)));
    }
    leaver.stop_services().await?;
    leaver.leave_etcd(&view).await?;
    leaver.be_forgotten().await?;
    let rest = leaver.drop_slot().await?;
    let left = voters.iter().filter(|voter| voter.name != name).count();
    let told = format!("{name} has left the cluster; etcd has {left} voters.{}", odd(left));
    Ok(Done::changed().with("summary", rest.map_or_else(|| told.clone(), |rest| format!("{told}\n{rest}"))))
}

fn odd(voters: usize) -> &'static str {
    if voters.is_multiple_of(2) { " An odd number bears the same failures with one host less, or one more with one host more." } else { "" }
}

struct Leaver<'a> {
    work: &'a Work,
    name: &'a str,
    /// `None` for a host that is gone.
    node: Option<&'a Node>,
}

impl Leaver<'_> {
    fn leads(&self, view: &ClusterView) -> bool {
        view.leader().is_some_and(|leader| leader.name == self.name)
    }

    fn intention(&self, view: &ClusterView, voters: usize) -> String {
        let leads = self.leads(view);
        let mut steps = vec![format!("{} would leave the cluster:", self.name)];
        let voter = view.etcd.iter().any(|voter| voter.name == self.name);
        for (wanted, step) in [
            (leads, "another node leads first".to_owned()),
            (self.node.is_some(), "HAProxy, Patroni and the agent on it stop".to_owned()),
            (voter, format!("etcd goes on with {} of {voters} voters", voters.saturating_sub(1))),
            (true, "its member key and its slot go, and HAProxy and pg_hba on the others forget it".to_owned()),
        ] {
            if wanted {
                steps.push(format!("  {step}"));
            }
        }
        steps.join("\n")
    }

    async fn stop_services(&self) -> Result<(), Trouble> {
        let Some(node) = self.node else { return Ok(()) };
        for unit in ["haproxy", "patroni", "pgfleet-agent"] {
            self.work.step(&format!("{unit} on {} stops", node.name), self.stop(node, unit)).await?;
        }
        Ok(())
    }

    async fn stop(&self, node: &Node, unit: &str) -> Result<(), Trouble> {
        // A host without the unit has nothing to stop: asked for its state, it says so.
        let ended = self.work.nodes.run(node, &["systemctl", "disable", "--now", unit], "", STOP).await?;
        let state = self.work.nodes.run(node, &["systemctl", "is-active", unit], "", SHORT).await?;
        match state.stdout.trim() {
            "active" | "activating" | "deactivating" | "reloading" => {
                Err(Trouble::failed(format!("{unit} on {} is still {}: {}", node.name, state.stdout.trim(), ended.stderr.trim())))
            }
            _ => Ok(()),
        }
    }

    /// A voter that stays and is well, to speak to etcd through.
    fn speaker(&self, view: &ClusterView) -> Option<&Node> {
        let stays = view.etcd.iter().filter(|voter| voter.healthy && voter.name != self.name);
        stays.filter_map(|voter| self.work.nodes.find(&voter.name)).next()
    }

    async fn etcd(&self, node: &Node, path: &str, body: &Value) -> Result<Value, Trouble> {
        Ok(self.work.nodes.etcd(node, 0, path, body, SHORT).await?)
    }

    async fn etcd_entries(&self, view: &ClusterView) -> Result<Vec<EtcdEntry>, Trouble> {
        let Some(speaker) = self.speaker(view) else { return Ok(Vec::new()) };
        let list = self.etcd(speaker, "/v3/cluster/member/list", &json!({})).await?;
        let entry = |member: &Value| {
            let text = |name: &str| member[name].as_str().unwrap_or_default().to_owned();
            EtcdEntry { id: text("ID"), name: text("name") }
        };
        Ok(list["members"].as_array().into_iter().flatten().map(entry).collect())
    }

    /// First the membership, then the service: the others never count on a voter that is silent.
    async fn leave_etcd(&self, view: &ClusterView) -> Result<(), Trouble> {
        if let Some(entry) = self.etcd_entries(view).await?.into_iter().find(|entry| entry.name == self.name) {
            let speaker = self.speaker(view).ok_or_else(|| Trouble::failed("no other voter answers"))?;
            self.work
                .step(&format!("etcd goes on without {}", self.name), async {
                    self.etcd(speaker, "/v3/cluster/member/remove", &json!({"ID": entry.id})).await?;
                    self.work
                        .until("the other voters agree", FORGOTTEN, || async {
                            let (view, _) = self.work.nodes.view().await;
                            let ill = view.etcd.iter().find(|voter| voter.name != self.name && !voter.healthy);
                            match (view.etcd.iter().any(|voter| voter.name == self.name), ill) {
                                (true, _) => Err(format!("{} is still listed", self.name)),
                                (false, Some(ill)) if self.node.is_some() => Err(format!("{} is not healthy", ill.name)),
                                _ => Ok(()),
                            }
                        })
                        .await
                })
                .await?;
        }
        if let Some(node) = self.node.filter(|node| node.is_voter) {
            self.stop(node, "etcd").await?;
            // Of no use any more, and in the way if the host comes back: a removed member may not return with its data.
            self.work.nodes.run(node, &["rm", "-rf", "--one-file-system", "--", &node.etcd_dir], "", SHORT).await?;
        }
        Ok(())
    }

    /// Patroni's key of the member goes by itself; then nobody waits for it when the leader asks all members.
    async fn be_forgotten(&self) -> Result<(), Trouble> {
        let forget = self.work.until("Patroni forgets the member", FORGOTTEN, || async {
            let (view, _) = self.work.nodes.view().await;
            if view.members.iter().any(|member| member.name == self.name) {
                return Err("its key is still there".to_owned());
            }
            let Some(leader) = view.leader().and_then(|leader| self.work.nodes.find(&leader.name)) else {
                return Err("no leader".to_owned());
            };
            let failsafe = self.work.nodes.get(leader, &format!("{}/failsafe", leader.patroni_url)).await?;
            match failsafe.json().is_some_and(|members| failsafe.status == 200 && members.get(self.name).is_some()) {
                true => Err("the leader still counts on it in the failsafe list".to_owned()),
                false => Ok(()),
            }
        });
        self.work.step(&format!("Patroni forgets {}", self.name), forget).await
    }

    async fn slots(&self, view: &ClusterView) -> Result<Vec<String>, Trouble> {
        let Some(leader) = view.leader().and_then(|leader| self.work.nodes.find(&leader.name)) else { return Ok(Vec::new()) };
        let query = format!("SELECT slot_name FROM pg_replication_slots WHERE slot_name = '{}';", slot_of(self.name));
        let text = self.work.nodes.sql(leader, "postgres", &query, SHORT).await?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Patroni 4 keeps the slot of an absent member for half an hour, and makes it again when somebody drops it. So it is asked to
    /// keep none for a moment; the slots of members that are there stay. Answers what is left to do.
    async fn drop_slot(&self) -> Result<Option<String>, Trouble> {
        let (view, _) = self.work.nodes.view().await;
        if self.slots(&view).await?.is_empty() {
            // A run that was to leave here may have been interrupted.
            self.share(slots_kept_again).await?;
            return Ok(None);
        }
        self.share(|shared| Some(no_slots_kept(shared))).await?;
        let gone = self.work.until("the slot is gone", UNSLOTTED, || async {
            let (view, _) = self.work.nodes.view().await;
            view.working_leader().map_err(|objection| objection.reason)?;
            match self.slots(&view).await {
                Ok(slots) if slots.is_empty() => Ok(()),
                Ok(_) => Err("it is still there".to_owned()),
                Err(trouble) => Err(trouble.to_string()),
            }
        });
        let gone = self.work.step("its replication slot goes", gone).await;
        self.share(slots_kept_again).await?;
        // The node has left all the same.
        let slot = slot_of(self.name);
        Ok(gone.err().map(|trouble| {
            format!("Its replication slot '{slot}' may still be there, and keep up to max_slot_wal_keep_size of log ({trouble}): the leader's journal says why.")
        }))
    }

    /// Changes the settings that all nodes share, through any Patroni that answers.
    async fn share(&self, change: impl Fn(&Value) -> Option<Value>) -> Result<(), Trouble> {
        let taken = self.work.until("Patroni takes member_slots_ttl", TAKEN, || async {
            let seen = self.work.look().await;
            // Without a quorum Patroni answers 409, and not why.
            seen.view.may_decide().map_err(|objection| objection.reason)?;
            let shared = seen.config().ok_or("no Patroni tells the settings that all nodes share")?;
            let Some(change) = change(&shared) else { return Ok(()) };
            let speaker = self.work.speaker(&seen).map_err(|trouble| trouble.to_string())?;
            let answer = self.work.nodes.patroni(speaker, "PATCH", "/config", &change, SHORT).await?;
            match answer.status {
                200 => Ok(()),
                status => Err(format!("{} answers {status}: {}", speaker.name, answer.body.trim())),
            }
        });
        taken.await
    }
}
