//! YAML text to nodes: places, YAML 1.1's types, merge keys, aliases within limits, duplicate keys noted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::{Duplicate, Node, NodeKind, Place, Problem, Value, from_json, scalar};

/// Nesting over this many levels is refused.
const DEEPEST: usize = 100;
/// Nodes that aliases may add to a file, in all.
const MOST_ALIASED: usize = 100_000;
/// Bytes of a text that count as one node more, where aliases repeat it.
const LONG: usize = 256;

/// What a text holds.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) nodes: Vec<Node>,
    /// Keys that stand twice in one mapping.
    pub(crate) duplicates: Vec<Duplicate>,
}

/// All documents of a text.
pub(crate) fn documents(name: &Arc<str>, text: &str) -> Result<Read, Problem> {
    let result = read(name, text);
    let result = match &result {
        Err(problem) if is_mendable(problem) => mended(name, text, problem).map_or(result, Ok),
        _ => result,
    };
    // JSON with tabs in it is no YAML.
    if text.contains('\t')
        && result.is_err()
        && text.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str::<serde_json::Value>(text)
    {
        return Ok(Read { nodes: vec![json_node(&value, &Place::new(name.clone(), 1, 1))], duplicates: Vec::new() });
    }
    result.map_err(|problem| clearer(problem, text))
}

/// The same of a file: one that is JSON has the numbers that JSON has (`1e3`, `NaN`), as Ansible's loader tries JSON first.
pub(crate) fn loaded(name: &Arc<str>, text: &str) -> Result<Read, Problem> {
    let mut read = documents(name, text)?;
    if text.trim_start().starts_with(['{', '['])
        && let ([node], Ok(value)) = (&mut *read.nodes, crate::builtins::json_value(text))
    {
        take_numbers(node, &value);
    }
    Ok(read)
}

fn take_numbers(node: &mut Node, json: &Value) {
    match &mut node.kind {
        NodeKind::Sequence(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                take_numbers(item, &json.get_item_by_index(index).unwrap_or_default());
            }
        }
        NodeKind::Mapping(entries) => {
            for (key, item) in entries {
                let name = Value::from(key.scalar_text().unwrap_or_default());
                take_numbers(item, &json.get_item(&name).unwrap_or_default());
            }
        }
        NodeKind::Scalar { value, .. } if value.as_str().is_some() && json.is_number() => *value = json.clone(),
        NodeKind::Scalar { .. } => {}
    }
}

fn read(name: &Arc<str>, text: &str) -> Result<Read, Problem> {
    let mut reader = Reader { name, parser: Parser::new_from_str(text), anchors: HashMap::new(), aliased: 0, duplicates: Vec::new() };
    let nodes = reader.documents()?;
    Ok(Read { nodes, duplicates: reader.duplicates })
}

/// What the scanner says of a line inside of brackets or quotes that stands further left than what is around it:
/// YAML 1.2 forbids that, YAML 1.1 does not.
const OUTDENTED: &str = "invalid indentation";
/// What it says where a tab stands between a colon and a word, which libyaml takes for a space.
const TABBED: &str = "':' must be followed by a valid YAML whitespace";
/// Places of one file that are mended.
const MOST_MENDED: usize = 2_000;
/// Bytes that are read again and again for that.
const MOST_READ: usize = 128 * 1024 * 1024;

fn is_mendable(problem: &Problem) -> bool {
    problem.message.contains(OUTDENTED) || problem.message.contains(TABBED)
}

