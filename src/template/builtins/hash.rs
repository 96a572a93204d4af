//! Digests, name-based UUIDs and the crypt(3) password hashes.

use minijinja::{Error, State, Value};
use sha2::Digest as _;
use sha2::digest::Output;

use super::arguments::{Arguments, Builtin};
use super::python::{fail, text};
use super::random::Random;

pub(crate) const FILTERS: &[(&str, Builtin)] = &[
    ("md5", |_, call| digest("md5", &text(&call.input()?)).map(Value::from)),
    ("sha1", |_, call| digest("sha1", &text(&call.input()?)).map(Value::from)),
    ("checksum", |_, call| digest("sha1", &text(&call.input()?)).map(Value::from)),
    ("hash", hash),
    ("to_uuid", to_uuid),
    ("password_hash", password_hash),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A digest in hexadecimal.
fn digest(name: &str, source: &str) -> Result<String, Error> {
    let bytes = source.as_bytes();
    Ok(match name.to_lowercase().replace('-', "").as_str() {
        "md5" => hex(&md5::Md5::digest(bytes)),
        "sha1" => hex(&sha1::Sha1::digest(bytes)),
        "sha224" => hex(&sha2::Sha224::digest(bytes)),
        "sha256" => hex(&sha2::Sha256::digest(bytes)),
        "sha384" => hex(&sha2::Sha384::digest(bytes)),
        "sha512" => hex(&sha2::Sha512::digest(bytes)),
        _ => return Err(fail(format!("unsupported hash type {name}"))),
    })
}

fn hash(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, kind] = call.bind(["data", "hashtype"])?;
    digest(&kind.text("sha1"), &text(&value.required()?)).map(Value::from)
}

fn to_uuid(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, namespace] = call.bind(["string", "namespace"])?;
    let namespace = namespace.text("361E6D51-FAEC-444A-9079-341386DA8E2E");
    let digits: String = namespace.replace("urn:", "").replace("uuid:", "").chars().filter(|c| !"{}-".contains(*c)).collect();
    let invalid = || fail(format!("Invalid value '{namespace}' for 'namespace': badly formed hexadecimal UUID string"));
    if digits.len() != 32 {
        return Err(invalid());
    }
    let space = u128::from_str_radix(&digits, 16).map_err(|_| invalid())?;
    let mut hasher = sha1::Sha1::new();
    hasher.update(space.to_be_bytes());
    hasher.update(text(&value.required()?));
    let mut bytes = hasher.finalize().to_vec();
    bytes.truncate(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x50;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let all = hex(&bytes);
    Ok(format!("{}-{}-{}-{}-{}", &all[..8], &all[8..12], &all[12..16], &all[16..20], &all[20..]).into())
}

const CRYPT_ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Random characters for a salt.
pub(crate) fn random_salt(length: usize) -> Result<String, Error> {
    let mut source = Random::System;
    (0..length).map(|_| source.index(64).map(|index| char::from(CRYPT_ALPHABET[index]))).collect()
}

fn password_hash(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [value, kind, salt, salt_size, rounds, _ident] = call.bind(["password", "hashtype", "salt", "salt_size", "rounds", "ident"])?;
    let salt = salt.some().map(|salt| text(&salt));
    let size = usize::try_from(salt_size.integer(16)?).unwrap_or(16).min(16);
    let rounds = rounds.some().map(|_| rounds.integer(0)).transpose()?.and_then(|rounds| u32::try_from(rounds).ok());
    crypt(&text(&value.required()?), &kind.text("sha512"), salt.as_deref(), size, rounds).map(Value::from)
}

