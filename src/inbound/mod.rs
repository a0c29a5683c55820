//! Connections that come in: one loop that accepts them, fair shares of places for them, and a budget of descriptors.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod accept;
pub mod descriptors;
pub mod places;
