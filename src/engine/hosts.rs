//! What a run knows of each host.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pgfleet_protocol::Map;
use pgfleet_template::{Raw, Vars, from_json};
use serde_json::Value;

use crate::Counts;

/// Whether a host goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It does.
    #[default]
    Active,
    /// A task failed on it.
    Failed,
    /// It could not be reached, or was lost.
    Unreachable,
    /// `meta: end_host` ended it for this play.
    Ended,
}

/// One host's variables, fate and counts.
pub(crate) struct HostState {
    pub(crate) name: String,
    /// The inventory's variables, lowest precedence first.
    layers: Mutex<Vec<Arc<Vars>>>,
    facts: Mutex<Arc<Vars>>,
    included: Mutex<Arc<Vars>>,
    set: Mutex<Arc<Vars>>,
    fate: Mutex<Fate>,
    counts: Mutex<Counts>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HostState {
    pub(crate) fn new(name: &str, layers: Vec<Arc<Vars>>) -> Self {
        Self {
            name: name.to_owned(),
            layers: Mutex::new(layers),
            facts: Mutex::default(),
            included: Mutex::default(),
            set: Mutex::default(),
            fate: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    pub(crate) fn fate(&self) -> Fate {
        *locked(&self.fate)
    }

    pub(crate) fn meet(&self, fate: Fate) {
        *locked(&self.fate) = fate;
    }

    /// True once it failed or could not be reached.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.fate(), Fate::Failed | Fate::Unreachable)
    }

    pub(crate) fn layers(&self) -> Vec<Arc<Vars>> {
        locked(&self.layers).clone()
    }

    /// Takes what the inventory says now.
    pub(crate) fn relayer(&self, layers: Vec<Arc<Vars>>) {
        *locked(&self.layers) = layers;
    }

    pub(crate) fn is_active(&self) -> bool {
        self.fate() == Fate::Active
    }

    pub(crate) fn counts(&self) -> Counts {
        *locked(&self.counts)
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut locked(&self.counts));
    }

    pub(crate) fn facts(&self) -> Arc<Vars> {
        locked(&self.facts).clone()
    }

    pub(crate) fn included(&self) -> Arc<Vars> {
        locked(&self.included).clone()
    }

    pub(crate) fn set(&self) -> Arc<Vars> {
        locked(&self.set).clone()
    }

    pub(crate) fn has_facts(&self) -> bool {
        !locked(&self.facts).is_empty()
    }

    pub(crate) fn clear_facts(&self) {
        *locked(&self.facts) = Arc::default();
    }

    /// Stores what `include_vars` read.
    pub(crate) fn include(&self, vars: Vars) {
        Arc::make_mut(&mut locked(&self.included)).extend(vars);
    }

    /// Stores a registered result or a fact that was set.
    pub(crate) fn set_variable(&self, name: &str, value: Raw) {
        Arc::make_mut(&mut locked(&self.set)).insert(name.to_owned(), value);
    }

    /// Stores facts as a module gave them: `ansible_x` each, and all of them in `ansible_facts` without the prefix.
    pub(crate) fn learn(&self, facts: &Map) {
        let mut stored = locked(&self.facts);
        let stored = Arc::make_mut(&mut stored);
        let mut all: Map = match stored.get("ansible_facts") {
            Some(Raw::Value(known)) => {
                pgfleet_template::to_json(known).ok().and_then(|known| known.as_object().cloned()).unwrap_or_default()
            }
            _ => Map::new(),
        };
        for (name, value) in facts {
            let bare = name.strip_prefix("ansible_").unwrap_or(name);
            stored.insert(name.clone(), Raw::from(from_json(value)));
            all.insert(bare.to_owned(), value.clone());
        }
        stored.insert("ansible_facts".to_owned(), Raw::from(from_json(&Value::Object(all))));
    }
}
