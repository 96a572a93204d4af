//! `meta`: tasks that steer the play rather than a host.

use std::sync::{Arc, PoisonError};

use pgfleet_inventory::{Inventory, Reading};
use pgfleet_playbook::keywords::META;
use pgfleet_playbook::{Arguments, Task};
use pgfleet_template::Problem;

use crate::attempt::{Attempt, all_hold};
use crate::hosts::{Fate, HostState};
use crate::play::Playing;
use crate::run::Run;
use crate::steps::Following;
use crate::{Event, TaskResult};

/// Wishes that take no condition.
const UNCONDITIONAL: [&str; 3] = ["noop", "refresh_inventory", "reset_connection"];
/// Wishes that each host has for itself; the others are judged by the first host and hold for all.
const OF_HOSTS: [&str; 6] = ["noop", "reset_connection", "end_host", "flush_handlers", "end_role", "role_complete"];

impl Run {
    pub(crate) async fn meta(
        self: &Arc<Self>,
        playing: &Playing,
        task: &Arc<Task>,
        number: usize,
        hosts: &[Arc<HostState>],
    ) -> Result<(), Problem> {
        let written = match &task.arguments {
            Arguments::Named(named) => named.get("_raw_params").map(|(_, raw)| raw.as_written().to_string()),
            Arguments::Whole(..) => None,
        };
        let wish = written.unwrap_or_default();
        if !META.contains(&wish.as_str()) {
            return Err(Problem::new(format!("'meta: {wish}' is not known")).at(&task.place).did_you_mean(&wish, META.iter().copied()));
        }
        let asked = if OF_HOSTS.contains(&wish.as_str()) || playing.is_free() { hosts } else { &hosts[..hosts.len().min(1)] };
        let chosen = self.wishing(playing, task, number, asked, &wish)?;
        if chosen.is_empty() {
            return Ok(());
        }
        for host in &chosen {
            self.say(number, || done(&wish, host));
            if !OF_HOSTS.contains(&wish.as_str()) {
                break;
            }
        }
        match wish.as_str() {
            "flush_handlers" => self.flush_handlers(playing, &chosen).await?,
            "end_play" => playing.end(true),
            "end_batch" => playing.end(false),
            "end_role" if task.settings.role.is_none() => {
                return Err(Problem::new("'meta: end_role' stands in a role").at(&task.place));
            }
            "end_role" => chosen.iter().for_each(|host| host.meet(Fate::LeftRole)),
            "end_host" => chosen.iter().for_each(|host| host.meet(Fate::Ended)),
            "clear_facts" => playing.hosts().iter().for_each(|host| host.clear_facts()),
            "clear_host_errors" => playing.pardon(),
            "refresh_inventory" => self.refresh(playing)?,
            "reset_connection" => self.reset(playing, task, number, &chosen).await?,
            _ => {}
        }
        Ok(())
    }

    /// Tells what was done to whoever wants to know much.
    fn say(&self, number: usize, text: impl FnOnce() -> String) {
        if self.options.verbosity > 1 {
            self.tell(&Event::Said { task: number, text: format!("META: {}", text()) });
        }
    }

    /// The hosts for which the conditions hold; the others are told to skip it.
    fn wishing(
        self: &Arc<Self>,
        playing: &Playing,
        task: &Arc<Task>,
        number: usize,
        hosts: &[Arc<HostState>],
        wish: &str,
    ) -> Result<Vec<Arc<HostState>>, Problem> {
        if UNCONDITIONAL.contains(&wish) {
            if !task.settings.when.is_empty() {
                self.warn(format!("{wish} task does not support when conditional"));
            }
            return Ok(hosts.to_vec());
        }
        let mut chosen = Vec::new();
        for host in hosts {
            let scope = self.scope(playing, host, Some(task))?;
            match all_hold(&task.settings.when, &scope) {
                Ok(true) => chosen.push(host.clone()),
                Ok(false) => {
                    let reason = format!("{wish} conditional evaluated to False{}", going_on(wish, host));
                    self.say(number, || reason.clone());
                    self.conclude(playing, task, number, host, TaskResult::skipped(&reason), std::time::Instant::now())?;
                }
                Err(problem) => {
                    let result = TaskResult::from(problem.at(&task.place));
                    self.conclude(playing, task, number, host, result, std::time::Instant::now())?;
                }
            }
        }
        Ok(chosen)
    }

    /// Reads the inventory anew; what tasks have added stays.
    fn refresh(self: &Arc<Self>, playing: &Playing) -> Result<(), Problem> {
        let options = &self.options;
        let reading =
            Reading { merges: options.habits.merge_mappings, group_names: options.habits.group_names, extra: options.extra.clone() };
        let loaded = Inventory::load_with(
            &**options.loader.files(),
            &options.inventory_sources,
            Some(playing.play.folder.as_path()),
            options.loader.vault(),
            &reading,
        );
        let mut inventory = loaded.map_err(|problems| problems.into_iter().next().unwrap_or_else(|| Problem::new("no inventory")))?;
        for addition in self.additions.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // A host that the inventory has no more is in no group either.
            drop(addition.make(&mut inventory));
        }
        *self.inventory.write().unwrap_or_else(PoisonError::into_inner) = inventory;
        self.renew(None)
    }

    /// Ends the connections, so that the next task opens new ones.
    async fn reset(self: &Arc<Self>, playing: &Playing, task: &Arc<Task>, number: usize, hosts: &[Arc<HostState>]) -> Result<(), Problem> {
        for host in hosts {
            let attempt = Attempt { run: self, playing, task, number, host, following: Following::default() };
            let scope = self.scope(playing, host, Some(task))?;
            self.fleet.reset(&attempt.contact(&scope, None)?).await;
        }
        Ok(())
    }
}

/// What a wish did, in the real tool's words.
fn done(wish: &str, host: &HostState) -> String {
    match wish {
        "flush_handlers" => format!("triggered running handlers for {}", host.name),
        "end_host" => format!("ending play for {}", host.name),
        "end_play" => "ending play".to_owned(),
        "end_batch" => "ending batch".to_owned(),
        "clear_facts" => "facts cleared".to_owned(),
        "clear_host_errors" => "cleared host errors".to_owned(),
        "refresh_inventory" => "inventory successfully refreshed".to_owned(),
        "reset_connection" => "reset connection".to_owned(),
        other => other.to_owned(),
    }
}

/// What goes on where a wish was not fulfilled, since its condition does not hold.
fn going_on(wish: &str, host: &HostState) -> String {
    match wish {
        "flush_handlers" => format!(", not running handlers for {}", host.name),
        "end_host" => format!(", continuing execution for {}", host.name),
        "end_play" => ", continuing play".to_owned(),
        "end_batch" => ", continuing current batch".to_owned(),
        "clear_facts" => format!(", not clearing facts and fact cache for {}", host.name),
        "clear_host_errors" => format!(", not clearing host error state for {}", host.name),
        _ => String::new(),
    }
}
