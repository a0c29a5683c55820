//! The webhook sink: a request for each outcome, or for many (`hook`), or what a ticket needs (`ticket`).

mod answer;
mod hook;
mod settings;
mod ticket;

pub use settings::KIND;
