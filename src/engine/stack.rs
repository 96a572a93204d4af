//! Variables that grow one by one while scopes keep looking at what was there before.

use std::sync::Arc;

use pgfleet_template::{Raw, Vars};

/// How many names the topmost layer may hold before a new one begins.
const SMALL: usize = 16;

/// Layers of variables, lowest first, the sizes falling: a name that is added copies a few others at most, however many
/// there are, and a scope that holds the layers is not disturbed.
#[derive(Clone, Default)]
pub(crate) struct Stack {
    layers: Vec<Arc<Vars>>,
}

impl Stack {
    pub(crate) fn layers(&self) -> impl Iterator<Item = Arc<Vars>> + '_ {
        self.layers.iter().cloned()
    }

    pub(crate) fn insert(&mut self, name: &str, value: Raw) {
        if self.layers.last().is_none_or(|top| top.len() >= SMALL && !top.contains_key(name)) {
            self.layers.push(Arc::default());
        }
        if let Some(top) = self.layers.last_mut() {
            Arc::make_mut(top).insert(name.to_owned(), value);
        }
        self.merge();
    }

    /// Joins the topmost layers while the one below is not much larger, so that there are few of them.
    fn merge(&mut self) {
        while let [.., below, top] = self.layers.as_slice() {
            if top.len() < SMALL || below.len() > 2 * top.len() {
                break;
            }
            let mut joined = (**below).clone();
            joined.extend(top.iter().map(|(name, value)| (name.clone(), value.clone())));
            self.layers.truncate(self.layers.len() - 2);
            self.layers.push(Arc::new(joined));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stack;
    use pgfleet_template::{Raw, Value};

    #[test]
    fn the_last_value_of_each_name_is_on_top_and_layers_stay_few() {
        let mut stack = Stack::default();
        for number in 0..1000 {
            stack.insert(&format!("n{}", number % 300), Raw::from(Value::from(number)));
        }
        let layers: Vec<_> = stack.layers().collect();
        assert!(layers.len() < 12, "{}", layers.len());
        for name in 0..300 {
            let found = layers.iter().rev().find_map(|layer| layer.get(&format!("n{name}"))).expect("a value");
            let last = (0..1000).rev().find(|number| number % 300 == name).expect("a number");
            assert_eq!(found.as_written().to_string(), last.to_string());
        }
    }
}
