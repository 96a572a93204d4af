//! After a total loss: are the hosts empty, and then everything of a backup into the new cluster.

use std::time::Duration;

use futures::future::{join_all, try_join_all};

use super::load::Loader;
use super::sql::create;
use super::{Done, Meter, SHORT, Trouble, Work, leader, source};
use crate::nodes::Node;
use crate::sql::{ident, literal};

const STOP: Duration = Duration::from_secs(330);

/// What of a cluster is on a host.
const LOOK: &str = "[ ! -e \"$1/PG_VERSION\" ] || echo \"PostgreSQL's data in $1\"; [ ! -d \"$2/member\" ] || echo \"etcd's data in $2\"; \
    pgrep -x patroni >/dev/null && echo 'a Patroni that runs' || true";

/// `cluster_vacant`: no host holds data of a cluster; where one does, it is emptied only when the cluster's name was given for that.
pub(crate) async fn vacant(work: &Work) -> Result<Done, Trouble> {
    let found: Vec<(&Node, String)> = try_join_all(work.nodes.all().iter().map(|node| async move {
        let ended = work.nodes.run(node, &["sh", "-c", LOOK, "look", &node.data_dir, &node.etcd_dir], "", SHORT).await?;
        Ok::<_, String>((node, ended.stdout.trim().replace('\n', ", ")))
    }))
    .await?;
    let holding: Vec<&(&Node, String)> = found.iter().filter(|(_, what)| !what.is_empty()).collect();
    let Some((first, _)) = holding.first() else { return Ok(Done::unchanged()) };
    let listed: Vec<String> = holding.iter().map(|(node, what)| format!("{}: {what}", node.name)).collect();
    let (listed, cluster) = (listed.join("; "), first.cluster.clone());
    if work.argument::<String>("wipe")?.as_deref() != Some(cluster.as_str()) {
        let trouble = Trouble::refused(format!("a restore makes a new cluster, and these hosts still hold one: {listed}"));
        let hint = "its data would be lost: 'pgfleet restore' restores onto a cluster that runs; to wipe it and make a new one, give";
        return Err(trouble.hint(format!("{hint} -e restore_wipe={cluster}")));
    }
    if work.is_check() {
        return Ok(Done::changed().with("summary", format!("would remove {listed}")));
    }
    for units in [&["haproxy", "patroni"][..], &["etcd"]] {
        let stop = join_all(work.nodes.all().iter().map(|node| async move {
            let argv = [&["systemctl", "stop"][..], units].concat();
            work.nodes.run(node, &argv, "", STOP).await
        }));
        work.step(&format!("{} stop", units.join(" and ")), async { Ok(stop.await) }).await?;
    }
    let emptied = try_join_all(work.nodes.all().iter().map(|node| async move {
        let ended = work.nodes.run(node, &["rm", "-rf", "--one-file-system", "--", &node.data_dir, &node.etcd_dir], "", STOP).await?;
        if ended.rc == 0 { Ok(()) } else { Err(Trouble::failed(format!("{}: {}", node.name, ended.stderr.trim()))) }
    }));
    work.step(&format!("removing {listed}"), emptied).await?;
    Ok(Done::changed())
}

/// `postgresql_refill`: all databases and roles of a backup into a cluster that has none yet.
pub(crate) async fn fill(work: &Work) -> Result<Done, Trouble> {
    if work.is_check() {
        return Ok(Done::changed());
    }
    let leader = leader(work).await?;
    let source = source(work, leader).await?;
    let taken = work
        .nodes
        .sql(leader, "postgres", "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres';", SHORT)
        .await?;
    if !taken.is_empty() {
        let trouble = Trouble::refused(format!("the cluster has databases already: {}", taken.replace('\n', ", ")));
        return Err(trouble.hint("'pgfleet restore' restores onto a cluster that runs"));
    }
    let loader = Loader { work, leader, source: &source, meter: Meter::default() };
    loader.roles().await?;
    if source.globals.is_empty() {
        // A dump of one database names its roles, and does not make them. They get their passwords with the others.
        let role = format!(
            "SELECT format('CREATE ROLE %I LOGIN', name) FROM (VALUES ({})) AS wanted (name) \
            WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \\gexec\n",
            literal(&leader.app_user)
        );
        work.nodes.sql(leader, "postgres", &role, SHORT).await?;
    }
    if source.is_of_all_in_sql() {
        work.step("restoring all databases", loader.fill_all()).await?;
    } else {
        for database in &source.databases {
            let is_there = database.name == "postgres";
            if !is_there && source.is_sql() {
                let owner = if database.owner.is_empty() { &leader.app_user } else { &database.owner };
                work.nodes.sql(leader, "postgres", &create(&database.name, None, database, owner), SHORT).await?;
                work.nodes
                    .sql(
                        leader,
                        "postgres",
                        &format!("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC;", ident(&database.name)),
                        SHORT,
                    )
                    .await?;
            }
            let restored = async {
                if is_there || source.is_sql() { loader.fill(database, &database.name).await } else { loader.fill_new(database).await }
            };
            work.step(&format!("restoring {}", database.name), restored).await?;
        }
    }
    let (mut tables, mut rows) = (0, 0);
    for database in &source.databases {
        let (more_tables, more_rows) =
            work.step(&format!("counting the rows of {}", database.name), loader.verify(database, &database.name)).await?;
        tables += more_tables;
        rows += more_rows;
    }
    let told =
        format!("{} databases are restored from {}: {tables} tables, {rows} rows, as in the backup", source.databases.len(), source.title);
    work.teller.say(&told);
    Ok(Done::changed().with("summary", told))
}
