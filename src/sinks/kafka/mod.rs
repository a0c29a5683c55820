//! The kafka sink: outcomes as records of Kafka's topics.

mod answer;
mod batch;
mod connection;
mod lane;
#[cfg(test)]
mod lane_tests;
mod scram;
mod settings;
#[cfg(test)]
mod stub_tests;
mod topic;
mod view;
mod wire;

pub use settings::KIND;
