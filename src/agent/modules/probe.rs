//! `probe`: HTTP answers, commands, sockets and units of a node, all asked side by side. What does not answer is an answer too.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use pgfleet_protocol::modules::cluster::Probe;
use pgfleet_protocol::{Map, Outcome, Secret};
use serde_json::{Value, json};

use crate::http::{Request, Url};
use crate::module::{Context, Failure, Plan, Planned, reason};
use crate::modules::command;
use crate::system::{Program, System};

/// The longest body that is told.
const MOST: u64 = 4 << 20;
/// Stack of a thread that asks one thing.
const STACK: usize = 256 * 1024;

/// One thing to ask.
enum Question {
    Http(Result<Box<Request>, String>),
    Command(Program),
    Units(Vec<String>, Program),
    Socket(PathBuf, String, Duration),
}

pub(crate) fn plan(arguments: &Probe, context: &Context) -> Planned {
    let wait = Duration::from_secs(arguments.timeout.max(1));
    let mut questions = Vec::new();
    for (name, value) in entries("http", arguments.http.as_ref())? {
        questions.push((name.clone(), Question::Http(request(name, value, wait)?.map(Box::new))));
    }
    for (name, value) in entries("commands", arguments.commands.as_ref())? {
        let mut program = Program::new(argv(name, value)?).timeout(wait);
        program.env.extend(context.environment.iter().cloned());
        questions.push((name.clone(), Question::Command(program)));
    }
    for (name, value) in entries("sockets", arguments.sockets.as_ref())? {
        let part = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let (Some(path), Some(send)) = (part("path"), part("send")) else {
            return Err(Failure::new(format!("'{name}' in 'sockets' of module 'probe' must be a mapping with 'path' and 'send'")));
        };
        questions.push((name.clone(), Question::Socket(PathBuf::from(path), send, wait)));
    }
    if !arguments.units.is_empty() {
        let program = show(&arguments.units, wait);
        questions.push((String::new(), Question::Units(arguments.units.clone(), program)));
    }
    let system = context.system;
    let answers: Vec<Value> = thread::scope(|scope| {
        let asked: Vec<_> = questions
            .iter()
            .map(|(_, question)| thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || question.ask(system)))
            .collect();
        let answer = |asked: std::io::Result<thread::ScopedJoinHandle<Value>>, question: &Question| match asked {
            // Without room for a thread it is asked in turn.
            Err(_) => question.ask(system),
            Ok(asked) => asked.join().unwrap_or_else(|_| question.without("the agent has a defect here")),
        };
        asked.into_iter().zip(&questions).map(|(asked, (_, question))| answer(asked, question)).collect()
    });
    let (mut http, mut commands, mut sockets, mut units) = (Map::new(), Map::new(), Map::new(), json!({}));
    for ((name, question), answer) in questions.into_iter().zip(answers) {
        match question {
            Question::Http(_) => drop(http.insert(name, answer)),
            Question::Command(_) => drop(commands.insert(name, answer)),
            Question::Socket(..) => drop(sockets.insert(name, answer)),
            Question::Units(..) => units = answer,
        }
    }
    let time = context.system.now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    let outcome = Outcome::unchanged().with("http", http).with("commands", commands).with("units", units).with("time", time);
    Ok(Plan::Done(if sockets.is_empty() { outcome } else { outcome.with("sockets", sockets) }))
}

/// One question for all units; those that are not there are told too.
const SHOW: [&str; 5] =
    ["systemctl", "show", "--no-pager", "--property=Id,Names,LoadState,ActiveState,SubState,UnitFileState,ActiveEnterTimestamp", "--"];

fn show(units: &[String], wait: Duration) -> Program {
    let argv = SHOW.iter().copied().chain(units.iter().map(String::as_str));
    Program::new(argv).timeout(wait).env("LC_ALL", "C.UTF-8")
}

/// The state of units, as the results tell it.
pub(crate) fn look_at_units(names: &[String], wait: Duration, system: &dyn System) -> Value {
    if names.is_empty() { json!({}) } else { Question::Units(names.to_vec(), show(names, wait)).ask(system) }
}

