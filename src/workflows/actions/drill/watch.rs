//! The events of a drill: each node's Patroni and the leader's key in etcd, looked at several times a second.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::{join, join_all};
use pgfleet_cluster::Event;
use serde_json::{Value, json};

use crate::actions::Work;
use crate::nodes::Node;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// The lanes of these calls: an etcd without quorum answers late, and Patroni shall not wait for it.
const PATRONI: u8 = 5;
const ETCD: u8 = 6;

/// The leader's key, as far as etcd can say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// Who holds it.
    Held(String),
    /// Nobody.
    Free,
    /// No voter answers.
    Unknown,
}

#[derive(Default)]
struct Seen {
    events: Vec<(i64, &'static str, String)>,
    zero: Option<i64>,
    key: Option<Key>,
    silent: Vec<String>,
}

/// What has happened so far.
pub(super) struct Watch(Mutex<Seen>);

/// Milliseconds since 1970, by this machine's clock.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

impl Watch {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault is made now.
    pub(super) fn begin(&self, what: &str) {
        self.seen().zero = Some(now());
        self.tell("drill", what.to_owned());
    }

    /// When the fault was made; nothing where it was not.
    pub(super) fn zero(&self) -> Option<i64> {
        self.seen().zero
    }

    pub(super) fn tell(&self, kind: &'static str, text: String) {
        self.seen().events.push((now(), kind, text));
    }

    /// What has happened since the fault.
    pub(super) fn events(&self) -> Vec<Event> {
        let seen = self.seen();
        let zero = seen.zero.unwrap_or_default();
        let since = seen.events.iter().filter(|(at, ..)| *at >= zero);
        since.map(|(at, kind, text)| Event { at: at - zero, kind, text: text.clone() }).collect()
    }

    /// Looks until it is no longer polled.
    pub(super) async fn look(&self, work: &Work, leader: &Node) -> Infallible {
        let members = join_all(work.nodes.databases().map(|node| self.member(work, node)));
        let voters = join_all(work.nodes.all().iter().filter(|node| node.is_voter).map(|node| self.voter(work, node, leader)));
        join(members, voters).await;
        std::future::pending().await
    }

    async fn member(&self, work: &Work, node: &Node) {
        let question = json!({"url": format!("{}/patroni", node.patroni_url), "timeout": 2});
        let mut last: Option<String> = None;
        loop {
            let said = match work.nodes.ask(node, PATRONI, question.clone()).await {
                Ok(answer) => state(&answer.json().unwrap_or_default()),
                Err(_) => "Patroni does not answer".to_owned(),
            };
            if let Some(before) = last.replace(said.clone())
                && before != said
            {
                self.tell("member", format!("{}: {said}", node.name));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn voter(&self, work: &Work, node: &Node, leader: &Node) {
        let key = STANDARD.encode(format!("/service/{}/leader", leader.cluster));
        let question = json!({"url": format!("{}/v3/kv/range", node.etcd_url), "method": "POST", "body": {"key": key}, "timeout": 2});
        let voters = work.nodes.all().iter().filter(|node| node.is_voter).count();
        loop {
            let answer = work.nodes.ask(node, ETCD, question.clone()).await.ok().filter(|answer| answer.status == 200);
            self.heard(&node.name, answer.and_then(|answer| Some(holder(&answer.json()?))), voters);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn heard(&self, voter: &str, key: Option<Key>, voters: usize) {
        let mut seen = self.seen();
        seen.silent.retain(|name| name != voter);
        if key.is_none() {
            seen.silent.push(voter.to_owned());
        }
        let key = match key {
            Some(key) => key,
            None if seen.silent.len() == voters => Key::Unknown,
            None => return,
        };
        if seen.key.replace(key.clone()).is_none_or(|before| before == key) {
            return;
        }
        let text = match key {
            Key::Held(name) => format!("{name} has the leader's key"),
            Key::Free => "nobody has the leader's key".to_owned(),
            Key::Unknown => "etcd cannot say who has the leader's key".to_owned(),
        };
        seen.events.push((now(), "leader key", text));
    }
}

/// Who holds the key, from etcd's answer.
fn holder(answer: &Value) -> Key {
    let value = answer["kvs"][0]["value"].as_str().and_then(|value| STANDARD.decode(value).ok());
    value.and_then(|value| String::from_utf8(value).ok()).map_or(Key::Free, Key::Held)
}

/// What a Patroni says of its node, in a few words.
fn state(own: &Value) -> String {
    let word = |name: &str| own[name].as_str().unwrap_or("?").to_owned();
    let mut text = format!("{}, {}", word("role"), word("state"));
    if let Some(timeline) = own["timeline"].as_u64() {
        text += &format!(", timeline {timeline}");
    }
    if own["failsafe_mode_is_active"] == true {
        text += ", failsafe mode";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_changes_hands_once_however_many_voters_tell_it() {
        let watch = Watch::new();
        let held = |name: &str| Some(Key::Held(name.to_owned()));
        watch.heard("v1", held("a"), 2);
        watch.heard("v2", held("a"), 2);
        watch.heard("v1", None, 2);
        watch.heard("v2", Some(Key::Free), 2);
        watch.heard("v2", None, 2);
        watch.heard("v2", held("b"), 2);
        watch.heard("v1", held("b"), 2);
        let texts: Vec<String> = watch.events().into_iter().map(|event| event.text).collect();
        assert_eq!(texts, ["nobody has the leader's key", "etcd cannot say who has the leader's key", "b has the leader's key"]);
    }

    #[test]
    fn answers_of_etcd_and_patroni_are_read() {
        assert_eq!(holder(&json!({"kvs": [{"value": STANDARD.encode("a.lan")}]})), Key::Held("a.lan".to_owned()));
        assert_eq!(holder(&json!({"header": {}})), Key::Free);
        assert_eq!(state(&json!({"role": "primary", "state": "running", "timeline": 3})), "primary, running, timeline 3");
        assert_eq!(
            state(&json!({"role": "replica", "state": "starting", "failsafe_mode_is_active": true})),
            "replica, starting, failsafe mode"
        );
    }
}
