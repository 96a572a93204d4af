//! What every module of the controller works with: arguments, nodes, telling; and how it ends.

use std::time::{Duration, Instant};

use pgfleet_engine::{Action, Ending, Stop, TaskResult, Teller};
use pgfleet_protocol::{Argument, Map, Mode};
use serde_json::{Value, json};

use crate::nodes::{Node, Nodes};

/// One task in the hands of a module.
pub(crate) struct Work {
    /// The nodes.
    pub(crate) nodes: Nodes,
    /// Tells a person how far it is.
    pub(crate) teller: Teller,
    /// A person asked to end early.
    pub(crate) stop: Stop,
    mode: Mode,
    arguments: Map,
}

/// How a module's work ended well.
pub(crate) struct Done {
    changed: bool,
    data: Map,
}

impl Done {
    /// Something was changed, or would be.
    pub(crate) fn changed() -> Self {
        Self { changed: true, data: Map::new() }
    }

    /// All was as it should be.
    pub(crate) fn unchanged() -> Self {
        Self { changed: false, data: Map::new() }
    }

    /// The same with one more result.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}

impl From<Done> for TaskResult {
    fn from(done: Done) -> Self {
        let result = Self::new(if done.changed { Ending::Changed } else { Ending::Ok });
        done.data.into_iter().fold(result, |result, (name, value)| result.with(&name, value))
    }
}

/// Why a module's work did not end well.
#[derive(Debug)]
pub(crate) struct Trouble {
    verdict: &'static str,
    reason: String,
    hint: Option<String>,
    data: Box<Map>,
}

impl Trouble {
    /// Something went wrong on the way.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self { verdict: "failed", reason: reason.into(), hint: None, data: Box::default() }
    }

    /// It would be unsafe, and nothing was touched.
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self { verdict: "refused", ..Self::failed(reason) }
    }

    /// It was done, but what came of it is not as it should be.
    pub(crate) fn unverified(reason: impl Into<String>) -> Self {
        Self { verdict: "unverified", ..Self::failed(reason) }
    }

    /// Another run has the cluster, and nothing was touched.
    pub(crate) fn locked(reason: impl Into<String>) -> Self {
        Self { verdict: "locked", ..Self::failed(reason) }
    }

    /// True for what was refused before anything was touched.
    pub(crate) fn is_refusal(&self) -> bool {
        self.verdict == "refused"
    }

    /// The same where a question failed and nothing was touched yet: it can be asked again.
    pub(crate) fn untouched(self) -> Self {
        Self { verdict: "refused", ..self }.hint("nothing was touched; see 'pgfleet status', and ask again when the cluster is whole")
    }

    /// The same with the next step.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same with one more result.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self::failed(reason)
    }
}

impl From<Trouble> for TaskResult {
    fn from(trouble: Trouble) -> Self {
        let prefix = if trouble.verdict == "refused" { "refused: " } else { "" };
        let result = Self::failed(format!("{prefix}{}", trouble.reason)).with("verdict", trouble.verdict);
        let result = trouble.data.into_iter().fold(result, |result, (name, value)| result.with(&name, value));
        Self { hint: trouble.hint, ..result }
    }
}

impl Work {
    pub(crate) fn new(action: Action) -> Result<Self, Trouble> {
        let nodes = Nodes::new(action.fleet, action.hosts).map_err(Trouble::failed)?;
        Ok(Self { nodes, teller: action.teller, stop: action.stop, mode: action.mode, arguments: action.arguments })
    }

    /// True when nothing may be changed.
    pub(crate) fn is_check(&self) -> bool {
        self.mode.is_check()
    }

    /// An argument; `None` where it is not given, empty or null.
    pub(crate) fn argument<T: Argument>(&self, name: &str) -> Result<Option<T>, Trouble> {
        match self.arguments.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(value) => T::read(value).map(Some).map_err(|reason| Trouble::failed(format!("argument '{name}': {reason}"))),
        }
    }

    /// A node of the inventory by its name.
    pub(crate) fn node(&self, name: &str) -> Result<&Node, Trouble> {
        self.nodes.find(name).ok_or_else(|| {
            let names: Vec<&str> = self.nodes.databases().map(|node| node.name.as_str()).collect();
            let trouble = Trouble::refused(format!("'{name}' is no node of the cluster"));
            trouble.hint(format!("its nodes are {}", names.join(", ")))
        })
    }

    /// Why PostgreSQL does not run on a node, as it looks from there.
    pub(crate) async fn cause(&self, node: &Node) -> String {
        let look = json!({"units": ["patroni"], "data_dir": node.data_dir});
        match self.nodes.call(node, "diagnose", look).await {
            Ok(outcome) => outcome.message,
            Err(error) => error.message,
        }
    }

    /// Does a step and tells how long it took.
    pub(crate) async fn step<T>(&self, what: &str, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let begin = Instant::now();
        self.teller.progress(what, 0, None);
        let result = work.await;
        let word = if result.is_ok() { "" } else { ": failed" };
        self.teller.say(&format!("{what}{word} ({:.1} s)", begin.elapsed().as_secs_f64()));
        result
    }

    /// Looks again and again until there is what was waited for; each look tells what it saw instead.
    pub(crate) async fn until<T, L>(&self, what: &str, limit: Duration, mut look: impl FnMut() -> L) -> Result<T, Trouble>
    where
        L: Future<Output = Result<T, String>>,
    {
        let begin = Instant::now();
        loop {
            let seen = match look().await {
                Ok(found) => return Ok(found),
                Err(seen) => seen,
            };
            if begin.elapsed() > limit {
                return Err(Trouble::unverified(format!("{what} did not come true within {} s: {seen}", limit.as_secs())));
            }
            self.teller.progress(&format!("{what}: {seen}"), 0, None);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
