//! Events as short lines: `Task: a ok, b changed [x ok, y changed]`. Hosts of a task are sorted, since they run at once.

use std::collections::BTreeMap;

use pgfleet_engine::{Ending, Event, Recap, TaskResult};
use serde_json::Value;

#[derive(Default)]
struct Lines {
    done: Vec<String>,
    title: Option<String>,
    module: String,
    items: BTreeMap<String, Vec<String>>,
    hosts: BTreeMap<String, String>,
}

impl Lines {
    fn close(&mut self) {
        if let Some(title) = self.title.take() {
            let hosts: Vec<String> = std::mem::take(&mut self.hosts).into_values().collect();
            self.done.push(format!("{title}: {}", hosts.join(", ")));
        }
        self.items.clear();
    }

    fn line(&mut self, text: String) {
        self.close();
        self.done.push(text);
    }
}

pub(crate) fn transcript(events: &[Event]) -> String {
    let mut lines = Lines::default();
    for event in events {
        match event {
            Event::PlayStarted { name, hosts } => lines.line(format!("PLAY {name}: {}", hosts.join(" "))),
            Event::PlayEmpty { name } => lines.line(format!("PLAY {name}: no hosts")),
            Event::TaskStarted { name, module, handler, .. } => {
                lines.close();
                lines.title = Some(if *handler { format!("HANDLER {name}") } else { name.clone() });
                lines.module.clone_from(module);
            }
            Event::ItemDone { host, item, result, ignored, .. } => {
                let text = format!("{item} {}", shown(result, *ignored, &lines.module));
                lines.items.entry(host.clone()).or_default().push(text);
            }
            Event::Retrying { host, left, .. } => lines.items.entry(host.clone()).or_default().push(format!("{left} left")),
            Event::HostDone { host, delegate, result, ignored, .. } => {
                let delegate = delegate.as_ref().map(|name| format!(" -> {name}")).unwrap_or_default();
                let items = lines.items.get(host).map(|items| format!(" [{}]", items.join(", "))).unwrap_or_default();
                let looped = !items.is_empty() && result.data.contains_key("results");
                let text = if looped { word(result.ending, *ignored) } else { shown(result, *ignored, &lines.module) };
                lines.hosts.insert(host.clone(), format!("{host}{delegate} {text}{items}"));
            }
            Event::Included { file, hosts, item } => {
                let item = item.as_ref().map(|item| format!(" {item}")).unwrap_or_default();
                lines.line(format!("INCLUDE {file}: {}{item}", hosts.join(" ")));
            }
            Event::DuplicateKey { key, place, first } => lines.line(format!("DUPLICATE {key} {place} first {first}")),
            Event::Warning { message } => lines.line(format!("WARNING {message}")),
            Event::NoHostsLeft => lines.line("NO HOSTS LEFT".to_owned()),
            Event::Interrupted => lines.line("INTERRUPTED".to_owned()),
            Event::Said { text, .. } => lines.line(format!("SAID {text}")),
            Event::HostStarted { .. } | Event::Progress { .. } | Event::Finished { .. } => {}
        }
    }
    lines.close();
    lines.done.join("\n")
}

fn word(ending: Ending, ignored: bool) -> String {
    let word = serde_json::to_value(ending).expect("an ending");
    let word = word.as_str().expect("a word");
    if ignored { format!("{word} (ignored)") } else { word.to_owned() }
}

fn shown(result: &TaskResult, ignored: bool, module: &str) -> String {
    let word = word(result.ending, ignored);
    if result.is_bad() {
        let place = result.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        let hint = result.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        return format!("{word} '{place}{}{hint}'", result.message().unwrap_or_default());
    }
    if module == "debug" && result.ending == Ending::Ok {
        let value = result.data.iter().find(|(name, _)| !["changed", "failed", "item", "ansible_loop_var"].contains(&name.as_str()));
        return format!("{word} {}", value.map_or(Value::Null, |(_, value)| value.clone()));
    }
    word
}

/// `host ok=1 changed=0 ...` without the zeros.
pub(crate) fn recap(recap: &Recap) -> String {
    let line = |(host, counts): (&String, &pgfleet_engine::Counts)| {
        let counts = [
            ("ok", counts.ok),
            ("changed", counts.changed),
            ("unreachable", counts.unreachable),
            ("failed", counts.failed),
            ("skipped", counts.skipped),
            ("rescued", counts.rescued),
            ("ignored", counts.ignored),
        ];
        let counts: Vec<String> = counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name}={count}")).collect();
        format!("{host} {}", counts.join(" "))
    };
    recap.hosts.iter().map(line).collect::<Vec<_>>().join("\n")
}
