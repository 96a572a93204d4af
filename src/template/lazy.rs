//! Mappings whose values are rendered or computed when they are asked for.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use minijinja::value::{Enumerator, Object};

use crate::evaluate::into_error;
use crate::scope::{Held, Resolving};
use crate::{Problem, Raw, Scope, Value, is_omit};

/// Up to this size a search is as fast as an index.
const SMALL: usize = 8;

/// A mapping of which some part has templates.
pub(crate) struct LazyMap {
    entries: Arc<Vec<(Raw, Raw)>>,
    keys: Vec<Value>,
    index: OnceLock<HashMap<String, usize>>,
    rendered: Mutex<HashMap<usize, Value>>,
    scope: Held,
}

impl LazyMap {
    pub(crate) fn new(entries: Arc<Vec<(Raw, Raw)>>, scope: &Scope) -> Result<Self, Problem> {
        let keys = entries.iter().map(|(key, _)| key.evaluate(scope)).collect::<Result<_, _>>()?;
        Ok(Self { entries, keys, index: OnceLock::new(), rendered: Mutex::default(), scope: scope.held() })
    }

    /// Keys and rendered values, without those that are omitted.
    pub(crate) fn pairs(&self) -> Result<Vec<(Value, Value)>, Problem> {
        let mut pairs = Vec::with_capacity(self.keys.len());
        for (at, key) in self.keys.iter().enumerate() {
            let value = self.value(at)?;
            if !is_omit(&value) {
                pairs.push((key.clone(), value));
            }
        }
        Ok(pairs)
    }

    fn value(&self, at: usize) -> Result<Value, Problem> {
        let Some((_, raw)) = self.entries.get(at) else { return Ok(Value::UNDEFINED) };
        if let Raw::Value(value) = raw {
            return Ok(value.clone());
        }
        if let Some(value) = self.rendered.lock().unwrap_or_else(PoisonError::into_inner).get(&at) {
            return Ok(value.clone());
        }
        let scope = self.scope.scope();
        let guard = Resolving::enter(std::ptr::from_ref(raw) as usize, scope.identity(), || self.keys[at].to_string())?;
        let value = raw.evaluate_lazily(&scope)?;
        drop(guard);
        self.rendered.lock().unwrap_or_else(PoisonError::into_inner).insert(at, value.clone());
        Ok(value)
    }

    fn position(&self, key: &Value) -> Option<usize> {
        match key.as_str() {
            Some(name) if self.keys.len() > SMALL => self.named(name),
            _ => self.keys.iter().position(|known| known == key),
        }
    }

    fn named(&self, name: &str) -> Option<usize> {
        if self.keys.len() <= SMALL {
            return self.keys.iter().position(|known| known.as_str() == Some(name));
        }
        let index =
            self.index.get_or_init(|| self.keys.iter().enumerate().filter_map(|(at, key)| Some((key.as_str()?.to_owned(), at))).collect());
        index.get(name).copied()
    }

    fn at(&self, position: Option<usize>) -> Option<Value> {
        match self.value(position?) {
            Ok(value) if is_omit(&value) => None,
            Ok(value) => Some(value),
            Err(problem) => Some(Value::from(into_error(problem))),
        }
    }

    fn omits(&self, at: usize) -> bool {
        match self.entries.get(at) {
            Some((_, Raw::Text(text))) => text.may_omit() && self.value(at).is_ok_and(|value| is_omit(&value)),
            _ => false,
        }
    }
}

impl fmt::Debug for LazyMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.entries.iter().map(|(key, value)| (key.as_written(), value.as_written()))).finish()
    }
}

impl Object for LazyMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.at(self.position(key))
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.at(self.named(key))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let shown = self.keys.iter().enumerate().filter(|(at, _)| !self.omits(*at));
        Enumerator::Values(shown.map(|(_, key)| key.clone()).collect())
    }
}

type Get = dyn Fn(&str) -> Result<Option<Value>, Problem> + Send + Sync;
type Keys = dyn Fn() -> Vec<Arc<str>> + Send + Sync;

/// A mapping whose values are computed.
pub(crate) struct ComputedMap {
    pub(crate) get: Box<Get>,
    pub(crate) keys: Box<Keys>,
}

impl fmt::Debug for ComputedMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries((self.keys)()).finish()
    }
}

impl Object for ComputedMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        (self.get)(key).unwrap_or_else(|problem| Some(Value::from(into_error(problem))))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values((self.keys)().into_iter().map(Value::from).collect())
    }
}
