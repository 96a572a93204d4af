//! A program that runs: what it says is heard line by line, and it is killed when its time is over.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::Ran;

/// So long the last words of a program are waited for once it was killed: what it started may hold its streams for ever.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What comes of a program.
enum Said {
    Out(Vec<u8>),
    Err(Vec<u8>),
    Ended(ExitStatus),
}

/// Runs a program to its end, which is also that of its streams, or until its time is over. `heard` gets each line of its standard output, and
/// the number of its process; it may say how long the program has from then on.
pub(crate) fn run(command: &mut Command, stdin: &str, limit: Duration, mut heard: impl FnMut(&str, u32) -> Option<Duration>) -> Ran {
    let input = if stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
    let mut child = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let (process, (sender, said)) = (child.id(), channel());
    read(child.stdout.take().expect("its output"), sender.clone(), Said::Out);
    read(child.stderr.take().expect("its errors"), sender.clone(), Said::Err);
    if let Some(mut input) = child.stdin.take() {
        let text = stdin.to_owned();
        // One that has ended reads no more; how it ended says why.
        thread::spawn(move || drop(input.write_all(text.as_bytes())));
    }
    thread::spawn(move || {
        if let Ok(status) = child.wait() {
            // Nobody listens any more once the time is over.
            let _ = sender.send(Said::Ended(status));
        }
    });
    let mut ran = Ran { code: None, out: String::new(), err: String::new(), overdue: None };
    let (mut limit, mut end, mut has_ended) = (limit, Instant::now() + limit, false);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // One that never falls silent runs out of time too.
        let next = if left.is_zero() { Err(RecvTimeoutError::Timeout) } else { said.recv_timeout(left) };
        match next {
            Ok(Said::Out(line)) => {
                let line = String::from_utf8_lossy(&line);
                if ran.overdue.is_none()
                    && let Some(more) = heard(line.trim_end_matches(['\r', '\n']), process)
                {
                    (limit, end) = (more, Instant::now() + more);
                }
                ran.out.push_str(&line);
            }
            Ok(Said::Err(line)) => ran.err.push_str(&String::from_utf8_lossy(&line)),
            Ok(Said::Ended(status)) => (has_ended, ran.code) = (true, status.code()),
            Err(RecvTimeoutError::Disconnected) => return ran,
            Err(RecvTimeoutError::Timeout) if ran.overdue.is_some() => return ran,
            Err(RecvTimeoutError::Timeout) => {
                ran.overdue = Some(limit);
                if !has_ended {
                    signal("-KILL", process);
                }
                end = Instant::now() + LAST_WORDS;
            }
        }
    }
}

/// Sends a signal; one that has just ended needs none.
pub(crate) fn signal(word: &str, process: u32) {
    let _ = Command::new("kill").args([word, &process.to_string()]).stderr(Stdio::null()).status();
}

fn read(stream: impl Read + Send + 'static, sender: Sender<Said>, said: fn(Vec<u8>) -> Said) {
    thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) && sender.send(said(std::mem::take(&mut line))).is_ok() {}
    });
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::run;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_it_says_is_kept_and_heard() {
        let mut heard = Vec::new();
        let ran = run(&mut shell("read word; echo $word; printf 'no end'; echo wrong >&2; exit 3"), "in\n", LONG, |line, _| {
            heard.push(line.to_owned());
            None
        });
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str(), ran.overdue), (Some(3), "in\nno end", "wrong\n", None));
        assert_eq!(heard, ["in", "no end"]);
    }

    #[test]
    fn one_that_hangs_is_killed_and_what_it_said_is_told() {
        let short = Duration::from_millis(300);
        let ran = run(&mut shell("echo begun; echo why >&2; exec sleep 600"), "", short, |_, _| None);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str(), ran.overdue), (None, "begun\n", "why\n", Some(short)));
        // Also one that never falls silent, and one that got its limit on the way.
        assert!(run(&mut shell("while :; do echo more; done"), "", short, |_, _| None).overdue.is_some());
        assert_eq!(run(&mut shell("echo begun; exec sleep 600"), "", LONG, |_, _| Some(short)).overdue, Some(short));
    }

    #[test]
    fn nobody_waits_for_what_it_leaves_behind() {
        let begin = Instant::now();
        let ran = run(&mut shell("sleep 30 & echo $!; exit 4"), "", Duration::from_secs(1), |_, _| None);
        assert_eq!((ran.code, ran.overdue), (Some(4), Some(Duration::from_secs(1))));
        assert!(begin.elapsed() < Duration::from_secs(20), "its streams were held open for 30 s");
        super::signal("-KILL", ran.out.trim().parse().expect("a process"));
    }
}
