//! What the daemon's command line says.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Where the daemon looks, keeps and answers.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) state_dir: PathBuf,
    pub(crate) socket: PathBuf,
    /// Patroni's configuration, which says where its REST API is.
    pub(crate) patroni_config: PathBuf,
    /// Patroni's REST API, whatever its configuration says.
    pub(crate) patroni: Option<String>,
    /// etcd's settings, which say where it answers.
    pub(crate) etcd_config: PathBuf,
    /// etcd's address, whatever its settings say.
    pub(crate) etcd: Option<String>,
    pub(crate) units: Vec<String>,
    /// The file that Patroni takes for a watchdog's device.
    pub(crate) fence: Option<PathBuf>,
    /// The data of the PostgreSQL that is watched, and fenced.
    pub(crate) data_dir: Option<PathBuf>,
    /// Between two looks.
    pub(crate) interval: Duration,
    /// How many entries of the history `status` asks for; the current state when 0.
    pub(crate) history: usize,
    /// `status` prints JSON.
    pub(crate) is_json: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/pgfleet".into(),
            socket: "/run/pgfleet/agent.sock".into(),
            patroni_config: "/etc/patroni/config.yml".into(),
            patroni: None,
            etcd_config: "/etc/default/etcd".into(),
            etcd: None,
            units: ["patroni", "etcd", "haproxy"].map(str::to_owned).to_vec(),
            fence: None,
            data_dir: None,
            interval: Duration::from_secs(10),
            history: 0,
            is_json: false,
        }
    }
}

impl Options {
    /// Reads `--name value` and `--name=value`, and `--json`.
    pub(crate) fn read(arguments: &[String]) -> io::Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == "--json" {
                options.is_json = true;
                continue;
            }
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (argument.as_str(), arguments.next().cloned().ok_or_else(|| wrong(format!("{argument} needs a value")))?),
            };
            match name {
                "--state-dir" => options.state_dir = value.into(),
                "--socket" => options.socket = value.into(),
                "--patroni-config" => options.patroni_config = value.into(),
                "--patroni" => options.patroni = Some(value),
                "--etcd-config" => options.etcd_config = value.into(),
                "--etcd" => options.etcd = Some(value),
                "--units" => options.units = value.split(',').filter(|unit| !unit.is_empty()).map(str::to_owned).collect(),
                "--fence" => options.fence = Some(value.into()),
                "--data-dir" => options.data_dir = Some(value.into()),
                "--interval" => {
                    let seconds: Option<f64> = value.parse().ok().filter(|seconds| (0.01..=86400.0).contains(seconds));
                    options.interval =
                        Duration::from_secs_f64(seconds.ok_or_else(|| wrong(format!("--interval {value}: seconds are needed")))?);
                }
                "--history" => options.history = value.parse().map_err(|_| wrong(format!("--history {value}: a number is needed")))?,
                other => {
                    return Err(wrong(format!(
                        "{other} is not known; known are --state-dir, --socket, --patroni-config, --patroni, --etcd-config, --etcd, --units, --fence, --data-dir, --interval, --history and --json"
                    )));
                }
            }
        }
        Ok(options)
    }
}

fn wrong(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
