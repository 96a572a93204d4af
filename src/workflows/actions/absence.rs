//! Waiting for nodes ends where what is waited for would not come: the host of one of them stays out of reach, or its PostgreSQL does not start.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::seen::Seen;
use super::{Trouble, Work};

/// A connection that is made anew, or a quick boot, takes less.
const OUT_OF_REACH: Duration = Duration::from_secs(30);
/// Patroni tries a PostgreSQL again that does not start; after so long it does not do so by itself.
const STARTS: Duration = Duration::from_secs(30);

/// A PostgreSQL that has written out its memory before ends within seconds.
const ENDS: Duration = Duration::from_secs(60);

/// Since when something has been amiss with nodes, look after look.
#[derive(Default)]
struct Since(Mutex<BTreeMap<String, Instant>>);

impl Since {
    /// What is amiss with one of these nodes, once something has been for longer than this. A node that is left out stays as it was.
    fn longer<'a>(&self, limit: Duration, now: Instant, nodes: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Option<String> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lost = None;
        for (name, reason) in nodes {
            let Some(reason) = reason else {
                since.remove(name);
                continue;
            };
            let begin = *since.entry(name.to_owned()).or_insert(now);
            if now.duration_since(begin) > limit {
                lost = lost.or_else(|| Some(reason.to_owned()));
            }
        }
        lost
    }
}

/// Since when hosts have been out of reach, and PostgreSQLs have not started or not ended.
#[derive(Default)]
pub(crate) struct Absence {
    out_of_reach: Since,
    not_starting: Since,
    not_ending: Since,
}

impl Absence {
    /// Why one of these nodes cannot be reached, once that has been so for too long.
    pub(crate) fn lost(&self, seen: &Seen, names: &[&str]) -> Option<String> {
        self.out_of_reach.longer(OUT_OF_REACH, Instant::now(), names.iter().map(|name| (*name, seen.unreachable(name))))
    }

    /// The one of these nodes whose PostgreSQL has not started for too long, however often Patroni tried.
    pub(crate) fn hopeless(&self, seen: &Seen, names: &[&str]) -> Option<String> {
        let told = names.iter().filter_map(|name| match seen.own(name).get("state").and_then(Value::as_str) {
            Some("start failed") => Some((*name, Some(*name))),
            Some("running") => Some((*name, None)),
            _ => None,
        });
        self.not_starting.longer(STARTS, Instant::now(), told)
    }

    /// True once this node's PostgreSQL has been stopping for too long.
    pub(crate) fn is_not_ending(&self, seen: &Seen, name: &str) -> bool {
        let state = seen.own(name).get("state").and_then(Value::as_str).map(|state| (name, (state == "stopping").then_some(name)));
        self.not_ending.longer(ENDS, Instant::now(), state.into_iter()).is_some()
    }
}

impl Work {
    /// Looks at the cluster again and again until there is what was waited for, or nobody need wait for one of these nodes any more.
    pub(crate) async fn until_seen<T>(
        &self,
        what: &str,
        limit: Duration,
        names: &[&str],
        judge: impl Fn(&Seen) -> Result<T, String>,
    ) -> Result<T, Trouble> {
        let absence = Absence::default();
        let ended = self.until(what, limit, || async {
            let seen = self.look().await;
            if let Some(reason) = absence.lost(&seen, names) {
                return Ok(Err(Trouble::unverified(format!("{what}: {reason}"))));
            }
            if let Some(name) = absence.hopeless(&seen, names) {
                return Ok(Err(self.not_starting(&name).await));
            }
            judge(&seen).map(Ok)
        });
        ended.await?
    }

    /// That a node's PostgreSQL does not start, and why.
    pub(crate) async fn not_starting(&self, name: &str) -> Trouble {
        let cause = match self.node(name) {
            Ok(node) => self.cause(node).await,
            Err(trouble) => return trouble,
        };
        let trouble = Trouble::unverified(format!("PostgreSQL on {name} does not start any more: {cause}"));
        trouble.hint("set back what was changed ('pgfleet config'), or mend the cause: Patroni starts it by itself then")
    }
}

#[cfg(test)]
mod tests {
    use super::{OUT_OF_REACH, Since};
    use std::time::{Duration, Instant};

    #[test]
    fn a_host_is_given_up_when_it_was_out_of_reach_all_the_while() {
        let (since, begin) = (Since::default(), Instant::now());
        let look = |seconds: u64, nodes: &[(&str, Option<&str>)]| {
            since.longer(OUT_OF_REACH, begin + Duration::from_secs(seconds), nodes.iter().map(|(name, reason)| (*name, *reason)))
        };
        let limit = OUT_OF_REACH.as_secs();
        assert_eq!(look(0, &[("a", Some("a: no route")), ("b", None)]), None);
        assert_eq!(look(limit, &[("a", Some("a: no route")), ("b", Some("b: no route"))]), None);
        assert_eq!(look(limit + 1, &[("a", Some("a: no answer")), ("b", Some("b: no route"))]), Some("a: no answer".to_owned()));
        assert_eq!(look(limit + 2, &[("a", None), ("b", Some("b: no route"))]), None, "it came back");
        assert_eq!(look(limit + 3, &[("a", Some("a: no route")), ("b", None)]), None, "and is waited for anew");
        assert_eq!(look(2 * limit + 3, &[]), None, "nothing new");
        assert_eq!(look(2 * limit + 4, &[("a", Some("a: no route"))]), Some("a: no route".to_owned()));
    }
}
