//! A value that is made when first needed and may be made again after it broke.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One value behind an asynchronous lock.
pub(crate) type Slot<T> = Arc<tokio::sync::Mutex<Option<T>>>;

/// Slots by key.
pub(crate) struct Slots<K, T>(Mutex<BTreeMap<K, Slot<T>>>);

impl<K: Ord, T> Default for Slots<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone, T> Slots<K, T> {
    /// The slot of a key.
    pub(crate) fn get(&self, key: K) -> Slot<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }

    /// Lets go of the values from a key on, as far as they belong together. Who works with one keeps it until that is done.
    pub(crate) fn forget(&self, from: &K, belongs: impl Fn(&K) -> bool) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<K> = slots.range(from..).map(|(key, _)| key.clone()).take_while(belongs).collect();
        let gone: Vec<_> = keys.iter().filter_map(|key| slots.remove(key)).collect();
        drop(slots);
        drop(gone);
    }
}
