//! The command line of pgfleet.
fn main() {}
