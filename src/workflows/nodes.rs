//! The nodes of a cluster as actions reach them: questions over HTTP, SQL, programs. All of it is done by the agents.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use pgfleet_cluster::{ClusterView, NodeAnswer, Questions, questions_at};
use pgfleet_engine::{ActionHost, Contact, Content, Fleet, Incoming, Unreachable};
use pgfleet_protocol::{Map, Mode, Outcome, Request};
use serde::Deserialize;
use serde_json::{Value, json};

/// Above a program's own limits, so that those speak first.
const GRACE: Duration = Duration::from_secs(15);

/// The name of the machine that pgfleet runs on, where it is a client itself.
const HERE: &str = "this machine";

/// Where HAProxy takes commands; `templates/haproxy.cfg.j2` says so too.
const HAPROXY: &str = "/run/haproxy/admin.sock";

/// What the variable `cluster_node` says of a node; `playbooks/postgresql/vars/cluster.yml` makes it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NodeSettings {
    /// Its name in the inventory, and in Patroni and etcd.
    pub(crate) name: String,
    /// Its address.
    pub(crate) address: String,
    /// The cluster's name.
    pub(crate) cluster: String,
    /// It has a PostgreSQL.
    pub(crate) is_node: bool,
    /// It has an etcd.
    pub(crate) is_voter: bool,
    /// Patroni's REST API.
    pub(crate) patroni_url: String,
    /// What changes through it ask for.
    pub(crate) patroni_password: String,
    /// Seconds between two looks of Patroni.
    pub(crate) patroni_loop_wait: u64,
    /// Where its etcd is asked, over TLS or not as it speaks.
    pub(crate) etcd_url: String,
    /// etcd's data.
    pub(crate) etcd_dir: String,
    /// PostgreSQL's port.
    pub(crate) port: u16,
    /// PostgreSQL's programs.
    pub(crate) bin_dir: String,
    /// PostgreSQL's data.
    pub(crate) data_dir: String,
    /// HAProxy's port of the leader.
    pub(crate) leader_port: u16,
    /// The address that the service name stands for.
    pub(crate) service_address: String,
    /// The application's user.
    pub(crate) app_user: String,
    /// The application's password.
    pub(crate) app_password: String,
    /// The application's database.
    pub(crate) database: String,
    /// Who reads backups; the user postgres may log in as it over the socket.
    pub(crate) backup_user: String,
    /// What preflight.sh is asked, where a play inspects hosts.
    #[serde(default)]
    pub(crate) inspect: Map,
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    contact: Contact,
    settings: NodeSettings,
}

impl std::ops::Deref for Node {
    type Target = NodeSettings;

    fn deref(&self) -> &NodeSettings {
        &self.settings
    }
}

impl Node {
    /// Nothing where a client may log in as the application; otherwise why it may not.
    pub(crate) fn knows_app_password(&self) -> Result<(), String> {
        if self.app_password.is_empty() {
            return Err(format!(
                "the password of {} is not in state, so nobody can log in with it from here: 'pgfleet secrets rotate app' makes a new one",
                self.app_user
            ));
        }
        Ok(())
    }

    /// This machine itself, as a client of the cluster that this node is part of.
    pub(crate) fn here(&self) -> Self {
        let variables = Map::from_iter([("ansible_connection".to_owned(), "local".into())]);
        let contact = Contact { host: HERE.to_owned(), variables, r#become: None, lane: 0 };
        Self { contact, settings: NodeSettings { name: HERE.to_owned(), ..self.settings.clone() } }
    }
}

/// The answer to an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 200 and the like.
    pub(crate) status: u64,
    /// As it came.
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit code; below zero for a signal.
    pub(crate) rc: i64,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it complained of.
    pub(crate) stderr: String,
}

/// All nodes of the play.
#[derive(Clone)]
pub(crate) struct Nodes {
    fleet: Arc<dyn Fleet>,
    nodes: Vec<Node>,
}

impl Nodes {
    /// The nodes among the hosts of a play.
    ///
    /// # Errors
    /// What is wrong with a host's `cluster_node`.
    pub(crate) fn new(fleet: Arc<dyn Fleet>, hosts: Vec<ActionHost>) -> Result<Self, String> {
        let node = |host: ActionHost| match serde_json::from_value(host.node) {
            Ok(settings) => Ok(Node { contact: host.contact, settings }),
            Err(error) => Err(format!("{}: the variable 'cluster_node' is not as vars/cluster.yml makes it: {error}", host.contact.host)),
        };
        Ok(Self { fleet, nodes: hosts.into_iter().map(node).collect::<Result<_, _>>()? })
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Node] {
        &self.nodes
    }

