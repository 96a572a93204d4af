//! How a filter, test or function receives its arguments: positional and named, bound as Python binds them.

use minijinja::{Error, ErrorKind, State, Value};

use super::python::{self, fail, type_name};

/// What every filter, test and function of ours is.
pub(crate) type Builtin = fn(&mut State<'_, '_>, &Arguments) -> Result<Value, Error>;

/// The arguments of one call; the first positional one is a filter's input.
pub(crate) struct Arguments {
    pub(crate) positional: Vec<Value>,
    pub(crate) named: Vec<(String, Value)>,
}

/// One argument by the name of its parameter.
pub(crate) struct Given {
    name: &'static str,
    value: Option<Value>,
}

/// The error for a use of something undefined.
pub(crate) fn undefined(value: &Value) -> Error {
    match value.get_attr("value") {
        Err(error) => error,
        Ok(_) => Error::from(ErrorKind::UndefinedError),
    }
}

/// The value, unless it is undefined or carries an error.
pub(crate) fn defined(value: &Value) -> Result<Value, Error> {
    python::check(value)?;
    if value.is_undefined() { Err(undefined(value)) } else { Ok(value.clone()) }
}

impl Arguments {
    /// Splits the engine's list, whose last value may hold the named ones.
    pub(crate) fn new(mut values: Vec<Value>) -> Result<Self, Error> {
        let mut named = Vec::new();
        if values.last().is_some_and(Value::is_kwargs)
            && let Some(last) = values.pop()
        {
            for (key, value) in python::pairs_of(&last)? {
                named.push((python::text(&key), value));
            }
        }
        for value in values.iter().chain(named.iter().map(|(_, value)| value)) {
            python::check(value)?;
        }
        Ok(Self { positional: values, named })
    }

    /// Binds to parameters; undefined values, unknown names and too many values are errors.
    pub(crate) fn bind<const N: usize>(&self, names: [&'static str; N]) -> Result<[Given; N], Error> {
        let bound = self.bind_undefined(names)?;
        for given in &bound {
            if let Some(value) = given.value.as_ref().filter(|value| value.is_undefined()) {
                return Err(undefined(value));
            }
        }
        Ok(bound)
    }

    /// Binds to parameters, undefined values allowed.
    pub(crate) fn bind_undefined<const N: usize>(&self, names: [&'static str; N]) -> Result<[Given; N], Error> {
        if self.positional.len() > N {
            return Err(Error::new(ErrorKind::TooManyArguments, format!("takes at most {N} arguments, {} given", self.positional.len())));
        }
        if let Some((name, _)) = self.named.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            return Err(Error::new(ErrorKind::TooManyArguments, format!("unexpected keyword argument '{name}'")));
        }
        Ok(std::array::from_fn(|index| {
            let name = names[index];
            let named = || self.named.iter().find(|(given, _)| given == name).map(|(_, value)| value);
            Given { name, value: self.positional.get(index).or_else(named).cloned() }
        }))
    }

    /// The first argument, defined.
    pub(crate) fn input(&self) -> Result<Value, Error> {
        match self.positional.first() {
            Some(value) => defined(value),
            None => Err(Error::from(ErrorKind::MissingArgument)),
        }
    }

    /// All positional arguments after the first, defined.
    pub(crate) fn rest(&self) -> Result<Vec<Value>, Error> {
        self.positional.iter().skip(1).map(defined).collect()
    }

    /// A named argument, as given.
    pub(crate) fn keyword(&self, name: &str) -> Option<&Value> {
        self.named.iter().find(|(given, _)| given == name).map(|(_, value)| value)
    }
}

impl Given {
    /// The value, which must be there.
    pub(crate) fn required(&self) -> Result<Value, Error> {
        self.value.clone().ok_or_else(|| Error::new(ErrorKind::MissingArgument, format!("missing required argument '{}'", self.name)))
    }

    /// The value, `None` also for Python's `None`.
    pub(crate) fn some(&self) -> Option<Value> {
        self.value.clone().filter(|value| !value.is_none())
    }

    /// The value as it came.
    pub(crate) fn value(&self) -> Option<Value> {
        self.value.clone()
    }

    /// By its truth.
    pub(crate) fn flag(&self, default: bool) -> bool {
        self.value.as_ref().map_or(default, python::truth)
    }

    /// A whole number.
    pub(crate) fn integer(&self, default: i64) -> Result<i64, Error> {
        match &self.value {
            None => Ok(default),
            Some(value) => value
                .as_i64()
                .filter(|_| value.is_integer() || matches!(value.kind(), minijinja::value::ValueKind::Bool))
                .ok_or_else(|| fail(format!("argument '{}' must be an integer, not {}", self.name, type_name(value)))),
        }
    }

    /// Text; other types as `str()` writes them.
    pub(crate) fn text(&self, default: &str) -> String {
        self.value.as_ref().map_or_else(|| default.to_owned(), python::text)
    }
}
