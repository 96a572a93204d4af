//! known_hosts tables, and the same lookups by the real ssh-keygen.

use std::process::Command;

use super::*;

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";
const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMxBTpMIGvo7CnordO7wP0QQRqpBwUjOLl4eMhfucfE1sjTYyK5wmTl1UqoSDS1PtRVTBdl+0+9pquFb46U7fwg=";

fn key(text: &str) -> KeyData {
    PublicKey::from_openssh(text).unwrap().key_data().clone()
}

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.read(Path::new("kh"), text);
    known
}

fn at(line: usize) -> Place {
    Place { file: PathBuf::from("kh"), line }
}

/// What OpenSSH writes for a hashed name, with a fixed salt.
fn hashed(name: &str) -> String {
    let salt = [7_u8; 20];
    let mut mac = Hmac::<Sha1>::new_from_slice(&salt).unwrap();
    mac.update(name.as_bytes());
    format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(mac.finalize().into_bytes()))
}

#[test]
fn verdicts() {
    let on22 = KnownName::new("db1.lan", 22);
    let on2222 = KnownName::new("db1.lan", 2222);
    let hashed22 = hashed("db1.lan");
    let hashed2222 = hashed("[db1.lan]:2222");
    let table: Vec<(&str, String, &KnownName, Verdict)> = vec![
        ("empty file", String::new(), &on22, Verdict::Unknown),
        ("plain", format!("db1.lan {A}"), &on22, Verdict::Known),
        ("comment after the key", format!("db1.lan {A} root@db1 made by hand"), &on22, Verdict::Known),
        ("leading blanks and tabs", format!("  \tdb1.lan\t{A}"), &on22, Verdict::Known),
        ("other host", format!("db2.lan {A}"), &on22, Verdict::Unknown),
        ("other key", format!("# c\ndb1.lan {B}"), &on22, Verdict::Changed(at(2))),
        ("key of another type", format!("db1.lan {P256}"), &on22, Verdict::Changed(at(1))),
        ("several keys, one right", format!("db1.lan {B}\ndb1.lan {P256}\ndb1.lan {A}"), &on22, Verdict::Known),
        ("case of the name", format!("DB1.Lan {A}"), &on22, Verdict::Known),
        ("list", format!("10.0.0.1,db1.lan {A}"), &on22, Verdict::Known),
        ("wildcard", format!("*.lan {A}"), &on22, Verdict::Known),
        ("negation", format!("*.lan,!db1.lan {A}"), &on22, Verdict::Unknown),
        ("negation first", format!("!db1.lan,*.lan {A}"), &on22, Verdict::Unknown),
        ("hashed", format!("{hashed22} {A}"), &on22, Verdict::Known),
        ("hashed, other key", format!("{hashed22} {B}"), &on22, Verdict::Changed(at(1))),
        ("hashed with port", format!("{hashed2222} {A}"), &on2222, Verdict::Known),
        ("hashed with port is not the plain name", format!("{hashed2222} {A}"), &on22, Verdict::Unknown),
        ("port", format!("[db1.lan]:2222 {A}"), &on2222, Verdict::Known),
        ("other port", format!("[db1.lan]:2223 {A}"), &on2222, Verdict::Unknown),
        ("port, other key", format!("[db1.lan]:2222 {B}"), &on2222, Verdict::Changed(at(1))),
        ("port, but listed for 22 only", format!("[db1.lan]:2222 {A}"), &on22, Verdict::Unknown),
        ("listed without the port", format!("db1.lan {A}"), &on2222, Verdict::Known),
        ("another key without the port", format!("db1.lan {B}"), &on2222, Verdict::Unknown),
        ("the port's key counts, not the plain one", format!("db1.lan {A}\n[db1.lan]:2222 {B}"), &on2222, Verdict::Changed(at(2))),
        ("revoked", format!("@revoked db1.lan {A}"), &on22, Verdict::Revoked(at(1))),
        ("revoked wins over listed", format!("db1.lan {A}\n@revoked * {A}"), &on22, Verdict::Revoked(at(2))),
        ("revoked for all, on a port", format!("@revoked * {A}"), &on2222, Verdict::Revoked(at(1))),
        ("another key revoked", format!("@revoked * {B}\ndb1.lan {A}"), &on22, Verdict::Known),
        ("another key revoked, none listed", format!("@revoked * {B}"), &on22, Verdict::Unknown),
        ("an authority's key is no host key", format!("@cert-authority *.lan {A}"), &on22, Verdict::Unknown),
        ("unknown marker", format!("@later db1.lan {A}"), &on22, Verdict::Unknown),
        ("broken key", "db1.lan ssh-ed25519 AAAA".to_owned(), &on22, Verdict::Unknown),
        ("broken line before", format!("db1.lan\n\nrubbish\ndb1.lan {A}"), &on22, Verdict::Known),
        ("broken hash", format!("|1|??|?? {A}"), &on22, Verdict::Unknown),
    ];
    for (what, text, name, expect) in table {
        assert_eq!(known(&text).check(name, &key(A)), expect, "{what}");
    }
}

