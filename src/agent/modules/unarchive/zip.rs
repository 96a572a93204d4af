//! Archives that unzip reads.

use std::io::{self, Read};
use std::path::Path;

use pgfleet_protocol::modules::sources::Unarchive;

use super::{Content, start};
use crate::module::{Context, Failure, WithContext};
use crate::system::glob::matches;

pub(super) fn look(wish: &Unarchive, archive: &Path, dest: &Path, context: &Context) -> Result<Content, Failure> {
    let path = archive.to_string_lossy().into_owned();
    let listed = start(&["unzip", "-vqq", &path].map(str::to_owned), context)?;
    if !listed.is_success() {
        return Err(
            Failure::new(format!("Failed to find handler for \"{}\": {}", wish.src, listed.stderr_text().trim())).with("rc", listed.status)
        );
    }
    let (mut files, mut is_there) = (Vec::new(), true);
    for entry in listed.stdout_text().lines().filter_map(Entry::read) {
        let is_one_of = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, &entry.name));
        if is_one_of(&wish.exclude) || (!wish.include.is_empty() && !is_one_of(&wish.include)) {
            continue;
        }
        is_there &= entry.is_in(dest, context)?;
        files.push(entry.name);
    }
    let mut extract = vec!["unzip".to_owned(), if wish.keep_newer { "-uo" } else { "-o" }.to_owned()];
    extract.extend(wish.extra_opts.iter().cloned());
    extract.push(path);
    extract.extend(wish.include.iter().cloned());
    if !wish.exclude.is_empty() {
        extract.push("-x".to_owned());
        extract.extend(wish.exclude.iter().cloned());
    }
    extract.extend(["-d".to_owned(), dest.to_string_lossy().into_owned()]);
    Ok(Content { handler: "ZipArchive", files, is_there, extract })
}

/// A line of `unzip -v`: length, method, size, ratio, date, time, sum, name.
struct Entry {
    size: u64,
    sum: u32,
    name: String,
}

impl Entry {
    fn read(line: &str) -> Option<Self> {
        let mut rest = line.trim_start();
        let mut words = Vec::new();
        for _ in 0..7 {
            let (word, after) = rest.split_once(char::is_whitespace)?;
            words.push(word);
            rest = after.trim_start();
        }
        Some(Self { size: words[0].parse().ok()?, sum: u32::from_str_radix(words[6], 16).ok()?, name: rest.to_owned() })
    }

    fn is_in(&self, dest: &Path, context: &Context) -> Result<bool, Failure> {
        let path = dest.join(self.name.trim_end_matches('/'));
        let Some(found) = context.system.stat_if_there(&path)? else { return Ok(false) };
        if self.name.ends_with('/') {
            return Ok(found.is_directory());
        }
        let doing = format!("cannot read {}", path.display());
        Ok(found.is_file()
            && found.size == self.size
            && crc32(&mut context.system.open_file(&path).context(&doing)?).context(&doing)? == self.sum)
    }
}

/// The sum that zip keeps of each file.
fn crc32(file: &mut dyn Read) -> io::Result<u32> {
    let mut sum = u32::MAX;
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(!sum);
        }
        for byte in &buffer[..count] {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, crc32};

    #[test]
    fn sums_are_those_of_zip() {
        assert_eq!(crc32(&mut &b"123456789"[..]).expect("read"), 0xcbf4_3926);
    }

    #[test]
    fn names_may_have_spaces() {
        let entry = Entry::read("       6  Stored        6   0% 2026-11-21 10:00 363a3020  a dir/b  c.txt").expect("an entry");
        assert_eq!((entry.size, entry.sum, entry.name.as_str()), (6, 0x363a_3020, "a dir/b  c.txt"));
    }
}
