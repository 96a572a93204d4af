//! Steps on a set of hosts: tasks one after the other, blocks with their rescue.

use std::sync::Arc;

use futures::future::BoxFuture;
use pgfleet_playbook::{Block, Engine, Kind, Step, Task};
use pgfleet_template::Problem;

use crate::hosts::{Fate, HostState};
use crate::play::{Playing, active};
use crate::run::Run;

type Hosts = Vec<Arc<HostState>>;

/// What comes after a task, as far as it is known: the rest of its file or block, and what comes after that one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Following<'a> {
    steps: &'a [Step],
    after: Option<&'a Following<'a>>,
}

impl<'a> Following<'a> {
    /// The steps in their order.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a Step> {
        std::iter::successors(Some(self), |part| part.after.copied()).flat_map(|part| part.steps)
    }
}

impl Run {
    /// Runs steps in order. A host that fails takes no part in the later ones.
    pub(crate) fn steps<'a>(
        self: &'a Arc<Self>,
        playing: &'a Playing,
        steps: &'a [Step],
        hosts: Hosts,
        after: Following<'a>,
    ) -> BoxFuture<'a, Result<(), Problem>> {
        Box::pin(async move {
            for (index, step) in steps.iter().enumerate() {
                let hosts = active(&hosts);
                if hosts.is_empty() || playing.is_ended() || self.options.stop.is_asked() {
                    break;
                }
                let following = Following { steps: &steps[index + 1..], after: Some(&after) };
                match step {
                    Step::Task(task) if !self.has_begun(Some(task)) => {}
                    Step::Task(task) if !self.options.tags.selects(&task.settings.tags) && !is_include(task) => {}
                    Step::Task(task) => self.task_or_include(playing, task, hosts, following, false).await?,
                    Step::Block(block) => self.block(playing, block, hosts, following).await?,
                }
            }
            Ok(())
        })
    }

    /// Runs a task, which these follow, or the tasks of the file that it includes; then looks whether too many hosts have failed.
    pub(crate) async fn task_or_include(
        self: &Arc<Self>,
        playing: &Playing,
        task: &Arc<Task>,
        hosts: Hosts,
        following: Following<'_>,
        handler: bool,
    ) -> Result<(), Problem> {
        if is_include(task) {
            return self.include(playing, task, hosts, following, handler).await;
        }
        self.task(playing, task, hosts, following, handler).await?;
        self.end_if_too_many_failed(playing)
    }

    async fn block(self: &Arc<Self>, playing: &Playing, block: &Block, hosts: Hosts, after: Following<'_>) -> Result<(), Problem> {
        if let Some(role) = &block.role {
            // A role that has run on a host does not run there again, unless it says that it may.
            let hosts = playing.roles.lacking(role, hosts);
            self.steps(playing, &block.block, hosts.clone(), after).await?;
            hosts.iter().filter(|host| host.fate() == Fate::LeftRole).for_each(|host| host.meet(Fate::Active));
            playing.roles.complete(role, &active(&hosts));
            return Ok(());
        }
        let rescued = !block.rescue.is_empty();
        playing.rescuing(rescued, 1);
        let always = Following { steps: &block.always, after: Some(&after) };
        let done = self.steps(playing, &block.block, hosts.clone(), always).await;
        playing.rescuing(rescued, -1);
        done?;
        let failed: Hosts = hosts.iter().filter(|host| host.fate() == Fate::Failed).cloned().collect();
        if !block.rescue.is_empty() && !failed.is_empty() {
            for host in &failed {
                host.meet(Fate::Active);
                // A host that another one's failure took along has none of its own to rescue.
                host.count(|counts| {
                    if counts.failed > 0 {
                        counts.failed -= 1;
                        counts.rescued += 1;
                    }
                });
            }
            self.steps(playing, &block.rescue, failed, always).await?;
            self.end_if_too_many_failed(playing)?;
        }
        if !block.always.is_empty() {
            let failed: Hosts = hosts.iter().filter(|host| host.fate() == Fate::Failed).cloned().collect();
            failed.iter().for_each(|host| host.meet(Fate::Active));
            let pardons = playing.pardons();
            self.steps(playing, &block.always, active(&hosts), after).await?;
            if pardons == playing.pardons() {
                failed.iter().filter(|host| host.is_active()).for_each(|host| host.meet(Fate::Failed));
            }
        }
        Ok(())
    }
}

/// True for an include whose file is chosen at run time.
pub(crate) fn is_include(task: &Task) -> bool {
    matches!(task.kind, Kind::Engine(Engine::IncludeTasks | Engine::IncludeRole)) && task.refused.is_none()
}
