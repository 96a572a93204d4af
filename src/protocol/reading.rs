//! Programs that can only read, whatever their arguments are.

use serde_json::Value;

use crate::Map;

/// They write nowhere but to their output. What can be told to write, run others or wait for more to come is not among them.
const READERS: &[&str] = &["[", "cat", "getent", "id", "ls", "readlink", "realpath", "stat", "test", "uname", "wc"];
/// Where the host's own programs are.
const FOLDERS: &[&str] = &["/bin/", "/usr/bin/"];

/// True for a call that runs such a program, without a shell.
#[must_use]
pub fn only_reads(module: &str, arguments: &Map) -> bool {
    let program = match (arguments.get("argv"), arguments.get("_raw_params")) {
        (Some(Value::Array(argv)), _) => argv.first().and_then(Value::as_str),
        (_, Some(Value::String(line))) => line.split_whitespace().next(),
        _ => None,
    };
    let Some(program) = program.filter(|_| module == "command") else { return false };
    READERS.contains(&FOLDERS.iter().find_map(|folder| program.strip_prefix(folder)).unwrap_or(program))
}

#[cfg(test)]
mod tests {
    use super::only_reads;
    use serde_json::json;

    #[test]
    fn programs_that_only_read_are_known_by_their_names() {
        for (module, arguments, expect) in [
            ("command", json!({"_raw_params": "test -f /etc/passwd"}), true),
            ("command", json!({"_raw_params": " /usr/bin/stat -c %a '/x y'", "chdir": "/"}), true),
            ("command", json!({"argv": ["[", "-e", "/x", "]"], "_raw_params": null}), true),
            ("command", json!({"argv": ["/home/me/bin/cat", "/x"]}), false),
            ("command", json!({"_raw_params": "touch /x"}), false),
            ("command", json!({"_raw_params": "'cat' /x"}), false),
            ("command", json!({"_raw_params": "tester"}), false),
            ("command", json!({}), false),
            ("shell", json!({"_raw_params": "cat /x > /y"}), false),
            ("script", json!({"_raw_params": "cat"}), false),
        ] {
            let arguments = arguments.as_object().cloned().expect("a map");
            assert_eq!(only_reads(module, &arguments), expect, "{module} {arguments:?}");
        }
    }
}