#[test]
fn an_alias_ignores_the_port() {
    assert_eq!(KnownName::alias("Cluster").text(), "cluster");
    assert_eq!(known(&format!("cluster {A}")).check(&KnownName::alias("cluster"), &key(A)), Verdict::Known);
}

#[test]
fn known_algorithms_are_preferred() {
    let files = known(&format!("db1.lan {P256}\n@cert-authority *.lan {B}\n[db1.lan]:2222 {A}\n@revoked * {A}"));
    assert_eq!(files.algorithms(&KnownName::new("db1.lan", 22)), vec![key(P256).algorithm()]);
    assert_eq!(files.algorithms(&KnownName::new("db1.lan", 2222)), vec![Algorithm::Ed25519]);
    assert!(files.has_authority(&KnownName::new("db1.lan", 22)));
    assert!(!files.has_authority(&KnownName::new("db1.example", 22)));
}

#[test]
fn ssh_keygen_finds_the_same_lines() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kh");
    let text = [
        format!("db1.lan {A}"),
        format!("*.lan,!old.lan {B}"),
        format!("[db1.lan]:2222 {B}"),
        format!("{} {A}", hashed("hidden.lan")),
        format!("{} {A}", hashed("[hidden.lan]:22022")),
        format!("10.0.0.? {P256}"),
        format!("UPPER.example {A}"),
        "nothing.lan not-a-key".to_owned(),
    ]
    .join("\n");
    fs::write(&file, format!("{text}\n")).unwrap();
    let known = KnownHosts::load(&[&file]).unwrap();
    for (host, port) in [
        ("db1.lan", 22),
        ("db1.lan", 2222),
        ("old.lan", 22),
        ("hidden.lan", 22),
        ("hidden.lan", 22022),
        ("10.0.0.7", 22),
        ("10.0.0.77", 22),
        ("upper.example", 22),
        ("other", 22),
    ] {
        let name = KnownName::new(host, port);
        let ours: Vec<usize> = known.matching(&name).map(|entry| entry.place.line).collect();
        let output = Command::new("ssh-keygen").arg("-F").arg(name.text()).arg("-f").arg(&file).output().unwrap();
        let theirs: Vec<usize> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.split_once("found: line ")?.1.trim().parse().ok())
            .collect();
        assert_eq!(ours, theirs, "{}", name.text());
    }
}

