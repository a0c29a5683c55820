//! Reports on a time of the history: figures, and a page, a table or a document of them. Reading is in [`figures::gather`];
//! writing is pure.

mod chart;
pub mod csv;
pub mod figures;
pub mod html;
pub mod json;
pub mod schedule;

pub use figures::{Report, gather};

#[cfg(test)]
mod tests;
