//! YAML filters, written as PyYAML's dumper writes: block and flow style, quoting, line width.

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, Builtin, undefined};
use super::python::{self, as_float, fail, float_repr, items_of, list, pairs_of, text, type_name};
use super::regex::{Flags, is_match};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[
    ("to_yaml", |_, call| dump(call, 2, None)),
    ("to_nice_yaml", |_, call| dump(call, 4, Some(false))),
    ("from_yaml", from_yaml),
    ("from_yaml_all", from_yaml_all),
];

/// Text that YAML 1.1 reads as something else when it stands unquoted.
const RESOLVED: &str = concat!(
    r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
    r"|~|null|Null|NULL|<<|=",
    r"|[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    r"|[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}",
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)\Z",
);

fn dump(call: &Arguments, indent: i64, flow: Option<bool>) -> Result<Value, Error> {
    let [value, indent_given, sort_keys, width, flow_style, ..] =
        call.bind(["a", "indent", "sort_keys", "width", "default_flow_style", "allow_unicode", "explicit_start", "explicit_end"])?;
    let indent = usize::try_from(indent_given.integer(indent)?).ok().filter(|indent| (2..10).contains(indent)).unwrap_or(2);
    let flow = match flow_style.value() {
        Some(value) => (!value.is_none()).then(|| python::truth(&value)),
        None => flow,
    };
    let width = match width.some() {
        Some(width) if as_float(&width).is_some_and(f64::is_infinite) => usize::MAX,
        Some(width) => width.as_usize().filter(|width| *width > indent * 2).unwrap_or(80),
        None => 80,
    };
    let explicit = |name: &str| call.keyword(name).is_some_and(python::truth);
    let mut emitter = Emitter::new(indent, width, flow, sort_keys.flag(true));
    if explicit("explicit_start") {
        emitter.indicator("---", true, false, false);
    }
    let root = value.required()?;
    emitter.node(&root, Context::Root)?;
    if emitter.column > 0 {
        emitter.line_break();
    }
    if explicit("explicit_end") {
        emitter.out.push_str("...\n");
    }
    Ok(emitter.out.into())
}

/// A value as PyYAML writes it in blocks, two columns each.
pub(crate) fn written(value: &Value) -> Result<String, Error> {
    let mut emitter = Emitter::new(2, 80, Some(false), true);
    emitter.node(value, Context::Root)?;
    if emitter.column > 0 {
        emitter.line_break();
    }
    Ok(emitter.out)
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Root,
    Sequence,
    Mapping,
    Key,
}

/// A port of PyYAML's emitter for plain data.
struct Emitter {
    out: String,
    column: usize,
    whitespace: bool,
    indention: bool,
    indent: Option<usize>,
    flow_level: usize,
    best_indent: usize,
    width: usize,
    flow: Option<bool>,
    sort_keys: bool,
}

/// What the characters of a scalar allow.
struct Analysis {
    multi_line: bool,
    flow_plain: bool,
    block_plain: bool,
    single_quoted: bool,
}

impl Emitter {
    fn new(best_indent: usize, width: usize, flow: Option<bool>, sort_keys: bool) -> Self {
        Self {
            out: String::new(),
            column: 0,
            whitespace: true,
            indention: true,
            indent: None,
            flow_level: 0,
            best_indent,
            width,
            flow,
            sort_keys,
        }
    }

    fn node(&mut self, value: &Value, context: Context) -> Result<(), Error> {
        crate::limits::text(self.out.len())?;
        match value.kind() {
            ValueKind::Undefined => Err(undefined(value)),
            ValueKind::Invalid => python::check(value),
            ValueKind::Map => self.mapping(value),
            ValueKind::Seq | ValueKind::Iterable => self.sequence(value, context),
            _ => {
                let saved = self.indent;
                self.increase_indent(true, false);
                let written = self.scalar(value, context);
                self.indent = saved;
                written
            }
        }
    }

    fn increase_indent(&mut self, flow: bool, indentless: bool) {
        self.indent = match self.indent {
            None => Some(if flow { self.best_indent } else { 0 }),
            Some(indent) if !indentless => Some(indent + self.best_indent),
            same => same,
        };
    }

