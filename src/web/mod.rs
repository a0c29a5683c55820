//! The daemon's HTTP server: metrics for Prometheus, liveness and readiness.

pub mod host;
pub mod metrics;
pub mod server;
pub mod settings;
