//! The snmp sink: notifications to another receiver, as informs.

mod lane;
mod message;
mod settings;

pub use settings::KIND;

#[cfg(test)]
mod lane_tests;
