//! Hosts, groups, variables and patterns.
