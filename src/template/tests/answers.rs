//! Expressions and inventories of which ansible-core's own answers are known.

use std::sync::Arc;

use pgfleet_template::{Disk, Expression, Language, Place, Raw, Scope, Vars, from_json, to_json};

/// What differs on purpose.
const DIFFERENT: &[&str] = &[
    // The golden run had no collections; we have the filter.
    "ip | ansible.utils.ipaddr",
    // The default is documented, but 2.19 fails before it.
    "users|groupby('admin',default=false)|list",
    // 1 and true are one key in Python, two here.
    "{1:2,true:3,none:4}|to_json",
    // 2.19 counts in a lazy list and finds nothing.
    "l.count(3)",
];

fn check(cases: &str) {
    let golden: serde_json::Value = serde_json::from_str(cases).expect("golden data");
    let vars: Vars =
        golden["vars"].as_object().expect("vars").iter().map(|(name, value)| (name.clone(), Raw::from(from_json(value)))).collect();
    let scope = Scope::new(&Language::new(Arc::new(Disk)), vec![]).over(Arc::new(vars));
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().expect("cases") {
        let source = case["expression"].as_str().expect("expression");
        if DIFFERENT.contains(&source) {
            continue;
        }
        let expression = Expression::parse(source, &Place::new("golden", 1, 1));
        let result = expression.and_then(|expression| expression.evaluate(&scope)).and_then(|value| to_json(&value));
        let good = match (&result, case.get("result")) {
            (Ok(value), Some(expect)) => value == expect && value.is_f64() == expect.is_f64(),
            (Err(_), None) => true,
            _ => false,
        };
        if !good {
            let shown = result.map_or_else(|problem| problem.to_string(), |value| value.to_string());
            wrong.push(format!("{source}\n  expected {:?}\n  got      {shown}", case.get("result").map(ToString::to_string)));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn expressions_have_the_answers_of_ansible() {
    check(include_str!("golden/expressions.json"));
}

#[test]
fn filters_have_the_answers_of_ansible() {
    check(include_str!("golden/filters.json"));
}
