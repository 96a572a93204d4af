//! `tempfile`: makes a file or directory with a name that nobody has.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::search::{TempState, Tempfile};

use crate::attributes::with_path_info;
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::system::Permissions;

const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";

/// More names than this are not taken by chance.
const MOST_TAKEN: u8 = 100;

pub(crate) fn plan(arguments: &Tempfile, context: &Context) -> Planned {
    let folder = match &arguments.path {
        Some(path) => paths::expand(context.system, path.as_str())?,
        None => context.system.variable("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from),
    };
    for (what, given) in [("prefix", &arguments.prefix), ("suffix", &arguments.suffix)] {
        if given.contains('/') {
            return Err(Failure::new(format!("{what} must be a valid file name component: {given}")));
        }
    }
    let (state, prefix, suffix) = (arguments.state, arguments.prefix.clone(), arguments.suffix.clone());
    let foretold = Outcome::skipped("remote module (tempfile) does not support check mode");
    Ok(Plan::change(foretold, move |context, _| {
        let mut taken = 0;
        loop {
            let path = folder.join(format!("{prefix}{}{suffix}", letters(context, taken)));
            match make(&path, state, context) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && taken < MOST_TAKEN => taken += 1,
                made => {
                    made.context(format_args!("cannot make {}", path.display()))?;
                    return Ok(with_path_info(Outcome::changed().with("path", path.to_string_lossy()), context, &path));
                }
            }
        }
    }))
}

/// Eight letters that nobody can guess.
fn letters(context: &Context, taken: u8) -> String {
    let mut bytes = [0; 8];
    let random = context.system.open_file(Path::new("/dev/urandom")).and_then(|mut file| file.read_exact(&mut bytes));
    if random.is_err() {
        // A host without it has no better source; the name is still made only where there is none yet.
        let passed = context.system.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        bytes = (u64::from(passed.subsec_nanos()) << 32 | passed.as_secs()).to_le_bytes();
        bytes[7] = taken;
    }
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

fn make(path: &Path, state: TempState, context: &Context) -> io::Result<()> {
    if state == TempState::Directory {
        context.system.make_dir(path)?;
        return context.system.set_permissions(path, &Permissions { mode: Some(0o700), ..Permissions::default() });
    }
    let temporary = context.system.create_temporary(path)?;
    let linked = context.system.hard_link(&temporary.path, path);
    // The other name goes, whether or not this one could be given.
    let _ = context.system.remove_file(&temporary.path);
    linked
}
