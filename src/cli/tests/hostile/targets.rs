//! What is fed: each parser as the program calls it, with nothing that an input could reach but memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use pgfleet_inventory::Inventory;
use pgfleet_playbook::{Loader, parse_pairs, split_words};
use pgfleet_protocol::{Call, Decoder, Frame, FromAgent, Map, Outcome, Secret, ToAgent};
use pgfleet_ssh::{Arguments, KnownHosts, KnownName, SshConfig, Target as SshTarget, Wish};
use pgfleet_template::{
    Condition, Expression, Files, Language, Place, Raw, Scope, SourceFile, TemplateOptions, Vars, Vault, VaultPassword, from_json, to_json,
};

/// Takes one input. What it makes of it does not matter; that it comes back does.
pub(crate) type Target = fn(&[u8]);

pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("ini", |input| inventory("hosts.ini", input)),
    ("yaml_inventory", |input| inventory("hosts.yml", input)),
    ("host_list", host_list),
    ("pattern", pattern),
    ("playbook", playbook),
    ("variables", variables),
    ("expression", expression),
    ("template", template),
    ("pairs", pairs),
    ("vault", vault),
    ("ssh_config", ssh_config),
    ("ssh_arguments", ssh_arguments),
    ("known_hosts", known_hosts),
    ("from_agent", frames::<FromAgent>),
    ("to_agent", frames::<ToAgent>),
    ("facts", facts),
];

/// Files in memory.
#[derive(Default)]
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Memory {
    fn of(path: &str, content: &[u8]) -> Self {
        Self(BTreeMap::from([(PathBuf::from(path), content.to_vec())]))
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn is_file(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.0.keys().any(|file| file.parent() == Some(path))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.0.keys().filter(|file| file.parent() == Some(folder)).cloned().collect())
    }

    fn permissions(&self, _: &Path) -> io::Result<u32> {
        Ok(0o644)
    }
}

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

fn passwords() -> Arc<Vault> {
    let password = VaultPassword { label: "default".to_owned(), password: Secret::new("secret") };
    Arc::new(Vault::new(vec![password]))
}

fn inventory(name: &str, input: &[u8]) {
    let path = format!("/hostile/{name}");
    let Ok(inventory) = Inventory::load(&Memory::of(&path, input), &[path], None, &passwords()) else { return };
    let _selected = inventory.select("all:&all:!none");
}

fn host_list(input: &[u8]) {
    let _inventory = Inventory::load(&Memory::default(), &[format!("{},", text(input))], None, &passwords());
}

fn pattern(input: &[u8]) {
    static INVENTORY: LazyLock<Inventory> = LazyLock::new(|| {
        let files = Memory::of("/hostile/hosts.ini", b"[web]\nweb[01:20]\n[db]\ndb[a:f].lan\n[both:children]\nweb\ndb\n");
        Inventory::load(&files, &["/hostile/hosts.ini".to_owned()], None, &passwords()).expect("an inventory")
    });
    let _selected = INVENTORY.select(&text(input));
}

fn playbook(input: &[u8]) {
    let mut files = Memory::of("/hostile/site.yml", input);
    files.0.insert(PathBuf::from("/hostile/tasks.yml"), input.to_vec());
    let _playbook = Loader::new(Arc::new(files), passwords()).playbook(Path::new("/hostile/site.yml"));
}

/// Variables of a file, each of them rendered.
fn variables(input: &[u8]) {
    let source = SourceFile::from_text("vars.yml", text(input));
    let Ok(documents) = source.documents() else { return };
    for node in documents {
        let Ok(vars) = Raw::vars_from_node(&node, &passwords()) else { continue };
        let names: Vec<String> = vars.keys().take(50).cloned().collect();
        let scope = scope(Memory::default()).over(Arc::new(vars));
        for name in names {
            if let Ok(Some(value)) = scope.get(&name) {
                let _json = to_json(&value);
            }
        }
        let _condition = Condition::read(&node).and_then(|condition| condition.holds(&scope));
    }
}

