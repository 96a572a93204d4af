//! Ranges in host names: `db[01:03]`, `web[a:f]`, `m[0:10:5]`, several in one name.

/// More hosts than this in one entry are a slip of the pen.
const MOST_HOSTS: usize = 100_000;
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The names that a pattern stands for.
///
/// # Errors
/// What is wrong with a range.
pub(crate) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some(open) = rest.find('[') {
        let (head, after) = rest.split_at(open);
        let close = after.find(']').ok_or_else(|| format!("the range in '{pattern}' has no closing ']'"))?;
        let parts = sequence(&after[1..close])?;
        if names.len().saturating_mul(parts.len()) > MOST_HOSTS {
            return Err(format!("'{pattern}' stands for more than {MOST_HOSTS} hosts"));
        }
        names = names.iter().flat_map(|name| parts.iter().map(move |part| format!("{name}{head}{part}"))).collect();
        rest = &after[close + 1..];
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

fn sequence(range: &str) -> Result<Vec<String>, String> {
    let bounds: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match bounds.as_slice() {
        [begin, end] => (*begin, *end, "1"),
        [begin, end, step] => (*begin, *end, *step),
        _ => return Err(format!("host range must be begin:end or begin:end:step: [{range}]")),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return Err(format!("host range must specify end value: [{range}]"));
    }
    let width = if begin.len() > 1 && begin.starts_with('0') { begin.len() } else { 0 };
    if width > 0 && width != end.len() {
        return Err(format!("host range must specify equal-length begin and end formats: [{range}]"));
    }
    let step = step.parse::<usize>().ok().filter(|step| *step > 0).ok_or_else(|| format!("host range [{range}] has no valid step"))?;
    if let (Some(first), Some(last)) = (letter(begin), letter(end)) {
        if first > last {
            return Err(format!("host range must have begin <= end: [{range}]"));
        }
        return Ok(LETTERS[first..=last].chars().step_by(step).map(String::from).collect());
    }
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("host range [{range}]: '{text}' is no number and no single letter"));
    let (first, last) = (number(begin)?, number(end)?);
    if first > last {
        return Err(format!("host range must have begin <= end: [{range}]"));
    }
    if usize::try_from((last - first) / step as u64).map_or(true, |count| count >= MOST_HOSTS) {
        return Err(format!("host range [{range}] stands for more than {MOST_HOSTS} hosts"));
    }
    Ok((first..=last).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

fn letter(text: &str) -> Option<usize> {
    if text.len() == 1 { LETTERS.find(text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn ranges_expand() {
        for (pattern, expect) in [
            ("db[01:03].x", "db01.x db02.x db03.x"),
            ("w[a:c]z", "waz wbz wcz"),
            ("m[0:10:5]", "m0 m5 m10"),
            ("r[01:02]-[a:b]", "r01-a r01-b r02-a r02-b"),
            ("n[:2]", "n0 n1 n2"),
            ("q[08:11]", "q08 q09 q10 q11"),
            ("x[y:B]", "xy xz xA xB"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(pattern).map(|names| names.join(" ")), Ok(expect.to_owned()), "{pattern}");
        }
    }

    #[test]
    fn bad_ranges_say_why() {
        for (pattern, expect) in [
            ("a[1]", "begin:end"),
            ("a[1:2:3:4]", "begin:end"),
            ("a[1:", "closing"),
            ("a[1:]", "end value"),
            ("a[01:100]", "equal-length"),
            ("a[9:1]", "begin <= end"),
            ("a[z:a]", "begin <= end"),
            ("a[1:9:0]", "step"),
            ("a[1:x]", "'x' is no number"),
            ("a[0:99999999999]", "more than"),
            ("a[0:999][0:999]", "more than"),
        ] {
            let message = expand(pattern).expect_err(pattern);
            assert!(message.contains(expect), "{pattern}: {message}");
        }
    }
}
