//! `trapline init`: a first configuration for the machine that it runs on.

mod find;
mod run;
mod write;

pub use run::{InitArgs, run};
