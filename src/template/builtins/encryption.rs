//! The filters `vault` and `unvault`: ansible-vault's format with a password that the template gives.

use minijinja::{Error, State, Value};
use pgfleet_protocol::Secret;

use super::arguments::{Arguments, Builtin};
use super::python::{expect_str, fail};
use super::random::Random;
use crate::{Vault, VaultPassword};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[("vault", seal), ("unvault", open)];

/// What stands in the header where no vault id was given.
const LABEL: &str = "filter_default";
const SALT_BYTES: usize = 32;

fn seal(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [data, secret, salt, vault_id, wrap_object, vaultid] =
        call.bind(["data", "secret", "salt", "vault_id", "wrap_object", "vaultid"])?;
    if wrap_object.flag(false) {
        return Err(fail("vault: 'wrap_object' is not supported: the text itself is what templates here can hold"));
    }
    let data = expect_str(&data.required()?, "the filter 'vault'")?;
    let vault = vault_of(&secret.required()?, &vault_id.text(&vaultid.text(LABEL)))?;
    let salt = match salt.some() {
        Some(salt) => expect_str(&salt, "the salt of 'vault'")?.into_bytes(),
        None => random_bytes()?,
    };
    vault.seal_bytes(data.as_bytes(), &salt).map(Value::from).map_err(|problem| fail(problem.message))
}

fn open(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [text, secret, vault_id, vaultid] = call.bind(["vault", "secret", "vault_id", "vaultid"])?;
    let text = expect_str(&text.required()?, "the filter 'unvault'")?;
    let vault = vault_of(&secret.required()?, &vault_id.text(&vaultid.text(LABEL)))?;
    if !Vault::is_vault(&text) {
        return Ok(text.into());
    }
    match vault.open(&text) {
        Ok(plain) => Ok(plain.reveal().into()),
        Err(problem) => Err(fail(format!("Unable to decrypt: {}", problem.message))),
    }
}

fn vault_of(secret: &Value, label: &str) -> Result<Vault, Error> {
    let password = expect_str(secret, "the password of a vault")?;
    Ok(Vault::new(vec![VaultPassword { label: label.to_owned(), password: Secret::new(password) }]))
}

fn random_bytes() -> Result<Vec<u8>, Error> {
    let mut source = Random::System;
    (0..SALT_BYTES).map(|_| source.below(256).map(|byte| u8::try_from(byte).unwrap_or_default())).collect()
}
