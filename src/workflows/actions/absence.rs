//! Waiting for nodes ends where the host of one of them stays out of reach: what is waited for would not come.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::seen::Seen;
use super::{Trouble, Work};

/// A connection that is made anew, or a quick boot, takes less.
const OUT_OF_REACH: Duration = Duration::from_secs(30);

/// Since when hosts have been out of reach, look after look.
#[derive(Default)]
pub(crate) struct Absence(Mutex<BTreeMap<String, Instant>>);

impl Absence {
    /// Why one of these nodes cannot be reached, once that has been so for too long.
    pub(crate) fn lost(&self, seen: &Seen, names: &[&str]) -> Option<String> {
        self.since(Instant::now(), names.iter().map(|name| (*name, seen.unreachable(name))))
    }

    fn since<'a>(&self, now: Instant, nodes: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Option<String> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lost = None;
        for (name, reason) in nodes {
            let Some(reason) = reason else {
                since.remove(name);
                continue;
            };
            let begin = *since.entry(name.to_owned()).or_insert(now);
            if now.duration_since(begin) > OUT_OF_REACH {
                lost = lost.or_else(|| Some(reason.to_owned()));
            }
        }
        lost
    }
}

impl Work {
    /// Looks at the cluster again and again until there is what was waited for, or one of these nodes is out of reach.
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
            match absence.lost(&seen, names) {
                Some(reason) => Ok(Err(Trouble::unverified(format!("{what}: {reason}")))),
                None => judge(&seen).map(Ok),
            }
        });
        ended.await?
    }
}

#[cfg(test)]
mod tests {
    use super::{Absence, OUT_OF_REACH};
    use std::time::{Duration, Instant};

    #[test]
    fn a_host_is_given_up_when_it_was_out_of_reach_all_the_while() {
        let (absence, begin) = (Absence::default(), Instant::now());
        let look = |seconds: u64, nodes: &[(&str, Option<&str>)]| {
            absence.since(begin + Duration::from_secs(seconds), nodes.iter().map(|(name, reason)| (*name, *reason)))
        };
        let limit = OUT_OF_REACH.as_secs();
        assert_eq!(look(0, &[("a", Some("a: no route")), ("b", None)]), None);
        assert_eq!(look(limit, &[("a", Some("a: no route")), ("b", Some("b: no route"))]), None);
        assert_eq!(look(limit + 1, &[("a", Some("a: no answer")), ("b", Some("b: no route"))]), Some("a: no answer".to_owned()));
        assert_eq!(look(limit + 2, &[("a", None), ("b", Some("b: no route"))]), None, "it came back");
        assert_eq!(look(limit + 3, &[("a", Some("a: no route")), ("b", None)]), None, "and is waited for anew");
        assert_eq!(look(2 * limit + 4, &[("a", Some("a: no route"))]), Some("a: no route".to_owned()));
    }
}
