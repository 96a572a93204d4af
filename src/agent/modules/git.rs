//! `git`: checks out a repository with the host's own git.

use std::path::{Path, PathBuf};

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::sources::Git;
use serde_json::Value;

use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::system::{Finished, Program};

pub(crate) fn plan(arguments: &Git, context: &Context) -> Planned {
    let options = &arguments.options;
    if let Some(given) = ["archive", "refspec", "separate_git_dir", "archive_prefix"].into_iter().find(|name| options.text(name).is_some())
    {
        return Err(Failure::new(format!("the argument '{given}' of git is not supported")));
    }
    let checkout = Checkout::new(arguments, context)?;
    let is_there = context.system.exists(&checkout.folder.join("config"));
    if !is_there {
        return checkout.clone_it(context);
    }
    let before = checkout.head(context)?;
    let url = checkout.try_run(&["config", "--get", &format!("remote.{}.url", checkout.remote)], context)?.stdout_text().trim().to_owned();
    let url_changed = !url.is_empty() && url != checkout.repo;
    let told = |outcome: Outcome, after: &str| {
        outcome.with("before", before.as_str()).with("after", after).with("remote_url_changed", url_changed)
    };
    if options.flag("update") == Some(false) {
        return Ok(Plan::Done(told(Outcome::unchanged(), &before)));
    }
    let is_dirty =
        !checkout.is_bare && checkout.run(&["status", "--porcelain"], context)?.stdout_text().lines().any(|line| !line.starts_with("??"));
    if is_dirty && options.flag("force") != Some(true) {
        return Err(Failure::new(format!("Local modifications exist in the destination: {} (force=no).", checkout.dest.display()))
            .with("before", before));
    }
    let wished = checkout.wished(context)?;
    if wished.commit() == before && !is_dirty && !url_changed {
        return Ok(Plan::Done(told(Outcome::unchanged(), &before)));
    }
    let outcome = told(Outcome::changed(), wished.commit());
    Ok(Plan::change(outcome, move |context, outcome| {
        if url_changed {
            checkout.run(&["remote", "set-url", &checkout.remote, &checkout.repo], context)?;
        }
        if is_dirty {
            checkout.run(&["reset", "--hard"], context)?;
        }
        checkout.fetch(&wished, context)?;
        checkout.settle(&wished, context)?;
        let after = checkout.head(context)?;
        let changed = after != outcome.data["before"] || is_dirty || url_changed;
        Ok(Outcome { status: Outcome::changed_if(changed).status, ..outcome }.with("after", after))
    }))
}

/// What the wished version is on the other side.
enum Wished {
    Branch {
        name: String,
        commit: String,
    },
    /// A tag, or a commit by its number.
    Fixed {
        name: String,
        commit: String,
    },
}

impl Wished {
    fn commit(&self) -> &str {
        match self {
            Self::Branch { commit, .. } | Self::Fixed { commit, .. } => commit,
        }
    }
}

struct Checkout {
    program: String,
    repo: String,
    dest: PathBuf,
    /// Where git keeps its own files.
    folder: PathBuf,
    remote: String,
    version: String,
    depth: Option<String>,
    is_bare: bool,
    is_recursive: bool,
    follows_modules: bool,
    clones: bool,
    is_verified: bool,
    clone_options: Vec<String>,
    ssh: String,
}

