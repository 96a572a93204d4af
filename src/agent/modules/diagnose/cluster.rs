//! What the node knows of its cluster: the etcd that Patroni's configuration names, and whose data is on its disk.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::{Request, Url};
use crate::module::Context;

const CONFIG: &str = "/etc/patroni/config.yml";
/// How long one voter is waited for.
const WAIT: Duration = Duration::from_secs(3);

/// How etcd answers, and the system identifier that it keeps.
#[derive(Default)]
pub(super) struct Etcd {
    /// Each voter's address and why it does not answer.
    pub(super) voters: Vec<(String, Result<(), String>)>,
    pub(super) identifier: Option<String>,
}

impl Etcd {
    /// Asks every voter for the cluster's system identifier; that takes most of them to agree.
    pub(super) fn look(context: &Context) -> Self {
        let config = context.system.read_text(Path::new(CONFIG)).unwrap_or_default();
        let (key, addresses) = read_config(&config);
        let mut etcd = Self::default();
        for address in addresses {
            let answer = ask(context, &address, &key);
            if let Ok(Some(identifier)) = &answer {
                etcd.identifier = Some(identifier.clone());
            }
            etcd.voters.push((address, answer.map(drop)));
        }
        etcd
    }
}

/// The key of the identifier, and the addresses below `etcd3:`. A host of Patroni's own making has both on lines of their own.
fn read_config(config: &str) -> (String, Vec<String>) {
    let top = |name: &str| config.lines().find_map(|line| line.strip_prefix(name)).map(bare);
    let namespace = top("namespace:").unwrap_or("service").trim_matches('/');
    let key = format!("/{namespace}/{}/initialize", top("scope:").unwrap_or_default());
    let section =
        config.lines().skip_while(|line| line.trim_end() != "etcd3:").skip(1).take_while(|line| line.starts_with([' ', '-', '#']));
    let addresses = section
        .flat_map(|line| line.trim_start_matches([' ', '-']).trim_start_matches("hosts:").trim_start_matches("host:").split(','))
        .map(bare)
        .filter(|word| word.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()));
    (key, addresses.map(str::to_owned).collect())
}

fn bare(value: &str) -> &str {
    value.trim().trim_matches(['"', '\''])
}

fn ask(context: &Context, address: &str, key: &str) -> Result<Option<String>, String> {
    let mut request = Request::get(Url::parse(&format!("etcd://{address}/v3/kv/range"))?, WAIT);
    request.method = "POST".to_owned();
    request.body = Some(json!({"key": STANDARD.encode(key)}).to_string().into_bytes());
    request.deadline = Some(Instant::now() + WAIT);
    request.most = 1 << 16;
    let mut body = Vec::new();
    let answer = request.send(context.system, &mut body).map_err(|error| error.to_string())?;
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    if answer.status != 200 {
        return Err(told["message"].as_str().map_or_else(|| format!("status {}", answer.status), str::to_owned));
    }
    let value = told["kvs"][0]["value"].as_str().and_then(|value| STANDARD.decode(value).ok());
    Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

/// The system identifier of the data in a folder: the first eight bytes of its control file.
pub(super) fn identifier_on_disk(context: &Context, data: &Path) -> Option<String> {
    let control = context.system.read_file(&data.join("global/pg_control")).ok()?;
    control.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::read_config;

    #[test]
    fn the_voters_are_in_patronis_configuration() {
        let config = "# ours\nscope: \"pg\"\nname: \"n\"\n\netcd3:\n  hosts:\n    - \"10.0.0.1:2379\"\n    - 10.0.0.2:2379\n\nrestapi:\n  listen: \"0.0.0.0:8008\"\n";
        let both = vec!["10.0.0.1:2379".to_owned(), "10.0.0.2:2379".to_owned()];
        assert_eq!(read_config(config), ("/service/pg/initialize".to_owned(), both.clone()));
        let config = "scope: pg\nnamespace: /db/\netcd3:\n  hosts: 10.0.0.1:2379, 10.0.0.2:2379\n  protocol: http\n";
        assert_eq!(read_config(config), ("/db/pg/initialize".to_owned(), both));
        assert_eq!(read_config("").1, Vec::<String>::new());
    }
}
