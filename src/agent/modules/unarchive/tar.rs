//! Archives that tar reads, compressed or not.

use std::path::Path;

use pgfleet_protocol::modules::sources::Unarchive;

use super::{Content, start};
use crate::module::{Context, Failure};

/// What Ansible calls the kind of archive that begins so.
pub(super) fn handler(magic: &[u8]) -> &'static str {
    match magic {
        [0x1f, 0x8b, ..] => "TgzArchive",
        [0xfd, b'7', b'z', ..] => "TarXzArchive",
        [b'B', b'Z', b'h', ..] => "TarBzipArchive",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "TarZstdArchive",
        _ => "TarArchive",
    }
}

pub(super) fn look(wish: &Unarchive, archive: &Path, dest: &Path, handler: &'static str, context: &Context) -> Result<Content, Failure> {
    let line = |what: &[&str]| {
        let mut argv = vec!["tar".to_owned()];
        argv.extend(what.iter().map(|word| (*word).to_owned()));
        argv.extend(["-C".to_owned(), dest.to_string_lossy().into_owned()]);
        argv.extend(wish.keep_newer.then(|| "--keep-newer-files".to_owned()).filter(|_| what == ["--extract"]));
        argv.extend(wish.extra_opts.iter().cloned());
        argv.extend(wish.exclude.iter().map(|name| format!("--exclude={name}")));
        argv.extend(["-f".to_owned(), archive.to_string_lossy().into_owned()]);
        argv.extend(wish.include.iter().cloned());
        argv
    };
    let listed = start(&line(&["--list", "--show-transformed-names"]), context)?;
    if !listed.is_success() {
        let said = listed.stderr_text();
        return Err(Failure::new(format!(
            "Failed to find handler for \"{}\": it is no archive that tar on this host reads: {}",
            wish.src,
            said.lines().next().unwrap_or_default()
        ))
        .with("rc", listed.status));
    }
    let text = listed.stdout_text();
    let files: Vec<String> =
        text.lines().filter(|name| !name.is_empty() && !name.trim_end_matches(['.', '/']).is_empty()).map(unquoted).collect();
    if let Some(outside) = files.iter().find(|name| name.split('/').any(|part| part == "..")) {
        return Err(Failure::new(format!("the archive has '{outside}', which would be outside of {}", dest.display())));
    }
    let compared = start(&line(&["--diff"]), context)?;
    let said = format!("{}{}", compared.stdout_text(), compared.stderr_text());
    let is_root = context.system.effective_uid() == 0;
    let counts = |line: &&str| {
        !(line.trim().is_empty()
            || line.ends_with(": Uid differs") && (!is_root || wish.owner.is_some())
            || line.ends_with(": Gid differs") && (!is_root || wish.group.is_some())
            || line.ends_with(": Mode differs") && wish.mode.is_some()
            || line.ends_with("Removing leading `/' from member names"))
    };
    let is_there = compared.is_success() || compared.status == 1 && !said.lines().any(|line| counts(&line));
    Ok(Content { handler, files, is_there, extract: line(&["--extract"]) })
}

/// A name without tar's `\303\244` for letters beyond ASCII.
fn unquoted(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|digit| (b'0'..b'8').contains(digit)));
        match (first, octal) {
            (_, Some(digits)) => {
                bytes.push(digits.iter().fold(0_u8, |sum, digit| sum.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = &after[3..];
            }
            (b'\\', None) if after.first() == Some(&b'\\') => {
                bytes.push(b'\\');
                rest = &after[1..];
            }
            (byte, None) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::unquoted;

    #[test]
    fn letters_beyond_ascii_come_back() {
        assert_eq!(unquoted(r"a/\303\244\\b"), "a/ä\\b");
    }
}
