//! Filters on text: case, space, wrapping, quoting, comments, URLs, base64.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, Builtin};
use super::python::{self, fail, items_of, text};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[
    ("lower", |_, call| Ok(text(&call.input()?).to_lowercase().into())),
    ("upper", |_, call| Ok(text(&call.input()?).to_uppercase().into())),
    ("capitalize", |_, call| Ok(capitalize(&text(&call.input()?)).into())),
    ("title", |_, call| Ok(title(&text(&call.input()?)).into())),
    ("string", |_, call| Ok(text(&call.input()?).into())),
    ("safe", |_, call| Ok(text(&call.input()?).into())),
    ("trim", trim),
    ("replace", replace),
    ("split", split),
    ("indent", indent),
    ("truncate", truncate),
    ("center", center),
    ("wordcount", wordcount),
    ("wordwrap", wordwrap),
    ("escape", escape),
    ("e", escape),
    ("forceescape", escape),
    ("striptags", striptags),
    ("urlencode", urlencode),
    ("urldecode", urldecode),
    ("urlsplit", urlsplit),
    ("quote", quote),
    ("comment", comment),
    ("b64encode", b64encode),
    ("b64decode", b64decode),
    ("format", format),
    ("pprint", |_, call| Ok(python::python_repr(&call.input()?).into())),
];

/// `str.capitalize`.
pub(crate) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect())
}

pub(crate) fn title(text: &str) -> String {
    let mut start = true;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        start = c.is_whitespace() || "-({[<".contains(c);
    }
    out
}

/// `str.strip` with an optional set of characters.
pub(crate) fn strip<'a>(text: &'a str, chars: Option<&str>, left: bool, right: bool) -> &'a str {
    let strips = |c: char| chars.map_or_else(|| c.is_whitespace(), |chars| chars.contains(c));
    let text = if left { text.trim_start_matches(strips) } else { text };
    if right { text.trim_end_matches(strips) } else { text }
}

fn trim(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, chars] = call.bind(["value", "chars"])?;
    let chars = chars.some().map(|chars| text(&chars));
    Ok(strip(&text(&value.required()?), chars.as_deref(), true, true).into())
}

fn replace(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, old, new, count] = call.bind(["s", "old", "new", "count"])?;
    let (value, old, new) = (text(&value.required()?), text(&old.required()?), text(&new.required()?));
    Ok(match count.some() {
        Some(_) if count.integer(-1)? >= 0 => value.replacen(&old, &new, usize::try_from(count.integer(0)?).unwrap_or(0)),
        _ => value.replace(&old, &new),
    }
    .into())
}

fn split(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, separator, limit] = call.bind(["value", "sep", "maxsplit"])?;
    let value = python::expect_str(&value.required()?, "split")?;
    split_text(&value, separator.some().map(|separator| text(&separator)).as_deref(), limit.integer(-1)?)
}

/// `str.split`.
pub(crate) fn split_text(value: &str, separator: Option<&str>, limit: i64) -> Result<Value, Error> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match separator {
        Some("") => return Err(fail("empty separator")),
        Some(separator) => value.splitn(limit.saturating_add(1), separator).collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest = value.trim_start();
            while !rest.is_empty() {
                let end = if parts.len() == limit { None } else { rest.find(char::is_whitespace) };
                let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
                parts.push(part);
                rest = after.trim_start();
            }
            parts
        }
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

/// `str.splitlines`.
pub(crate) fn split_lines(value: &str, keep_ends: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let end = rest.find(['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}']);
        let Some(end) = end else {
            lines.push(rest);
            break;
        };
        let width = if rest[end..].starts_with("\r\n") { 2 } else { rest[end..].chars().next().map_or(1, char::len_utf8) };
        lines.push(&rest[..if keep_ends { end + width } else { end }]);
        rest = &rest[end + width..];
    }
    lines
}

