//! `get_url`: fetches a file to the host, when it is not there or not the right one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pgfleet_protocol::modules::network::GetUrl;
use pgfleet_protocol::{FileAttributes, Outcome, Status};

use crate::attributes::{Difference, with_path_info};
use crate::digest::Algorithm;
use crate::http::{Request, Response, Tls, Url};
use crate::module::{Context, Failure, Plan, Planned, WithContext};
use crate::moment::Moment;
use crate::paths;
use crate::replacement::{Staged, back_up};
use crate::system::Metadata;

pub(crate) fn plan(arguments: &GetUrl, context: &Context) -> Planned {
    let download = Download::new(arguments, context)?;
    let base = Outcome::unchanged().with("url", download.request.url.to_string()).with("dest", download.dest.to_string_lossy());
    let difference = Difference::find(context.system, &download.attributes, download.found.as_ref(), false)?;
    if download.found.is_some() && !download.force && download.is_right(&download.dest, context)? {
        let outcome = base.saying("file already exists");
        if difference.is_none() {
            return Ok(Plan::Done(with_path_info(outcome, context, &download.dest)));
        }
        return Ok(Plan::change(Outcome { status: Status::Changed, ..outcome }, move |context, outcome| {
            difference.apply(context.system, &download.dest)?;
            Ok(with_path_info(outcome, context, &download.dest))
        }));
    }
    if context.mode.is_check() {
        // Asks whether it is there, and fetches nothing.
        let head = Request { method: "HEAD".to_owned(), ..download.request.clone() };
        let (response, _) = download.ask(&head, &mut std::io::sink(), context)?;
        let changed = response.status != 304 || !difference.is_none();
        let outcome = told(Outcome { status: Outcome::changed_if(changed).status, ..base }, &response);
        return Ok(Plan::Done(outcome));
    }
    Ok(Plan::change(Outcome { status: Status::Changed, ..base }, move |context, outcome| download.apply(context, outcome)))
}

/// What the checksum of the file must be.
struct Checksum {
    algorithm: Algorithm,
    hex: String,
}

struct Download {
    request: Request,
    dest: PathBuf,
    /// Where the file is while it comes; beside `dest` unless said otherwise.
    beside: PathBuf,
    found: Option<Metadata>,
    checksum: Option<Checksum>,
    attributes: FileAttributes,
    force: bool,
    backup: bool,
}

impl Download {
    fn new(arguments: &GetUrl, context: &Context) -> Result<Self, Failure> {
        let mut request = request(arguments, context)?;
        let written = arguments.dest.as_str();
        let mut dest = paths::expand(context.system, written)?;
        let looking = format!("cannot look at {}", dest.display());
        let is_folder = context.system.stat_if_there(&dest).context(&looking)?.is_some_and(|found| found.is_directory());
        if is_folder || written.ends_with('/') {
            dest.push(name_of(&request.url));
        }
        if let Ok(real) = context.system.real_path(&dest) {
            dest = real;
        }
        if let Some(folder) = dest.parent().filter(|folder| !context.system.exists(folder)) {
            return Err(Failure::new(format!("Destination {} does not exist", folder.display())));
        }
        let found = context.system.stat_if_there(&dest).context(&looking)?;
        let checksum = arguments.checksum.as_deref().filter(|text| !text.is_empty());
        let checksum = checksum.map(|text| Checksum::find(text, &request, context)).transpose()?;
        if let Some(found) = found.as_ref().filter(|_| !arguments.force && checksum.is_none()) {
            request.headers.push(("If-Modified-Since".to_owned(), http_date(found.mtime.seconds)));
        }
        let beside = match &arguments.tmp_dest {
            Some(folder) => paths::expand(context.system, folder.as_str())?.join(dest.file_name().unwrap_or_default()),
            None => dest.clone(),
        };
        let (attributes, force, backup) = (arguments.attributes(), arguments.force, arguments.backup);
        Ok(Self { request, dest, beside, found, checksum, attributes, force, backup })
    }

    /// True when there is a checksum and the file has it.
    fn is_right(&self, path: &Path, context: &Context) -> Result<bool, Failure> {
        match &self.checksum {
            Some(checksum) => Ok(sum(path, checksum.algorithm, context)? == checksum.hex),
            None => Ok(false),
        }
    }

