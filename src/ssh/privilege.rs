//! Starting a script on a host as the wanted user: sudo or runuser, with the password over stdin and never on a command line.

use pgfleet_protocol::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::error::{Phase, SshError};
use crate::process::{Process, Stdout};
use crate::session::Session;

/// Every line that our scripts speak to us in begins with this, to tell it from what a login shell may print.
pub(crate) const WORD: &str = "PGFLEET-";
/// What a login shell may print before our first line.
const MOST_NOISE: usize = 64 * 1024;

/// Whether and how to become another user on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Become {
    /// Stay the user who logged in.
    #[default]
    No,
    /// Become this user, through sudo. A login as root needs none.
    Sudo {
        /// The user to become.
        user: String,
        /// sudo's password, if it asks for one.
        password: Option<Secret>,
    },
    /// Become this user in another way, or with other options.
    Via {
        /// The way.
        means: Means,
        /// The user to become.
        user: String,
        /// What it may ask for.
        password: Option<Secret>,
    },
}

/// The programs that make one user another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// sudo.
    #[default]
    Sudo,
    /// su, which asks for the other user's password.
    Su,
    /// doas, which asks on a terminal only.
    Doas,
}

/// A way of becoming another user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Means {
    /// Which program.
    pub method: Method,
    /// Where it is, when not on the search path.
    pub exe: Option<String>,
    /// Its options, instead of the usual ones; taken as shell words.
    pub flags: Option<String>,
}

impl Become {
    /// The way, the user and the password.
    fn parts(&self) -> Option<(Means, &str, Option<&Secret>)> {
        match self {
            Self::No => None,
            Self::Sudo { user, password } => Some((Means::default(), user, password.as_ref())),
            Self::Via { means, user, password } => Some((means.clone(), user, password.as_ref())),
        }
    }

    /// What the program asks with.
    fn prompt<'a>(&self, own: &'a str) -> &'a str {
        match self.parts() {
            Some((Means { method: Method::Su, .. }, ..)) => "assword:",
            _ => own,
        }
    }
}

/// Runs a one-line sh script as the wanted user, and returns it with the first line it speaks (without `WORD`).
pub(crate) async fn start(session: &Session, script: &str, become_user: &Become) -> Result<(Process, String), SshError> {
    let prompt = prompt(session.host())?;
    let command = command(session, script, become_user, &prompt)?;
    let mut process = session.spawn(&command).await?;
    let limit = session.start_timeout();
    let listening = listen(session, &mut process, become_user, &prompt);
    let heard = timeout(limit, listening).await.map_err(|_| SshError::Timeout {
        host: session.host().to_owned(),
        phase: Phase::Command,
        seconds: limit.as_secs(),
    })?;
    match heard? {
        Some(line) if line == "NO-SUDO" => Err(SshError::SudoMissing { host: session.host().to_owned() }),
        Some(line) => Ok((process, line)),
        None => Err(why_not(session, process, become_user, &prompt).await),
    }
}

/// Waits for the first line, and meanwhile answers sudo's prompt, once.
async fn listen(session: &Session, process: &mut Process, become_user: &Become, prompt: &str) -> Result<Option<String>, SshError> {
    let password = become_user.parts().and_then(|(_, _, password)| password);
    let prompt = become_user.prompt(prompt);
    let Process { stdin, stdout, exit } = process;
    let line = spoken_line(session.host(), stdout);
    tokio::pin!(line);
    let mut answered = false;
    loop {
        tokio::select! {
            line = &mut line => return line,
            more = exit.more_stderr(), if password.is_some() => {
                if !more {
                    return line.await;
                }
            }
        }
        let asked = exit.stderr_tail().matches(prompt).count();
        match (asked, answered, password) {
            (0, _, _) | (1, true, _) | (_, _, None) => {}
            (1, false, Some(password)) => {
                answered = true;
                let mut text = Secret::new(format!("{}\n", password.reveal()));
                let sent = stdin.write_all(text.reveal().as_bytes()).await;
                text = Secret::new(String::new());
                drop(text);
                sent.map_err(|source| SshError::Stream { host: session.host().to_owned(), source })?;
            }
            _ => {
                exit.abort();
                return Err(SshError::SudoWrongPassword { host: session.host().to_owned(), user: session.user().to_owned() });
            }
        }
    }
}

