//! The answers of ansible-core 2.19.14 to several hundred expressions.

use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::{install, python, unknown_method};

/// What differs on purpose, or is not the matter of filters.
const DIFFERENT: &[(&str, &str)] = &[
    ("ip | ansible.utils.ipaddr", "the golden run had no collections; we have the filter"),
    ("users|groupby('admin',default=false)|list", "the default is documented, but 2.19 fails before it"),
    ("{1:2,true:3,none:4}|to_json", "1 and true are one key in Python, two here"),
    ("l.count(3)", "2.19 counts in a lazy list and finds nothing"),
    ("undefd == 1", "the compiler of expressions checks operands"),
    ("undefd in [1]", "the compiler of expressions checks operands"),
];

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(unknown_method);
    install(&mut environment);
    environment
}

/// `a % b` at the end of an expression, as the compiler of expressions rewrites it.
fn with_modulo(expression: &str) -> String {
    match expression.split_once("' % ") {
        Some((left, right)) if left.starts_with('\'') => format!("__mod__({left}', {right})"),
        _ => expression.to_owned(),
    }
}

fn check(cases: &str, double_backslashes: bool) {
    let golden: serde_json::Value = serde_json::from_str(cases).expect("golden data");
    let environment = environment();
    let vars = super::json::from_parsed(golden["vars"].clone());
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().expect("cases") {
        let expression = case["expression"].as_str().expect("expression");
        if DIFFERENT.iter().any(|(known, _)| *known == expression) {
            continue;
        }
        let source = if double_backslashes {
            expression.replace('\\', "\\\\").replace("\\'", "\\\\'").replace("\\\"", "\\\\\"")
        } else {
            expression.to_owned()
        };
        let source = with_modulo(&source);
        let result = environment.compile_expression(&source).and_then(|compiled| compiled.eval(vars.clone())).and_then(|value| {
            let json = environment.empty_state().apply_filter("to_json", &[super::arguments::defined(&value)?])?;
            serde_json::from_str(json.as_str().unwrap_or_default()).map_err(|error| python::fail(error.to_string()))
        });
        let result: Result<serde_json::Value, minijinja::Error> = result;
        let good = match (&result, case.get("result")) {
            (Ok(value), Some(expected)) => value == expected && value.is_f64() == expected.is_f64(),
            (Err(_), None) => true,
            _ => false,
        };
        if !good {
            let shown = result.map_or_else(|error| error.to_string(), |value| value.to_string());
            wrong.push(format!(
                "{expression}\n  expected {}\n  got      {shown}",
                case.get("result").map_or("an error".to_owned(), ToString::to_string)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn expressions_have_the_answers_of_ansible() {
    check(include_str!("../tests/golden/expressions.json"), true);
}

#[test]
fn filters_have_the_answers_of_ansible() {
    check(include_str!("../tests/golden/filters.json"), true);
}

#[test]
fn templates_change_what_they_made() {
    let environment = environment();
    let render = |source: &str| environment.render_str(source, minijinja::context! { given => vec![1] });
    let list = "{% set l = __list__([3]) %}{% set _ = l.append(1) %}{% set _ = l.extend([2, 5]) %}{% set x = l.pop() %}{{ l | sort }} {{ x }} {{ l + [9] }}";
    assert_eq!(render(list).expect("list"), "[1, 2, 3] 5 [3, 1, 2, 9]");
    let dict = "{% set d = __dict__({'a': 1}) %}{% set _ = d.update({'b': 2}) %}{% set _ = d.__setitem__('c', 3) %}{{ d }} {{ d.pop('a') }} {{ d.keys() | list }}";
    assert_eq!(render(dict).expect("dictionary"), "{'a': 1, 'b': 2, 'c': 3} 1 ['b', 'c']");
    let error = render("{% set _ = given.append(2) %}").expect_err("a given list does not change").to_string();
    assert!(error.contains("changes a list that this template did not make"), "{error}");
}