/// Reads a text in which outdented lines are indented and tabs behind colons are spaces, which changes nothing of their meaning.
fn mended(name: &Arc<str>, text: &str, first: &Problem) -> Option<Read> {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let deepest = lines.iter().map(|line| line.len() - line.trim_start_matches(' ').len()).max().unwrap_or(0);
    let margin = " ".repeat(deepest.min(DEEPEST) + 1);
    let mut moved = HashSet::new();
    let mut problem = first.clone();
    for _ in 0..MOST_MENDED.min(MOST_READ / text.len().max(1)) {
        let place = problem.place.as_ref()?;
        if problem.message.contains(TABBED) {
            let line = lines.get_mut(place.line.checked_sub(1)?)?;
            untab(line, place.column)?;
        } else {
            let mut line = place.line;
            // A quoted scalar is reported where it begins, and its first line is never at fault.
            if problem.message.contains("quoted scalar") {
                line += 1;
            }
            while moved.contains(&line) {
                line += 1;
            }
            lines.get_mut(line.checked_sub(1)?)?.insert_str(0, &margin);
            moved.insert(line);
        }
        match read(name, &lines.join("\n")) {
            Ok(read) => return Some(read),
            Err(next) if is_mendable(&next) => problem = next,
            Err(_) => return None,
        }
    }
    None
}

/// Makes spaces of the tabs before a column.
fn untab(line: &mut String, column: usize) -> Option<()> {
    let end = line.char_indices().nth(column.checked_sub(1)?).map(|(at, _)| at)?;
    let begin = line[..end].trim_end_matches('\t').len();
    line.replace_range(begin..end, &" ".repeat(end - begin));
    (begin < end).then_some(())
}

struct Reader<'t> {
    name: &'t Arc<str>,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
    duplicates: Vec<Duplicate>,
}

impl<'t> Reader<'t> {
    fn place(&self, span: Span) -> Place {
        Place { file: self.name.clone(), line: span.start.line(), column: span.start.col() + 1 }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.scan_problem(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn scan_problem(&self, error: &ScanError) -> Problem {
        let marker = error.marker();
        let place = Place { file: self.name.clone(), line: marker.line().max(1), column: marker.col() + 1 };
        Problem::new(format!("malformed YAML: {}", error.info())).at(&place)
    }

    fn documents(&mut self) -> Result<Vec<Node>, Problem> {
        let mut documents = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(documents),
                Event::StreamStart | Event::Nothing | Event::DocumentEnd => {}
                Event::DocumentStart(_) => self.anchors.clear(),
                event => documents.push(self.node(event, span, 0)?.0),
            }
        }
    }

    /// A node, and how many nodes it is made of; a long text counts as several.
    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<(Node, usize), Problem> {
        let place = self.place(span);
        if depth >= DEEPEST && matches!(event, Event::SequenceStart(..) | Event::MappingStart(..)) {
            return Err(Problem::new(format!("nesting is deeper than {DEEPEST} levels")).at(&place));
        }
        let (anchor, node, size) = match event {
            Event::Alias(anchor) => return self.alias(anchor, &place),
            Event::Scalar(text, style, anchor, tag) => {
                let size = 1 + text.len() / LONG;
                (anchor, scalar_node(text.into_owned(), style, tag.as_deref(), place)?, size)
            }
            Event::SequenceStart(anchor, tag) => {
                let tag = collection_tag(tag.as_deref(), "seq", &place)?;
                let (mut items, mut size) = (Vec::new(), 1);
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    let (item, count) = self.node(event, span, depth + 1)?;
                    size += count;
                    items.push(item);
                }
                (anchor, Node { place, tag, kind: NodeKind::Sequence(items) }, size)
            }
            Event::MappingStart(anchor, tag) => {
                let tag = collection_tag(tag.as_deref(), "map", &place)?;
                let (entries, size) = self.mapping(depth)?;
                (anchor, Node { place, tag, kind: NodeKind::Mapping(entries) }, size)
            }
            other => return Err(Problem::new(format!("malformed YAML: unexpected {other:?}")).at(&place)),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok((node, size))
    }

