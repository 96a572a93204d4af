//! Steps on a set of hosts: tasks one after the other, blocks with their rescue.

use std::sync::Arc;

use futures::future::BoxFuture;
use pgfleet_playbook::{Block, Kind, Step, Task};
use pgfleet_template::Problem;

use crate::hosts::{Fate, HostState};
use crate::play::{Playing, active};
use crate::run::Run;

type Hosts = Vec<Arc<HostState>>;

impl Run {
    /// Runs steps in order. A host that fails takes no part in the later ones.
    pub(crate) fn steps<'a>(
        self: &'a Arc<Self>,
        playing: &'a Playing,
        steps: &'a [Step],
        hosts: Hosts,
    ) -> BoxFuture<'a, Result<(), Problem>> {
        Box::pin(async move {
            for step in steps {
                let hosts = active(&hosts);
                if hosts.is_empty() || playing.is_ended() || self.options.stop.is_asked() {
                    break;
                }
                match step {
                    Step::Task(task) if !self.options.tags.selects(&task.settings.tags) && !is_include(task) => {}
                    Step::Task(task) if is_include(task) => self.include(playing, task, hosts).await?,
                    Step::Task(task) => self.task(playing, task, hosts, false).await?,
                    Step::Block(block) => self.block(playing, block, hosts).await?,
                }
            }
            Ok(())
        })
    }

    async fn block(self: &Arc<Self>, playing: &Playing, block: &Block, hosts: Hosts) -> Result<(), Problem> {
        self.steps(playing, &block.block, hosts.clone()).await?;
        let failed: Hosts = hosts.iter().filter(|host| host.fate() == Fate::Failed).cloned().collect();
        if !block.rescue.is_empty() && !failed.is_empty() {
            failed.iter().for_each(|host| host.meet(Fate::Active));
            self.steps(playing, &block.rescue, failed.clone()).await?;
            for host in failed.iter().filter(|host| host.is_active()) {
                host.count(|counts| {
                    counts.rescued += 1;
                    counts.failed = counts.failed.saturating_sub(1);
                });
            }
        }
        if !block.always.is_empty() {
            let failed: Hosts = hosts.iter().filter(|host| host.fate() == Fate::Failed).cloned().collect();
            failed.iter().for_each(|host| host.meet(Fate::Active));
            self.steps(playing, &block.always, active(&hosts)).await?;
            failed.iter().filter(|host| host.is_active()).for_each(|host| host.meet(Fate::Failed));
        }
        Ok(())
    }
}

/// True for an include whose file is chosen at run time.
fn is_include(task: &Task) -> bool {
    matches!(task.kind, Kind::Engine(_)) && task.module.name == "include_tasks"
}
