//! Durable files: secrets, run journal, locks.
