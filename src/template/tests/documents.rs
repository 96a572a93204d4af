//! YAML as people write it: types, merge keys, places, and what is refused with which words.

use std::sync::Arc;

use pgfleet_protocol::Secret;
use pgfleet_template::{Disk, Language, Raw, Scope, SourceFile, Vault, VaultPassword, to_exact_json, to_json, wide};

fn json(yaml: &str) -> Result<String, String> {
    let file = SourceFile::from_text("f.yml", yaml);
    let documents = file.documents().map_err(|problem| problem.to_string())?;
    let vault = Arc::new(Vault::none());
    let shown = documents.iter().map(|node| {
        let raw = Raw::from_node(node, &vault).map_err(|problem| problem.to_string())?;
        Ok(to_json(&raw.as_written()).map_err(|problem| problem.to_string())?.to_string())
    });
    shown.collect::<Result<Vec<_>, String>>().map(|all| all.join("\n"))
}

#[test]
fn documents_give_the_values_that_ansible_reads() {
    for (yaml, expect) in [
        ("", ""),
        ("# nothing\n", ""),
        ("---\na: yes\n", r#"{"a":true}"#),
        ("{\n\t\"a\": [1, null]\n}", r#"{"a":[1,null]}"#),
        ("a: 0644\nb: '0644'\nc: !!str 5\nd: !!int '7'\n", r#"{"a":420,"b":"0644","c":"5","d":7}"#),
        ("base: &b {a: 1, b: 2}\nm:\n  <<: *b\n  c: 3\n  a: 9\n", r#"{"base":{"a":1,"b":2},"m":{"a":9,"b":2,"c":3}}"#),
        ("x: [&p {a: 1}, &q {a: 2, b: 3}]\nm: {<<: [*p, *q]}\n", r#"{"x":[{"a":1},{"a":2,"b":3}],"m":{"a":1,"b":3}}"#),
        ("t: |\n  one\n  two\nf: >-\n  a\n  b\n", r#"{"t":"one\ntwo\n","f":"a b"}"#),
        (
            "u: !unsafe '{{ x }}'\nv: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  33\n",
            r#"{"u":"{{ x }}","v":{"__ansible_vault":"$ANSIBLE_VAULT;1.1;AES256\n33\n"}}"#,
        ),
        ("1: a\nfalse: b\n", r#"{"1":"a","false":"b"}"#),
        ("- a\n---\n- b\n", "[\"a\"]\n[\"b\"]"),
    ] {
        assert_eq!(json(yaml).as_deref(), Ok(expect), "{yaml}");
    }
}

#[test]
fn an_inventory_has_the_values_that_ansible_lists() {
    let documents = SourceFile::from_text("typing.yml", include_str!("golden/typing.yml")).documents().expect("parses");
    let all = documents[0].get("all").expect("all");
    let host = all.get("hosts").and_then(|hosts| hosts.get("h1")).expect("h1");
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden/typing.json")).expect("golden");
    let mut found = serde_json::Map::new();
    for vars in [all.get("vars").expect("vars"), host] {
        for (name, raw) in Raw::vars_from_node(vars, &Arc::new(Vault::none())).expect("reads") {
            let value = to_exact_json(&raw.as_written()).expect("json");
            // It was recorded as text.
            found.insert(name, wide::written(&value).map_or(value.clone(), serde_json::Value::from));
        }
    }
    assert_eq!(serde_json::Value::Object(found), golden);
}

#[test]
fn malformed_documents_say_where_and_why() {
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    let bomb: String = std::iter::once("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain((1..10).map(|at| format!("a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 9].join(", "))))
        .collect();
    for (yaml, expect) in [
        ("a:\n\tb: 1\n", "f.yml:2:1: a tab stands in the indentation; YAML wants spaces"),
        ("a: !nope x\n", "f.yml:1:4: unknown tag '!nope'"),
        ("a: {{ x }}\n", "f.yml:1:5: a key is a scalar, not a mapping"),
        ("a: *x\n", "f.yml:1:4: malformed YAML: while parsing node, found unknown anchor"),
        ("a: 2024-02-31\n", "f.yml:1:4: '2024-02-31' is no date; quote it if it is text"),
        ("a: &x [*x]\n", "f.yml:1:8: an alias stands inside of what it names"),
        (deep.as_str(), "f.yml:1:101: nesting is deeper than 100 levels"),
        (bomb.as_str(), "aliases expand to more than 100000 nodes"),
        ("a: 'x\n", "f.yml:"),
        ("a: b: c\n", "f.yml:1:"),
    ] {
        let problem = json(yaml).expect_err(yaml);
        assert!(problem.contains(expect), "{yaml}: {problem}");
    }
}

#[test]
fn the_last_of_two_values_counts_where_the_first_one_stood() {
    let file = SourceFile::from_text("f.yml", "a: 1\nb: 2\na: 3\n? 1\n: x\n0x1: y\n'1': z\n");
    assert_eq!(json("a: 1\nb: 2\na: 3\n").as_deref(), Ok(r#"{"a":3,"b":2}"#));
    let told: Vec<String> = file.duplicates().iter().map(|found| found.problem().to_string()).collect();
    assert_eq!(told, ["f.yml:3:1: duplicate key 'a', first on line 1", "f.yml:6:1: duplicate key 1, first on line 4"]);
}

#[test]
fn a_tab_behind_a_colon_is_a_space() {
    for (yaml, expect) in [
        ("a:\t1\nb:\t\tx\ty\nc: \"q:\tz\"\n", r#"{"a":1,"b":"x\ty","c":"q:\tz"}"#),
        ("- a:\tb\n  c:\ttrue\n", r#"[{"a":"b","c":true}]"#),
        ("a:\t|\n  x:\ty\nb:\t-1\n", r#"{"a":"x:\ty\n","b":-1}"#),
    ] {
        assert_eq!(json(yaml).as_deref(), Ok(expect), "{yaml}");
    }
    for yaml in ["a:\tb: 1\n", "a:\t- 1\n", "a:\n\t- 1\n", "- a:\t1\n\tb: 2\n"] {
        assert!(json(yaml).is_err(), "{yaml}");
    }
}

#[test]
fn a_file_of_json_has_the_numbers_of_json() {
    let text = r#"{"a": 1e3, "b": [NaN, -Infinity, "1e3", "NaN"], "c": {"d": 1E-2, "e": 12345678901234567890123}, "t": "{{ 1e3 }}"}"#;
    let value = |yaml: &str| {
        let node = SourceFile::from_text("f.json", yaml).document("").expect("parses").expect("a document");
        let raw = Raw::from_node(&node, &Arc::new(Vault::none())).expect("reads");
        wide::to_text(&to_exact_json(&raw.as_written()).expect("values"), wide::Layout::Line).expect("writes")
    };
    let expect = r#"{"a":1000.0,"b":[NaN,-Infinity,"1e3","NaN"],"c":{"d":0.01,"e":12345678901234567890123},"t":"{{ 1e3 }}"}"#;
    assert_eq!(value(text), expect);
    assert_eq!(value("{a: 1e3, b: NaN}"), r#"{"a":"1e3","b":"NaN"}"#);
}

#[test]
fn encrypted_values_open_when_used() {
    let sealed = include_str!("vault.txt");
    let yaml = format!("secret: !vault |\n{}\nplain: 1\n", sealed.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"));
    let node = SourceFile::from_text("v.yml", yaml).documents().expect("parses").remove(0);
    let password = |text: &str| VaultPassword { label: "default".into(), password: Secret::new(text) };
    let get = |vault: Vault, name: &str| {
        let vars = Raw::vars_from_node(&node, &Arc::new(vault)).expect("reads");
        let scope = Scope::new(&Language::new(Arc::new(Disk)), vec![]).over(Arc::new(vars));
        scope.get(name).map(|value| value.expect("defined").to_string()).map_err(|problem| problem.to_string())
    };
    assert_eq!(get(Vault::none(), "plain").as_deref(), Ok("1"));
    assert_eq!(get(Vault::new(vec![password("wrong"), password("correct horse")]), "secret").as_deref(), Ok("s3cret väl"));
    assert!(get(Vault::none(), "secret").expect_err("closed").contains("v.yml:1:"));
    let problem = Vault::none().open(sealed).expect_err("closed");
    assert!(problem.hint.is_some_and(|hint| hint.contains("--ask-vault-pass")));
    assert!(get(Vault::new(vec![password("wrong")]), "secret").expect_err("closed").contains("no vault password"));
    let damaged = sealed.replacen("61", "62", 1);
    assert!(Vault::new(vec![password("correct horse")]).open(&damaged).is_err());
}
