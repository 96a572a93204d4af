//! Answers cases given as JSON lines on standard input, one answer a line: to be compared with another implementation's.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use pgfleet_template::{
    Disk, Expression, Language, Place, Problem, Raw, Scope, SourceFile, TemplateOptions, Text, Value, Vars, Vault, to_exact_json, wide,
};
use serde_json::{Value as Json, json};

fn vars(yaml: &str) -> Result<Arc<Vars>, Problem> {
    match SourceFile::from_text("vars.yml", yaml).documents()?.first() {
        Some(node) => Raw::vars_from_node(node, &Arc::new(Vault::none())).map(Arc::new),
        None => Ok(Arc::default()),
    }
}

fn documents(yaml: &str) -> Result<Json, Problem> {
    let vault = Arc::new(Vault::none());
    let documents = SourceFile::from_text("f.yml", yaml).documents()?;
    documents.iter().map(|node| Raw::from_node(node, &vault).and_then(|raw| to_exact_json(&raw.as_written()))).collect()
}

fn answer(language: &Arc<Language>, case: &Json) -> Result<Json, Problem> {
    let word = |key: &str| case.get(key).and_then(Json::as_str).unwrap_or_default();
    let source = word("source");
    if word("kind") == "yaml" {
        return documents(source);
    }
    let scope = Scope::new(language, vec![PathBuf::from(word("folder"))]).over(vars(word("vars"))?);
    let place = Place::new("case", 1, 1);
    let value = match word("kind") {
        "expression" => Expression::parse(source, &place)?.evaluate(&scope)?,
        "file" => Value::from(scope.render(&format!("{}/t.j2", word("folder")), source, &TemplateOptions::default())?),
        _ => Text::parse(source, &place)?.evaluate(&scope)?,
    };
    to_exact_json(&value)
}

fn main() -> std::io::Result<()> {
    let language = Language::new(Arc::new(Disk));
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let case: Json = serde_json::from_str(&line?)?;
        let answer = match answer(&language, &case) {
            Ok(value) => json!({"result": value}),
            Err(problem) => json!({"error": problem.to_string()}),
        };
        writeln!(out, "{}", wide::to_text(&answer, wide::Layout::Line)?)?;
    }
    Ok(())
}
