//! Debian's order of versions (deb-version(7)).

use std::cmp::Ordering;

/// How two versions, each `[epoch:]upstream[-revision]`, stand to each other.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, left_upstream, left_revision) = split(left);
    let (right_epoch, right_upstream, right_revision) = split(right);
    left_epoch
        .cmp(&right_epoch)
        .then_with(|| compare_part(left_upstream, right_upstream))
        .then_with(|| compare_part(left_revision, right_revision))
}

fn split(version: &str) -> (u64, &str, &str) {
    let version = version.trim();
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    };
    match rest.rsplit_once('-') {
        Some((upstream, revision)) => (epoch, upstream, revision),
        None => (epoch, rest, ""),
    }
}

fn compare_part(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        loop {
            let left_text = left.first().is_some_and(|byte| !byte.is_ascii_digit());
            let right_text = right.first().is_some_and(|byte| !byte.is_ascii_digit());
            if !left_text && !right_text {
                break;
            }
            match weight(left.first()).cmp(&weight(right.first())) {
                Ordering::Equal => {
                    left = left.get(1..).unwrap_or_default();
                    right = right.get(1..).unwrap_or_default();
                }
                other => return other,
            }
        }
        let (left_number, left_rest) = number(left);
        let (right_number, right_rest) = number(right);
        match left_number.len().cmp(&right_number.len()).then_with(|| left_number.cmp(right_number)) {
            Ordering::Equal => (left, right) = (left_rest, right_rest),
            other => return other,
        }
    }
    Ordering::Equal
}

/// `~` sorts before everything, even the end; letters before other signs; a digit counts as the end.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// The leading digits without their zeros, and what follows.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().position(|byte| *byte != b'0').unwrap_or(digits.len());
    (&digits[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering::{Equal, Greater, Less};

    use super::compare;

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        for (left, right, expect) in [
            ("1.0", "1.0", Equal),
            ("1.0-1", "1.0-2", Less),
            ("1.10", "1.9", Greater),
            ("1:0.1", "2.0", Greater),
            ("1.0~rc1", "1.0", Less),
            ("1.0~rc1-1", "1.0-0", Less),
            ("1.0+b1", "1.0", Greater),
            ("1.0a", "1.0+", Less),
            ("17.11-0+deb13u1", "17.9-0+deb13u1", Greater),
            ("16.4-1.pgdg120+1", "16.4-1.pgdg110+2", Greater),
            ("1.0-0", "1.0", Equal),
            ("1.001", "1.1", Equal),
            ("2.0.0~~", "2.0.0~", Less),
        ] {
            assert_eq!(compare(left, right), expect, "{left} and {right}");
            assert_eq!(compare(right, left), expect.reverse(), "{right} and {left}");
        }
    }
}