    /// True when the collection is written in one line.
    fn is_flow(&self, children: &[&Value]) -> bool {
        let all_plain = !children.iter().any(|child| matches!(child.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable));
        self.flow_level > 0 || children.is_empty() || self.flow.unwrap_or(all_plain)
    }

    fn sequence(&mut self, value: &Value, context: Context) -> Result<(), Error> {
        let items = items_of(value)?;
        let saved = self.indent;
        if self.is_flow(&items.iter().collect::<Vec<_>>()) {
            self.indicator("[", true, true, false);
            self.flow_level += 1;
            self.increase_indent(true, false);
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    self.indicator(",", false, false, false);
                }
                if self.column > self.width {
                    self.write_indent();
                }
                self.node(item, Context::Sequence)?;
            }
            self.flow_level -= 1;
            self.indicator("]", false, false, false);
        } else {
            let indentless = context == Context::Mapping && !self.indention;
            self.increase_indent(false, indentless);
            for item in &items {
                self.write_indent();
                self.indicator("-", true, false, true);
                self.node(item, Context::Sequence)?;
            }
        }
        self.indent = saved;
        Ok(())
    }

    fn mapping(&mut self, value: &Value) -> Result<(), Error> {
        let mut pairs = pairs_of(value)?;
        if self.sort_keys {
            // PyYAML leaves the order alone when keys cannot be compared.
            let keys = pairs.iter().map(|(key, _)| vec![key.clone()]).collect();
            let positions = (0..pairs.len()).map(Value::from).collect();
            if let Ok(order) = python::sort_by_keys(positions, keys, false) {
                pairs = order.iter().filter_map(Value::as_usize).map(|index| pairs[index].clone()).collect();
            }
        }
        let saved = self.indent;
        if self.is_flow(&pairs.iter().map(|(_, item)| item).collect::<Vec<_>>()) {
            self.indicator("{", true, true, false);
            self.flow_level += 1;
            self.increase_indent(true, false);
            for (index, (key, item)) in pairs.iter().enumerate() {
                if index > 0 {
                    self.indicator(",", false, false, false);
                }
                if self.column > self.width {
                    self.write_indent();
                }
                self.key(key, false)?;
                self.node(item, Context::Mapping)?;
            }
            self.flow_level -= 1;
            self.indicator("}", false, false, false);
        } else {
            self.increase_indent(false, false);
            for (key, item) in &pairs {
                self.write_indent();
                self.key(key, true)?;
                self.node(item, Context::Mapping)?;
            }
        }
        self.indent = saved;
        Ok(())
    }

    fn key(&mut self, key: &Value, block: bool) -> Result<(), Error> {
        let source = key.as_str().unwrap_or_default();
        let simple = !python::is_sequence(key)
            && source.chars().count() < 128
            && (key.as_str().is_none() || !source.is_empty())
            && !analyze(source).multi_line;
        if simple {
            self.node(key, Context::Key)?;
            self.indicator(":", false, false, false);
            return Ok(());
        }
        self.indicator("?", true, false, block);
        self.node(key, Context::Mapping)?;
        if block || self.column > self.width {
            self.write_indent();
        }
        self.indicator(":", true, false, block);
        Ok(())
    }

    fn scalar(&mut self, value: &Value, context: Context) -> Result<(), Error> {
        let split = context != Context::Key;
        match value.kind() {
            ValueKind::None => self.plain("null", split),
            ValueKind::Bool => self.plain(if value.is_true() { "true" } else { "false" }, split),
            ValueKind::Number => self.plain(&number(value), split),
            ValueKind::String | ValueKind::Bytes => {
                let source = text(value);
                let analysis = analyze(&source);
                let unresolved = !source.is_empty() && !is_match(&source, RESOLVED, Flags::default())?;
                let allowed = if self.flow_level > 0 { analysis.flow_plain } else { analysis.block_plain };
                if unresolved && allowed && (split || !analysis.multi_line) {
                    self.plain(&source, split);
                } else if analysis.single_quoted && (split || !analysis.multi_line) {
                    self.single_quoted(&source, split);
                } else {
                    self.double_quoted(&source, split);
                }
            }
            _ if value.downcast_object_ref::<super::time::Moment>().is_some() => self.plain(&value.to_string(), split),
            _ => return Err(fail(format!("cannot represent an object of type {} in YAML", type_name(value)))),
        }
        Ok(())
    }

    fn put(&mut self, data: &str) {
        self.column += data.chars().count();
        self.out.push_str(data);
    }

    fn indicator(&mut self, indicator: &str, need_whitespace: bool, whitespace: bool, indention: bool) {
        if need_whitespace && !self.whitespace {
            self.put(" ");
        }
        self.put(indicator);
        self.whitespace = whitespace;
        self.indention = self.indention && indention;
    }

    fn line_break(&mut self) {
        self.whitespace = true;
        self.indention = true;
        self.column = 0;
        self.out.push('\n');
    }

    fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.line_break();
        }
        if self.column < indent {
            self.whitespace = true;
            self.put(&" ".repeat(indent - self.column));
        }
    }

    fn plain(&mut self, source: &str, split: bool) {
        if !self.whitespace {
            self.put(" ");
        }
        self.whitespace = false;
        self.indention = false;
        for (index, (spaces, word)) in words(source).into_iter().enumerate() {
            if spaces.len() == 1 && index > 0 && self.column > self.width && split {
                self.write_indent();
                self.whitespace = false;
                self.indention = false;
            } else {
                self.put(&spaces);
            }
            self.put(&word);
        }
    }

    fn single_quoted(&mut self, source: &str, split: bool) {
        self.indicator("'", true, false, false);
        for (number, line) in source.split('\n').enumerate() {
            if number > 0 {
                // The first break of a run is doubled: reading folds single breaks into spaces.
                if !source.split('\n').nth(number - 1).is_some_and(|previous| previous.is_empty() && number > 1) {
                    self.line_break();
                }
                self.line_break();
                if !line.is_empty() || source.split('\n').count() == number + 1 {
                    self.write_indent();
                }
            }
            let pieces = words(line);
            let last = pieces.len();
            for (index, (spaces, word)) in pieces.into_iter().enumerate() {
                let at_end = index + 1 == last && word.is_empty();
                if spaces.len() == 1 && index > 0 && !at_end && self.column > self.width && split {
                    self.write_indent();
                } else {
                    self.put(&spaces);
                }
                self.put(&word.replace('\'', "''"));
            }
        }
        self.indicator("'", false, false, false);
    }

    fn double_quoted(&mut self, source: &str, split: bool) {
        self.indicator("\"", true, false, false);
        let chars: Vec<char> = source.chars().collect();
        let (mut start, mut end) = (0, 0);
        while end <= chars.len() {
            let current = chars.get(end).copied();
            let plain = |c: char| {
                (' '..='~').contains(&c) && c != '"' && c != '\\'
                    || ('\u{a0}'..='\u{d7ff}').contains(&c) && c != '\u{2028}' && c != '\u{2029}'
                    || ('\u{e000}'..='\u{fffd}').contains(&c) && c != '\u{feff}'
            };
            if current.is_none_or(|c| !plain(c)) {
                if start < end {
                    self.put(&chars[start..end].iter().collect::<String>());
                    start = end;
                }
                if let Some(c) = current {
                    self.put(&escape(c));
                    start = end + 1;
                }
            }
            let inside = end > 0 && end + 1 < chars.len();
            if inside && (current == Some(' ') || start >= end) && self.column + end.saturating_sub(start) > self.width && split {
                let piece: String = chars.get(start..end).unwrap_or_default().iter().collect();
                self.put(&(piece + "\\"));
                start = start.max(end);
                self.write_indent();
                self.whitespace = false;
                self.indention = false;
                if chars.get(start) == Some(&' ') {
                    self.put("\\");
                }
            }
            end += 1;
        }
        self.indicator("\"", false, false, false);
    }
}

