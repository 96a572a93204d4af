//! `uri`: makes an HTTP request from the host, with Ansible's results.

use std::path::PathBuf;
use std::time::Duration;

use pgfleet_protocol::modules::network::{BodyFormat, Uri};
use pgfleet_protocol::{Map, Outcome};
use serde_json::{Value, json};

use crate::attributes::{Difference, with_path_info};
use crate::http::{HttpError, Redirects, Request, Response, Tls, Url, encode_form};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::paths;
use crate::replacement::Staged;

/// The longest body that is kept in memory.
const MOST: u64 = 256 << 20;

pub(crate) fn plan(arguments: &Uri, context: &Context) -> Planned {
    let request = request(arguments, context)?;
    if context.mode.is_check() {
        // Whoever needs the answer says check_mode: false.
        return Ok(Plan::Done(Outcome::skipped("remote module (uri) does not support check mode")));
    }
    for (path, unless) in [(&arguments.creates, true), (&arguments.removes, false)] {
        if let Some(path) = path
            && context.system.exists(&paths::expand(context.system, path)?) == unless
        {
            let why = format!("skipped, since '{path}' {}", if unless { "exists" } else { "does not exist" });
            return Ok(Plan::Done(Outcome::unchanged().saying(why.as_str()).with("stdout", why)));
        }
    }
    // A request may change the server, never this host; only its answer may, see `Kept`.
    let start = context.system.now();
    let mut body = Vec::new();
    let answer = request.send(context.system, &mut body);
    let elapsed = context.system.now().duration_since(start).unwrap_or_default().as_secs();
    let told = told(arguments, answer, &body).with("elapsed", elapsed);
    if told.is_failed() {
        return Ok(Plan::Done(told));
    }
    match &arguments.dest {
        Some(dest) => Kept { dest: paths::expand(context.system, dest.as_str())?, body }.plan(arguments, told, context),
        None => Ok(Plan::Done(told)),
    }
}

fn request(arguments: &Uri, context: &Context) -> Result<Request, Failure> {
    let url = Url::parse(&arguments.url).map_err(Failure::new)?;
    let mut request = Request::get(url, Duration::from_secs(arguments.timeout.max(1)));
    request.method = arguments.method.trim().to_ascii_uppercase();
    request.headers = arguments.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if !request.has_header("user-agent") {
        request.headers.push(("User-Agent".to_owned(), arguments.http_agent.clone()));
    }
    if let Some(body) = &arguments.body {
        let (text, kind) = written(body, arguments.body_format)?;
        request.body = Some(text.into_bytes());
        if let Some(kind) = kind.filter(|_| !request.has_header("content-type")) {
            request.headers.push(("Content-Type".to_owned(), kind.to_owned()));
        }
    }
    if let Some(src) = &arguments.src {
        if !arguments.remote_src {
            return Err(Failure::new(
                "src of uri is supported with remote_src: true; for a file of the controller write body: \"{{ lookup('file', ...) }}\"",
            ));
        }
        let path = paths::expand(context.system, src.as_str())?;
        request.body = Some(context.system.read_file(&path).context(format_args!("Unable to open source file {}", path.display()))?);
    }
    if arguments.force {
        request.headers.push(("Cache-Control".to_owned(), "no-cache".to_owned()));
    }
    if let Some(user) = &arguments.url_username {
        let password = arguments.url_password.clone().unwrap_or_else(|| pgfleet_protocol::Secret::new(""));
        request.user = Some((user.clone(), password));
    }
    request.login_at_once = arguments.force_basic_auth;
    request.redirects = match arguments.follow_redirects.as_str() {
        "all" | "yes" | "true" | "True" => Redirects::All,
        "none" | "no" | "false" | "False" => Redirects::None,
        "safe" => Redirects::Safe,
        "urllib2" => Redirects::Urllib,
        other => return Err(Failure::new(format!("follow_redirects must be all, none, safe or urllib2, not '{other}'"))),
    };
    let path = |path: &Option<pgfleet_protocol::HostPath>| path.as_ref().map(|path| PathBuf::from(path.as_str()));
    request.unix_socket = path(&arguments.unix_socket);
    request.use_proxy = arguments.use_proxy;
    request.environment = context.environment.to_vec();
    request.most = MOST;
    request.tls = Tls {
        is_unchecked: !arguments.validate_certs,
        authorities: path(&arguments.ca_path),
        certificate: path(&arguments.client_cert),
        key: path(&arguments.client_key),
    };
    Ok(request)
}

