//! `user`: accounts of this host. Passwords go to `chpasswd` over its input, never onto a command line or into an outcome.

mod account;
mod ssh_key;

use std::path::Path;

use pgfleet_protocol::modules::account::{UpdatePassword, User};
use pgfleet_protocol::modules::content::Presence;
use pgfleet_protocol::{Diff, Outcome, Secret};

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::Program;
use account::Accounts;

/// One thing to do. What differs is kept beside it for the diff.
#[derive(Clone, Debug)]
enum Step {
    Run(Vec<String>),
    Password(Secret),
    Home(String),
    SshKey,
}

/// What is to be done, and what changes by it.
#[derive(Default)]
struct Changes {
    steps: Vec<Step>,
    before: String,
    after: String,
}

impl Changes {
    fn differs(&mut self, name: &str, before: &str, after: &str) {
        self.before.push_str(&format!("{name}: {before}\n"));
        self.after.push_str(&format!("{name}: {after}\n"));
    }
}

pub(crate) fn plan(arguments: &User, context: &Context) -> Planned {
    let name = arguments.name.as_str();
    if name.is_empty() || name.contains([':', '\n', ',']) || name.starts_with('-') {
        return Err(Failure::new(format!("'{name}' cannot be a user's name")));
    }
    if arguments.password.as_ref().is_some_and(|password| password.reveal().contains([':', '\n'])) {
        return Err(Failure::new("the password must be a hash as /etc/shadow has it, without ':' and line breaks"));
    }
    let accounts = Accounts::read(context)?;
    let changes = match (arguments.state, accounts.user(name)) {
        (Presence::Absent, None) => Changes::default(),
        (Presence::Absent, Some(_)) => removal(arguments),
        (Presence::Present, None) => creation(arguments, &accounts, context)?,
        (Presence::Present, Some(user)) => modification(arguments, &accounts, user, context)?,
    };
    if changes.steps.is_empty() {
        return Ok(Plan::Done(describe(arguments, &accounts, Outcome::unchanged(), context)));
    }
    let mut outcome = Outcome::changed();
    if context.diff {
        let header = format!("user {name}");
        outcome = outcome.showing(Diff {
            before_header: header.clone(),
            after_header: header,
            before: changes.before,
            after: changes.after,
            attributes: None,
        });
    }
    let outcome = describe(arguments, &accounts, outcome, context);
    let wish = arguments.clone();
    Ok(Plan::change(outcome, move |context, outcome| {
        for step in changes.steps {
            apply(&wish, context, step)?;
        }
        let accounts = Accounts::read(context)?;
        Ok(describe(&wish, &accounts, outcome, context))
    }))
}

