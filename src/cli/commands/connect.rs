//! `pgfleet connect`.

use pgfleet_engine::Stop;
use pgfleet_protocol::Secret;
use pgfleet_ssh::{ExitStatus, Listener, Speaker, Spoken, SshError};
use pgfleet_workflows::{Project, READY, SessionWish, WorkflowError, session};
use tokio::signal::unix::{SignalKind, signal};

use super::connection::role_of;
use crate::args::ConnectArgs;
use crate::exit::Exit;
use crate::interrupt::{Signals, until_done};
use crate::terminal::{self, Raw};
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: ConnectArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let wish = settings::wish_to_look(project, &args.source, &args.connection, stop.clone())?;
    let terminal = terminal::kind_and_size().filter(|_| args.command.is_empty());
    let commands = args.command.iter().flat_map(|command| ["-c".to_owned(), command.clone()]);
    let want = SessionWish {
        role: role_of(args.role),
        user: args.database_user.clone(),
        database: args.database.clone(),
        arguments: commands.chain(args.arguments.clone()).collect(),
        terminal: terminal.clone(),
    };
    let Some(session) = until_done(session(&wish, &want), &stop).await else { return Ok(Exit::Interrupted) };
    let session = session?;
    let (mut listener, speaker) = (session.conversation.listener, session.conversation.speaker);
    if terminal.is_some() {
        screen::note(&format!("psql on {} ({})", session.node, session.role));
    }
    let ended = async {
        if let Some(status) = begin(&mut listener, &speaker, &session.password).await? {
            return Ok(status);
        }
        let raw = terminal
            .as_ref()
            .map(|_| Raw::begin())
            .transpose()
            .map_err(|error| SshError::Stream { host: session.node.clone(), source: error })?;
        let status = speak(listener, speaker, args.command.is_empty(), terminal.is_some()).await;
        drop(raw);
        status
    };
    let status = match terminal {
        // Every key is psql's, Ctrl-C too; without a terminal, nobody types any more.
        Some(_) => match Signals::listen() {
            Ok(mut signals) => tokio::select! {
                status = ended => status,
                _ = signals.next_but_interrupt() => return Ok(Exit::Interrupted),
            },
            Err(_) => ended.await,
        },
        None => match until_done(ended, &stop).await {
            Some(status) => status,
            None => return Ok(Exit::Interrupted),
        },
    };
    match status {
        Ok(ExitStatus::Code(0)) => Ok(Exit::Done),
        Ok(_) => Ok(Exit::Error),
        Err(error) => Err(WorkflowError::Ssh { hint: error.hint(), message: error.to_string() }),
    }
}

/// Waits until the password is asked for, and gives it. What a login shell says before that is nobody's business.
async fn begin(listener: &mut Listener, speaker: &Speaker, password: &Secret) -> Result<Option<ExitStatus>, SshError> {
    let mut heard = Vec::new();
    loop {
        match listener.next().await? {
            Spoken::Output(bytes) => heard.extend(bytes),
            Spoken::Error(bytes) => screen::error_bytes(&bytes),
            Spoken::End(status) => return Ok(Some(status)),
        }
        let text = String::from_utf8_lossy(&heard);
        if text.split_once(READY).is_some_and(|(_, rest)| rest.contains('\n')) {
            let line = Secret::new(format!("{}\n", password.reveal()));
            speaker.say(line.reveal().as_bytes()).await?;
            return Ok(None);
        }
    }
}

/// Carries what is said both ways until the program ends.
async fn speak(mut listener: Listener, speaker: Speaker, reads_input: bool, on_terminal: bool) -> Result<ExitStatus, SshError> {
    let saying = tokio::spawn(async move {
        let mut resized = on_terminal.then(|| signal(SignalKind::window_change()).ok()).flatten();
        if reads_input {
            let mut input = terminal::input();
            loop {
                let sent = tokio::select! {
                    block = input.recv() => match block {
                        Some(block) => speaker.say(&block).await,
                        None => break,
                    },
                    Some(()) = async { match resized.as_mut() { Some(resized) => resized.recv().await, None => std::future::pending().await } } => {
                        speaker.resize(terminal::size()).await
                    }
                };
                if sent.is_err() {
                    return;
                }
            }
        }
        // The listener tells of a lost connection.
        drop(speaker.end_input().await);
        std::future::pending::<()>().await;
    });
    let status = loop {
        match listener.next().await {
            Ok(Spoken::Output(bytes)) => screen::bytes(&bytes),
            Ok(Spoken::Error(bytes)) => screen::error_bytes(&bytes),
            Ok(Spoken::End(status)) => break Ok(status),
            Err(error) => break Err(error),
        }
    };
    saying.abort();
    status
}
