//! known_hosts files read with OpenSSH's semantics: hashed names, wildcards, negation, ports, revoked keys, authorities.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use sha1::Sha1;

use crate::pattern;

/// The name under which a host's keys are kept: what ssh would look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownName {
    host: String,
    port: u16,
    alias: bool,
}

/// A line of a known_hosts file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line in it, counted from one.
    pub line: usize,
}

/// What the files say about a key that a host presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host is listed with this very key.
    Known,
    /// The host is not listed.
    Unknown,
    /// The host is listed with another key.
    Changed(Place),
    /// The key, or the authority that signed it, is listed as revoked.
    Revoked(Place),
}

/// What the files say about a host certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateVerdict {
    /// Signed by an authority listed for the host, and valid for it now.
    Trusted,
    /// No authority listed for this host signed it; the key inside has to stand for itself.
    NoAuthority,
    /// A listed authority signed it, but it must not be accepted.
    Invalid(&'static str),
    /// The key or its authority is revoked.
    Revoked(Place),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    None,
    Authority,
    Revoked,
}

#[derive(Debug, Clone)]
struct Entry {
    place: Place,
    marker: Marker,
    key: KeyData,
}

/// The lines of several known_hosts files.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    files: Vec<Arc<Lines>>,
}

/// The lines of one file. Their keys are read when their host is asked for: a fleet's file has a line for each of its hosts.
#[derive(Debug, Default)]
struct Lines {
    file: PathBuf,
    text: Vec<String>,
    /// Numbers of the lines that name a host as it is, by that name.
    plain: HashMap<String, Vec<usize>>,
    /// Numbers of the lines with patterns or hashed names.
    others: Vec<usize>,
}

/// Files as they were when they were last read.
#[derive(Debug, Default)]
pub(crate) struct KnownFiles(Mutex<HashMap<PathBuf, (Stamp, Arc<Lines>)>>);

/// What changes with a file: its time, size and number on the disk.
type Stamp = (SystemTime, u64, u64);

impl KnownName {
    /// The name for a host reached at this address and port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_lowercase(), port, alias: false }
    }

    /// The name that `HostKeyAlias` gives: the port plays no part.
    #[must_use]
    pub fn alias(alias: &str) -> Self {
        Self { host: alias.to_lowercase(), port: 22, alias: true }
    }

    /// The text to look up and to pin: `host`, or `[host]:port` for a port other than 22.
    #[must_use]
    pub fn text(&self) -> String {
        if self.alias || self.port == 22 { self.host.clone() } else { format!("[{}]:{}", self.host, self.port) }
    }

    fn without_port(&self) -> Option<Self> {
        (!self.alias && self.port != 22).then(|| Self { port: 22, ..self.clone() })
    }
}

impl KnownFiles {
    /// Reads the files in order, those that have changed meanwhile. A file that does not exist counts as empty.
    ///
    /// # Errors
    /// The file that cannot be read, and why.
    pub(crate) fn load<P: AsRef<Path>>(&self, files: &[P]) -> Result<KnownHosts, (PathBuf, io::Error)> {
        let mut known = KnownHosts::default();
        for file in files.iter().map(AsRef::as_ref) {
            match self.lines(file) {
                Ok(lines) => known.files.push(lines),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err((file.to_owned(), error)),
            }
        }
        Ok(known)
    }

    fn lines(&self, file: &Path) -> io::Result<Arc<Lines>> {
        let data = fs::metadata(file)?;
        let stamp = (data.modified()?, data.len(), data.ino());
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, lines)) = read.get(file).filter(|(known, _)| *known == stamp) {
            return Ok(lines.clone());
        }
        let lines = Arc::new(Lines::of(file, &String::from_utf8_lossy(&fs::read(file)?)));
        read.insert(file.to_owned(), (stamp, lines.clone()));
        Ok(lines)
    }
}

impl Lines {
    fn of(file: &Path, text: &str) -> Self {
        let mut lines = Self { file: file.to_owned(), ..Self::default() };
        for (number, line) in text.lines().map(str::trim).enumerate() {
            lines.text.push(line.to_owned());
            let Some((_, hosts, _)) = split_line(line) else { continue };
            if hosts.contains(['*', '?', '!', '|']) {
                lines.others.push(number);
            } else {
                hosts.to_lowercase().split(',').for_each(|host| lines.plain.entry(host.to_owned()).or_default().push(number));
            }
        }
        lines
    }

