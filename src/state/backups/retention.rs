//! Which backups may go.

use super::{Entry, seconds_of};

/// How many backups are kept, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many stay.
    pub keep: Option<usize>,
    /// What is not older than so many seconds stays.
    pub older_than: Option<u64>,
}

/// The entries that may be removed, oldest first: backups that neither rule keeps, and what failed or was cut off before the newest
/// good one. The newest good backup stays always, and so does the newest whose restore was proven. Without a rule no backup goes.
#[must_use]
pub fn surplus(entries: &[Entry], retention: Retention, now: u64) -> Vec<Entry> {
    let mut good: Vec<&Entry> = entries.iter().filter(|entry| entry.good().is_some()).collect();
    good.sort_by(|left, right| right.id.cmp(&left.id));
    let Some(newest) = good.first() else { return Vec::new() };
    let proven = good.iter().find(|entry| entry.good().is_some_and(|manifest| manifest.proven.is_some())).map(|entry| &entry.id);
    let is_old = |entry: &Entry| match (retention.older_than, seconds_of(&entry.id)) {
        (Some(most), Some(made)) => now.saturating_sub(made) > most,
        (Some(_), None) => false,
        (None, _) => true,
    };
    let has_rule = retention.keep.is_some() || retention.older_than.is_some();
    let beyond = good.iter().skip(retention.keep.unwrap_or(1).max(1));
    let doomed = beyond.filter(|entry| has_rule && is_old(entry) && Some(&entry.id) != proven).copied();
    let rubbish = entries.iter().filter(|entry| entry.good().is_none() && entry.id < newest.id);
    let mut doomed: Vec<Entry> = doomed.chain(rubbish).cloned().collect();
    doomed.sort_by(|left, right| left.id.cmp(&right.id));
    doomed
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Retention, surplus};
    use crate::{Entry, Manifest, Proof, Status, seconds_of};

    const DAY: u64 = 86_400;

    /// A backup a day, `g` good, `p` good and proven, `f` failed, `x` cut off; the first is the oldest.
    fn days(text: &str) -> Vec<Entry> {
        let entry = |(day, letter): (usize, char)| {
            let id = format!("202601{:02}T000000Z", day + 1);
            let status = match letter {
                'f' => Status::Failed,
                'x' => Status::Partial,
                _ => Status::Good,
            };
            let manifest = Manifest { id: id.clone(), status, proven: (letter == 'p').then(Proof::default), ..Manifest::default() };
            Entry { id, folder: PathBuf::new(), status, manifest: Ok(manifest) }
        };
        text.chars().enumerate().map(entry).collect()
    }

    #[test]
    fn what_no_rule_keeps_goes() {
        let none = Retention::default();
        let keep = |count| Retention { keep: Some(count), ..none };
        let older = |days: u64| Retention { older_than: Some(days * DAY), ..none };
        for (text, retention, expect) in [
            ("ggg", none, vec![]),
            ("ggg", keep(1), vec![1, 2]),
            ("ggg", keep(0), vec![1, 2]),
            ("gpg", keep(1), vec![1]),
            ("ppg", keep(1), vec![1]),
            ("gfxg", none, vec![2, 3]),
            ("gfx", keep(1), vec![]),
            ("ff", keep(0), vec![]),
            ("gggg", older(1), vec![1, 2, 3]),
            ("gggg", older(2), vec![1, 2]),
            ("gggg", older(0), vec![1, 2, 3]),
            ("gggg", Retention { keep: Some(2), older_than: Some(2 * DAY) }, vec![1, 2]),
            ("gggg", Retention { keep: Some(3), older_than: Some(0) }, vec![1]),
        ] {
            let entries = days(text);
            // Noon of the last day.
            let now = seconds_of(&entries[entries.len() - 1].id).expect("a time") + DAY / 2;
            let gone: Vec<usize> = surplus(&entries, retention, now).iter().map(|entry| entry.id[6..8].parse().expect("a day")).collect();
            assert_eq!(gone, expect, "{text} {retention:?}");
        }
    }
}
