//! PostgreSQL's parameters: what it says of them, whether it would take a value, and whether a node has read one.

use futures::future::join_all;
use pgfleet_cluster::{Change, Parameter, Takes, plain};
use serde_json::{Value, json};

use super::seen::{SQL, Seen};
use super::{Trouble, Work};
use crate::nodes::Node;
use crate::sql::literal;

/// Where PostgreSQL looks for libraries.
const PATH: &str = "dynamic_library_path";

/// What PostgreSQL says of its parameters.
const PARAMETERS: &str = "SELECT name, setting, coalesce(unit, '') AS unit, context, vartype, min_val, max_val, enumvals FROM pg_settings";

/// PostgreSQL reads a file of settings and ends. The file has no name once it is written: nobody else reads it, and nothing of it stays.
const TRIES: &str = "file=$(mktemp) && exec 3<>\"$file\" && rm \"$file\" && cat >&3 && LC_ALL=C exec \"$1\" -D /tmp --config-file=/dev/fd/3 -C data_directory";

/// All parameters, as the node has them.
pub(crate) async fn parameters(work: &Work, node: &Node) -> Result<Vec<Parameter>, Trouble> {
    let rows = work.nodes.rows(node, "postgres", PARAMETERS, SQL).await?;
    let text = |row: &pgfleet_protocol::Map, name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let words = |row: &pgfleet_protocol::Map| {
        let words = row.get("enumvals").and_then(Value::as_array).cloned().unwrap_or_default();
        words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let parameter = |row: &pgfleet_protocol::Map| Parameter {
        name: text(row, "name").unwrap_or_default(),
        setting: text(row, "setting").unwrap_or_default(),
        unit: text(row, "unit").unwrap_or_default(),
        context: text(row, "context").unwrap_or_default(),
        vartype: text(row, "vartype").unwrap_or_default(),
        min: text(row, "min_val"),
        max: text(row, "max_val"),
        words: words(row),
    };
    Ok(rows.iter().map(parameter).collect())
}

/// Lets a node's programs of PostgreSQL read values, without its data, and looks on every node for the libraries that they name.
/// Whatever is wrong there would keep PostgreSQL from its next start. `known` is what the cluster says of its parameters; empty without one.
///
/// # Errors
/// Refused, with all that PostgreSQL says, or that is missing.
pub(crate) async fn takes(work: &Work, node: &Node, values: &[(&str, &Value)], known: &[Parameter]) -> Result<(), Trouble> {
    let values: Vec<(&str, String)> =
        values.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (*name, plain(value))).collect();
    if values.is_empty() {
        return Ok(());
    }
    let lines: String = values.iter().map(|(name, value)| format!("{name} = {}\n", quoted(value))).collect();
    let program = format!("{}/postgres", node.bin_dir);
    let argv = ["runuser", "-u", "postgres", "--", "bash", "-c", TRIES, "bash", program.as_str()];
    let ended = work.nodes.run(node, &argv, &lines, SQL).await?;
    if ended.rc != 0 {
        return Err(objections(&ended.stderr));
    }
    let value = |wanted: &str| values.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str());
    let path = value(PATH).or_else(|| known.iter().find(|known| known.name == PATH).map(|known| known.setting.as_str()));
    let preloaded = value("shared_preload_libraries").filter(|_| path.is_none_or(|path| path == "$libdir"));
    has_libraries(work, &libraries(preloaded.unwrap_or_default())).await
}

/// Prints which libraries a host does not have.
const LOOKS: &str =
    "folder=$(\"$1/pg_config\" --pkglibdir) || exit 0; shift; for name; do [ -e \"$folder/$name.so\" ] || echo \"$name\"; done";

/// Looks for libraries that PostgreSQL would load, on every node that has one.
///
/// # Errors
/// Refused where one is missing: PostgreSQL would not start there.
async fn has_libraries(work: &Work, names: &[String]) -> Result<(), Trouble> {
    if names.is_empty() {
        return Ok(());
    }
    let missing_on = |node: &Node| {
        let node = node.clone();
        async move {
            let mut argv = vec!["bash", "-c", LOOKS, "bash", node.bin_dir.as_str()];
            argv.extend(names.iter().map(String::as_str));
            // A node that cannot be asked now is not what this is about.
            let told = work.nodes.run(&node, &argv, "", SQL).await.map(|ended| ended.stdout).unwrap_or_default();
            told.lines().map(|library| format!("{} has no library '{library}'", node.name)).collect::<Vec<_>>()
        }
    };
    let missing = join_all(work.nodes.databases().map(missing_on)).await.concat();
    if missing.is_empty() {
        return Ok(());
    }
    let hint = "PostgreSQL would not start there: install the library's package on every node first";
    Err(Trouble::refused(missing.join("; ")).hint(hint))
}

