//! The far end of the floor under a run of tasks: does framed requests from standard input with no more than the disk work they need.
//! A frame is a length, two letters for the kind, and fields with their lengths; each is answered with a length, `0` or `1` (changed).

use std::error::Error;
use std::fs;
use std::io::{Error as IoError, Read, Write, stdin, stdout};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let (mut input, mut output) = (stdin().lock(), stdout().lock());
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        input.read_exact(&mut frame)?;
        let changed = done(&frame)?;
        output.write_all(&[0, 0, 0, 1, b'0' + u8::from(changed)])?;
        output.flush()?;
    }
    Ok(())
}

/// Does one request; true when something was changed.
fn done(frame: &[u8]) -> Outcome<bool> {
    let (kind, rest) = frame.split_at_checked(2).ok_or("a frame without a kind")?;
    let fields = fields(rest)?;
    match (kind, fields.as_slice()) {
        (b"fo", [path, mode]) => {
            let missing = !Path::new(path).is_dir();
            if missing {
                fs::create_dir_all(path)?;
            }
            Ok(has_set_mode(path, mode)? | missing)
        }
        (b"fi", [path, mode, content]) => {
            if fs::read(path).is_ok_and(|found| found == content.as_bytes()) {
                return has_set_mode(path, mode);
            }
            replace(path, mode, content)?;
            Ok(true)
        }
        (b"li", [path, key, line]) => has_set_line(path, key, line),
        (b"ch", [path]) => match Command::new("test").args(["-f", path]).status()?.success() {
            true => Ok(false),
            false => Err(IoError::other(format!("there is no {path}")).into()),
        },
        _ => Err("an unknown request".into()),
    }
}

fn fields(mut rest: &[u8]) -> Outcome<Vec<String>> {
    let mut fields = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (field, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or("a field that is cut off")?;
        fields.push(String::from_utf8(field.to_vec())?);
        rest = after;
    }
    Ok(fields)
}

fn has_set_mode(path: &str, mode: &str) -> Outcome<bool> {
    let wanted = u32::from_str_radix(mode, 8)?;
    let differs = fs::metadata(path)?.mode() & 0o7777 != wanted;
    if differs {
        fs::set_permissions(path, fs::Permissions::from_mode(wanted))?;
    }
    Ok(differs)
}

fn replace(path: &str, mode: &str, content: &str) -> Outcome<()> {
    let (temporary, mode) = (format!("{path}.new"), u32::from_str_radix(mode, 8)?);
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    file.write_all(content.as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    drop(file);
    Ok(fs::rename(&temporary, path)?)
}

/// Replaces the first line of that key, or adds the line.
fn has_set_line(path: &str, key: &str, line: &str) -> Outcome<bool> {
    let before = fs::read_to_string(path).unwrap_or_default();
    let has_key = |found: &&str| found.split('=').next().map(str::trim) == Some(key);
    let after = match before.lines().find(has_key) {
        Some(found) if found == line => return Ok(false),
        Some(found) => before.replacen(&format!("{found}\n"), &format!("{line}\n"), 1),
        None => format!("{before}{line}\n"),
    };
    replace(path, "0644", &after)?;
    Ok(true)
}