fn entries<'a>(argument: &str, value: Option<&'a Value>) -> Result<Vec<(&'a String, &'a Value)>, Failure> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(map)) => Ok(map.iter().collect()),
        Some(_) => Err(Failure::new(format!("argument '{argument}' of module 'probe' must map names to questions"))),
    }
}

fn argv(name: &str, value: &Value) -> Result<Vec<String>, Failure> {
    let words = match value {
        Value::String(line) => command::split(line)?,
        Value::Array(words) => words.iter().map(text).collect(),
        _ => Vec::new(),
    };
    if words.is_empty() { Err(Failure::new(format!("the command '{name}' of module 'probe' must be a list of words"))) } else { Ok(words) }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The request that an address, or an address with more, means. An address that cannot be asked is told like one that does not answer.
fn request(name: &str, value: &Value, wait: Duration) -> Result<Result<Request, String>, Failure> {
    let wrong = |what: &str| Failure::new(format!("'{name}' in 'http' of module 'probe': {what}"));
    let url = value.as_str().or_else(|| value["url"].as_str()).ok_or_else(|| wrong("must be an address, or a mapping with 'url'"))?;
    let url = match Url::parse(url) {
        Ok(url) => url,
        Err(why) => return Ok(Err(why)),
    };
    let mut request = Request::get(url, wait);
    request.most = MOST;
    let Value::Object(given) = value else { return Ok(Ok(request)) };
    for (key, value) in given {
        match (key.as_str(), value) {
            ("url" | "user" | "password", _) | (_, Value::Null) => {}
            ("method", Value::String(method)) => request.method = method.to_ascii_uppercase(),
            ("body", Value::String(body)) => request.body = Some(body.clone().into_bytes()),
            ("body", other) => {
                request.body = Some(other.to_string().into_bytes());
                request.headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
            }
            ("headers", Value::Object(headers)) => request.headers.extend(headers.iter().map(|(name, value)| (name.clone(), text(value)))),
            ("timeout", value) => {
                let seconds = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds > 0.0);
                request.timeout =
                    Duration::from_secs_f64(seconds.ok_or_else(|| wrong("'timeout' must be a number of seconds"))?.min(3600.0));
            }
            (other, _) => return Err(wrong(&format!("'{other}' is not known or has a wrong value"))),
        }
    }
    if let Some(user) = given.get("user").and_then(Value::as_str) {
        request.user = Some((user.to_owned(), Secret::new(given.get("password").map(text).unwrap_or_default())));
    }
    request.login_at_once = request.user.is_some();
    Ok(Ok(request))
}

impl Question {
    fn ask(&self, system: &dyn System) -> Value {
        match self {
            Self::Http(Err(why)) => self.without(why),
            Self::Http(Ok(request)) => {
                let request = Request { deadline: Some(Instant::now() + request.timeout), ..Request::clone(request) };
                let mut body = Vec::new();
                match request.send(system, &mut body) {
                    Ok(answer) => json!({"status": answer.status, "body": String::from_utf8_lossy(&body), "error": ""}),
                    Err(error) => self.without(&error.to_string()),
                }
            }
            Self::Command(program) => match system.run(program) {
                Ok(finished) => json!({"rc": finished.status, "stdout": finished.stdout_text(), "stderr": finished.stderr_text()}),
                Err(error) => self.without(&format!("{}: {}", program.argv[0], reason(&error))),
            },
            Self::Units(names, program) => {
                let told = system.run(program).map(|finished| finished.stdout_text()).unwrap_or_default();
                units(names, &told)
            }
            Self::Socket(path, send, wait) => match said_on(system, path, send, *wait) {
                Ok(answer) => json!({"answer": answer, "error": ""}),
                Err(error) => self.without(&reason(&error)),
            },
        }
    }

    /// The answer of what does not answer.
    fn without(&self, why: &str) -> Value {
        match self {
            Self::Http(_) => json!({"status": 0, "body": "", "error": why}),
            Self::Command(_) => json!({"rc": -1, "stdout": "", "stderr": why}),
            Self::Units(names, _) => units(names, ""),
            Self::Socket(..) => json!({"answer": "", "error": why}),
        }
    }
}