    /// Asks; statuses other than 200 and 304 are failures. Answers also the seconds that it took.
    fn ask(&self, request: &Request, sink: &mut dyn std::io::Write, context: &Context) -> Result<(Response, u64), Failure> {
        let start = context.system.now();
        let answer = request.send(context.system, sink);
        let elapsed = context.system.now().duration_since(start).unwrap_or_default().as_secs();
        let complete = |failure: Failure| {
            let dest = self.dest.to_string_lossy().into_owned();
            failure.with("url", request.url.to_string()).with("dest", dest).with("elapsed", elapsed)
        };
        match answer {
            Err(error) => Err(complete(Failure::new(error.ansible()).with("status_code", -1))),
            Ok(response) if matches!(response.status, 200 | 304) => Ok((response, elapsed)),
            Ok(response) => {
                let said = format!("HTTP Error {}: {}", response.status, response.reason);
                // Ansible says only "Request failed" here and hides the rest in the results.
                let failure = Failure::new(format!("Request failed: {said}"));
                Err(complete(failure.with("status_code", response.status).with("response", said)))
            }
        }
    }

    fn apply(&self, context: &Context, outcome: Outcome) -> Result<Outcome, Failure> {
        let mut answer = None;
        let staged = Staged::with(context, &self.beside, |file| {
            answer = Some(self.ask(&self.request, file, context)?);
            Ok(())
        })?;
        let (response, elapsed) = answer.ok_or_else(|| Failure::new("nothing was asked"))?;
        let mut outcome = told(outcome, &response).with("elapsed", elapsed);
        let difference = Difference::find(context.system, &self.attributes, self.found.as_ref(), false)?;
        if response.status == 304 {
            drop(staged);
            difference.apply(context.system, &self.dest)?;
            outcome.status = Outcome::changed_if(!difference.is_none()).status;
            return Ok(with_path_info(outcome, context, &self.dest));
        }
        if let Some(checksum) = &self.checksum {
            let came = sum(&staged.path, checksum.algorithm, context)?;
            if came != checksum.hex {
                let message = format!("The checksum for {} did not match {}; it was {came}.", self.dest.display(), checksum.hex);
                return Err(Failure::new(message).with("url", self.request.url.to_string()).with("dest", self.dest.to_string_lossy()));
            }
        }
        let source = sum(&staged.path, Algorithm::Sha1, context)?;
        let before = self.found.as_ref().map(|_| sum(&self.dest, Algorithm::Sha1, context)).transpose()?;
        outcome = outcome.with("md5sum", sum(&staged.path, Algorithm::Md5, context)?).with("checksum_src", source.as_str());
        if let Some(before) = &before {
            outcome = outcome.with("checksum_dest", before.as_str());
        }
        if before.as_ref() == Some(&source) {
            drop(staged);
            difference.apply(context.system, &self.dest)?;
            outcome.status = Outcome::changed_if(!difference.is_none()).status;
        } else {
            if self.backup && self.found.is_some() {
                outcome = outcome.with("backup_file", back_up(context, &self.dest)?.to_string_lossy());
            }
            self.put(staged, &difference, context)?;
        }
        Ok(with_path_info(outcome, context, &self.dest))
    }

    /// Puts the file in its place at once; from another file system by way of a copy beside it.
    fn put(&self, staged: Staged, difference: &Difference, context: &Context) -> Result<(), Failure> {
        let permissions = difference.permissions()?;
        if self.beside.parent() == self.dest.parent() {
            return staged.install(context, &self.dest, &permissions);
        }
        let mut source = context.system.open_file(&staged.path).context(format_args!("cannot read {}", staged.path.display()))?;
        let copy = Staged::with(context, &self.dest, |file| {
            std::io::copy(&mut source, file).map(drop).context(format_args!("cannot write {}", self.dest.display()))
        })?;
        copy.install(context, &self.dest, &permissions)
    }
}