fn indent(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, width, first, blank] = call.bind(["s", "width", "first", "blank"])?;
    let value = text(&value.required()?);
    let padding = match width.value() {
        Some(width) if width.as_str().is_some() => text(&width),
        _ => " ".repeat(usize::try_from(width.integer(4)?).unwrap_or(0)),
    };
    let (first, blank) = (first.flag(false), blank.flag(false));
    let value = format!("{value}\n");
    let mut out = String::new();
    if blank {
        out = split_lines(&value, false).join(&format!("\n{padding}"));
    } else {
        for (index, line) in split_lines(&value, false).into_iter().enumerate() {
            if index > 0 {
                out.push('\n');
                if !line.is_empty() {
                    out.push_str(&padding);
                }
            }
            out.push_str(line);
        }
    }
    Ok(if first { padding + &out } else { out }.into())
}

fn truncate(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, length, killwords, end, leeway] = call.bind(["s", "length", "killwords", "end", "leeway"])?;
    let value: Vec<char> = text(&value.required()?).chars().collect();
    let end = end.text("...");
    let (length, leeway) = (length.integer(255)?, leeway.integer(5)?);
    let room = length - i64::try_from(end.chars().count()).unwrap_or(0);
    if room < 0 {
        return Err(fail(format!("expected length >= {}, got {length}", end.chars().count())));
    }
    if i64::try_from(value.len()).unwrap_or(i64::MAX) <= length + leeway {
        return Ok(value.into_iter().collect::<String>().into());
    }
    let cut: String = value.iter().take(usize::try_from(room).unwrap_or(0)).collect();
    let cut = if killwords.flag(false) { cut.as_str() } else { cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words) };
    Ok(format!("{cut}{end}").into())
}

fn center(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, width] = call.bind(["value", "width"])?;
    Ok(pad(&text(&value.required()?), usize::try_from(width.integer(80)?).unwrap_or(0), ' ', Side::Both).into())
}

/// Where padding goes.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Left,
    Right,
    Both,
}

/// `str.ljust`, `str.rjust`, `str.center`.
pub(crate) fn pad(value: &str, width: usize, fill: char, side: Side) -> String {
    let missing = width.saturating_sub(value.chars().count());
    let left = match side {
        Side::Left => missing,
        Side::Right => 0,
        Side::Both => missing / 2 + (missing & width & 1),
    };
    let fill = |count: usize| std::iter::repeat_n(fill, count).collect::<String>();
    format!("{}{value}{}", fill(left), fill(missing - left))
}

fn wordcount(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = text(&call.input()?);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    Ok(value.split(|c| !word(c)).filter(|part| !part.is_empty()).count().into())
}

fn wordwrap(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, width, long_words, wrap, _hyphens] = call.bind(["s", "width", "break_long_words", "wrapstring", "break_on_hyphens"])?;
    let (width, wrap, long_words) = (usize::try_from(width.integer(79)?).unwrap_or(79).max(1), wrap.text("\n"), long_words.flag(true));
    let value = text(&value.required()?);
    let mut lines: Vec<String> = Vec::new();
    for source in split_lines(&value, false) {
        let mut line = String::new();
        for word in source.split(' ') {
            let mut word: Vec<char> = word.chars().collect();
            let used = line.chars().count() + 1;
            if used > 1 && long_words && word.len() > width && used < width {
                // The beginning of a word that is too long for any line fills this one.
                line.push(' ');
                line.extend(word.drain(..width - used));
                lines.push(std::mem::take(&mut line));
            } else if used > 1 && used + word.len() > width {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            while long_words && word.len() > width {
                lines.push(word.drain(..width).collect());
            }
            line.extend(word);
        }
        lines.push(line);
    }
    Ok(lines.join(&wrap).into())
}

/// The five characters that HTML needs escaped.
fn escape(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = text(&call.input()?);
    Ok(value.replace('&', "&amp;").replace('>', "&gt;").replace('<', "&lt;").replace('\'', "&#39;").replace('"', "&#34;").into())
}

