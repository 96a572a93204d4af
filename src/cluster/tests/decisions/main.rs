//! May it be done, and to whom? Decided on views of clusters of three, without a host.

mod failover;
mod leaving;
mod safety;
mod source;
mod switchover;
mod views;