/// Adds Ansible's results.
fn describe(wish: &User, accounts: &Accounts, outcome: Outcome, context: &Context) -> Outcome {
    let mut outcome = outcome.with("name", wish.name.as_str()).with("state", wish.state.word());
    if wish.state == Presence::Absent {
        return outcome.with("force", wish.force).with("remove", wish.remove);
    }
    outcome = outcome
        .with("append", wish.append)
        .with("move_home", wish.move_home)
        .with("create_home", wish.create_home)
        .with("system", wish.system);
    if wish.password.is_some() {
        outcome = outcome.with("password", "NOT_LOGGING_PASSWORD");
    }
    if let Some(groups) = &wish.groups {
        outcome = outcome.with("groups", groups.join(","));
    }
    if let Some(user) = accounts.user(&wish.name) {
        outcome = outcome
            .with("uid", user.uid)
            .with("group", user.gid)
            .with("comment", user.comment.as_str())
            .with("home", user.home.as_str())
            .with("shell", user.shell.as_str());
        if wish.generate_ssh_key {
            outcome = ssh_key::describe(wish, user, outcome, context);
        }
    }
    outcome
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn removal(wish: &User) -> Changes {
    let mut argv = words(["userdel"]);
    if wish.force {
        argv.push("-f".to_owned());
    }
    if wish.remove {
        argv.push("-r".to_owned());
    }
    argv.push(wish.name.clone());
    let mut changes = Changes { steps: vec![Step::Run(argv)], ..Changes::default() };
    changes.differs("state", "present", "absent");
    changes
}

/// The name of a wished group; in check mode an earlier task may be about to make it.
fn known_group(accounts: &Accounts, group: &str, context: &Context) -> Result<String, Failure> {
    match accounts.group(group) {
        Some(known) => Ok(known.name.clone()),
        None if context.mode.is_check() => Ok(group.to_owned()),
        None => Err(Failure::new(format!("Group {group} does not exist"))),
    }
}

fn known_groups(accounts: &Accounts, groups: &[String], context: &Context) -> Result<Vec<String>, Failure> {
    let wished = groups.iter().filter(|group| !group.is_empty());
    let mut names = wished.map(|group| known_group(accounts, group, context)).collect::<Result<Vec<_>, _>>()?;
    names.sort();
    names.dedup();
    Ok(names)
}

fn creation(wish: &User, accounts: &Accounts, context: &Context) -> Result<Changes, Failure> {
    let mut changes = Changes::default();
    changes.differs("state", "absent", "present");
    let mut argv = words(["useradd"]);
    let mut option = |flag: &str, value: String| argv.extend([flag.to_owned(), value]);
    if let Some(uid) = wish.uid {
        option("-u", uid.to_string());
    }
    if let Some(group) = &wish.group {
        option("-g", known_group(accounts, group, context)?);
    }
    if let Some(groups) = &wish.groups {
        let groups = known_groups(accounts, groups, context)?;
        if !groups.is_empty() {
            option("-G", groups.join(","));
        }
    }
    if let Some(comment) = &wish.comment {
        option("-c", comment.clone());
    }
    if let Some(home) = &wish.home {
        option("-d", home.to_string());
    }
    if let Some(shell) = &wish.shell {
        option("-s", shell.to_string());
    }
    if let Some(date) = wish.expires.and_then(expiry_date) {
        option("-e", date);
    }
    if let Some(skeleton) = wish.skeleton.as_ref().filter(|_| wish.create_home) {
        option("-k", skeleton.to_string());
    }
    let limits = [
        ("UID_MIN", wish.uid_min.map(|uid| uid.to_string())),
        ("UID_MAX", wish.uid_max.map(|uid| uid.to_string())),
        ("UMASK", wish.umask.clone()),
    ];
    for (name, value) in limits {
        if let Some(value) = value {
            option("-K", format!("{name}={value}"));
        }
    }
    let mut flag = |wanted: bool, text: &str| {
        if wanted {
            argv.push(text.to_owned());
        }
    };
    flag(wish.uid.is_some() && wish.non_unique, "-o");
    flag(wish.group.is_none() && accounts.group(&wish.name).is_some(), "-N");
    flag(wish.system, "-r");
    flag(true, if wish.create_home { "-m" } else { "-M" });
    argv.push(wish.name.clone());
    changes.steps.push(Step::Run(argv));
    changes.steps.extend(wish.password.clone().map(Step::Password));
    if wish.password_lock == Some(true) {
        changes.steps.push(Step::Run(words(["usermod", "-L", &wish.name])));
    }
    changes.steps.extend(ageing(wish, None).map(Step::Run));
    if wish.generate_ssh_key {
        changes.steps.push(Step::SshKey);
    }
    Ok(changes)
}

/// The `chage` that brings the password's days about, where they are otherwise.
fn ageing(wish: &User, found: Option<&account::Shadow>) -> Option<Vec<String>> {
    let mut argv = words(["chage"]);
    for (flag, wished, at) in [
        ("-m", wish.password_expire_min, 0),
        ("-M", wish.password_expire_max, 1),
        ("-W", wish.password_expire_warn, 2),
        ("-I", wish.password_expire_account_disable, 3),
    ] {
        if let Some(days) = wished.filter(|days| found.and_then(|found| found.days[at]) != Some(*days)) {
            argv.extend([flag.to_owned(), days.to_string()]);
        }
    }
    argv.push(wish.name.clone());
    (argv.len() > 2).then_some(argv)
}

fn modification(wish: &User, accounts: &Accounts, user: &crate::system::User, context: &Context) -> Result<Changes, Failure> {
    let mut changes = Changes::default();
    let mut argv = words(["usermod"]);
    if let Some(uid) = wish.uid.filter(|uid| *uid != user.uid) {
        argv.extend(["-u".to_owned(), uid.to_string()]);
        if wish.non_unique {
            argv.push("-o".to_owned());
        }
        changes.differs("uid", &user.uid.to_string(), &uid.to_string());
    }
    if let Some(group) = &wish.group {
        let name = known_group(accounts, group, context)?;
        if accounts.group(&name).is_none_or(|group| group.gid != user.gid) {
            let gid = user.gid.to_string();
            changes.differs("group", accounts.group(&gid).map_or(gid.as_str(), |group| group.name.as_str()), &name);
            argv.extend(["-g".to_owned(), name]);
        }
    }
    if let Some(groups) = &wish.groups {
        let current = accounts.groups_of(&user.name);
        let wished = known_groups(accounts, groups, context)?;
        let mut after = if wish.append { current.clone() } else { Vec::new() };
        after.extend(wished.iter().cloned());
        after.sort();
        after.dedup();
        if after != current {
            changes.differs("groups", &current.join(","), &after.join(","));
            argv.extend(["-G".to_owned(), after.join(",")]);
        }
    }
    let mut text = |flag: &str, name: &str, before: &str, after: &str| {
        if before != after {
            changes.differs(name, before, after);
            argv.extend([flag.to_owned(), after.to_owned()]);
        }
    };
    if let Some(comment) = &wish.comment {
        text("-c", "comment", &user.comment, comment);
    }
    if let Some(shell) = &wish.shell {
        text("-s", "shell", &user.shell, shell.as_str());
    }
    if let Some(home) = &wish.home {
        text("-d", "home", &user.home, home.as_str());
        if wish.move_home && home.as_str() != user.home {
            argv.push("-m".to_owned());
        }
    }
    let shadow = accounts.shadow(&user.name);
    if let Some(expires) = wish.expires {
        let day = (expires >= 0.0).then(|| day_of(expires));
        let current = shadow.as_ref().and_then(|shadow| shadow.expires).filter(|day| *day >= 0);
        if day != current {
            let word = |day: Option<i64>| day.map_or_else(|| "never".to_owned(), date_of);
            changes.differs("expires", &word(current), &word(day));
            argv.extend(["-e".to_owned(), day.map(date_of).unwrap_or_default()]);
        }
    }
    if argv.len() > 1 {
        argv.push(user.name.clone());
        changes.steps.push(Step::Run(argv));
    }
    let current = shadow.as_ref().map(|shadow| shadow.password.reveal()).unwrap_or_default();
    if let Some(password) = wish.password.as_ref().filter(|_| wish.update_password == UpdatePassword::Always)
        && current.trim_start_matches('!') != password.reveal().trim_start_matches('!')
    {
        changes.differs("password", "(hidden)", "(hidden, another one)");
        changes.steps.push(Step::Password(password.clone()));
        if wish.password_lock == Some(true) {
            changes.steps.push(Step::Run(words(["usermod", "-L", &user.name])));
        }
    } else {
        match wish.password_lock {
            Some(true) if !current.starts_with('!') => {
                changes.differs("password_lock", "false", "true");
                changes.steps.push(Step::Run(words(["usermod", "-L", &user.name])));
            }
            // A password that is nothing but a lock cannot be opened: it would let everybody in.
            Some(false) if current.len() > 1 && current.starts_with('!') => {
                changes.differs("password_lock", "true", "false");
                changes.steps.push(Step::Run(words(["usermod", "-U", &user.name])));
            }
            _ => {}
        }
    }
    if let Some(argv) = ageing(wish, shadow.as_ref()) {
        changes.differs("password ageing", "otherwise", "as wished");
        changes.steps.push(Step::Run(argv));
    }
    let home = wish.home.as_ref().map_or(user.home.as_str(), |home| home.as_str());
    if wish.create_home && !home.is_empty() && !wish.move_home && !context.system.exists(Path::new(home)) {
        changes.differs("home folder", "absent", home);
        changes.steps.push(Step::Home(home.to_owned()));
    }
    if wish.generate_ssh_key && !context.system.exists(&ssh_key::path(wish, user)) {
        changes.differs("ssh key", "absent", &ssh_key::path(wish, user).to_string_lossy());
        changes.steps.push(Step::SshKey);
    }
    Ok(changes)
}

fn apply(wish: &User, context: &Context, step: Step) -> Result<(), Failure> {
    match step {
        Step::Run(argv) => run(context, Program::new(argv)),
        Step::Password(hash) => run(context, Program::new(["chpasswd", "-e"]).stdin(format!("{}:{}\n", wish.name, hash.reveal()))),
        Step::Home(home) => make_home(wish, context, &home),
        Step::SshKey => {
            let user = context.system.user_by_name(&wish.name)?.ok_or_else(|| Failure::new(format!("user {} is not there", wish.name)))?;
            ssh_key::make(wish, &user, context)
        }
    }
}

pub(super) fn run(context: &Context, program: Program) -> Result<(), Failure> {
    let name = program.argv.first().cloned().unwrap_or_default();
    let finished = context.run(program.env("LC_ALL", "C.UTF-8")).context(format_args!("cannot run {name}"))?;
    if finished.is_success() {
        return Ok(());
    }
    Err(Failure::new(format!("{name} failed: {}", finished.stderr_text().trim())).with("rc", finished.status))
}

/// A home folder for a user who has none: the skeleton's files, owned by the user.
fn make_home(wish: &User, context: &Context, home: &str) -> Result<(), Failure> {
    let system = context.system;
    let user = system.user_by_name(&wish.name)?.ok_or_else(|| Failure::new(format!("user {} is not there", wish.name)))?;
    let skeleton = wish.skeleton.as_ref().map_or("/etc/skel", |skeleton| skeleton.as_str());
    system.make_dirs(Path::new(home)).context(format_args!("cannot make {home}"))?;
    if system.exists(Path::new(skeleton)) {
        run(context, Program::new(["cp", "-aT", skeleton, home]))?;
        run(context, Program::new(["chown", "-R", &format!("{}:{}", user.uid, user.gid), home]))?;
    }
    let permissions = crate::system::Permissions { uid: Some(user.uid), gid: Some(user.gid), mode: Some(0o755) };
    system.set_permissions(Path::new(home), &permissions).context(format_args!("cannot hand {home} to {}", user.name))
}

#[expect(clippy::cast_possible_truncation, reason = "days are small")]
fn day_of(seconds: f64) -> i64 {
    (seconds / 86400.0).floor() as i64
}

fn date_of(day: i64) -> String {
    let moment = crate::moment::Moment::at(day * 86400);
    format!("{:04}-{:02}-{:02}", moment.year, moment.month, moment.day)
}

fn expiry_date(seconds: f64) -> Option<String> {
    (seconds >= 0.0).then(|| date_of(day_of(seconds)))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};

    use pgfleet_protocol::Mode;
    use serde_json::json;

    use crate::module::{Channel, Context};
    use crate::run::run;
    use crate::system::Finished;
    use crate::system::fake::{Answer, Fake};

    struct NoChannel;

    impl Channel for NoChannel {
        fn receive(&self, _: &mut dyn Write) -> io::Result<u64> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn send(&self, _: &mut dyn Read) -> io::Result<u64> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    #[test]
    fn a_password_is_seen_by_chpasswd_alone() {
        let host = Fake::default();
        host.set("/etc/shadow", &json!("postgres:$6$old:1::::::\n"));
        host.set("/var/lib/postgresql", &json!({"directory": true}));
        let chpasswd = Answer { argv: vec!["chpasswd".into(), "-e".into()], finished: Finished::default(), ..Answer::default() };
        host.answer(chpasswd);
        let context = Context { system: &host, mode: Mode::Apply, diff: true, brief: false, environment: &[], channel: &NoChannel };
        let arguments = json!({"name": "postgres", "password": "$6$new"});
        let outcome = run("user", arguments.as_object().expect("a mapping"), &context);
        assert!(outcome.is_changed(), "{outcome:?}");
        let told = serde_json::to_string(&outcome).expect("serialises");
        assert!(!told.contains("$6$"), "{told}");
        let ran = host.ran();
        assert_eq!(ran.len(), 1);
        assert_eq!(ran[0].stdin.as_deref(), Some(b"postgres:$6$new\n".as_slice()));
        assert!(!ran[0].argv.join(" ").contains("$6$"));
    }
}
