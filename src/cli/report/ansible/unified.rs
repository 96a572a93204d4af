//! Differences of files as Python's `difflib` prints them: hunks of changes with lines of context.

use pgfleet_protocol::Diff;

/// Lines, more than which are not compared but shown as replaced.
const MOST: usize = 4000;

/// A difference in lines, each with its end; empty where there is none.
pub(crate) fn unified(diff: &Diff, context: usize) -> String {
    let (before, after) = (lines(&diff.before), lines(&diff.after));
    let steps = steps(&before, &after);
    let hunks = hunks(&steps, context);
    if hunks.is_empty() {
        return String::new();
    }
    let header = |side: &str, name: &str| if matches!(name, "" | "/dev/null") { side.to_owned() } else { format!("{side}: {name}") };
    let mut text = format!("--- {}\n+++ {}\n", header("before", &diff.before_header), header("after", &diff.after_header));
    for hunk in hunks {
        let count = |other: Change| hunk.iter().filter(|step| step.change != other).count();
        let (removed, added) = (count(Change::Added), count(Change::Removed));
        let first = hunk.first().copied().unwrap_or(Step { change: Change::Same, before: 0, after: 0 });
        text += &format!("@@ -{} +{} @@\n", range(first.before, removed), range(first.after, added));
        for step in hunk {
            text += &match step.change {
                Change::Same => format!(" {}", before[step.before]),
                Change::Removed => format!("-{}", before[step.before]),
                Change::Added => format!("+{}", after[step.after]),
            };
        }
    }
    text + "\n"
}

/// `start,length` as diffs have it: counted from 1, and the line before where nothing is there.
fn range(start: usize, length: usize) -> String {
    match length {
        0 => format!("{start},0"),
        1 => (start + 1).to_string(),
        length => format!("{},{length}", start + 1),
    }
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
        last.push_str("\n\\ No newline at end of file\n");
    }
    lines
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Same,
    Removed,
    Added,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    change: Change,
    before: usize,
    after: usize,
}

/// The steps from one text to the other, removals before additions.
fn steps(before: &[String], after: &[String]) -> Vec<Step> {
    let head = before.iter().zip(after).take_while(|(left, right)| left == right).count();
    let tail = before[head..].iter().rev().zip(after[head..].iter().rev()).take_while(|(left, right)| left == right).count();
    let (old, new) = (&before[head..before.len() - tail], &after[head..after.len() - tail]);
    let mut steps: Vec<Step> = (0..head).map(|index| Step { change: Change::Same, before: index, after: index }).collect();
    let common = if old.len().max(new.len()) > MOST { Vec::new() } else { common(old, new) };
    let (mut left, mut right) = (0, 0);
    for (meet_left, meet_right) in common.into_iter().chain([(old.len(), new.len())]) {
        steps.extend((left..meet_left).map(|at| Step { change: Change::Removed, before: head + at, after: head + right }));
        steps.extend((right..meet_right).map(|at| Step { change: Change::Added, before: head + meet_left, after: head + at }));
        if meet_left < old.len() && meet_right < new.len() {
            steps.push(Step { change: Change::Same, before: head + meet_left, after: head + meet_right });
        }
        (left, right) = (meet_left + 1, meet_right + 1);
    }
    let (old_end, new_end) = (before.len() - tail, after.len() - tail);
    steps.extend((0..tail).map(|at| Step { change: Change::Same, before: old_end + at, after: new_end + at }));
    steps
}

/// Pairs of equal lines: the longest run of equal lines first, then what stands before and after it.
fn common(old: &[String], new: &[String]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut open = vec![(0, old.len(), 0, new.len())];
    while let Some((left, left_end, right, right_end)) = open.pop() {
        let (at, other, length) = longest(&old[left..left_end], &new[right..right_end]);
        if length == 0 {
            continue;
        }
        let (at, other) = (left + at, right + other);
        pairs.extend((0..length).map(|step| (at + step, other + step)));
        open.push((left, at, right, other));
        open.push((at + length, left_end, other + length, right_end));
    }
    pairs.sort_unstable();
    pairs
}

/// The longest run that both have, and where it begins in each; the earliest of several.
fn longest(old: &[String], new: &[String]) -> (usize, usize, usize) {
    let mut best = (0, 0, 0);
    let mut above = vec![0_usize; new.len() + 1];
    for (row, line) in old.iter().enumerate() {
        let mut current = vec![0_usize; new.len() + 1];
        for (column, other) in new.iter().enumerate() {
            if line == other {
                let length = above[column] + 1;
                current[column + 1] = length;
                if length > best.2 {
                    best = (row + 1 - length, column + 1 - length, length);
                }
            }
        }
        above = current;
    }
    best
}

/// Groups of steps that belong together, with their context.
fn hunks(steps: &[Step], context: usize) -> Vec<&[Step]> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (index, _) in steps.iter().enumerate().filter(|(_, step)| step.change != Change::Same) {
        let (start, end) = (index.saturating_sub(context), (index + 1 + context).min(steps.len()));
        match hunks.last_mut() {
            Some(last) if start <= last.1 => last.1 = end,
            _ => hunks.push((start, end)),
        }
    }
    hunks.into_iter().map(|(start, end)| &steps[start..end]).collect()
}

#[cfg(test)]
mod tests {
    use pgfleet_protocol::Diff;

    use super::unified;

    fn diff(before: &str, after: &str) -> String {
        unified(
            &Diff {
                before_header: "/a".to_owned(),
                after_header: String::new(),
                before: before.to_owned(),
                after: after.to_owned(),
                ..Diff::default()
            },
            3,
        )
    }

    #[test]
    fn hunks_are_those_of_python() {
        assert_eq!(diff("", "x=1\n"), "--- before: /a\n+++ after\n@@ -0,0 +1 @@\n+x=1\n\n");
        assert_eq!(
            diff("a\nb\nc\n", "a\nB\nc"),
            "--- before: /a\n+++ after\n@@ -1,3 +1,3 @@\n a\n-b\n-c\n+B\n+c\n\\ No newline at end of file\n\n"
        );
        let before: String = (1..=20).map(|number| format!("{number}\n")).collect();
        let after = before.replace("2\n3\n", "2\n3\nnew\n").replace("19\n", "");
        let expect =
            "--- before: /a\n+++ after\n@@ -1,6 +1,7 @@\n 1\n 2\n 3\n+new\n 4\n 5\n 6\n@@ -16,5 +17,4 @@\n 16\n 17\n 18\n-19\n 20\n\n";
        assert_eq!(diff(&before, &after), expect);
        assert_eq!(diff("same\n", "same\n"), "");
    }
}
