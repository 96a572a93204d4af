//! A drill's report as one page: no script, nothing from elsewhere, readable in any browser.

mod plot;

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use tera::{Context, Tera};

use plot::{Attempt, Plot};

/// The name ends so that what stands in it is escaped.
const NAME: &str = "drill.html";
const TEMPLATE: &str = include_str!("drill.html.tera");

/// What the plot needs of a report.
#[derive(Debug, Deserialize)]
struct Report {
    events: Vec<plot::Event>,
    clients: Vec<plot::Client>,
    attempts: std::collections::BTreeMap<String, Vec<Attempt>>,
}

/// The page of a report, as JSON has it with all attempts.
pub(crate) fn of(report: &Value) -> Result<String, String> {
    let read: Report = Report::deserialize(report).map_err(|error| format!("the report is not as a drill makes it: {error}"))?;
    let plot = Plot::of(&read.events, &read.clients, &read.attempts);
    let mut context = Context::new();
    context.insert("report", report);
    context.insert("plot", &plot);
    let seconds = |name: &str| report[name].as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{:.2} s", ms / 1000.0));
    context.insert("write_gap", &seconds("longest_write_gap_ms"));
    context.insert("read_gap", &seconds("longest_read_gap_ms"));
    context.insert("recovery", &report["recovery_s"].as_f64().map_or_else(|| "not seen".to_owned(), |seconds| format!("{seconds:.1} s")));
    let mut tera = Tera::default();
    let wrong = |error: tera::Error| format!("the template of the page: {error}");
    tera.add_raw_template(NAME, TEMPLATE).map_err(wrong)?;
    tera.render(NAME, &context).map_err(wrong)
}

/// Writes the page beside the report; gives its path.
pub(crate) fn beside(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let page = file.with_extension("html");
    pgfleet_state::write(&page, of(&report)?.as_bytes()).map_err(|error| error.to_string())?;
    Ok(page.display().to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_page_has_the_figures_the_plot_and_no_markup_of_others() {
        let report = json!({
            "drill": "leader-killed", "does": "PostgreSQL of the leader is killed (-9)", "time": "2026-01-01T00:00:00Z", "cluster": "one",
            "leader_before": "a.lan", "leader_after": "b.lan", "victims": ["a.lan"], "observer": "c.lan", "seconds": 0,
            "synchronous_mode": "quorum", "settings": {"ttl": 30, "loop_wait": 10, "retry_timeout": 10, "failsafe_mode": true},
            "clock_tolerance_ms": 60, "longest_write_gap_ms": 6530, "longest_read_gap_ms": 210, "recovery_s": 7.7,
            "acknowledged": 3, "failed": 1, "unsure": 1, "missing": 0, "duplicated": 0, "two_leaders": null, "broken": [],
            "events": [{"at": 0, "kind": "drill", "text": "killed"}, {"at": 6400, "kind": "client", "text": "<b>first write</b>"}],
            "clients": [{
                "way": "leader port", "node": "c.lan", "usage": "writes", "acknowledged": 3, "failed": 1, "unsure": 1,
                "longest_gap": {"from": 10, "ms": 6530}, "missing": 0, "duplicated": 0, "first_error": "",
            }],
            "lost_clients": [],
            "attempts": {"leader port": [[-100, 5, 0], [5, 5, 0], [30, 400, 2], [500, 1, 1], [6530, 10, 0]]},
        });
        let page = super::of(&report).expect("a page");
        for text in ["6.53 s", "0.21 s", "7.7 s", "<svg", "a.lan", "&lt;b&gt;first write", "Every promise was kept"] {
            assert!(page.contains(text), "{text}:\n{page}");
        }
        assert!(!page.contains("<b>first") && !page.contains("<script"));
    }

    #[test]
    fn what_is_no_report_is_told() {
        assert!(super::of(&json!({})).expect_err("no report").contains("events"));
    }
}
