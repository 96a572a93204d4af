//! Folders as inventories: every file in the order of names.

use std::path::Path;

use pgfleet_template::Problem;

use crate::load::Loader;

/// Names that are no inventories.
const IGNORED_NAMES: [&str; 3] = ["host_vars", "group_vars", "vars_plugins"];
const IGNORED_ENDINGS: [&str; 12] = [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];
/// Folders nested deeper than this are a circle of symbolic links.
const DEEPEST: usize = 32;

impl Loader<'_> {
    /// Reads a folder and those in it.
    pub(crate) fn directory(&mut self, folder: &Path, depth: usize) {
        if depth > DEEPEST {
            return self.problems.push(Problem::new(format!("{}: folders are nested more than {DEEPEST} deep", folder.display())));
        }
        let paths = match self.files.list(folder) {
            Ok(paths) => paths,
            Err(error) => return self.problems.push(Problem::new(format!("cannot read the folder {}: {error}", folder.display()))),
        };
        for path in paths {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if is_ignored(name) {
                continue;
            }
            if self.files.is_folder(&path) {
                self.directory(&path, depth + 1);
            } else {
                self.file(&path);
            }
        }
    }
}

fn is_ignored(name: &str) -> bool {
    name.starts_with('.') || IGNORED_NAMES.contains(&name) || IGNORED_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::is_ignored;

    #[test]
    fn some_names_are_no_inventories() {
        for (name, expect) in [
            (".hidden", true),
            ("x.bak", true),
            ("hosts~", true),
            ("README.md", true),
            ("ansible.cfg", true),
            ("group_vars", true),
            ("hosts.ini", false),
            ("10-static.yml", false),
            ("group_vars.yml", false),
        ] {
            assert_eq!(is_ignored(name), expect, "{name}");
        }
    }
}
