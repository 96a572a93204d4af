//! What a run knows of each host.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pgfleet_protocol::Map;
use pgfleet_template::{Raw, Vars, from_json};
use serde_json::Value;

use crate::ahead::Foresight;
use crate::stack::Stack;
use crate::{Counts, FactCache};

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
    /// `meta: end_role` ended the role around for it.
    LeftRole,
}

/// One host's variables, fate and counts.
pub(crate) struct HostState {
    pub(crate) name: String,
    /// The inventory's variables, lowest precedence first.
    layers: Mutex<Vec<Arc<Vars>>>,
    facts: Mutex<Arc<Vars>>,
    included: Mutex<Arc<Vars>>,
    set: Mutex<Stack>,
    /// Variables about the host itself, until the inventory changes.
    own: Mutex<Option<Arc<Vars>>>,
    /// How it is reached where nothing says, until the inventory changes.
    assumed: Mutex<Option<Arc<Vars>>>,
    /// Counts changes of the variables above, so that a scope knows when it is old.
    generation: AtomicUsize,
    /// Counts changes of any host's fate.
    fates: Arc<AtomicUsize>,
    foresight: Mutex<Foresight>,
    fate: Mutex<Fate>,
    /// Facts were gathered, and not cleared since.
    gathered: AtomicBool,
    /// Its errors were cleared once.
    pardoned: AtomicBool,
    counts: Mutex<Counts>,
    /// Where its facts are kept from run to run.
    cache: Option<Arc<dyn FactCache>>,
}

/// Stands among kept facts that were gathered, and not set one by one.
const GATHERED: &str = "_ansible_facts_gathered";

/// What is known before anything is: `ansible_facts` is there, and empty.
fn no_facts() -> Arc<Vars> {
    Arc::new(Vars::from_iter([("ansible_facts".to_owned(), Raw::from(from_json(&Value::Object(Map::new()))))]))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HostState {
    pub(crate) fn new(name: &str, layers: Vec<Arc<Vars>>, fates: Arc<AtomicUsize>, cache: Option<Arc<dyn FactCache>>) -> Self {
        let kept = cache.as_ref().and_then(|cache| cache.read(name));
        let host = Self {
            name: name.to_owned(),
            layers: Mutex::new(layers),
            facts: Mutex::new(no_facts()),
            included: Mutex::default(),
            set: Mutex::default(),
            own: Mutex::default(),
            assumed: Mutex::default(),
            generation: AtomicUsize::new(0),
            fates,
            foresight: Mutex::default(),
            fate: Mutex::default(),
            gathered: AtomicBool::new(false),
            pardoned: AtomicBool::new(false),
            counts: Mutex::default(),
            cache,
        };
        if let Some(mut facts) = kept {
            let is_gathered = facts.remove(GATHERED) == Some(Value::Bool(true));
            host.gathered.store(is_gathered, Ordering::SeqCst);
            host.take_in(&facts);
        }
        host
    }

    /// What is known before it is asked for.
    pub(crate) fn foresight(&self) -> MutexGuard<'_, Foresight> {
        locked(&self.foresight)
    }

    pub(crate) fn fate(&self) -> Fate {
        *locked(&self.fate)
    }

    pub(crate) fn meet(&self, fate: Fate) {
        *locked(&self.fate) = fate;
        self.fates.fetch_add(1, Ordering::SeqCst);
    }

    /// Lets it go on after it failed or was not reached.
    pub(crate) fn pardon(&self) {
        self.pardoned.store(true, Ordering::SeqCst);
        self.meet(Fate::Active);
    }

    /// True once its errors were cleared.
    pub(crate) fn was_pardoned(&self) -> bool {
        self.pardoned.load(Ordering::SeqCst)
    }

    /// Another number after each change of the host's variables.
    pub(crate) fn generation(&self) -> usize {
        self.generation.load(Ordering::SeqCst)
    }

    fn renewed(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Variables about the host itself, made when first asked for.
    pub(crate) fn own(&self, make: impl FnOnce() -> Vars) -> Arc<Vars> {
        locked(&self.own).get_or_insert_with(|| Arc::new(make())).clone()
    }

    /// How it is reached where nothing says, made of the inventory's variables when first asked for.
    pub(crate) fn assumed(&self, make: impl FnOnce(&[Arc<Vars>]) -> Vars) -> Arc<Vars> {
        let layers = self.layers();
        locked(&self.assumed).get_or_insert_with(|| Arc::new(make(&layers))).clone()
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
        *locked(&self.own) = None;
        *locked(&self.assumed) = None;
        self.renewed();
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

    /// What tasks have set and registered, lowest layer first.
    pub(crate) fn set(&self) -> Vec<Arc<Vars>> {
        locked(&self.set).layers()
    }

    pub(crate) fn has_gathered(&self) -> bool {
        self.gathered.load(Ordering::SeqCst)
    }

    /// Facts were gathered.
    pub(crate) fn gathered(&self) {
        self.gathered.store(true, Ordering::SeqCst);
    }

    pub(crate) fn clear_facts(&self) {
        if let Some(cache) = &self.cache {
            cache.forget(&self.name);
        }
        *locked(&self.facts) = no_facts();
        self.gathered.store(false, Ordering::SeqCst);
        self.renewed();
    }

    /// Stores what `include_vars` read.
    pub(crate) fn include(&self, vars: Vars) {
        Arc::make_mut(&mut locked(&self.included)).extend(vars);
        self.renewed();
    }

    /// Stores a registered result or a fact that was set.
    pub(crate) fn set_variable(&self, name: &str, value: Raw) {
        locked(&self.set).insert(name, value);
        self.renewed();
    }

    /// Stores facts as a module gave them: `ansible_x` each, and all of them in `ansible_facts` without the prefix.
    ///
    /// # Errors
    /// When they cannot be kept for the next run.
    pub(crate) fn learn(&self, facts: &Map) -> Result<(), String> {
        self.take_in(facts);
        let Some(cache) = &self.cache else { return Ok(()) };
        let known = self.facts();
        let named = known.iter().filter(|(name, _)| name.as_str() != "ansible_facts");
        let mut kept: Map = named
            .filter_map(|(name, raw)| match raw {
                Raw::Value(value) => Some((name.clone(), pgfleet_template::to_json(value).ok()?)),
                _ => None,
            })
            .collect();
        kept.insert(GATHERED.to_owned(), Value::Bool(self.has_gathered()));
        cache.write(&self.name, &kept)
    }

    fn take_in(&self, facts: &Map) {
        self.renewed();
        let mut stored = locked(&self.facts);
        let stored = Arc::make_mut(&mut stored);
        let mut all: Map = match stored.get("ansible_facts") {
            Some(Raw::Value(known)) => {
                pgfleet_template::to_exact_json(known).ok().and_then(|known| known.as_object().cloned()).unwrap_or_default()
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
