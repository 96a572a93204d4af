//! An in-memory host for tests.
