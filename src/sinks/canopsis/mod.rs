//! The canopsis sink: check events for Canopsis, on its AMQP exchange or over HTTP ([`http`]).

mod amqp;
pub mod event;
pub mod http;
mod settings;

pub use settings::KIND;
