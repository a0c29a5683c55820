//! The daemon's HTTP server: metrics for Prometheus, liveness and readiness.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod host;
pub mod metrics;
pub mod server;
pub mod settings;
mod states;
