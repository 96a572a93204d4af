//! Patroni, etcd and HAProxy as one immutable view, and what may be done to them.
