//! The waker: makes sure that a PostgreSQL which has ended can be started again, and that Patroni notices at once.
//!
//! By itself Patroni looks once in `loop_wait` seconds.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use pgfleet_protocol::Secret;

use super::postmaster::Postmaster;
use crate::http::{Request, Url, patroni as rest};
use crate::system::Linux;

/// Between two looks for a PostgreSQL, and for the daemon's end.
const LOOK: Duration = Duration::from_secs(1);
/// Patroni is woken no more often than it looks by itself: a PostgreSQL that ends again and again is no better for being started sooner.
const SELDOM: Duration = Duration::from_secs(10);
/// How long Patroni's answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// A change of the shared settings that changes nothing: Patroni looks at once after any.
const NO_CHANGE: &[u8] = br#"{"pgfleet_wakes": null}"#;

/// Which PostgreSQL is watched, and which Patroni is woken.
#[derive(Debug)]
pub(super) struct Waker {
    pub(super) data_dir: PathBuf,
    /// Patroni's configuration, which has the login of its REST API.
    pub(super) patroni_config: PathBuf,
    /// Patroni's REST API.
    pub(super) patroni: String,
}

impl Waker {
    /// Watches until the other end of `stopped` is gone.
    pub(super) fn keep(&self, stopped: &Receiver<()>) {
        let (mut postmaster, mut woken) = (None::<Postmaster>, None::<Instant>);
        loop {
            if postmaster.as_ref().is_some_and(|postmaster| postmaster.ends_within(LOOK)) {
                self.clear_up(postmaster.take());
                if woken.is_none_or(|then| then.elapsed() >= SELDOM) {
                    woken = Some(Instant::now());
                    self.wake();
                }
            }
            postmaster = postmaster.or_else(|| Postmaster::find(&self.data_dir));
            let pause = if postmaster.is_some() { Duration::ZERO } else { LOOK };
            if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn clear_up(&self, postmaster: Option<Postmaster>) {
        let data = self.data_dir.display();
        match postmaster.map(|postmaster| postmaster.end_orphans()) {
            None | Some(Ok(0)) => {}
            Some(Ok(count)) => tell(&format!(
                "PostgreSQL in {data} has ended without {count} of its processes: they were ended, so that it can start again"
            )),
            Some(Err(error)) => {
                tell(&format!("PostgreSQL in {data} has ended, and processes that it may have left cannot be seen: {error}"))
            }
        }
    }

    /// Where nobody answers, Patroni ends as well, or is being started: then it looks anyway.
    fn wake(&self) {
        let config = fs::read_to_string(&self.patroni_config).unwrap_or_default();
        let setting = |name: &str| rest::setting(&config, "restapi", name);
        let Ok(url) = Url::parse(&format!("{}/config", self.patroni)) else { return };
        let request = Request {
            method: "PATCH".to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: Some(NO_CHANGE.to_vec()),
            user: setting("username").zip(setting("password").map(Secret::new)),
            login_at_once: true,
            deadline: Some(Instant::now() + PATIENCE),
            most: 1 << 20,
            ..Request::get(url, PATIENCE)
        };
        match request.send(&Linux, &mut io::sink()) {
            Ok(answer) if answer.status != 200 => tell(&format!("Patroni was not woken: it says {} {}", answer.status, answer.reason)),
            Ok(_) => tell(&format!("PostgreSQL in {} has ended: Patroni was woken", self.data_dir.display())),
            Err(_) => {}
        }
    }
}

/// The journal keeps it.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "pgfleet-agent: {text}");
}
