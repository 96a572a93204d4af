//! A cluster's answers, and what the view makes of them. The bodies are as Patroni 4.0.7 and etcd 3.5.16 gave them.

use pgfleet_cluster::{ClusterView, EtcdMove, NodeAnswer, Severity, etcd_move};
use serde_json::{Value, json};

fn member(name: &str, role: &str, state: &str, lag: Value) -> Value {
    let mut member = json!({"name": name, "role": role, "state": state, "api_url": format!("http://{name}:8008/patroni"), "host": name, "port": 5432, "timeline": 1});
    if !lag.is_null() {
        member["lag"] = lag;
    }
    member
}

fn answer(node: &str, role: &str, members: &[Value]) -> NodeAnswer {
    let units = json!({"etcd": {"active": "active"}, "patroni": {"active": "active"}, "haproxy": {"active": "active"}, "pgfleet-agent": {"active": "active"}});
    let body = |value: Value| json!({"status": 200, "body": value.to_string()});
    let id = match node {
        "a" => "1",
        "b" => "2",
        _ => "3",
    };
    let probe = json!({
        "units": units,
        "http": {
            "patroni": body(json!({"role": role, "patroni": {"scope": "demo"}, "dcs_last_seen": 100})),
            "cluster": body(json!({"scope": "demo", "members": members})),
            "config": body(json!({"synchronous_mode": "quorum"})),
            "etcd_members": body(json!({"members": [{"ID": "1", "name": "a"}, {"ID": "2", "name": "b"}, {"ID": "3", "name": "c"}]})),
            "etcd_status": body(json!({"header": {"member_id": id}, "leader": "2", "version": "3.5.16"})),
            "etcd_health": body(json!({"health": "true"})),
        }
    });
    NodeAnswer { node: node.to_owned(), is_voter: true, is_database: true, probe: Ok(probe) }
}

fn healthy() -> Vec<NodeAnswer> {
    let members = [
        member("a", "leader", "running", Value::Null),
        member("b", "quorum_standby", "streaming", json!(0)),
        member("c", "quorum_standby", "streaming", json!(16)),
    ];
    vec![answer("a", "primary", &members), answer("b", "replica", &members), answer("c", "replica", &members)]
}

/// The same, with what etcd says of its health.
fn healthy_with(health: &str) -> Vec<NodeAnswer> {
    let mut answers = healthy();
    for probe in answers.iter_mut().filter_map(|answer| answer.probe.as_mut().ok()) {
        probe["http"]["etcd_health"]["body"] = json!({"health": health}).to_string().into();
    }
    answers
}