/// What a daemon answers on its socket, until it closes it.
fn said_on(system: &dyn System, path: &Path, send: &str, wait: Duration) -> std::io::Result<String> {
    let mut socket = system.connect_local(path, wait)?;
    socket.write_all(send.as_bytes())?;
    let mut answer = Vec::new();
    socket.take(MOST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The units of one answer of systemd, one paragraph each, under the names that were asked for.
fn units(names: &[String], told: &str) -> Value {
    let paragraphs: Vec<Map> = told
        .split("\n\n")
        .map(|paragraph| {
            paragraph.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), json!(value))).collect()
        })
        .collect();
    let word = |paragraph: &Map, name: &str| paragraph.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let answer = |name: &String| {
        let full = if name.contains('.') { name.clone() } else { format!("{name}.service") };
        let is_named = |paragraph: &&Map| word(paragraph, "Id") == full || word(paragraph, "Names").split(' ').any(|other| other == full);
        let is_there = |paragraph: &&Map| !matches!(word(paragraph, "LoadState").as_str(), "not-found" | "");
        let state = match paragraphs.iter().find(is_named).filter(is_there) {
            None => json!({"active": "", "sub": "", "enabled": "", "since": ""}),
            Some(unit) => json!({
                "active": word(unit, "ActiveState"),
                "sub": word(unit, "SubState"),
                "enabled": word(unit, "UnitFileState"),
                "since": word(unit, "ActiveEnterTimestamp"),
            }),
        };
        (name.clone(), state)
    };
    Value::Object(names.iter().map(answer).collect())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use pgfleet_protocol::{Mode, Status};
    use serde_json::json;

    use crate::http::server::{Server, call, nobody};

    #[test]
    fn all_is_asked_at_the_same_time_and_nothing_makes_it_fail() {
        let healthy = Server::new(&["HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]);
        let hanging = [Server::new(&["HANG"]), Server::new(&["HANG"]), Server::new(&["HANG"])];
        let begin = Instant::now();
        let questions = json!({
            "http": {
                "patroni": {"url": healthy.url("/patroni"), "method": "post", "body": {"a": 1}, "user": "u", "password": "p"},
                "one": hanging[0].url("/"), "two": hanging[1].url("/"), "three": {"url": hanging[2].url("/"), "timeout": 0.2},
                "nobody": format!("http://{}/", nobody()), "wrong": "etcd:2379",
            },
            "commands": {"list": ["sh", "-c", "echo out; echo err >&2; exit 3"], "slow": "sleep 60", "missing": ["/no/such/program"]},
            "timeout": 1,
        });
        let outcome = call("probe", &questions, Mode::Check);
        assert!(begin.elapsed() < Duration::from_millis(1900), "{:?}", begin.elapsed());
        assert_eq!(outcome.status, Status::Unchanged);
        assert_eq!(outcome.data["http"]["patroni"], json!({"status": 503, "body": "{}", "error": ""}));
        for name in ["one", "two", "three"] {
            assert_eq!(outcome.data["http"][name], json!({"status": 0, "body": "", "error": "no answer in time"}));
        }
        assert_eq!(outcome.data["http"]["nobody"]["error"], "connection refused");
        assert!(outcome.data["http"]["wrong"]["error"].as_str().is_some_and(|why| why.contains("http://")));
        assert_eq!(outcome.data["commands"]["list"], json!({"rc": 3, "stdout": "out\n", "stderr": "err\n"}));
        assert_eq!(outcome.data["commands"]["slow"]["stderr"], "sleep: it ran out of time");
        assert_eq!(outcome.data["commands"]["missing"]["rc"], -1);
        let asked = healthy.next();
        assert!(
            asked.starts_with("POST /patroni ") && asked.contains("Authorization: Basic dTpw\r\n") && asked.ends_with("{\"a\":1}"),
            "{asked}"
        );
    }
}
