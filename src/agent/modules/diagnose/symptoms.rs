//! What programs say when something is wrong with them, and what it means. From the sources of Patroni, etcd, PostgreSQL and HAProxy.

use serde_json::Value;

/// The longest that is told of a line.
const LONGEST: usize = 300;

/// A possible cause: the smaller its rank, the nearer it is to the root of the trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) rank: u8,
    pub(super) sentence: String,
}

struct Symptom {
    rank: u8,
    /// Texts in lower case: alternatives between `|`, of which one may be of parts that go together between `&`.
    says: &'static str,
    means: &'static str,
    /// What the program says when it is over.
    over: &'static str,
}

const fn symptom(rank: u8, says: &'static str, means: &'static str, over: &'static str) -> Symptom {
    Symptom { rank, says, means, over }
}

/// The rank of data that is another cluster's.
pub(super) const MISMATCH: u8 = 18;
/// The rank of an etcd that does not answer: its own trouble explains it, and it explains Patroni's.
pub(super) const ETCD: u8 = 60;
/// The rank of a unit that does not run.
pub(super) const UNIT: u8 = 80;

const STARTED: &str = "ready to accept connections|ready to serve client requests";
const IN_CLUSTER: &str = "no action. |lock owner: ";

/// In the order of their ranks: a line is explained by the first that fits.
const SYMPTOMS: &[Symptom] = &[
    symptom(5, "no space left on device|disk quota exceeded", "a disk is full", ""),
    symptom(8, "out of memory|cannot allocate memory|oom-kill", "there is not enough memory", STARTED),
    symptom(12, "cannot assign requested address", "an address to listen at is not one of this host's", STARTED),
    symptom(13, "could not bind|address already in use|cannot bind socket", "a port is in use already", STARTED),
    symptom(
        15,
        "has wrong ownership|has invalid permissions|permission denied|operation not permitted",
        "owner or permissions are wrong",
        STARTED,
    ),
    symptom(MISMATCH, "system id mismatch|system identifier differs", "the data on this host belongs to another cluster", IN_CLUSTER),
    symptom(20, "cluster id mismatch|cluster-id mismatch", "etcd on this host holds data of another etcd cluster than its peers", ""),
    symptom(
        22,
        "has already been bootstrapped",
        "the etcd cluster knows this member already, but its data is gone: remove the member, and add it again",
        STARTED,
    ),
    symptom(22, "permanently removed from the cluster", "this host was removed from the etcd cluster, but its data is still here", STARTED),
    symptom(
        24,
        "member count is unequal|couldn't find local name|missing from --initial-advertise-peer-urls|unmatched member while checking",
        "etcd's settings do not fit the members of its cluster",
        STARTED,
    ),
    symptom(26, "there is already a node named", "another Patroni runs under this node's name", IN_CLUSTER),
    symptom(28, "password authentication failed for user \"repl", "the password of replication is refused", "started streaming wal"),
    symptom(
        28,
        "no pg_hba.conf entry for replication",
        "the leader's pg_hba.conf does not let this host replicate",
        "started streaming wal",
    ),
    symptom(
        30,
        "requested wal segment&has already been removed",
        "the leader has no longer the WAL that this replica needs: copy it anew with pgfleet reinit",
        "started streaming wal",
    ),
    symptom(
        32,
        "database files are incompatible|initialized by postgresql version",
        "the data is of another version of PostgreSQL",
        STARTED,
    ),
    symptom(34, "could not load library|could not access file \"", "a library that PostgreSQL's settings name is not installed", STARTED),
    symptom(
        36,
        "unrecognized configuration parameter|invalid value for parameter|syntax error in file",
        "PostgreSQL does not take its settings",
        STARTED,
    ),
    symptom(37, "configuration file&contains errors", "PostgreSQL does not take its settings", STARTED),
    symptom(38, "initdb: error", "initdb failed", STARTED),
    symptom(40, "lock file \"postmaster.pid\" already exists", "another PostgreSQL runs on this data", STARTED),
    symptom(42, "dir for the cluster is not empty|exists but is not empty", "the folder of the data holds something else", STARTED),
    symptom(44, "valid checkpoint record|required checkpoint|invalid page in block", "PostgreSQL's data is damaged", STARTED),
    symptom(46, "fatal errors found in configuration|unknown keyword", "HAProxy does not take its configuration", ""),
    symptom(50, "failed to bootstrap|removing initialize key", "the first start of the cluster failed", IN_CLUSTER),
    symptom(
        ETCD + 2,
        "failed to get list of machines|error communicating with dcs|dcs is not accessible|no more machines in the cluster",
        "Patroni does not reach etcd",
        IN_CLUSTER,
    ),
    symptom(
        ETCD + 4,
        "etcdserver: no leader|etcdserver: request timed out|lost the tcp streaming connection|prober detected unhealthy status",
        "etcd does not reach its peers",
        "ready to serve client requests|established tcp streaming connection",
    ),
    symptom(
        66,
        "could not connect to the primary server|pg_basebackup: error|could not receive data from wal stream",
        "the leader's data does not come over",
        "started streaming wal",
    ),
    symptom(
        70,
        "waiting for leader to bootstrap|bootstrap in progress",
        "another node is creating the cluster, and this one waits for it",
        IN_CLUSTER,
    ),
    symptom(72, "bootstrap from leader", "the copy of the leader's data is still under way", IN_CLUSTER),
];