    fn alias(&mut self, anchor: usize, place: &Place) -> Result<(Node, usize), Problem> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(Problem::new("an alias stands inside of what it names").at(place));
        };
        self.aliased += size;
        if self.aliased > MOST_ALIASED {
            return Err(Problem::new(format!("aliases expand to more than {MOST_ALIASED} nodes")).at(place));
        }
        Ok((node.clone(), *size))
    }

    fn mapping(&mut self, depth: usize) -> Result<(Vec<(Node, Node)>, usize), Problem> {
        let mut own: Vec<(Node, Node)> = Vec::new();
        let mut merged: Vec<(Node, Node)> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut size = 1;
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let (key, key_size) = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let (value, value_size) = self.node(event, span, depth + 1)?;
            size += key_size + value_size;
            if is_merge {
                merge(&mut merged, value)?;
                continue;
            }
            let Some(name) = key_name(&key) else {
                let problem = key.problem(format!("a key is a scalar, not {}", key.kind_name()));
                return Err(problem.with_hint("a value that begins with '{{' must be quoted: \"{{ ... }}\""));
            };
            match known.get(&name) {
                // The last value counts, and stands where the first one stood, as in a Python dictionary.
                Some(at) => {
                    self.duplicates.push(duplicate(&key, &own[*at].0));
                    own[*at] = (key, value);
                }
                None => {
                    known.insert(name, own.len());
                    own.push((key, value));
                }
            }
        }
        if merged.is_empty() {
            return Ok((own, size));
        }
        // Own keys win and stand where the merged one stood, as in a Python dictionary.
        let mut entries = merged;
        let places: HashMap<String, usize> = entries.iter().enumerate().filter_map(|(at, (key, _))| Some((key_name(key)?, at))).collect();
        for (key, value) in own {
            match key_name(&key).and_then(|name| places.get(&name)) {
                Some(at) => entries[*at] = (key, value),
                None => entries.push((key, value)),
            }
        }
        Ok((entries, size))
    }
}

/// A key that stands twice, in the form in which Python shows it.
fn duplicate(key: &Node, first: &Node) -> Duplicate {
    let shown = match key.as_text() {
        Some(text) => format!("'{text}'"),
        None => key.scalar().map_or_else(String::new, ToString::to_string),
    };
    Duplicate { key: shown, place: key.place.clone(), first: first.place.line }
}

/// Keys are the same when their values are: `1` and `0x1`, but not `1` and `"1"`.
fn key_name(key: &Node) -> Option<String> {
    let value = key.scalar()?;
    Some(match value.as_str() {
        Some(text) => format!("'{text}"),
        None => value.to_string(),
    })
}

fn merge(merged: &mut Vec<(Node, Node)>, value: Node) -> Result<(), Problem> {
    let sources = match value.kind {
        NodeKind::Mapping(entries) => vec![entries],
        NodeKind::Sequence(items) => items
            .into_iter()
            .map(|item| match item.kind {
                NodeKind::Mapping(entries) => Ok(entries),
                _ => Err(item.problem(format!("'<<' merges mappings, not {}", item.kind_name()))),
            })
            .collect::<Result<_, _>>()?,
        _ if value.is_null() => Vec::new(),
        _ => return Err(value.problem(format!("'<<' merges a mapping or a list of mappings, not {}", value.kind_name()))),
    };
    let mut known: HashSet<String> = merged.iter().filter_map(|(key, _)| key_name(key)).collect();
    for (key, value) in sources.into_iter().flatten() {
        if key_name(&key).is_some_and(|name| known.insert(name)) {
            merged.push((key, value));
        }
    }
    Ok(())
}

const CORE: &str = "tag:yaml.org,2002:";

fn written(tag: &Tag) -> String {
    let whole = format!("{}{}", tag.handle, tag.suffix);
    whole.strip_prefix(CORE).map_or_else(|| whole.clone(), |suffix| format!("!!{suffix}"))
}

fn unknown_tag(tag: &Tag, place: &Place) -> Problem {
    Problem::new(format!("unknown tag '{}'", written(tag))).at(place).did_you_mean(&written(tag), ["!vault", "!unsafe"])
}

fn collection_tag(tag: Option<&Tag>, core: &str, place: &Place) -> Result<Option<String>, Problem> {
    let Some(tag) = tag else { return Ok(None) };
    match written(tag).as_str() {
        "!" => Ok(None),
        "!unsafe" => Ok(Some("!unsafe".to_owned())),
        _ if tag.handle == CORE && tag.suffix == core => Ok(None),
        _ => Err(unknown_tag(tag, place)),
    }
}