fn striptags(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = text(&call.input()?);
    let mut inside = false;
    let stripped: String = value
        .chars()
        .filter(|c| {
            let keep = !inside && *c != '<';
            inside = match c {
                '<' => true,
                '>' => false,
                _ => inside,
            };
            keep
        })
        .collect();
    Ok(stripped.split_whitespace().collect::<Vec<_>>().join(" ").into())
}

fn percent_encode(value: &str, safe: &str, plus: bool) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "_.-~".contains(c) || (byte.is_ascii() && safe.contains(c)) {
            out.push(c);
        } else if plus && byte == b' ' {
            out.push('+');
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn urlencode(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = call.input()?;
    if !python::is_mapping(&value) && !python::is_sequence(&value) {
        return Ok(percent_encode(&text(&value), "/", false).into());
    }
    let pairs = if python::is_mapping(&value) {
        python::pairs_of(&value)?
    } else {
        items_of(&value)?
            .iter()
            .map(|pair| Ok((python::get(pair, &Value::from(0))?, python::get(pair, &Value::from(1))?)))
            .collect::<Result<Vec<_>, Error>>()?
    };
    let encoded: Vec<String> = pairs
        .iter()
        .map(|(key, item)| format!("{}={}", percent_encode(&text(key), "", true), percent_encode(&text(item), "", true)))
        .collect();
    Ok(encoded.join("&").into())
}

fn urldecode(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    Ok(percent_decode(&text(&call.input()?).replace('+', " ")).into())
}

fn percent_decode(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let code = value.get(index + 1..index + 3).filter(|_| bytes[index] == b'%').and_then(|code| u8::from_str_radix(code, 16).ok());
        out.push(code.unwrap_or(bytes[index]));
        index += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Scheme, authority, path, query and fragment of a URL, as `urllib.parse.urlsplit` cuts it.
pub(crate) fn split_url(url: &str) -> (String, String, String, String, String) {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = rest.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).unwrap_or(("", rest));
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    (scheme.to_lowercase(), authority.to_owned(), path.to_owned(), query.to_owned(), fragment.to_owned())
}

fn urlsplit(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, query] = call.bind(["value", "query"])?;
    let (scheme, netloc, path, query_string, fragment) = split_url(&text(&value.required()?));
    let (credentials, host) = netloc.rsplit_once('@').map_or((None, netloc.as_str()), |(credentials, host)| (Some(credentials), host));
    let (user, password) = credentials
        .map_or((None, None), |text| text.split_once(':').map_or((Some(text), None), |(user, password)| (Some(user), Some(password))));
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, rest)) => (name, rest.strip_prefix(':')),
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let none = || Value::from(());
    let optional = |part: Option<&str>| part.map_or_else(none, Value::from);
    let port = port.filter(|port| !port.is_empty()).map(|port| port.parse::<u16>().map_err(|_| fail(format!("invalid port '{port}'"))));
    let parts = [
        ("fragment", Value::from(fragment)),
        ("hostname", if name.is_empty() { none() } else { Value::from(name.to_lowercase()) }),
        ("netloc", Value::from(netloc.as_str())),
        ("password", optional(password)),
        ("path", Value::from(path)),
        ("port", port.transpose()?.map_or_else(none, Value::from)),
        ("query", Value::from(query_string)),
        ("scheme", Value::from(scheme)),
        ("username", optional(user)),
    ];
    match query.some().map(|query| text(&query)).filter(|query| !query.is_empty()) {
        None => Ok(Value::from_pairs(parts)),
        Some(query) => parts
            .into_iter()
            .find(|(name, _)| *name == query)
            .map(|(_, part)| part)
            .ok_or_else(|| fail(format!("unknown URL component: {query}"))),
    }
}

/// `shlex.quote`.
pub(crate) fn shell_quote(value: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !value.is_empty() && value.chars().all(safe) { value.to_owned() } else { format!("'{}'", value.replace('\'', "'\"'\"'")) }
}

