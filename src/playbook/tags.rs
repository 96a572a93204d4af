//! Which tasks `--tags` and `--skip-tags` choose.

/// A choice of tasks by tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSelection {
    only: Vec<String>,
    skip: Vec<String>,
}

impl Default for TagSelection {
    fn default() -> Self {
        Self { only: vec!["all".to_owned()], skip: Vec::new() }
    }
}

impl TagSelection {
    /// Tasks that have one of `only` (all, when empty) and none of `skip`.
    #[must_use]
    pub fn new(only: Vec<String>, skip: Vec<String>) -> Self {
        Self { only: if only.is_empty() { vec!["all".to_owned()] } else { only }, skip }
    }

    /// The tags asked for.
    #[must_use]
    pub fn only(&self) -> &[String] {
        &self.only
    }

    /// The tags left out.
    #[must_use]
    pub fn skip(&self) -> &[String] {
        &self.skip
    }

    /// Whether a task with these tags runs.
    #[must_use]
    pub fn selects(&self, tags: &[String]) -> bool {
        let has = |wanted: &str| tags.iter().any(|tag| tag == wanted);
        let tagged = !(tags.is_empty() || tags.len() == 1 && has("untagged"));
        let any_of = |wanted: &[String]| wanted.iter().any(|tag| has(tag));
        let asked = |word: &str| self.only.iter().any(|tag| tag == word);
        let chosen = has("always")
            || (asked("all") && !has("never"))
            || any_of(&self.only)
            || (asked("tagged") && tagged && !has("never"))
            || (asked("untagged") && !tagged);
        let left_out = |word: &str| self.skip.iter().any(|tag| tag == word);
        let skipped = any_of(&self.skip)
            || (left_out("all") && (left_out("always") || !has("always")))
            || (left_out("tagged") && tagged)
            || (left_out("untagged") && !tagged);
        chosen && !skipped
    }
}

#[cfg(test)]
mod tests {
    use super::TagSelection;

    #[test]
    fn tags_choose_as_ansible_does() {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (only, skip, tags, expect) in [
            ("", "", "", true),
            ("", "", "never", false),
            ("never", "", "never", true),
            ("a", "", "a b", true),
            ("a", "", "b", false),
            ("a", "", "always", true),
            ("a", "always", "always", false),
            ("", "a", "a", false),
            ("tagged", "", "", false),
            ("tagged", "", "a", true),
            ("untagged", "", "", true),
            ("untagged", "", "a", false),
            ("a", "b", "a b", false),
            ("", "", "never debug", false),
            ("debug", "", "never debug", true),
        ] {
            let selection = TagSelection::new(list(only), list(skip));
            assert_eq!(selection.selects(&list(tags)), expect, "--tags {only:?} --skip-tags {skip:?} on {tags:?}");
        }
    }
}