#[test]
fn a_healthy_cluster_has_no_findings() {
    let view = ClusterView::from_answers(&healthy());
    assert_eq!((view.name.as_str(), view.source.as_deref(), view.synchronous_mode.as_str()), ("demo", Some("a"), "quorum"));
    assert_eq!(view.leader().map(|leader| leader.name.as_str()), Some("a"));
    assert_eq!(view.quorum(), (3, 3, 2));
    assert_eq!(view.etcd.iter().filter(|member| member.leader).map(|member| member.name.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(view.is_healthy(), "{:?}", view.findings);
}

#[test]
fn without_a_leader_the_way_to_one_is_told() {
    let told = |lost: &[&str], mode: &str| {
        let members = ["b", "c"].map(|name| member(name, "quorum_standby", "running", json!(0)));
        let mut answers: Vec<NodeAnswer> = ["a", "b", "c"].map(|node| answer(node, "replica", &members)).into();
        for answer in &mut answers {
            match &mut answer.probe {
                _ if lost.contains(&answer.node.as_str()) => answer.probe = Err("timed out".to_owned()),
                Ok(probe) => probe["http"]["config"]["body"] = json!({"synchronous_mode": mode}).to_string().into(),
                Err(_) => {}
            }
        }
        let view = ClusterView::from_answers(&answers);
        assert!(!view.findings.iter().any(|finding| finding.text.contains("not streaming")), "from whom? {:?}", view.findings);
        view.findings.iter().find(|finding| finding.text.contains("no leader")).and_then(|finding| finding.hint.clone()).expect("a way")
    };
    assert!(told(&["a"], "quorum").contains("bring one of a back"));
    for (lost, mode) in [(&["a"][..], "off"), (&[], "quorum")] {
        assert!(told(lost, mode).contains("an election takes seconds"));
    }
    assert!(told(&["a", "b"], "quorum").contains("see etcd below"));
}

#[test]
fn commits_without_a_replica_are_told() {
    let told = |state: &str, config: Value| {
        let members = [member("a", "leader", "running", Value::Null), member("b", "replica", state, Value::Null)];
        let mut answers = ["a", "b"].map(|node| answer(node, if node == "a" { "primary" } else { "replica" }, &members));
        for answer in &mut answers {
            answer.probe.as_mut().expect("an answer")["http"]["config"]["body"] = config.to_string().into();
        }
        let words = ["committed now is on a alone", "commits wait"];
        let view = ClusterView::from_answers(&answers);
        words.into_iter().find(|words| view.findings.iter().any(|finding| finding.text.contains(words))).unwrap_or("nothing")
    };
    let strict = json!({"synchronous_mode": "quorum", "synchronous_mode_strict": true});
    assert_eq!(told("stopped", json!({"synchronous_mode": "quorum"})), "committed now is on a alone");
    assert_eq!(told("stopped", strict), "commits wait");
    assert_eq!(told("stopped", json!({})), "nothing");
    assert_eq!(told("streaming", json!({"synchronous_mode": true})), "nothing");
}

/// What a status says when b's answer to one question is another.
fn told_of_b(section: &str, question: &str, said: Value) -> Vec<String> {
    let mut answers = healthy();
    answers[1].probe.as_mut().expect("an answer")[section][question] = said;
    ClusterView::from_answers(&answers).findings.into_iter().map(|finding| finding.text).collect()
}

#[test]
fn a_patroni_that_stands_still_is_told_as_that() {
    let told = told_of_b("http", "patroni", json!({"error": "no answer in time"}));
    assert_eq!(told, ["Patroni on b does not answer: no answer in time"]);
    // What the others know of it may be old: it is no reason to copy it anew.
    let mut answers = healthy();
    answers[1].probe.as_mut().expect("an answer")["http"]["patroni"] = json!({"error": "no answer in time"});
    for answer in &mut answers {
        let cluster = &mut answer.probe.as_mut().expect("an answer")["http"]["cluster"]["body"];
        *cluster = cluster.as_str().expect("text").replacen("streaming", "running", 1).into();
    }
    let view = ClusterView::from_answers(&answers);
    let of_b: Vec<_> = view.findings.iter().filter(|finding| finding.text.contains('b')).collect();
    assert!(of_b.iter().all(|finding| !finding.hint.as_deref().unwrap_or_default().contains("reinit")), "{of_b:#?}");
}

#[test]
fn a_haproxy_that_finds_no_leader_is_told() {
    let said = |stdout: &str| json!({"rc": 0, "stdout": stdout, "stderr": ""});
    assert_eq!(told_of_b("commands", "way", said("nowhere\n")), ["HAProxy on b leads to no leader: who connects there cannot write"]);
    assert_eq!(told_of_b("commands", "way", said("")), [""; 0]);
    let mut answers = healthy();
    answers[2].is_database = false;
    answers[2].probe.as_mut().expect("an answer")["commands"]["way"] = said("nowhere\n");
    let view = ClusterView::from_answers(&answers);
    assert!(!view.findings.iter().any(|finding| finding.text.contains("HAProxy")), "a voter that is a client has no such port: {view:#?}");
}

#[test]
fn commits_that_wait_are_told() {
    let told = |said: &str| {
        let mut answers = healthy();
        answers[0].probe.as_mut().expect("an answer")["commands"] = json!({"commits": {"rc": 0, "stdout": said, "stderr": ""}});
        let view = ClusterView::from_answers(&answers);
        view.findings.iter().find(|finding| finding.text.contains("commits wait")).map(|finding| finding.text.clone())
    };
    assert_eq!(told("2 61\n").as_deref(), Some("commits wait for a replica on a: 2, the oldest for 61 s"));
    assert_eq!(told(""), None);
}

#[test]
fn a_patroni_that_does_not_hear_of_etcd_is_told() {
    let found = |time: u64, healthy: &str| {
        let mut answers = healthy_with(healthy);
        answers[1].probe.as_mut().expect("an answer")["time"] = json!(time);
        let view = ClusterView::from_answers(&answers);
        view.findings.iter().any(|finding| finding.text.starts_with("Patroni on b has heard nothing of etcd for 70 s"))
    };
    assert!(found(170, "true"));
    assert!(!found(160, "true") && !found(90, "true"), "it asks now and then, and clocks differ");
    assert!(!found(170, "false"), "without a quorum nobody hears of etcd");
}

#[test]
fn a_host_that_leads_both_hands_etcd_over() {
    let both = |members: &[(&str, &str)], sick: &str| {
        let members: Vec<Value> = members.iter().map(|(name, role)| member(name, role, "streaming", Value::Null)).collect();
        let mut answers: Vec<NodeAnswer> = ["a", "b", "c"].map(|node| answer(node, "replica", &members)).into();
        for answer in answers.iter_mut().filter(|answer| answer.node == sick) {
            answer.probe = Err("timed out".to_owned());
        }
        etcd_move(&ClusterView::from_answers(&answers)).map(|EtcdMove { from, to }| format!("{from} to {to}"))
    };
    let all = [("b", "leader"), ("a", "quorum_standby"), ("c", "quorum_standby")];
    assert_eq!(both(&all, "").as_deref(), Some("b to a"));
    assert_eq!(both(&all, "a").as_deref(), Some("b to c"), "only a healthy voter can");
    assert_eq!(both(&all[..2], "").as_deref(), Some("b to c"), "a voter without a PostgreSQL comes first");
    assert_eq!(both(&[("a", "leader"), ("b", "quorum_standby")], ""), None, "they are apart");
    assert_eq!(both(&[("b", "quorum_standby")], ""), None, "nobody leads the database");
    let members = [member("b", "leader", "running", Value::Null), member("a", "quorum_standby", "streaming", json!(0))];
    let view = ClusterView::from_answers(&["a", "b", "c"].map(|node| answer(node, "replica", &members)));
    assert!(view.findings.iter().any(|finding| finding.severity == Severity::Notice && finding.text.starts_with("b leads both")));
}

#[test]
fn a_replica_that_says_it_streams_does_though_etcd_does_not_know_yet() {
    let members = [member("a", "leader", "running", Value::Null), member("b", "quorum_standby", "running", json!(0))];
    let states = |said: Value| {
        let mut answers = [answer("a", "primary", &members), answer("b", "replica", &members)];
        let questions = answers[1].probe.as_mut().expect("a probe");
        questions["http"]["patroni"] = json!({"status": 200, "body": said.to_string()});
        ClusterView::from_answers(&answers).members.into_iter().map(|member| member.state).collect::<Vec<_>>()
    };
    assert_eq!(states(json!({"role": "replica", "state": "running", "replication_state": "streaming"})), ["running", "streaming"]);
    assert_eq!(states(json!({"role": "replica", "state": "running", "replication_state": "in archive recovery"})), ["running", "running"]);
    assert_eq!(states(json!({"role": "replica", "state": "running"})), ["running", "running"]);
}

#[test]
fn a_short_question_tells_who_cannot_lead_both() {
    let without = |question: &str| {
        let mut answer = answer("b", "primary", &[]);
        let questions = answer.probe.as_mut().ok().and_then(|probe| probe["http"].as_object_mut());
        questions.expect("questions").remove(question);
        answer
    };
    let cases = [
        (answer("b", "primary", &[]), true),
        (answer("b", "replica", &[]), false),
        (answer("a", "primary", &[]), false),
        (without("patroni"), true),
        (without("etcd_status"), true),
        (NodeAnswer { is_voter: false, ..without("etcd_status") }, false),
        (NodeAnswer { is_database: false, ..without("patroni") }, false),
    ];
    for (answer, expected) in cases {
        assert_eq!(answer.may_lead_both(), expected, "{answer:?}");
    }
}

#[test]
fn a_lost_host_is_a_row_and_a_warning() {
    let mut answers = healthy();
    answers[2].probe = Err("timed out".to_owned());
    let view = ClusterView::from_answers(&answers);
    assert!(!view.is_healthy());
    assert_eq!(view.nodes[2].unreachable.as_deref(), Some("timed out"));
    assert_eq!(view.quorum(), (2, 3, 2));
    assert!(view.findings.iter().all(|finding| finding.severity == Severity::Warning), "{:?}", view.findings);
}

#[test]
fn no_leader_and_no_quorum_are_critical() {
    let members = [member("a", "replica", "running", json!("unknown"))];
    let mut answers = vec![answer("a", "replica", &members), answer("b", "replica", &[]), answer("c", "replica", &[])];
    answers[1].probe = Err("refused".to_owned());
    answers[2].probe = Err("refused".to_owned());
    let view = ClusterView::from_answers(&answers);
    let critical: Vec<_> =
        view.findings.iter().filter(|finding| finding.severity == Severity::Critical).map(|finding| finding.text.as_str()).collect();
    assert_eq!(critical.len(), 2, "{critical:?}");
}

#[test]
fn nothing_that_answers_is_said_plainly() {
    let answers = [NodeAnswer { node: "a".to_owned(), is_voter: true, is_database: true, probe: Ok(json!({"http": {}, "units": {}})) }];
    let view = ClusterView::from_answers(&answers);
    assert!(view.findings[0].text.contains("no Patroni answers"), "{:?}", view.findings);
}

#[test]
fn replicas_of_an_old_patroni_say_running() {
    let members = [member("a", "leader", "running", Value::Null), member("b", "replica", "running", json!(0))];
    let with_version = |version: &str| {
        let mut answers = vec![answer("a", "primary", &members), answer("b", "replica", &members)];
        if let Ok(probe) = &mut answers[1].probe {
            probe["http"]["patroni"]["body"] =
                json!({"role": "replica", "patroni": {"scope": "demo", "version": version}}).to_string().into();
        }
        ClusterView::from_answers(&answers)
    };
    let well = |view: &ClusterView| view.members[1].is_well();
    assert!(well(&with_version("3.0.2")) && !well(&with_version("3.1.0")) && !well(&with_version("4.0.7")));
}

#[test]
fn a_replica_that_is_made_anew_needs_no_other_copy() {
    let told = |state: &str| {
        let members = [member("a", "leader", "running", Value::Null), member("b", "replica", state, json!("unknown"))];
        let view = ClusterView::from_answers(&[answer("a", "primary", &members), answer("b", "replica", &members)]);
        let hints = view.findings.iter().filter(|finding| finding.text.starts_with("b ")).filter_map(|finding| finding.hint.clone());
        hints.collect::<Vec<_>>().join("; ")
    };
    assert!(told("stopped").contains("pgfleet reinit b"), "{}", told("stopped"));
    assert!(!told("creating replica").contains("reinit") && told("creating replica").contains("--watch"));
}

#[test]
fn two_that_lead_are_critical() {
    let mut answers = healthy();
    if let Ok(probe) = &mut answers[2].probe {
        probe["http"]["patroni"]["body"] = json!({"role": "primary", "patroni": {"scope": "demo"}}).to_string().into();
    }
    let view = ClusterView::from_answers(&answers);
    let told: Vec<_> = view.findings.iter().map(|finding| (finding.severity, finding.text.as_str())).collect();
    assert_eq!(told, [(Severity::Critical, "c says that it leads too, beside a")]);
}

#[test]
fn hosts_that_cannot_be_reached_are_not_called_down() {
    let mut answers = healthy();
    answers.iter_mut().for_each(|answer| answer.probe = Err(format!("{}: no connection", answer.node)));
    let view = ClusterView::from_answers(&answers);
    let told: Vec<_> = view.findings.iter().map(|finding| finding.text.as_str()).collect();
    let each = ["a cannot be reached: no connection", "b cannot be reached: no connection", "c cannot be reached: no connection"];
    assert_eq!(told, [&["no host of the cluster can be reached"][..], &each].concat());
}

#[test]
fn an_alarm_of_etcd_is_told_with_who_raised_it() {
    let mut answers = healthy();
    for answer in &mut answers {
        let http = &mut answer.probe.as_mut().expect("it answers")["http"];
        http["etcd_health"] = json!({"status": 503, "body": r#"{"health":"false","reason":"ALARM NOSPACE"}"#});
        let mut status: Value = serde_json::from_str(http["etcd_status"]["body"].as_str().expect("JSON")).expect("JSON");
        status["errors"] = json!(["memberID:3 alarm:NOSPACE "]);
        http["etcd_status"]["body"] = json!(status.to_string());
    }
    let view = ClusterView::from_answers(&answers);
    let told: Vec<_> = view.findings.iter().map(|finding| (finding.severity, finding.text.as_str())).collect();
    let full = "etcd takes no writes: its database on c is full (alarm NOSPACE)";
    assert_eq!(told, [(Severity::Critical, format!("{full}: no other node can take over").as_str())]);
    assert_eq!(view.may_decide().expect_err("no").reason, full);
    assert!(view.etcd.iter().any(|voter| voter.leader && voter.name == "b"), "who leads is known all the same");
}

/// What openssl says of it twenty days from now, and of now where it will be over by then.
fn with_certificates(answers: &mut [NodeAnswer], said: [&str; 3]) {
    for (answer, said) in answers.iter_mut().zip(said) {
        if let Ok(probe) = &mut answer.probe {
            probe["commands"] = json!({"certificate": {"rc": 1, "stdout": said, "stderr": ""}});
        }
    }
}

#[test]
fn the_end_of_the_authority_is_told() {
    let told = |said: &str| {
        let mut answers = healthy();
        answers[1].probe.as_mut().expect("an answer")["commands"] = json!({"authority": {"rc": 1, "stdout": said, "stderr": ""}});
        let view = ClusterView::from_answers(&answers);
        view.findings.iter().map(|finding| (finding.severity, finding.text.clone())).next()
    };
    let soon = told("Certificate will expire\nCertificate will not expire\n").expect("a finding");
    assert_eq!(soon, (Severity::Warning, "the certificate authority ends within 90 days".to_owned()));
    let (severity, text) = told("Certificate will expire\nCertificate will expire\n").expect("a finding");
    assert!(severity == Severity::Critical && text.contains("has ended"), "{text}");
    assert_eq!(told("Certificate will not expire\n"), None);
}

#[test]
fn a_certificate_that_ends_soon_is_a_warning() {
    let mut answers = healthy();
    with_certificates(&mut answers, ["Certificate will not expire\n", "Certificate will expire\nCertificate will not expire\n", ""]);
    let view = ClusterView::from_answers(&answers);
    let told: Vec<_> = view.findings.iter().map(|finding| (finding.severity, finding.text.as_str())).collect();
    assert_eq!(told, [(Severity::Warning, "the certificate of b ends within 20 days")]);
}

#[test]
fn certificates_that_have_ended_are_the_cause_of_what_does_not_answer() {
    let mut answers = healthy();
    with_certificates(&mut answers, ["Certificate will expire\nCertificate will expire\n"; 3]);
    for answer in &mut answers {
        let probe = answer.probe.as_mut().expect("it answers");
        probe["http"].as_object_mut().expect("answers").values_mut().for_each(|said| *said = json!({"error": "certificate expired"}));
    }
    let view = ClusterView::from_answers(&answers);
    let critical: Vec<_> = view.findings.iter().filter(|finding| finding.severity == Severity::Critical).collect();
    let told: Vec<_> = critical.iter().map(|finding| (finding.text.as_str(), finding.hint.is_some())).collect();
    assert_eq!(
        told,
        [
            ("certificates have ended: Patroni, etcd and HAProxy do not trust a, b, c any more", true),
            ("no Patroni can be asked: whether the cluster works is not known", false),
            ("etcd has no quorum: 0 of 3 voters are healthy, 2 are needed", false),
        ]
    );
}

#[test]
fn the_run_that_has_the_cluster_is_told() {
    let answer = |node: &str, said: &str| NodeAnswer {
        node: node.to_owned(),
        is_voter: true,
        is_database: true,
        probe: Ok(serde_json::json!({"commands": {"lease": {"rc": 0, "stdout": said}}})),
    };
    let record = r#"{"token":"t","who":"deploy by ann on desk (process 12)","since":1000,"agent":7}"#;
    let lease =
        ClusterView::from_answers(&[answer("a", ""), answer("b", &format!("{record}\n1012\n")), answer("c", &format!("{record}\n1030\n"))])
            .lease;
    let lease = lease.expect("somebody has it");
    assert_eq!((lease.who.as_str(), lease.since, lease.age), ("deploy by ann on desk (process 12)", 1000, 12));
    assert_eq!(lease.hosts, ["b", "c"]);
    assert_eq!(ClusterView::from_answers(&[answer("a", ""), answer("b", "not JSON\n12\n")]).lease, None);
}