fn request(arguments: &GetUrl, context: &Context) -> Result<Request, Failure> {
    let url = Url::parse(&arguments.url).map_err(Failure::new)?;
    let mut request = Request::get(url, Duration::from_secs(arguments.timeout.max(1)));
    request.headers = arguments.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if !request.has_header("user-agent") {
        request.headers.push(("User-Agent".to_owned(), arguments.http_agent.clone()));
    }
    if let Some(user) = &arguments.url_username {
        let password = arguments.url_password.clone().unwrap_or_else(|| pgfleet_protocol::Secret::new(""));
        request.user = Some((user.clone(), password));
    }
    request.login_at_once = arguments.force_basic_auth;
    request.use_proxy = arguments.use_proxy;
    request.environment = context.environment.to_vec();
    let path = |path: &Option<pgfleet_protocol::HostPath>| path.as_ref().map(|path| PathBuf::from(path.as_str()));
    request.tls = Tls {
        is_unchecked: !arguments.validate_certs,
        certificate: path(&arguments.client_cert),
        key: path(&arguments.client_key),
        ..Tls::default()
    };
    Ok(request)
}

impl Checksum {
    /// Reads `algorithm:hex`, or asks `algorithm:address` for a list of sums and names.
    fn find(text: &str, file: &Request, context: &Context) -> Result<Self, Failure> {
        let wrong = || Failure::new("The checksum parameter has to be in format <algorithm>:<checksum>");
        let (algorithm, sum) = text.split_once(':').ok_or_else(wrong)?;
        let sum = sum.trim();
        let algorithm =
            Algorithm::named(algorithm.trim()).ok_or_else(|| Failure::new(format!("the checksum algorithm '{algorithm}' is not known")))?;
        let hex = if sum.starts_with("http://") || sum.starts_with("https://") {
            let url = Url::parse(sum).map_err(Failure::new)?;
            let name = name_of(&file.url);
            let mut list = Vec::new();
            let request = Request { user: None, headers: Vec::new(), most: 4 << 20, url, ..file.clone() };
            let answer = request.send(context.system, &mut list);
            match answer {
                Ok(response) if response.status == 200 => {}
                Ok(response) => {
                    return Err(Failure::new(format!(
                        "cannot fetch the checksums of {}: HTTP Error {}: {}",
                        request.url, response.status, response.reason
                    )));
                }
                Err(error) => return Err(Failure::new(format!("cannot fetch the checksums of {}: {error}", request.url))),
            }
            let missing = || Failure::new(format!("Unable to find a checksum for file '{name}' in '{}'", request.url));
            listed(&String::from_utf8_lossy(&list), &name).ok_or_else(missing)?
        } else {
            sum.to_ascii_lowercase()
        };
        if hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Failure::new("The checksum format is invalid"));
        }
        Ok(Self { algorithm, hex })
    }
}

/// The sum of a name in a list as `sha256sum` writes it, or the only word of a list without names.
fn listed(list: &str, name: &str) -> Option<String> {
    let mut lines = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|words| !words.is_empty());
    let is_name = |word: &str| word.trim_start_matches('*').trim_start_matches("./") == name;
    let found = lines.clone().find(|words| words.len() > 1 && words[1..].iter().any(|word| is_name(word)));
    let only = lines.next().filter(|words| words.len() == 1 && lines.next().is_none());
    found.or(only).map(|words| words[0].to_ascii_lowercase())
}

fn sum(path: &Path, algorithm: Algorithm, context: &Context) -> Result<String, Failure> {
    let sum = context.system.open_file(path).and_then(|mut file| algorithm.of_reader(&mut file));
    sum.context(format_args!("cannot read {}", path.display()))
}

fn told(outcome: Outcome, response: &Response) -> Outcome {
    let message = match response.status {
        200 => format!("OK ({} bytes)", response.header("content-length").unwrap_or("unknown")),
        status => format!("HTTP Error {status}: {}", response.reason),
    };
    outcome.saying(message).with("status_code", response.status)
}

/// The name that an address gives its file.
fn name_of(url: &Url) -> String {
    let path = url.target.split('?').next().unwrap_or_default();
    let name = crate::http::decode(path.rsplit('/').next().unwrap_or_default());
    if matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']) { "index.html".to_owned() } else { name }
}

