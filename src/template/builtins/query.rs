//! `json_query`: JMESPath over values.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jmespath::{Expression, Variable};
use minijinja::{Error, State, Value};

use super::arguments::{Arguments, Builtin};
use super::json::from_parsed;
use super::python::{expect_str, fail};

pub(crate) const FILTERS: &[(&str, Builtin)] = &[("json_query", json_query), ("community.general.json_query", json_query)];

/// The expression, compiled once a process.
fn compiled(source: &str) -> Result<Arc<Expression<'static>>, Error> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Expression<'static>>>>> = LazyLock::new(Mutex::default);
    if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(source) {
        return Ok(known.clone());
    }
    let wrong = |error: jmespath::JmespathError| fail(format!("JMESPathError in json_query filter plugin: {error}"));
    let expression = Arc::new(jmespath::compile(source).map_err(wrong)?);
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(source.to_owned(), expression.clone());
    Ok(expression)
}

fn json_query(_: &mut State<'_, '_>, call: &Arguments) -> Result<Value, Error> {
    let [data, query] = call.bind(["data", "expr"])?;
    let expression = compiled(&expect_str(&query.required()?, "json_query")?)?;
    let data = crate::to_json(&data.required()?).map_err(crate::evaluate::into_error)?;
    let data = Variable::try_from(data).map_err(|error| fail(format!("json_query: {error}")))?;
    let found = expression.search(Arc::new(data)).map_err(|error| fail(format!("JMESPathError in json_query filter plugin: {error}")))?;
    let found = serde_json::to_value(&*found).map_err(|error| fail(format!("json_query: {error}")))?;
    Ok(from_parsed(found))
}
