//! The modules that the controller does: one file each. They look at the cluster, decide with `cluster`, and act through agents.

mod absence;
mod certificates;
mod checkpoint;
mod config;
mod connection;
mod doctor;
mod drill;
mod dump;
mod failover;
mod history;
mod hold;
mod lease;
mod leave;
mod leftovers;
mod logs;
mod may_switch_over;
mod parameters;
mod pause;
mod prove;
mod reinit;
mod reload;
mod restart;
mod restore;
mod routers;
mod secrets_set;
mod secrets_use;
mod seen;
mod start;
mod stop;
mod switchover;
mod units;
mod unlock;
mod voters;
mod work;
mod writes;

use futures::future::BoxFuture;
use pgfleet_engine::{Action, Controller, TaskResult};

pub(crate) use work::{Done, Trouble, Work};

/// The modules of the controller. They share nothing between tasks but the cluster itself.
pub(crate) struct Actions;

impl Controller for Actions {
    fn act(&self, action: Action) -> BoxFuture<'_, TaskResult> {
        Box::pin(async move {
            let module = action.module;
            let work = match Work::new(action) {
                Ok(work) => work,
                Err(trouble) => return TaskResult::from(trouble),
            };
            let done = match module {
                "cluster_certificates" => certificates::run(&work),
                "cluster_drill" => drill::run(&work).await,
                "cluster_leftovers" => leftovers::run(&work).await,
                "cluster_lease" => lease::run(&work).await,
                "cluster_unlock" => unlock::run(&work).await,
                "cluster_logs" => logs::run(&work).await,
                "cluster_start" => start::run(&work).await,
                "cluster_stop" => stop::run(&work).await,
                "cluster_leave" => leave::run(&work).await,
                "cluster_vacant" => restore::vacant(&work).await,
                "postgresql_refill" => restore::fill_anew(&work).await,
                "postgresql_restore" => restore::run(&work).await,
                "etcd_move_leader" => voters::run(&work).await,
                "patroni_checkpoint" => checkpoint::run(&work).await,
                "patroni_config" => config::run(&work).await,
                "patroni_failover" => failover::run(&work).await,
                "patroni_history" => history::run(&work).await,
                "patroni_pause" => pause::run(&work).await,
                "patroni_reinit" => reinit::run(&work).await,
                "patroni_reload" => reload::run(&work).await,
                "patroni_restart" => restart::run(&work).await,
                "cluster_doctor" => doctor::run(&work).await,
                "postgresql_connection" => connection::run(&work).await,
                "patroni_may_switch_over" => may_switch_over::run(&work).await,
                "patroni_switchover" => switchover::run(&work).await,
                "postgresql_dump" => dump::run(&work).await,
                "postgresql_prove" => prove::run(&work).await,
                "secrets_set" => secrets_set::run(&work).await,
                "secrets_use" => secrets_use::run(&work).await,
                other => Err(Trouble::failed(format!("the module '{other}' has a name, but nobody does it"))),
            };
            done.map_or_else(TaskResult::from, TaskResult::from)
        })
    }
}