impl Checkout {
    fn new(arguments: &Git, context: &Context) -> Result<Self, Failure> {
        let options = &arguments.options;
        let text = |name: &str| options.text(name).unwrap_or_default().to_owned();
        let flag = |name: &str, otherwise: bool| options.flag(name).unwrap_or(otherwise);
        let program = options.text("executable").unwrap_or("git").to_owned();
        if context.system.find_program(&program).is_none() {
            return Err(Failure::new(format!("Failed to find required executable \"{program}\" on this host; install git first")));
        }
        let dest = paths::expand(context.system, &text("dest"))?;
        let is_bare = flag("bare", false);
        let mut ssh = "ssh -o BatchMode=yes".to_owned();
        if flag("accept_hostkey", false) {
            ssh.push_str(" -o StrictHostKeyChecking=no");
        } else if flag("accept_newhostkey", false) {
            ssh.push_str(" -o StrictHostKeyChecking=accept-new");
        }
        if let Some(key) = options.text("key_file") {
            ssh.push_str(&format!(" -i '{key}' -o IdentitiesOnly=yes"));
        }
        if let Some(more) = options.text("ssh_opts") {
            ssh.push(' ');
            ssh.push_str(more);
        }
        let mut clone_options = Vec::new();
        clone_options.extend(flag("single_branch", false).then(|| "--single-branch".to_owned()));
        clone_options.extend(options.text("reference").map(|path| format!("--reference={path}")));
        Ok(Self {
            program,
            repo: address(text("repo")),
            folder: if is_bare { dest.clone() } else { dest.join(".git") },
            dest,
            remote: options.text("remote").unwrap_or("origin").to_owned(),
            version: options.text("version").unwrap_or("HEAD").to_owned(),
            depth: options.iter().find(|(name, _)| *name == "depth").map(|(_, value)| value.to_string()),
            is_bare,
            is_recursive: flag("recursive", true),
            follows_modules: flag("track_submodules", false),
            clones: flag("clone", true),
            is_verified: flag("verify_commit", false),
            clone_options,
            ssh,
        })
    }

    fn program(&self, words: &[&str]) -> Program {
        let program = Program::new([self.program.as_str()].into_iter().chain(words.iter().copied()));
        program.env("LC_ALL", "C.UTF-8").env("GIT_TERMINAL_PROMPT", "0").env("GIT_SSH_COMMAND", &self.ssh)
    }

    fn checked(&self, program: Program, context: &Context) -> Result<Finished, Failure> {
        let words = program.argv.join(" ");
        let finished = context.run(program).context("cannot run git")?;
        if finished.is_success() {
            return Ok(finished);
        }
        Err(Failure::new(format!("{words} failed: {}", finished.stderr_text().trim()))
            .with("rc", finished.status)
            .with("stdout", finished.stdout_text())
            .with("stderr", finished.stderr_text()))
    }

    fn run(&self, words: &[&str], context: &Context) -> Result<Finished, Failure> {
        self.checked(self.program(words).cwd(&self.dest), context)
    }

    fn try_run(&self, words: &[&str], context: &Context) -> Result<Finished, Failure> {
        context.run(self.program(words).cwd(&self.dest)).context("cannot run git")
    }

    fn head(&self, context: &Context) -> Result<String, Failure> {
        Ok(self.run(&["rev-parse", "HEAD"], context)?.stdout_text().trim().to_owned())
    }

