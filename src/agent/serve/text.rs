//! The daemon's answers as a person reads them.

use std::fmt::Write;

use serde_json::Value;

/// The answer to `status` or `history`.
pub(super) fn read_aloud(told: &Value) -> String {
    let mut text = String::new();
    if let Some(why) = told["error"].as_str() {
        return format!("{why}\n");
    }
    if let Some(history) = told["history"].as_array() {
        entries(&mut text, history);
        return text;
    }
    let sample = &told["sample"];
    line(&mut text, "agent", &format!("version {}, up {}", word(&told["version"]), duration(told["uptime"].as_u64().unwrap_or(0))));
    if sample.is_null() {
        line(&mut text, "looked", "not yet");
    } else {
        line(&mut text, "looked", &word(&sample["time"]));
        line(&mut text, "patroni", &patroni(&sample["patroni"]));
        line(&mut text, "etcd", &etcd(&sample["etcd"]));
        if let Some(fence) = sample.get("fence") {
            line(&mut text, "fence", &self::fence(fence));
        }
        for (name, unit) in sample["units"].as_object().into_iter().flatten() {
            line(&mut text, &format!("{name}.service"), &state(unit));
        }
    }
    for problem in told["problems"].as_array().into_iter().flatten() {
        line(&mut text, "problem", &word(problem));
    }
    text.push_str("last changes:\n");
    entries(&mut text, told["changes"].as_array().map_or(&[], Vec::as_slice));
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{:<17} {value}", format!("{name}:"));
}

/// One line an entry.
fn entries(text: &mut String, entries: &[Value]) {
    for entry in entries {
        let units = entry["units"].as_object().into_iter().flatten().map(|(name, unit)| format!("{name} {}", word(&unit["active"])));
        let mut parts = vec![format!("patroni {}", patroni(&entry["patroni"])), format!("etcd {}", etcd(&entry["etcd"]))];
        parts.extend(entry.get("fence").map(|told| format!("fence {}", fence(told))));
        parts.extend(units.filter(|unit| !unit.ends_with(' ')));
        let _ = writeln!(text, "  {} {:<8} {}", word(&entry["time"]), word(&entry["why"]), parts.join("; "));
    }
    if entries.is_empty() {
        text.push_str("  none\n");
    }
}

fn patroni(told: &Value) -> String {
    match (told, told["error"].as_str()) {
        (_, Some(why)) => format!("does not answer: {why}"),
        (Value::Object(told), None) => told.iter().map(|(name, value)| format!("{name} {}", word(value))).collect::<Vec<_>>().join(", "),
        _ => "not installed".to_owned(),
    }
}

fn etcd(told: &Value) -> String {
    match told["healthy"].as_bool() {
        None => "not installed".to_owned(),
        Some(true) => "healthy".to_owned(),
        Some(false) => format!("not healthy: {}", word(&told["error"])),
    }
}

fn fence(told: &Value) -> String {
    let armed = if told["armed"] == true { "armed" } else { "not armed: Patroni asks for none now" };
    told["acted"].as_str().map_or_else(|| armed.to_owned(), |time| format!("{armed}; ended PostgreSQL at {time}"))
}

fn state(unit: &Value) -> String {
    match unit["active"].as_str() {
        None | Some("") => "not installed".to_owned(),
        Some(active) => format!("{active} ({}), {}, since {}", word(&unit["sub"]), word(&unit["enabled"]), word(&unit["since"])),
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn duration(seconds: u64) -> String {
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{duration, read_aloud};

    #[test]
    fn a_person_reads_lines() {
        let unit = json!({"active": "active", "sub": "running", "enabled": "enabled", "since": "Mon"});
        let sample = json!({
            "time": "2026-01-05T10:00:00Z", "seconds": 1, "patroni": {"role": "replica", "timeline": 3, "lag": 0},
            "etcd": {"healthy": false, "error": "no leader"}, "units": {"patroni": unit, "haproxy": {"active": ""}}
        });
        let mut entry = sample.clone();
        entry["why"] = json!("changed");
        entry["fence"] = json!({"armed": false, "acted": "2026-01-05T09:59:00Z"});
        let told = json!({"version": "0.1.0", "uptime": 7500, "sample": sample, "changes": [entry], "problems": ["full"]});
        let expect = "\
agent:            version 0.1.0, up 2 h 5 min
looked:           2026-01-05T10:00:00Z
patroni:          role replica, timeline 3, lag 0
etcd:             not healthy: no leader
patroni.service:  active (running), enabled, since Mon
haproxy.service:  not installed
problem:          full
last changes:
  2026-01-05T10:00:00Z changed  patroni role replica, timeline 3, lag 0; etcd not healthy: no leader; fence not armed: Patroni asks for none now; ended PostgreSQL at 2026-01-05T09:59:00Z; patroni active
";
        assert_eq!(read_aloud(&told), expect);
        let early = json!({"version": "0.1.0", "uptime": 0, "sample": null, "changes": [], "problems": []});
        assert_eq!(read_aloud(&early), "agent:            version 0.1.0, up 0 s\nlooked:           not yet\nlast changes:\n  none\n");
        assert_eq!(read_aloud(&json!({"history": []})), "  none\n");
        assert_eq!(duration(90_061), "1 d 1 h");
    }
}
