//! The hosts of a play: whom it reaches, and words that are nobody's name.

use pgfleet_template::{Node, Text};

use crate::Severity;
use crate::finding::did_you_mean;
use crate::walk::Walk;

/// Names of the controller, which every inventory has.
pub(crate) fn is_controller(name: &str) -> bool {
    ["localhost", "127.0.0.1", "::1"].contains(&name.trim())
}

impl Walk<'_> {
    /// Whether the play reaches a host for certain; words of its pattern that are nobody's name are told.
    pub(crate) fn reaches(&mut self, hosts: &Node) -> bool {
        let Some(inventory) = self.request.inventory else { return true };
        let single = std::slice::from_ref(hosts);
        let parts: Vec<&str> = hosts.sequence().unwrap_or(single).iter().filter_map(Node::scalar_text).collect();
        if parts.iter().any(|part| Text::is_template(part)) {
            return false;
        }
        let pattern = parts.join(",");
        let words = || pattern.split([',', ':']).map(|word| word.trim().trim_start_matches(['!', '&']));
        words().for_each(|word| self.strange_host(word, hosts));
        if words().any(is_controller) {
            return true;
        }
        let Ok(mut chosen) = inventory.select(&pattern).map(|selection| selection.hosts) else { return false };
        if let Some(limit) = &self.request.limit
            && let Ok(limited) = inventory.select(limit)
        {
            chosen.retain(|host| limited.hosts.contains(host));
        }
        !chosen.is_empty()
    }

    /// A word that is neither a group nor a host, nor something else that patterns are made of.
    fn strange_host(&mut self, word: &str, hosts: &Node) {
        let Some(inventory) = self.request.inventory else { return };
        if !self.strange_hosts.insert(word.to_owned()) {
            return;
        }
        let is_pattern = word.is_empty() || word.contains(['*', '?', '[', '~', '.', '/']);
        let is_made = self.made_groups.contains(&None) || self.made_groups.contains(&Some(word.to_owned()));
        if is_pattern || is_made || is_controller(word) || inventory.group(word).is_some() || inventory.host(word).is_some() {
            return;
        }
        let groups = inventory.groups().map(|group| group.name.to_string());
        let known: Vec<String> = groups.chain(inventory.hosts().map(|host| host.name.to_string())).collect();
        let hint = did_you_mean(word, known.iter().map(String::as_str));
        let text = hosts.scalar_text().unwrap_or_default();
        let place = self.sources.within(&hosts.place, text, text.find(word).unwrap_or(0), word.len());
        self.with_hint(Severity::Warning, "hosts", &place, word, format!("the inventory has no group or host '{word}'"), hint);
    }
}
