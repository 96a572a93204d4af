//! Facts that are kept from run to run, in files that ansible-core's `jsonfile` cache reads and writes as well.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pgfleet_engine::FactCache;
use pgfleet_protocol::Map;
use serde_json::{Value, json};

/// What ansible-core puts before the name of each host: the version of what is in the file.
const SCHEMA: &str = "s1_";
/// The one key of a file; its value is the facts as JSON, in a text.
const PAYLOAD: &str = "__payload__";

/// A file for each host.
#[derive(Debug)]
pub struct JsonFiles {
    folder: PathBuf,
    prefix: String,
    /// How long facts count; `None` for ever.
    timeout: Option<Duration>,
    /// What is there from before does not count.
    flushed: Option<SystemTime>,
}

impl JsonFiles {
    /// The files of a folder, which is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(folder: impl Into<PathBuf>, prefix: &str, timeout: Option<Duration>, flush: bool) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, prefix: prefix.to_owned(), timeout, flushed: flush.then(SystemTime::now) })
    }

    fn path(&self, host: &str) -> Option<PathBuf> {
        // A host's name comes from an inventory; it names a file here, and nothing else.
        let is_plain = !host.is_empty() && !host.contains(['/', '\0']);
        is_plain.then(|| self.folder.join(format!("{}{SCHEMA}{host}", self.prefix)))
    }

    fn is_fresh(&self, path: &Path) -> bool {
        let Ok(written) = fs::metadata(path).and_then(|found| found.modified()) else { return false };
        let is_old = |timeout: Duration| SystemTime::now().duration_since(written).is_ok_and(|age| age > timeout);
        !self.timeout.is_some_and(is_old) && self.flushed.is_none_or(|flushed| written >= flushed)
    }
}

impl FactCache for JsonFiles {
    fn read(&self, host: &str) -> Option<Map> {
        let path = self.path(host).filter(|path| self.is_fresh(path))?;
        let whole: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        match untagged(serde_json::from_str(whole.get(PAYLOAD)?.as_str()?).ok()?) {
            Value::Object(facts) => Some(facts),
            _ => None,
        }
    }

    fn write(&self, host: &str, facts: &Map) -> Result<(), String> {
        let Some(path) = self.path(host) else { return Ok(()) };
        let said = |error: io::Error| format!("facts of {host} cannot be kept in {}: {error}", path.display());
        let text = serde_json::to_string(facts).map_err(|error| said(error.into()))?;
        let text = serde_json::to_vec(&json!({PAYLOAD: text})).map_err(|error| said(error.into()))?;
        let temporary = self.folder.join(format!(".{host}.{}", std::process::id()));
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(true).write(true).mode(0o640).open(&temporary);
        file.and_then(|mut file| file.write_all(&text)).and_then(|()| fs::rename(&temporary, &path)).map_err(said)
    }

    fn forget(&self, host: &str) {
        if let Some(path) = self.path(host) {
            // One that is not there is as good.
            let _ = fs::remove_file(path);
        }
    }
}

/// ansible-core writes with a value where it came from, `{"value": 1, "tags": [...], "__ansible_type": "_AnsibleTaggedInt"}`: the value alone.
fn untagged(value: Value) -> Value {
    let is_tagged = |map: &Map| map.get("__ansible_type").and_then(Value::as_str).is_some_and(|name| name.starts_with("_AnsibleTagged"));
    match value {
        Value::Object(mut map) if is_tagged(&map) => untagged(map.remove("value").unwrap_or_default()),
        Value::Object(map) => map.into_iter().map(|(name, value)| (name, untagged(value))).collect(),
        Value::Array(list) => list.into_iter().map(untagged).collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pgfleet_engine::FactCache;
    use serde_json::json;

    use super::JsonFiles;

    #[test]
    fn facts_are_kept_as_ansible_keeps_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = |timeout, flush| JsonFiles::new(folder.path(), "", timeout, flush).expect("a cache");
        let facts = json!({"ansible_a": [1, "x"], "_ansible_facts_gathered": true}).as_object().cloned().expect("a mapping");
        let cache = files(None, false);
        assert_eq!(cache.read("h"), None);
        cache.write("h", &facts).expect("writes");
        assert_eq!(cache.read("h").as_ref(), Some(&facts));
        let text = std::fs::read_to_string(folder.path().join("s1_h")).expect("the file");
        assert_eq!(text, r#"{"__payload__":"{\"ansible_a\":[1,\"x\"],\"_ansible_facts_gathered\":true}"}"#);
        let tagged = r#"{"__payload__": "{\"a\": {\"value\": [{\"value\": 1, \"tags\": [], \"__ansible_type\": \"_AnsibleTaggedInt\"}], \"__ansible_type\": \"_AnsibleTaggedList\"}}"}"#;
        std::fs::write(folder.path().join("s1_real"), tagged).expect("writes");
        assert_eq!(cache.read("real"), json!({"a": [1]}).as_object().cloned());
        assert_eq!(files(Some(Duration::ZERO), false).read("h"), None, "they are too old");
        assert_eq!(files(None, true).read("h"), None, "what was there before does not count");
        cache.write("../x", &facts).expect("nothing is written outside");
        assert!(!folder.path().join("../x").exists());
        cache.forget("h");
        assert_eq!(cache.read("h"), None);
    }
}