    /// Asks the other side what the version is.
    fn wished(&self, context: &Context) -> Result<Wished, Failure> {
        let listed = self.checked(self.program(&["ls-remote", "--symref", &self.repo]), context)?.stdout_text();
        let of = |name: &str| {
            listed.lines().find_map(|line| line.split_once('\t').filter(|(_, other)| *other == name).map(|(commit, _)| commit.to_owned()))
        };
        if self.version == "HEAD" {
            let branch = listed.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"));
            let commit = of("HEAD").filter(|commit| !commit.starts_with("ref:")).or_else(|| {
                listed.lines().filter(|line| !line.starts_with("ref:")).find_map(|line| line.strip_suffix("\tHEAD").map(str::to_owned))
            });
            let commit =
                commit.ok_or_else(|| Failure::new(format!("{} has no branch that is checked out by itself; name a version", self.repo)))?;
            return Ok(match branch {
                Some(name) => Wished::Branch { name: name.to_owned(), commit },
                None => Wished::Fixed { name: commit.clone(), commit },
            });
        }
        let version = self.version.as_str();
        if let Some(commit) = of(&format!("refs/heads/{version}")) {
            return Ok(Wished::Branch { name: version.to_owned(), commit });
        }
        if let Some(commit) = of(&format!("refs/tags/{version}^{{}}")).or_else(|| of(&format!("refs/tags/{version}"))) {
            return Ok(Wished::Fixed { name: version.to_owned(), commit });
        }
        if version.len() >= 7 && version.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Wished::Fixed { name: version.to_owned(), commit: version.to_owned() });
        }
        Err(Failure::new(format!("Could not determine remote revision for {version}: {} has no such branch or tag", self.repo)))
    }

    fn clone_it(self, context: &Context) -> Planned {
        if !self.is_bare && context.system.list_dir(&self.dest).is_ok_and(|names| !names.is_empty()) {
            return Err(Failure::new(format!("{} is there and is no checkout of git; remove it first", self.dest.display())));
        }
        let wished = self.wished(context)?;
        let outcome = Outcome::changed().with("before", Value::Null).with("after", wished.commit()).with("remote_url_changed", false);
        if !self.clones {
            return Ok(Plan::Done(outcome));
        }
        Ok(Plan::change(outcome, move |context, outcome| {
            if let Some(folder) = self.dest.parent() {
                context.system.make_dirs(folder).context(format_args!("cannot make {}", folder.display()))?;
            }
            let dest = self.dest.to_string_lossy().into_owned();
            let mut words = vec!["clone", "--origin", &self.remote];
            words.extend(self.is_bare.then_some("--bare"));
            words.extend(self.clone_options.iter().map(String::as_str));
            // A commit by its number may be further back than a depth.
            let is_named = !matches!(&wished, Wished::Fixed { name, commit } if name == commit);
            if let Some(depth) = self.depth.as_deref().filter(|_| is_named) {
                words.extend(["--depth", depth]);
            }
            if let Wished::Branch { name, .. } | Wished::Fixed { name, .. } = &wished
                && is_named
            {
                words.extend(["--branch", name]);
            }
            words.extend(["--", &self.repo, &dest]);
            self.checked(self.program(&words), context)?;
            self.settle(&wished, context)?;
            let after = self.head(context)?;
            Ok(outcome.with("after", after))
        }))
    }

    fn fetch(&self, wished: &Wished, context: &Context) -> Result<(), Failure> {
        let mut words = vec!["fetch", "--force", "--tags"];
        let reference;
        if let Some(depth) = &self.depth {
            words.extend(["--depth", depth]);
        }
        words.push(&self.remote);
        if let Wished::Branch { name, .. } = wished {
            let place = if self.is_bare { format!("refs/heads/{name}") } else { format!("refs/remotes/{}/{name}", self.remote) };
            reference = format!("+refs/heads/{name}:{place}");
            words.push(&reference);
        }
        self.run(&words, context).map(drop)
    }

    /// Puts the wished version into the folder.
    fn settle(&self, wished: &Wished, context: &Context) -> Result<(), Failure> {
        if self.is_bare {
            return Ok(());
        }
        match wished {
            Wished::Branch { name, .. } => {
                let theirs = format!("{}/{name}", self.remote);
                self.run(&["checkout", "--force", "-B", name, "--track", &theirs], context)?;
            }
            Wished::Fixed { name, .. } => {
                self.run(&["checkout", "--force", name], context)?;
            }
        }
        if self.is_verified {
            self.run(&["verify-commit", "HEAD"], context)?;
        }
        if self.is_recursive && context.system.exists(&Path::new(&self.dest).join(".gitmodules")) {
            let mut words = vec!["submodule", "update", "--init", "--recursive"];
            words.extend(self.follows_modules.then_some("--remote"));
            self.run(&words, context)?;
        }
        Ok(())
    }
}

/// A repository's address as git keeps it: that of a folder of the host says so, which also makes git copy instead of linking.
fn address(repo: String) -> String {
    if repo.starts_with('/') { format!("file://{repo}") } else { repo }
}
