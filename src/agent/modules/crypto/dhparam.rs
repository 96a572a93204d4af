//! `openssl_dhparam`: Diffie-Hellman parameters.

use pgfleet_protocol::Outcome;
use pgfleet_protocol::modules::crypto::OpensslDhparam;

use super::{Kept, is_absent, must, openssl};
use crate::module::{Context, Plan, Planned};

pub(crate) fn plan(arguments: &OpensslDhparam, context: &Context) -> Planned {
    let kept = Kept { path: &arguments.path, attributes: arguments.attributes(), backup: arguments.backup };
    if is_absent(arguments.state) {
        return kept.removal(context);
    }
    let before = kept.content(context)?;
    let (size, returned) = (arguments.size, arguments.return_content);
    let told = move |outcome: Outcome, content: &[u8]| {
        let outcome = outcome.with("size", size);
        if returned { outcome.with("dhparams", String::from_utf8_lossy(content)) } else { outcome }
    };
    if let Some(content) = before.as_ref().filter(|_| !arguments.force) {
        let said = openssl(context, &["dhparam", "-noout", "-text"], content, None)?;
        if said.is_success() && said.stdout_text().contains(&format!("({size} bit)")) {
            return kept.settle(told(Outcome::unchanged().with("filename", arguments.path.as_str()), content), context);
        }
    }
    let wish = arguments.clone();
    Ok(Plan::change(Outcome::changed().with("filename", arguments.path.as_str()).with("size", size), move |context, _| {
        let content = must(context, &["dhparam", &size.to_string()], b"", None, "cannot make the parameters")?;
        let kept = Kept { path: &wish.path, attributes: wish.attributes(), backup: wish.backup };
        match kept.plan(before, content.clone(), context, |outcome| told(outcome, &content))? {
            Plan::Change(outcome, apply) => apply(context, outcome),
            Plan::Done(outcome) => Ok(outcome),
        }
    }))
}