/// The body as it is sent, and its content type.
fn written(body: &Value, format: BodyFormat) -> Result<(String, Option<&'static str>), Failure> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(match format {
        BodyFormat::Raw => (plain(body), None),
        // A text is taken for JSON that is written already.
        BodyFormat::Json => (plain(body), Some("application/json")),
        BodyFormat::FormUrlencoded => {
            let mut pairs = Vec::new();
            match body {
                Value::Object(map) => {
                    for (name, value) in map {
                        match value {
                            Value::Array(values) => pairs.extend(values.iter().map(|value| (name.clone(), plain(value)))),
                            value => pairs.push((name.clone(), plain(value))),
                        }
                    }
                }
                Value::Array(entries) => {
                    for entry in entries {
                        let pair = entry.as_array().filter(|pair| pair.len() == 2);
                        let pair = pair
                            .ok_or_else(|| Failure::new("failed to parse body as form_urlencoded: pairs of name and value are needed"))?;
                        pairs.push((plain(&pair[0]), plain(&pair[1])));
                    }
                }
                other => return Ok((plain(other), Some("application/x-www-form-urlencoded"))),
            }
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", encode_form(name), encode_form(value))).collect();
            (pairs.join("&"), Some("application/x-www-form-urlencoded"))
        }
    })
}

/// Ansible's results and its sentence on them.
fn told(arguments: &Uri, answer: Result<Response, HttpError>, body: &[u8]) -> Outcome {
    let asked = Url::parse(&arguments.url).map_or_else(|_| arguments.url.clone(), |url| url.to_string());
    let mut data = Map::new();
    let mut add = |name: &str, value: Value| drop(data.insert(name.to_owned(), value));
    let (status, message) = match &answer {
        Ok(response) => {
            for (name, value) in merged(response) {
                add(&name, value.into());
            }
            if let Some(location) = response.header("location") {
                add("location", response.url.join(location).map_or_else(|_| location.to_owned(), |url| url.to_string()).into());
            }
            let cookies = cookies(response);
            add("cookies_string", cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ").into());
            add("cookies", Value::Object(cookies.into_iter().map(|(name, value)| (name, value.into())).collect()));
            add("url", response.url.to_string().into());
            add("redirected", (response.url.to_string() != asked).into());
            let message = if (200..300).contains(&response.status) {
                format!("OK ({} bytes)", response.header("content-length").unwrap_or("unknown"))
            } else {
                format!("HTTP Error {}: {}", response.status, response.reason)
            };
            (i64::from(response.status), message)
        }
        Err(error) => {
            add("url", asked.into());
            add("redirected", false.into());
            (-1, error.ansible())
        }
    };
    add("status", status.into());
    let text = String::from_utf8_lossy(body);
    if answer.as_ref().is_ok_and(Response::is_json)
        && let Ok(value) = serde_json::from_str::<Value>(&text)
    {
        add("json", value);
    }
    if arguments.return_content {
        add("content", text.into_owned().into());
    }
    let outcome = if arguments.status_code.contains(&status) {
        Outcome::unchanged().saying(message)
    } else {
        let right: Vec<_> = arguments.status_code.iter().map(i64::to_string).collect();
        Outcome::failed(format!("Status code was {status} and not [{}]: {message}", right.join(", ")))
    };
    Outcome { data, ..outcome }
}

/// Headers under names that variables may have; those that come more than once are joined.
fn merged(response: &Response) -> Vec<(String, String)> {
    let mut merged: Vec<(String, String)> = Vec::new();
    for (name, value) in &response.headers {
        let name = name.to_ascii_lowercase().replace('-', "_");
        match merged.iter_mut().find(|(other, _)| *other == name) {
            Some((_, values)) => values.push_str(&format!(", {value}")),
            None => merged.push((name, value.clone())),
        }
    }
    merged
}

fn cookies(response: &Response) -> Vec<(String, String)> {
    let set = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let pair =
        |value: &str| value.split(';').next()?.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    set.filter_map(|(_, value)| pair(value)).collect()
}

/// An answer that is kept in a file.
struct Kept {
    dest: PathBuf,
    body: Vec<u8>,
}

impl Kept {
    fn plan(self, arguments: &Uri, told: Outcome, context: &Context) -> Planned {
        let Self { mut dest, body } = self;
        let looking = format!("cannot look at {}", dest.display());
        if context.system.stat_if_there(&dest).context(&looking)?.is_some_and(|found| found.is_directory()) {
            let path = told.data["url"].as_str().and_then(|url| Url::parse(url).ok()).map(|url| url.target).unwrap_or_default();
            let name = path.split('?').next().and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty() && *name != "..");
            dest.push(name.unwrap_or("index.html"));
        }
        let found = context.system.lstat_if_there(&dest).context(&looking)?;
        let difference = Difference::find(context.system, &arguments.attributes(), found.as_ref(), false)?;
        let before = context.system.read_if_there(&dest).context(format_args!("cannot read {}", dest.display()))?;
        let same = before.as_ref() == Some(&body);
        let told = told.with("path", json!(dest.to_string_lossy()));
        if same && difference.is_none() {
            return Ok(Plan::Done(with_path_info(told, context, &dest)));
        }
        let told = Outcome { status: pgfleet_protocol::Status::Changed, ..told };
        Ok(Plan::change(told, move |context, told| {
            if same {
                difference.apply(context.system, &dest)?;
            } else {
                let permissions = difference.permissions()?;
                Staged::new(context, &dest, &body)?.install(context, &dest, &permissions)?;
            }
            Ok(with_path_info(told, context, &dest))
        }))
    }
}

