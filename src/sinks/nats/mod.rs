//! The nats sink: outcomes as messages of a JetStream stream.

mod answer;
mod lane;
#[cfg(test)]
mod lane_tests;
mod nkey;
mod protocol;
mod session;
mod settings;
mod subject;

pub use settings::KIND;
