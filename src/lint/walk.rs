//! The state of a look at playbooks: what was found and met so far.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use pgfleet_template::{Inspection, Malformed, Node, Place, Problem};

use crate::context::Context;
use crate::finding::did_you_mean;
use crate::handlers::Handlers;
use crate::sources::Sources;
use crate::{Finding, Report, Request, Severity, Unsupported};

/// A variable that is used somewhere.
pub(crate) struct NameUse {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) is_certain: bool,
    /// The variable whose value it stands in.
    pub(crate) owner: Option<Rc<str>>,
}

type Inspected = Rc<Result<Inspection, Malformed>>;

/// What was found and met so far.
pub(crate) struct Walk<'r> {
    pub(crate) request: &'r Request<'r>,
    pub(crate) sources: Sources<'r>,
    findings: HashMap<(Place, String), Finding>,
    /// Names that something defines, wherever that is.
    pub(crate) defined: HashSet<String>,
    /// Names with a part that is known only in a run: beginning and end.
    pub(crate) patterns: HashSet<(String, String)>,
    /// Names may come from files that are known only in a run.
    pub(crate) is_open: bool,
    pub(crate) uses: Vec<NameUse>,
    /// Which names are used by the value of which variable; by a task, where that is empty.
    pub(crate) mentions: HashMap<Rc<str>, HashSet<String>>,
    pub(crate) registered: IndexMap<String, Place>,
    /// Variables of inventories, plays and roles, for what hides them.
    pub(crate) declared: HashSet<String>,
    unsupported: BTreeMap<(&'static str, String), Unsupported>,
    pub(crate) visited: HashSet<(PathBuf, u64)>,
    pub(crate) inspected: HashMap<(bool, String), Inspected>,
    pub(crate) handlers: Handlers,
    pub(crate) tags_met: HashSet<String>,
    pub(crate) tags_open: bool,
    /// Groups that a run makes; `None` in it stands for any.
    pub(crate) made_groups: HashSet<Option<String>>,
    /// Words of patterns that were looked at.
    pub(crate) strange_hosts: HashSet<String>,
    /// Tasks on the controller may make files that later ones need.
    pub(crate) writes_locally: bool,
    pub(crate) missing_files: Vec<Finding>,
    /// Files of variables whose group or host the inventory does not have.
    pub(crate) owners: Vec<(Finding, bool, String)>,
    /// A task before may have ended the play.
    pub(crate) may_have_ended: bool,
    /// What tasks before made sure of.
    pub(crate) assured: BTreeSet<String>,
}

impl<'r> Walk<'r> {
    pub(crate) fn new(request: &'r Request<'r>) -> Self {
        Self {
            request,
            sources: Sources::new(request.loader),
            findings: HashMap::new(),
            defined: request.defined.iter().cloned().collect(),
            patterns: HashSet::new(),
            is_open: false,
            uses: Vec::new(),
            mentions: HashMap::new(),
            registered: IndexMap::new(),
            declared: HashSet::new(),
            unsupported: BTreeMap::new(),
            visited: HashSet::new(),
            inspected: HashMap::new(),
            handlers: Handlers::default(),
            tags_met: HashSet::new(),
            tags_open: false,
            made_groups: HashSet::new(),
            strange_hosts: HashSet::new(),
            writes_locally: false,
            missing_files: Vec::new(),
            owners: Vec::new(),
            may_have_ended: false,
            assured: BTreeSet::new(),
        }
    }

    /// Keeps a finding; the same one again counts as the graver of both.
    pub(crate) fn keep(&mut self, finding: Finding) {
        let key = (finding.place.clone(), finding.message.clone());
        match self.findings.get_mut(&key) {
            Some(known) => known.severity = known.severity.min(finding.severity),
            None => drop(self.findings.insert(key, finding)),
        }
    }

    pub(crate) fn found(&mut self, severity: Severity, rule: &'static str, place: &Place, piece: &str, message: impl Into<String>) {
        self.with_hint(severity, rule, place, piece, message, None);
    }

    pub(crate) fn with_hint(
        &mut self,
        severity: Severity,
        rule: &'static str,
        place: &Place,
        piece: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let finding =
            Finding { severity, rule, place: place.clone(), piece: piece.to_owned(), message: message.into(), hint, excerpt: None };
        self.keep(finding);
    }

