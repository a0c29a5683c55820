//! The daemon's HTTP server: metrics for Prometheus, liveness and readiness.

pub mod metrics;
pub mod server;
pub mod settings;