    /// Those with a PostgreSQL.
    pub(crate) fn databases(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_node)
    }

    /// The node of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// A way to a node that does not keep the fleet: `None` once the run is over.
    pub(crate) fn loosely(&self, node: &Node) -> impl Fn() -> Option<(Arc<dyn Fleet>, Contact)> + Send + 'static {
        let (fleet, contact) = (Arc::downgrade(&self.fleet), node.contact.clone());
        move || Some((fleet.upgrade()?, contact.clone()))
    }

    /// Does one call on a node, as root.
    pub(crate) async fn call(&self, node: &Node, module: &str, arguments: Value) -> Result<Outcome, Unreachable> {
        self.call_with(node, 0, module, arguments, None, None).await
    }

    /// The same beside other calls on that node: those of another lane do not wait for each other.
    pub(crate) async fn call_with(
        &self,
        node: &Node,
        lane: u8,
        module: &str,
        arguments: Value,
        content: Option<Content>,
        sink: Option<Box<dyn Incoming>>,
    ) -> Result<Outcome, Unreachable> {
        let Value::Object(arguments) = arguments else { return Err(Unreachable::new("arguments are a mapping")) };
        let request = Request {
            id: 0,
            module: module.to_owned(),
            arguments,
            mode: Mode::Apply,
            diff: false,
            brief: false,
            environment: Vec::new(),
            detached: None,
        };
        let contact = Contact { lane, ..node.contact.clone() };
        self.fleet.call(&contact, request, content, sink).await
    }

    /// Asks over HTTP, from the node itself.
    ///
    /// # Errors
    /// Why there is no answer: of the connection, or of the node.
    pub(crate) async fn get(&self, node: &Node, url: &str) -> Result<Answer, String> {
        self.ask(node, 0, json!({"url": url, "timeout": 5})).await
    }

    /// Asks the node's Patroni for a change, with the password. `limit` is how long it may work on it.
    ///
    /// # Errors
    /// As [`Self::get`]. An answer that does not come does not mean that nothing happens.
    pub(crate) async fn patroni(&self, node: &Node, method: &str, path: &str, body: &Value, limit: Duration) -> Result<Answer, String> {
        let question = json!({
            "url": format!("{}{path}", node.patroni_url),
            "method": method,
            "body": body,
            "user": "patroni",
            "password": node.patroni_password,
            "timeout": limit.as_secs(),
        });
        // In a lane of its own: others look at the node while it works.
        self.ask(node, 1, question).await
    }

    /// Asks over HTTP, as the module `probe` has it, beside calls of other lanes.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn ask(&self, node: &Node, lane: u8, question: Value) -> Result<Answer, String> {
        let seconds = question["timeout"].as_u64().unwrap_or(5);
        let call = self.call_with(node, lane, "probe", json!({"http": {"it": question}, "timeout": seconds}), None, None);
        let outcome = tokio::time::timeout(Duration::from_secs(seconds) + GRACE, call).await;
        let outcome = outcome.map_err(|_| format!("{} does not answer", node.name))?.map_err(|error| error.message)?;
        let answer = &outcome.data["http"]["it"];
        match answer["error"].as_str() {
            Some("") | None if answer["status"].is_u64() => Ok(Answer {
                status: answer["status"].as_u64().unwrap_or_default(),
                body: answer["body"].as_str().unwrap_or_default().to_owned(),
            }),
            error => Err(format!("{}: {}", node.name, error.unwrap_or("no answer"))),
        }
    }

    /// Asks a node's own etcd, by the JSON that it speaks beside gRPC.
    ///
    /// # Errors
    /// Why there is no answer, or what etcd objects to.
    pub(crate) async fn etcd(&self, node: &Node, lane: u8, path: &str, body: &Value, limit: Duration) -> Result<Value, String> {
        let question = json!({"url": format!("{}{path}", node.etcd_url), "method": "POST", "body": body, "timeout": limit.as_secs()});
        let answer = self.ask(node, lane, question).await?;
        match answer.status {
            200 => Ok(answer.json().unwrap_or_default()),
            status => Err(format!("{}: etcd answers {status}: {}", node.name, answer.body.trim())),
        }
    }

    /// Speaks to HAProxy on a node through its socket; gives its answer.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn haproxy(&self, node: &Node, commands: &str) -> Result<String, String> {
        let question = json!({"sockets": {"it": {"path": HAPROXY, "send": format!("{commands}\n")}}, "timeout": 5});
        // In a lane of its own: it must not wait for what is asked meanwhile.
        let call = tokio::time::timeout(GRACE, self.call_with(node, 2, "probe", question, None, None)).await;
        let outcome = call.map_err(|_| format!("{} does not answer", node.name))?.map_err(|error| error.message)?;
        let answer = &outcome.data["sockets"]["it"];
        match answer["error"].as_str() {
            Some("") => Ok(answer["answer"].as_str().unwrap_or_default().to_owned()),
            error => Err(format!("{}: HAProxy: {}", node.name, error.unwrap_or("no answer"))),
        }
    }

    /// Runs a program on a node, as root, with text for its standard input.
    ///
    /// # Errors
    /// When the node cannot be reached, or the program not started or not ended in time. That it fails is no error.
    pub(crate) async fn run(&self, node: &Node, argv: &[&str], stdin: &str, limit: Duration) -> Result<Ended, String> {
        self.run_beside(node, 0, argv, stdin, limit).await
    }

    /// The same beside calls of other lanes.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) async fn run_beside(&self, node: &Node, lane: u8, argv: &[&str], stdin: &str, limit: Duration) -> Result<Ended, String> {
        let arguments = json!({
            "argv": argv, "stdin": stdin, "stdin_add_newline": false, "strip_empty_ends": false, "expand_argument_vars": false,
        });
        let call = tokio::time::timeout(limit, self.call_with(node, lane, "command", arguments, None, None)).await;
        let program = argv.first().copied().unwrap_or_default();
        let outcome = call.map_err(|_| format!("{}: {program} took longer than {} s", node.name, limit.as_secs()))?;
        let outcome = outcome.map_err(|error| error.message)?;
        let Some(rc) = outcome.data.get("rc").and_then(Value::as_i64) else { return Err(format!("{}: {}", node.name, outcome.message)) };
        let text = |name: &str| outcome.data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Ended { rc, stdout: text("stdout"), stderr: text("stderr") })
    }

    /// Runs SQL on a node's own PostgreSQL, as superuser over its socket; gives what psql printed, unaligned, without headers.
    ///
    /// # Errors
    /// What PostgreSQL says, or why it could not be asked.
    pub(crate) async fn sql(&self, node: &Node, database: &str, sql: &str, limit: Duration) -> Result<String, String> {
        let port = node.port.to_string();
        // After -d a name with '=' in it would be taken for connection settings.
        let database = format!("PGDATABASE={database}");
        let argv = [
            "runuser",
            "-u",
            "postgres",
            "--",
            "env",
            "PGCONNECT_TIMEOUT=5",
            database.as_str(),
            "psql",
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-p",
            port.as_str(),
        ];
        // A statement that is given up must end on the server too.
        let sql = format!("SET statement_timeout = {};\n{sql}\n", limit.as_millis());
        let ended = self.run(node, &argv, &sql, limit + GRACE).await?;
        if ended.rc == 0 { Ok(ended.stdout.trim_end().to_owned()) } else { Err(format!("{}: {}", node.name, complaint(&ended.stderr))) }
    }

    /// The rows of a query, each a JSON object.
    ///
    /// # Errors
    /// As [`Self::sql`].
    pub(crate) async fn rows(&self, node: &Node, database: &str, query: &str, limit: Duration) -> Result<Vec<Map>, String> {
        let query = format!("SELECT coalesce(json_agg(row_to_json(answer)), '[]') FROM ({query}) AS answer;");
        let text = self.sql(node, database, &query, limit).await?;
        serde_json::from_str(&text).map_err(|error| format!("{}: an answer that is no JSON: {error}", node.name))
    }

    /// The column `name` of what a query gives, whatever signs the names have.
    pub(crate) async fn names(&self, node: &Node, query: &str, limit: Duration) -> Result<Vec<String>, String> {
        let rows = self.rows(node, "postgres", query, limit).await?;
        Ok(rows.iter().filter_map(|row| row.get("name")?.as_str().map(str::to_owned)).collect())
    }

    /// Looks at the whole cluster: one question to each node, all at once.
    pub(crate) async fn view(&self) -> (ClusterView, Vec<NodeAnswer>) {
        let answers = self.answers(questions_at).await;
        (ClusterView::from_answers(&answers), answers)
    }

    /// Asks each node the same, all at once; the questions are made of the addresses of its Patroni and its etcd.
    pub(crate) async fn answers(&self, questions: fn(&str, &str) -> Questions) -> Vec<NodeAnswer> {
        join_all(self.nodes.iter().map(|node| self.answer(node, questions(&node.patroni_url, &node.etcd_url)))).await
    }

    async fn answer(&self, node: &Node, questions: Questions) -> NodeAnswer {
        let arguments = json!({"http": questions.http, "commands": questions.commands, "units": questions.units, "timeout": 4});
        let call = tokio::time::timeout(Duration::from_secs(4) + GRACE, self.call(node, "probe", arguments)).await;
        let probe = match call {
            Err(_) => Err(format!("{} does not answer", node.name)),
            Ok(Err(error)) => Err(error.message),
            Ok(Ok(outcome)) => Ok(Value::Object(outcome.data)),
        };
        NodeAnswer { node: node.name.clone(), is_voter: node.is_voter, is_database: node.is_node, probe }
    }
}

/// What psql complained of, without its own name before it.
fn complaint(stderr: &str) -> String {
    let lines =
        stderr.lines().map(|line| line.strip_prefix("psql:<stdin>:").and_then(|line| line.split_once(": ")).map_or(line, |(_, rest)| rest));
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}
