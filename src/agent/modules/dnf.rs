//! `dnf`: packages of hosts that have dnf; others are told so.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::packages::Dnf;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::system::Program;

pub(crate) fn plan(arguments: &Dnf, context: &Context) -> Planned {
    let Some(program) = ["dnf", "dnf5", "yum"].into_iter().find(|name| context.system.find_program(name).is_some()) else {
        return Err(Failure::new(
            "this host has no dnf; use package (or apt) here, or let a condition on ansible_os_family leave the task out",
        ));
    };
    let options = &arguments.options;
    if let Some(given) = ["list", "download_dir", "disable_plugin", "enable_plugin"]
        .into_iter()
        .find(|name| options.text(name).is_some() || !options.list(name).is_empty())
    {
        return Err(Failure::new(format!("the argument '{given}' of dnf is not supported")));
    }
    let names = options.list("name");
    let state = options.text("state").unwrap_or(if options.flag("autoremove") == Some(true) { "absent" } else { "present" });
    let mut steps = Vec::new();
    if options.flag("update_cache") == Some(true) && names.is_empty() {
        steps.push(vec!["makecache".to_owned()]);
    }
    let is_removal = matches!(state, "absent" | "removed");
    if is_removal {
        let there: Vec<String> =
            names.iter().filter(|name| is_installed(name, context).unwrap_or(false)).map(|name| (*name).to_owned()).collect();
        if !there.is_empty() {
            steps.push([vec!["remove".to_owned()], there].concat());
        } else if names.is_empty() && options.flag("autoremove") == Some(true) {
            steps.push(vec!["autoremove".to_owned()]);
        }
    } else if names == ["*"] && state == "latest" {
        steps.push(vec!["upgrade".to_owned()]);
    } else {
        let mut wanted = Vec::new();
        for name in &names {
            if state == "latest" || !is_installed(name, context)? {
                wanted.push((*name).to_owned());
            }
        }
        if !wanted.is_empty() {
            steps.push([vec!["install".to_owned()], wanted].concat());
        }
    }
    if steps.is_empty() {
        return Ok(Plan::Done(Outcome::unchanged().saying("Nothing to do").with("rc", 0).with("results", Vec::<String>::new())));
    }
    let switches = switches(arguments);
    let lines: Vec<Vec<String>> =
        steps.into_iter().map(|step| [vec![program.to_owned(), "-y".to_owned()], switches.clone(), step].concat()).collect();
    if state == "latest" {
        // Only dnf itself knows whether there is something newer.
        return latest(&lines, context);
    }
    Ok(Plan::change(Outcome::changed().with("rc", 0), move |context, outcome| run(&lines, context).map(|_| outcome)))
}

fn latest(lines: &[Vec<String>], context: &Context) -> Planned {
    let lines = lines.to_vec();
    let mut foretold = lines.clone();
    for line in &mut foretold {
        line.insert(2, "--assumeno".to_owned());
    }
    let text = foretold.iter().map(|line| Ok(start(line, context)?.stdout_text())).collect::<Result<String, Failure>>()?;
    if says_nothing_to_do(&text) {
        return Ok(Plan::Done(Outcome::unchanged().saying("Nothing to do").with("rc", 0).with("results", Vec::<String>::new())));
    }
    Ok(Plan::change(Outcome::changed().with("rc", 0), move |context, outcome| run(&lines, context).map(|_| outcome)))
}

fn says_nothing_to_do(text: &str) -> bool {
    text.lines().any(|line| line.trim().starts_with("Nothing to do"))
}

fn start(line: &[String], context: &Context) -> Result<crate::system::Finished, Failure> {
    context.run(Program::new(line.to_vec()).env("LC_ALL", "C.UTF-8")).context(format_args!("cannot run {}", line[0]))
}

fn run(lines: &[Vec<String>], context: &Context) -> Result<(), Failure> {
    for line in lines {
        let finished = start(line, context)?;
        if !finished.is_success() {
            return Err(Failure::new(format!("{} failed: {}", line.join(" "), finished.stderr_text().trim()))
                .with("rc", finished.status)
                .with("stdout", finished.stdout_text())
                .with("stderr", finished.stderr_text()));
        }
    }
    Ok(())
}

/// Installed under that name, or provided by what is. Groups and files' addresses are left to dnf.
fn is_installed(name: &str, context: &Context) -> Result<bool, Failure> {
    if name.starts_with('@') || name.contains("://") || name.contains('*') {
        return Ok(false);
    }
    let finished = context.run(Program::new(["rpm", "-q", "--whatprovides", name]).env("LC_ALL", "C.UTF-8")).context("cannot run rpm")?;
    if finished.is_success() {
        return Ok(true);
    }
    let exact = context.run(Program::new(["rpm", "-q", name]).env("LC_ALL", "C.UTF-8")).context("cannot run rpm")?;
    Ok(exact.is_success())
}

fn switches(arguments: &Dnf) -> Vec<String> {
    let options = &arguments.options;
    let mut words = Vec::new();
    for (name, value, word) in [
        ("disable_gpg_check", true, "--nogpgcheck"),
        ("update_cache", true, "--refresh"),
        ("allowerasing", true, "--allowerasing"),
        ("best", true, "--best"),
        ("nobest", true, "--nobest"),
        ("best", false, "--nobest"),
        ("skip_broken", true, "--skip-broken"),
        ("cacheonly", true, "--cacheonly"),
        ("download_only", true, "--downloadonly"),
        ("security", true, "--security"),
        ("bugfix", true, "--bugfix"),
        ("install_weak_deps", false, "--setopt=install_weak_deps=False"),
        ("sslverify", false, "--setopt=sslverify=False"),
        ("validate_certs", false, "--setopt=sslverify=False"),
    ] {
        if options.flag(name) == Some(value) {
            words.push(word.to_owned());
        }
    }
    for (name, word) in [("disablerepo", "--disablerepo"), ("enablerepo", "--enablerepo"), ("exclude", "--exclude")] {
        words.extend(options.list(name).into_iter().map(|value| format!("{word}={value}")));
    }
    for (name, word) in [
        ("conf_file", "--config"),
        ("installroot", "--installroot"),
        ("releasever", "--releasever"),
        ("disable_excludes", "--disableexcludes"),
    ] {
        words.extend(options.text(name).map(|value| format!("{word}={value}")));
    }
    words
}
