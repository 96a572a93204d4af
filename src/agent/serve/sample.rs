//! One look at the node: what Patroni and etcd say of themselves, and their units.

use std::fs;
use std::time::{Duration, Instant, UNIX_EPOCH};

use pgfleet_protocol::Map;
use serde_json::{Value, json};

use super::options::Options;
use crate::http::{Request, Url, etcd as etcd_settings, patroni as rest};
use crate::module::reason;
use crate::modules::probe;
use crate::moment::Moment;
use crate::system::System;

/// How long one answer is waited for.
const WAIT: Duration = Duration::from_secs(3);

/// Looks. What is not installed here is `null`; what does not answer has an `error`.
pub(super) fn take(options: &Options, system: &dyn System) -> Value {
    let units = probe::look_at_units(&options.units, WAIT, system);
    let is_here = |unit: &str| units[unit]["active"].as_str().is_some_and(|active| !active.is_empty());
    let seconds = system.now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    json!({
        "time": utc(seconds),
        "seconds": seconds,
        "patroni": (options.patroni.is_some() || is_here("patroni")).then(|| patroni(&patroni_address(options), system)),
        "etcd": (options.etcd.is_some() || is_here("etcd")).then(|| etcd(&etcd_address(options), system)),
        "units": units,
    })
}

/// The same without what changes all the time: two looks that differ in this are a change.
pub(super) fn essence(sample: &Value) -> Value {
    let mut essence = sample.clone();
    for (part, names) in [("", &["time", "seconds", "why"][..]), ("/patroni", &["lag", "location", "dcs_last_seen"]), ("/etcd", &[])] {
        if let Some(map) = essence.pointer_mut(part).and_then(Value::as_object_mut) {
            map.retain(|name, _| !names.contains(&name.as_str()));
        }
    }
    essence
}

pub(super) fn utc(seconds: u64) -> String {
    let Moment { year, month, day, hour, minute, second } = Moment::at(seconds.cast_signed());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Asks; answers the JSON, whatever its status, or why there is none.
fn ask(url: &str, system: &dyn System) -> Result<Value, String> {
    let mut request = Request::get(Url::parse(url)?, WAIT);
    request.deadline = Some(Instant::now() + WAIT);
    request.most = 1 << 20;
    let mut body = Vec::new();
    let answer = request.send(system, &mut body).map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|_| format!("status {} without JSON", answer.status))
}

fn patroni(address: &str, system: &dyn System) -> Value {
    let told = match ask(&format!("{address}/patroni"), system) {
        Ok(told) => told,
        Err(why) => return json!({"error": why}),
    };
    let mut patroni = Map::new();
    for name in ["role", "state", "timeline", "replication_state", "dcs_last_seen", "pause", "pending_restart", "cluster_unlocked"] {
        if let Some(value) = told.get(name) {
            patroni.insert(name.to_owned(), value.clone());
        }
    }
    let xlog = &told["xlog"];
    if let Some(location) = ["location", "replayed_location", "received_location"].iter().find_map(|name| xlog.get(name)) {
        patroni.insert("location".to_owned(), location.clone());
    }
    if !matches!(told["role"].as_str(), Some("primary" | "master" | "standby_leader") | None) {
        // How far behind the leader it is only the cluster's members know together.
        let name = &told["patroni"]["name"];
        let members = ask(&format!("{address}/cluster"), system).ok();
        let members = members.as_ref().and_then(|cluster| cluster["members"].as_array()).map(Vec::as_slice).unwrap_or_default();
        let lag = members.iter().find(|member| member["name"] == *name).and_then(|member| member.get("lag"));
        patroni.insert("lag".to_owned(), lag.cloned().unwrap_or(Value::Null));
    }
    Value::Object(patroni)
}

fn etcd(address: &str, system: &dyn System) -> Value {
    match ask(&format!("{address}/health"), system) {
        Ok(told) if told["health"] == "true" || told["health"] == true => json!({"healthy": true}),
        Ok(told) => json!({"healthy": false, "error": told["reason"].as_str().unwrap_or_default()}),
        Err(why) => json!({"healthy": false, "error": why}),
    }
}

/// From `connect_address:` below `restapi:` of Patroni's configuration.
pub(super) fn patroni_address(options: &Options) -> String {
    let from_file = || rest::setting(&fs::read_to_string(&options.patroni_config).ok()?, "restapi", "connect_address");
    let address = options.patroni.clone().or_else(|| from_file().map(|address| format!("patroni://{address}")));
    address.unwrap_or_else(|| "patroni://127.0.0.1:8008".to_owned()).trim_end_matches('/').to_owned()
}

/// From the line `ETCD_ADVERTISE_CLIENT_URLS=` of etcd's settings, which also say how it speaks.
fn etcd_address(options: &Options) -> String {
    let from_file = || {
        let urls = etcd_settings::value(&fs::read_to_string(&options.etcd_config).ok()?, "ETCD_ADVERTISE_CLIENT_URLS")?;
        let (_, address) = urls.split(',').next()?.split_once("://")?;
        Some(format!("etcd://{address}"))
    };
    let address = options.etcd.clone().or_else(from_file);
    address.unwrap_or_else(|| "etcd://127.0.0.1:2379".to_owned()).trim_end_matches('/').to_owned()
}

/// Why something could not be kept or answered, for `problems`.
pub(super) fn problem(doing: &str, error: &std::io::Error) -> String {
    format!("{doing}: {}", reason(error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{essence, take};
    use crate::http::server::{Server, nobody};
    use crate::serve::options::Options;
    use crate::system::Linux;

    #[test]
    fn a_replica_tells_its_lag_and_a_dead_etcd_its_error() {
        let json = |body: &str| format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
        let server = Server::new(&[
            &json(
                r#"{"state": "running", "role": "replica", "timeline": 3, "xlog": {"received_location": 67109096, "replayed_location": 67109096, "paused": false}, "replication_state": "streaming", "dcs_last_seen": 1767225599, "patroni": {"version": "4.0.7", "scope": "pg", "name": "node2"}}"#,
            ),
            &json(
                r#"{"members": [{"name": "node1", "role": "leader"}, {"name": "node2", "role": "replica", "lag": 4096}], "scope": "pg"}"#,
            ),
        ]);
        let options = Options {
            patroni: Some(format!("http://{}/", server.address)),
            etcd: Some(format!("http://{}", nobody())),
            units: Vec::new(),
            ..Options::default()
        };
        let sample = take(&options, &Linux);
        let expect = json!({"role": "replica", "state": "running", "timeline": 3, "replication_state": "streaming", "dcs_last_seen": 1_767_225_599, "location": 67_109_096, "lag": 4096});
        assert_eq!(sample["patroni"], expect);
        assert_eq!(sample["etcd"], json!({"healthy": false, "error": "connection refused"}));
        let (mut later, mut promoted) = (sample.clone(), sample.clone());
        (later["patroni"]["lag"], later["time"]) = (json!(0), json!("later"));
        promoted["patroni"]["role"] = json!("primary");
        assert_eq!(essence(&later), essence(&sample));
        assert_ne!(essence(&promoted), essence(&sample));
    }
}
