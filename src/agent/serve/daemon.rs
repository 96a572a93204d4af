//! The daemon's life: one thread looks at the node, one each watches its PostgreSQL and fences it where that is asked for, the main one takes clients and waits for the end.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::answer::Known;
use super::fence::Fence;
use super::history::{Bounds, History};
use super::notify;
use super::options::Options;
use super::sample;
use super::waker::Waker;
use crate::system::Linux;

/// Stack of the threads that look and of those that answer.
const STACK: usize = 256 * 1024;
/// So many clients at a time; those beyond are turned away.
const CLIENTS: usize = 8;

/// Runs until a signal comes.
pub(super) fn run(options: &Options) -> io::Result<()> {
    let (signals, from_signals) = UnixStream::pair()?;
    signals.set_nonblocking(true)?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, signals.try_clone()?)?;
    }
    let listener = listen(&options.socket)?;
    let known = Arc::new(Known::new(History::new(&options.state_dir, Bounds::default())));
    let fence = options.fence.as_deref().zip(options.data_dir.as_deref());
    let fence = fence.map(|(file, data_dir)| Arc::new(Fence::new(file, data_dir, sample::patroni_address(options))));
    let fencing = fence.clone().map(|fence| start("fence", move |stopped| fence.keep(stopped))).transpose()?;
    let waking = options.data_dir.as_deref().map(|data_dir| {
        let waker = Waker {
            data_dir: data_dir.to_owned(),
            patroni_config: options.patroni_config.clone(),
            patroni: sample::patroni_address(options),
        };
        start("wake", move |stopped| waker.keep(stopped))
    });
    let waking = waking.transpose()?;
    let (looker, its_options) = (known.clone(), options.clone());
    let looking = start("look", move |stopped| look(&looker, &its_options, fence.as_deref(), stopped))?;
    notify::tell("READY=1")?;
    let served = take_clients(&listener, &from_signals, &known);
    // Nobody is left to tell when systemd does not listen.
    let _ = notify::tell("STOPPING=1");
    drop((fencing, waking, looking));
    known.close();
    // It may be gone with its folder already.
    let _ = fs::remove_file(&options.socket);
    served
}

/// Starts a thread that works until what this gives is dropped.
fn start(name: &str, work: impl FnOnce(&Receiver<()>) + Send + 'static) -> io::Result<Sender<()>> {
    let (end, stopped) = channel();
    thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(move || work(&stopped))?;
    Ok(end)
}

/// A socket that only this user may use. One that a dead daemon left is replaced, one of a living daemon is not.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match UnixStream::connect(path) {
        Ok(_) => return Err(io::Error::new(ErrorKind::AddrInUse, format!("another agent answers at {} already", path.display()))),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path)?,
        Err(_) => {}
    }
    // Nothing that the daemon makes is for others; the socket not even for a moment.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let complete = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen at {}: {error}", path.display()));
    let listener = UnixListener::bind(path).map_err(complete)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Looks again and again, until the other end of `stopped` is gone.
fn look(known: &Known, options: &Options, fence: Option<&Fence>, stopped: &Receiver<()>) {
    loop {
        let mut sample = sample::take(options, &Linux);
        if let Some(fence) = fence {
            sample["fence"] = fence.state();
        }
        known.learn(sample);
        if stopped.recv_timeout(options.interval) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn take_clients(listener: &UnixListener, signals: &UnixStream, known: &Arc<Known>) -> io::Result<()> {
    let clients = Arc::new(());
    loop {
        let mut watched = [PollFd::new(listener, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        match poll(&mut watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !watched[1].revents().is_empty() {
            return Ok(());
        }
        match listener.accept() {
            Ok((stream, _)) if Arc::strong_count(&clients) <= CLIENTS => {
                stream.set_nonblocking(false)?;
                let (known, client) = (known.clone(), clients.clone());
                let serve = move || {
                    // A client that goes away or hangs is its own affair.
                    let _ = known.serve(stream);
                    drop(client);
                };
                // Without room for a thread the client finds the connection closed.
                let _ = thread::Builder::new().stack_size(STACK).spawn(serve);
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            // Out of descriptors, say: it passes, and the looks go on meanwhile.
            Err(_) => thread::sleep(std::time::Duration::from_millis(100)),
        }
    }
}