#[test]
fn pinning_appends_whole_lines_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state/known_hosts");
    let public = PublicKey::from_openssh(A).unwrap();
    let name = KnownName::new("db1.lan", 2222);
    pin(&file, &name, &public).unwrap();
    pin(&file, &name, &public).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("[db1.lan]:2222 {A}\n"));
    fs::write(&file, "# no end of line").unwrap();
    pin(&file, &name, &public).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("# no end of line\n[db1.lan]:2222 {A}\n"));

    let many: Vec<_> = (0..16)
        .map(|number| {
            let (file, public) = (file.clone(), public.clone());
            std::thread::spawn(move || pin(&file, &KnownName::new(&format!("host{number}"), 22), &public))
        })
        .collect();
    for thread in many {
        thread.join().unwrap().unwrap();
    }
    let known = KnownHosts::load(&[&file]).unwrap();
    assert!((0..16).all(|number| known.check(&KnownName::new(&format!("host{number}"), 22), public.key_data()) == Verdict::Known));
}

#[test]
fn unreadable_files_are_errors_and_missing_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    assert!(KnownHosts::load(&[folder.path().join("none"), PathBuf::from("/dev/null")]).is_ok());
    assert!(KnownHosts::load(&[folder.path()]).is_err(), "a folder is no file");
}

/// Host certificates made by the real ssh-keygen.
#[test]
fn certificates_of_listed_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let keygen = |arguments: &[&str]| {
        let output = Command::new("ssh-keygen").current_dir(folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    for (name, kind) in [("ca", "ed25519"), ("rsa_ca", "rsa"), ("host", "ed25519")] {
        keygen(&["-q", "-t", kind, "-N", "", "-f", name]);
    }
    let make = |ca: &str, arguments: &[&str]| {
        keygen(&[&["-q", "-s", ca, "-I", "id"], arguments, &["host.pub"]].concat());
        Certificate::from_openssh(&fs::read_to_string(at("host-cert.pub")).unwrap()).unwrap()
    };
    let line = |name: &str| fs::read_to_string(at(name)).unwrap().trim().to_owned();
    let ca = line("ca.pub");
    let name = KnownName::new("db1.lan", 2222);
    let good = make("ca", &["-h", "-n", "db1.lan,db1"]);
    let listed = known(&format!("@cert-authority *.lan {ca}"));
    assert_eq!(listed.check_certificate(&name, &good), CertificateVerdict::Trusted, "also without the port");
    assert_eq!(listed.check_certificate(&KnownName::new("db1.example", 22), &good), CertificateVerdict::NoAuthority);
    assert_eq!(known(&format!("*.lan {ca}")).check_certificate(&name, &good), CertificateVerdict::NoAuthority);
    let problem = |certificate: &Certificate| match listed.check_certificate(&name, certificate) {
        CertificateVerdict::Invalid(problem) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(problem(&make("ca", &["-h", "-n", "db2.lan"])), "it was issued for other host names");
    assert_eq!(problem(&make("ca", &["-n", "db1.lan"])), "it is not a host certificate");
    assert_eq!(problem(&make("ca", &["-h", "-n", "db1.lan", "-V", "20000101:20010101"])), "it has expired");
    assert_eq!(problem(&make("ca", &["-h", "-n", "db1.lan", "-V", "20900101:20910101"])), "it is not valid yet");
    assert_eq!(listed.check_certificate(&name, &make("ca", &["-h", "-n", "*.lan"])), CertificateVerdict::Trusted);
    assert_eq!(listed.check_certificate(&name, &make("ca", &["-h"])), CertificateVerdict::Trusted, "without names it is for all");
    let rsa = known(&format!("@cert-authority * {}", line("rsa_ca.pub")));
    assert_eq!(rsa.check_certificate(&name, &make("rsa_ca", &["-h", "-t", "rsa-sha2-512", "-n", "db1.lan"])), CertificateVerdict::Trusted);
    for revoked in [&ca, &line("host.pub")] {
        let files = known(&format!("@cert-authority *.lan {ca}\n@revoked *.lan {revoked}"));
        assert!(matches!(files.check_certificate(&name, &good), CertificateVerdict::Revoked(place) if place.line == 2));
    }
}
