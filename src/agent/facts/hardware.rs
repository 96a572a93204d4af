//! Facts about processors, memory, uptime and block devices, from `/proc` and `/sys`.

use std::collections::BTreeMap;

use pgfleet_protocol::Map;
use serde_json::{Value, json};

use super::Source;

/// Adds all facts of this file.
pub(super) fn gather(source: &Source<'_>, facts: &mut Map) {
    processors(source, facts);
    memory(source, facts);
    devices(source, facts);
    if let Some(seconds) =
        source.text("/proc/uptime").and_then(|text| text.split('.').next().and_then(|seconds| seconds.trim().parse::<u64>().ok()))
    {
        facts.insert("uptime_seconds".to_owned(), json!(seconds));
    }
    for (fact, file) in [
        ("bios_date", "bios_date"),
        ("bios_vendor", "bios_vendor"),
        ("bios_version", "bios_version"),
        ("board_name", "board_name"),
        ("board_vendor", "board_vendor"),
        ("chassis_vendor", "chassis_vendor"),
        ("product_name", "product_name"),
        ("product_version", "product_version"),
        ("product_uuid", "product_uuid"),
        ("system_vendor", "sys_vendor"),
    ] {
        let value = source.line(&format!("/sys/devices/virtual/dmi/id/{file}"));
        facts.insert(fact.to_owned(), json!(value.filter(|value| !value.is_empty()).unwrap_or_else(|| "NA".to_owned())));
    }
}

fn processors(source: &Source<'_>, facts: &mut Map) {
    let cpuinfo = source.text("/proc/cpuinfo").unwrap_or_default();
    let mut list = Vec::new();
    let mut sockets: BTreeMap<String, u64> = BTreeMap::new();
    let (mut count, mut vendors, mut cores_per_socket, mut siblings) = (0_u64, 0_u64, 1_u64, 0_u64);
    let mut socket = String::new();
    for line in cpuinfo.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key.trim() {
            "processor" => {
                count += 1;
                list.push(json!(value));
            }
            "vendor_id" | "Vendor" => {
                vendors += 1;
                list.push(json!(value));
            }
            "model name" | "Processor" | "cpu" => list.push(json!(value)),
            "physical id" => {
                value.clone_into(&mut socket);
                sockets.entry(socket.clone()).or_insert(1);
            }
            "cpu cores" => {
                cores_per_socket = value.parse().unwrap_or(1);
                sockets.insert(socket.clone(), cores_per_socket);
            }
            "siblings" => siblings = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let logical = if vendors > 0 { vendors } else { count }.max(1);
    let socket_count = if sockets.is_empty() { logical } else { sockets.len() as u64 };
    let cores = sockets.values().next().copied().unwrap_or(1).max(1);
    let threads = if siblings > 0 { (siblings / cores_per_socket.max(1)).max(1) } else { 1 };
    facts.insert("processor".to_owned(), Value::Array(list));
    facts.insert("processor_count".to_owned(), json!(socket_count));
    facts.insert("processor_cores".to_owned(), json!(cores));
    facts.insert("processor_threads_per_core".to_owned(), json!(threads));
    facts.insert("processor_vcpus".to_owned(), json!(threads * socket_count * cores));
    facts.insert("processor_nproc".to_owned(), json!(allowed_processors(source).unwrap_or(count.max(1))));
}

/// How many processors this process may run on, as `sched_getaffinity` would say.
fn allowed_processors(source: &Source<'_>) -> Option<u64> {
    let status = source.text("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    list.trim()
        .split(',')
        .map(|range| match range.split_once('-') {
            Some((first, last)) => Some(last.parse::<u64>().ok()?.checked_sub(first.parse().ok()?)? + 1),
            None => range.parse::<u64>().ok().map(|_| 1),
        })
        .sum()
}

fn memory(source: &Source<'_>, facts: &mut Map) {
    let meminfo = source.text("/proc/meminfo").unwrap_or_default();
    let megabytes = |wanted: &str| -> u64 {
        meminfo
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| *name == wanted)
            .and_then(|(_, value)| value.split_ascii_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
            / 1024
    };
    let (total, free) = (megabytes("MemTotal"), megabytes("MemFree"));
    let (swap_total, swap_free) = (megabytes("SwapTotal"), megabytes("SwapFree"));
    let unused = megabytes("Cached") + free + megabytes("Buffers");
    facts.insert("memtotal_mb".to_owned(), json!(total));
    facts.insert("memfree_mb".to_owned(), json!(free));
    facts.insert("swaptotal_mb".to_owned(), json!(swap_total));
    facts.insert("swapfree_mb".to_owned(), json!(swap_free));
    facts.insert(
        "memory_mb".to_owned(),
        json!({
            "real": {"total": total, "used": total.saturating_sub(free), "free": free},
            "nocache": {"free": unused, "used": total.saturating_sub(unused)},
            "swap": {
                "total": swap_total,
                "free": swap_free,
                "used": swap_total.saturating_sub(swap_free),
                "cached": megabytes("SwapCached"),
            },
        }),
    );
}

fn devices(source: &Source<'_>, facts: &mut Map) {
    let mut devices = Map::new();
    for name in source.list("/sys/block") {
        let folder = format!("/sys/block/{name}");
        let sectors: u64 = source.line(&format!("{folder}/size")).and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut partitions = Map::new();
        for entry in source.list(&folder).into_iter().filter(|entry| entry.starts_with(&name)) {
            let partition = format!("{folder}/{entry}");
            let Some(start) = source.line(&format!("{partition}/start")) else { continue };
            let sectors: u64 = source.line(&format!("{partition}/size")).and_then(|text| text.parse().ok()).unwrap_or(0);
            partitions.insert(
                entry,
                json!({"start": start, "sectors": sectors.to_string(), "sectorsize": 512, "size": human(sectors * 512), "links": {}, "holders": []}),
            );
        }
        let line = |file: &str| source.line(&format!("{folder}/{file}"));
        devices.insert(
            name,
            json!({
                "vendor": line("device/vendor"),
                "model": line("device/model"),
                "removable": line("removable"),
                "rotational": line("queue/rotational"),
                "support_discard": line("queue/discard_granularity"),
                "sectors": sectors.to_string(),
                "sectorsize": line("queue/logical_block_size").unwrap_or_else(|| "512".to_owned()),
                "size": human(sectors * 512),
                "partitions": partitions,
                "links": {},
                "holders": [],
                "virtual": 1,
            }),
        );
    }
    facts.insert("devices".to_owned(), Value::Object(devices));
}

/// A size as Ansible writes it: `10.00 GB`.
fn human(bytes: u64) -> String {
    for (suffix, shift) in [("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)] {
        if bytes >= 1 << shift {
            return format!("{:.2} {suffix}", bytes as f64 / (1_u64 << shift) as f64);
        }
    }
    format!("{bytes}.00 Bytes")
}