/// A password hash in crypt(3)'s notation, with passlib's default number of rounds.
pub(crate) fn crypt(password: &str, kind: &str, salt: Option<&str>, salt_size: usize, rounds: Option<u32>) -> Result<String, Error> {
    let salt = salt.filter(|salt| !salt.is_empty()).map_or_else(|| random_salt(salt_size), |salt| Ok(salt.to_owned()))?;
    if !salt.bytes().all(|byte| CRYPT_ALPHABET.contains(&byte)) || salt.len() > 16 {
        return Err(fail("Could not hash the secret.: invalid characters in the salt, or over 16 of them"));
    }
    match kind {
        "sha512" | "sha512_crypt" => {
            Ok(sha_crypt::<sha2::Sha512>("6", password.as_bytes(), &salt, rounds.unwrap_or(656_000), &SHA512_ORDER))
        }
        "sha256" | "sha256_crypt" => {
            Ok(sha_crypt::<sha2::Sha256>("5", password.as_bytes(), &salt, rounds.unwrap_or(535_000), &SHA256_ORDER))
        }
        other => Err(fail(format!("password_hash: the hash type '{other}' is not supported; use sha512 or sha256"))),
    }
}

const SHA512_ORDER: [[usize; 3]; 21] = [
    [0, 21, 42],
    [22, 43, 1],
    [44, 2, 23],
    [3, 24, 45],
    [25, 46, 4],
    [47, 5, 26],
    [6, 27, 48],
    [28, 49, 7],
    [50, 8, 29],
    [9, 30, 51],
    [31, 52, 10],
    [53, 11, 32],
    [12, 33, 54],
    [34, 55, 13],
    [56, 14, 35],
    [15, 36, 57],
    [37, 58, 16],
    [59, 17, 38],
    [18, 39, 60],
    [40, 61, 19],
    [62, 20, 41],
];

const SHA256_ORDER: [[usize; 3]; 10] =
    [[0, 10, 20], [21, 1, 11], [12, 22, 2], [3, 13, 23], [24, 4, 14], [15, 25, 5], [6, 16, 26], [27, 7, 17], [18, 28, 8], [9, 19, 29]];

/// Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512".
fn sha_crypt<D: sha2::Digest>(id: &str, password: &[u8], salt: &str, rounds: u32, order: &[[usize; 3]]) -> String {
    let rounds = rounds.clamp(1000, 999_999_999);
    let salt_bytes = salt.as_bytes();
    let size = <D as sha2::Digest>::output_size();
    let of = |parts: &[&[u8]]| -> Output<D> {
        let mut hasher = D::new();
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    };
    let repeated = |block: &[u8], length: usize| block.iter().copied().cycle().take(length).collect::<Vec<u8>>();
    let b = of(&[password, salt_bytes, password]);
    let mut hasher = D::new();
    hasher.update(password);
    hasher.update(salt_bytes);
    hasher.update(repeated(&b, password.len()));
    let mut length = password.len();
    while length > 0 {
        hasher.update(if length & 1 == 1 { &b[..] } else { password });
        length >>= 1;
    }
    let mut current = hasher.finalize();
    let mut hasher = D::new();
    for _ in 0..password.len() {
        hasher.update(password);
    }
    let p = repeated(&hasher.finalize(), password.len());
    let mut hasher = D::new();
    for _ in 0..16 + usize::from(current[0]) {
        hasher.update(salt_bytes);
    }
    let s = repeated(&hasher.finalize(), salt_bytes.len());
    for round in 0..rounds {
        let mut hasher = D::new();
        hasher.update(if round & 1 == 1 { &p[..] } else { &current[..] });
        if round % 3 != 0 {
            hasher.update(&s);
        }
        if round % 7 != 0 {
            hasher.update(&p);
        }
        hasher.update(if round & 1 == 1 { &current[..] } else { &p[..] });
        current = hasher.finalize();
    }
    let mut encoded = String::new();
    let mut push = |mut bits: u32, count: usize| {
        for _ in 0..count {
            encoded.push(char::from(CRYPT_ALPHABET[(bits & 63) as usize]));
            bits >>= 6;
        }
    };
    let byte = |index: usize| u32::from(current[index]);
    for [high, middle, low] in order {
        push((byte(*high) << 16) | (byte(*middle) << 8) | byte(*low), 4);
    }
    if size == 64 {
        push(byte(63), 2);
    } else {
        push((byte(31) << 8) | byte(30), 3);
    }
    let rounds = if rounds == 5000 { String::new() } else { format!("rounds={rounds}$") };
    format!("${id}${rounds}{salt}${encoded}")
}
