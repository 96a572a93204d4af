//! `pip`: Python packages, with the host's own pip.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgfleet_protocol::modules::sources::Pip;
use pgfleet_protocol::{Options, Outcome};

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::modules::command;
use crate::paths;
use crate::system::{Finished, Program};

pub(crate) fn plan(arguments: &Pip, context: &Context) -> Planned {
    let options = &arguments.options;
    let pip = Tool::new(options, context)?;
    let state = options.text("state").unwrap_or("present");
    let names = wished(options)?;
    if pip.is_missing {
        return Ok(Plan::change(Outcome::changed(), with_environment(pip, options.clone(), names, state.to_owned())));
    }
    let installed = pip.installed(context)?;
    let told = |outcome: Outcome| told(outcome, options, state);
    if state == "absent" {
        let there: Vec<String> =
            names.iter().map(|name| bare(name).to_owned()).filter(|name| installed.contains_key(&normal(name))).collect();
        if there.is_empty() {
            return Ok(Plan::Done(told(Outcome::unchanged())));
        }
        let words = [vec!["uninstall".to_owned(), "-y".to_owned()], pip.extra.clone(), there].concat();
        return Ok(Plan::change(told(Outcome::changed()), move |context, outcome| {
            let finished = pip.checked(&words, context)?;
            Ok(outcome.with("cmd", pip.line(&words)).with("stdout", finished.stdout_text()))
        }));
    }
    let is_plain = state == "present" && options.text("requirements").is_none();
    if is_plain && names.iter().all(|name| is_satisfied(name, &installed)) {
        return Ok(Plan::Done(told(Outcome::unchanged())));
    }
    let words = pip.install(options, &names, state);
    if context.mode.is_check() && state != "forcereinstall" {
        // Pip of the last years can say what it would do; an older one is taken to do it.
        let foretold = pip.run(&[words.clone(), vec!["--dry-run".to_owned()]].concat(), context)?;
        if foretold.is_success() && !foretold.stdout_text().contains("Would install") {
            return Ok(Plan::Done(told(Outcome::unchanged())));
        }
    }
    Ok(Plan::change(told(Outcome::changed()), move |context, outcome| install(&pip, &words, outcome, context)))
}

fn told(outcome: Outcome, options: &Options, state: &str) -> Outcome {
    let mut outcome = outcome.with("state", state).with("name", options.list("name"));
    for name in ["version", "requirements", "virtualenv"] {
        outcome = outcome.with(name, options.text(name));
    }
    outcome
}

fn install(pip: &Tool, words: &[String], outcome: Outcome, context: &Context) -> Result<Outcome, Failure> {
    let finished = pip.checked(words, context)?;
    let text = finished.stdout_text();
    let changed = text.contains("Successfully installed") || outcome.data.contains_key("made");
    let mut outcome = Outcome { status: Outcome::changed_if(changed).status, ..outcome };
    outcome.data.shift_remove("made");
    Ok(outcome.with("cmd", pip.line(words)).with("stdout", text).with("stderr", finished.stderr_text()))
}

/// Makes the virtual environment first, then installs into it.
fn with_environment(
    pip: Tool,
    options: Options,
    names: Vec<String>,
    state: String,
) -> impl FnOnce(&Context, Outcome) -> Result<Outcome, Failure> {
    move |context, outcome| {
        pip.make_environment(&options, context)?;
        let outcome = told(outcome, &options, &state);
        if state == "absent" || names.is_empty() && options.text("requirements").is_none() {
            return Ok(outcome);
        }
        install(&pip, &pip.install(&options, &names, &state), outcome.with("made", true), context)
    }
}

/// The packages with their versions, as pip takes them.
fn wished(options: &Options) -> Result<Vec<String>, Failure> {
    // A list that was split at commas may have cut `a>=1,<2` in two.
    let mut names: Vec<String> = Vec::new();
    for name in options.list("name") {
        match names.last_mut() {
            Some(last) if name.trim_start().starts_with(['<', '>', '=', '!', '~']) => {
                last.push(',');
                last.push_str(name.trim());
            }
            _ => names.push(name.trim().to_owned()),
        }
    }
    match (options.text("version"), names.as_mut_slice()) {
        (None, _) => {}
        (Some(version), [name]) => {
            name.push_str(&if version.starts_with(['<', '>', '=', '!', '~']) { version.to_owned() } else { format!("=={version}") })
        }
        (Some(_), _) => {
            return Err(Failure::new(
                "'version' argument is ambiguous when installing multiple package distributions. Please specify version restrictions next to each package in 'name' argument.",
            ));
        }
    }
    Ok(names)
}

/// The package's name without extras and versions.
fn bare(name: &str) -> &str {
    name.split(['[', '<', '>', '=', '!', '~', ';', ' ']).next().unwrap_or_default()
}