    /// The readable lines that list a host, in their order.
    fn matching(&self, name: &str) -> impl Iterator<Item = Entry> {
        let others = self.others.iter().filter(|number| split_line(&self.text[**number]).is_some_and(|line| hosts_match(line.1, name)));
        let mut numbers: Vec<usize> = self.plain.get(name).into_iter().flatten().chain(others).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().filter_map(|number| {
            let place = Place { file: self.file.clone(), line: number + 1 };
            parse_line(&self.text[number], place)
        })
    }
}

impl KnownHosts {
    /// Reads the files in order. A file that does not exist counts as empty.
    ///
    /// # Errors
    /// The file that cannot be read, and why.
    pub fn load<P: AsRef<Path>>(files: &[P]) -> Result<Self, (PathBuf, io::Error)> {
        KnownFiles::default().load(files)
    }

    /// Adds the lines of a text. As with ssh, lines that cannot be read are skipped.
    pub fn read(&mut self, file: &Path, text: &str) {
        self.files.push(Arc::new(Lines::of(file, text)));
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.files.extend(other.files);
    }

    /// What the files say about a plain host key.
    #[must_use]
    pub fn check(&self, name: &KnownName, key: &KeyData) -> Verdict {
        let verdict = self.check_exactly(name, key);
        if verdict == Verdict::Unknown
            && let Some(plain) = name.without_port()
        {
            // ssh accepts a key listed without the port for a host on another port, and never calls it changed.
            return match self.check_exactly(&plain, key) {
                Verdict::Changed(_) => Verdict::Unknown,
                verdict => verdict,
            };
        }
        verdict
    }

    fn check_exactly(&self, name: &KnownName, key: &KeyData) -> Verdict {
        if let Some(place) = self.revoked(name, key) {
            return Verdict::Revoked(place);
        }
        let mut listed = self.matching(name).filter(|entry| entry.marker == Marker::None).peekable();
        let Some(first) = listed.peek().map(|entry| entry.place.clone()) else {
            return Verdict::Unknown;
        };
        if listed.any(|entry| entry.key == *key) { Verdict::Known } else { Verdict::Changed(first) }
    }

    /// What the files say about a host certificate, now.
    #[must_use]
    pub fn check_certificate(&self, name: &KnownName, certificate: &Certificate) -> CertificateVerdict {
        let verdict = self.check_certificate_exactly(name, certificate);
        match (verdict, name.without_port()) {
            (CertificateVerdict::NoAuthority, Some(plain)) => self.check_certificate_exactly(&plain, certificate),
            (verdict, _) => verdict,
        }
    }

    fn check_certificate_exactly(&self, name: &KnownName, certificate: &Certificate) -> CertificateVerdict {
        for key in [certificate.public_key(), certificate.signature_key()] {
            if let Some(place) = self.revoked(name, key) {
                return CertificateVerdict::Revoked(place);
            }
        }
        let listed = self.matching(name).any(|entry| entry.marker == Marker::Authority && entry.key == *certificate.signature_key());
        if !listed {
            return CertificateVerdict::NoAuthority;
        }
        match certificate_problem(certificate, &name.host) {
            None => CertificateVerdict::Trusted,
            Some(problem) => CertificateVerdict::Invalid(problem),
        }
    }

    fn revoked(&self, name: &KnownName, key: &KeyData) -> Option<Place> {
        self.matching(name).find(|entry| entry.marker == Marker::Revoked && entry.key == *key).map(|entry| entry.place)
    }

