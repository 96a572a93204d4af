//! Expressions, conditions and templates, as a playbook has them.

use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use pgfleet_protocol::Map;
use pgfleet_template::{Condition, Disk, Expression, Language, Node, Place, Raw, Scope, SourceFile, TemplateOptions, Text, Vars, Vault};
use serde_json::Value;

const VARS: &str = r#"
port: 5432
name: app-server-1.lan
nodes: [controller.lan, app-server-1.lan, app-server-2.lan, builder.lan]
addresses: {controller.lan: 172.28.0.10, app-server-1.lan: 172.28.0.20, app-server-2.lan: 172.28.0.21, builder.lan: 172.28.0.30}
found: {patroni: active, stale: [], versions: {patroni: 4, postgresql: 17}}
own: "{{ addresses[name] }}"
url: "http://{{ own }}:{{ port }}"
"#;

/// A rule a pair of nodes, as pg_hba.conf has them.
const FILE: &str = "{% for one in nodes %}{% for other in nodes if other != one %}\nhost all all {{ addresses[one] }}/32 scram-sha-256 # {{ other | upper }}\n{%- endfor %}{% endfor %}\n";

fn document(yaml: &str) -> Node {
    SourceFile::from_text("bench.yml", yaml).documents().expect("parses").remove(0)
}

fn vars() -> Arc<Vars> {
    Arc::new(Raw::vars_from_node(&document(VARS), &Arc::new(Vault::none())).expect("reads"))
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let place = Place::new("bench.yml", 1, 1);
    let scope = Scope::new(&Language::new(Arc::new(Disk)), vec![]).over(vars());
    let mut group = criterion.benchmark_group("expressions");
    let source = "nodes | reject('equalto', name) | map('extract', addresses) | join(',')";
    group.bench_function("parse", |bench| bench.iter(|| Expression::parse(black_box(source), &place).expect("parses")));
    let parsed = Expression::parse(source, &place).expect("parses");
    group.bench_function("evaluate filters", |bench| bench.iter(|| parsed.evaluate(&scope).expect("evaluates")));
    let text = Text::parse("{{ url }}/patroni", &place).expect("parses");
    // What a variable's template gave is kept in its scope: each round has a new one, as each task of a host does.
    group.bench_function("a text by two variables that are templates", |bench| {
        bench.iter_batched(
            || Scope::new(&Language::new(Arc::new(Disk)), vec![]).over(vars()),
            |scope| text.evaluate(&scope).expect("evaluates"),
            criterion::BatchSize::SmallInput,
        );
    });
    let condition = Condition::read(&document("found.patroni == 'active' and 'patroni' not in found.stale")).expect("reads");
    group.bench_function("a condition", |bench| bench.iter(|| condition.holds(&scope).expect("holds")));
    let options = TemplateOptions::default();
    group.bench_function("a template of twelve lines", |bench| {
        bench.iter(|| scope.render("hba.j2", black_box(FILE), &options).expect("renders"));
    });
    let facts: Map = (0..200).map(|number| (format!("fact_{number}"), Value::from(number))).collect();
    let facts = Value::Object(facts);
    group.bench_function("200 facts from JSON", |bench| bench.iter(|| pgfleet_template::from_json(black_box(&facts))));
    group.finish();
}
