//! Text of variables in the playbooks that pgfleet carries: psql reads back what was meant, and no shell's text is made of any.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgfleet_template::{Disk, Language, Place, Raw, Scope, Value, Vars, from_json, to_json};
use serde_json::{Value as Json, json};

fn playbooks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks/postgresql")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}

/// All playbooks and files of tasks.
fn files() -> Vec<PathBuf> {
    let of = |folder: PathBuf| std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let all = of(playbooks()).chain(of(playbooks().join("tasks")));
    all.filter(|path| path.extension().is_some_and(|end| end == "yml")).collect()
}

fn rendered(text: &str, variables: &Json) -> String {
    let Json::Object(variables) = variables else { panic!("a mapping") };
    let vars: Vars = variables.iter().map(|(name, value)| (name.clone(), Raw::from(from_json(value)))).collect();
    let line = Raw::from_text(text, &Place::new("a playbook", 1, 1)).expect("a template");
    let language = Language::new(Arc::new(Disk));
    let scope =
        Scope::new(&language, vec![PathBuf::from(".")]).over(Arc::new(vars)).over(Arc::new(Vars::from_iter([("line".to_owned(), line)])));
    let value: Value = scope.get("line").expect("rendered").expect("there");
    to_json(&value).expect("plain").as_str().expect("text").to_owned()
}

/// The one value of `\set NAME 'value'`, as psql reads it: `''` is a quote, `\` begins an escape, a quote ends it, and what follows is more.
fn as_psql_reads(line: &str) -> String {
    let mut signs = line.strip_prefix("\\set ").and_then(|rest| rest.split_once(' ')).expect("\\set NAME").1.chars().peekable();
    assert_eq!(signs.next(), Some('\''), "{line}");
    let mut text = String::new();
    loop {
        match signs.next().unwrap_or_else(|| panic!("no end: {line}")) {
            '\'' if signs.peek() == Some(&'\'') => text.extend(signs.next()),
            '\'' => break,
            '\\' => match signs.next() {
                Some(sign @ ('\\' | '\'' | '"')) => text.push(sign),
                other => panic!("an escape {other:?}: {line}"),
            },
            sign => text.push(sign),
        }
    }
    assert_eq!(signs.collect::<String>(), "", "more than one value: {line}");
    text
}

#[test]
fn psql_gets_each_variable_as_one_text() {
    let hostile = "x' `touch /tmp/pwn` '\\'' \"\n\\! id\n:'y' {{ 1 }}";
    let lists = json!([{"name": hostile, "roles": [hostile], "absent": false}]);
    let variables = json!({"declared_users": lists, "declared_databases": lists, "database": {"extensions": lists},
        "postgresql_app_scram": "SCRAM-SHA-256$4096:a+b/c=' `id` \\", "postgresql_readonly_scram": "' `id` \\"});
    let mut found = 0;
    for path in files() {
        for line in read(&path).lines().map(str::trim).filter(|line| line.starts_with("\\set ") && line.contains("{{")) {
            let name = line.split(' ').nth(1).expect("a name");
            let read = as_psql_reads(&rendered(line, &variables));
            match name {
                "app_scram" | "readonly_scram" => assert_eq!(Json::from(read), variables[format!("postgresql_{name}")]),
                _ => assert_eq!(serde_json::from_str::<Json>(&read).expect("JSON"), lists, "{line}"),
            }
            found += 1;
        }
    }
    assert_eq!(found, 5, "every `\\set` of a playbook");
}

/// What a shell's text may have: paths that nobody sets, files of pgfleet's own, and lines of another task.
const PARTS: [&str; 4] = ["tls_folder", "lookup('file', 'preflight.sh')", "before_anew | default('')", "etcd_admin_file"];

#[test]
fn no_text_of_a_shell_is_made_of_variables() {
    let mut seen = 0;
    for path in files() {
        let text = read(&path);
        let mut lines = text.lines().peekable();
        let indent = |line: &str| line.len() - line.trim_start().len();
        while let Some(line) = lines.next() {
            let begins = ["cmd:", "before_anew:", "shell:"].iter().any(|key| line.trim_start().trim_start_matches("- ").starts_with(key));
            if !begins {
                continue;
            }
            seen += 1;
            let mut block = vec![line];
            while let Some(next) =
                lines.next_if(|next| line.trim_end().ends_with('|') && (next.trim().is_empty() || indent(next) > indent(line)))
            {
                block.push(next);
            }
            for part in block.iter().flat_map(|line| line.split("{{").skip(1)) {
                let inner = part.split("}}").next().unwrap_or_default().trim();
                assert!(PARTS.contains(&inner), "{}: a shell runs what {inner} is: give it by `environment:`", path.display());
            }
            assert!(!block.iter().any(|line| line.contains("{%")), "{}: {block:?}", path.display());
        }
    }
    assert!(seen > 30, "{seen} texts of shells");
}