    /// The algorithms of the plain keys listed for the host, so that the negotiation can ask for those first.
    #[must_use]
    pub fn algorithms(&self, name: &KnownName) -> Vec<Algorithm> {
        let mut found = Vec::new();
        for name in [Some(name.clone()), name.without_port()].into_iter().flatten() {
            for entry in self.matching(&name).filter(|entry| entry.marker == Marker::None) {
                let algorithm = entry.key.algorithm();
                if !found.contains(&algorithm) {
                    found.push(algorithm);
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        found
    }

    /// Whether an authority is listed for the host, so that a certificate is worth asking for.
    #[must_use]
    pub fn has_authority(&self, name: &KnownName) -> bool {
        [Some(name.clone()), name.without_port()]
            .into_iter()
            .flatten()
            .any(|name| self.matching(&name).any(|entry| entry.marker == Marker::Authority))
    }

    fn matching(&self, name: &KnownName) -> impl Iterator<Item = Entry> {
        let text = name.text();
        self.files.iter().flat_map(move |lines| lines.matching(&text).collect::<Vec<_>>())
    }
}

/// Appends one line to a known_hosts file, in one write under a lock, and creates the file when needed.
///
/// # Errors
/// Whatever the file system says.
pub fn pin(file: &Path, name: &KnownName, key: &PublicKey) -> io::Result<()> {
    let line = line(name, key)?;
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut open = fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    open.lock()?;
    let present = fs::read(file)?;
    if String::from_utf8_lossy(&present).lines().any(|other| other.trim() == line) {
        return Ok(());
    }
    // A last line without its end (an editor, a crash) must not swallow the new one.
    let start = if present.is_empty() || present.ends_with(b"\n") { "" } else { "\n" };
    open.write_all(format!("{start}{line}\n").as_bytes())?;
    open.sync_all()
}

/// The line of a known_hosts file that lists a key.
pub(crate) fn line(name: &KnownName, key: &PublicKey) -> io::Result<String> {
    let text = PublicKey::new(key.key_data().clone(), "").to_openssh().map_err(io::Error::other)?;
    Ok(format!("{} {}", name.text(), text.trim()))
}

/// The fingerprint of a key as ssh shows it: `SHA256:...`.
#[must_use]
pub fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn parse_line(line: &str, place: Place) -> Option<Entry> {
    let (marker, _, rest) = split_line(line)?;
    let words: Vec<&str> = rest.split_whitespace().take(2).collect();
    let key = PublicKey::from_openssh(&words.join(" ")).ok()?;
    Some(Entry { place, marker, key: key.key_data().clone() })
}

/// The marker, the hosts and the rest of a line.
fn split_line(line: &str) -> Option<(Marker, &str, &str)> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (first, rest) = line.split_once([' ', '\t'])?;
    let Some(word) = first.strip_prefix('@') else { return Some((Marker::None, first, rest)) };
    let marker = match word {
        "cert-authority" => Marker::Authority,
        "revoked" => Marker::Revoked,
        _ => return None,
    };
    let (hosts, rest) = rest.trim_start().split_once([' ', '\t'])?;
    Some((marker, hosts, rest))
}

fn hosts_match(hosts: &str, name: &str) -> bool {
    match hosts.strip_prefix("|1|") {
        Some(hashed) => hash_matches(hashed, name),
        None => pattern::list_matches(hosts.to_lowercase().split(','), name),
    }
}

fn hash_matches(hashed: &str, name: &str) -> bool {
    let Some((salt, hash)) = hashed.split_once('|') else {
        return false;
    };
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&salt) else {
        return false;
    };
    mac.update(name.as_bytes());
    mac.verify_slice(&hash).is_ok()
}

fn certificate_problem(certificate: &Certificate, host: &str) -> Option<&'static str> {
    if certificate.cert_type() != CertType::Host {
        return Some("it is not a host certificate");
    }
    if !certificate.critical_options().is_empty() {
        return Some("it carries critical options that ssh does not define for hosts");
    }
    if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
        return Some("its signature uses SHA-1");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now < certificate.valid_after() {
        return Some("it is not valid yet");
    }
    if now >= certificate.valid_before() {
        return Some("it has expired");
    }
    let principals = certificate.valid_principals();
    if !principals.is_empty() && !principals.iter().any(|principal| pattern::matches(&principal.to_lowercase(), host)) {
        return Some("it was issued for other host names");
    }
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    if certificate.validate_at(now, [&authority]).is_err() {
        return Some("its signature is wrong");
    }
    None
}

#[cfg(test)]
#[path = "known_hosts_tests.rs"]
mod tests;
