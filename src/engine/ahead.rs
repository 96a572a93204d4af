//! Calls sent ahead: along with a call goes what its host will probably be asked next. What would change nothing is answered with it, in
//! the same round trip, and is taken for the answer when that task's turn comes: if the call is then the same to the letter, and nothing
//! has had an effect anywhere since, no job goes on beside the run, and not much time has passed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgfleet_playbook::{Engine, Kind, Step, Task};
use pgfleet_protocol::{Outcome, Request, only_reads, sha256};
use pgfleet_template::{Problem, Raw, Vars, from_json, without_effects};
use serde_json::Value;

use crate::attempt::Attempt;
use crate::play::{active, truth};
use crate::steps::Following;
use crate::{Contact, Ending, TaskResult};

/// Modules that find out what they would do without doing anything, so that it may be found out before its time.
const LOOKS: &[&str] = &[
    "apt",
    "blockinfile",
    "copy",
    "cron",
    "file",
    "getent",
    "group",
    "lineinfile",
    "service",
    "stat",
    "sysctl",
    "systemd",
    "template",
    "user",
];
/// How long an answer is believed.
const FRESH: Duration = Duration::from_secs(3);
/// The most calls that go ahead with one.
const MOST: usize = 24;
/// The most bytes of theirs.
const BYTES: usize = 1 << 20;

/// A call as far as it matters whether it is the same as another one, and its length in bytes.
fn digest(request: &Request) -> Option<(String, usize)> {
    serde_json::to_vec(request).ok().map(|bytes| (sha256(&bytes), bytes.len()))
}

/// What is known of a host before it is asked.
#[derive(Default)]
pub(crate) struct Foresight {
    /// The last that was looked at had to be changed: what follows will have to be, too, so nothing is asked ahead.
    changes: bool,
    foreseen: Option<Foreseen>,
}

/// Answers of one host that are known before they are asked for.
struct Foreseen {
    /// How many effects the run had had when they were asked for.
    effects: usize,
    asked: Instant,
    contact: Contact,
    /// The digest of each call, and its outcome.
    answers: VecDeque<(String, Outcome)>,
}

impl Foreseen {
    /// The answer to a call, once. Whatever comes before it in the order of the tasks was skipped after all.
    fn take(&mut self, effects: usize, contact: &Contact, request: &Request) -> Option<Outcome> {
        if self.answers.is_empty() || self.effects != effects || self.contact != *contact || self.asked.elapsed() > FRESH {
            return None;
        }
        let (digest, _) = digest(request)?;
        let at = self.answers.iter().position(|(known, _)| *known == digest)?;
        self.answers.drain(..=at).next_back().map(|(_, outcome)| outcome)
    }
}

/// Whether a call of these arguments only looks, unless it finds something to change.
fn looks(request: &Request) -> bool {
    let given = |name: &str| request.arguments.get(name).is_some_and(|value| !value.is_null());
    match request.module.as_str() {
        "uri" => {
            let gets = request.arguments.get("method").and_then(Value::as_str).is_none_or(|method| method == "GET");
            gets && !["dest", "body", "src", "creates", "removes"].into_iter().any(given)
        }
        module => LOOKS.contains(&module) || only_reads(module, &request.arguments),
    }
}

