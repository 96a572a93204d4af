//! The floor under a fan-out: a bare client that connects, logs in and runs one command on each address, and does nothing else.
//! usage: floor KEY USER AT_ONCE COMMAND, with one `address:port` a line on standard input

use std::error::Error;
use std::io::{Error as IoError, read_to_string, stdin};
use std::sync::Arc;

use russh::client::{self, Handler, Msg};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh::{Channel, ChannelMsg, Disconnect};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Takes any host for the right one.
struct Trusting;

impl Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// What is done on every address.
struct Work {
    config: Arc<client::Config>,
    key: PrivateKeyWithHashAlg,
    user: String,
    command: String,
    places: Semaphore,
}

fn main() -> Outcome<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(fan_out())
}

async fn fan_out() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [key, user, at_once, command] = words.as_slice() else { return Err("usage: floor KEY USER AT_ONCE COMMAND".into()) };
    let work = Arc::new(Work {
        config: Arc::new(client::Config { nodelay: true, ..client::Config::default() }),
        key: PrivateKeyWithHashAlg::new(Arc::new(load_secret_key(key, None)?), None),
        user: user.clone(),
        command: command.clone(),
        places: Semaphore::new(at_once.parse()?),
    });
    let mut running = JoinSet::new();
    for address in read_to_string(stdin())?.lines() {
        running.spawn(visit(work.clone(), address.to_owned()));
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

async fn visit(work: Arc<Work>, address: String) -> Outcome<()> {
    let _place = work.places.acquire().await?;
    let stream = tokio::net::TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut handle = client::connect_stream(work.config.clone(), stream, Trusting).await?;
    if !handle.authenticate_publickey(&work.user, work.key.clone()).await?.success() {
        return Err(IoError::other(format!("{address}: the key is refused")).into());
    }
    let channel = handle.channel_open_session().await?;
    channel.exec(true, work.command.as_str()).await?;
    match status(channel).await {
        Some(0) => Ok(handle.disconnect(Disconnect::ByApplication, "", "").await?),
        other => Err(IoError::other(format!("{address}: {} ended with {other:?}", work.command)).into()),
    }
}

async fn status(mut channel: Channel<Msg>) -> Option<u32> {
    let mut status = None;
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    status
}
