//! AMQP 0-9-1: [`lane`] publishes to an exchange, for this sink and for canopsis; [`json`] is what this one publishes.

pub mod json;
pub mod lane;

pub use json::KIND;