fn quote(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let value = call.input()?;
    Ok(shell_quote(&if value.is_none() { String::new() } else { text(&value) }).into())
}

fn comment(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, style, decoration, newline, beginning, prefix, prefix_count, postfix, postfix_count, end] =
        call.bind(["text", "style", "decoration", "newline", "beginning", "prefix", "prefix_count", "postfix", "postfix_count", "end"])?;
    let (style_beginning, style_decoration, style_end) = match style.text("plain").as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => return Err(fail(format!("Invalid style '{other}'. Available styles: plain, erlang, c, cblock, xml"))),
    };
    let (newline, decoration) = (newline.text("\n"), decoration.text(style_decoration));
    let bare = decoration.trim_end().to_owned();
    let (prefix, postfix) = (prefix.text(&bare), postfix.text(&bare));
    let count = |number: i64| usize::try_from(number).unwrap_or(0);
    let (prefix_count, postfix_count) = (count(prefix_count.integer(1)?), count(postfix_count.integer(1)?));
    let mut out = String::new();
    let beginning = beginning.text(style_beginning);
    if !beginning.is_empty() {
        out += &format!("{beginning}{newline}");
    }
    if !prefix.is_empty() {
        out += &if prefix == newline { newline.clone() } else { format!("{prefix}{newline}") }.repeat(prefix_count);
    }
    let body =
        format!("{decoration}{}", python::expect_str(&value.required()?, "comment")?.replace(&newline, &format!("{newline}{decoration}")));
    out += &body.replace(&format!("{decoration}{newline}"), &format!("{bare}{newline}"));
    out += &format!("{newline}{postfix}").repeat(postfix_count);
    let end = end.text(style_end);
    if !end.is_empty() {
        out += &format!("{newline}{end}");
    }
    Ok(out.into())
}

fn b64encode(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, encoding, urlsafe] = call.bind(["string", "encoding", "urlsafe"])?;
    let bytes = encode_text(&text(&value.required()?), &encoding.text("utf-8"))?;
    Ok(if urlsafe.flag(false) { general_purpose::URL_SAFE.encode(bytes) } else { general_purpose::STANDARD.encode(bytes) }.into())
}

fn encode_text(value: &str, encoding: &str) -> Result<Vec<u8>, Error> {
    match encoding.to_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" | "ascii" => Ok(value.as_bytes().to_vec()),
        "utf-16-le" | "utf-16le" => Ok(value.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        "utf-16-be" | "utf-16be" => Ok(value.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        other => Err(fail(format!("encoding '{other}' is not supported"))),
    }
}

fn b64decode(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, encoding, urlsafe] = call.bind(["string", "encoding", "urlsafe"])?;
    // Python leaves out characters that are not in the alphabet.
    let (alphabet, extra) = if urlsafe.flag(false) { (&alphabet::URL_SAFE, "-_=") } else { (&alphabet::STANDARD, "+/=") };
    let source: String = text(&value.required()?).chars().filter(|c| c.is_ascii_alphanumeric() || extra.contains(*c)).collect();
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical).with_decode_allow_trailing_bits(true);
    let bytes = GeneralPurpose::new(alphabet, config).decode(source).map_err(|error| fail(format!("not valid base64: {error}")))?;
    let decoded = match encoding.text("utf-8").to_lowercase().replace('_', "-").as_str() {
        "utf-16-le" | "utf-16le" => {
            let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units)
        }
        _ => String::from_utf8(bytes).map_err(|_| fail("decoded base64 is not UTF-8 text"))?,
    };
    Ok(decoded.into())
}

fn format(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let template = python::expect_str(&call.input()?, "format")?;
    if call.named.is_empty() {
        super::format::printf(&template, &call.rest()?).map(Value::from)
    } else {
        let mapping = Value::from_pairs(call.named.iter().cloned());
        super::format::python_format(&template, &mapping).map(Value::from)
    }
}
