//! `pgfleet init`: a project for a person's own hosts.

use std::fs;
use std::io;
use std::path::Path;

use tera::{Context, Tera};

use crate::args::InitArgs;
use crate::exit::Exit;
use crate::screen;

/// The files of a new project and their templates.
const FILES: [(&str, &str); 5] = [
    ("inventory/hosts.yml", include_str!("../init/hosts.yml.tera")),
    ("inventory/group_vars/all.yml", include_str!("../init/all.yml.tera")),
    ("Makefile", include_str!("../init/Makefile.tera")),
    (".gitignore", include_str!("../init/gitignore.tera")),
    ("README.md", include_str!("../init/README.md.tera")),
];

/// Hosts that stand in a new inventory where none were named. The addresses are for documentation.
const EXAMPLES: [&str; 3] = ["pg1.lan=192.0.2.11", "pg2.lan=192.0.2.12", "pg3.lan=192.0.2.13"];

pub(crate) fn run(args: &InitArgs) -> Exit {
    match make(args) {
        Ok(()) => Exit::Done,
        Err(message) => {
            screen::mistake(&message);
            Exit::Input
        }
    }
}

fn make(args: &InitArgs) -> Result<(), String> {
    let folder = &args.folder;
    refuse_what_is_there(folder)?;
    let given: Vec<&str> = if args.hosts.is_empty() { EXAMPLES.to_vec() } else { args.hosts.iter().map(String::as_str).collect() };
    let mut hosts = Vec::new();
    for host in &given {
        let (name, address) = host.split_once('=').unwrap_or((host, ""));
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(format!("'{host}' is no host; write name or name=address"));
        }
        hosts.push(serde_json::json!({"name": name, "address": address}));
    }
    // An odd number of voters: the first one, three or five hosts.
    let voters = match hosts.len() {
        0..=2 => 1,
        3..=4 => 3,
        _ => 5,
    };
    let mut context = Context::new();
    context.insert("hosts", &hosts);
    context.insert("voters", &hosts[..voters.min(hosts.len())]);
    context.insert("user", &args.user);
    context.insert(
        "cluster",
        &folder
            .file_name()
            .map(|name| name.to_string_lossy().replace(|letter: char| !letter.is_ascii_alphanumeric(), "_"))
            .unwrap_or_default(),
    );
    let mut tera = Tera::default();
    for (name, template) in FILES {
        tera.add_raw_template(name, template).map_err(|error| format!("the template of {name}: {error}"))?;
        let text = tera.render(name, &context).map_err(|error| format!("the template of {name}: {error}"))?;
        let path = folder.join(name);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    let shown = folder.display();
    screen::line(&format!("{shown} is a new project. Next:"));
    let inventory = if args.hosts.is_empty() { "name your hosts in" } else { "look at" };
    screen::line(&format!("  1. cd {shown}, and {inventory} inventory/hosts.yml"));
    screen::line("  2. log in to each host once with ssh, so that its key is known");
    screen::line("  3. pgfleet deploy --check     what would be done");
    screen::line("  4. pgfleet deploy");
    screen::line("  5. pgfleet status");
    Ok(())
}

fn refuse_what_is_there(folder: &Path) -> Result<(), String> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(format!("{} is not empty; name a new folder", folder.display())),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("cannot use {}: {error}", folder.display())),
    }
}
