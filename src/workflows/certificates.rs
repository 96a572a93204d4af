//! The certificates of a cluster as a person handles them: what they say, new ones, a new authority.

use std::sync::Arc;

use pgfleet_engine::{Finished, Report};
use pgfleet_protocol::{Map, Mode};
use pgfleet_state::Lock;
use pgfleet_template::{Raw, Value as Variable, from_json};
use serde_json::Value;

use crate::WorkflowError;
use crate::authority::{KEY, NEW_AUTHORITY, discard, is_replaced, kept, next, not_ended, replace};
use crate::operate::{Operation, ask, ready};
use crate::play::{Wish, fleet, run};
use crate::seal::secrets_in;
use crate::secrets::{Rotated, is_good};

/// What is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The keys and certificates of the nodes.
    Nodes,
    /// The authority too.
    Authority,
}

/// What the certificates say: `authority`, a row or null, and `nodes`, a list of rows.
///
/// # Errors
/// Wrong input, a cluster that has no authority, or no host that answers.
pub async fn certificates(wish: &Wish) -> Result<Map, WorkflowError> {
    let operation = Operation { name: "certs", looks_only: true, ..Operation::default() };
    let mut ready = ready(wish, &operation)?;
    let (_, certificate) = kept(wish, &ready.folder)?.ok_or_else(none)?;
    ready.additions.vars.insert("pki_ca_certificate".to_owned(), text(&certificate));
    ask(Arc::new(fleet(wish)?), wish, ready, "cluster_certificates").await
}

/// Gives every node a new key and a new certificate. A new authority that was made, and did not come to its end, is finished with it.
///
/// # Errors
/// Wrong input, a lock that is held, an authority that cannot be read or kept.
pub async fn rotate_certificates(wish: &Wish, renewal: Renewal, report: Report) -> Result<Rotated, WorkflowError> {
    let apply = wish.mode == Mode::Apply;
    let _lock = apply.then(|| Lock::take(&wish.project.state(), "certs rotate")).transpose()?;
    let operation = Operation { name: "certs-rotate", looks_only: true, ..Operation::default() };
    let mut ready = ready(wish, &operation)?;
    let folder = ready.folder.clone();
    let (key, certificate) = kept(wish, &folder)?.ok_or_else(none)?;
    not_ended(&folder)?;
    let unfinished = is_replaced(&folder);
    let replaces = unfinished || renewal == Renewal::Authority;
    let sealed = secrets_in(wish, &folder).is_sealed()?;
    let cluster = ready.prepared.global_text("postgresql_cluster_name")?.unwrap_or_default();
    let mut lines = Vec::new();
    // A new authority needs no word of the old one: the nodes are told to trust both.
    let (signs, trusted) = match &key {
        _ if replaces => next(wish, &folder, sealed, &cluster, apply)?,
        Some(key) => (key.clone(), certificate.clone()),
        None => return Err(no_key()),
    };
    if unfinished {
        lines.push("A new authority, whose run was interrupted, is finished with this one.".to_owned());
    }
    ready.additions.vars.extend([
        ("certs_authority".to_owned(), Raw::from(Variable::from(replaces))),
        ("pki_ca_key".to_owned(), text(signs.reveal())),
        ("pki_ca_certificate".to_owned(), text(&trusted)),
        ("pki_old_certificate".to_owned(), text(&certificate)),
    ]);
    ready.additions.secrets.extend(key.into_iter().chain([signs]));
    let finished = run(wish, ready.prepared, ready.additions, report).await?;
    if apply && is_good(&finished) {
        if replaces {
            replace(wish, &folder, sealed)?;
            lines.push(format!(
                "A new authority signs, and the old one is trusted no more. Clients that verify the server need the new {}.",
                crate::authority::certificate_in(&folder).display()
            ));
        }
        lines.push("Every node has a new key and a new certificate, and every service shows it.".to_owned());
    } else if apply && replaces && !unfinished && !finished.interrupted && finished.recap.changed() == 0 {
        discard(&folder)?;
    } else if apply {
        lines.push(again(&finished, replaces));
    }
    Ok(Rotated { finished, lines })
}

fn again(finished: &Finished, replaces: bool) -> String {
    let word = if finished.interrupted { "Interrupted" } else { "Not finished" };
    let rest = if replaces { "; the old authority and the new one are kept, and deploys wait for it" } else { "" };
    format!("{word}: 'pgfleet certs rotate' begins anew{rest}. Whoever works goes on working.")
}

fn text(text: &str) -> Raw {
    Raw::from(from_json(&Value::from(text)))
}

fn no_key() -> WorkflowError {
    WorkflowError::Refused {
        reason: format!("the key of the certificate authority, {KEY}, is not here: nothing can be signed"),
        hint: format!("{NEW_AUTHORITY}; nothing was touched"),
    }
}

fn none() -> WorkflowError {
    WorkflowError::Refused {
        reason: "this cluster has no certificate authority here".to_owned(),
        hint: "work where the cluster was deployed; a deploy with postgresql_tls on makes one".to_owned(),
    }
}
