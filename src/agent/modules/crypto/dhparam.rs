//! `openssl_dhparam`: Diffie-Hellman parameters.

use pgfleet_protocol::modules::crypto::OpensslDhparam;
use pgfleet_protocol::{Outcome, Status};

use super::{Kept, is_absent, must, named, openssl};
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
            return kept.settle(told(named(&arguments.path), content), context);
        }
    }
    let wish = arguments.clone();
    let outcome = Outcome { status: Status::Changed, ..named(&arguments.path).with("size", size) };
    Ok(Plan::change(outcome, move |context, _| {
        let content = must(context, &["dhparam", &size.to_string()], b"", None, "cannot make the parameters")?;
        let kept = Kept { path: &wish.path, attributes: wish.attributes(), backup: wish.backup };
        let outcome = match kept.plan(before, content.clone(), context, told(named(&wish.path), &content))? {
            Plan::Change(outcome, apply) => apply(context, outcome)?,
            Plan::Done(outcome) => outcome,
        };
        // What was made cannot be foretold, and so has no diff.
        Ok(Outcome { diff: Vec::new(), ..outcome })
    }))
}
