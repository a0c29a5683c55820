//! HTTP as a client: one connection to one server, with a deadline and a bounded answer.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod client;