#[cfg(test)]
mod tests {
    use pgfleet_protocol::{Mode, Status};
    use serde_json::{Value, json};

    use crate::http::server::{Server, call, nobody};

    #[test]
    fn an_answer_is_told_as_ansible_tells_it() {
        let server = Server::new(&[
            "HTTP/1.1 302 Found\r\nLocation: http://ADDRESS/b\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nX-Some-Header: a\r\nX-Some-Header: b\r\nSet-Cookie: s=1; Path=/\r\nContent-Length: 8\r\n\r\n{\"a\": 1}",
        ]);
        let outcome = call("uri", &json!({"url": server.url("/a"), "return_content": true}), Mode::Apply);
        assert_eq!((outcome.status, outcome.message.as_str()), (Status::Unchanged, "OK (8 bytes)"));
        for (name, value) in [
            ("status", json!(200)),
            ("json", json!({"a": 1})),
            ("content", json!("{\"a\": 1}")),
            ("redirected", json!(true)),
            ("url", json!(server.url("/b"))),
            ("x_some_header", json!("a, b")),
            ("content_length", json!("8")),
            ("cookies", json!({"s": "1"})),
            ("cookies_string", json!("s=1")),
            ("elapsed", json!(0)),
        ] {
            assert_eq!(outcome.data.get(name), Some(&value), "{name}");
        }
    }

    #[test]
    fn a_wrong_status_and_nobody_are_failures_with_results() {
        let server = Server::new(&[
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ]);
        let outcome = call("uri", &json!({"url": server.url("/")}), Mode::Apply);
        assert_eq!(
            (outcome.status, outcome.message.as_str()),
            (Status::Failed, "Status code was 503 and not [200]: HTTP Error 503: Service Unavailable")
        );
        assert_eq!((&outcome.data["status"], &outcome.data["json"], outcome.data.get("content")), (&json!(503), &json!({}), None));
        let outcome = call("uri", &json!({"url": format!("http://{}/", nobody()), "status_code": [200, 201]}), Mode::Apply);
        assert_eq!(
            outcome.message,
            "Status code was -1 and not [200, 201]: Request failed: <urlopen error [Errno 111] Connection refused>"
        );
        assert_eq!(outcome.data["status"], -1);
    }

    #[test]
    fn bodies_are_written_as_said() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let server = Server::new(&[ok, ok, ok]);
        for (format, body) in
            [("json", json!({"a": [1, "x"]})), ("form-urlencoded", json!({"a": "x y", "b": [1, "ä"]})), ("raw", json!("as it is"))]
        {
            call(
                "uri",
                &json!({"url": server.url("/"), "method": "PATCH", "body_format": format, "body": body, "user": "u", "password": "p", "force_basic_auth": true}),
                Mode::Apply,
            );
        }
        let asked = [server.next(), server.next(), server.next()];
        for (asked, kind, body) in [
            (&asked[0], "Content-Type: application/json\r\n", "{\"a\":[1,\"x\"]}"),
            (&asked[1], "Content-Type: application/x-www-form-urlencoded\r\n", "a=x+y&b=1&b=%C3%A4"),
            (&asked[2], "Authorization: Basic dTpw\r\n", "as it is"),
        ] {
            assert!(asked.starts_with("PATCH / ") && asked.contains(kind) && asked.ends_with(&format!("\r\n\r\n{body}")), "{asked}");
        }
    }

    #[test]
    fn an_answer_is_kept_once() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let (folder, server) = (tempfile::tempdir().expect("a folder"), Server::new(&[ok, ok]));
        let arguments: Value = json!({"url": server.url("/files/key.asc?x"), "dest": folder.path(), "mode": "0600"});
        let outcome = call("uri", &arguments, Mode::Apply);
        assert_eq!((outcome.status, &outcome.data["mode"]), (Status::Changed, &json!("0600")));
        assert_eq!(std::fs::read(folder.path().join("key.asc")).expect("kept"), b"hello");
        assert_eq!(call("uri", &arguments, Mode::Apply).status, Status::Unchanged);
        assert_eq!(call("uri", &arguments, Mode::Check).status, Status::Skipped);
    }
}
