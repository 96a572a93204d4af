//! Variables that grow one by one while scopes keep looking at what was there before.

use std::sync::Arc;

use pgfleet_template::{Raw, Vars};

/// How many names the topmost layer may hold before a new one begins.
const SMALL: usize = 16;

/// Layers of variables, lowest first, the sizes falling: a name that is added copies no others while a scope holds the
/// layers, which is not disturbed. They are joined when the next scope asks for them.
#[derive(Clone, Default)]
pub(crate) struct Stack {
    layers: Vec<Arc<Vars>>,
}

impl Stack {
    pub(crate) fn layers(&mut self) -> Vec<Arc<Vars>> {
        self.merge();
        self.layers.clone()
    }

    pub(crate) fn insert(&mut self, name: &str, value: Raw) {
        match self.layers.last_mut().filter(|top| top.len() < SMALL).and_then(Arc::get_mut) {
            Some(top) => drop(top.insert(name.to_owned(), value)),
            None => self.layers.push(Arc::new(Vars::from_iter([(name.to_owned(), value)]))),
        }
    }

    /// Joins the topmost layers while the one below is small or not much larger, so that there are few of them.
    fn merge(&mut self) {
        while let [.., below, top] = self.layers.as_slice() {
            if below.len() >= SMALL && below.len() > 2 * top.len() {
                break;
            }
            let Some(top) = self.layers.pop() else { break };
            let Some(below) = self.layers.last_mut() else { break };
            Arc::make_mut(below).extend(Arc::unwrap_or_clone(top));
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
        let mut held = Vec::new();
        for number in 0..1000 {
            stack.insert(&format!("n{}", number % 300), Raw::from(Value::from(number)));
            // A scope holds the layers now and then, for some time.
            if number % 7 == 0 {
                held = stack.layers();
            }
        }
        assert!(!held.is_empty());
        let layers = stack.layers();
        assert!(layers.len() < 12, "{}", layers.len());
        for name in 0..300 {
            let found = layers.iter().rev().find_map(|layer| layer.get(&format!("n{name}"))).expect("a value");
            let last = (0..1000).rev().find(|number| number % 300 == name).expect("a number");
            assert_eq!(found.as_written().to_string(), last.to_string());
        }
    }
}