impl Attempt<'_> {
    /// Does a call, unless its answer is known.
    pub(crate) async fn ask(
        &self,
        contact: &Contact,
        request: Request,
        content: Option<crate::Content>,
        sink: Option<Box<dyn crate::Incoming>>,
    ) -> Result<Outcome, crate::Unreachable> {
        let (effects, asked) = (self.run.effects(), Instant::now());
        if let Some(outcome) = self.foreseen(|foreseen| foreseen.take(effects, contact, &request)) {
            return Ok(outcome);
        }
        if request.detached.is_some() {
            self.run.has_company();
        }
        let only_looks = looks(&request) && request.detached.is_none();
        let reads = only_looks && only_reads(&request.module, &request.arguments);
        let may_go_on = contact.host == self.host.name && self.run.is_alone() && !self.host.foresight().changes;
        let (digests, ahead): (Vec<String>, Vec<Request>) =
            if only_looks && may_go_on { self.expected(contact).into_iter().unzip() } else { Default::default() };
        let answer = self.run.fleet.call_ahead(contact, request, ahead, content, sink).await;
        let Ok((outcome, seen)) = answer else {
            self.run.had_effect();
            return answer.map(|(outcome, _)| outcome);
        };
        let has_effect = !outcome.is_without_effect() && !reads;
        if has_effect || !only_looks {
            self.run.had_effect();
        }
        let answers: VecDeque<_> = digests.into_iter().zip(seen).collect();
        let foreseen = (!answers.is_empty()).then(|| Foreseen { effects, asked, contact: contact.clone(), answers });
        let mut foresight = self.host.foresight();
        if only_looks {
            foresight.changes = has_effect;
        }
        foresight.foreseen = foreseen;
        Ok(outcome)
    }

    fn foreseen<T>(&self, take: impl FnOnce(&mut Foreseen) -> Option<T>) -> Option<T> {
        self.host.foresight().foreseen.as_mut().and_then(take)
    }

    /// The calls that will probably follow on this host, until something cannot be told yet, each with its digest.
    fn expected(&self, contact: &Contact) -> Vec<(String, Request)> {
        let mut calls = Vec::new();
        let mut bytes = 0;
        let mut supposed = Vars::new();
        suppose(&mut supposed, self.task, Ending::Ok);
        let mut following = self.following.iter();
        let mut steps: Vec<&Step> = Vec::new();
        while let Some(step) = steps.pop().or_else(|| following.next()) {
            let task = match step {
                Step::Task(task) => task,
                Step::Block(block) if block.role.is_none() => {
                    steps.extend(block.block.iter().chain(&block.always).rev());
                    continue;
                }
                Step::Block(_) => break,
            };
            if !self.run.options.tags.selects(&task.settings.tags) {
                continue;
            }
            // A lookup that has effects has them once, when it is the task's turn.
            match without_effects(|| self.foretold(task, contact, &supposed)) {
                Some(Ok(Next::Nothing)) => suppose(&mut supposed, task, Ending::Skipped),
                Some(Ok(Next::Elsewhere)) => {}
                Some(Ok(Next::Call(request))) => {
                    suppose(&mut supposed, task, Ending::Ok);
                    let Some((digest, length)) = digest(&request) else { break };
                    bytes += length;
                    if bytes >= BYTES || calls.len() == MOST {
                        break;
                    }
                    calls.push((digest, request));
                }
                None | Some(Ok(Next::Unknown) | Err(_)) => break,
            }
        }
        calls
    }

    /// What a later task will ask of this host, as things are now and with what is supposed of the tasks before it.
    fn foretold(&self, task: &Arc<Task>, contact: &Contact, supposed: &Vars) -> Result<Next, Problem> {
        let later = Attempt { task, following: Following::default(), ..*self };
        let scope = self.run.scope(self.playing, self.host, Some(task))?.over(Arc::new(supposed.clone()));
        if task.repeat.is_some() {
            return Ok(Next::Unknown);
        }
        if later.ruled_out(&scope)?.is_some() {
            return Ok(Next::Nothing);
        }
        let settings = &task.settings;
        if task.kind == Kind::Controller {
            return Ok(Next::Elsewhere);
        }
        if let Some(once) = &settings.run_once {
            let is_first = active(&self.playing.batch).first().is_some_and(|first| first.name == self.host.name);
            if !self.playing.is_free() && !is_first && truth(once, &scope)? {
                return Ok(Next::Elsewhere);
            }
        }
        let by_itself = settings.delegate_to.is_some() || settings.throttle.is_some();
        if by_itself || task.detached.is_some() || task.refused.is_some() {
            return Ok(Next::Unknown);
        }
        let arguments = match task.kind {
            Kind::Engine(Engine::Debug | Engine::Assert) => return Ok(Next::Nothing),
            Kind::Host => later.arguments(&scope)?,
            Kind::Transfer(_) if task.module.name == "template" => later.template_arguments(later.arguments(&scope)?, &scope)?.0,
            Kind::Transfer(_) if task.module.name == "copy" => match later.copy_arguments(later.arguments(&scope)?)? {
                Some(arguments) => arguments,
                None => return Ok(Next::Unknown),
            },
            _ => return Ok(Next::Unknown),
        };
        let module = if task.module.name == "template" { "copy" } else { task.module.name };
        let request = later.request(module, arguments, &scope)?;
        let same_way = later.contact(&scope, None)? == *contact;
        Ok(if same_way && looks(&request) { Next::Call(request) } else { Next::Unknown })
    }
}

/// Supposes of a task whose result will be kept that it changes nothing, as what follows often asks. Should that be wrong, another call is
/// made of it when its turn comes, and is asked as any other. A task whose result tells more is left alone.
fn suppose(supposed: &mut Vars, task: &Task, ending: Ending) {
    let only_changes = LOOKS.contains(&task.module.name) && !matches!(task.module.name, "getent" | "stat");
    if let Some(name) = task.register.as_ref().filter(|_| only_changes || ending == Ending::Skipped) {
        supposed.insert(name.clone(), Raw::from(from_json(&Value::Object(TaskResult::new(ending).variables()))));
    }
}

/// What a later task will do on a host.
enum Next {
    /// Nothing that the host notices.
    Nothing,
    /// Nothing here: it is done by the controller, or once by another host.
    Elsewhere,
    /// This call.
    Call(Request),
    /// Nobody knows yet.
    Unknown,
}
