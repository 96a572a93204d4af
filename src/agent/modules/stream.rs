//! `stream_out` and `stream_in`: a program of the host whose output goes to the controller, or whose input comes from there.
//! Both sides keep a checksum of what passed. The program ends with the call, and with the controller.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::thread;

use pgfleet_protocol::modules::stream::{StreamIn, StreamOut};
use pgfleet_protocol::{HostPath, Outcome};
use sha2::Sha256;

use crate::digest::Summed;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::{Program, Running};

/// The most that is kept of what a program says on the side, in bytes: the end of it.
const MOST: usize = 4 << 20;
/// Stack of a thread that copies.
const STACK: usize = 256 * 1024;

pub(crate) fn plan_out(arguments: &StreamOut) -> Planned {
    let (program, input) = (program(&arguments.argv, &arguments.chdir)?, arguments.stdin.clone().unwrap_or_default());
    Ok(Plan::change(foretold(), move |context, _| {
        let mut running = start(program, context)?;
        let (stdin, stderr) = (running.stdin(), running.stderr());
        let stdout = running.stdout().ok_or_else(|| Failure::new("the program has no output"))?;
        let mut source = Summed::<_, Sha256>::new(stdout);
        let (sent, stderr) = thread::scope(|scope| {
            let said = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || last_words(stderr));
            let fed = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
                // A program that does not read all of it says so by its exit code.
                drop(stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
            });
            let sent =
                if said.is_ok() && fed.is_ok() { context.channel.send(&mut source) } else { Err(io::Error::other("no room for a thread")) };
            if sent.is_err() {
                running.end();
            }
            (sent, said.map(|thread| thread.join().unwrap_or_default()).unwrap_or_default())
        });
        let bytes = sent.context("what the program prints cannot be sent")?;
        let rc = running.wait().context("the program cannot be waited for")?;
        Ok(ended(rc).with("stderr", stderr).with("bytes", bytes).with("sha256", source.sha256()))
    }))
}

pub(crate) fn plan_in(arguments: &StreamIn) -> Planned {
    let program = program(&arguments.argv, &arguments.chdir)?;
    Ok(Plan::change(foretold(), move |context, _| {
        let mut running = start(program, context)?;
        let mut feed = Feed { stdin: running.stdin() };
        let (stdout, stderr) = (running.stdout(), running.stderr());
        let (received, stdout, stderr) = thread::scope(|scope| {
            let printed = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || last_words(stdout));
            let said = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || last_words(stderr));
            let mut sink = Summed::<_, Sha256>::new(&mut feed);
            let received = if printed.is_ok() && said.is_ok() {
                context.channel.receive(&mut sink)
            } else {
                Err(io::Error::other("no room for a thread"))
            };
            let received = received.map(|bytes| (bytes, sink.sha256()));
            feed.stdin = None;
            if received.is_err() {
                running.end();
            }
            let text = |thread: io::Result<thread::ScopedJoinHandle<String>>| thread.map(|thread| thread.join().unwrap_or_default());
            (received, text(printed).unwrap_or_default(), text(said).unwrap_or_default())
        });
        let (bytes, sha256) = received.context("what the controller sends does not arrive")?;
        let rc = running.wait().context("the program cannot be waited for")?;
        Ok(ended(rc).with("stdout", stdout).with("stderr", stderr).with("bytes", bytes).with("sha256", sha256))
    }))
}

fn program(argv: &[String], folder: &HostPath) -> Result<Program, Failure> {
    if argv.first().is_none_or(String::is_empty) {
        return Err(Failure::new("no program given"));
    }
    Ok(Program { argv: argv.to_vec(), cwd: Some(PathBuf::from(folder.as_str())), ..Program::default() })
}

fn foretold() -> Outcome {
    Outcome::skipped("The program would have run if not in check mode")
}

fn start(mut program: Program, context: &Context) -> Result<Box<dyn Running>, Failure> {
    program.env.extend(context.environment.iter().cloned());
    let name = program.argv.first().cloned().unwrap_or_default();
    context.system.start(&program).context(format_args!("cannot run {name}"))
}

fn ended(rc: i32) -> Outcome {
    if rc == 0 { Outcome::changed() } else { Outcome::failed("non-zero return code") }.with("rc", rc)
}

/// A program's input. One that reads no further spoils nothing: the rest goes nowhere, and its exit code tells.
struct Feed {
    stdin: Option<Box<dyn Write + Send>>,
}

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stdin.as_mut().is_some_and(|stdin| stdin.write_all(bytes).is_err()) {
            self.stdin = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All that a program says until it closes the pipe, or the end of it.
fn last_words(pipe: Option<Box<dyn Read + Send>>) -> String {
    let (mut words, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    let Some(mut pipe) = pipe else { return String::new() };
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        words.extend_from_slice(&buffer[..count]);
        if words.len() > 2 * MOST {
            words.drain(..words.len() - MOST);
        }
    }
    String::from_utf8_lossy(&words[words.len().saturating_sub(MOST)..]).into_owned()
}