fn normal(name: &str) -> String {
    let lower = name.to_lowercase().replace(['_', '.'], "-");
    lower.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// True where that can be told without pip: no version, or just one.
fn is_satisfied(name: &str, installed: &BTreeMap<String, String>) -> bool {
    if name.contains("://") || name.starts_with(['/', '.']) {
        return false;
    }
    let Some(version) = installed.get(&normal(bare(name))) else { return false };
    let rest = name[bare(name).len()..].trim();
    let rest = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(rest, |(_, rest)| rest.trim());
    rest.is_empty() || rest.strip_prefix("==").is_some_and(|wished| wished.trim() == version)
}

/// Pip, and how it is started.
struct Tool {
    program: String,
    chdir: Option<PathBuf>,
    umask: Option<String>,
    extra: Vec<String>,
    breaks: bool,
    /// The virtual environment has to be made.
    is_missing: bool,
}

impl Tool {
    fn new(options: &Options, context: &Context) -> Result<Self, Failure> {
        let extra = command::split(options.text("extra_args").unwrap_or_default())?;
        let expand = |name: &str| options.text(name).map(|path| paths::expand(context.system, path)).transpose();
        let environment = expand("virtualenv")?;
        let program = match (&environment, options.text("executable")) {
            (Some(folder), _) => folder.join("bin/pip").to_string_lossy().into_owned(),
            (None, Some(program)) => program.to_owned(),
            (None, None) => {
                let found = ["pip3", "pip"].into_iter().find(|name| context.system.find_program(name).is_some());
                found.ok_or_else(|| Failure::new("Unable to find any of pip3, pip to use.  pip needs to be installed."))?.to_owned()
            }
        };
        let is_missing = environment.is_some() && !context.system.exists(Path::new(&program));
        if environment.is_none() && context.system.find_program(&program).is_none() {
            return Err(Failure::new(format!("Unable to find {program} on this host; pip needs to be installed.")));
        }
        Ok(Self {
            program,
            chdir: expand("chdir")?,
            umask: options.text("umask").map(str::to_owned),
            extra,
            breaks: options.flag("break_system_packages") == Some(true),
            is_missing,
        })
    }

    fn line(&self, words: &[String]) -> Vec<String> {
        [std::slice::from_ref(&self.program), words].concat()
    }

    fn start(&self, argv: Vec<String>, context: &Context) -> Result<Finished, Failure> {
        let argv = match &self.umask {
            Some(umask) => [["sh", "-c", r#"umask "$0" && exec "$@""#, umask].map(str::to_owned).to_vec(), argv].concat(),
            None => argv,
        };
        let name = argv[0].clone();
        let mut program = Program::new(argv).env("LC_ALL", "C.UTF-8").env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        if self.breaks {
            program = program.env("PIP_BREAK_SYSTEM_PACKAGES", "1");
        }
        program.cwd.clone_from(&self.chdir);
        context.run(program).context(format_args!("cannot run {name}"))
    }

    fn run(&self, words: &[String], context: &Context) -> Result<Finished, Failure> {
        self.start(self.line(words), context)
    }

    fn checked(&self, words: &[String], context: &Context) -> Result<Finished, Failure> {
        let finished = self.run(words, context)?;
        done(finished, &self.line(words))
    }

    fn installed(&self, context: &Context) -> Result<BTreeMap<String, String>, Failure> {
        let text = self.checked(&["list", "--format=freeze"].map(str::to_owned), context)?.stdout_text();
        Ok(text.lines().filter_map(|line| line.split_once("==")).map(|(name, version)| (normal(name), version.trim().to_owned())).collect())
    }

    fn install(&self, options: &Options, names: &[String], state: &str) -> Vec<String> {
        let mut words = vec!["install".to_owned()];
        words.extend(matches!(state, "latest" | "forcereinstall").then(|| "-U".to_owned()));
        words.extend((state == "forcereinstall").then(|| "--force-reinstall".to_owned()));
        words.extend((options.flag("editable") == Some(true)).then(|| "-e".to_owned()));
        words.extend(self.extra.iter().cloned());
        words.extend(names.iter().cloned());
        if let Some(file) = options.text("requirements") {
            words.extend(["-r".to_owned(), file.to_owned()]);
        }
        words
    }

    fn make_environment(&self, options: &Options, context: &Context) -> Result<(), Failure> {
        let own = options.text("virtualenv_command").unwrap_or("virtualenv");
        let mut argv = if own == "virtualenv" && context.system.find_program(own).is_none() {
            vec!["python3".to_owned(), "-m".to_owned(), "venv".to_owned()]
        } else {
            command::split(own)?
        };
        argv.extend((options.flag("virtualenv_site_packages") == Some(true)).then(|| "--system-site-packages".to_owned()));
        argv.extend(options.text("virtualenv_python").map(|python| format!("-p{python}")));
        argv.push(paths::expand(context.system, options.text("virtualenv").unwrap_or_default())?.to_string_lossy().into_owned());
        done(self.start(argv.clone(), context)?, &argv).map(drop)
    }
}

fn done(finished: Finished, line: &[String]) -> Result<Finished, Failure> {
    if finished.is_success() {
        return Ok(finished);
    }
    let said = finished.stderr_text();
    let said = if said.trim().is_empty() { finished.stdout_text() } else { said };
    Err(Failure::new(format!("{} failed: {}", line.join(" "), said.trim())).with("rc", finished.status).with("cmd", line.to_vec()))
}
