//! The client against a real server on the loopback.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use pgfleet_protocol::Secret;

use super::server::{Server, nobody};
use super::{HttpError, Redirects, Request, Response, Url};
use crate::system::Linux;

fn request(url: &str) -> Request {
    Request::get(Url::parse(url).expect("an address"), Duration::from_secs(10))
}

fn ask(request: &Request) -> Result<(Response, String), HttpError> {
    let mut body = Vec::new();
    let response = request.send(&Linux, &mut body)?;
    Ok((response, String::from_utf8(body).expect("text")))
}

#[test]
fn bodies_come_by_length_in_chunks_and_until_the_end() {
    let server = Server::new(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and what does not belong to it",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ]);
    for _ in 0..4 {
        let (response, body) = ask(&request(&server.url("/x"))).expect("an answer");
        assert_eq!((response.status, body.as_str()), (200, "hello"));
        assert!(server.next().starts_with(&format!("GET /x HTTP/1.1\r\nHost: {}\r\n", server.address)));
    }
}

#[test]
fn redirects_are_followed_as_wished() {
    let away = "HTTP/1.1 302 Found\r\nLocation: /there?x=1\r\nContent-Length: 0\r\n\r\n";
    let there = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere";
    let server = Server::new(&[away, there, away, away, there, away]);
    let (response, body) = ask(&request(&server.url("/"))).expect("an answer");
    assert_eq!((response.url.to_string(), body.as_str()), (server.url("/there?x=1"), "there"));
    let (mut post, mut none) = (request(&server.url("/")), request(&server.url("/")));
    (post.method, post.body) = ("POST".to_owned(), Some(b"data".to_vec()));
    none.redirects = Redirects::None;
    assert_eq!(ask(&post).expect("an answer").0.status, 302);
    post.redirects = Redirects::All;
    assert_eq!(ask(&post).expect("an answer").0.status, 200);
    assert_eq!(ask(&none).expect("an answer").0.status, 302);
    let asked: Vec<String> = (0..6).map(|_| server.next()).collect();
    assert!(asked[3].starts_with("POST / ") && asked[3].ends_with("\r\n\r\ndata"));
    assert!(asked[4].starts_with("GET /there?x=1 ") && asked[4].ends_with("\r\n\r\n"), "{}", asked[4]);
}

#[test]
fn redirects_in_a_circle_end() {
    let answers = vec!["HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"; 12];
    let error = ask(&request(&Server::new(&answers).url("/"))).expect_err("a circle");
    assert!(error.to_string().contains("11 redirects"), "{error}");
}

#[test]
fn passwords_are_sent_when_asked_for_and_only_there() {
    let other = Server::new(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
    let away = format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", other.url("/"));
    let server = Server::new(&["HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n", &away]);
    let mut request = request(&server.url("/"));
    request.user = Some(("me".to_owned(), Secret::new("secret")));
    assert_eq!(ask(&request).expect("an answer").0.status, 200);
    assert!(!server.next().contains("Authorization"));
    assert!(server.next().contains("\r\nAuthorization: Basic bWU6c2VjcmV0\r\n"));
    assert!(!other.next().contains("Authorization"));
}

#[test]
fn who_does_not_answer_is_not_waited_for() {
    let server = Server::new(&["HANG", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"]);
    let mut slow = request(&server.url("/"));
    slow.timeout = Duration::from_millis(200);
    let begin = Instant::now();
    let error = ask(&slow).expect_err("no answer");
    assert_eq!(
        (error.to_string().as_str(), error.ansible().as_str()),
        ("no answer in time", "Connection failure: The read operation timed out")
    );
    assert!(begin.elapsed() < Duration::from_secs(5));
    let error = ask(&request(&server.url("/"))).expect_err("half an answer");
    assert_eq!(error.ansible(), "Connection failure: IncompleteRead(5 bytes read, 4 more expected)");
    let error = ask(&request(&format!("http://{}/", nobody()))).expect_err("nobody");
    assert_eq!(
        (error.to_string().as_str(), error.ansible().as_str()),
        ("connection refused", "Request failed: <urlopen error [Errno 111] Connection refused>")
    );
}

#[test]
fn what_is_no_http_is_told() {
    let server = Server::new(&["SSH-2.0-OpenSSH_10\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", ""]);
    assert!(ask(&request(&server.url("/"))).expect_err("ssh").to_string().contains("no HTTP: SSH-2.0"));
    assert!(ask(&request(&server.url("/"))).expect_err("a length").to_string().contains("'-1'"));
    assert_eq!(ask(&request(&server.url("/"))).expect_err("nothing").to_string(), "the connection was closed before the answer");
    let mut smuggling = request(&server.url("/"));
    smuggling.headers.push(("X".to_owned(), "a\r\nY: b".to_owned()));
    assert!(matches!(ask(&smuggling), Err(HttpError::Request(_))));
}

#[test]
fn proxies_of_the_environment_are_used() {
    let proxy = Server::new(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]);
    let mut request = request("http://db.invalid:8008/patroni");
    request.use_proxy = true;
    request.environment = vec![("http_proxy".to_owned(), format!("http://u:p@{}", proxy.address))];
    assert_eq!(ask(&request).expect("an answer").1, "ok");
    let asked = proxy.next();
    assert!(asked.starts_with("GET http://db.invalid:8008/patroni HTTP/1.1\r\nHost: db.invalid:8008\r\n"), "{asked}");
    assert!(asked.contains("Proxy-Authorization: Basic dTpw\r\n"), "{asked}");
}

#[test]
fn unix_sockets_are_spoken_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).expect("a request");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("written");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    });
    let mut request = request("http://localhost/info");
    request.unix_socket = Some(path);
    assert_eq!(ask(&request).expect("an answer").1, "ok");
    assert!(server.join().expect("ends").starts_with("GET /info HTTP/1.1\r\nHost: localhost\r\n"));
}
