//! An inventory of a thousand hosts in both of its languages, and patterns over it.

use std::fmt::Write;
use std::sync::Arc;

use criterion::Criterion;
use pgfleet_inventory::Inventory;
use pgfleet_template::{Disk, Vault};

const HOSTS: usize = 1000;

pub(crate) fn measure(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ini, mut yaml) = ("[web]\n".to_owned(), "web:\n  hosts:\n".to_owned());
    for number in 0..HOSTS {
        let address = format!("10.0.{}.{}", number / 250, number % 250 + 1);
        writeln!(ini, "web-{number} ansible_host={address} weight={number} label='host {number}'").expect("writes");
        writeln!(yaml, "    web-{number}: {{ansible_host: {address}, weight: {number}, label: 'host {number}'}}").expect("writes");
    }
    let sources = [("hosts.ini", ini), ("hosts.yml", yaml)].map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path.display().to_string()
    });
    let read = |source: &String| Inventory::load(&Disk, std::slice::from_ref(source), None, &Arc::new(Vault::none())).expect("reads");
    let mut group = criterion.benchmark_group("inventories");
    group.bench_function("1000 hosts, INI", |bench| bench.iter(|| read(&sources[0])));
    group.bench_function("1000 hosts, YAML", |bench| bench.iter(|| read(&sources[1])));
    let inventory = read(&sources[0]);
    group.bench_function("all variables of a host", |bench| bench.iter(|| inventory.host_variables_as_written("web-500")));
    group.bench_function("a pattern", |bench| bench.iter(|| inventory.select("web:!web-1*:&~web-.*5").expect("selects")));
    group.finish();
}