    /// A finding at a node, with what may have been meant.
    pub(crate) fn unknown<'k>(
        &mut self,
        severity: Severity,
        rule: &'static str,
        node: &Node,
        message: impl Into<String>,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let word = node.scalar_text().unwrap_or_default().to_owned();
        let hint = did_you_mean(&word, known);
        self.with_hint(severity, rule, &node.place, &word, message, hint);
    }

    /// A problem of one of the readers.
    pub(crate) fn problem(&mut self, severity: Severity, rule: &'static str, problem: Problem) {
        let place = problem.place.clone().unwrap_or_else(|| Place::new("", 0, 0));
        self.with_hint(severity, rule, &place, "", problem.message, problem.hint);
    }

    /// A document, its problem told.
    pub(crate) fn document(&mut self, path: &Path) -> Option<Arc<Node>> {
        let document = self.sources.document(path);
        for found in std::mem::take(&mut self.sources.duplicates) {
            self.problem(Severity::Warning, "yaml", found.problem());
        }
        match document {
            Ok(document) => document,
            Err(problem) => {
                let problem = problem.at(&Place::new(path.to_string_lossy(), 0, 0));
                self.problem(Severity::Error, "yaml", problem);
                None
            }
        }
    }

    /// Something that pgfleet does not have.
    pub(crate) fn lacking(&mut self, kind: &'static str, name: &str, place: &Place, context: &Context, reason: Option<String>) {
        let entry = self.unsupported.entry((kind, name.to_owned())).or_insert_with(|| Unsupported {
            kind,
            name: name.to_owned(),
            places: Vec::new(),
            certain: 0,
            conditions: Vec::new(),
            reason: reason.clone(),
        });
        if !entry.places.contains(place) {
            entry.places.push(place.clone());
            entry.certain += usize::from(context.is_certain);
            if let Some(when) =
                context.when.as_deref().filter(|when| !context.is_certain && !entry.conditions.iter().any(|known| known == when))
            {
                entry.conditions.push(when.to_owned());
            }
        }
        if context.is_certain {
            let message = match reason {
                Some(reason) => format!("the {kind} '{name}' is not supported: {reason}"),
                None => format!("the {kind} '{name}' is not supported"),
            };
            self.found(Severity::Error, "unsupported", place, name, message);
        }
    }

    /// Whether a file was looked at before in the same circumstances.
    pub(crate) fn is_visited(&mut self, path: &Path, context: &Context) -> bool {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        context.guards.hash(&mut hasher);
        context.role.as_ref().map(|role| &role.folder).hash(&mut hasher);
        (context.is_certain, context.in_loop, context.is_local).hash(&mut hasher);
        context.tags.hash(&mut hasher);
        !self.visited.insert((path.to_owned(), hasher.finish()))
    }

    pub(crate) fn declare(&mut self, name: &str) {
        self.defined.insert(name.to_owned());
        self.declared.insert(name.to_owned());
    }

    pub(crate) fn finish(mut self) -> Report {
        self.unknown_names();
        self.unasked_tags();
        self.ownerless();
        self.hidden_names();
        if !self.writes_locally {
            for finding in std::mem::take(&mut self.missing_files) {
                self.keep(finding);
            }
        }
        let mut findings: Vec<Finding> = self.findings.into_values().collect();
        for finding in &mut findings {
            finding.excerpt = self.sources.excerpt(&finding.place);
        }
        let key = |finding: &Finding| (finding.place.file.clone(), finding.place.line, finding.place.column, finding.severity);
        findings.sort_by(|left, right| key(left).cmp(&key(right)).then_with(|| left.message.cmp(&right.message)));
        let mut unsupported: Vec<Unsupported> = self.unsupported.into_values().collect();
        unsupported.sort_by_key(|entry| (std::cmp::Reverse(entry.certain > 0), std::cmp::Reverse(entry.places.len())));
        for entry in &mut unsupported {
            entry.places.sort_by(|left, right| (&left.file, left.line, left.column).cmp(&(&right.file, right.line, right.column)));
        }
        Report { findings, unsupported, files: self.sources.count(), without_names: self.request.inventory.is_none() }
    }

    fn unasked_tags(&mut self) {
        if self.tags_open {
            return;
        }
        let special = ["all", "tagged", "untagged", "always", "never"];
        let tags = &self.request.tags;
        let known: BTreeSet<String> = self.tags_met.iter().cloned().collect();
        let place = self.request.playbooks.first().map(|path| Place::new(path.to_string_lossy(), 0, 0));
        let Some(place) = place else { return };
        let asked: Vec<(Severity, String)> = tags
            .only()
            .iter()
            .map(|tag| (Severity::Warning, tag.clone()))
            .chain(tags.skip().iter().map(|tag| (Severity::Hint, tag.clone())))
            .collect();
        for (severity, tag) in asked {
            if special.contains(&tag.as_str()) || known.contains(&tag) {
                continue;
            }
            let hint = did_you_mean(&tag, known.iter().map(String::as_str));
            self.with_hint(severity, "tag", &place, &tag, format!("no task carries the tag '{tag}'"), hint);
        }
    }
}
