//! The alertmanager sink: problems as alerts of Prometheus' Alertmanager, which stay open until an outcome ends them.

mod alert;
mod api;
mod lane;
mod problem;
mod settings;

pub use settings::KIND;
