//! Connections that come in: one loop that accepts them, fair shares of places for them, and a budget of descriptors.

pub mod accept;
pub mod descriptors;
pub mod places;
