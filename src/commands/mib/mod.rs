//! `trapline mib`: what the loaded MIBs know.

mod run;
mod show;

pub use run::{MibArgs, comments, run};
