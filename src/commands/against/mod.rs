//! `trapline test --against`: what changed rules would have made of messages of the past.

pub mod difference;
pub mod run;

pub use run::{Against, run};

#[cfg(test)]
mod tests;