/// Runs of spaces, each with the word after it; the first run may be empty.
fn words(source: &str) -> Vec<(String, String)> {
    let mut words = vec![(String::new(), String::new())];
    for c in source.chars() {
        if c == ' ' && words.last().is_some_and(|(_, word)| !word.is_empty()) {
            words.push((String::new(), String::new()));
        }
        if let Some((spaces, word)) = words.last_mut() {
            if c == ' ' { spaces.push(c) } else { word.push(c) }
        }
    }
    words
}

fn number(value: &Value) -> String {
    match as_float(value) {
        Some(float) if !value.is_integer() && float.is_nan() => ".nan".to_owned(),
        Some(float) if !value.is_integer() && float.is_infinite() => if float > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        Some(float) if !value.is_integer() => {
            let repr = float_repr(float);
            if repr.contains('.') { repr } else { repr.replacen('e', ".0e", 1) }
        }
        _ => value.to_string(),
    }
}

fn escape(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' | '\\' => c,
        '\u{85}' => 'N',
        '\u{a0}' => '_',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            let code = c as u32;
            return match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}

fn analyze(source: &str) -> Analysis {
    let chars: Vec<char> = source.chars().collect();
    let Some((first, last)) = chars.first().zip(chars.last()) else {
        return Analysis { multi_line: false, flow_plain: false, block_plain: true, single_quoted: true };
    };
    let is_break = |c: char| matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let is_blank = |c: Option<&char>| c.is_none_or(|c| is_break(*c) || matches!(c, '\0' | ' ' | '\t' | '\r'));
    let mut block = source.starts_with("---") || source.starts_with("...");
    let mut flow = block;
    let (mut breaks, mut special, mut break_space, mut space_break) = (false, false, false, false);
    for (index, c) in chars.iter().enumerate() {
        let followed = is_blank(chars.get(index + 1));
        let previous = index.checked_sub(1).and_then(|index| chars.get(index));
        if index == 0 {
            flow |= "#,[]{}&*!|>'\"%@`?:".contains(*c) || (*c == '-' && followed);
            block |= "#,[]{}&*!|>'\"%@`".contains(*c) || ("?:-".contains(*c) && followed);
        } else {
            flow |= ",?[]{}:".contains(*c);
            block |= *c == ':' && followed;
            let comment = *c == '#' && is_blank(previous);
            flow |= comment;
            block |= comment;
        }
        breaks |= is_break(*c);
        let printable = matches!(c, '\n' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}');
        special |= !printable || *c == '\u{feff}';
        break_space |= *c == ' ' && previous.is_some_and(|c| is_break(*c));
        space_break |= is_break(*c) && previous == Some(&' ');
    }
    let edge = |c: char| c == ' ' || is_break(c);
    let plain = !edge(*first) && !edge(*last) && !break_space && !space_break && !special && !breaks;
    Analysis {
        multi_line: breaks,
        flow_plain: plain && !flow,
        block_plain: plain && !block,
        single_quoted: !break_space && !space_break && !special,
    }
}

fn documents(source: &str) -> Result<Vec<Value>, Error> {
    let nodes = crate::SourceFile::from_text("<from_yaml>", source).documents().map_err(|problem| fail(problem.to_string()))?;
    Ok(nodes.iter().map(plain_value).collect())
}

/// The values of a node, nothing in it rendered.
fn plain_value(node: &crate::Node) -> Value {
    match &node.kind {
        crate::NodeKind::Scalar { value, .. } => value.clone(),
        crate::NodeKind::Sequence(items) => items.iter().map(plain_value).collect(),
        crate::NodeKind::Mapping(entries) => python::dictionary(entries.iter().map(|(key, item)| (plain_value(key), plain_value(item)))),
    }
}

fn from_yaml(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = call.input()?;
    let Some(source) = value.as_str() else { return Ok(value) };
    let mut documents = documents(source)?;
    if documents.len() > 1 {
        return Err(fail("from_yaml expects a single document; use from_yaml_all"));
    }
    Ok(documents.pop().unwrap_or_else(|| Value::from(())))
}

fn from_yaml_all(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = call.input()?;
    match value.as_str() {
        Some(source) => documents(source).map(list),
        None if value.is_none() => Ok(list(Vec::new())),
        None => Ok(value),
    }
}
