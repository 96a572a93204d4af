//! Values, expressions, variables and rendering: the only user of minijinja and of YAML.
