//! Reading what a play asks for before it begins.

use pgfleet_template::{Node, Raw, Value};

use super::Reading;
use crate::{Hashing, Prompt};

const KEYS: &[&str] = &["confirm", "default", "encrypt", "name", "private", "prompt", "salt", "salt_size", "unsafe"];
/// Kinds of hashes that there are.
const HASHES: [&str; 4] = ["sha512_crypt", "sha256_crypt", "sha512", "sha256"];

impl Reading<'_> {
    pub(super) fn prompts(&mut self, node: &Node) -> Vec<Prompt> {
        let Some(list) = node.get("vars_prompt").filter(|list| !list.is_null()) else { return Vec::new() };
        let single = std::slice::from_ref(list);
        list.sequence().unwrap_or(single).iter().filter_map(|item| self.prompt(item)).collect()
    }

    fn prompt(&mut self, node: &Node) -> Option<Prompt> {
        if node.mapping().is_none() {
            let problem = node.problem(format!("'vars_prompt' is a list of mappings, but this is {}", node.kind_name()));
            self.problem(problem);
            return None;
        }
        let Some(name) = node.get("name").and_then(Node::as_text).map(str::to_owned) else {
            let problem = node.problem("Invalid vars_prompt data structure, missing 'name' key");
            self.problem(problem);
            return None;
        };
        self.refuse_unknown_keys(node, &[KEYS], "valid part of vars_prompt");
        let flag = |key: &str, otherwise: bool| {
            node.get(key)
                .and_then(Node::scalar_text)
                .map_or(otherwise, |text| matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1" | "y" | "t"))
        };
        let encrypt = self.hashing(node);
        let question = self.optional(node, "prompt").unwrap_or_else(|| Raw::from(Value::from(name.clone())));
        Some(Prompt {
            question,
            private: flag("private", true),
            confirm: flag("confirm", false),
            default: self.optional(node, "default"),
            encrypt,
            place: node.place.clone(),
            name,
        })
    }

    /// What `encrypt`, `salt` and `salt_size` say.
    fn hashing(&mut self, node: &Node) -> Option<Hashing> {
        let written = node.get("encrypt").filter(|encrypt| !encrypt.is_null())?;
        let kind = written.scalar_text().unwrap_or_default().to_owned();
        if !HASHES.contains(&kind.as_str()) {
            let problem = written.problem(format!("'encrypt' is one of {}, not '{kind}'", HASHES.join(", ")));
            self.problem(problem.did_you_mean(&kind, HASHES));
            return None;
        }
        Some(Hashing {
            kind,
            salt: node.get("salt").and_then(Node::scalar_text).map(str::to_owned),
            salt_size: node.get("salt_size").and_then(Node::scalar_text).and_then(|size| size.parse().ok()),
        })
    }
}
