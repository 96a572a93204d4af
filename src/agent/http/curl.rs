//! HTTPS by the host's own curl, which knows the host's certificate authorities. Options travel on its standard input, so that no
//! password shows in a list of processes.

use std::io::{self, Cursor, ErrorKind, Read};
use std::time::Duration;

use super::exchange::read_answer;
use super::{HttpError, Request, Response, patience};
use crate::system::{Program, System};

/// Sends the request; answers the head and a reader of the body.
pub(super) fn exchange(system: &dyn System, request: &Request) -> Result<(Response, Box<dyn Read>), HttpError> {
    if system.find_program("curl").is_none() {
        let why = "https needs curl on the host; install it or use the controller: delegate_to: localhost";
        return Err(HttpError::Request(why.to_owned()));
    }
    let wait = patience(request)?;
    let mut program = Program::new(["curl", "--disable", "--config", "-"]).stdin(options(request, wait)?).env("LC_ALL", "C.UTF-8");
    program.env.extend(request.environment.iter().cloned());
    // Curl keeps the time itself and says what it waited for; this is for a curl that does not.
    program.timeout = request.deadline.map(|_| wait + Duration::from_secs(1));
    let finished = system.run(&program).map_err(HttpError::Exchange)?;
    if !finished.is_success() {
        return Err(failure(finished.status, finished.stderr_text().trim()));
    }
    let mut stream = Cursor::new(finished.stdout);
    let head = read_answer(&mut stream, request)?;
    Ok((head, Box::new(stream)))
}

/// Curl's configuration, one option a line.
fn options(request: &Request, wait: Duration) -> Result<String, HttpError> {
    let seconds = format!("{:.3}", wait.as_secs_f64());
    let mut lines = vec!["silent".to_owned(), "show-error".to_owned(), "include".to_owned(), "http1.1".to_owned(), "globoff".to_owned()];
    lines.extend(["suppress-connect-headers".to_owned(), option("proto", "=https"), option("url", &request.url.to_string())]);
    lines.push(if request.method == "HEAD" { "head".to_owned() } else { option("request", &request.method) });
    lines.push(option("connect-timeout", &seconds));
    match request.deadline {
        Some(_) => lines.push(option("max-time", &seconds)),
        // As long as bytes come it may go on.
        None => lines.extend([option("speed-limit", "1"), option("speed-time", &wait.as_secs().max(1).to_string())]),
    }
    for (name, value) in &request.headers {
        if [name, value].iter().any(|text| text.contains(['\r', '\n', '\0'])) {
            return Err(HttpError::Request(format!("the header '{}' cannot be sent", name.escape_default())));
        }
        lines.push(option("header", &if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") }));
    }
    if let Some(body) = &request.body {
        // An empty value keeps curl from adding the header.
        for name in ["Content-Type", "Expect"].iter().filter(|name| !request.has_header(name)) {
            lines.push(option("header", &format!("{name}:")));
        }
        let body = std::str::from_utf8(body).ok().filter(|body| !body.contains('\0'));
        let body = body.ok_or_else(|| HttpError::Request("curl can only be given a body of text".to_owned()))?;
        lines.push(option("data-raw", body));
    }
    if request.tls.is_unchecked {
        lines.push("insecure".to_owned());
    }
    let files = [("cert", &request.tls.certificate), ("key", &request.tls.key), ("unix-socket", &request.unix_socket)];
    for (name, path) in files {
        lines.extend(path.as_ref().map(|path| option(name, &path.to_string_lossy())));
    }
    // A folder of authorities and a file of them are two options.
    let authorities = request.tls.authorities.as_ref();
    lines.extend(authorities.map(|path| option(if path.is_dir() { "capath" } else { "cacert" }, &path.to_string_lossy())));
    if !request.use_proxy {
        lines.push(option("noproxy", "*"));
    }
    Ok(lines.join("\n") + "\n")
}

fn option(name: &str, value: &str) -> String {
    format!("{name} = {}", quoted(value))
}

fn quoted(value: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in value.chars() {
        match letter {
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Curl's exit codes: 5 to 7 are about names and connections, 28 is time, 35 and up to 91 the encryption.
fn failure(status: i32, said: &str) -> HttpError {
    let said = said.strip_prefix(&format!("curl: ({status}) ")).unwrap_or(said).to_owned();
    match status {
        7 => HttpError::Connect(io::Error::new(ErrorKind::ConnectionRefused, said)),
        28 if said.to_ascii_lowercase().contains("connect") => HttpError::Connect(ErrorKind::TimedOut.into()),
        28 => HttpError::Exchange(ErrorKind::TimedOut.into()),
        5 | 6 | 35 | 51 | 53 | 58 | 59 | 60 | 66 | 77 | 80 | 82 | 83 | 90 | 91 => HttpError::Connect(io::Error::other(said)),
        _ => HttpError::Exchange(io::Error::other(if said.is_empty() { format!("curl ended with {status}") } else { said })),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pgfleet_protocol::Secret;

    use super::super::{HttpError, Request, Url};
    use crate::system::Finished;
    use crate::system::fake::{Answer, Fake};

    fn host(finished: Finished) -> Fake {
        let fake = Fake::default();
        fake.set("/usr/bin/curl", &serde_json::json!({"content": "", "mode": "0755"}));
        fake.answer(Answer { argv: ["curl", "--disable", "--config", "-"].map(str::to_owned).to_vec(), finished, ..Answer::default() });
        fake
    }

    fn request() -> Request {
        Request::get(Url::parse("https://example.com/key").expect("an address"), Duration::from_secs(5))
    }

    #[test]
    fn passwords_go_to_curl_by_its_input_only() {
        let fake = host(Finished { stdout: b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello".to_vec(), ..Finished::default() });
        let mut request = request();
        request.user = Some(("me".to_owned(), Secret::new("s\"cret")));
        request.login_at_once = true;
        request.method = "POST".to_owned();
        request.body = Some(b"{\"a\": \"b\\\\c\"}\n".to_vec());
        let mut body = Vec::new();
        let response = request.send(&fake, &mut body).expect("an answer");
        assert_eq!((response.status, body.as_slice()), (200, b"hello".as_slice()));
        let ran = fake.ran();
        let input = String::from_utf8(ran[0].stdin.clone().expect("options")).expect("text");
        assert!(input.contains("header = \"Authorization: Basic bWU6cyJjcmV0\"\n"), "{input}");
        assert!(input.contains("data-raw = \"{\\\"a\\\": \\\"b\\\\\\\\c\\\"}\\n\"\n"), "{input}");
        assert_eq!(ran[0].argv, ["curl", "--disable", "--config", "-"]);
    }

    #[test]
    fn what_curl_says_is_the_reason() {
        let finished = Finished {
            status: 60,
            stderr: b"curl: (60) SSL certificate problem: unable to get local issuer certificate\n".to_vec(),
            ..Finished::default()
        };
        let error = request().send(&host(finished), &mut Vec::new()).expect_err("no trust");
        assert_eq!(error.to_string(), "SSL certificate problem: unable to get local issuer certificate");
    }

    #[test]
    fn a_host_without_curl_is_told_what_to_do() {
        let error = request().send(&Fake::default(), &mut Vec::new()).expect_err("no curl");
        assert!(matches!(&error, HttpError::Request(why) if why.contains("install it")), "{error}");
    }
}
