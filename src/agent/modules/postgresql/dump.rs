//! Databases to and from files, by PostgreSQL's own programs on the host. The password goes over the environment.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::postgresql::{DatabaseState, PostgresqlDb};

use super::refuse_dangerous;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::postgres::Login;
use crate::system::Program;

pub(super) fn plan(arguments: &PostgresqlDb, context: &Context) -> Planned {
    refuse_dangerous(&arguments.connection(), &[Some(&arguments.name), Some(&arguments.target)])?;
    let login = Login::new(&arguments.connection(), Some(&arguments.name), context)?;
    if context.mode.is_check() {
        return Ok(Plan::Done(Outcome::unchanged().with("db", arguments.name.as_str()).with("executed_commands", Vec::<String>::new())));
    }
    let target = if arguments.target.is_empty() { format!("{}.sql", arguments.name) } else { arguments.target.clone() };
    let (program, line) =
        if arguments.state == DatabaseState::Dump { dump(arguments, &login, &target) } else { restore(arguments, &login, &target) };
    if context.system.find_program(program).is_none() {
        return Err(Failure::new(format!("the program {program} is not on this host: install PostgreSQL's client programs")));
    }
    Ok(Plan::change(Outcome::changed(), move |context, outcome| {
        // A pipe that fails in its first half has failed.
        let script = format!("set -o pipefail; {line}");
        let mut program = Program::new(["bash", "-c", script.as_str()]);
        if let Some(password) = login.password() {
            program = program.env("PGPASSWORD", password.reveal());
        }
        let finished = context.run(program).context("cannot run bash")?;
        if !finished.is_success() {
            let failure = Failure::new(finished.stderr_text().trim().to_owned());
            return Err(failure.with("rc", finished.status).with("stdout", finished.stdout_text()).with("cmd", line));
        }
        Ok(outcome
            .saying(finished.stdout_text().trim())
            .with("stderr", finished.stderr_text())
            .with("rc", 0)
            .with("cmd", line.as_str())
            .with("executed_commands", vec![line]))
    }))
}

/// The kind of a file by its name's end.
fn ending(target: &str) -> &str {
    target.rsplit_once('.').map_or("", |(_, ending)| ending)
}

fn dump(arguments: &PostgresqlDb, login: &Login, target: &str) -> (&'static str, String) {
    let mut line = format!("pg_dump {}{}", quoted(&arguments.name), flags(arguments, login));
    let (format, packer) = match ending(target) {
        "tar" => (" --format=t", None),
        "pgc" => (" --format=c", None),
        "dir" => (" --format=d", None),
        "gz" => ("", Some("gzip")),
        "bz2" => ("", Some("bzip2")),
        "xz" => ("", Some("xz")),
        _ => ("", None),
    };
    line.push_str(format);
    for more in
        [arguments.dump_extra_args.as_deref(), Some(arguments.target_opts.as_str())].into_iter().flatten().filter(|more| !more.is_empty())
    {
        line.push(' ');
        line.push_str(more);
    }
    let target = quoted(target);
    let line = match packer {
        Some(packer) => format!("{line} | {packer} > {target}"),
        None if format.ends_with('d') => format!("{line} -f {target}"),
        None => format!("{line} > {target}"),
    };
    ("pg_dump", line)
}

fn restore(arguments: &PostgresqlDb, login: &Login, target: &str) -> (&'static str, String) {
    let (program, format, unpacker) = match ending(target) {
        "tar" => ("pg_restore", " --format=Tar", None),
        "pgc" => ("pg_restore", " --format=Custom", None),
        "dir" => ("pg_restore", " --format=Directory", None),
        "gz" => ("psql", "", Some("zcat")),
        "bz2" => ("psql", "", Some("bzcat")),
        "xz" => ("psql", "", Some("xzcat")),
        _ => ("psql", "", None),
    };
    let more = if arguments.target_opts.is_empty() { String::new() } else { format!(" {}", arguments.target_opts) };
    let line = format!("{program} --dbname={}{}{format}{more}", quoted(&arguments.name), flags(arguments, login));
    let target = quoted(target);
    let line = match unpacker {
        Some(unpacker) => format!("{unpacker} {target} | {line}"),
        None if program == "psql" => format!("{line} --file={target}"),
        None => format!("{line} {target}"),
    };
    (program, line)
}

fn flags(arguments: &PostgresqlDb, login: &Login) -> String {
    let (host, port, user) = login.place_and_user();
    let host = host.map(|host| format!(" --host={}", quoted(&host))).unwrap_or_default();
    let role =
        arguments.session_role.as_ref().filter(|_| arguments.state == DatabaseState::Dump).map(|role| format!(" --role={}", quoted(role)));
    format!("{host} --port={port} --username={}{}", quoted(user), role.unwrap_or_default())
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\"'\"'")) }
}
