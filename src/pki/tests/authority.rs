//! Authorities and certificates, judged by this program and by openssl.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use pgfleet_pki::{Authority, Names, Verdict, describe, has_signed, judge};

const DAY: Duration = Duration::from_secs(86_400);

fn openssl(folder: &Path, words: &str) -> String {
    let ran = Command::new("openssl").args(words.split(' ')).current_dir(folder).output().expect("openssl runs");
    assert!(ran.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text")
}

/// A key of a node, and its public half.
fn node(folder: &Path, name: &str) -> String {
    openssl(folder, &format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"));
    openssl(folder, &format!("pkey -in {name}.key -pubout"))
}

fn names() -> Names {
    Names::new(["pg1.lan", "192.0.2.11", "localhost", "2001:db8::1", "pg1.lan"]).expect("names")
}

#[test]
fn openssl_trusts_what_is_signed_for_its_names_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let now = SystemTime::now();
    let authority = Authority::make("main", now).expect("an authority");
    let certificate = authority.issue(&node(path, "pg1"), &names(), 90, now).expect("a certificate");
    std::fs::write(path.join("ca.crt"), authority.certificate().expect("PEM")).expect("written");
    std::fs::write(path.join("pg1.crt"), &certificate).expect("written");
    for name in ["-verify_hostname pg1.lan", "-verify_ip 192.0.2.11", "-verify_ip 2001:db8::1"] {
        for purpose in ["sslserver", "sslclient"] {
            openssl(path, &format!("verify -x509_strict -CAfile ca.crt {name} -purpose {purpose} pg1.crt"));
        }
    }
    let other =
        Command::new("openssl").args("verify -CAfile ca.crt -verify_hostname pg2.lan pg1.crt".split(' ')).current_dir(path).output();
    assert!(!other.expect("openssl runs").status.success(), "another name is not trusted");
    let told = openssl(path, "x509 -in pg1.crt -noout -subject -ext basicConstraints -checkend 7689600");
    assert!(told.contains("OU") && !told.contains("CN") && told.contains("pg1.lan") && told.contains("CA:FALSE"), "{told}");
    let own = openssl(path, "verify -x509_strict -CAfile ca.crt ca.crt");
    assert_eq!(own, "ca.crt: OK\n");
}

#[test]
fn a_certificate_stays_only_while_everything_fits() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = SystemTime::now();
    let authority = Authority::make("main", now).expect("an authority");
    let (key, other_key) = (node(folder.path(), "pg1"), node(folder.path(), "pg2"));
    let certificate = authority.issue(&key, &names(), 90, now).expect("a certificate");
    let judged = |certificate: &str, key: &str, names: &Names, now| judge(&authority, certificate, key, names, 30 * DAY, now);
    let Verdict::Good(until) = judged(&certificate, &key, &names(), now) else { panic!("it is good") };
    assert!(until <= now + 90 * DAY && until > now + 89 * DAY);
    assert_eq!(judged("", &key, &names(), now), Verdict::Replace("there is none that can be read"));
    assert_eq!(judged(&certificate, &other_key, &names(), now), Verdict::Replace("it is not of the node's key"));
    assert_eq!(judged(&certificate, &key, &names(), now + 61 * DAY), Verdict::Replace("it ends soon"));
    let renamed = Names::new(["pg1.lan", "192.0.2.12", "localhost", "2001:db8::1"]).expect("names");
    assert_eq!(judged(&certificate, &key, &renamed, now), Verdict::Replace("the node has other names by now"));
    let stranger = Authority::make("main", now).expect("an authority").issue(&key, &names(), 90, now).expect("a certificate");
    assert_eq!(judged(&stranger, &key, &names(), now), Verdict::Replace("another authority has signed it"));
}

#[test]
fn an_authority_is_read_again_from_its_two_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = SystemTime::now();
    let first = Authority::make("coolify_postgres", now).expect("an authority");
    let (key, certificate) = (first.key().expect("PEM"), first.certificate().expect("PEM"));
    let again = Authority::read(&key, &certificate).expect("the same");
    let public = node(folder.path(), "pg1");
    let issued = again.issue(&public, &names(), 90, now).expect("a certificate");
    assert!(matches!(judge(&first, &issued, &public, &names(), DAY, now), Verdict::Good(_)));
    let other = Authority::make("coolify_postgres", now).expect("another");
    let mixed = Authority::read(&other.key().expect("PEM"), &certificate).err().expect("they do not fit");
    assert_eq!(mixed.to_string(), "the key of the certificate authority is not that of its certificate");
}

#[test]
fn names_that_no_certificate_can_have_are_refused() {
    for name in ["", "a b", "a\nb", "*.lan", "pg1..lan", "-", "pg1-.lan", "pg1,DNS:evil"] {
        assert!(Names::new([name]).is_err(), "{name:?}");
    }
    assert!(Authority::make("a,CN=b", SystemTime::now()).is_err());
}

#[test]
fn a_certificate_is_told_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = SystemTime::now();
    let authority = Authority::make("main", now).expect("an authority");
    let certificate = authority.issue(&node(folder.path(), "pg1"), &names(), 90, now).expect("a certificate");
    let told = describe(&certificate).expect("a certificate");
    assert_eq!((told.subject.as_str(), told.issuer.as_str()), ("OU=pg1.lan", "CN=main certificate authority"));
    assert_eq!(told.names, ["pg1.lan", "192.0.2.11", "localhost", "2001:db8::1"]);
    std::fs::write(folder.path().join("pg1.crt"), &certificate).expect("written");
    let serial = openssl(folder.path(), "x509 -in pg1.crt -noout -serial");
    assert_eq!(serial.trim(), format!("serial={}", told.serial.to_uppercase()));
    assert!(told.from < now && told.until > now + 89 * DAY && told.until <= now + 90 * DAY);
    let other = Authority::make("main", now).expect("another").certificate().expect("PEM");
    assert!(has_signed(&authority.certificate().expect("PEM"), &certificate).expect("readable"));
    assert!(!has_signed(&other, &certificate).expect("readable"));
    assert!(describe("nothing").is_err());
}