/// A moment as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let moment = Moment::at(seconds);
    let day = usize::try_from(seconds.div_euclid(86400).rem_euclid(7)).unwrap_or(0);
    let month = MONTHS[usize::from(moment.month.clamp(1, 12)) - 1];
    let Moment { year, day: date, hour, minute, second, .. } = moment;
    format!("{}, {date:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT", DAYS[day])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pgfleet_protocol::{Mode, Status};
    use serde_json::json;

    use super::{http_date, listed};
    use crate::http::server::{Server, call};

    const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const SHA1: &str = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";

    #[test]
    fn dates_are_written_as_http_has_them() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn sums_are_found_in_lists() {
        assert_eq!(listed("AB12  other\ncd34 *./file\n", "file").as_deref(), Some("cd34"));
        assert_eq!(listed("ab12\n", "file").as_deref(), Some("ab12"));
        assert_eq!(listed("ab12 other\n", "file"), None);
    }

    #[test]
    fn a_file_is_fetched_once_and_then_only_when_it_is_newer() {
        let unmodified = "HTTP/1.1 304 Not Modified\r\n\r\n";
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let server = Server::new(&[head, HELLO, unmodified, unmodified, HELLO]);
        let folder = tempfile::tempdir().expect("a folder");
        let arguments = json!({"url": server.url("/keys/a%20key.asc?v=1"), "dest": folder.path(), "mode": "0640"});
        let path = folder.path().join("a key.asc");
        assert_eq!(call("get_url", &arguments, Mode::Check).status, Status::Changed);
        assert!(!path.exists());
        let outcome = call("get_url", &arguments, Mode::Apply);
        assert_eq!((outcome.status, outcome.message.as_str()), (Status::Changed, "OK (5 bytes)"));
        assert_eq!(
            (&outcome.data["checksum_src"], &outcome.data["mode"], &outcome.data["size"]),
            (&json!(SHA1), &json!("0640"), &json!(5))
        );
        assert_eq!(fs::read(&path).expect("fetched"), b"hello");
        for mode in [Mode::Check, Mode::Apply, Mode::Apply] {
            assert_eq!(call("get_url", &arguments, mode).status, Status::Unchanged);
        }
        let asked: Vec<String> = (0..5).map(|_| server.next()).collect();
        assert!(asked[0].starts_with("HEAD /keys/a%20key.asc?v=1 ") && asked[1].starts_with("GET ") && asked[2].starts_with("HEAD "));
        assert!(
            !asked[1].contains("If-Modified-Since") && asked[2].contains("If-Modified-Since: ") && asked[3].contains("If-Modified-Since: ")
        );
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
    }

    #[test]
    fn a_checksum_decides() {
        let sums = format!("HTTP/1.0 200 OK\r\n\r\n{SHA1}  file\n");
        let server = Server::new(&[HELLO, HELLO, &sums, &sums]);
        let folder = tempfile::tempdir().expect("a folder");
        let dest = folder.path().join("file");
        let arguments = |checksum: String| json!({"url": server.url("/file"), "dest": dest, "checksum": checksum});
        let outcome = call("get_url", &arguments("sha1:00ff".to_owned()), Mode::Apply);
        assert_eq!(outcome.message, format!("The checksum for {} did not match 00ff; it was {SHA1}.", dest.display()));
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
        assert_eq!(call("get_url", &arguments(format!("sha1:{SHA1}")), Mode::Apply).status, Status::Changed);
        assert_eq!(call("get_url", &arguments(format!("sha1:{}", SHA1.to_uppercase())), Mode::Apply).message, "file already exists");
        for mode in [Mode::Check, Mode::Apply] {
            assert_eq!(call("get_url", &arguments(format!("sha1:{}", server.url("/sums"))), mode).status, Status::Unchanged);
        }
    }

    #[test]
    fn what_is_not_there_changes_nothing() {
        let server =
            Server::new(&["HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"]);
        let folder = tempfile::tempdir().expect("a folder");
        let dest = folder.path().join("file");
        fs::write(&dest, "old").expect("written");
        let arguments = json!({"url": server.url("/file"), "dest": dest, "force": true});
        let outcome = call("get_url", &arguments, Mode::Apply);
        assert_eq!((outcome.message.as_str(), &outcome.data["status_code"]), ("Request failed: HTTP Error 404: Not Found", &json!(404)));
        let outcome = call("get_url", &arguments, Mode::Apply);
        assert_eq!(outcome.message, "Connection failure: IncompleteRead(4 bytes read, 46 more expected)");
        assert_eq!((fs::read(&dest).expect("kept"), fs::read_dir(folder.path()).expect("readable").count()), (b"old".to_vec(), 1));
    }
}
