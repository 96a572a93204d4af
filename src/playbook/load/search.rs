//! Where roles and collections are looked for.

use std::path::{Path, PathBuf};

use pgfleet_template::SourceFile;

use super::{Loader, parent};

/// A role that was found.
pub struct FoundRole {
    /// Its name without the collection.
    pub name: String,
    /// The collection that it comes from.
    pub collection: Option<String>,
    /// Its folder.
    pub path: PathBuf,
}

/// From where a role is looked for.
#[derive(Clone, Copy, Debug)]
pub struct RoleSearch<'s> {
    /// The folder of the playbook.
    pub playbook_folder: &'s Path,
    /// Collections in which short names are looked for, in order.
    pub collections: &'s [&'s str],
    /// The folder of the role that names it.
    pub parent: Option<&'s Path>,
}

impl Loader {
    /// The folder of a collection: of the search path, beside the playbook, or a checkout whose `galaxy.yml` names it.
    #[must_use]
    pub fn find_collection(&self, name: &str, playbook_folder: &Path) -> Option<PathBuf> {
        let (namespace, short) = name.split_once('.')?;
        let below = |folder: &Path| folder.join("ansible_collections").join(namespace).join(short);
        let files = self.files();
        let playbook_folder = std::path::absolute(playbook_folder).ok()?;
        let beside = playbook_folder.join("collections");
        let mut candidates: Vec<PathBuf> =
            self.collections_paths.iter().chain(std::iter::once(&beside)).map(|folder| below(folder)).collect();
        for folder in playbook_folder.ancestors() {
            if folder.file_name().is_some_and(|last| last == "ansible_collections") {
                candidates.push(folder.join(namespace).join(short));
            }
            if self.checkout_name(folder).is_some_and(|checkout| checkout == name) {
                candidates.push(folder.to_owned());
            }
        }
        candidates.into_iter().find(|folder| files.is_folder(folder))
    }

    /// The collection that a folder is the checkout of.
    fn checkout_name(&self, folder: &Path) -> Option<String> {
        let path = folder.join("galaxy.yml");
        if !self.files().is_file(&path) {
            return None;
        }
        let source = SourceFile::read(&**self.files(), &path, self.vault()).ok()?;
        let document = source.document("a second document").ok()??;
        let text = |key: &str| document.get(key)?.scalar_text().map(str::to_owned);
        Some(format!("{}.{}", text("namespace")?, text("name")?))
    }

    /// The collection that a playbook belongs to.
    #[must_use]
    pub fn collection_around(&self, folder: &Path) -> Option<String> {
        let folder = std::path::absolute(folder).ok()?;
        folder.ancestors().find_map(|folder| {
            let name = |folder: &Path| folder.file_name().map(|name| name.to_string_lossy().into_owned());
            let namespace = folder.parent()?;
            if namespace.parent().and_then(name).as_deref() == Some("ansible_collections") {
                return Some(format!("{}.{}", name(namespace)?, name(folder)?));
            }
            self.checkout_name(folder)
        })
    }

    /// The playbook of a collection, by a name like `namespace.collection.playbook`.
    #[must_use]
    pub fn find_playbook(&self, name: &str, folder: &Path) -> Option<PathBuf> {
        let (collection, playbook) = split_name(name)?;
        let folder = self.find_collection(&collection, folder)?.join("playbooks");
        let base = folder.join(playbook.replace('.', "/")).display().to_string();
        let names = [".yml", ".yaml", ""].map(|ending| PathBuf::from(format!("{base}{ending}")));
        names.into_iter().find(|path| self.files().is_file(path))
    }

    /// The role of that name.
    ///
    /// # Errors
    /// Where it was looked for, where there is none.
    pub fn find_role(&self, name: &str, search: &RoleSearch<'_>) -> Result<FoundRole, Vec<PathBuf>> {
        let files = self.files();
        if let Some((collection, short)) = split_name(name)
            && let Some(found) = self.role_of(&collection, &short, search)
        {
            return Ok(found);
        }
        if !name.contains('.')
            && !name.contains('/')
            && let Some(found) = search.collections.iter().find_map(|collection| self.role_of(collection, name, search))
        {
            return Ok(found);
        }
        let mut folders = vec![search.playbook_folder.join("roles")];
        folders.extend(self.roles_paths.iter().cloned());
        folders.extend(search.parent.map(parent));
        folders.push(search.playbook_folder.to_path_buf());
        let found = folders.iter().map(|folder| folder.join(name)).find(|path| files.is_folder(path));
        if let Some(path) = found {
            return Ok(FoundRole { name: name.to_owned(), collection: None, path });
        }
        let path = PathBuf::from(name);
        match path.file_name() {
            Some(last) if files.is_folder(&path) => Ok(FoundRole { name: last.to_string_lossy().into_owned(), collection: None, path }),
            _ => Err(folders),
        }
    }

    fn role_of(&self, collection: &str, name: &str, search: &RoleSearch<'_>) -> Option<FoundRole> {
        let path = self.find_collection(collection, search.playbook_folder)?.join("roles").join(name.replace('.', "/"));
        self.files().is_folder(&path).then(|| FoundRole { name: name.to_owned(), collection: Some(collection.to_owned()), path })
    }

    /// Names of roles that could have been meant.
    #[must_use]
    pub fn role_names(&self, folders: &[PathBuf]) -> Vec<String> {
        let listed = folders.iter().take(folders.len().saturating_sub(1)).flat_map(|folder| self.files().list(folder).unwrap_or_default());
        listed.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }

    /// Files of a role's sub-folder: `main` with any ending, or the one that was asked for; a folder of that name gives all its files.
    #[must_use]
    pub fn role_files(&self, folder: &Path, wanted: Option<&str>, folders_too: bool) -> Vec<PathBuf> {
        let files = self.files();
        let (name, endings) = match wanted {
            None => ("main", [".yml", ".yaml", ".json", ""]),
            Some(name) => (name, ["", ".yml", ".yaml", ".json"]),
        };
        for ending in endings {
            let path = folder.join(format!("{name}{ending}"));
            if files.is_file(&path) {
                return vec![path];
            }
            if folders_too && files.is_folder(&path) {
                return self.all_files(&path);
            }
        }
        Vec::new()
    }

    fn all_files(&self, folder: &Path) -> Vec<PathBuf> {
        let files = self.files();
        let mut found = Vec::new();
        for path in files.list(folder).unwrap_or_default() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
            if name.starts_with('.') || name.ends_with('~') {
                continue;
            }
            if files.is_folder(&path) {
                found.extend(self.all_files(&path));
            } else if ending.is_none_or(|ending| ["yml", "yaml", "json"].contains(&ending.as_str())) {
                found.push(path);
            }
        }
        found
    }
}

/// `namespace.collection` and the rest of a name with at least two dots.
pub(super) fn split_name(name: &str) -> Option<(String, String)> {
    let mut parts = name.splitn(3, '.');
    let (namespace, collection, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|character| character.is_alphanumeric() || character == '_');
    (is_word(namespace) && is_word(collection) && rest.split('.').all(is_word))
        .then(|| (format!("{namespace}.{collection}"), rest.to_owned()))
}
