//! `trapline mib`: what the loaded MIBs know.

mod add;
mod compile;
mod run;
mod show;
mod zip;

pub use run::{MibArgs, comments, run};
