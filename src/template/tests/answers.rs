//! Expressions, texts, template files and YAML documents of which ansible-core's own answers are known.

use std::sync::Arc;

use pgfleet_template::{
    Disk, Expression, Language, Place, Problem, Raw, Scope, SourceFile, TemplateOptions, Text, Value, Vars, Vault, from_json,
    to_exact_json, wide,
};
use serde_json::Value as Json;

/// What differs, each with its reason.
const DIFFERENT: &[(&str, &[&str])] = include!("golden/different.list");

fn is_different(source: &str) -> bool {
    DIFFERENT.iter().any(|(_, sources)| {
        sources
            .iter()
            .any(|known| source == *known || source.strip_prefix("{{ (").and_then(|rest| rest.strip_suffix(") }}|")) == Some(known))
    })
}

/// The only integer of over 128 bits among the answers, which is one of those that differ.
const TOO_LONG: &str = "730750818665451702490757660178213618792745926657";

/// Recorded answers; no digit of them is lost.
fn golden(file: &str) -> Json {
    let scope = scope(Vars::from_iter([("file".to_owned(), Raw::from(Value::from(file.replace(TOO_LONG, "null"))))]));
    to_exact_json(&Expression::parse("file | from_json", &place()).expect("parses").evaluate(&scope).expect("golden data"))
        .expect("golden data")
}

/// An answer as it was recorded: what JSON has no number for is text.
fn recorded(value: &Json) -> Json {
    match value {
        Json::Array(items) => items.iter().map(recorded).collect(),
        Json::Object(map) => map.iter().map(|(name, value)| (name.clone(), recorded(value))).collect::<serde_json::Map<_, _>>().into(),
        other => match wide::written(other) {
            Some(word @ ("Infinity" | "-Infinity" | "NaN")) => Json::from(word),
            _ => other.clone(),
        },
    }
}

/// The cases for which `answer` does not give what the file says; those that differ must differ.
fn check(file: &str, answer: impl Fn(&Json, &str) -> Result<Json, Problem>) {
    let golden = golden(file);
    let mut wrong = Vec::new();
    for case in golden["cases"].as_array().expect("cases") {
        let source = case.get("source").or_else(|| case.get("expression")).and_then(Json::as_str).expect("source");
        let result = answer(case, source);
        let good = match (&result, case.get("result")) {
            (Ok(value), Some(expect)) => recorded(value) == *expect && value.is_f64() == expect.is_f64(),
            (Err(_), None) => true,
            _ => false,
        };
        if !good && !is_different(source) {
            let shown = result.map_or_else(|problem| problem.to_string(), |value| value.to_string());
            wrong.push(format!(
                "{} {source:?}\n  expected {:?}\n  got      {shown}",
                case["kind"],
                case.get("result").map(ToString::to_string)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn place() -> Place {
    Place::new("golden", 1, 1)
}

fn scope(vars: Vars) -> Scope {
    Scope::new(&Language::new(Arc::new(Disk)), vec![]).over(Arc::new(vars))
}

fn check_expressions(file: &str) {
    let golden = golden(file);
    let vars = golden["vars"].as_object().expect("vars").iter();
    let scope = scope(vars.map(|(name, value)| (name.clone(), Raw::from(from_json(value)))).collect());
    check(file, |_, source| to_exact_json(&Text::parse(&format!("{{{{ {source} }}}}"), &place())?.evaluate(&scope)?));
}

#[test]
fn expressions_have_the_answers_of_ansible() {
    check_expressions(include_str!("golden/expressions.json"));
}

#[test]
fn filters_have_the_answers_of_ansible() {
    check_expressions(include_str!("golden/filters.json"));
}

#[test]
fn conditions_texts_and_template_files_have_the_answers_of_ansible() {
    let file = include_str!("golden/evaluations.json");
    let golden = golden(file);
    let vars = SourceFile::from_text("vars.yml", golden["vars"].as_str().expect("vars")).documents().expect("parses");
    let scope = scope(Raw::vars_from_node(&vars[0], &Arc::new(Vault::none())).expect("reads"));
    check(file, |case, source| {
        let value = match case["kind"].as_str() {
            Some("expression") => Expression::parse(source, &place())?.evaluate(&scope)?,
            Some("file") => Value::from(scope.render("t.j2", source, &TemplateOptions::default())?),
            _ => Text::parse(source, &place())?.evaluate(&scope)?,
        };
        to_exact_json(&value)
    });
}

#[test]
fn documents_have_the_answers_of_ansible() {
    let vault = Arc::new(Vault::none());
    check(include_str!("golden/documents.json"), |_, source| {
        let documents = SourceFile::from_text("f.yml", source).documents()?;
        documents.iter().map(|node| Raw::from_node(node, &vault).and_then(|raw| to_exact_json(&raw.as_written()))).collect()
    });
}
