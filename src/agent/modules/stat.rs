//! `stat`: tells what is at a path.

use std::path::Path;

use pgfleet_protocol::modules::files::Stat;
use pgfleet_protocol::{Map, Outcome};
use serde_json::{Value, json};

use crate::digest::Algorithm;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::system::{Access, Kind, Metadata, Program};

/// Letters and names of inode flags, as `lsattr` and Ansible have them.
const FLAGS: [(u32, char, &str); 16] = [
    (0x1, 's', "secdel"),
    (0x2, 'u', "undelete"),
    (0x4, 'c', "compress"),
    (0x8, 'S', "synchronous"),
    (0x10, 'i', "immutable"),
    (0x20, 'a', "appendonly"),
    (0x40, 'd', "nodump"),
    (0x80, 'A', "noatime"),
    (0x800, 'E', "encrypted"),
    (0x1000, 'I', "indexed"),
    (0x4000, 'j', "journal"),
    (0x8000, 't', "notail"),
    (0x1_0000, 'D', "dirsync"),
    (0x2_0000, 'T', "topdir"),
    (0x8_0000, 'e', "extents"),
    (0x80_0000, 'C', "nocow"),
];

pub(crate) fn plan(arguments: &Stat, context: &Context) -> Planned {
    let algorithm = Algorithm::named(&arguments.checksum_algorithm).ok_or_else(|| {
        Failure::new(format!("'{}' is not one of md5, sha1, sha224, sha256, sha384, sha512", arguments.checksum_algorithm))
    })?;
    let path = paths::expand(context.system, arguments.path.as_str())?;
    let found = if arguments.follow { context.system.stat_if_there(&path) } else { context.system.lstat_if_there(&path) };
    let Some(found) = found.context(format_args!("cannot look at {}", path.display()))? else {
        return Ok(Plan::Done(Outcome::unchanged().with("stat", json!({"exists": false}))));
    };
    let mut stat = describe(&path, &found, context);
    if found.is_link() {
        if let Ok(target) = context.system.read_link(&path) {
            stat.insert("lnk_target".to_owned(), target.to_string_lossy().into());
        }
        if let Ok(source) = context.system.real_path(&path) {
            stat.insert("lnk_source".to_owned(), source.to_string_lossy().into());
        }
    }
    if arguments.get_checksum && found.is_file() && context.system.access(&path, Access::Read) {
        let sum = context.system.open_file(&path).and_then(|mut file| algorithm.of_reader(&mut file));
        stat.insert("checksum".to_owned(), sum.context(format_args!("cannot read {}", path.display()))?.into());
    }
    if arguments.get_mime {
        let (kind, charset) = mime(&path, context);
        stat.insert("mimetype".to_owned(), kind.into());
        stat.insert("charset".to_owned(), charset.into());
    }
    if arguments.get_attributes {
        let flags = if found.is_file() || found.is_directory() { context.system.inode_flags(&path) } else { None };
        let set: Vec<_> = FLAGS.iter().filter(|(bit, ..)| flags.unwrap_or(0) & bit != 0).collect();
        stat.insert("attr_flags".to_owned(), set.iter().map(|(_, letter, _)| *letter).collect::<String>().into());
        stat.insert("attributes".to_owned(), set.iter().map(|(.., name)| Value::from(*name)).collect());
        stat.insert("version".to_owned(), Value::Null);
    }
    Ok(Plan::Done(Outcome::unchanged().with("stat", stat)))
}

pub(crate) fn describe(path: &Path, found: &Metadata, context: &Context) -> Map {
    let mut stat = Map::new();
    let mut put = |name: &str, value: Value| stat.insert(name.to_owned(), value);
    put("exists", true.into());
    put("path", path.to_string_lossy().into());
    put("mode", format!("{:04o}", found.mode).into());
    for (name, kind) in [
        ("isdir", Kind::Directory),
        ("ischr", Kind::CharDevice),
        ("isblk", Kind::BlockDevice),
        ("isreg", Kind::File),
        ("isfifo", Kind::Fifo),
        ("islnk", Kind::Link),
        ("issock", Kind::Socket),
    ] {
        put(name, (found.kind == kind).into());
    }
    for (name, number) in [
        ("uid", found.uid.into()),
        ("gid", found.gid.into()),
        ("size", found.size),
        ("inode", found.ino),
        ("dev", found.dev),
        ("nlink", found.nlink),
        ("blocks", found.blocks),
        ("block_size", found.block_size),
        ("device_type", found.rdev),
    ] {
        put(name, number.into());
    }
    for (name, time) in [("atime", found.atime), ("mtime", found.mtime), ("ctime", found.ctime)] {
        put(name, time.as_f64().into());
    }
    for (at, class) in ["usr", "grp", "oth"].iter().enumerate() {
        for (bit, letter) in [(0o400, 'r'), (0o200, 'w'), (0o100, 'x')] {
            put(&format!("{letter}{class}"), (found.mode & (bit >> (3 * at)) != 0).into());
        }
    }
    put("isuid", (found.mode & 0o4000 != 0).into());
    put("isgid", (found.mode & 0o2000 != 0).into());
    for (name, access) in [("readable", Access::Read), ("writeable", Access::Write), ("executable", Access::Execute)] {
        put(name, context.system.access(path, access).into());
    }
    if let Ok(Some(user)) = context.system.user_by_id(found.uid) {
        put("pw_name", user.name.into());
    }
    if let Ok(Some(group)) = context.system.group_by_id(found.gid) {
        put("gr_name", group.name.into());
    }
    stat
}

/// Kind and character set, which only the host's `file` program knows.
fn mime(path: &Path, context: &Context) -> (String, String) {
    let unknown = || "unknown".to_owned();
    let Some(program) = context.system.find_program("file") else { return (unknown(), unknown()) };
    let path = path.to_string_lossy();
    let argv = [&*program.to_string_lossy(), "--mime-type", "--mime-encoding", "--brief", "--", &*path].map(str::to_owned);
    let Ok(finished) = context.run(Program::new(argv)) else { return (unknown(), unknown()) };
    let text = finished.stdout_text();
    match text.trim().split_once("; charset=") {
        Some((kind, charset)) if finished.is_success() => (kind.to_owned(), charset.to_owned()),
        _ => (unknown(), unknown()),
    }
}
