//! A value that is made when first needed and may be made again after it broke.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// One value behind an asynchronous lock.
pub(crate) type Slot<T> = Arc<tokio::sync::Mutex<Option<T>>>;

/// Slots by key.
pub(crate) struct Slots<K, T>(Mutex<HashMap<K, Slot<T>>>);

impl<K: Eq + Hash, T> Default for Slots<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T> Slots<K, T> {
    /// The slot of a key.
    pub(crate) fn get(&self, key: K) -> Slot<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }
}
