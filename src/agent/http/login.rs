//! Who this host is for an etcd that asks: a name and a password of its own file, and the token that etcd gives for them.

use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use pgfleet_protocol::Secret;
use serde_json::{Value, json};

use super::{HttpError, Request, Response};
use crate::system::System;

/// The login of etcd's administrator on a host of the cluster: `NAME:PASSWORD`, readable by root alone.
const FILE: &str = "/etc/pgfleet/etcd-admin";
/// The longest answer to a login.
const MOST: u64 = 1 << 16;

/// An answer: its head, and a reader of its body.
type Answer = (Response, Box<dyn Read>);

/// The token of this process, for the login that it was given for. Every voter knows it, until it starts anew or nobody has used it for minutes.
static TOKEN: Mutex<Option<(Secret, Secret)>> = Mutex::new(None);

/// A name and a password.
#[derive(Clone)]
pub(super) struct Login {
    /// `NAME:PASSWORD`.
    pub(super) words: Secret,
    /// The file that it stands in.
    pub(super) file: &'static str,
}

/// The administrator's; `None` where etcd asks nobody.
pub(super) fn of(system: &dyn System) -> Option<Login> {
    let text = system.read_file(Path::new(FILE)).ok()?;
    let words = String::from_utf8_lossy(&text).trim().to_owned();
    words.contains(':').then(|| Login { words: Secret::new(words), file: FILE })
}

/// Sends a request to etcd, with the token that is known. Where etcd does not take that, it is asked for a new one, once.
pub(super) fn exchange(
    request: &Request,
    login: Option<&Login>,
    send: impl Fn(&Request) -> Result<Answer, HttpError>,
) -> Result<Answer, HttpError> {
    let Some(login) = login.filter(|_| request.url.target.starts_with("/v3/") && !request.has_header("authorization")) else {
        return send(request);
    };
    let token = known(&login.words);
    let answer = send(&with(request, token.as_ref()))?;
    // What etcd answers to nobody, to a token that it does not know, and to somebody else.
    if !matches!(answer.0.status, 400 | 401 | 403) {
        return Ok(answer);
    }
    let fresh = authenticate(request, login, &send)?;
    *TOKEN.lock().unwrap_or_else(PoisonError::into_inner) = fresh.clone().map(|token| (login.words.clone(), token));
    if fresh == token { Ok(answer) } else { send(&with(request, fresh.as_ref())) }
}

fn known(login: &Secret) -> Option<Secret> {
    let token = TOKEN.lock().unwrap_or_else(PoisonError::into_inner);
    token.as_ref().filter(|(of, _)| of == login).map(|(_, token)| token.clone())
}

fn with(request: &Request, token: Option<&Secret>) -> Request {
    let mut request = request.clone();
    request.headers.extend(token.map(|token| ("Authorization".to_owned(), token.reveal().to_owned())));
    request
}

/// A token for the login; `None` where etcd asks nobody who they are.
fn authenticate(
    request: &Request,
    login: &Login,
    send: impl Fn(&Request) -> Result<Answer, HttpError>,
) -> Result<Option<Secret>, HttpError> {
    let (name, password) = login.words.reveal().split_once(':').unwrap_or_default();
    let mut question = request.clone();
    question.url.target = "/v3/auth/authenticate".to_owned();
    question.method = "POST".to_owned();
    question.body = Some(json!({"name": name, "password": password}).to_string().into_bytes());
    let (head, body) = send(&question)?;
    let mut text = Vec::new();
    body.take(MOST).read_to_end(&mut text).map_err(HttpError::Exchange)?;
    let told: Value = serde_json::from_slice(&text).unwrap_or_default();
    // etcd 3.4 and 3.5 have different names for it.
    match (head.status, told["token"].as_str(), told["error"].as_str().or(told["message"].as_str())) {
        (200, Some(token), _) => Ok(Some(Secret::new(token))),
        (_, _, Some(why)) if why.contains("authentication is not enabled") => Ok(None),
        (status, _, error) => Err(HttpError::Answer(format!(
            "etcd does not take {name}, the login of {}: {}",
            login.file,
            error.map_or_else(|| format!("status {status}"), str::to_owned)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pgfleet_protocol::Secret;

    use super::super::server::Server;
    use super::super::{Request, Url, exchange as plain};
    use super::{FILE, Login, exchange};
    use crate::system::Linux;

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    fn serve(answers: &[(&str, &str)]) -> Server {
        let answers: Vec<String> = answers.iter().map(|(status, body)| answer(status, body)).collect();
        Server::new(&answers.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn ask(server: &Server, path: &str, login: Option<&str>) -> Result<u16, String> {
        let request = Request::get(Url::parse(&server.url(path)).expect("an address"), Duration::from_secs(10));
        let login = login.map(|words| Login { words: Secret::new(words), file: FILE });
        let answer = exchange(&request, login.as_ref(), |request| plain::exchange(&Linux, request, None));
        answer.map(|(head, _)| head.status).map_err(|error| error.to_string())
    }

    // One test: all of them have the process's token.
    #[test]
    fn etcd_is_told_who_asks_where_it_wants_to_know() {
        let nobody = ("400 Bad Request", "{\"error\":\"etcdserver: user name is empty\"}");
        let unknown = ("401 Unauthorized", "{}");
        let done = ("200 OK", "{}");
        let token = |token: &'static str| ("200 OK", token);
        let server = serve(&[nobody, token("{\"token\":\"one\"}"), done, done, unknown, token("{\"token\":\"two\"}"), done, done]);
        let login = Some("pgfleet-1:one:word");
        for _ in 0..3 {
            assert_eq!(ask(&server, "/v3/kv/range", login), Ok(200));
        }
        assert_eq!(ask(&server, "/health", login), Ok(200), "anybody may ask this");
        let asked: Vec<String> = (0..8).map(|_| server.next()).collect();
        let tokens: Vec<Option<&str>> =
            asked.iter().map(|text| text.lines().find_map(|line| line.strip_prefix("Authorization: "))).collect();
        assert_eq!(tokens, [None, None, Some("one"), Some("one"), Some("one"), None, Some("two"), None]);
        assert!(
            asked[1].starts_with("POST /v3/auth/authenticate ") && asked[1].ends_with("{\"name\":\"pgfleet-1\",\"password\":\"one:word\"}")
        );

        let server = serve(&[nobody, ("400 Bad Request", "{\"error\":\"wrong login\"}")]);
        let told = ask(&server, "/v3/kv/range", Some("pgfleet-2:old")).expect_err("it is refused");
        assert!(told.contains("pgfleet-2") && told.contains("/etc/pgfleet/etcd-admin") && told.contains("wrong login"), "{told}");

        let off = "{\"code\":9,\"message\":\"etcdserver: authentication is not enabled\"}";
        let server = serve(&[nobody, ("400 Bad Request", off), nobody]);
        assert_eq!(ask(&server, "/v3/kv/range", Some("pgfleet-3:word")), Ok(400), "it was of something else");
        assert_eq!(ask(&server, "/v3/kv/range", None), Ok(400));
    }
}