fn scope(files: Memory) -> Scope {
    static VARS: LazyLock<Arc<Vars>> = LazyLock::new(|| {
        let written = "name: db1\nnumbers: [3, 1, 2]\nusers: [{name: a, uid: 1}, {name: b, uid: 2}]\nnested: '{{ users[0].name ~ name }}'\n\
                       loop_a: '{{ loop_b }}'\nloop_b: '{{ loop_a }}'\ndeep: {a: {b: {c: 1}}}\n";
        let nodes = SourceFile::from_text("vars.yml", written).documents().expect("YAML");
        Arc::new(Raw::vars_from_node(&nodes[0], &passwords()).expect("variables"))
    });
    Scope::new(&Language::new(Arc::new(files)), vec![PathBuf::from("/hostile")]).over(VARS.clone())
}

fn expression(input: &[u8]) {
    let place = Place::new("input", 1, 1);
    let Ok(expression) = Expression::parse(&text(input), &place) else { return };
    if let Ok(value) = expression.evaluate(&scope(Memory::default())) {
        let _json = to_json(&value);
        let _text = value.to_string();
    }
}

fn template(input: &[u8]) {
    let files = Memory::of("/hostile/templates/self.j2", input);
    let _rendered = scope(files).render("/hostile/templates/self.j2", &text(input), &TemplateOptions::default());
}

fn pairs(input: &[u8]) {
    let _words = split_words(&text(input));
    let _pairs = parse_pairs(&text(input), Some(&["chdir", "creates"]));
}

fn vault(input: &[u8]) {
    let _opened = passwords().open(&text(input));
}

fn ssh_config(input: &[u8]) {
    fs::write("config", input).expect("writes");
    let Ok(config) = SshConfig::from_file(Path::new("config")) else { return };
    for name in ["db1", "gate", "x.lan"] {
        let _target = SshTarget::resolve(name, &Wish::default(), &config);
    }
}

fn ssh_arguments(input: &[u8]) {
    let given = Arguments { from: "ansible_ssh_common_args".to_owned(), text: text(input) };
    let _target = SshTarget::resolve("db1", &Wish { more_args: vec![given], ..Wish::default() }, &SshConfig::default());
}

fn known_hosts(input: &[u8]) {
    let mut known = KnownHosts::default();
    known.read(Path::new("known_hosts"), &text(input));
    for name in [KnownName::new("db1", 22), KnownName::new("10.0.0.5", 2222), KnownName::alias("x")] {
        let _algorithms = known.algorithms(&name);
        let _authority = known.has_authority(&name);
    }
}

/// A stream that comes in pieces of every size.
fn frames<M: serde::de::DeserializeOwned + Readable>(input: &[u8]) {
    let mut decoder = Decoder::default();
    let mut rest = input;
    let mut size = 1;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        decoder.push(piece);
        (rest, size) = (after, size * 2);
        loop {
            match decoder.next_frame::<M>() {
                Ok(Some(Frame::Message(message))) => message.read(),
                Ok(Some(Frame::Chunk(_))) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// What is done with a message before it is trusted.
trait Readable {
    fn read(self);
}

impl Readable for ToAgent {
    fn read(self) {
        if let Self::Run(request) = self {
            let _call = Call::read(&request.module, &request.arguments);
        }
    }
}

impl Readable for FromAgent {
    fn read(self) {
        if let Self::Done { outcome, .. } = self {
            registered(&outcome);
        }
    }
}

/// Facts and results become values that templates look into.
fn registered(outcome: &Outcome) {
    let Ok(json) = serde_json::to_value(outcome) else { return };
    let scope = scope(Memory::default()).with("result", from_json(&json));
    let look = Expression::parse("result | to_json ~ (result.data | default({})).keys() | list", &Place::new("input", 1, 1));
    let _value = look.expect("parses").evaluate(&scope);
}

fn facts(input: &[u8]) {
    let Ok(map) = serde_json::from_slice::<Map>(input) else { return };
    for module in ["copy", "file", "command", "user", "apt"] {
        let _call = Call::read(module, &map);
    }
    let scope = scope(Memory::default()).with("ansible_facts", from_json(&serde_json::Value::Object(map)));
    for source in ["ansible_facts | to_nice_yaml", "ansible_facts | dict2items | length", "ansible_facts == ansible_facts | combine(deep)"]
    {
        let look = Expression::parse(source, &Place::new("input", 1, 1));
        let _value = look.expect("parses").evaluate(&scope).map(|value| value.to_string());
    }
}
