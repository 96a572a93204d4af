//! TLS to a server, by the host's openssl: it speaks to the server, this program to it.

use std::io::{self, ErrorKind, Read, Write};

use pgfleet_protocol::modules::postgresql::SslMode;

use super::client::ServerError;
use super::login::Tls;
use crate::system::{Connection, Program, Running, System};

/// Both ends of the program.
struct Tunnel {
    running: Box<dyn Running>,
    stdin: Box<dyn Write + Send>,
    stdout: Box<dyn Read + Send>,
    stderr: Option<Box<dyn Read + Send>>,
}

pub(super) fn connect(system: &dyn System, host: &str, port: u16, tls: &Tls) -> Result<Box<dyn Connection>, ServerError> {
    if system.find_program("openssl").is_none() {
        return Err(ServerError::new(
            "a TLS session needs the program openssl on this host: install it, or delegate the task to a host that has it",
        ));
    }
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut argv = ["openssl", "s_client", "-quiet", "-starttls", "postgres", "-connect", &address].map(str::to_owned).to_vec();
    let mut say = |words: &[&str]| argv.extend(words.iter().map(|&word| word.to_owned()));
    if host.parse::<std::net::IpAddr>().is_err() {
        say(&["-servername", host]);
    }
    // As libpq does: authorities that are named are used, even where only encryption was asked for.
    if tls.authorities.is_some() || matches!(tls.mode, SslMode::VerifyCa | SslMode::VerifyFull) {
        say(&["-verify_return_error", "-verify", "9"]);
    }
    if tls.mode == SslMode::VerifyFull {
        say(&[if host.parse::<std::net::IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" }, host]);
    }
    if tls.authorities.is_none() && matches!(tls.mode, SslMode::VerifyCa | SslMode::VerifyFull) {
        return Err(ServerError::new("whom to trust is not said: give ca_cert, a file with the certificate of the server's authority"));
    }
    for (option, file) in [("-CAfile", &tls.authorities), ("-cert", &tls.certificate), ("-key", &tls.key)] {
        if let Some(file) = file {
            say(&[option, file]);
        }
    }
    // Nobody is trusted but whom the task names.
    let program = Program::new(argv).stdin("").env("SSL_CERT_DIR", "/nonexistent").env("SSL_CERT_FILE", "/nonexistent");
    let cannot = |error: io::Error| ServerError::new(format!("cannot run openssl: {error}"));
    let mut running = system.start(&program).map_err(cannot)?;
    let (stdin, stdout, stderr) = (running.stdin(), running.stdout(), running.stderr());
    let (Some(stdin), Some(stdout)) = (stdin, stdout) else { return Err(ServerError::new("openssl could not be spoken to")) };
    Ok(Box::new(Tunnel { running, stdin, stdout, stderr }))
}

impl Read for Tunnel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stdout.read(buffer)?;
        if count == 0
            && let Some(mut stderr) = self.stderr.take()
        {
            // It has ended: what it says is why.
            let mut said = String::new();
            let _ = stderr.read_to_string(&mut said);
            let status = self.running.wait().unwrap_or(0);
            let reason = said.lines().find(|line| line.contains("error")).unwrap_or("the server does not offer it");
            if status != 0 {
                return Err(io::Error::new(ErrorKind::ConnectionAborted, format!("no TLS session came about: {}", reason.trim())));
            }
        }
        Ok(count)
    }
}

impl Write for Tunnel {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.stdin.write(buffer) {
            // The reason is on the other pipe, and read next.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(buffer.len()),
            other => other,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.stdin.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}
