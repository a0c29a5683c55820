//! The daemon's HTTP server: metrics for Prometheus, liveness and readiness, the API and the console.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod api;
pub mod feed;
pub mod host;
pub mod metrics;
pub mod outcomes;
pub mod query;
pub mod server;
pub mod settings;
pub mod site;
mod stall;
