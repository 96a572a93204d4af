//! Comparison of version numbers: loose, strict and semantic.

use std::cmp::Ordering;

use minijinja::Error;

use super::python::fail;

/// One component of a loose version.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Part {
    Number(u128),
    Word(String),
}

/// Whether the operator holds between two versions.
pub(crate) fn holds(left: &str, right: &str, operator: &str, kind: &str) -> Result<bool, Error> {
    if left.is_empty() {
        return Err(fail("Input version value cannot be empty"));
    }
    if right.is_empty() {
        return Err(fail("Version parameter to compare against cannot be empty"));
    }
    let check: fn(Ordering) -> bool = match operator {
        "==" | "=" | "eq" => Ordering::is_eq,
        "<" | "lt" => Ordering::is_lt,
        "<=" | "le" => Ordering::is_le,
        ">" | "gt" => Ordering::is_gt,
        ">=" | "ge" => Ordering::is_ge,
        "!=" | "<>" | "ne" => Ordering::is_ne,
        _ => return Err(fail(format!("Invalid operator type ({operator}). Must be one of ==, <, <=, >, >=, !="))),
    };
    let ordering = match kind {
        "loose" => match loose(left, right) {
            Some(ordering) => ordering,
            // Equality needs no order.
            None if matches!(operator, "==" | "=" | "eq" | "!=" | "<>" | "ne") => Ordering::Less,
            None => {
                return Err(fail("Version comparison failed: '<' not supported between instances of 'str' and 'int'"));
            }
        },
        "strict" => strict(left)?.cmp(&strict(right)?),
        "semver" | "semantic" => semantic(left)?.cmp(&semantic(right)?),
        "pep440" => pep440(left)?.cmp(&pep440(right)?),
        _ => return Err(fail(format!("Invalid version type ({kind}). Must be one of 'loose', 'strict', 'semver', 'semantic', 'pep440'"))),
    };
    Ok(check(ordering))
}

/// Digits, lower-case letters, and whatever stands between them.
fn loose_parts(version: &str) -> Vec<Part> {
    #[derive(PartialEq)]
    enum Class {
        Digit,
        Letter,
        Dot,
        Other,
    }
    let class = |c: char| match c {
        '0'..='9' => Class::Digit,
        'a'..='z' => Class::Letter,
        '.' => Class::Dot,
        _ => Class::Other,
    };
    let mut parts: Vec<(Class, String)> = Vec::new();
    for c in version.chars() {
        match parts.last_mut() {
            Some((last, word)) if *last == class(c) && class(c) != Class::Dot => word.push(c),
            _ => parts.push((class(c), c.to_string())),
        }
    }
    parts
        .into_iter()
        .filter(|(class, _)| *class != Class::Dot)
        .map(|(_, word)| word.trim().parse().map_or(Part::Word(word), Part::Number))
        .collect()
}

/// `None` when a number meets a word, which Python cannot compare.
fn loose(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (loose_parts(left), loose_parts(right));
    for (left, right) in left.iter().zip(&right) {
        let ordering = match (left, right) {
            (Part::Number(left), Part::Number(right)) => left.cmp(right),
            (Part::Word(left), Part::Word(right)) => left.cmp(right),
            _ => return None,
        };
        if ordering.is_ne() {
            return Some(ordering);
        }
    }
    Some(left.len().cmp(&right.len()))
}

/// Two or three numbers, then `a` or `b` and a number; no such suffix sorts last.
fn strict(version: &str) -> Result<([u64; 3], (u8, u64)), Error> {
    let invalid = || fail(format!("Version comparison failed: invalid version number '{version}'"));
    let (numbers, suffix) = match version.find(['a', 'b']) {
        Some(at) => {
            let rank = if version[at..].starts_with('a') { 0 } else { 1 };
            (&version[..at], (rank, version[at + 1..].parse().map_err(|_| invalid())?))
        }
        None => (version, (2, 0)),
    };
    let numbers = numbers.split('.').map(|part| part.parse().map_err(|_| invalid())).collect::<Result<Vec<u64>, _>>()?;
    match numbers[..] {
        [major, minor] => Ok(([major, minor, 0], suffix)),
        [major, minor, patch] => Ok(([major, minor, patch], suffix)),
        _ => Err(invalid()),
    }
}

/// A pre-release identifier: numbers sort before words; no pre-release at all sorts last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
    Release,
}

fn semantic(version: &str) -> Result<(Vec<u64>, Vec<Identifier>), Error> {
    let invalid = || fail(format!("Version comparison failed: invalid semantic version '{version}'"));
    let (rest, _build) = version.split_once('+').unwrap_or((version, ""));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let valid = |part: &str| part == "0" || (!part.starts_with('0') && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let core =
        core.split('.').map(|part| part.parse().ok().filter(|_| valid(part)).ok_or_else(invalid)).collect::<Result<Vec<u64>, _>>()?;
    if core.len() != 3 {
        return Err(invalid());
    }
    let identifier = |part: &str| match part.parse() {
        Ok(number) if valid(part) => Ok(Identifier::Number(number)),
        _ if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
            Ok(Identifier::Word(part.to_owned()))
        }
        _ => Err(invalid()),
    };
    let pre = pre.map_or_else(|| Ok(vec![Identifier::Release]), |pre| pre.split('.').map(identifier).collect())?;
    Ok((core, pre))
}

/// Release numbers without trailing zeros, then the rank of a suffix and its number.
fn pep440(version: &str) -> Result<(u64, Vec<u64>, i8, u64, String), Error> {
    let invalid = || fail(format!("Version comparison failed: Invalid version: '{version}'"));
    let lower = version.trim().trim_start_matches(['v', 'V']).to_lowercase();
    let (epoch, rest) = match lower.split_once('!') {
        Some((epoch, rest)) => (epoch.parse().map_err(|_| invalid())?, rest),
        None => (0, lower.as_str()),
    };
    let (rest, local) = rest.split_once('+').unwrap_or((rest, ""));
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let mut release =
        rest[..end].trim_end_matches('.').split('.').map(|part| part.parse().map_err(|_| invalid())).collect::<Result<Vec<u64>, _>>()?;
    while release.len() > 1 && release.last() == Some(&0) {
        release.pop();
    }
    let suffix = rest[end..].trim_start_matches(['.', '-', '_']);
    let digits = suffix.find(|c: char| c.is_ascii_digit()).unwrap_or(suffix.len());
    let rank = match suffix[..digits].trim_end_matches(['.', '-', '_']) {
        "" if suffix.is_empty() => 0,
        "dev" => -4,
        "a" | "alpha" => -3,
        "b" | "beta" => -2,
        "rc" | "c" | "pre" | "preview" => -1,
        "post" | "rev" | "r" | "" => 1,
        _ => return Err(invalid()),
    };
    let number = if digits == suffix.len() { 0 } else { suffix[digits..].parse().map_err(|_| invalid())? };
    Ok((epoch, release, rank, number, local.to_owned()))
}
