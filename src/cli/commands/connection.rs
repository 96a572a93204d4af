//! `pgfleet connection`.

use pgfleet_cluster::{Format, Role, Through, Way, ways, written};
use pgfleet_engine::Stop;
use pgfleet_workflows::{Connection, Project, Tried, WorkflowError, connection};
use serde_json::json;

use crate::args::{FormatArg, RoleArg, TextOutput, WaysArgs};
use crate::exit::Exit;
use crate::interrupt::until_done;
use crate::table::Table;
use crate::{screen, settings};

pub(crate) async fn run(project: Project, args: WaysArgs) -> Result<Exit, WorkflowError> {
    let stop = Stop::default();
    let wish = settings::wish_to_look(project, &args.source, &args.connection, stop.clone())?;
    let Some(connection) = until_done(connection(&wish, args.test), &stop).await else { return Ok(Exit::Interrupted) };
    let connection = connection?;
    let wanted = |way: &Way| args.role.is_none_or(|role| role_of(role) == way.role);
    let ways: Vec<Way> = ways(&connection.endpoints).into_iter().filter(wanted).collect();
    let tried: Vec<&Tried> = connection.tried.iter().filter(|tried| wanted(&tried.way)).collect();
    if args.output == TextOutput::Json {
        screen::line(&json(&connection, &ways, &tried, &args).to_string());
    } else {
        show(&connection, &ways, &args);
        show_tried(&tried);
    }
    Ok(if tried.iter().all(|tried| tried.error.is_none()) { Exit::Done } else { Exit::NotHealthy })
}

pub(crate) fn role_of(role: RoleArg) -> Role {
    match role {
        RoleArg::Leader => Role::Leader,
        RoleArg::Replica => Role::Replica,
        RoleArg::Any => Role::Any,
    }
}

fn formats(format: FormatArg) -> Vec<(&'static str, Format)> {
    let all = [
        (FormatArg::Libpq, "libpq", Format::Libpq),
        (FormatArg::Jdbc, "jdbc", Format::Jdbc),
        (FormatArg::Rust, "rust", Format::Rust),
        (FormatArg::Python, "python", Format::Python),
        (FormatArg::Go, "go", Format::Go),
    ];
    all.into_iter().filter(|(arg, ..)| format == FormatArg::All || format == *arg).map(|(_, name, format)| (name, format)).collect()
}

fn text_of(connection: &Connection, way: &Way, format: Format, show_password: bool) -> String {
    let password = connection.password.as_ref().filter(|_| show_password).map(|(_, password)| password.reveal());
    written(way, format, &connection.endpoints.user, &connection.endpoints.database, password)
}

fn show(connection: &Connection, ways: &[Way], args: &WaysArgs) {
    for (name, format) in formats(args.format) {
        if args.format == FormatArg::All {
            screen::line(&format!("{name}:"));
        }
        let mut table = Table::new(&["Reaches", "Through", "Connection"]);
        for way in ways {
            table.row(vec![
                role_name(way.role).to_owned(),
                through(way.through).to_owned(),
                text_of(connection, way, format, args.show_password),
            ]);
        }
        table.lines().iter().for_each(|line| screen::line(line));
        screen::line("");
    }
    screen::line(
        "The service name works on every node and on hosts of postgresql_clients; the others from every host that reaches the nodes.",
    );
    if let Some(file) = &connection.authority {
        screen::line(&format!(
            "To be certain whom it talks to, a client adds sslmode=verify-full (JDBC, libpq) and trusts {}.",
            file.display()
        ));
    }
    if let (false, Some((file, _))) = (args.show_password, &connection.password) {
        screen::line(&format!("The password is in {}; --show-password writes it into the connections.", file.display()));
    }
}

fn show_tried(tried: &[&Tried]) {
    let Some(first) = tried.first() else { return };
    screen::line(&format!("\nTried from {}:", first.from));
    let mut table = Table::new(&["Reaches", "Through", "Answered", "Role", "Time"]);
    for tried in tried {
        let answered = tried.node.clone().unwrap_or_else(|| "nobody".to_owned());
        let role = tried.role.map(role_name).unwrap_or_default();
        let time = format!("{:.0} ms", tried.seconds * 1000.0);
        let time = tried.error.as_ref().map_or(time.clone(), |error| format!("{time}  {}", screen::plain(error)));
        table.row(vec![role_name(tried.way.role).to_owned(), through(tried.way.through).to_owned(), answered, role.to_owned(), time]);
    }
    table.lines().iter().for_each(|line| screen::line(line));
}

fn json(connection: &Connection, ways: &[Way], tried: &[&Tried], args: &WaysArgs) -> serde_json::Value {
    let mut rows = Vec::new();
    for (name, format) in formats(args.format) {
        for way in ways {
            let text = text_of(connection, way, format, args.show_password);
            let mut row = json!({"format": name, "role": way.role, "through": way.through, "connection": text});
            if let Some(tried) = tried.iter().find(|tried| tried.way == *way) {
                row["tried"] = json!({
                    "from": tried.from, "node": tried.node, "role": tried.role, "error": tried.error, "seconds": tried.seconds,
                });
            }
            rows.push(row);
        }
    }
    json!({"user": connection.endpoints.user, "database": connection.endpoints.database, "authority": connection.authority, "connections": rows})
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Replica => "replica",
        Role::Any => "any",
    }
}

fn through(through: Through) -> &'static str {
    match through {
        Through::Service => "service name",
        Through::Haproxy => "HAProxy",
        Through::Direct => "nodes directly",
    }
}
