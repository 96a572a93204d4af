//! `pgfleet install-links`: Ansible's names for this program.

use std::os::unix::fs::symlink;
use std::path::Path;

use pgfleet_workflows::WorkflowError;

use crate::ansible::NAMES;
use crate::args::LinksArgs;
use crate::exit::Exit;
use crate::screen;

pub(crate) fn run(args: &LinksArgs) -> Result<Exit, WorkflowError> {
    let failed = |path: &Path, error: std::io::Error| WorkflowError::Failed(format!("{}: {error}", path.display()));
    let program = std::env::current_exe().map_err(|error| failed(Path::new("this program"), error))?;
    std::fs::create_dir_all(&args.folder).map_err(|error| failed(&args.folder, error))?;
    let occupied = |name: &&'static str| {
        let link = args.folder.join(name);
        link.symlink_metadata().is_ok() && std::fs::read_link(&link).ok().as_deref() != Some(&program)
    };
    if let Some(name) = NAMES.into_iter().find(occupied).filter(|_| !args.force) {
        let reason = format!("{} is there already and is something else", args.folder.join(name).display());
        return Err(WorkflowError::Refused { reason, hint: "--force replaces it; nothing was touched".to_owned() });
    }
    for name in NAMES {
        let link = args.folder.join(name);
        // The new link appears in the place of the old one at once.
        let temporary = args.folder.join(format!(".{name}.{}", std::process::id()));
        symlink(&program, &temporary).and_then(|()| std::fs::rename(&temporary, &link)).map_err(|error| failed(&link, error))?;
        screen::line(&format!("{} -> {}", link.display(), program.display()));
    }
    Ok(Exit::Done)
}
