//! The local fleet: real Debian systems in namespaces on this machine.