/// The next line that begins with `WORD`, without it. Nothing at the end of the output.
pub(crate) async fn spoken_line(host: &str, stdout: &mut Stdout) -> Result<Option<String>, SshError> {
    let mut line = Vec::new();
    let mut seen = 0;
    loop {
        let mut byte = [0_u8; 1];
        // Byte by byte, from memory: what follows the line belongs to whoever speaks next.
        let read = stdout.read(&mut byte).await;
        let length = match read {
            Ok(length) => length,
            // The end of the command tells more than the end of its output does.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => 0,
            Err(source) => return Err(SshError::Stream { host: host.to_owned(), source }),
        };
        seen += length;
        if length == 0 || seen > MOST_NOISE {
            return Ok(None);
        }
        if byte[0] != b'\n' {
            line.push(byte[0]);
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        if let Some(spoken) = text.trim_end().strip_prefix(WORD) {
            return Ok(Some(spoken.to_owned()));
        }
        line.clear();
    }
}

/// The reason why a script said nothing, from sudo's words and its exit status.
async fn why_not(session: &Session, process: Process, become_user: &Become, prompt: &str) -> SshError {
    let Process { stdin, stdout, mut exit } = process;
    drop((stdin, stdout));
    let host = session.host().to_owned();
    let status = match timeout(session.start_timeout(), exit.wait()).await {
        Ok(Ok(status)) => status.to_string(),
        Ok(Err(error)) => return error,
        Err(_) => "none".to_owned(),
    };
    let stderr = exit.stderr_tail().replace(prompt, "");
    let said = said(&stderr);
    if let Some((_, target, password)) = become_user.parts()
        && let Some(error) = sudo_error(&host, session.user(), target, password.is_some(), &stderr)
    {
        return error;
    }
    SshError::AgentStart { host, status, said }
}

/// What sudo's or runuser's words mean.
fn sudo_error(host: &str, user: &str, target: &str, has_password: bool, stderr: &str) -> Option<SshError> {
    let host = host.to_owned();
    let has = |words: &[&str]| words.iter().any(|words| stderr.contains(words));
    let (user, target) = (user.to_owned(), target.to_owned());
    if has(&["unknown user", "does not exist"]) {
        return Some(SshError::BecomeUserUnknown { host, user: target });
    }
    if has(&["not in the sudoers file", "not allowed to", "may not run", "must have a tty", "no tty present"]) {
        return Some(SshError::SudoRefused { host, user, target, said: said(stderr) });
    }
    if has(&["incorrect password", "Sorry, try again", "no password was provided", "Authentication failure", "Authentication failed"])
        && has_password
    {
        return Some(SshError::SudoWrongPassword { host, user });
    }
    if has(&[
        "a password is required",
        "a terminal is required",
        "incorrect password",
        "Authentication failure",
        "Authentication required",
        "Authentication failed",
    ]) {
        return Some(SshError::SudoPasswordNeeded { host });
    }
    None
}

/// The last line that is not empty: what a user would read as the cause.
pub(crate) fn said(stderr: &str) -> String {
    stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn command(session: &Session, script: &str, become_user: &Become, prompt: &str) -> Result<String, SshError> {
    let Some((means, user, password)) = become_user.parts() else {
        return Ok(format!("exec sh -c {}", quote(script)));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if user.is_empty() || user.starts_with('-') || !user.chars().all(plain) {
        return Err(SshError::BecomeUserUnknown { host: session.host().to_owned(), user: user.to_owned() });
    }
    // LANGUAGE keeps sudo's words in English without touching the locale that the script will have.
    let inner = quote(&format!("unset LANGUAGE; [ -x . ] || cd /; {script}"));
    let sudo = other_user(&means, user, password.is_some(), prompt, &inner);
    let root = if user == "root" {
        format!("exec sh -c {inner}")
    } else {
        let at_home = quote(&format!(
            "HOME=~{user}; USER={user}; LOGNAME={user}; export HOME USER LOGNAME; unset LANGUAGE; [ -x . ] || cd /; {script}"
        ));
        format!("if command -v runuser >/dev/null 2>&1; then exec env LANGUAGE=C runuser -u {user} -- sh -c {at_home}; fi; {sudo}")
    };
    let whole = format!("if [ \"$(id -u)\" = 0 ]; then {root}; else {sudo}; fi");
    Ok(format!("exec sh -c {}", quote(&whole)))
}

/// The line that becomes the other user. `inner` is quoted already.
fn other_user(means: &Means, user: &str, has_password: bool, prompt: &str, inner: &str) -> String {
    let (usual, usual_flags) = match means.method {
        Method::Sudo => ("sudo", "-H"),
        Method::Su => ("su", "-s /bin/sh"),
        Method::Doas => ("doas", ""),
    };
    let exe = means.exe.as_deref().map_or_else(|| usual.to_owned(), quote);
    let flags = means.flags.as_deref().unwrap_or(usual_flags);
    let run = match (means.method, has_password) {
        (Method::Sudo, true) => format!("{exe} -S -p {prompt} {flags} -u {user} -- sh -c {inner}"),
        (Method::Sudo, false) => format!("{exe} -n {flags} -u {user} -- sh -c {inner}"),
        (Method::Su, _) => format!("{exe} {flags} {user} -c {inner}"),
        (Method::Doas, _) => format!("{exe} -n {flags} -u {user} sh -c {inner}"),
    };
    format!("command -v {exe} >/dev/null 2>&1 || {{ echo {WORD}NO-SUDO; exit 1; }}; exec env LANGUAGE=C {run}")
}

/// A prompt that nothing else prints.
fn prompt(host: &str) -> Result<String, SshError> {
    let mut bytes = [0_u8; 12];
    getrandom::fill(&mut bytes)
        .map_err(|error| SshError::Stream { host: host.to_owned(), source: std::io::Error::other(error.to_string()) })?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("pgfleet-sudo-{hex}:"))
}

/// A text as one word of a POSIX shell.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_words_have_meanings() {
        let kind = |stderr: &str, password: bool| {
            sudo_error("db1", "admin", "postgres", password, stderr)
                .map(|error| format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned())
        };
        for (stderr, password, expect) in [
            ("sudo: a password is required\n", false, Some("SudoPasswordNeeded")),
            (
                "sudo: a terminal is required to read the password; either use the -S option\nsudo: a password is required\n",
                false,
                Some("SudoPasswordNeeded"),
            ),
            ("Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n", true, Some("SudoWrongPassword")),
            ("admin is not in the sudoers file.  This incident will be reported.\n", true, Some("SudoRefused")),
            ("admin is not in the sudoers file.\n", true, Some("SudoRefused")),
            ("Sorry, user admin is not allowed to execute '/bin/sh' as postgres on db1.\n", true, Some("SudoRefused")),
            ("sudo: unknown user postgres\nsudo: error initializing audit plugin sudoers_audit\n", false, Some("BecomeUserUnknown")),
            (
                "runuser: user postgres does not exist or the user entry does not contain all the required fields\n",
                false,
                Some("BecomeUserUnknown"),
            ),
            ("sh: 1: boom\n", false, None),
        ] {
            assert_eq!(kind(stderr, password).as_deref(), expect, "{stderr}");
        }
    }

    #[test]
    fn quoting_survives_a_real_shell() {
        let text = "it's $HOME `x` \"q\" \\ 'twice'";
        let output = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quote(text))).output();
        assert_eq!(output.map(|output| output.stdout).ok(), Some(text.as_bytes().to_vec()));
    }
}
