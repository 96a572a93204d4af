//! Delivery of the agent by content hash. On the warm path one command both looks for the file and runs it.

use std::borrow::Cow;

use tokio::io::AsyncWriteExt;

use crate::error::SshError;
use crate::privilege::{self, Become, WORD};
use crate::process::{ExitStatus, Process, Stdin};
use crate::session::Session;

/// Where the agent lies when root can place it: every user of the host can run it from there.
const SYSTEM_FOLDER: &str = "/var/lib/pgfleet/agent";
/// Where it lies otherwise, below the login user's home directory.
const USER_FOLDER: &str = ".cache/pgfleet/agent";
/// Bytes handed to the channel at a time.
const BLOCK: usize = 64 * 1024;

/// The agent's program, as it travels.
#[derive(Debug, Clone)]
pub struct AgentBinary {
    /// The program, compressed by gzip.
    pub gzip: Cow<'static, [u8]>,
    /// The SHA-256 of the program itself, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// The processor it is built for, as `uname -m` calls it.
    pub architecture: Cow<'static, str>,
}

impl Session {
    /// Starts the agent (`pgfleet-agent exec`) as the wanted user, and delivers it first where it is missing.
    /// The process's output begins with the agent's own first byte.
    ///
    /// # Errors
    /// What sudo, the host's disk, its architecture or the connection object to.
    pub async fn agent(&self, binary: &AgentBinary, become_user: &Become) -> Result<Process, SshError> {
        let script = run_script(&binary.sha256, become_user);
        let (process, answer) = privilege::start(self, &script, become_user).await?;
        let Some(machine) = answer.strip_prefix("MISSING ") else {
            return Ok(process);
        };
        let expected = format!("Linux {}", binary.architecture);
        if machine != expected {
            return Err(SshError::Architecture { host: self.host().to_owned(), found: machine.to_owned(), expected });
        }
        drop(process);
        self.deliver(binary, become_user).await?;
        let (process, answer) = privilege::start(self, &script, become_user).await?;
        if answer.starts_with("MISSING") {
            let said = "it was placed there, but this user cannot run it".to_owned();
            let folder = if *become_user == Become::No { format!("~/{USER_FOLDER}") } else { SYSTEM_FOLDER.to_owned() };
            return Err(SshError::NotExecutable { host: self.host().to_owned(), folder, said });
        }
        Ok(process)
    }

    async fn deliver(&self, binary: &AgentBinary, become_user: &Become) -> Result<(), SshError> {
        let placing_user = match become_user {
            Become::No => Become::No,
            // A file that any user may be asked to run is root's to place.
            Become::Sudo { password, .. } => Become::Sudo { user: "root".to_owned(), password: password.clone() },
            Become::Via { means, password, .. } => {
                Become::Via { means: means.clone(), user: "root".to_owned(), password: password.clone() }
            }
        };
        let (process, answer) = match privilege::start(self, &upload_script(&binary.sha256), &placing_user).await {
            Err(SshError::AgentStart { host, said, .. }) => return Err(failed(host, SYSTEM_FOLDER, &said)),
            other => other?,
        };
        let host = self.host().to_owned();
        if let Some(program) = answer.strip_prefix("NO-PROGRAM ") {
            return Err(SshError::ProgramMissing { host, program: program.to_owned() });
        }
        let folder = answer.strip_prefix("READY ").unwrap_or(SYSTEM_FOLDER).to_owned();
        let Process { mut stdin, mut stdout, mut exit } = process;
        let words = exit.clone();
        let sending = send(&mut stdin, &binary.gzip);
        let answering = async {
            let verdict = privilege::spoken_line(self.host(), &mut stdout).await?;
            drop(stdout);
            Ok::<_, SshError>((verdict, exit.wait().await?))
        };
        tokio::pin!(sending, answering);
        // The host may give up (a full disk) long before it has read everything.
        let (verdict, status) = tokio::select! {
            answer = &mut answering => answer,
            () = &mut sending => answering.await,
        }?;
        match verdict.as_deref() {
            Some("DONE") if status == ExitStatus::Code(0) => Ok(()),
            Some("NOEXEC") => Err(SshError::NotExecutable { host, folder, said: "the file system does not run programs".to_owned() }),
            Some(text) if text.starts_with("DAMAGED ") => {
                Err(SshError::AgentDamaged { host, found: text["DAMAGED ".len()..].to_owned(), expected: binary.sha256.clone() })
            }
            _ => Err(failed(host, &folder, &words.stderr_tail())),
        }
    }
}

async fn send(stdin: &mut Stdin, data: &[u8]) {
    for block in data.chunks(BLOCK) {
        // The host's own words are the better explanation for a broken stream.
        if stdin.write_all(block).await.is_err() {
            return;
        }
    }
    let _closed = stdin.shutdown().await;
}

fn failed(host: String, folder: &str, stderr: &str) -> SshError {
    let folder = folder.to_owned();
    if ["No space left", "quota exceeded"].iter().any(|words| stderr.contains(words)) {
        return SshError::DiskFull { host, folder };
    }
    SshError::Delivery { host, folder, said: privilege::said(stderr) }
}

/// Runs the agent where it lies, or tells that it is missing and what machine this is.
fn run_script(sha256: &str, become_user: &Become) -> String {
    let mut places = format!("{SYSTEM_FOLDER}/{sha256}/pgfleet-agent");
    if *become_user == Become::No {
        places.push_str(&format!(" \"$HOME/{USER_FOLDER}/{sha256}/pgfleet-agent\""));
    }
    format!(
        "for p in {places}; do if [ -x \"$p\" ]; then echo {WORD}START; exec \"$p\" exec; fi; done; \
         echo \"{WORD}MISSING $(uname -s) $(uname -m)\""
    )
}

/// Takes the compressed program from stdin, checks it, puts it in its place in one step, and keeps at most two others.
fn upload_script(sha256: &str) -> String {
    format!(
        "umask 022; h={sha256}; if [ \"$(id -u)\" = 0 ]; then b={SYSTEM_FOLDER}; else b=\"$HOME/{USER_FOLDER}\"; fi; \
         for x in gzip sha256sum; do command -v $x >/dev/null 2>&1 || {{ echo {WORD}NO-PROGRAM $x; exit 1; }}; done; \
         d=\"$b/$h\"; t=\"$d/upload.$$\"; mkdir -p \"$d\" || exit 1; trap 'rm -f \"$t\"' EXIT; echo \"{WORD}READY $b\"; \
         gzip -dc >\"$t\" || exit 1; s=$(sha256sum <\"$t\") || exit 1; s=${{s%% *}}; \
         [ \"$s\" = $h ] || {{ echo {WORD}DAMAGED $s; exit 1; }}; \
         chmod 755 \"$t\" && mv -f \"$t\" \"$d/pgfleet-agent\" || exit 1; \
         [ -x \"$d/pgfleet-agent\" ] || {{ echo {WORD}NOEXEC; exit 1; }}; cd \"$b\" && \
         ls -1t | grep -E \"^[0-9a-f]{{64}}$\" | grep -v \"^$h$\" | tail -n +3 | while read -r o; do rm -rf \"$b/$o\"; done; \
         echo {WORD}DONE"
    )
}
