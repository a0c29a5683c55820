//! The mqtt sink: outcomes as messages of MQTT 5, at QoS 1.

mod lane;
#[cfg(test)]
mod lane_tests;
mod packet;
mod reason;
mod session;
mod settings;
mod topic;

pub use settings::KIND;