/// What the lines of one program tell, oldest first; that which was over by the end is no cause.
pub(super) fn find(program: &str, lines: &[&str]) -> Vec<Cause> {
    let lower: Vec<String> = lines.iter().map(|line| line.to_ascii_lowercase()).collect();
    let mut explained = Vec::new();
    let mut causes = Vec::new();
    for symptom in SYMPTOMS {
        let Some(at) = lower.iter().rposition(|line| fits(symptom.says, line)) else { continue };
        if explained.contains(&at) || lower[at..].iter().any(|line| fits(symptom.over, line)) {
            continue;
        }
        explained.push(at);
        causes.push(Cause { rank: symptom.rank, sentence: format!("{} ({program}: {})", symptom.means, essence(lines[at])) });
    }
    causes
}

fn fits(pattern: &str, line: &str) -> bool {
    !pattern.is_empty() && pattern.split('|').any(|texts| texts.split('&').all(|text| line.contains(text)))
}

/// The last line that tells of an error; the last one of all where none does.
pub(super) fn last_error<'a>(lines: &[&'a str]) -> Option<&'a str> {
    const WORDS: &str = "error|fatal|panic|critical|[alert]|exception|failed";
    lines.iter().rev().find(|line| fits(WORDS, &line.to_ascii_lowercase())).or(lines.last()).copied()
}

/// A line without the time and the like that programs put before it; of etcd's JSON what a person reads.
pub(super) fn essence(line: &str) -> String {
    let json: Option<Value> = line.starts_with('{').then(|| serde_json::from_str(line).ok()).flatten();
    let mut text = match &json {
        Some(entry) => ["msg", "error", "address"].iter().filter_map(|name| entry[*name].as_str()).collect::<Vec<_>>().join(": "),
        None => {
            let level = ["FATAL: ", "PANIC: ", "CRITICAL: ", "ERROR: ", "WARNING: ", "INFO: ", "LOG: "];
            let start = level.iter().filter_map(|level| line.find(level).map(|at| at + level.len())).min();
            line[start.unwrap_or(0)..].trim().to_owned()
        }
    };
    shorten(&mut text);
    text
}

pub(super) fn shorten(text: &mut String) {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
}

#[cfg(test)]
mod tests {
    use super::{SYMPTOMS, essence, find, fits};

    fn check(lines: &[&str], expect: &[&str]) {
        let mut causes = find("x", lines);
        causes.sort_by_key(|cause| cause.rank);
        let found: Vec<_> = causes.iter().map(|cause| cause.sentence.as_str()).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn what_programs_say_is_explained_until_it_is_over() {
        let mismatch = "2026-01-05 10:00:00,123 CRITICAL: system ID mismatch, node node2 belongs to a different cluster: 1 != 2";
        let explained =
            "the data on this host belongs to another cluster (x: system ID mismatch, node node2 belongs to a different cluster: 1 != 2)";
        check(&[mismatch], &[explained]);
        let unreachable = "2026-01-05 10:00:00,123 ERROR: Error communicating with DCS";
        check(&[unreachable], &["Patroni does not reach etcd (x: Error communicating with DCS)"]);
        check(&[unreachable, "2026-01-05 10:00:10,123 INFO: no action. I am (node1), the leader with the lock"], &[]);
        check(
            &[
                r#"{"level":"warn","msg":"lost the TCP streaming connection","error":"EOF"}"#,
                r#"{"level":"fatal","msg":"discovery failed","error":"member 91bc has already been bootstrapped"}"#,
            ],
            &[
                "the etcd cluster knows this member already, but its data is gone: remove the member, and add it again (x: discovery failed: member 91bc has already been bootstrapped)",
                "etcd does not reach its peers (x: lost the TCP streaming connection: EOF)",
            ],
        );
        check(
            &["LOG:  could not bind IPv4 address \"10.0.0.9\": Cannot assign requested address"],
            &[
                "an address to listen at is not one of this host's (x: could not bind IPv4 address \"10.0.0.9\": Cannot assign requested address)",
            ],
        );
        check(&["FATAL:  requested WAL segment 00000001 is there", "no action. all is well"], &[]);
    }

    #[test]
    fn symptoms_are_in_order_and_in_lower_case() {
        assert!(SYMPTOMS.is_sorted_by_key(|symptom| symptom.rank));
        for symptom in SYMPTOMS {
            assert_eq!(symptom.says, symptom.says.to_ascii_lowercase());
            assert_eq!(symptom.over, symptom.over.to_ascii_lowercase());
            assert!(!fits(symptom.over, symptom.says), "{} would be over at once", symptom.says);
        }
    }

    #[test]
    fn long_lines_end_early_and_between_characters() {
        let long = essence(&format!("a{}", "\u{e9}".repeat(400)));
        assert!(long.len() <= 303 && long.ends_with("\u{e9}..."), "{long}");
    }
}