fn scalar_node(text: String, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Result<Node, Problem> {
    let mismatch = |what: &str| Problem::new(format!("'{text}' is no {what}")).at(&place);
    let mut kept = None;
    let value = match tag {
        None if style == ScalarStyle::Plain => scalar::resolve(&text).map_err(|why| Problem::new(why).at(&place))?,
        None => Value::from(text.as_str()),
        Some(tag) => match written(tag).as_str() {
            "!vault" | "!vault-encrypted" => {
                kept = Some("!vault".to_owned());
                Value::from(text.as_str())
            }
            "!unsafe" => {
                kept = Some("!unsafe".to_owned());
                Value::from(text.as_str())
            }
            "!" if style == ScalarStyle::Plain && !text.is_empty() => scalar::resolve(&text).map_err(|why| Problem::new(why).at(&place))?,
            "!" | "!!str" | "!!binary" => Value::from(text.as_str()),
            "!!null" => Value::from(()),
            "!!bool" => scalar::boolean(&text).ok_or_else(|| mismatch("boolean"))?,
            "!!int" => scalar::integer(&text).ok_or_else(|| mismatch("integer"))?,
            "!!float" => scalar::float(&text).map(Value::from).ok_or_else(|| mismatch("number"))?,
            "!!timestamp" => scalar::resolve(&text).map_err(|why| Problem::new(why).at(&place))?,
            _ => return Err(unknown_tag(tag, &place)),
        },
    };
    Ok(Node { place, tag: kept, kind: NodeKind::Scalar { text, value } })
}

fn json_node(value: &serde_json::Value, place: &Place) -> Node {
    let kind = match value {
        serde_json::Value::Array(items) => NodeKind::Sequence(items.iter().map(|item| json_node(item, place)).collect()),
        serde_json::Value::Object(map) => NodeKind::Mapping(
            map.iter().map(|(key, value)| (json_node(&serde_json::Value::from(key.as_str()), place), json_node(value, place))).collect(),
        ),
        scalar => {
            let value = from_json(scalar);
            NodeKind::Scalar { text: value.as_str().map_or_else(|| scalar.to_string(), str::to_owned), value }
        }
    };
    Node { place: place.clone(), tag: None, kind }
}

/// The last line above that opens more brackets than it closes.
fn unclosed(text: &str, below: usize) -> Option<usize> {
    let opens = |line: &str| line.matches(['{', '[']).count() > line.matches(['}', ']']).count();
    text.lines().take(below - 1).enumerate().filter(|(_, line)| opens(line)).last().map(|(number, _)| number + 1)
}

/// The scanner's words, made plain for what people get wrong most.
fn clearer(mut problem: Problem, text: &str) -> Problem {
    let Some(place) = problem.place.clone() else { return problem };
    let indentation = |number: usize| {
        let line = text.lines().nth(number.checked_sub(1)?)?;
        let tab = line.find(|character: char| !character.is_whitespace()).unwrap_or(line.len());
        line[..tab].find('\t').map(|at| at + 1)
    };
    for line in [place.line, place.line.saturating_sub(1)] {
        if let Some(column) = indentation(line) {
            problem.message = "a tab stands in the indentation; YAML wants spaces".to_owned();
            problem.place = Some(Place { line, column, ..place });
            return problem;
        }
    }
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    if problem.message.contains("did not find expected ',' or")
        && let Some(number) = unclosed(text, place.line)
    {
        let hint = format!("the bracket on line {number} is not closed");
        return problem.with_hint(hint);
    }
    if problem.hint.is_none() && problem.message.contains("unknown anchor") {
        return problem.with_hint("a value that begins with '*' must be quoted, unless it names an anchor '&'");
    }
    if problem.hint.is_none() && (line.contains(": {{") || line.trim_start().starts_with("- {{")) {
        return problem.with_hint("a value that begins with '{{' must be quoted: \"{{ ... }}\"");
    }
    if problem.hint.is_none() && line.matches(": ").count() > 1 {
        return problem.with_hint("a value that holds ': ' must be quoted");
    }
    problem
}
