//! `trapline status`: what the daemon counts, how fast, and what is wrong with it.
//!
//! `run` asks the daemon, `view` makes lines of two of its answers.

mod run;
mod view;

pub use run::{StatusArgs, check, run};
