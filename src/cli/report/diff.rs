//! Differences of files, as `diff -u` shows them.

use console::Style;
use pgfleet_protocol::Diff;

use crate::screen::harmless;

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// A difference in lines, coloured.
pub(super) fn lines(diff: &Diff) -> Vec<String> {
    let (before, after): (Vec<&str>, Vec<&str>) = (diff.before.lines().collect(), diff.after.lines().collect());
    let red = Style::new().red();
    let green = Style::new().green();
    let header = |name: &str, otherwise: &str| if name.is_empty() { otherwise.to_owned() } else { harmless(name) };
    let mut shown = vec![
        red.apply_to(format!("--- before: {}", header(&diff.before_header, "-"))).to_string(),
        green.apply_to(format!("+++ after: {}", header(&diff.after_header, "-"))).to_string(),
    ];
    // What both begin and end with is no difference; the middle is shown as removed and added.
    let same_head = before.iter().zip(&after).take_while(|(left, right)| left == right).count();
    let same_tail = before[same_head..].iter().rev().zip(after[same_head..].iter().rev()).take_while(|(left, right)| left == right).count();
    let head = same_head.saturating_sub(CONTEXT)..same_head;
    let removed = &before[same_head..before.len() - same_tail];
    let added = &after[same_head..after.len() - same_tail];
    let tail = before.len() - same_tail..(before.len() - same_tail + CONTEXT).min(before.len());
    let context = head.len() + tail.len();
    shown.push(
        Style::new()
            .cyan()
            .apply_to(format!("@@ -{},{} +{},{} @@", head.start + 1, context + removed.len(), head.start + 1, context + added.len()))
            .to_string(),
    );
    shown.extend(before[head].iter().map(|line| format!(" {}", harmless(line))));
    shown.extend(removed.iter().map(|line| red.apply_to(format!("-{}", harmless(line))).to_string()));
    shown.extend(added.iter().map(|line| green.apply_to(format!("+{}", harmless(line))).to_string()));
    shown.extend(before[tail].iter().map(|line| format!(" {}", harmless(line))));
    shown
}

#[cfg(test)]
mod tests {
    use pgfleet_protocol::Diff;

    #[test]
    fn only_the_middle_is_shown() {
        console::set_colors_enabled(false);
        let diff = Diff {
            before_header: "/etc/x".to_owned(),
            after_header: "x.j2".to_owned(),
            before: "1\n2\n3\n4\n5\n6\n7\n8\n9\n".to_owned(),
            after: "1\n2\n3\n4\nfive\n6\n7\n8\n9\n".to_owned(),
            attributes: None,
        };
        assert_eq!(
            super::lines(&diff),
            ["--- before: /etc/x", "+++ after: x.j2", "@@ -2,7 +2,7 @@", " 2", " 3", " 4", "-5", "+five", " 6", " 7", " 8"]
        );
    }

    #[test]
    fn files_do_not_speak_to_the_terminal() {
        console::set_colors_enabled(false);
        let diff = Diff {
            before_header: "/etc/\x1b[2J".to_owned(),
            before: "same\x07\n\tx\x1b]52;c;aGk=\x07\n".to_owned(),
            after: "same\x07\n\tb\rc\n".to_owned(),
            ..Diff::default()
        };
        let expect = ["--- before: /etc/?[2J", "+++ after: -", "@@ -1,2 +1,2 @@", " same?", "-\tx?]52;c;aGk=?", "+\tb?c"]
            .map(|line| line.replace('?', "\u{fffd}"));
        assert_eq!(super::lines(&diff), expect);
    }
}
