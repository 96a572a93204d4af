//! The fact `mounts`: file systems on devices, with their sizes.

use pgfleet_protocol::Map;
use serde_json::{Value, json};

use super::Source;

/// Adds `mounts`.
pub(super) fn gather(source: &Source<'_>, facts: &mut Map) {
    let table = source.text("/proc/self/mounts").or_else(|| source.text("/etc/mtab")).unwrap_or_default();
    let uuids: Vec<(String, String)> = source
        .list("/dev/disk/by-uuid")
        .into_iter()
        .filter_map(|uuid| {
            let device = source.link(&format!("/dev/disk/by-uuid/{uuid}"))?;
            Some((format!("/dev/{}", device.rsplit('/').next()?), uuid))
        })
        .collect();
    let mut mounts: Vec<Value> = Vec::new();
    for line in table.lines() {
        let fields: Vec<String> = line.split_ascii_whitespace().map(unescape).collect();
        let [device, mount, kind, options, rest @ ..] = fields.as_slice() else { continue };
        // As Ansible: things on a device or a server. The root is told whatever it is made of: containers have overlays.
        let is_told = (device.starts_with('/') || device.contains(":/") || mount == "/") && kind != "none";
        if !is_told || mounts.iter().any(|known| known["mount"] == mount.as_str() && known["device"] == device.as_str()) {
            continue;
        }
        let mut fact = json!({
            "mount": mount,
            "device": device,
            "fstype": kind,
            "options": options,
            "dump": rest.first().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0),
            "passno": rest.get(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0),
            "uuid": uuids.iter().find(|(known, _)| known == device).map_or("N/A", |(_, uuid)| uuid.as_str()),
        });
        if let Ok(space) = source.system.disk_space(mount.as_ref()) {
            let sizes = json!({
                "size_total": space.block_size * space.blocks,
                "size_available": space.block_size * space.blocks_available,
                "block_size": space.block_size,
                "block_total": space.blocks,
                "block_available": space.blocks_available,
                "block_used": space.blocks.saturating_sub(space.blocks_available),
                "inode_total": space.inodes,
                "inode_available": space.inodes_available,
                "inode_used": space.inodes.saturating_sub(space.inodes_available),
            });
            if let (Value::Object(fact), Value::Object(sizes)) = (&mut fact, sizes) {
                fact.extend(sizes);
            }
        }
        mounts.push(fact);
    }
    facts.insert("mounts".to_owned(), mounts.into());
}

/// `\040` and its like, as the kernel writes blanks in paths.
pub(crate) fn unescape(field: &str) -> String {
    let mut rest = field.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, tail)) = rest.split_first() {
        let code = (*first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(code) = code {
            bytes.push(code);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
