//! HTTP as a client: one connection to one server, with a deadline and a bounded answer.

pub mod client;
