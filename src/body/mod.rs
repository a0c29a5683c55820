//! What the text of a message can be beside prose: JSON, keys and values, CEF, LEEF, CSV. Pure functions from text to fields,
//! in linear time, with limits.

pub mod bodies;
mod csv;
mod event;
pub mod field;
mod json;
mod pairs;
#[cfg(test)]
mod tests;

pub use bodies::{Bodies, Body, Form};
pub use field::{Found, Item, Step, Text};
pub use json::{exact, too_large};
