//! The floor under what pgfleet does: a bare client that connects, logs in and runs one command on each address, and does nothing else.
//! usage: floor KEY USER AT_ONCE COMMAND [INPUT [OUTPUT]], with one `address:port name` a line on standard input
//! FLOOR_CIPHER, FLOOR_KEX (names as SSH has them), FLOOR_WINDOW and FLOOR_PACKET (bytes) choose otherwise than pgfleet does.
//! In USER, COMMAND and the paths of the files that it reads and writes, `{}` is the name.

use std::error::Error;
use std::io::{Error as IoError, Read, Write, read_to_string, stdin};
use std::sync::Arc;

use russh::client::{self, Handler, Msg};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh::{Channel, ChannelMsg, Disconnect, Preferred, cipher, kex};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of the input that are sent at a time.
const BLOCK: u64 = 256 * 1024;

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
    input: Option<String>,
    output: Option<String>,
    places: Semaphore,
}

fn main() -> Outcome<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(fan_out())
}

async fn fan_out() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [key, user, at_once, command, files @ ..] = words.as_slice() else {
        return Err("usage: floor KEY USER AT_ONCE COMMAND [INPUT [OUTPUT]]".into());
    };
    let work = Arc::new(Work {
        config: Arc::new(configuration()?),
        key: PrivateKeyWithHashAlg::new(Arc::new(load_secret_key(key, None)?), None),
        user: user.clone(),
        command: command.clone(),
        input: files.first().filter(|path| !path.is_empty()).cloned(),
        output: files.get(1).cloned(),
        places: Semaphore::new(at_once.parse()?),
    });
    let mut running = JoinSet::new();
    for line in read_to_string(stdin())?.lines() {
        let (address, name) = line.split_once(' ').unwrap_or((line, line));
        running.spawn(visit(work.clone(), address.to_owned(), name.to_owned()));
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

fn configuration() -> Outcome<client::Config> {
    let wish = |name: &str| std::env::var(name).ok();
    let unknown = |name: &str| format!("there is no {name}");
    let mut preferred = Preferred { cipher: vec![cipher::AES_128_GCM].into(), ..Preferred::DEFAULT };
    if let Some(name) = wish("FLOOR_CIPHER") {
        preferred.cipher = vec![cipher::Name::try_from(name.as_str()).map_err(|()| unknown(&name))?].into();
    }
    if let Some(name) = wish("FLOOR_KEX") {
        preferred.kex = vec![kex::Name::try_from(name.as_str()).map_err(|()| unknown(&name))?].into();
    }
    let mut config = client::Config { nodelay: true, preferred, maximum_packet_size: 65_535, ..client::Config::default() };
    if let Some(bytes) = wish("FLOOR_WINDOW") {
        config.window_size = bytes.parse()?;
    }
    if let Some(bytes) = wish("FLOOR_PACKET") {
        config.maximum_packet_size = bytes.parse()?;
    }
    Ok(config)
}

async fn visit(work: Arc<Work>, address: String, name: String) -> Outcome<()> {
    let _place = work.places.acquire().await?;
    let named = |text: &String| text.replace("{}", &name);
    let stream = tokio::net::TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut handle = client::connect_stream(work.config.clone(), stream, Trusting).await?;
    if !handle.authenticate_publickey(named(&work.user), work.key.clone()).await?.success() {
        return Err(IoError::other(format!("{address}: the key is refused")).into());
    }
    let channel = handle.channel_open_session().await?;
    channel.exec(true, named(&work.command)).await?;
    if let Some(path) = work.input.as_ref().map(named) {
        let mut file = std::fs::File::open(path)?;
        loop {
            let mut block = Vec::new();
            if Read::take(&mut file, BLOCK).read_to_end(&mut block)? == 0 {
                break;
            }
            channel.data_bytes(block).await?;
        }
        channel.eof().await?;
    }
    match status(channel, work.output.as_ref().map(named)).await? {
        Some(0) => Ok(handle.disconnect(Disconnect::ByApplication, "", "").await?),
        other => Err(IoError::other(format!("{address}: {} ended with {other:?}", work.command)).into()),
    }
}

async fn status(mut channel: Channel<Msg>, output: Option<String>) -> Outcome<Option<u32>> {
    let mut file = output.map(std::fs::File::create).transpose()?;
    let mut status = None;
    while let Some(message) = channel.wait().await {
        match (message, &mut file) {
            (ChannelMsg::Data { data }, Some(file)) => file.write_all(&data)?,
            (ChannelMsg::ExitStatus { exit_status }, _) => status = Some(exit_status),
            (ChannelMsg::Close, _) => break,
            _ => {}
        }
    }
    Ok(status)
}