/// The names of libraries in a list of them; those with a path are not looked for.
fn libraries(list: &str) -> Vec<String> {
    let names = list.split(',').map(|name| name.trim().trim_matches('"').trim_start_matches("$libdir/"));
    names.filter(|name| !name.is_empty() && !name.contains('/')).map(|name| name.trim_end_matches(".so").to_owned()).collect()
}

/// A value as a file of settings has it.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n"))
}

/// What PostgreSQL objects to, of all that it printed.
fn objections(printed: &str) -> Trouble {
    let told = |line: &str, level: &str| line.split_once(level).map(|(_, text)| text.trim().to_owned());
    let mut reasons: Vec<String> = Vec::new();
    let mut hint = None;
    for line in printed.lines().filter(|line| !line.contains("postgresql.auto.conf")) {
        if let Some(text) = told(line, " LOG: ") {
            reasons.push(text.split(" in file \"/dev/fd/").next().unwrap_or_default().to_owned());
        }
        hint = hint.or_else(|| told(line, " DETAIL: ")).or_else(|| told(line, " HINT: "));
    }
    let reason = if reasons.is_empty() { printed.trim().to_owned() } else { reasons.join("; ") };
    Trouble::refused(format!("PostgreSQL does not take it: {reason}")).hint(hint.unwrap_or_else(|| "no setting was changed".to_owned()))
}

/// Asks what a node has of these parameters: the value in use, and the one that it has read last from its files, where it could use it.
/// A value in use is shown as PostgreSQL sees it (`iso, dmy` is `ISO, DMY`), as far as it sees it at all (a TCP setting over a socket is 0).
pub(crate) fn readings(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| literal(&name.to_lowercase())).collect();
    format!(
        "SELECT coalesce(json_object_agg(used.name, json_build_array(used.setting, read.setting)), '{{}}') FROM pg_settings used \
         LEFT JOIN (SELECT DISTINCT ON (lower(name)) * FROM pg_file_settings ORDER BY lower(name), seqno DESC) read \
         ON lower(read.name) = lower(used.name) AND read.applied \
         AND pg_conf_load_time() >= (pg_stat_file(read.sourcefile)).modification WHERE lower(used.name) IN ({});",
        names.join(", ")
    )
}

/// What a node has not read yet, of its answer to [`readings`].
pub(crate) fn late(seen: &Seen, name: &str, told: &str, changes: &[Change], known: &[Parameter]) -> Option<String> {
    let told: Value = serde_json::from_str(told).unwrap_or_else(|_| json!({}));
    let is_pending = seen.own(name).get("pending_restart").and_then(Value::as_bool).unwrap_or(false);
    let is_late = |change: &&Change| {
        let Some(parameter) = change.parameter.as_deref().and_then(|name| known.iter().find(|known| known.name.eq_ignore_ascii_case(name)))
        else {
            return false;
        };
        // What is taken away goes back to whatever is set elsewhere.
        let Some(used) = told[&parameter.name][0].as_str().filter(|_| !change.after.is_null()) else { return false };
        let is_read =
            told[&parameter.name][1].as_str().is_some_and(|read| parameter.is(&change.after, read) || plain(&change.after) == read);
        let is_known = if change.takes == Takes::Reload { is_read } else { is_pending };
        !parameter.is(&change.after, used) && !is_known
    };
    let late: Vec<&str> = changes.iter().filter(is_late).filter_map(|change| change.parameter.as_deref()).collect();
    if late.is_empty() { None } else { Some(format!("{name}: not yet {}", late.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::{libraries, objections, quoted};

    #[test]
    fn what_postgresql_objects_to_is_told() {
        let printed = "2026-11-23 10:37:31.386 GMT [15431] LOG:  skipping missing configuration file \"/tmp/postgresql.auto.conf\"\n\
                       2026-11-23 10:37:31.386 GMT [15431] LOG:  invalid value for parameter \"DateStyle\": \"junk\"\n\
                       2026-11-23 10:37:31.386 GMT [15431] DETAIL:  Unrecognized key word: \"junk\".\n\
                       2026-11-23 10:37:31.386 GMT [15431] LOG:  unrecognized configuration parameter \"nonsense\" in file \"/dev/fd/3\" line 2\n\
                       2026-11-23 10:37:31.386 GMT [15431] FATAL:  configuration file \"/dev/fd/3\" contains errors\n";
        let told = "PostgreSQL does not take it: invalid value for parameter \"DateStyle\": \"junk\"; unrecognized configuration parameter \"nonsense\"";
        assert_eq!(objections(printed).to_string(), told);
        assert_eq!(objections("no such file\n").to_string(), "PostgreSQL does not take it: no such file");
    }

    #[test]
    fn libraries_are_names_without_a_path() {
        assert_eq!(
            libraries("pg_stat_statements, $libdir/pg_cron,\"auto_explain.so\",,/srv/lib/x"),
            ["pg_stat_statements", "pg_cron", "auto_explain"]
        );
    }

    #[test]
    fn a_value_stays_one_value() {
        assert_eq!(quoted("it's\n\\d"), r"'it''s\n\\d'");
    }
}
