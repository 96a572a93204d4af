//! The program on every host: modules and the daemon.
